//! Rows of system calls, from the kernel's to the profile's.
//!
//! In: the row maps. Out: one epoch's rows, CPUs summed; the longest calls.

use anyhow::{Context as _, Result};
use aya::Ebpf;
use aya::maps::{MapData, PerCpuArray, PerCpuValues};
use profiler_common::part::{self, PartRow};
use profiler_common::slowest::{self, KEPT, KINDS, PATH, PATH_UNREADABLE, takes_descriptor};
use profiler_common::syscall::{self as contract, CachedRows, ErrorKey, LatencyKey, LatencyRow, source};
use profiler_common::{abi, epoch_of};

use super::rows::{SlowKey, StackSource, SyscallRows};
use crate::collect::event::{comm, comm_of};
use crate::collect::source::{Contexts, Drained, Source, hash_map, map, take, take_cached};
use crate::probes::blame::drain::holder;
use crate::profile::ledger::Population;
use crate::profile::parts::{Part, PartKey, Parts};
use crate::profile::peer::Peer;
use crate::profile::slowest::{SlowestCall, keep_longest};
use crate::profile::{Class, Ledger, Pid, StackId, Tid, file_kind};

/// The row maps.
pub struct Maps {
    latency: MapData,
    cache: PerCpuArray<MapData, CachedRows>,
    errors: MapData,
    slow: MapData,
    parts: MapData,
    slowest: PerCpuArray<MapData, slowest::Slowest>,
}

/// One epoch's rows.
#[derive(Default)]
pub struct Calls {
    /// Latency octaves.
    pub latency: Vec<(LatencyKey, LatencyRow)>,
    errors: Vec<(ErrorKey, u64)>,
    slow: Vec<(contract::SlowKey, contract::SlowRow)>,
    parts: Vec<(part::PartKey, PartRow)>,
    slowest: Vec<slowest::SlowestCall>,
}

impl Source for Maps {
    type Drained = Calls;

    fn new(ebpf: &mut Ebpf) -> Result<Self> {
        Ok(Self {
            latency: hash_map(ebpf, "LATENCY")?,
            cache: PerCpuArray::try_from(map(ebpf, "CACHE")?)?,
            errors: hash_map(ebpf, "ERRORS")?,
            slow: hash_map(ebpf, "SLOW")?,
            parts: hash_map(ebpf, "PARTS")?,
            slowest: PerCpuArray::try_from(map(ebpf, "SLOWEST")?)?,
        })
    }

    fn take(&mut self, finished: u32) -> Result<Calls> {
        let mut latency =
            take(&self.latency, "LATENCY", |key: &LatencyKey| epoch_of(key.writer) == finished)?;
        take_cached(&mut self.cache, finished, &mut latency)?;
        Ok(Calls {
            latency,
            errors: take(&self.errors, "ERRORS", |key: &ErrorKey| epoch_of(key.writer) == finished)?,
            slow: take(&self.slow, "SLOW", |key: &contract::SlowKey| epoch_of(key.writer) == finished)?,
            parts: take(&self.parts, "PARTS", |key: &part::PartKey| epoch_of(key.writer) == finished)?,
            slowest: take_slowest(&mut self.slowest, finished)?,
        })
    }
}

fn take_slowest(
    map: &mut PerCpuArray<MapData, slowest::Slowest>,
    finished: u32,
) -> Result<Vec<slowest::SlowestCall>> {
    let mut calls = Vec::new();
    for kind in 0..KINDS as u32 {
        let at = finished + 2 * kind;
        let kept = map.get(&at, 0).context("reading the slowest calls")?;
        calls.extend(kept.iter().flatten().filter(|call| call.wall_ns > 0));
        let empty = PerCpuValues::try_from(vec![[slowest::SlowestCall::default(); KEPT]; kept.len()])?;
        map.set(at, empty, 0).context("clearing the slowest calls")?;
    }
    Ok(calls)
}

impl Drained for Calls {
    type Rows = SyscallRows;

    fn rename(&mut self, name: &mut dyn FnMut(&mut u64)) {
        self.slow.iter_mut().for_each(|(key, _)| name(&mut key.user));
        self.slowest.iter_mut().for_each(|call| name(&mut call.user));
    }

    fn add_to(&self, rows: &mut SyscallRows, ledger: &mut Ledger, _: &Contexts) {
        for (key, row) in &self.latency {
            let total = rows.rows.entry((Pid(key.tgid), abi::wide(u32::from(key.nr)))).or_default();
            total.latency.add_octave(key.octave, &row.slots, row.total_ns, row.max_ns);
            ledger.grow(Population::Calls, row.calls());
        }
        for (key, count) in &self.errors {
            let total = rows.rows.entry((Pid(key.tgid), abi::wide(u32::from(key.nr)))).or_default();
            *total.errors.entry(key.errno).or_default() += count;
        }
        for (key, row) in &self.slow {
            let key = SlowKey {
                pid: Pid(key.tgid),
                nr: abi::wide(key.nr),
                kernel: StackId(key.kernel),
                user: StackId(key.user),
                source: match key.source {
                    source::WAIT => StackSource::Wait,
                    source::SAMPLE => StackSource::Sample,
                    source::SPIN => StackSource::Spin,
                    _ => StackSource::None,
                },
            };
            let total = rows.slow.entry(key).or_default();
            total.count += row.count;
            total.total_ns += row.total_ns;
            total.max_ns = total.max_ns.max(row.max_ns);
            let parts = Parts::new(row.parts);
            total.off_cpu_ns += parts.off_cpu_ns();
            total.parts.add(&parts);
        }
        self.parts(rows, ledger);
    }
}

