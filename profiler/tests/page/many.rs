//! A recording with as many stacks as wanted, as a large service has them: they share their roots, and few are in every second.
//!
//! In: how many. Out: its chunks; CPU samples alone.

use std::sync::Arc;

use profiler::profile::rows::CpuKey;
use profiler::profile::stack::{Stack, Symbols};
use profiler::profile::{
    Chunk, CpuRow, End, Frame, FrameId, FrameSpace, Header, Interval, Pid, ProbePlan, Process, Resolution,
    StackId,
};

const SECONDS: u64 = 60;
const DEPTH: usize = 41;
const NAMES: u32 = 30_000;
/// Seconds that a stack is in.
const CELLS: u64 = 3;

/// xorshift64*.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) % end
    }
}

/// All chunks.
pub fn stacks(count: u64) -> Vec<Chunk> {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let plan = ProbePlan { probe: "cpu".into(), backend: "cpu-clock".into(), misses: vec![], active: true };
    let header = Header { probes: vec![plan], frequency_hz: 99, ..Header::default() };
    let mut intervals: Vec<Interval> = (0..SECONDS)
        .map(|second| Interval {
            start_ns: second * 1_000_000_000,
            end_ns: (second + 1) * 1_000_000_000,
            ..Interval::default()
        })
        .collect();
    let first = &mut intervals[0];
    first.processes.push(Process { pid: Pid(7), comm: "service".into(), ..Process::default() });
    let frame = |at| Frame { space: FrameSpace::Kernel, address: 0x1000 + u64::from(at) * 16 };
    first.frames.extend((0..NAMES).map(frame));
    let mut path: Vec<u32> = vec![0; DEPTH];
    for id in 1..=count {
        // Most stacks differ from the one before near their leaves.
        let keep =
            DEPTH - 1 - (random.below(DEPTH as u64) * random.below(DEPTH as u64) / DEPTH as u64) as usize;
        for depth in keep..DEPTH {
            let below = if depth == 0 { 0 } else { path[depth - 1] };
            let branch = if random.below(8) == 0 { random.below(6) as u32 } else { 0 };
            path[depth] = (below.wrapping_mul(31) + depth as u32 * 7 + branch * 101 + 1) % NAMES;
        }
        path[DEPTH - 1] = (id % u64::from(NAMES)) as u32;
        let frames = path.iter().rev().map(|name| FrameId(*name)).collect();
        // All in one interval would be more than a chunk may take.
        let first = (id - 1) * SECONDS / count;
        intervals[first as usize].stacks.push(Stack { id: StackId(id), frames, truncated: false });
        for _ in 0..CELLS {
            let second = (first + random.below(SECONDS - first)) as usize;
            let key = CpuKey { pid: Pid(7), kernel: StackId(id), user: StackId::NONE };
            intervals[second].cpu.rows.entry(key).or_insert(CpuRow { samples: 0 }).samples +=
                1 + random.below(9);
        }
    }
    let named = |at: u32| {
        (FrameId(at), Resolution::Named(vec![Arc::from(format!("module_{:x}::function_{at}", at % 97))]))
    };
    let symbols = Symbols { frames: (0..NAMES).map(named).collect(), ..Symbols::default() };
    let end = End { duration_ns: SECONDS * 1_000_000_000, ..End::default() };
    let intervals = intervals.into_iter().map(|interval| Chunk::Interval(Box::new(interval)));
    let mut chunks = vec![Chunk::Header(Box::new(header))];
    chunks.extend(intervals);
    chunks.push(Chunk::Symbols(symbols));
    chunks.push(Chunk::End(Box::new(end)));
    chunks
}
