//! A recording of twenty seconds, made by hand: in its second half one function vanishes and another takes three times as long.
//!
//! In: nothing. Out: its chunks, and a capture of them.

use std::path::{Path, PathBuf};

use profiler::capture::Writer;
use profiler::profile::{Chunk, Interval, Pid, Process, StackId};

use super::session::{MS, chunks};

pub const SECONDS: u64 = 20;
pub const HALF: u64 = SECONDS / 2;
/// Samples a second, in the first half and in the second.
pub const BURN_A: [u64; 2] = [700, 0];
pub const BURN_B: [u64; 2] = [300, 900];
/// A name that does as much harm as a name can.
pub const HOSTILE: &str = "</script><img src=x onerror=window.hit=1>\u{202e}\x1b[31m";

/// All chunks.
pub fn twenty_seconds() -> Vec<Chunk> {
    let mut made = Vec::new();
    for chunk in chunks() {
        match chunk {
            Chunk::Interval(first) => made.extend((0..SECONDS).map(|second| at(&first, second))),
            Chunk::End(mut end) => {
                end.duration_ns = SECONDS * 1_000 * MS;
                made.push(Chunk::End(end));
            }
            other => made.push(other),
        }
    }
    made
}

fn at(first: &Interval, second: u64) -> Chunk {
    let mut interval = first.clone();
    (interval.start_ns, interval.end_ns) = (second * 1_000 * MS, (second + 1) * 1_000 * MS);
    let half = usize::from(second >= HALF);
    interval.cpu.rows.retain(|key, row| {
        row.samples = match key.user {
            StackId(30) => BURN_A[half],
            StackId(31) => BURN_B[half],
            _ => row.samples,
        };
        row.samples > 0
    });
    if second > 0 {
        let Interval { processes, modules, frames, stacks, slowest, .. } = &mut interval;
        (*processes, *modules, *frames, *stacks, *slowest) = Default::default();
    } else {
        interval.processes.push(Process { pid: Pid(33), comm: HOSTILE.into(), ..Process::default() });
    }
    Chunk::Interval(Box::new(interval))
}

/// Writes a capture.
pub fn write(directory: &Path, chunks: &[Chunk]) -> PathBuf {
    let mut writer = Writer::create(directory).unwrap();
    chunks.iter().for_each(|chunk| writer.append(chunk).unwrap());
    writer.finish().unwrap()
}
