//! Which processes have ended long ago.
//!
//! In: the processes that were seen. Out: those that have ended, the first ones first, as soon as there are many: their rows
//! are summed up, so that memory does not grow with every process that ever was.

use std::collections::{HashMap, VecDeque};
use std::fs;

use rustix::io::Errno;
use rustix::process::test_kill_process;

use crate::profile::folds::Folds;
use crate::profile::{Pid, ProcessTable};

/// Ended processes that keep rows of their own: the last ones.
const KEPT: usize = 1_024;
/// Intervals after which no row of an ended process comes any more.
const SETTLED: u64 = 3;
/// The inode of the first pid namespace, by which the kernel side counts pids.
const FIRST_NAMESPACE: &str = "pid:[4026531836]";

/// Processes that have ended.
pub struct Ended {
    /// By pid, with the interval in which that was seen.
    since: HashMap<Pid, u64>,
    queue: VecDeque<(Pid, u64)>,
    /// Those whose code has its names, and whose rows are summed up with the next interval.
    due: Vec<Pid>,
    /// Elsewhere pids mean other processes, and nobody can be asked.
    can_ask: bool,
}

impl Ended {
    /// None yet.
    pub fn new() -> Self {
        let namespace = fs::read_link("/proc/self/ns/pid");
        let can_ask = namespace.is_ok_and(|link| link.as_os_str() == FIRST_NAMESPACE);
        Self { since: HashMap::new(), queue: VecDeque::new(), due: Vec::new(), can_ask }
    }

    /// A process came into view, perhaps under the pid of one that has ended.
    pub fn seen(&mut self, pid: Pid) {
        self.since.remove(&pid);
        self.due.retain(|due| *due != pid);
    }

    /// Keeps processes for [`Self::due`].
    pub fn put_off(&mut self, ended: Vec<Pid>) {
        self.due.extend(ended);
    }

    /// Those whose rows are summed up now.
    pub fn due(&mut self) -> Vec<Pid> {
        std::mem::take(&mut self.due)
    }

    /// Looks which processes have ended. Returns those whose rows shall be summed up.
    pub fn look(&mut self, processes: &ProcessTable, interval: u64) -> Vec<Pid> {
        if !self.can_ask {
            return Vec::new();
        }
        self.look_with(processes, interval, is_gone)
    }

    fn look_with(
        &mut self,
        processes: &ProcessTable,
        interval: u64,
        is_gone: impl Fn(Pid) -> bool,
    ) -> Vec<Pid> {
        for pid in
            processes.iter().map(|process| process.pid).filter(|pid| pid.0 != 0 && !Folds::is_fold(pid.0))
        {
            if !self.since.contains_key(&pid) && is_gone(pid) {
                self.since.insert(pid, interval);
                self.queue.push_back((pid, interval));
            }
        }
        if self.since.len() <= 2 * KEPT {
            return Vec::new();
        }
        let mut ended = Vec::new();
        while let Some(&(pid, since)) = self.queue.front() {
            let current = self.since.get(&pid) == Some(&since);
            if current && (self.since.len() <= KEPT || interval < since + SETTLED) {
                break;
            }
            self.queue.pop_front();
            if current {
                self.since.remove(&pid);
                // Its pid may be another one's by now, which keeps its row.
                ended.extend(Some(pid).filter(|pid| is_gone(*pid)));
            }
        }
        ended
    }
}

fn is_gone(pid: Pid) -> bool {
    let pid = i32::try_from(pid.0).ok().and_then(rustix::process::Pid::from_raw);
    pid.is_some_and(|pid| test_kill_process(pid) == Err(Errno::SRCH))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Process;

    fn table(pids: std::ops::Range<u32>) -> ProcessTable {
        let mut table = ProcessTable::default();
        pids.for_each(|pid| table.see(Process { pid: Pid(pid), ..Process::default() }));
        table
    }

    fn asked() -> Ended {
        Ended { can_ask: true, ..Ended::new() }
    }

    #[test]
    fn the_first_that_ended_are_summed_up_once_there_are_many() {
        let mut ended = asked();
        assert!(ended.look_with(&table(1..2_049), 1, |_| true).is_empty());
        assert!(ended.look_with(&table(1..2_050), 2, |_| true).is_empty(), "rows of them may still come");
        let gone = ended.look_with(&table(1..2_050), 4, |_| true);
        assert_eq!(gone, (1..1_026).map(Pid).collect::<Vec<_>>());
        assert!(ended.look_with(&table(1_026..2_050), 9, |_| true).is_empty());
    }

    #[test]
    fn a_pid_that_is_used_again_keeps_its_row() {
        let mut ended = asked();
        ended.look_with(&table(1..3_000), 1, |_| true);
        ended.seen(Pid(7));
        let gone = ended.look_with(&table(1..3_000), 9, |pid| pid != Pid(7) && pid != Pid(8));
        assert!(!gone.contains(&Pid(7)) && !gone.contains(&Pid(8)) && gone.contains(&Pid(9)));
    }

    #[test]
    fn the_living_are_no_dead() {
        assert!(!is_gone(Pid(std::process::id())) && !is_gone(Pid(1)));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = Pid(child.id());
        child.wait().unwrap();
        assert!(is_gone(pid));
    }
}
