//! What interning stacks costs.
//!
//! In: a hundred thousand stacks over this program's own code. Out: their cost beside hashing the same addresses.

use std::hash::{BuildHasher, RandomState};
use std::time::Instant;

use profiler::profile::Pid;
use profiler::profile::stack::StackId;
use profiler::symbol::Interner;

const STACKS: u64 = 100_000;

/// Stacks of 40 frames, each with an id of its own, over this program's own code.
fn each_stack(mut visit: impl FnMut(u64, &[u64])) {
    let base = interning_by_hashing as fn() -> f64 as usize as u64 & !0xfff;
    let mut frames = [0; 40];
    for id in 1..=STACKS {
        for (depth, frame) in (0u64..).zip(&mut frames) {
            *frame = base + (id * 31 + depth * 977) % 4096;
        }
        visit(id, &frames);
    }
}

/// Interning all stacks, as a multiple of hashing their addresses.
fn interning_by_hashing() -> f64 {
    let (hasher, mut sum) = (RandomState::new(), 0u64);
    let start = Instant::now();
    each_stack(|_, frames| {
        sum = frames.iter().fold(sum, |sum, frame| sum.wrapping_add(hasher.hash_one((1u64, *frame))));
    });
    let hashing = start.elapsed();
    std::hint::black_box(sum);
    let (mut interner, pid) = (Interner::new(), Pid(std::process::id()));
    interner.pin(pid);
    let start = Instant::now();
    each_stack(|id, frames| interner.user_stack(StackId(id), pid, frames, false));
    let interning = start.elapsed();
    let (_, frames, stacks) = interner.take_new();
    assert_eq!(stacks.len() as u64, STACKS);
    assert!(frames.len() <= 8192, "{} frames", frames.len());
    interning.as_secs_f64() / hashing.as_secs_f64()
}

#[test]
fn a_hundred_thousand_stacks_cost_like_hashing_them() {
    // The best of three: a busy machine can only make it look worse.
    let best = (0..3).map(|_| interning_by_hashing()).fold(f64::INFINITY, f64::min);
    eprintln!("interning costs {best:.1} times hashing");
    assert!(best < 4.0, "interning costs {best:.1} times hashing");
}
