//! Sizes as people type them: `500M`, `2G`.
//!
//! In: text. Out: bytes, or a sentence that says what to write. K, M and G are powers of 1024. A bare number is refused,
//! because nobody remembers which unit a tool means.

/// Units with their bytes.
const UNITS: [(&str, u64); 3] = [("K", 1 << 10), ("M", 1 << 20), ("G", 1 << 30)];
/// Smallest size taken, bytes: a capture's first chunks have room in it.
const LEAST: u64 = 1 << 20;

/// Reads a size.
///
/// # Errors
/// A sentence that says what is wrong and how it would be right.
pub fn parse(text: &str) -> Result<u64, String> {
    let malformed = || "write a whole number with a unit: 500M, 2G (units: K, M, G)".to_owned();
    let found = UNITS.iter().find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?, bytes)));
    let (number, unit) = found.ok_or_else(malformed)?;
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = number.parse().ok().filter(|_| digits).ok_or_else(malformed)?;
    let bytes = number.checked_mul(*unit).ok_or_else(|| "it is larger than any disk".to_owned())?;
    if bytes < LEAST { Err("it is smaller than 1M".to_owned()) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units_and_bounds() {
        assert_eq!((parse("500M"), parse("2G"), parse("2048K")), (Ok(500 << 20), Ok(2 << 30), Ok(2 << 20)));
        for (wrong, why) in [
            ("500", "write a whole number"),
            ("", "write a whole number"),
            ("G", "write a whole number"),
            ("+1G", "write a whole number"),
            ("1.5G", "write a whole number"),
            ("1MB", "write a whole number"),
            ("99999999999999G", "larger than any disk"),
            ("1023K", "smaller than 1M"),
            ("0G", "smaller than 1M"),
        ] {
            assert!(parse(wrong).unwrap_err().contains(why), "{wrong}");
        }
    }
}
