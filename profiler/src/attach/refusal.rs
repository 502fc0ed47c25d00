//! A program that the kernel refused: what the user is told, and how the program is unloaded.
//!
//! In: the error, the program. Out: one line, the verifier's last lines; the program unloaded.

use aya::programs::{Program, ProgramError};

use crate::machine::limit;

/// Lines of the verifier's log that say why.
const LAST_LINES: usize = 12;

/// An error without the verifier's log, which is printed on lines of its own.
pub fn one_line(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let said = cause.to_string();
        let said = said.split(". Verifier output:").next().unwrap_or_default().replace('\n', " ");
        // Some errors repeat their source, some do not.
        if !text.contains(said.trim()) {
            text = if text.is_empty() { said } else { format!("{text}: {said}") };
        }
    }
    match limit::of(error.as_ref()) {
        Some(limit) => format!("{text}: {limit}"),
        None => text,
    }
}

/// The end of what the verifier said, when it said anything.
pub fn verifier_lines(error: &anyhow::Error) -> Vec<String> {
    let log = error.chain().find_map(|cause| match cause.downcast_ref() {
        Some(ProgramError::LoadError { verifier_log, .. }) => Some(verifier_log.to_string()),
        _ => None,
    });
    let log = log.unwrap_or_default();
    let lines: Vec<&str> = log.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].iter().map(|line| (*line).to_owned()).collect()
}

/// Unloads a program, which drops its links, too; one that was never loaded has nothing to lose.
pub fn unload(program: &mut Program) {
    let _ = match program {
        Program::RawTracePoint(program) => program.unload(),
        Program::BtfTracePoint(program) => program.unload(),
        Program::PerfEvent(program) => program.unload(),
        Program::Iter(program) => program.unload(),
        Program::FEntry(program) => program.unload(),
        Program::FExit(program) => program.unload(),
        Program::KProbe(program) => program.unload(),
        _ => Ok(()),
    };
}

#[cfg(test)]
mod tests {
    use aya_obj::VerifierLog;

    use super::*;

    #[test]
    fn a_refusal_is_one_line_and_says_each_thing_once() {
        let inner =
            anyhow::anyhow!("Permission denied. Verifier output: 0: (b7)\n1: no").context("loading x");
        assert_eq!(one_line(&inner), "loading x: Permission denied");
        assert!(verifier_lines(&inner).is_empty());
    }

    #[test]
    fn of_a_long_log_the_last_lines_are_kept() {
        let log: String = (0..40).map(|line| format!("{line}: (b7) r0 = 0\n\n")).collect();
        let io_error = std::io::Error::from_raw_os_error(libc::EACCES);
        let refused = ProgramError::LoadError { io_error, verifier_log: VerifierLog::new(log) };
        let refused = anyhow::Error::new(refused).context("loading enter_mutex");
        let lines = verifier_lines(&refused);
        assert_eq!((lines.len(), lines[LAST_LINES - 1].as_str()), (LAST_LINES, "39: (b7) r0 = 0"));
        assert!(!one_line(&refused).contains("(b7)"), "{}", one_line(&refused));
    }
}
