//! Processes as sentences and tables name them.
//!
//! In: a pid. Out: `container/comm`, that with its pid, and that of all processes of one name.

use std::collections::BTreeMap;

use super::group::Group;
use super::{clean, humane};
use crate::profile::{Pid, Profile};

/// A process as sentences and tables name it: `container/comm`.
pub fn process(profile: &Profile, pid: Pid) -> String {
    let processes = &profile.processes;
    let comm = clean::name(processes.comm(pid));
    match processes.container(pid) {
        "" => comm.into_owned(),
        container => format!("{}/{comm}", clean::name(container)),
    }
}

/// `redis[99]`, with its container.
pub fn with_pid(profile: &Profile, pid: Pid) -> String {
    format!("{}[{}]", process(profile, pid), profile.processes.pid_text(pid))
}

/// `web/api (pid 812)`, `postgres (20 processes)`, `sh (9 processes, 80 % in pid 7)`.
pub fn who<L>(profile: &Profile, group: &Group<'_, L>, of: impl Fn(&L) -> (Pid, u64)) -> String {
    // A process may have several lines, such as its calls that began before the recording.
    let mut sums: BTreeMap<Pid, u64> = BTreeMap::new();
    for (pid, weight) in group.lines().iter().map(|line| of(line)) {
        let sum = sums.entry(pid).or_default();
        *sum = sum.saturating_add(weight);
    }
    let first = of(group.first()).0;
    let (heaviest, most) =
        sums.iter().max_by_key(|(_, sum)| **sum).map_or((first, 0), |(pid, sum)| (*pid, *sum));
    let name = process(profile, first);
    let pid = |pid| profile.processes.pid_text(pid);
    // Processes that ended long ago are summed up in one line.
    let ended = |pid: &Pid| profile.processes.ended(*pid).max(1);
    let many = humane::count(sums.keys().map(ended).fold(0, u64::saturating_add));
    match sums.len() {
        1 if profile.processes.ended(first) > 0 => format!("{name} ({many} processes, ended)"),
        1 => format!("{name} (pid {})", pid(first)),
        _ if most >= group.weight().div_ceil(2) => {
            let share = humane::part(most, group.weight());
            format!("{name} ({many} processes, {share} in pid {})", pid(heaviest))
        }
        _ => format!("{name} ({many} processes)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Process;
    use crate::render::group::whole;

    #[test]
    fn two_lines_of_one_process_are_one_process() {
        let mut profile = Profile::default();
        for pid in [7, 8] {
            profile.processes.see(Process { pid: Pid(pid), comm: "redis".into(), ..Process::default() });
        }
        let told = |lines: &[(u32, u64)]| {
            let groups = whole(lines, |_| (), |line| line.1);
            who(&profile, &groups[0], |line| (Pid(line.0), line.1))
        };
        assert_eq!(told(&[(7, 60), (7, 40)]), "redis (pid 7)");
        assert_eq!(told(&[(8, 40), (7, 30), (7, 30)]), "redis (2 processes, 60 % in pid 7)");
    }
}
