//! What a call in flight is about, in words.
//!
//! In: a call in flight. Out: `pipe:[4711] with logger[812] (stopped) at the other end`, `"/srv/x" on fuse.sshfs at /srv, of web1:/srv`.

use crate::profile::Profile;
use crate::profile::in_flight::{FROZEN, OtherEnd, Subject};
use crate::render::who::with_pid;
use crate::render::{clean, humane};

/// What a path in quotes is.
pub const QUOTED: &str =
    "  \"…\": the path in the program's memory as the recording ended; it may have been another before";
/// Characters of a path at most: all that was read of it, if none of them acts.
const PATH_CHARS: usize = 128;

/// All that is known of it, or why nothing is; empty where it is about nothing that has a name.
pub fn words(profile: &Profile, subject: &Subject) -> String {
    let mut words = named(subject);
    if !subject.mount.is_empty() {
        words.push_str(&format!(" on {}", clean::name(&subject.mount)));
    }
    if let Some(ends) = other_ends(profile, subject) {
        words.push_str(&format!(" with {ends} at the other end"));
    }
    words
}

fn named(subject: &Subject) -> String {
    let object = clean::name(&subject.object);
    match (subject.path.is_empty(), object.is_empty()) {
        (true, true) if subject.object_unknown.is_empty() => String::new(),
        (true, true) => format!("unknown ({})", clean::name(&subject.object_unknown)),
        (true, false) => object.into_owned(),
        (false, true) => quoted(&subject.path),
        (false, false) => format!("{} in {object}", quoted(&subject.path)),
    }
}

fn quoted(path: &str) -> String {
    format!("\"{}\"", clean::line(path, PATH_CHARS).replace('"', "\\\""))
}

fn other_ends(profile: &Profile, subject: &Subject) -> Option<String> {
    if subject.other_ends.is_empty() {
        let why = &subject.other_end_unknown;
        return (!why.is_empty()).then(|| format!("nobody known ({})", clean::name(why)));
    }
    let ends: Vec<String> = subject.other_ends.iter().map(|end| one_end(profile, end)).collect();
    let more = match subject.more_ends {
        0 => String::new(),
        more => format!(" and {} more", humane::count(more)),
    };
    Some(format!("{}{more}", ends.join(", ")))
}

/// Who; and what it is in, where its first thread's state tells that of all threads.
fn one_end(profile: &Profile, end: &OtherEnd) -> String {
    let who = with_pid(profile, end.pid);
    match state(end.state) {
        Some(state @ ("stopped" | "traced" | "frozen" | "dead")) => format!("{who} ({state})"),
        _ => who,
    }
}

/// The word for a state of `/proc/PID/stat`.
pub const fn state(letter: char) -> Option<&'static str> {
    Some(match letter {
        'R' => "running",
        'S' => "sleeping",
        'D' => "uninterruptible",
        'T' => "stopped",
        't' => "traced",
        FROZEN => "frozen",
        'Z' | 'X' => "dead",
        'I' => "idle",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{Pid, Process};

    #[test]
    fn a_pipe_has_who_is_at_its_other_end_and_whether_that_runs() {
        let mut profile = Profile::default();
        profile.processes.see(Process { pid: Pid(812), comm: "logger".into(), ..Process::default() });
        let end = |state| OtherEnd { pid: Pid(812), state };
        let mut subject =
            Subject { object: "pipe:[4711]".into(), other_ends: vec![end('T')], ..Subject::default() };
        assert_eq!(words(&profile, &subject), "pipe:[4711] with logger[812] (stopped) at the other end");
        subject.other_ends = vec![end('S'), end('Z')];
        subject.more_ends = 3;
        assert_eq!(
            words(&profile, &subject),
            "pipe:[4711] with logger[812], logger[812] (dead) and 3 more at the other end"
        );
        subject.other_ends.clear();
        subject.other_end_unknown = "no process has it".into();
        assert_eq!(
            words(&profile, &subject),
            "pipe:[4711] with nobody known (no process has it) at the other end"
        );
    }

    #[test]
    fn paths_are_quoted_and_mounts_named_and_nothing_hostile_acts() {
        let profile = Profile::default();
        let mut subject = Subject {
            path: "/srv/a\u{1b}[31m\"".into(),
            mount: "fuse.sshfs at /srv, of web1:/srv".into(),
            ..Subject::default()
        };
        let told = words(&profile, &subject);
        assert!(told.starts_with("\"/srv/a") && !told.contains('\u{1b}'), "{told}");
        assert!(told.ends_with("\\\"\" on fuse.sshfs at /srv, of web1:/srv"), "{told}");
        subject = Subject { object_unknown: "closed by now".into(), ..Subject::default() };
        assert_eq!(words(&profile, &subject), "unknown (closed by now)");
        assert_eq!(words(&profile, &Subject::default()), "");
    }
}
