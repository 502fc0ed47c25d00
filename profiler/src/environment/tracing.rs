//! Who else traces this kernel by other means than BPF: kprobes, uprobes, ftrace.
//!
//! In: debugfs and tracefs (root only, often not mounted). Out: bounded lines, or why not.

use std::collections::BTreeMap;

use super::programs::counted;
use crate::machine::{self, Told};

/// Bytes of a list that are read at most.
const LIST: u64 = 256 << 10;

/// Probes that are set: debugfs knows all, tracefs those that were set through it.
pub fn kprobes(tracefs: Option<&str>, debugfs: Option<&str>) -> Told<Vec<String>> {
    let listed = debugfs.and_then(|place| machine::read(&format!("{place}/kprobes/list"), LIST).ok());
    let defined: Vec<String> = ["kprobe_events", "uprobe_events"]
        .into_iter()
        .filter_map(|file| machine::read(&format!("{}/{file}", tracefs?), LIST).ok())
        .collect();
    if listed.is_none() && defined.is_empty() {
        return Told::Not(closed(tracefs.is_some() || debugfs.is_some()));
    }
    let mut counts = BTreeMap::new();
    listed.iter().for_each(|text| list(text, &mut counts));
    // What debugfs lists is in both places.
    let known = listed.is_some();
    for text in &defined {
        events(text, known, &mut counts);
    }
    Told::Is(counted(counts))
}

fn closed(mounted: bool) -> String {
    let why = if mounted { "needs root" } else { "neither tracefs nor debugfs is mounted" };
    why.to_owned()
}

/// `ffffffff81234560  r  vfs_read+0x0    [FTRACE]`, in a module with its name before the flags.
fn list(text: &str, counts: &mut BTreeMap<String, usize>) {
    for line in text.lines() {
        let mut words = line.split_whitespace().skip(1);
        let kind = match words.next() {
            Some("k") => "kprobe",
            Some("r") => "kretprobe",
            Some("j") => "jprobe",
            _ => continue,
        };
        if let Some(place) = words.next() {
            let off = if line.contains("[DISABLED]") { " (disabled)" } else { "" };
            *counts.entry(format!("{kind} {}{off}", machine::line(place, 128))).or_default() += 1;
        }
    }
}

/// `p:group/name vfs_read+0 arg=%di`, `r3:…`; uprobes have a path for a place.
fn events(text: &str, without_kernel: bool, counts: &mut BTreeMap<String, usize>) {
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let (Some(event), Some(place)) = (words.next(), words.next()) else { continue };
        let user = place.starts_with('/');
        let kind = match (event.as_bytes().first(), user) {
            (Some(b'p'), false) => "kprobe",
            (Some(b'r'), false) => "kretprobe",
            (Some(b'p'), true) => "uprobe",
            (Some(b'r'), true) => "uretprobe",
            _ => continue,
        };
        if user || !without_kernel {
            *counts.entry(format!("{kind} {}", machine::line(place, 128))).or_default() += 1;
        }
    }
}

/// Functions that ftrace diverts: `vfs_read (1) R   tramp: …`.
pub fn functions(tracefs: Option<&str>) -> Told<Vec<String>> {
    let Some(place) = tracefs else { return Told::Not("tracefs is not mounted".to_owned()) };
    match machine::read(&format!("{place}/enabled_functions"), LIST) {
        Ok(text) => Told::Is(counted(diverted(&text))),
        Err(why) => Told::Not(why),
    }
}

fn diverted(text: &str) -> BTreeMap<String, usize> {
    // Lines that begin with a blank go on about the function before.
    let names = text.lines().filter(|line| !line.starts_with([' ', '\t']) && !line.is_empty());
    names.filter_map(|line| Some((machine::line(line.split_whitespace().next()?, 128), 1))).collect()
}

/// ftrace's current tracer.
pub fn tracer(tracefs: Option<&str>) -> Told<String> {
    match tracefs {
        Some(place) => machine::fact(&format!("{place}/current_tracer")),
        None => Told::Not("tracefs is not mounted".to_owned()),
    }
}

/// Where a file system of this kind is mounted: at its usual place if there.
pub fn mounted<'m>(mounts: &'m str, kind: &str, usual: &str) -> Option<&'m str> {
    let all = || {
        let of_kind = mounts.lines().filter(|mount| machine::file_system(mount) == Some(kind));
        of_kind.filter_map(machine::mount_point)
    };
    all().find(|point| *point == usual).or_else(|| all().next())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(fill: impl FnOnce(&mut BTreeMap<String, usize>)) -> Vec<String> {
        let mut counts = BTreeMap::new();
        fill(&mut counts);
        counted(counts)
    }

    #[test]
    fn kprobes_are_listed_with_their_kind() {
        let text = "ffffffff81000000  k  vfs_read+0x0    [FTRACE]\n\
            ffffffff81000000  k  vfs_read+0x0    [FTRACE]\n\
            ffffffff81000100  r  tcp_v4_connect+0x0    [DISABLED][FTRACE]\n\
            0000000000000000  k  foo+0x0  mod  \nrubbish\n";
        let expected =
            ["kprobe foo+0x0", "kprobe vfs_read+0x0 ×2", "kretprobe tcp_v4_connect+0x0 (disabled)"];
        assert_eq!(lines(|counts| list(text, counts)), expected);
    }

    #[test]
    fn events_of_tracefs_are_told_apart_and_cleaned() {
        let text =
            "p:kprobes/a vfs_read+0 x=%di\nr4:kprobes/b vfs_write\np:uprobes/c /bin/\u{1b}sh:0x10\np\n";
        let expected = ["kprobe vfs_read+0", "kretprobe vfs_write", "uprobe /bin/?sh:0x10"];
        assert_eq!(lines(|counts| events(text, false, counts)), expected);
        assert_eq!(lines(|counts| events(text, true, counts)), expected[2..]);
    }

    #[test]
    fn a_diverted_function_is_one_line() {
        let text = "vfs_read (1) R   \ttramp: 0xffff (bpf)\n\tops: x\nksys_read (2)\n";
        assert_eq!(counted(diverted(text)), ["ksys_read", "vfs_read"]);
    }

    #[test]
    fn the_usual_mount_wins() {
        let mounts = "1 0 0:1 / /sys/kernel/debug/tracing rw - tracefs t rw\n\
            2 0 0:1 / /sys/kernel/tracing rw - tracefs t rw\n3 0 0:2 / /d rw - debugfs d rw\n";
        assert_eq!(mounted(mounts, "tracefs", "/sys/kernel/tracing"), Some("/sys/kernel/tracing"));
        assert_eq!(mounted(mounts, "debugfs", "/sys/kernel/debug"), Some("/d"));
        assert_eq!(mounted(mounts, "bpf", "/sys/fs/bpf"), None);
        assert!(kprobes(None, None).known().is_none());
    }
}
