//! Lists as people type them: `0-3,8` for CPUs, `syscall,lock` for probes.
//!
//! In: text. Out: validated values, or a sentence that says what to write.

use crate::probe::{Picture, Probe, Probes, listed, picture_names, probe_names};

/// Highest CPU number that can exist (the kernel's `NR_CPUS` is at most 8192).
const CPU_MAX: u32 = 8191;

/// CPU numbers, sorted, each once.
pub(super) fn cpus(text: &str) -> Result<Vec<u32>, String> {
    let mut found = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (Ok(first), Ok(last)) = (number(first), number(last)) else {
            return Err(format!("{part:?} is no CPU or range of CPUs; write it like 0-3,8"));
        };
        if last > CPU_MAX {
            return Err(format!("there is no CPU {last}: the highest possible is {CPU_MAX}"));
        }
        if first > last {
            return Err(format!("the range {part} runs backwards; write {last}-{first}"));
        }
        found.extend(first..=last);
        found.sort_unstable();
        found.dedup();
    }
    Ok(found)
}

/// Digits only: no sign, no space.
fn number(text: &str) -> Result<u32, ()> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().map_err(|_| ()) } else { Err(()) }
}

/// A process id: positive, as the kernel bounds it.
pub(super) fn pid(text: &str) -> Result<u32, String> {
    match number(text) {
        Ok(pid) if (1..=1 << 22).contains(&pid) => Ok(pid),
        _ => Err(format!("{text:?} is no process id; give a number such as 1234, or use --comm for a name")),
    }
}

/// Probes by name; an empty list is all of them.
pub(super) fn probes(names: &[String]) -> Result<Probes, String> {
    if names.is_empty() { Ok(Probes::all()) } else { names.iter().map(|name| probe(name)).collect() }
}

/// Names of LSM hooks, with or without `security_`, each once.
pub(super) fn hooks(names: &[String]) -> Result<Vec<String>, String> {
    let mut hooks = Vec::new();
    for name in names {
        let hook = name.strip_prefix("security_").unwrap_or(name);
        let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if hook.is_empty() || hook.len() > HOOK_MAX || !hook.bytes().all(known) {
            return Err(format!("{name:?} is no hook; write it like socket_sendmsg or file_open"));
        }
        if !hooks.iter().any(|known| known == hook) {
            hooks.push(hook.to_owned());
        }
    }
    if hooks.len() > HOOKS_MAX {
        return Err(format!("{} hooks at once are too many; name at most {HOOKS_MAX}", hooks.len()));
    }
    Ok(hooks)
}

/// Longest name of a hook, bytes: no kernel has one of half that length.
const HOOK_MAX: usize = 100;
/// Hooks of one session: each takes two programs, and two for every module below it.
const HOOKS_MAX: usize = 48;

/// One probe by name.
fn probe(name: &str) -> Result<Probe, String> {
    let mut probes = Probe::ALL.iter().copied();
    probes
        .find(|probe| probe.name() == name)
        .ok_or_else(|| format!("there is no probe {name:?}; there are {}", listed(&probe_names())))
}

/// One picture by name.
pub(super) fn picture(name: &str) -> Result<Picture, String> {
    let mut pictures = Picture::ALL.iter().copied();
    pictures
        .find(|picture| picture.name() == name)
        .ok_or_else(|| format!("there is no picture {name:?}; there are {}", listed(&picture_names())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_lists_are_sorted_and_bounded() {
        assert_eq!(cpus("8,0-3,2"), Ok(vec![0, 1, 2, 3, 8]));
        for text in ["", "a", "1,", "3-1", "-1", "0-4294967295", "0-99999999999", "+1", "1-2-3"] {
            assert!(cpus(text).is_err(), "{text}");
        }
    }

    #[test]
    fn pids_are_numbers_that_can_exist() {
        assert_eq!(pid("1234"), Ok(1234));
        for text in ["0", "-1", "web", "", "4194305", "99999999999", "+5"] {
            assert!(pid(text).is_err(), "{text}");
        }
    }

    #[test]
    fn hooks_are_plain_names() {
        let names = ["security_file_open", "file_open", "socket_bind"].map(str::to_owned);
        assert_eq!(hooks(&names), Ok(vec!["file_open".to_owned(), "socket_bind".to_owned()]));
        for text in ["", "security_", "a b", "file;open", "File", "\u{1b}[2J"] {
            assert!(hooks(&[text.to_owned()]).is_err(), "{text:?}");
        }
        let many: Vec<String> = (0..49).map(|index| format!("hook_{index}")).collect();
        assert!(hooks(&many).is_err());
    }

    #[test]
    fn no_list_means_every_probe() {
        assert_eq!(probes(&[]), Ok(Probes::all()));
        assert_eq!(probes(&["lock".into(), "lock".into()]), Ok([Probe::Lock].into_iter().collect()));
        assert!(probes(&["disk".into()]).is_err());
    }
}
