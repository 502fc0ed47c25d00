//! Feeds a parser with damaged input: it may neither panic nor take longer than its share of CPU time.
//!
//! In: what makes an input, and what reads it; `FUZZ_SECONDS` for each target instead of a number of rounds; `FUZZ_SEED`.
//! Out: a pass, or the seed and the round, and the input, which is kept.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "each target uses a part of it; a test that cannot set its stage up must fail, and a run says how far it came"
)]

#[path = "mutate.rs"]
pub mod mutate;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mutate::Random;
use rustix::time::{ClockId, clock_gettime};

/// Rounds of a run that is not given a time.
const ROUNDS: u64 = 4_000;
/// CPU time that nothing as small as these inputs may take.
const LIMIT: Duration = Duration::from_secs(10);

/// Feeds `parse` with what `make` makes.
pub fn fuzz(target: &str, make: impl FnMut(&mut Random) -> Vec<u8>, parse: impl FnMut(&[u8])) {
    fuzz_one_in(1, target, make, parse);
}

/// The same with fewer rounds, where one takes so many times longer.
pub fn fuzz_one_in(
    longer: u64,
    target: &str,
    mut make: impl FnMut(&mut Random) -> Vec<u8>,
    mut parse: impl FnMut(&[u8]),
) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (seconds, seed) = (number("FUZZ_SECONDS").map(Duration::from_secs), number("FUZZ_SEED").unwrap_or(1));
    let (mut random, begin) = (Random::new(seed), Instant::now());
    for round in 0.. {
        if seconds.map_or(round >= ROUNDS / longer, |seconds| begin.elapsed() >= seconds) {
            println!("{target}: {round} rounds from seed {seed}");
            break;
        }
        let (input, before) = (make(&mut random), cpu_time());
        let survived = catch_unwind(AssertUnwindSafe(|| parse(&input))).is_ok();
        if !survived || cpu_time() - before > LIMIT {
            let kept = directory().join(format!("fuzz-{target}-{seed}-{round}"));
            fs::write(&kept, &input).unwrap();
            let what = if survived { "took too long" } else { "panicked" };
            panic!("{target}: seed {seed}, round {round} {what}; the input is {}", kept.display());
        }
    }
}

/// Where an input is kept.
fn directory() -> PathBuf {
    option_env!("CARGO_TARGET_TMPDIR").map_or_else(std::env::temp_dir, PathBuf::from)
}

/// CPU time of this thread.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The inputs in the tree.
pub fn corpus(target: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target);
    let mut files: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|file| fs::read(file).unwrap()).collect()
}
