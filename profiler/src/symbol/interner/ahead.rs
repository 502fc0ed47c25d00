//! Processes that were there before the recording are looked at ahead.
//!
//! In: a process. Out: its mappings as they are now, with its files held.

use std::time::Instant;

use super::{Executables, Interner, Region};
use crate::profile::Pid;
use crate::symbol::foreseen::Foreseen;

impl Interner {
    /// Reads the mappings of a process ahead; opens none of its files after `until`.
    pub fn foresee(&mut self, pid: Pid, until: Instant) -> Foreseen {
        if self.spaces.contains_key(&pid) || self.ahead.get(pid).is_some() {
            return Foreseen::Not;
        }
        match regions(&mut self.executables, pid, until) {
            Ok(Some(regions)) => self.ahead.keep(pid, regions),
            Ok(None) => Foreseen::Late,
            // On a busy machine the child that looks may not have had a CPU.
            Err(error) if error.kind() == std::io::ErrorKind::TimedOut => Foreseen::Late,
            // Gone, or not ours to look at.
            Err(_) => Foreseen::Not,
        }
    }
}

/// The mappings of a process; none where time is over.
fn regions(executables: &mut Executables, pid: Pid, until: Instant) -> std::io::Result<Option<Vec<Region>>> {
    let mappings = executables.looker().maps(pid)?;
    let region =
        |mapping| (Instant::now() < until).then(|| Region::new(mapping, executables.backing(pid, mapping)));
    Ok(mappings.iter().map(region).collect())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::symbol::maps;
    use crate::symbol::process::Backing;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    fn code(interner: &Interner, pid: Pid, address: u64) -> (u64, String) {
        let region = interner.ahead.get(pid).unwrap().find(address).unwrap();
        let Backing::Module(module) = region.backing else { panic!("no file") };
        let path = interner.module(module).unwrap().path.clone();
        (region.start(), path.rsplit('/').next().unwrap().to_owned())
    }

    #[test]
    fn who_is_gone_has_what_was_foreseen_where_its_code_fits() {
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let (pid, parent) = (Pid(child.id()), Pid(u32::MAX >> 1));
        let mut interner = Interner::new();
        // A child that has not executed its program yet has this one's mappings.
        while std::fs::read_to_string(format!("/proc/{}/comm", pid.0)).unwrap() != "sleep\n" {
            std::thread::yield_now();
        }
        assert_eq!(interner.foresee(pid, soon()), Foreseen::Kept);
        assert_eq!(interner.foresee(pid, soon()), Foreseen::Not, "known");
        let ip = maps::read(pid).unwrap().iter().find(|mapping| mapping.has_file()).unwrap().start;
        child.kill().unwrap();
        child.wait().unwrap();
        let (start, name) = code(&interner, pid, ip);
        for (start, name) in [(start + 1, name.as_str()), (start, "other"), (start, "")] {
            interner.inherit(pid, parent, (ip, start, name));
            assert!(interner.spaces[&pid].is_missing(), "{start:x} {name}");
        }
        interner.inherit(pid, parent, (ip, start, &name[..1]));
        assert!(interner.spaces[&pid].find(ip).is_some());
    }

    #[test]
    fn what_is_late_is_not_kept_and_what_became_another_program_is_forgotten() {
        let own = Pid(std::process::id());
        let mut interner = Interner::new();
        assert_eq!(interner.foresee(own, Instant::now()), Foreseen::Late);
        assert_eq!(interner.foresee(own, soon()), Foreseen::Kept);
        interner.forget(own);
        assert!(interner.ahead.get(own).is_none());
        assert_eq!(interner.foresee(Pid(u32::MAX >> 1), soon()), Foreseen::Not);
    }
}
