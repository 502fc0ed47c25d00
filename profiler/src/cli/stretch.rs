//! Stretches of captures as people type them: `out`, `out@10s..20s`, `out@..30s`, `out@1m..`.
//!
//! In: text. Out: a path and a range of time since the start of the recording, or a sentence that says what to write.

use std::path::PathBuf;

use super::duration;

/// A capture, or a stretch of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// As it was typed.
    pub text: String,
    /// The capture, or the directory that holds it.
    pub capture: PathBuf,
    /// From, ns since the start.
    pub from_ns: u64,
    /// To, ns since the start; none: the end.
    pub to_ns: Option<u64>,
}

/// Reads one. A path may hold `@`: only what stands behind the last one and has `..` in it is a range.
pub(super) fn parse(text: &str) -> Result<Stretch, String> {
    let whole = |text: &str| Stretch { text: text.to_owned(), capture: text.into(), from_ns: 0, to_ns: None };
    let range = text.rsplit_once('@').filter(|(_, range)| !range.contains('/'));
    let Some((path, (from, to))) = range.and_then(|(path, range)| Some((path, range.split_once("..")?)))
    else {
        return if text.is_empty() { Err("it is empty; give a capture".to_owned()) } else { Ok(whole(text)) };
    };
    let time = |text: &str| -> Result<Option<u64>, String> {
        if text.is_empty() {
            return Ok(None);
        }
        let time = duration::parse(text).map_err(|why| format!("{text:?}: {why}"))?;
        Ok(Some(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)))
    };
    let (from, to) = (time(from)?, time(to)?);
    let from_ns = from.unwrap_or(0);
    if to.is_some_and(|to| to <= from_ns) {
        return Err(format!("the range of {text:?} is empty; write it like {path}@10s..20s"));
    }
    if path.is_empty() {
        return Err(format!("{text:?} names no capture before the @"));
    }
    Ok(Stretch { from_ns, to_ns: to, ..whole(text) })
        .map(|stretch| Stretch { capture: path.into(), ..stretch })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_told_from_paths() {
        let found =
            |text: &str| parse(text).map(|own| (own.capture.display().to_string(), own.from_ns, own.to_ns));
        assert_eq!(found("out"), Ok(("out".into(), 0, None)));
        assert_eq!(found("out@10s..20s"), Ok(("out".into(), 10_000_000_000, Some(20_000_000_000))));
        assert_eq!(found("a@b@..500ms"), Ok(("a@b".into(), 0, Some(500_000_000))));
        assert_eq!(found("out@1m.."), Ok(("out".into(), 60_000_000_000, None)));
        assert_eq!(found("user@host"), Ok(("user@host".into(), 0, None)));
        assert_eq!(found("a@b/../c"), Ok(("a@b/../c".into(), 0, None)));
        for text in ["", "out@20s..10s", "out@10..20", "@1s..2s", "out@x.."] {
            assert!(found(text).is_err(), "{text}");
        }
    }
}
