//! Untrusted text made fit for a terminal, a folded line or an XML document.
//!
//! In: names that an attacker may have written (comm, container, symbol, path).
//! Out: one visible line, capped: what would act (escape sequences, bidi controls, newlines)
//! is shown instead of obeyed. Markup is left to the XML writer, which escapes it.

use std::borrow::Cow;

/// Characters of a frame name at most; longer ones are C++ templates nobody reads to the end.
pub const FRAME_CHARS: usize = 240;
/// Characters of any other name at most.
pub const NAME_CHARS: usize = 120;

/// One visible line of at most `limit` characters; a cut is shown as `…`.
pub fn line(raw: &str, limit: usize) -> Cow<'_, str> {
    if raw.len() <= limit && raw.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        return Cow::Borrowed(raw);
    }
    let mut clean = String::with_capacity(raw.len().min(limit * 4));
    let mut length = 0;
    for character in raw.chars() {
        let before = clean.len();
        push_visible(&mut clean, character);
        length += clean[before..].chars().count();
        if length > limit {
            clean.truncate(before);
            if clean.chars().count() >= limit {
                clean.pop();
            }
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
    let mut clean = line(raw.trim(), FRAME_CHARS).replace(';', ":");
    if clean.is_empty() {
        clean.push('?');
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

fn push_visible(clean: &mut String, character: char) {
    match character {
        '\u{0}'..='\u{1f}' => clean.push(char::from_u32(0x2400 + character as u32).unwrap_or('?')),
        '\u{7f}' => clean.push('␡'),
        '\u{80}'..='\u{9f}' => clean.push_str(&format!("\\x{:02x}", character as u32)),
        _ if acts(character) => clean.push_str(&format!("\\u{{{:x}}}", character as u32)),
        _ => clean.push(character),
    }
}

/// Invisible or layout-changing characters, and those XML forbids.
pub fn acts(character: char) -> bool {
    matches!(character,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}'
        | '\u{e0000}'..='\u{e0fff}' | '\u{300}'..='\u{36f}')
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
    fn frames_cannot_forge_separators_weights_or_annotations() {
        assert_eq!(frame("a;b\nc"), "a:b␊c");
        assert_eq!(frame("operator new 12"), "operator new_12");
        assert_eq!(frame("# note"), "#_note");
        assert_eq!(frame("fake_[k]"), "fake_(k]");
        assert_eq!(frame("  "), "?");
    }
}
