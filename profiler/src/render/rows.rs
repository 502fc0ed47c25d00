//! The rows that tables and JSON show, named and ranked.
//!
//! In: the profile's rows. Out: one row per (process, call), (process, lock, caller) and
//! (process, function), heaviest first, each with the key of its heaviest stack.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::fold::Folder;
use super::holders::{self, Held};
use super::locks::LockName;
use super::probe::{cpu, lock, lsm};
use super::syscalls::{self, CallClass};
use crate::profile::rows::{CallNumber, CpuKey, LockContext, LockKey, LockKind, LsmStackKey, SlowKey};
use crate::profile::{Histogram, LsmSite, Pid, Profile, SlowRow, SyscallRow};

/// One (process, system call).
pub struct SyscallLine<'p> {
    /// Process.
    pub pid: Pid,
    /// Call number.
    pub nr: CallNumber,
    /// Call name.
    pub name: Cow<'static, str>,
    /// How it is ranked.
    pub class: CallClass,
    /// What was measured.
    pub row: &'p SyscallRow,
    /// Its slow calls, summed.
    pub slow: SlowRow,
}

/// System calls, longest total first.
pub fn syscalls(profile: &Profile) -> Vec<SyscallLine<'_>> {
    let mut slow: BTreeMap<(Pid, CallNumber), SlowRow> = BTreeMap::new();
    for (key, row) in &profile.syscall.slow {
        add(slow.entry((key.pid, key.nr)).or_default(), row);
    }
    let mut lines: Vec<_> = profile
        .syscall
        .rows
        .iter()
        .map(|(&(pid, nr), row)| SyscallLine {
            pid,
            nr,
            name: syscalls::name(nr),
            class: syscalls::class(nr),
            row,
            slow: slow.get(&(pid, nr)).copied().unwrap_or_default(),
        })
        .collect();
    lines.sort_by_key(|line| Reverse(line.row.latency.total_ns));
    lines
}

/// Adds one row of slow calls to another.
pub fn add(sum: &mut SlowRow, row: &SlowRow) {
    sum.count = sum.count.saturating_add(row.count);
    sum.total_ns = sum.total_ns.saturating_add(row.total_ns);
    sum.max_ns = sum.max_ns.max(row.max_ns);
    sum.off_cpu_ns = sum.off_cpu_ns.saturating_add(row.off_cpu_ns);
    sum.parts.add(&row.parts);
}

/// Slow calls by stacks, work before user locks before idle, longest total first.
pub fn slow(profile: &Profile) -> Vec<(&SlowKey, &SlowRow)> {
    let mut lines: Vec<_> = profile.syscall.slow.iter().collect();
    lines.sort_by_key(|(key, row)| (syscalls::class(key.nr), Reverse(row.total_ns)));
    lines
}

/// One (process, kind of lock, lock, caller, context).
pub struct LockLine {
    /// Process; 0 in interrupts.
    pub pid: Pid,
    /// Kind of lock.
    pub kind: LockKind,
    /// Context that waited.
    pub context: LockContext,
    /// Lock and caller.
    pub name: LockName,
    /// Waits.
    pub wait: Histogram,
    /// The row with the longest total.
    pub heaviest: LockKey,
    /// Its total, ns.
    pub heaviest_ns: u64,
    /// Who held it, where that is known, longest first.
    pub holders: Vec<Held>,
}

/// Lock waits, longest total first.
pub fn locks(profile: &Profile) -> Vec<LockLine> {
    let mut holders = holders::by_place(profile);
    let mut groups = BTreeMap::new();
    for (key, row) in &profile.lock.rows {
        let name = lock::lock_name(profile, key);
        let line = groups.entry((key.pid, key.kind, key.context, name.clone())).or_insert_with(|| LockLine {
            pid: key.pid,
            kind: key.kind,
            context: key.context,
            name,
            wait: Histogram::default(),
            heaviest: *key,
            heaviest_ns: 0,
            holders: Vec::new(),
        });
        line.wait.merge(&row.wait);
        if row.wait.total_ns > line.heaviest_ns {
            (line.heaviest, line.heaviest_ns) = (*key, row.wait.total_ns);
        }
    }
    let with_holders = |(place, line): (holders::Place, LockLine)| LockLine {
        holders: holders.remove(&place).unwrap_or_default(),
        ..line
    };
    let mut lines: Vec<_> = groups.into_iter().map(with_holders).collect();
    lines.sort_by_key(|line| Reverse(line.wait.total_ns));
    lines
}

