//! Recordings made by hand whose truth is known: a steady load with noise that depends on the second before, as real loads have it.
//!
//! In: a seed, a length, and by how much each call is slower. Out: a capture on disk. The same on every machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use profiler::capture::Writer;
use profiler::profile::rows::{CpuKey, LockContext, LockKey, LockKind, LsmSite};
use profiler::profile::stack::{Stack, Symbols};
use profiler::profile::{
    Chunk, CpuRow, End, Environment, Frame, FrameId, FrameSpace, Header, Interval, LockRow, Pid, ProbePlan,
    Process, Resolution, StackId, SyscallRow, TargetNote,
};

/// Calls of the load: number, usual time in ns, how many a second.
pub const CALLS: [(u32, f64, u32); 5] =
    [(0, 4_000.0, 30), (1, 9_000.0, 20), (44, 30_000.0, 25), (257, 12_000.0, 10), (3, 700.0, 40)];

/// A recording.
pub struct Made {
    pub seed: u64,
    pub seconds: u64,
    /// Factor on the time of each call by number; the others are 1.
    pub slower: BTreeMap<u32, f64>,
    /// Factor on the number of waits for the lock.
    pub lock: f64,
    /// Samples a second in `spin`; the others are in `work`.
    pub spin: u64,
    pub pid: u32,
    pub label: &'static str,
    pub release: &'static str,
    pub comm: &'static str,
    /// The times above hold from this second on; before, all factors are 1.
    pub from: u64,
}

impl Default for Made {
    fn default() -> Self {
        Self {
            seed: 1,
            seconds: 60,
            slower: BTreeMap::new(),
            lock: 1.0,
            spin: 0,
            pid: 100,
            label: "docker-default (enforce)",
            release: "6.1.0",
            comm: "api",
            from: 0,
        }
    }
}

/// xorshift64*.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        let mut random = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let _ = (0..8).map(|_| random.unit()).sum::<f64>();
        random
    }

    /// In 0..1.
    pub fn unit(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Around 0, about normal, of deviation 1.
    pub fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }
}

/// Noise whose seconds depend on each other: correlation 0.5 from one to the next.
struct Drift {
    now: f64,
    size: f64,
}

impl Drift {
    fn next(&mut self, random: &mut Random) -> f64 {
        self.now = 0.5 * self.now + 0.866 * random.normal();
        1.0 + self.now * self.size
    }
}

impl Made {
    /// Writes it; the directory.
    pub fn write(&self, directory: &Path) -> PathBuf {
        let mut writer = Writer::create(directory).unwrap();
        let mut random = Random::new(self.seed);
        let mut counters: BTreeMap<String, u64> = [("context_switches".to_owned(), 1_000)].into();
        writer.append(&Chunk::Header(Box::new(self.header(&counters)))).unwrap();
        let mut drifts: Vec<Drift> = CALLS.iter().map(|_| Drift { now: 0.0, size: 0.008 }).collect();
        for second in 0..self.seconds {
            let mut interval = self.interval(second);
            for ((nr, usual, rate), drift) in CALLS.iter().zip(&mut drifts) {
                let factor = self.slower.get(nr).copied().filter(|_| second >= self.from).unwrap_or(1.0);
                let mean = usual * factor * drift.next(&mut random);
                let row: &mut SyscallRow = interval.syscall.rows.entry((Pid(self.pid), *nr)).or_default();
                let calls = (f64::from(*rate) * (1.0 + 0.05 * random.normal())).max(1.0) as u32;
                for _ in 0..calls {
                    let slow = random.unit() < 0.002;
                    let ns = mean * (0.9 + 0.2 * random.unit()) * if slow { 3_000.0 } else { 1.0 };
                    row.latency.record(ns.max(1.0) as u64);
                }
            }
            self.lock(&mut interval, &mut random);
            let switches = counters.entry("context_switches".to_owned()).or_default();
            *switches += (900.0 * (1.0 + 0.03 * random.normal())) as u64;
            interval.counters = counters.clone();
            writer.append(&Chunk::Interval(Box::new(interval))).unwrap();
        }
        writer.append(&Chunk::Symbols(names())).unwrap();
        let end = End { duration_ns: self.seconds * 1_000_000_000, counters, ..End::default() };
        writer.append(&Chunk::End(Box::new(end))).unwrap();
        writer.finish().unwrap();
        directory.to_path_buf()
    }

    fn header(&self, counters: &BTreeMap<String, u64>) -> Header {
        let plan = |probe: &str| ProbePlan {
            probe: probe.into(),
            backend: "made".into(),
            active: true,
            ..ProbePlan::default()
        };
        Header {
            version: "0.1.0".into(),
            started_unix_s: 1_700_000_000,
            slow_ns: 10_000_000,
            frequency_hz: 99,
            target: TargetNote { label: "container web".into(), ..TargetNote::default() },
            probes: vec![plan("syscall"), plan("lock"), plan("cpu")],
            lsm_sites: vec![LsmSite::default()],
            environment: Environment {
                hostname: "db1".into(),
                kernel_release: self.release.into(),
                boot_unix_s: 1_699_000_000,
                lsms: vec!["lockdown".into(), "apparmor".into()],
                modules: vec!["ext4".into()],
                cpus_online: 2,
                at_start: counters.clone(),
                ..Environment::default()
            },
            ..Header::default()
        }
    }

    fn interval(&self, second: u64) -> Interval {
        let mut interval = Interval {
            start_ns: second * 1_000_000_000,
            end_ns: (second + 1) * 1_000_000_000,
            ..Interval::default()
        };
        if second == 0 {
            interval.processes = vec![Process {
                pid: Pid(self.pid),
                comm: self.comm.into(),
                container: "web".into(),
                label: self.label.into(),
                ..Process::default()
            }];
            interval.frames =
                (0..4u64).map(|at| Frame { space: FrameSpace::Kernel, address: 0x1000 + at }).collect();
            let stack = |id: u64, frames: &[u32]| Stack {
                id: StackId(id),
                frames: frames.iter().map(|frame| FrameId(*frame)).collect(),
                truncated: false,
            };
            interval.stacks = vec![stack(1, &[0, 2]), stack(2, &[1, 2]), stack(3, &[0, 3])];
        }
        interval
    }

    fn lock(&self, interval: &mut Interval, random: &mut Random) {
        let key = LockKey {
            pid: Pid(self.pid),
            kind: LockKind::Spin,
            context: LockContext::Task,
            lock: 0xffff_0000,
            kernel: StackId(3),
            user: StackId::NONE,
        };
        let mut row = LockRow::default();
        let waits = (30.0 * self.lock * (1.0 + 0.05 * random.normal())) as u64;
        (0..waits).for_each(|_| row.wait.record((5_000.0 * (0.8 + 0.4 * random.unit())) as u64));
        if waits > 0 {
            interval.lock.rows.insert(key, row);
        }
        let work = 60 + (random.unit() * 8.0) as u64;
        for (stack, samples) in [(2, work), (1, self.spin)] {
            if samples > 0 {
                let key = CpuKey { pid: Pid(self.pid), kernel: StackId(stack), user: StackId::NONE };
                interval.cpu.rows.insert(key, CpuRow { samples });
            }
        }
    }
}

fn names() -> Symbols {
    let name = |at: u32, name: &str| (FrameId(at), Resolution::Named(vec![Arc::from(name)]));
    Symbols {
        frames: vec![name(0, "spin"), name(1, "work"), name(2, "main"), name(3, "aa_get_buffer")],
        locks: vec![(0xffff_0000, Arc::from("aa_lock"))],
    }
}
