//! BPF programs that are loaded already: another tracer may be the culprit.
//!
//! In: the kernel's list of programs (needs CAP_SYS_ADMIN). Out: `type name` lines, bounded.

use std::collections::BTreeMap;

use aya::programs::loaded_programs;

use crate::machine;

/// Programs that are looked at, at most.
const PROGRAMS: usize = 4096;
/// Lines that are kept at most.
const LINES: usize = 256;

/// Loaded programs as `type name`, equal ones as `type name ×N`; empty when this user may not ask.
pub fn loaded() -> Vec<String> {
    let mut counts = BTreeMap::<String, usize>::new();
    // A program that went away between two steps is skipped; a refusal ends the list.
    for program in loaded_programs().take(PROGRAMS).flatten() {
        let kind = kind_name(&format!("{:?}", program.program_type()));
        let name = machine::line(&String::from_utf8_lossy(program.name()), 32);
        *counts.entry(format!("{kind} {name}").trim_end().to_owned()).or_default() += 1;
    }
    let left_out = counts.len().saturating_sub(LINES);
    let mut lines: Vec<_> = counts.into_iter().take(LINES).map(line).collect();
    if left_out > 0 {
        lines.push(format!("and {left_out} more"));
    }
    lines
}

/// `BPF_PROG_TYPE_RAW_TRACEPOINT` → `raw_tracepoint`; a type this version does not know is `unknown`.
fn kind_name(constant: &str) -> String {
    match constant.strip_prefix("BPF_PROG_TYPE_") {
        Some(kind) => kind.to_ascii_lowercase(),
        None => "unknown".to_owned(),
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
        assert_eq!(kind_name("__MAX_BPF_PROG_TYPE"), "unknown");
    }

    #[test]
    fn equal_programs_share_a_line() {
        assert_eq!(line(("kprobe a".to_owned(), 3)), "kprobe a ×3");
        assert_eq!(line(("kprobe a".to_owned(), 1)), "kprobe a");
    }
}
