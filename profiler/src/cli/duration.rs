//! Durations as people type them: `30s`, `10ms`, `1m30s`, `500us`, `1.5s`.
//!
//! In: text. Out: a [`Duration`], or a sentence that says what to write. A bare number is refused, because
//! nobody remembers which unit a tool means; only `0` needs none.

use std::time::Duration;

/// Units, longest first, with their ns.
const UNITS: [(&str, u64); 6] = [
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];
/// Longest duration taken, ns: a year.
const MAX_NS: u64 = 366 * 24 * 3_600_000_000_000;

/// Reads a duration.
///
/// # Errors
/// A sentence that says what is wrong and how it would be right.
pub fn parse(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("it needs a unit, such as {text}s or {text}ms"));
    }
    let (mut rest, mut total, mut last_unit) = (text, 0u64, u64::MAX);
    while !rest.is_empty() {
        let number = prefix(rest, |c| c.is_ascii_digit() || c == '.');
        let unit = prefix(&rest[number.len()..], |c| c.is_alphabetic());
        rest = &rest[number.len() + unit.len()..];
        let unit_ns = UNITS.iter().find(|(name, _)| *name == unit || (unit == "µs" && *name == "us"));
        let (Some((_, unit_ns)), Some(nanos)) = (unit_ns, unit_ns.and_then(|(_, ns)| scaled(number, *ns)))
        else {
            return Err(MALFORMED.to_owned());
        };
        if *unit_ns >= last_unit {
            return Err(MALFORMED.to_owned());
        }
        last_unit = *unit_ns;
        total = total.saturating_add(nanos);
    }
    match total {
        _ if text.is_empty() => Err(MALFORMED.to_owned()),
        total if total > MAX_NS => Err("it is longer than a year".to_owned()),
        total => Ok(Duration::from_nanos(total)),
    }
}

const MALFORMED: &str = "write a number with a unit: 30s, 10ms, 1m30s, 500us (units: h, m, s, ms, us, ns)";

fn prefix(text: &str, belongs: impl Fn(char) -> bool) -> &str {
    let end = text.find(|c| !belongs(c)).unwrap_or(text.len());
    &text[..end]
}

/// `number` (digits, perhaps a fraction) times a unit, in ns, exactly; saturating.
fn scaled(number: &str, unit_ns: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let whole = whole.parse::<u64>().unwrap_or(u64::MAX).saturating_mul(unit_ns);
    let parts = u128::from(fraction.parse::<u64>().ok()?) * u128::from(unit_ns);
    let scale = 10u128.pow(fraction.len() as u32);
    Some(whole.saturating_add(u64::try_from(parts / scale).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_type_is_understood() {
        for (text, ns) in [
            ("0", 0),
            ("0s", 0),
            ("30s", 30_000_000_000),
            ("10ms", 10_000_000),
            ("1m30s", 90_000_000_000),
            ("500us", 500_000),
            ("500µs", 500_000),
            ("1.5s", 1_500_000_000),
            ("0.1ms", 100_000),
            ("1h1ns", 3_600_000_000_001),
            ("7ns", 7),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_nanos(ns)), "{text}");
        }
    }

    #[test]
    fn a_bare_number_is_answered_with_units() {
        assert_eq!(parse("30"), Err("it needs a unit, such as 30s or 30ms".to_owned()));
    }

    #[test]
    fn nonsense_is_refused_and_never_wraps() {
        for text in [
            "",
            "s",
            "-1s",
            "1x",
            "1s30",
            "1s1s",
            "1ms1s",
            "1 s",
            "1e3s",
            "1..5s",
            ".s",
            "1.s",
            "1.0000000001s",
            "٣s",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        for text in
            ["99999999999999999999h", "999999999999h", "367h1m9999999999999999999s", "18446744073709551615ns"]
        {
            assert_eq!(parse(text), Err("it is longer than a year".to_owned()), "{text}");
        }
    }
}
