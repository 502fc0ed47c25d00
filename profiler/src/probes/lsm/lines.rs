//! Functions of the security layer, a line for each (process, function).
//!
//! In: rows of hooks and modules. Out: lines, hooks by total, each followed by its modules'.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::picture;
use crate::profile::rows::{CallNumber, LsmStackKey};
use crate::profile::{Histogram, LsmSite, Pid, Profile};

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
        let Some(site) = picture::site(profile, key) else { continue };
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
        let most = picture::stacks(&profile.lsm, key).0.into_iter().max_by_key(|(_, ns)| *ns);
        if let Some((stack, ns)) = most.filter(|(_, ns)| line.heaviest.is_none_or(|(_, most)| *ns > most)) {
            line.heaviest = Some((*stack, ns));
        }
    }
    let hooks: BTreeMap<(Pid, &str), u64> = groups
        .values()
        .filter(|line| picture::is_hook(line.site))
        .map(|line| ((line.pid, line.site.hook.as_str()), line.time.total_ns))
        .collect();
    let whole = |line: &LsmLine<'_>| hooks.get(&(line.pid, line.site.hook.as_str())).copied().unwrap_or(0);
    let mut lines: Vec<_> = groups.into_values().collect();
    for line in &mut lines {
        line.calls.sort_by_key(|call| Reverse(call.total_ns));
        if !picture::is_hook(line.site) {
            line.of_hook = share(line.time.total_ns, whole(line));
        }
    }
    lines.sort_by_cached_key(|line| {
        let place = (line.pid, line.site.hook.clone());
        (Reverse(whole(line)), place, !picture::is_hook(line.site), Reverse(line.time.total_ns))
    });
    lines
}

/// A part of a whole, none where there is no whole. What exceeds it is as much as all: a call that is
/// still in flight is in no row yet, its hooks are.
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| (part as f64 / whole as f64).min(1.0))
}
