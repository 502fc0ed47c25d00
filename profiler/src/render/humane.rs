//! Numbers as people read them.
//!
//! In: ns, counts, shares. Out: text with three significant digits and a unit.

/// A duration: `812 ns`, `4.10 ms`, `2.61 s`, `1,234 s`.
pub fn duration(ns: u64) -> String {
    const UNITS: [(&str, f64); 4] = [("ns", 1.0), ("µs", 1e3), ("ms", 1e6), ("s", 1e9)];
    if ns < 1000 {
        return format!("{ns} ns");
    }
    for (unit, size) in &UNITS[1..] {
        let value = ns as f64 / size;
        if value < 999.5 {
            return format!("{} {unit}", three_digits(value));
        }
    }
    format!("{} s", count((ns as f64 / 1e9).round() as u64))
}

/// A duration; `≥ 2.61 s` where it is only known to be that long at least.
pub fn least(ns: u64, at_least: bool) -> String {
    let duration = duration(ns);
    if at_least { format!("≥ {duration}") } else { duration }
}

/// A duration from a setting: `10 ms`, without digits that the user did not type.
pub fn setting(ns: u64) -> String {
    let text = duration(ns);
    match text.split_once(' ') {
        Some((value, unit)) if value.contains('.') => {
            format!("{} {unit}", value.trim_end_matches('0').trim_end_matches('.'))
        }
        _ => text,
    }
}

fn three_digits(value: f64) -> String {
    if value < 9.995 {
        format!("{value:.2}")
    } else if value < 99.95 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    }
}

/// So many of them: `1 call`, `1,204 calls`.
pub fn plural(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(number), if number == 1 { "" } else { "s" })
}

/// A count with thousands separators: `12,345`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A share in 0..=1 as per cent: `61 %`, `0.4 %`, `<0.1 %`.
pub fn share(share: f64) -> String {
    let percent = share * 100.0;
    if percent == 0.0 {
        "0 %".to_owned()
    } else if percent < 0.1 {
        "<0.1 %".to_owned()
    } else if percent < 9.95 {
        format!("{percent:.1} %")
    } else {
        format!("{percent:.0} %")
    }
}

/// `part` of `whole` as per cent; `0 %` of nothing.
pub fn part(part: u64, whole: u64) -> String {
    share(part as f64 / whole.max(1) as f64)
}

/// Bytes: `812 B`, `4.1 MiB`.
pub fn bytes(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "KiB", "MiB"] {
        if value < 1023.5 {
            return if unit == "B" {
                format!("{bytes} B")
            } else {
                format!("{} {unit}", three_digits(value))
            };
        }
        value /= 1024.0;
    }
    format!("{} GiB", three_digits(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_keep_three_digits_over_unit_edges() {
        for (ns, text) in [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_000, "1.00 µs"),
            (999_600, "1.00 ms"),
            (40_100_000, "40.1 ms"),
            (2_610_000_000, "2.61 s"),
            (1_234_000_000_000, "1,234 s"),
        ] {
            assert_eq!(duration(ns), text);
        }
    }

    #[test]
    fn counts_shares_and_bytes() {
        assert_eq!((setting(10_000_000), setting(1_500_000)), ("10 ms".into(), "1.5 ms".into()));
        assert_eq!((least(2_610_000_000, true), least(999, false)), ("≥ 2.61 s".into(), "999 ns".into()));
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(count(123), "123");
        assert_eq!(share(0.0004), "<0.1 %");
        assert_eq!(part(1, 0), "100 %");
        assert_eq!(bytes(3 << 20), "3.00 MiB");
    }
}
