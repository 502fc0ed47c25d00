//! A thread in a table: its id, and its name if that differs from its process's.
//!
//! In: a thread's id and name. Out: `4711`, or `GC Thread#0 4711`.

use super::clean;
use crate::profile::{Pid, Profile, Tid};

/// The cell.
pub fn cell(profile: &Profile, pid: Pid, (tid, name): (Tid, &str)) -> String {
    if name.is_empty() || name == profile.processes.comm(pid) {
        return tid.0.to_string();
    }
    format!("{} {}", clean::name(name), tid.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Process;

    #[test]
    fn a_name_that_says_nothing_new_is_left_out() {
        let mut profile = Profile::default();
        profile.processes.see(Process { pid: Pid(7), comm: "java".into(), ..Process::default() });
        let cell = |name: &str| cell(&profile, Pid(7), (Tid(9), name));
        assert_eq!((cell("java"), cell("")), ("9".into(), "9".into()));
        assert_eq!(cell("GC Thread#0"), "GC Thread#0 9");
        assert_eq!(cell("\u{1b}x"), "␛x 9");
    }
}
