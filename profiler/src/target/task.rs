//! One process, read from procfs.
//!
//! In: `/proc/PID/status` and `/proc/PID/cgroup`. Out: name, parent, pid namespace depth and cgroup
//! paths; `None` if the process ended meanwhile.

use super::host::Host;
use super::read;

/// A process (thread-group leader).
#[derive(Clone, Debug, Default)]
pub(super) struct Task {
    /// Process id in the host's pid namespace.
    pub pid: u32,
    /// Its parent's.
    pub parent: u32,
    /// Command name.
    pub comm: String,
    /// Real user id.
    pub uid: u32,
    /// How many pid namespaces it is in, counted from the reader's: 1 for a process beside us.
    pub namespaces: usize,
    /// Per hierarchy (its place in [`Host::hierarchies`]): the located path. In order of preference.
    pub cgroups: Vec<(usize, String)>,
}

impl Task {
    /// Reads a process.
    pub(super) fn read(host: &Host, pid: u32) -> Option<Self> {
        let mut task = parse_status(&read::procfs(host.process(pid).join("status"))?)?;
        task.cgroups = host.cgroups(pid)?;
        Some(task)
    }

    /// Its path in one hierarchy.
    pub(super) fn path_in(&self, hierarchy: usize) -> Option<&str> {
        self.cgroups.iter().find(|(place, _)| *place == hierarchy).map(|(_, path)| path.as_str())
    }
}

impl Host {
    /// All processes, in pid order.
    pub(super) fn tasks(&self) -> Vec<Task> {
        let mut pids = self.pids();
        pids.sort_unstable();
        pids.into_iter().filter_map(|pid| Task::read(self, pid)).collect()
    }
}

fn parse_status(text: &str) -> Option<Task> {
    let field = |name: &str| {
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim_start)
    };
    let number = |value: &str| value.split_whitespace().next()?.parse::<u32>().ok();
    Some(Task {
        pid: number(field("Tgid")?)?,
        parent: number(field("PPid")?)?,
        comm: unescape(text.lines().next()?.strip_prefix("Name:\t")?),
        uid: field("Uid").and_then(number)?,
        namespaces: field("NSpid").map_or(1, |value| value.split_whitespace().count()),
        cgroups: Vec::new(),
    })
}

/// The kernel writes newline and backslash of a name as `\n` and `\\`.
fn unescape(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut letters = name.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some('n') => out.push('\n'),
                Some(other) => out.push(other),
                None => out.push('\\'),
            },
            plain => out.push(plain),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_is_read_and_names_unescaped() {
        let text = "Name:\ta\\nb \\\\ c\nUmask:\t0022\nTgid:\t42\nPid:\t42\nPPid:\t7\nUid:\t5\t0\t0\t0\nNSpid:\t42\t1\n";
        let task = parse_status(text).unwrap();
        assert_eq!((task.pid, task.parent, task.uid, task.namespaces), (42, 7, 5, 2));
        assert_eq!(task.comm, "a\nb \\ c");
        assert!(parse_status("").is_none());
        assert!(parse_status("Name:\tx\nTgid:\tmany\n").is_none());
    }
}
