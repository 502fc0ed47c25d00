//! Signals by name.
//!
//! In: a number. Out: `SIGSEGV`; `signal 40` for those that have none.

const NAMES: [&str; 31] = [
    "SIGHUP",
    "SIGINT",
    "SIGQUIT",
    "SIGILL",
    "SIGTRAP",
    "SIGABRT",
    "SIGBUS",
    "SIGFPE",
    "SIGKILL",
    "SIGUSR1",
    "SIGSEGV",
    "SIGUSR2",
    "SIGPIPE",
    "SIGALRM",
    "SIGTERM",
    "SIGSTKFLT",
    "SIGCHLD",
    "SIGCONT",
    "SIGSTOP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGXCPU",
    "SIGXFSZ",
    "SIGVTALRM",
    "SIGPROF",
    "SIGWINCH",
    "SIGIO",
    "SIGPWR",
    "SIGSYS",
];

/// Its name.
pub fn name(signal: u8) -> String {
    let known = usize::from(signal).checked_sub(1).and_then(|at| NAMES.get(at));
    known.map_or_else(|| format!("signal {signal}"), |name| (*name).to_owned())
}

/// Whether it asks a process to end, as its owner or its reader would.
pub fn is_asked(signal: u8) -> bool {
    matches!(i32::from(signal), libc::SIGHUP | libc::SIGINT | libc::SIGPIPE | libc::SIGTERM)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_numbers() {
        for (number, wanted) in [
            (libc::SIGHUP, "SIGHUP"),
            (libc::SIGKILL, "SIGKILL"),
            (libc::SIGSEGV, "SIGSEGV"),
            (libc::SIGTERM, "SIGTERM"),
            (libc::SIGSYS, "SIGSYS"),
            (0, "signal 0"),
            (40, "signal 40"),
        ] {
            assert_eq!(name(number as u8), wanted);
        }
        assert!(is_asked(15) && !is_asked(11));
    }
}
