//! Foreign names made fit for a terminal.
//!
//! In: names that a container's owner chose. Out: the same without control characters, without letters
//! that turn or hide text, and cut to a width.

use crate::hostile::acts;

/// Replaces what could steer a terminal by visible escapes.
pub(super) fn clean(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for letter in name.chars() {
        if acts(letter) {
            out.extend(letter.escape_unicode());
        } else {
            out.push(letter);
        }
    }
    out
}

/// Cuts to `width` characters, keeping the end where `keep_end` says that it tells more.
pub(super) fn fit(text: &str, width: usize, keep_end: bool) -> String {
    let count = text.chars().count();
    if count <= width {
        return text.to_owned();
    }
    let kept = width.saturating_sub(1);
    if keep_end {
        return format!("…{}", text.chars().skip(count - kept).collect::<String>());
    }
    format!("{}…", text.chars().take(kept).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_steers_the_terminal() {
        assert_eq!(clean("a\u{1b}[2J\n\u{9b}b\u{202e}"), "a\\u{1b}[2J\\u{a}\\u{9b}b\\u{202e}");
        assert_eq!(clean("größe/web:1"), "größe/web:1");
    }

    #[test]
    fn text_is_cut_at_either_end() {
        assert_eq!(fit("registry/app:1", 6, true), "…app:1");
        assert_eq!(fit("größer", 4, false), "grö…");
        assert_eq!(fit("abc", 3, false), "abc");
    }
}