/// One (process, function of the security layer).
pub struct LsmLine<'p> {
    /// Process; 0 in interrupts.
    pub pid: Pid,
    /// The function.
    pub site: &'p LsmSite,
    /// Its times, in all calls.
    pub time: Histogram,
    /// Its part of all times of its hook in this process, 0..=1; none for the hook itself.
    pub of_hook: Option<f64>,
    /// The calls it ran in, longest first.
    pub calls: Vec<LsmCall>,
    /// The stacks that stand for most of it, with what they stand for, ns.
    pub heaviest: Option<(LsmStackKey, u64)>,
}

/// The part of a system call that a function took.
pub struct LsmCall {
    /// Call number.
    pub nr: CallNumber,
    /// How often the function ran in it.
    pub count: u64,
    /// Its time there, ns.
    pub total_ns: u64,
    /// Its part of all time of that call in this process, 0..=1; none when calls were not measured.
    pub share: Option<f64>,
}

/// Functions of the security layer: hooks by total, longest first, each followed by its modules'.
pub fn lsm(profile: &Profile) -> Vec<LsmLine<'_>> {
    let mut groups: BTreeMap<(Pid, u16), LsmLine<'_>> = BTreeMap::new();
    for (key, row) in &profile.lsm.rows {
        let Some(site) = lsm::site(profile, key) else { continue };
        let line = groups.entry((key.pid, key.site)).or_insert_with(|| LsmLine {
            pid: key.pid,
            site,
            time: Histogram::default(),
            of_hook: None,
            calls: Vec::new(),
            heaviest: None,
        });
        line.time.merge(&row.time);
        let (count, total_ns) = (row.time.count(), row.time.total_ns);
        line.calls.extend(key.nr.map(|nr| {
            let whole = profile.syscall.rows.get(&(key.pid, nr)).map_or(0, |row| row.latency.total_ns);
            LsmCall { nr, count, total_ns, share: share(total_ns, whole) }
        }));
        let most = lsm::stacks(profile, key).0.into_iter().max_by_key(|(_, ns)| *ns);
        if let Some((stack, ns)) = most.filter(|(_, ns)| line.heaviest.is_none_or(|(_, most)| *ns > most)) {
            line.heaviest = Some((*stack, ns));
        }
    }
    let hooks: BTreeMap<(Pid, &str), u64> = groups
        .values()
        .filter(|line| lsm::is_hook(line.site))
        .map(|line| ((line.pid, line.site.hook.as_str()), line.time.total_ns))
        .collect();
    let whole = |line: &LsmLine<'_>| hooks.get(&(line.pid, line.site.hook.as_str())).copied().unwrap_or(0);
    let mut lines: Vec<_> = groups.into_values().collect();
    for line in &mut lines {
        line.calls.sort_by_key(|call| Reverse(call.total_ns));
        if !lsm::is_hook(line.site) {
            line.of_hook = share(line.time.total_ns, whole(line));
        }
    }
    lines.sort_by_cached_key(|line| {
        let place = (line.pid, line.site.hook.clone());
        (Reverse(whole(line)), place, !lsm::is_hook(line.site), Reverse(line.time.total_ns))
    });
    lines
}

/// A part of a whole, none where there is no whole. What exceeds it is as much as all: a call that is
/// still in flight is in no row yet, its hooks are.
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| (part as f64 / whole as f64).min(1.0))
}

/// One (process, function at the leaf).
pub struct CpuLine {
    /// Process.
    pub pid: Pid,
    /// The function that ran, as the folded file names it.
    pub function: String,
    /// Samples.
    pub samples: u64,
    /// The row with most samples.
    pub heaviest: CpuKey,
    /// Its samples.
    pub heaviest_samples: u64,
}

/// CPU samples, most first.
pub fn cpu(profile: &Profile, folder: &mut Folder<'_>) -> Vec<CpuLine> {
    let mut groups = BTreeMap::new();
    for (key, row) in &profile.cpu.rows {
        cpu::push(key, folder);
        let Some(leaf) = folder.take_leaf() else { continue };
        let (samples, heaviest) = groups.entry((key.pid, leaf)).or_insert((0_u64, (0, *key)));
        *samples = samples.saturating_add(row.samples);
        if row.samples > heaviest.0 {
            *heaviest = (row.samples, *key);
        }
    }
    let line = |((pid, leaf), (samples, (heaviest_samples, heaviest)))| CpuLine {
        pid,
        function: folder.name(leaf).to_owned(),
        samples,
        heaviest,
        heaviest_samples,
    };
    let mut lines: Vec<_> = groups.into_iter().map(line).collect();
    lines.sort_by_key(|line| Reverse(line.samples));
    lines
}
