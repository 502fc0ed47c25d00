//! Sessions made by hand that have one property each.
//!
//! In: what `session` is made of. Out: [`minute`], a time axis; [`loops`], many short processes;
//! [`wide`], many stacks.

use std::sync::Arc;

use profiler::profile::chunk::{Chunk, End, Interval};
use profiler::profile::rows::{CpuKey, LockContext, LockKey, LockKind};
use profiler::profile::stack::{ModuleId, Stack};
use profiler::profile::{CpuRow, Frame, FrameId, FrameSpace, Pid, Process, Profile, Resolution, StackId};

use super::session::{MS, Stacks, calls, header, lock, processes, slow as slow_calls, with_entry};

/// A minute in which reads become slow from second 20 to 35, seen in 60 intervals.
pub fn minute() -> Profile {
    let mut profile = Profile::default();
    profile.apply(Chunk::Header(Box::new(header())));
    for second in 0..60u64 {
        let start_ns = second * 1_000 * MS;
        let mut interval = Interval {
            start_ns,
            end_ns: start_ns + 1_000 * MS,
            processes: processes(),
            ..Interval::default()
        };
        let (fast, slow) = if (20..35).contains(&second) { (300, 40) } else { (900, 0) };
        calls(&mut interval, 812, 0, &[(4_000 + second * 30, fast), (18 * MS + second * 100_000, slow)]);
        calls(&mut interval, 813, 0, &[(6_000, 10)]);
        calls(&mut interval, 812, 74, &[(3 * MS, 1 + second % 3)]);
        calls(&mut interval, 33, 232, &[(900 * MS, 1)]);
        if slow > 0 {
            let stacks = (StackId::NONE, StackId::NONE);
            slow_calls(&mut interval, (812, 0), stacks, (slow, 20 * MS));
        }
        profile.apply(Chunk::Interval(Box::new(interval)));
    }
    profile.apply(Chunk::End(Box::new(End { duration_ns: 60_000 * MS, ..End::default() })));
    profile
}

/// 200 short shells with two reads, one lock wait and one sample each, and one more that hangs in its read.
pub fn loops() -> Profile {
    let mut stacks = Stacks::default();
    let files =
        stacks.kernel(6, &with_entry(&["native_queued_spin_lock_slowpath", "_raw_spin_lock", "alloc_fd"]));
    let burn = stacks.user(30, &["burn", "main"]);
    let mut interval = std::mem::take(&mut stacks.interval);
    for pid in (1..=200).chain([9999]) {
        let process = Process { pid: Pid(pid), comm: "sh".into(), ..Process::default() };
        interval.processes.push(process);
        calls(&mut interval, pid, 0, if pid == 9999 { &[(5_000 * MS, 1)] } else { &[(4_000, 2)] });
        if pid != 9999 {
            let key = LockKey {
                pid: Pid(pid),
                kind: LockKind::Spin,
                context: LockContext::Task,
                lock: 0,
                kernel: files,
                user: StackId::NONE,
            };
            lock(&mut interval, key, &[(50_000, 1)]);
            let key = CpuKey { pid: Pid(pid), kernel: StackId::NONE, user: burn };
            interval.cpu.rows.insert(key, CpuRow { samples: 1 });
        }
    }
    interval.end_ns = 1_000 * MS;
    let mut profile = Profile::default();
    profile.apply(Chunk::Header(Box::new(header())));
    profile.apply(Chunk::Interval(Box::new(interval)));
    profile.apply(Chunk::Symbols(stacks.symbols));
    profile
}

/// `count` distinct stacks of 40 frames that share their first ten.
pub fn wide(count: u64) -> Profile {
    let mut stacks = Stacks::default();
    for frame in 0..4_000u32 {
        let space = FrameSpace::Module(ModuleId(0));
        stacks.interval.frames.push(Frame { space, address: u64::from(frame) });
        stacks
            .symbols
            .frames
            .push((FrameId(frame), Resolution::Named(vec![Arc::from(format!("function_{frame}"))])));
    }
    for id in 1..=count {
        let frames = (0..40u64).map(|depth| {
            let spread = if depth < 30 {
                id.wrapping_mul(2_654_435_761).rotate_left(depth as u32) % 4_000
            } else {
                depth
            };
            FrameId(spread as u32)
        });
        stacks.interval.stacks.push(Stack { id: StackId(id), frames: frames.collect(), truncated: false });
        let key = CpuKey { pid: Pid(1), kernel: StackId::NONE, user: StackId(id) };
        stacks.interval.cpu.rows.insert(key, CpuRow { samples: 1 + u64::from(id == 1) * count });
    }
    let mut profile = Profile::default();
    profile.apply(Chunk::Interval(Box::new(stacks.interval)));
    profile.apply(Chunk::Symbols(stacks.symbols));
    profile
}
