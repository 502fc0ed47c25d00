//! Small facts of the machine, read from procfs and sysfs; a leaf.
//!
//! In: kernel-made files, opened without blocking, read up to a bound.
//! Out: text free of control characters, or one line that says why a fact is unknown.

pub mod child;
pub mod file_locks;
pub mod frozen;
pub mod heap;
pub mod limit;
pub mod mounts;

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use serde::Serialize;

use crate::hostile::acts;

/// Longest single fact that is kept, bytes.
const LONGEST_FACT: usize = 4096;

/// A fact, or why this user or this kernel does not tell it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Told<T> {
    /// It is so.
    Is(T),
    /// Unknown, and why.
    Not(String),
}

impl<T> Told<T> {
    /// The fact, when it was told.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Is(value) => Some(value),
            Self::Not(_) => None,
        }
    }

    /// Applies `change` to the fact.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Told<U> {
        match self {
            Self::Is(value) => Told::Is(change(value)),
            Self::Not(why) => Told::Not(why),
        }
    }
}

/// Which cgroup hierarchies are mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CgroupLayout {
    /// One unified hierarchy.
    V2,
    /// Controllers in hierarchies of their own, no unified one.
    V1,
    /// Both.
    Hybrid,
    /// No cgroup hierarchy is mounted where this process looks.
    Unmounted,
}

impl CgroupLayout {
    /// The name users see.
    pub const fn name(self) -> &'static str {
        match self {
            Self::V2 => "v2",
            Self::V1 => "v1",
            Self::Hybrid => "hybrid",
            Self::Unmounted => "none",
        }
    }
}

/// A cgroup of the target, where it can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgroupPlace {
    /// Its directory.
    pub dir: PathBuf,
    /// The topmost directory of its hierarchy that can be read.
    pub top: PathBuf,
    /// What users call it.
    pub path: String,
    /// Controllers of a v1 hierarchy; empty for cgroup2.
    pub controllers: Vec<String>,
}

impl CgroupPlace {
    /// `v2`, or the v1 controllers.
    pub fn hierarchy(&self) -> String {
        if self.controllers.is_empty() { "v2".to_owned() } else { self.controllers.join(",") }
    }
}

/// Reads at most `limit` bytes of a file; control characters other than newline and tab become `?`.
///
/// # Errors
/// A phrase without the cause's number: `PATH does not exist`, `PATH is not readable by this user`.
pub fn read(path: &str, limit: u64) -> Result<String, String> {
    let open = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC).open(path);
    let mut bytes = Vec::new();
    match open.and_then(|file| file.take(limit).read_to_end(&mut bytes)) {
        Ok(_) => Ok(without_controls(&String::from_utf8_lossy(&bytes))),
        Err(error) if bytes.is_empty() => Err(reason(path, &error)),
        Err(_) => Ok(without_controls(&String::from_utf8_lossy(&bytes))),
    }
}

/// Reads a one-line fact.
pub fn fact(path: &str) -> Told<String> {
    match read(path, LONGEST_FACT as u64) {
        Ok(text) => Told::Is(line(&text, LONGEST_FACT)),
        Err(why) => Told::Not(why),
    }
}

/// Reads a one-line number.
pub fn number(path: &str) -> Told<i64> {
    match fact(path) {
        Told::Is(text) => {
            text.parse().map_or_else(|_| Told::Not(format!("{path} holds no number")), Told::Is)
        }
        Told::Not(why) => Told::Not(why),
    }
}

/// One printable line of at most `limit` bytes: trimmed, every control or direction-changing
/// character replaced by `?`.
pub fn line(text: &str, limit: usize) -> String {
    let mut kept = String::new();
    for character in text.trim().chars() {
        let character = if printable(character) { character } else { '?' };
        if kept.len() + character.len_utf8() > limit {
            break;
        }
        kept.push(character);
    }
    kept
}

/// Active LSMs in order.
pub fn lsms() -> Told<Vec<String>> {
    security("lsm").map(|text| parse_lsms(&text))
}

/// The lockdown mode: `none`, `integrity`, `confidentiality`.
pub fn lockdown() -> Told<String> {
    match security("lockdown") {
        Told::Is(text) => match chosen(&text) {
            Some(mode) => Told::Is(mode.to_owned()),
            None => Told::Not("/sys/kernel/security/lockdown names no mode".to_owned()),
        },
        Told::Not(why) => Told::Not(why),
    }
}

