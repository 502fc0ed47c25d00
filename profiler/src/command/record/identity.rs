//! Which process a pid means, over time: processes rename themselves, and pids are reused.
//!
//! In: when the kernel side announced each process; procfs. Out: names that changed without an exec, and
//! whether a pid that is announced again now means another process.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;

use rustix::time::{ClockId, clock_gettime};

use crate::attach::starts_ahead_ns;
use crate::profile::{Pid, Process, ProcessTable, Tid};

/// Ticks of `/proc/PID/stat` are hundredths of a second on every architecture Linux has.
const NS_PER_TICK: u64 = 10_000_000;
/// Processes that are asked for their name at the end, at most.
const ASKED: usize = 1 << 16;
/// Longest name a process can give itself, bytes; kernel workers show longer ones in procfs.
const NAME: usize = 15;

/// Announced processes.
#[derive(Default)]
pub struct Identities {
    /// When each was announced first, monotonic ns.
    announced: HashMap<Pid, u64>,
}

/// A process as procfs tells it.
#[derive(Debug, PartialEq, Eq)]
struct Living {
    name: String,
    parent: Pid,
    /// At the earliest, monotonic ns: procfs keeps ticks.
    started_ns: u64,
}

impl Identities {
    /// Takes note of an announcement; true when the pid was another process's before. Of one that is gone
    /// already that cannot be told: then it was an exec.
    pub fn announce(&mut self, pid: Pid, time_ns: u64) -> bool {
        let Some(&first_ns) = self.announced.get(&pid) else {
            self.announced.insert(pid, time_ns);
            return false;
        };
        let other = living(pid).is_some_and(|living| living.started_ns > first_ns);
        if other {
            self.announced.insert(pid, time_ns);
        }
        other
    }

    /// Forgets processes that have ended.
    pub fn forget(&mut self, pid: Pid) {
        self.announced.remove(&pid);
    }

    /// Processes that are alive and call themselves otherwise than when they were announced. `latest`: those that came
    /// into view since the table was brought up to date, the last one last.
    pub fn renamed(&self, known: &ProcessTable, latest: &[Process]) -> Vec<Process> {
        let latest = latest.iter().filter(|process| !process.comm.is_empty());
        let latest: HashMap<Pid, &Process> = latest.map(|process| (process.pid, process)).collect();
        let changed = |(&pid, &first_ns): (&Pid, &u64)| {
            let old = latest.get(&pid).copied().or_else(|| known.get(pid))?;
            let now = living(pid).filter(|now| now.started_ns <= first_ns)?;
            let renamed = now.name != old.comm && !now.name.is_empty() && now.name.len() <= NAME;
            (renamed && !old.comm.starts_with("kworker/")).then(|| Process {
                pid,
                comm: now.name,
                ..Process::default()
            })
        };
        self.announced.iter().take(ASKED).filter_map(changed).collect()
    }
}

/// What a process that is alive calls itself.
pub fn name(pid: Pid) -> Option<String> {
    living(pid).map(|living| living.name)
}

/// What a thread that is alive calls itself.
pub fn thread_name(pid: Pid, tid: Tid) -> Option<String> {
    let mut bytes = Vec::new();
    let path = format!("/proc/{}/task/{}/comm", pid.0, tid.0);
    File::open(path).ok()?.take(NAME as u64 + 1).read_to_end(&mut bytes).ok()?;
    let name = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    Some(String::from_utf8_lossy(name).into_owned())
}

/// The parent of a process that is alive; 0 when unknown.
pub fn parent(pid: Pid) -> Pid {
    living(pid).map_or(Pid(0), |living| living.parent)
}

fn living(pid: Pid) -> Option<Living> {
    let mut bytes = Vec::new();
    File::open(format!("/proc/{}/stat", pid.0)).ok()?.take(1024).read_to_end(&mut bytes).ok()?;
    parse(&bytes, starts_ahead_ns())
}

/// `PID (any name) state …`: the name ends at the last bracket, the start is the 20th field after it.
fn parse(stat: &[u8], ahead_ns: i128) -> Option<Living> {
    let begin = stat.iter().position(|byte| *byte == b'(')? + 1;
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let name = String::from_utf8_lossy(stat.get(begin..end)?).into_owned();
    let rest = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
    let parent = Pid(rest.split_whitespace().nth(1)?.parse().ok()?);
    let ticks: u64 = rest.split_whitespace().nth(19)?.parse().ok()?;
    let started_ns = i128::from(ticks.checked_mul(NS_PER_TICK)?) - ahead_ns;
    Some(Living { name, parent, started_ns: u64::try_from(started_ns.max(0)).ok()? })
}

/// How long this machine was suspended since it booted: starts are counted with it, announcements without.
pub fn asleep_ns() -> u64 {
    let ns = |clock| {
        let time = clock_gettime(clock);
        time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
    };
    ns(ClockId::Boottime).saturating_sub(ns(ClockId::Monotonic))
}

/// How long it has been suspended since it was asked before. Two clocks are read one after the other: less than a second
/// is nothing.
pub fn suspended_ns(before_ns: u64) -> u64 {
    Some(asleep_ns().saturating_sub(before_ns)).filter(|ns| *ns >= 1_000_000_000).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::{corpus, fuzz, mutate};

    #[test]
    fn fuzz_stat_of_processes() {
        let inputs = corpus("stat");
        fuzz(
            "stat",
            |random| mutate::bytes(&inputs, random),
            |input| {
                let Some(living) = parse(input, 0) else { return };
                let bracketed = format!("({})", living.name);
                assert!(String::from_utf8_lossy(input).contains(&bracketed), "{living:?}");
            },
        );
    }

    #[test]
    fn the_start_is_found_behind_any_name() {
        let stat = b"7 (a) R 1\n() S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 250 900 80";
        let living = parse(stat, 500_000_000).unwrap();
        assert_eq!(living, Living { name: "a) R 1\n(".into(), parent: Pid(1), started_ns: 2_000_000_000 });
        assert_eq!(parse(stat, 3_000_000_000).unwrap().started_ns, 0);
        assert_eq!(
            parse(stat, -500_000_000).unwrap().started_ns,
            3_000_000_000,
            "a namespace that is behind"
        );
        assert_eq!(parse(b"7 (a", 0), None);
        assert_eq!(parse(b")(", 0), None);
    }

    #[test]
    fn an_exec_is_no_other_process() {
        let own = Pid(std::process::id());
        let mut identities = Identities::default();
        assert!(!identities.announce(own, crate::attach::now_ns()));
        assert!(!identities.announce(own, crate::attach::now_ns()));
        // A pid announced when the machine booted cannot be this process.
        let mut identities = Identities { announced: [(own, 1)].into() };
        assert!(identities.announce(own, crate::attach::now_ns()));
    }

    #[test]
    fn a_new_name_is_told_once_known() {
        let own = Pid(std::process::id());
        let mut table = ProcessTable::default();
        table.see(Process { pid: own, comm: "before".into(), ..Process::default() });
        let identities = Identities { announced: [(own, crate::attach::now_ns())].into() };
        let renamed = identities.renamed(&table, &[]);
        assert_eq!(renamed.len(), 1);
        let early = identities.renamed(&ProcessTable::default(), table.get(own).cloned().as_slice());
        assert_eq!(early, renamed, "also of one that is not in the table yet");
        table.see(renamed[0].clone());
        assert!(identities.renamed(&table, &[]).is_empty());
        let stranger = Identities { announced: [(own, 1)].into() };
        assert!(stranger.renamed(&ProcessTable::default(), &[]).is_empty());
    }
}
