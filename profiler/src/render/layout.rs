//! How `summary.json` is laid out.
//!
//! In: what serde_json writes. Out: fields on lines of their own, array elements on one line each; strings of at most
//! [`STRING`] bytes.

use std::io::{self, Write};

use serde_json::ser::{CharEscape, CompactFormatter, Formatter};

/// Bytes of a string at most; a longer one ends in `…`. Paths of files fit.
const STRING: usize = 4096;

/// One row to a line (what is in an array stays on its line), and nothing in strings that a
/// terminal would obey.
#[derive(Default)]
pub struct Layout {
    depth: usize,
    /// Depth of the outermost array that is open, 0 for none.
    array: usize,
    /// Bytes that the open string may still have, and whether it would have more.
    room: usize,
    cut: bool,
}

impl Layout {
    fn line<W: ?Sized + Write>(&self, out: &mut W) -> io::Result<()> {
        if self.array == 0 || self.depth <= self.array {
            write!(out, "\n{:1$}", "", self.depth)
        } else {
            Ok(())
        }
    }

    /// As much of a string as has room.
    fn fitting<'t>(&mut self, text: &'t str) -> &'t str {
        let kept = &text[..text.floor_char_boundary(self.room)];
        self.cut |= kept.len() < text.len();
        self.room = if self.cut { 0 } else { self.room - kept.len() };
        kept
    }

    fn next<W: ?Sized + Write>(&self, out: &mut W, first: bool) -> io::Result<()> {
        if !first {
            out.write_all(b",")?;
        }
        self.line(out)
    }
}

impl Formatter for Layout {
    fn begin_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.depth += 1;
        if self.array == 0 {
            self.array = self.depth;
        }
        out.write_all(b"[")
    }

    fn end_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        if self.array == self.depth {
            self.array = 0;
        }
        self.depth -= 1;
        out.write_all(b"]")
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.next(out, first)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.depth += 1;
        out.write_all(b"{")
    }

    fn end_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.depth -= 1;
        out.write_all(b"}")
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.next(out, first)
    }

    fn begin_string<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        (self.room, self.cut) = (STRING, false);
        out.write_all(b"\"")
    }

    fn end_string<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(if self.cut { "…\"" } else { "\"" }.as_bytes())
    }

    fn write_char_escape<W: ?Sized + Write>(&mut self, out: &mut W, escape: CharEscape) -> io::Result<()> {
        // It stands for one byte.
        match self.fitting(" ") {
            "" => Ok(()),
            _ => CompactFormatter.write_char_escape(out, escape),
        }
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        let fragment = self.fitting(fragment);
        let mut plain = 0;
        for (at, character) in
            fragment.char_indices().filter(|(_, character)| !(' '..='~').contains(character))
        {
            if crate::hostile::acts(character) {
                out.write_all(&fragment.as_bytes()[plain..at])?;
                for unit in character.encode_utf16(&mut [0; 2]) {
                    write!(out, "\\u{unit:04x}")?;
                }
                plain = at + character.len_utf8();
            }
        }
        out.write_all(&fragment.as_bytes()[plain..])
    }
}

#[cfg(test)]
mod tests {
    use serde::Serialize as _;

    use super::*;

    #[test]
    fn a_string_is_cut_at_its_bound_and_says_so() {
        let written = |text: &str| {
            let mut out = Vec::new();
            text.serialize(&mut serde_json::Serializer::with_formatter(&mut out, Layout::default())).unwrap();
            serde_json::from_slice::<String>(&out).unwrap()
        };
        for (letter, bytes) in [("x", 1), ("\n", 1), ("é", 2), ("\u{202e}", 3)] {
            let whole = letter.repeat(STRING / bytes);
            assert_eq!(written(&whole), whole);
            assert_eq!(written(&format!("{whole}{letter}x\n")), format!("{whole}…"), "{letter:?}");
        }
    }
}
