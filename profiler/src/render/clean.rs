//! Untrusted text made fit for a terminal, a folded line or an XML document.
//!
//! In: names that an attacker may have written (comm, container, symbol, path).
//! Out: one visible line of bounded length. Characters that would act (escape sequences, bidi controls,
//! newlines) are written visibly. Markup is left to the XML writer, which escapes it.

use std::borrow::Cow;

use crate::hostile::acts;
use crate::profile::NAMELESS;

/// Bytes of a frame name at most, with the mark of its kind behind it; longer ones are C++ templates nobody reads to the end.
pub const FRAME_BYTES: usize = 256;
/// Bytes of the mark that may follow: `_[k]`.
const MARK_BYTES: usize = 4;
/// A character becomes at most so many times its own bytes when it is made visible.
const GROWTH: usize = 4;
/// Characters of any other name at most.
pub const NAME_CHARS: usize = 120;

/// One visible line of at most `limit` characters; a cut is shown as `…`.
pub fn line(raw: &str, limit: usize) -> Cow<'_, str> {
    within(raw, limit, |text| text.chars().count())
}

/// One visible line that `measure` finds no longer than `limit`; a cut is shown as `…`.
fn within(raw: &str, limit: usize, measure: fn(&str) -> usize) -> Cow<'_, str> {
    if raw.len() <= limit && raw.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        return Cow::Borrowed(raw);
    }
    let mut clean = String::with_capacity(raw.len().min(limit * 4));
    let mut length = 0;
    for character in raw.chars() {
        let before = clean.len();
        push_visible(&mut clean, character);
        length += measure(&clean[before..]);
        if length > limit {
            clean.truncate(before);
            while measure(&clean) + measure("…") > limit && clean.pop().is_some() {}
            clean.push('…');
            break;
        }
    }
    Cow::Owned(clean)
}

/// A name: [`line`] with the cap of names.
pub fn name(raw: &str) -> Cow<'_, str> {
    line(raw, NAME_CHARS)
}

/// A frame of a folded stack: [`line`], without the characters that separate frames, lines,
/// weights or annotations there. Never empty.
pub fn frame(raw: &str) -> String {
    let mut clean = within(raw.trim(), FRAME_BYTES - MARK_BYTES, str::len).replace(';', ":");
    if clean.is_empty() {
        clean.push_str(NAMELESS);
    }
    if clean.starts_with("# ") {
        clean.replace_range(1..2, "_"); // inferno takes such lines for comments
    }
    if let Some((head, tail)) = clean.rsplit_once(' ')
        && !tail.is_empty()
        && tail.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
    {
        clean = format!("{head}_{tail}"); // else it reads as a second weight
    }
    if clean.ends_with(']')
        && let Some(at) = clean.rfind("_[")
    {
        clean.replace_range(at..=at + 1, "_("); // `_[k]` is ours to give
    }
    clean
}

/// Whether [`frame`] cuts this name.
pub fn frame_is_cut(raw: &str) -> bool {
    let raw = raw.trim();
    raw.len() > (FRAME_BYTES - MARK_BYTES) / GROWTH && !raw.ends_with('…') && frame(raw).ends_with('…')
}

fn push_visible(clean: &mut String, character: char) {
    match character {
        '\u{0}'..='\u{1f}' => clean.push(char::from_u32(0x2400 + character as u32).unwrap_or('?')),
        '\u{7f}' => clean.push('␡'),
        '\u{80}'..='\u{9f}' => clean.push_str(&format!("\\x{:02x}", character as u32)),
        _ if acts(character) => clean.push_str(&format!("\\u{{{:x}}}", character as u32)),
        _ => clean.push(character),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_act_is_shown() {
        assert_eq!(line("a\x1b[31m\n\u{202e}b\u{9b}", 99), "a␛[31m␊\\u{202e}b\\x9b");
        assert_eq!(line("plain", 99), "plain");
    }

    #[test]
    fn long_names_are_cut_visibly_and_within_the_cap() {
        assert_eq!(line("abcdef", 4), "abc…");
        assert_eq!(line("\u{9b}\u{9b}\u{9b}", 6), "\\x9b…");
        assert_eq!(line(&"é".repeat(1000), 50).chars().count(), 50);
    }

    #[test]
    fn frames_are_cut_by_bytes_and_the_cut_is_known() {
        for (raw, cut) in [("x", 252), ("é", 126), ("\u{202e}", 31), ("\u{1}", 84), ("\u{9b}", 63)] {
            let (whole, long) = (raw.repeat(cut), raw.repeat(cut + 1));
            assert!(frame(&whole).len() <= 252 && !frame_is_cut(&whole), "{raw:?}");
            assert!(
                frame(&long).len() <= 252 && frame(&long).ends_with('…') && frame_is_cut(&long),
                "{raw:?}"
            );
        }
        assert!(!frame_is_cut(&format!("{}…", "x".repeat(100))), "its own dots are no cut");
    }

    #[test]
    fn frames_cannot_forge_separators_weights_or_annotations() {
        assert_eq!(frame("a;b\nc"), "a:b␊c");
        assert_eq!(frame("operator new 12"), "operator new_12");
        assert_eq!(frame("# note"), "#_note");
        assert_eq!(frame("fake_[k]"), "fake_(k]");
        assert_eq!(frame("  "), NAMELESS);
    }
}
