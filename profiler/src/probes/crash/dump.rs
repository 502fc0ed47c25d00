//! Why there is no core.
//!
//! In: the limit, the pattern, whether the process may be dumped. Out: one line.

use super::rows::{CoreFacts, Fault, How};
use crate::render::{clean, humane};

/// The smallest core that is one; the kernel writes none below a page.
const PAGE: u64 = 4096;
/// The limit at which the kernel takes a pipe's reader for one that dumps itself.
const OF_READER: u64 = 1;

/// The line; `written`: the kernel wrote one.
pub fn line(fault: &Fault, written: bool) -> String {
    let CoreFacts { limit, dumpable, pattern } = &fault.core;
    let pattern_text =
        pattern.as_deref().map_or_else(|| "unknown".to_owned(), |own| clean::line(own, 80).into_owned());
    let pipe = pattern.as_deref().is_some_and(|own| own.starts_with('|'));
    if written {
        return format!("core: written, by core_pattern {pattern_text}");
    }
    if fault.how == How::Killed {
        return "no core: this signal writes none".to_owned();
    }
    if fault.how == How::Caught {
        return "no core: a handler caught the signal".to_owned();
    }
    let why = match (dumpable, limit, pattern.as_deref()) {
        (Some(0), ..) => "the process may not be dumped (prctl, setuid, or changed ids)".to_owned(),
        (.., Some("")) => "core_pattern is empty".to_owned(),
        (_, Some(OF_READER), _) if pipe => "its limit is 1 byte, which a pipe's pattern refuses".to_owned(),
        (_, Some(0), _) if !pipe => "its limit on cores is 0 (ulimit -c)".to_owned(),
        (_, Some(limit), _) if !pipe && *limit < PAGE => {
            format!("its limit on cores is {} (ulimit -c)", humane::bytes(*limit))
        }
        _ => format!("unknown (core_pattern {pattern_text} took none)"),
    };
    format!("no core: {why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_what_stands_in_the_way_first() {
        let of = |limit, dumpable, pattern: &str| {
            let core = CoreFacts { limit, dumpable, pattern: Some(pattern.to_owned()) };
            line(&Fault { core, ..Fault::default() }, false)
        };
        assert_eq!(of(Some(0), Some(1), "core"), "no core: its limit on cores is 0 (ulimit -c)");
        assert!(of(Some(0), Some(0), "core").contains("may not be dumped"));
        assert!(of(Some(u64::MAX), Some(1), "").contains("core_pattern is empty"));
        assert!(
            of(Some(0), Some(1), "|/bin/reader").starts_with("no core: unknown (core_pattern |/bin/reader")
        );
        assert!(of(Some(1), Some(1), "|/bin/reader").contains("1 byte"));
        assert!(!of(Some(u64::MAX), Some(1), "/x/\u{1b}[2J").contains('\u{1b}'), "cleaned");
        assert!(line(&Fault::default(), true).contains("written"));
        assert!(line(&Fault { how: How::Killed, ..Fault::default() }, false).contains("writes none"));
    }
}