impl Calls {
    fn parts(&self, rows: &mut SyscallRows, ledger: &mut Ledger) {
        for (key, row) in &self.parts {
            let Some(part) = Part::ALL.get(key.part as usize) else {
                ledger.count(Class::Implausible, 1);
                continue;
            };
            let (pid, kernel) = (Pid(key.tgid), StackId(key.kernel));
            let total =
                rows.parts.entry(PartKey { pid, nr: abi::wide(key.nr), part: *part, kernel }).or_default();
            total.ns += row.ns;
            total.calls += row.calls;
        }
    }

    /// The longest calls of the interval; the session began at `session_ns`, monotonic.
    pub fn slowest(&self, session_ns: u64) -> Vec<SlowestCall> {
        let calls = self.slowest.iter().map(|call| SlowestCall {
            pid: Pid(call.tgid),
            tid: Tid(call.tid),
            thread: comm_of(call.comm),
            nr: abi::wide(call.nr),
            start_ns: call.enter_ns.saturating_sub(session_ns),
            wall_ns: call.wall_ns,
            ret: call.ret,
            arguments: call.arguments,
            object: String::new(),
            object_unknown: String::new(),
            path: path(call),
            path_is_cut: call.path_bytes as usize == PATH,
            path_unknown: path_unknown(call).to_owned(),
            file_kind: file_kind_of(call),
            parts: Parts::new(call.parts),
            kernel: StackId(call.kernel),
            user: StackId(call.user),
            before_ns: call.before_ns,
            holder: holder(&call.holder).unwrap_or_default(),
            peer: peer(call),
        });
        let mut calls = calls.collect();
        keep_longest(&mut calls);
        calls
    }
}

/// From whom the call itself received.
fn peer(call: &slowest::SlowestCall) -> Option<Peer> {
    (call.peer != [0; 2]).then(|| Peer::of(call.peer, call.peer_port as u16))
}

/// The path that the call was given, as it came.
fn path(call: &slowest::SlowestCall) -> String {
    let bytes = call.path.map(u64::to_ne_bytes).concat();
    // The last of them is the NUL.
    let length = (call.path_bytes as usize).min(PATH).saturating_sub(1);
    match call.path_bytes {
        PATH_UNREADABLE => String::new(),
        _ => comm(&bytes[..length]),
    }
}

fn path_unknown(call: &slowest::SlowestCall) -> &'static str {
    match call.path_bytes {
        PATH_UNREADABLE => "its path was not readable as it ended",
        1 => "its path was empty as it ended",
        _ => "",
    }
}

fn file_kind_of(call: &slowest::SlowestCall) -> String {
    match takes_descriptor(call.nr & !abi::BEGAN_BEFORE) {
        true => file_kind::name(call.file_mode, call.file_system),
        false => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use profiler_common::histogram::{octave, slot};
    use profiler_common::writer;

    use super::*;

    #[test]
    fn rows_of_two_cpus_become_one() {
        let row = |cpu, ns: u64| {
            let mut row = LatencyRow { total_ns: ns, max_ns: ns, ..LatencyRow::default() };
            row.slots[slot(ns)] = 1;
            (LatencyKey { tgid: 7, nr: 0, octave: octave(ns), pad: 0, writer: writer(cpu, 1) }, row)
        };
        let drained = Calls { latency: vec![row(0, 1000), row(1, 1000), row(1, 9000)], ..Calls::default() };
        let (mut rows, mut ledger) = (SyscallRows::default(), Ledger::default());
        drained.add_to(&mut rows, &mut ledger, &Contexts::new());
        let latency = &rows.rows[&(Pid(7), 0)].latency;
        assert_eq!((latency.count(), latency.total_ns, latency.max_ns), (3, 11_000, 9000));
        assert_eq!(ledger.population(Population::Calls), 3);
    }

    #[test]
    fn paths_come_as_they_were_read() {
        let path_of = |text: &str, path_bytes| {
            let mut bytes = [0; PATH];
            bytes[..text.len()].copy_from_slice(text.as_bytes());
            let mut call = slowest::SlowestCall { nr: 257, wall_ns: 1, path_bytes, ..Default::default() };
            for (word, bytes) in call.path.iter_mut().zip(bytes.chunks_exact(8)) {
                *word = u64::from_ne_bytes(bytes.try_into().unwrap());
            }
            let calls = Calls { slowest: vec![call], ..Calls::default() }.slowest(0).remove(0);
            (calls.path, calls.path_is_cut, calls.path_unknown)
        };
        assert_eq!(path_of("/etc/passwd", 12), ("/etc/passwd".into(), false, String::new()));
        let long = "x".repeat(PATH - 1);
        assert_eq!(path_of(&long, PATH as u32), (long.clone(), true, String::new()));
        assert_eq!(path_of("", 0), (String::new(), false, String::new()));
        assert_eq!(path_of("", 1).2, "its path was empty as it ended");
        assert_eq!(path_of("rest", PATH_UNREADABLE).0, "");
        assert_eq!(path_of("rest", PATH_UNREADABLE).2, "its path was not readable as it ended");
        assert_eq!(path_of("absurd", 5000).0, "absurd", "never more than there is");
    }
}
