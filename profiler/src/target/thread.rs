//! Threads by their own names.
//!
//! In: patterns as typed, processes. Out: patterns as the kernel side wants them; whether a process has such a thread now.

use std::fs;

use profiler_common::glob::{ELEMENTS, Glob};

use super::host::Host;
use super::read;
use super::select::Part;
use super::text::clean;
use crate::failure::Failure;

/// Threads of a process that are asked for their name, at most.
const ASKED: usize = 1 << 16;

/// Patterns, checked for what a name can hold.
pub(super) fn patterns(wanted: &[String]) -> Result<Vec<Glob>, Failure> {
    let pattern = |want: &String| {
        let glob = if want.is_empty() || want.contains('\0') { None } else { Glob::new(want.as_bytes()) };
        glob.ok_or_else(|| {
            let line = format!(
                "--thread '{}': a thread's name has 1 to {ELEMENTS} bytes; shorten it with * (see /proc/PID/task/TID/comm)",
                clean(want)
            );
            Failure::Usage(line)
        })
    };
    wanted.iter().map(pattern).collect()
}

/// What they are called in the note.
pub(super) fn part(wanted: &[String]) -> Part {
    Part { label: wanted.iter().map(|want| format!("thread {want}")).collect(), ..Part::default() }
}

/// Whether a process has a thread that matches; no patterns: yes.
pub(super) fn any(host: &Host, pid: u32, patterns: &[Glob]) -> bool {
    if patterns.is_empty() {
        return true;
    }
    let threads = fs::read_dir(host.process(pid).join("task")).into_iter().flatten().flatten().take(ASKED);
    threads.filter_map(|thread| read::procfs(thread.path().join("comm"))).any(|name| {
        let words = words(name.strip_suffix('\n').unwrap_or(&name).as_bytes());
        patterns.iter().any(|pattern| pattern.matches(words))
    })
}

/// A name as the kernel keeps it.
fn words(name: &[u8]) -> [u64; 2] {
    let mut bytes = [0; 16];
    let length = name.len().min(ELEMENTS);
    bytes[..length].copy_from_slice(&name[..length]);
    let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|index| bytes[at + index]));
    [word(0), word(8)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_must_fit_a_name() {
        assert_eq!(patterns(&["GC Thread#*".into(), "*".into()]).unwrap().len(), 2);
        for wrong in ["", "sixteen-bytes-xx", "a\0b"] {
            assert!(
                matches!(patterns(&[wrong.into()]), Err(Failure::Usage(line)) if line.contains("--thread")),
                "{wrong:?}"
            );
        }
    }

    #[test]
    fn names_are_words_as_the_kernel_has_them() {
        let glob = Glob::new(b"C2 Comp*Thre").unwrap();
        assert!(glob.matches(words(b"C2 CompilerThre")) && !glob.matches(words(b"C1 CompilerThre")));
        assert!(glob.matches(words(b"C2 CompilerThread0")), "cut as the kernel cuts it");
    }
}
