//! Who maps the files that are held on file systems that somebody may want to unmount.
//!
//! In: files and processes that map them. Out: files that none of these processes maps any more. What is on the file system of
//! this machine's root is of no interest: that cannot be unmounted.

use std::collections::HashMap;

use rustix::fs::{major, minor};

use crate::machine;
use crate::profile::Pid;
use crate::profile::stack::ModuleId;

/// Processes remembered for a file; while one of them lives, others are of no interest.
const MOST: usize = 64;

/// A process, which is another one if its start is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Holder {
    pid: Pid,
    /// Clock ticks since the machine booted; 0: gone.
    start: u64,
}

impl Holder {
    fn of(pid: Pid) -> Self {
        Self { pid, start: start(pid).unwrap_or(0) }
    }

    fn lives(self) -> bool {
        self.start != 0 && start(self.pid) == Some(self.start)
    }
}

/// When a process started that has not ended; the 20th field behind its name, which ends at the last bracket. One whose first
/// thread has ended lives while another does, by the 18th.
fn start(pid: Pid) -> Option<u64> {
    let stat = machine::read(&format!("/proc/{}/stat", pid.0), 4096).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let (state, threads) = (fields.next()?, fields.nth(16)?);
    let ended = matches!(state, "Z" | "X") && matches!(threads, "0" | "1");
    if ended { None } else { fields.nth(1)?.parse().ok() }
}

/// Whether a process lives.
pub fn lives(pid: Pid) -> bool {
    start(pid).is_some()
}

/// Files and their holders.
#[derive(Debug)]
pub struct Holders {
    root: Option<(u32, u32)>,
    by_module: HashMap<ModuleId, Vec<Holder>>,
    /// The process that was looked at last: its files come one after the other.
    last: Option<Holder>,
}

impl Holders {
    /// None yet.
    pub fn new() -> Self {
        let device = |stat: rustix::fs::Stat| (major(stat.st_dev), minor(stat.st_dev));
        let root = rustix::fs::stat("/").ok().map(device);
        Self { root, by_module: HashMap::new(), last: None }
    }

    /// Whether a file system is the root's.
    pub fn stays(&self, device: (u32, u32)) -> bool {
        self.root == Some(device)
    }

    /// A process maps a file of that device, which is held.
    pub fn note(&mut self, module: ModuleId, device: (u32, u32), pid: Pid) {
        if self.stays(device) {
            return;
        }
        let holder = match self.last {
            Some(last) if last.pid == pid => last,
            _ => *self.last.insert(Holder::of(pid)),
        };
        let holders = self.by_module.entry(module).or_default();
        if holders.contains(&holder) {
            return;
        }
        if holders.len() >= MOST {
            holders.retain(|holder| holder.lives());
        }
        if holders.len() < MOST {
            holders.push(holder);
        }
    }

    /// A process has become another program, which maps other files.
    pub fn forget(&mut self, pid: Pid) {
        self.last = self.last.filter(|last| last.pid != pid);
        for holders in self.by_module.values_mut() {
            holders.retain(|holder| holder.pid != pid);
        }
    }

    /// Takes out the files that no process maps any more.
    pub fn unmapped(&mut self) -> Vec<ModuleId> {
        self.last = None;
        let (mut found, mut looked) = (Vec::new(), HashMap::new());
        self.by_module.retain(|module, holders| {
            let mut lives = |holder: &Holder| *looked.entry(*holder).or_insert_with(|| holder.lives());
            while holders.last().is_some_and(|holder| !lives(holder)) {
                holders.pop();
            }
            if holders.is_empty() {
                found.push(*module);
            }
            !holders.is_empty()
        });
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_unmapped_when_its_last_process_is_gone() {
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let (own, child_pid) = (Pid(std::process::id()), Pid(child.id()));
        let mut holders = Holders::new();
        let elsewhere = (0, u32::MAX);
        holders.note(ModuleId(1), elsewhere, own);
        holders.note(ModuleId(1), elsewhere, child_pid);
        holders.note(ModuleId(2), elsewhere, child_pid);
        holders.note(ModuleId(3), holders.root.unwrap(), child_pid);
        assert!(holders.unmapped().is_empty());
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(holders.unmapped(), [ModuleId(2)]);
        holders.forget(own);
        assert_eq!(holders.unmapped(), [ModuleId(1)]);
        assert!(holders.unmapped().is_empty(), "each is told once");
    }

    #[test]
    fn a_process_with_the_same_number_is_another() {
        let own = Pid(std::process::id());
        assert!(Holder::of(own).lives() && lives(own));
        assert!(!Holder { pid: own, start: 1 }.lives());
        assert!(!lives(Pid(u32::MAX >> 1)));
    }
}
