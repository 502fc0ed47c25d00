//! BPF programs that are already loaded: another tracer may be the cause of what is slow.
//!
//! In: the kernel's list of programs (needs CAP_SYS_ADMIN). Out: `type name` lines, bounded, and how
//! many of them are BPF-LSM programs.

use std::collections::BTreeMap;

use aya::programs::loaded_programs;

use crate::machine::{self, Told};

/// Programs that are looked at, at most.
const PROGRAMS: usize = 4096;
/// Lines that are kept at most.
const LINES: usize = 256;

/// Programs of others.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// `type name`, equal ones as `type name ×N`.
    pub lines: Vec<String>,
    /// BPF-LSM programs among them.
    pub lsm: u32,
}

/// Loaded programs, or why this user may not ask.
pub fn loaded() -> Told<Loaded> {
    let mut counts = BTreeMap::<String, usize>::new();
    let mut lsm = 0;
    for program in loaded_programs().take(PROGRAMS) {
        let program = match program {
            Ok(program) => program,
            Err(error) if counts.is_empty() => return Told::Not(refusal(&error)),
            // A program that went away between two steps is skipped.
            Err(_) => continue,
        };
        let kind = kind_name(&format!("{:?}", program.program_type()));
        lsm += u32::from(kind == "lsm");
        let name = machine::line(&String::from_utf8_lossy(program.name()), 32);
        *counts.entry(format!("{kind} {name}").trim_end().to_owned()).or_default() += 1;
    }
    Told::Is(Loaded { lines: counted(counts), lsm })
}

fn refusal(error: &(dyn std::error::Error + 'static)) -> String {
    let mut causes = std::iter::successors(Some(error), |error| error.source());
    let refused = causes.any(|cause| {
        let io = cause.downcast_ref::<std::io::Error>();
        io.is_some_and(|io| io.kind() == std::io::ErrorKind::PermissionDenied)
    });
    if refused {
        return "listing BPF programs needs CAP_SYS_ADMIN".to_owned();
    }
    machine::line(&format!("the kernel does not list BPF programs: {error}"), 160)
}

/// Lines with how often each came, the first of them.
pub fn counted(counts: BTreeMap<String, usize>) -> Vec<String> {
    let left_out = counts.len().saturating_sub(LINES);
    let mut lines: Vec<_> = counts.into_iter().take(LINES).map(line).collect();
    if left_out > 0 {
        lines.push(format!("and {left_out} more"));
    }
    lines
}

/// `BPF_PROG_TYPE_RAW_TRACEPOINT` → `raw_tracepoint`; a type that this version does not know is told so.
fn kind_name(constant: &str) -> String {
    match constant.strip_prefix("BPF_PROG_TYPE_") {
        Some(kind) => kind.to_ascii_lowercase(),
        None => "unknown (newer than this version)".to_owned(),
    }
}

fn line((name, count): (String, usize)) -> String {
    if count > 1 { format!("{name} ×{count}") } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_named_as_people_write_them() {
        let known = aya_obj::generated::bpf_prog_type::BPF_PROG_TYPE_RAW_TRACEPOINT;
        assert_eq!(kind_name(&format!("{known:?}")), "raw_tracepoint");
        assert_eq!(kind_name("__MAX_BPF_PROG_TYPE"), "unknown (newer than this version)");
    }

    #[test]
    fn equal_programs_share_a_line_and_the_rest_is_counted() {
        assert_eq!(line(("kprobe a".to_owned(), 3)), "kprobe a ×3");
        assert_eq!(line(("kprobe a".to_owned(), 1)), "kprobe a");
        let many = (0..LINES + 7).map(|number| (format!("kprobe f{number}"), 1)).collect();
        let lines = counted(many);
        assert_eq!((lines.len(), lines[LINES].as_str()), (LINES + 1, "and 7 more"));
    }
}