/// A fact of securityfs, which is often not mounted in containers and small guests.
fn security(name: &str) -> Told<String> {
    match fact(&format!("/sys/kernel/security/{name}")) {
        Told::Not(why) if why.ends_with("does not exist") => {
            let mounts = mounts();
            let mounted = mounts.lines().any(|mount| file_system(mount) == Some("securityfs"));
            let cause = if mounted { "this kernel does not tell it" } else { "securityfs is not mounted" };
            Told::Not(cause.to_owned())
        }
        told => told,
    }
}

/// The mounts this process sees; empty when procfs is not mounted.
pub fn mounts() -> String {
    read("/proc/self/mountinfo", 4 << 20).unwrap_or_default()
}

/// The cgroup layout in the text of a `mountinfo`.
pub fn cgroup_layout(mountinfo: &str) -> CgroupLayout {
    let (mut v1, mut v2) = (false, false);
    for kind in mountinfo.lines().filter_map(file_system) {
        v1 |= kind == "cgroup";
        v2 |= kind == "cgroup2";
    }
    match (v1, v2) {
        (true, true) => CgroupLayout::Hybrid,
        (true, false) => CgroupLayout::V1,
        (false, true) => CgroupLayout::V2,
        (false, false) => CgroupLayout::Unmounted,
    }
}

/// The file system type of one `mountinfo` line: the first field after the lone dash.
pub fn file_system(mount: &str) -> Option<&str> {
    mount.split_once(" - ").and_then(|(_, rest)| rest.split(' ').next())
}

/// The mount point of one `mountinfo` line.
pub fn mount_point(mount: &str) -> Option<&str> {
    mount.split(' ').nth(4)
}

/// The value in brackets: `none [integrity] confidentiality`.
fn chosen(text: &str) -> Option<&str> {
    text.split_whitespace().find_map(|word| word.strip_prefix('[')?.strip_suffix(']'))
}

fn parse_lsms(text: &str) -> Vec<String> {
    text.split(',').filter(|name| !name.is_empty()).take(64).map(|name| line(name, 64)).collect()
}

fn without_controls(text: &str) -> String {
    let keep = |character: char| character == '\n' || character == '\t' || printable(character);
    text.chars().map(|character| if keep(character) { character } else { '?' }).collect()
}

/// Whether a terminal shows the character without changing its state or the text's direction.
fn printable(character: char) -> bool {
    !acts(character)
}

fn reason(path: &str, error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => format!("{path} does not exist"),
        std::io::ErrorKind::PermissionDenied => format!("{path} is not readable by this user"),
        _ => format!("{path}: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
        35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:3 - cgroup cgroup rw,memory\n\
        41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";

    #[test]
    fn the_layout_is_read_from_the_mounted_hierarchies() {
        let only = |kind: &str| {
            let kept: Vec<_> = HYBRID.lines().filter(|mount| file_system(mount) == Some(kind)).collect();
            cgroup_layout(&kept.join("\n"))
        };
        assert_eq!(cgroup_layout(HYBRID), CgroupLayout::Hybrid);
        assert_eq!(only("cgroup"), CgroupLayout::V1);
        assert_eq!(only("cgroup2"), CgroupLayout::V2);
        assert_eq!(only("tmpfs"), CgroupLayout::Unmounted);
    }

    #[test]
    fn a_directory_named_like_a_hierarchy_is_none() {
        assert_eq!(cgroup_layout("1 0 0:1 / /cgroup2 rw - ext4 /dev/cgroup rw"), CgroupLayout::Unmounted);
    }

    #[test]
    fn a_line_keeps_no_escape_and_no_more_than_its_bound() {
        assert_eq!(line("  a\u{1b}[31mb\u{202e}c\n", 64), "a?[31mb?c");
        assert_eq!(line("ääää", 5), "ää");
    }

    #[test]
    fn the_lockdown_mode_is_the_one_in_brackets() {
        assert_eq!(chosen("none [integrity] confidentiality"), Some("integrity"));
        assert_eq!(chosen("none integrity"), None);
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        assert_eq!(read("/proc/nothing-here", 16), Err("/proc/nothing-here does not exist".to_owned()));
    }

    #[test]
    fn reading_stops_at_the_bound() {
        assert_eq!(read("/proc/self/status", 5).map(|text| text.len()), Ok(5));
    }
}
