//! Patterns on threads' names: `*` for any bytes, `?` for one.
//!
//! In: a pattern, as typed. Out: [`Glob`], and whether a name matches it: in a fixed number of steps without a branch on the
//! pattern, so that the verifier walks them once. A state has bit `i` when the name so far matches the first `i` elements.

/// Patterns a session may have.
pub const GLOBS: usize = 4;
/// Elements of a pattern, `*` not counted: no name has more bytes.
pub const ELEMENTS: usize = 15;

/// A pattern.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Glob {
    /// By byte: the states that it leads to.
    pub next: [u16; 256],
    /// States that any byte leaves as they are: a `*` follows.
    pub gaps: u16,
    /// The state of a whole match.
    pub whole: u16,
    /// Explicit padding.
    pub pad: u32,
}
crate::shared_record!(Glob, 520);

impl Glob {
    /// Matches nothing.
    pub const NONE: Self = Self { next: [0; 256], gaps: 0, whole: 0, pad: 0 };

    /// A pattern as typed; `None` when no name can be that long.
    pub fn new(pattern: &[u8]) -> Option<Self> {
        let (mut glob, mut length) = (Self::NONE, 0);
        for byte in pattern {
            if *byte == b'*' {
                glob.gaps |= 1 << length;
                continue;
            }
            length += 1;
            if length > ELEMENTS {
                return None;
            }
            for (other, next) in glob.next.iter_mut().enumerate().skip(1) {
                if *byte == b'?' || usize::from(*byte) == other {
                    *next |= 1 << length;
                }
            }
        }
        glob.whole = 1 << length;
        Some(glob)
    }

    /// Whether a name matches, as two words.
    pub fn matches(&self, name: [u64; 2]) -> bool {
        matches(name, self.gaps, self.whole, |byte| self.next[usize::from(byte)])
    }
}

/// Whether a name, as two words, leads to `whole`.
#[inline(always)]
pub fn matches(name: [u64; 2], gaps: u16, whole: u16, next: impl Fn(u8) -> u16) -> bool {
    let mut state = 1u16;
    for index in 0..ELEMENTS {
        let byte = (name[index / 8] >> (index % 8 * 8)) as u8;
        if byte == 0 {
            break;
        }
        state = state << 1 & next(byte) | state & gaps;
    }
    state & whole != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(pattern: &str, name: &str) -> bool {
        let mut bytes = [0; 16];
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        let word = |at: usize| u64::from_le_bytes(core::array::from_fn(|index| bytes[at + index]));
        Glob::new(pattern.as_bytes()).unwrap().matches([word(0), word(8)])
    }

    /// The reference: tries every way to match.
    fn plainly(pattern: &[u8], name: &[u8]) -> bool {
        match (pattern.split_first(), name.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), None) => plainly(rest, name),
            (Some((b'*', rest)), Some((_, shorter))) => plainly(rest, name) || plainly(pattern, shorter),
            (Some((wanted, rest)), Some((byte, shorter))) => {
                (*wanted == b'?' || wanted == byte) && plainly(rest, shorter)
            }
            _ => false,
        }
    }

    #[test]
    fn patterns_match_what_they_say() {
        let names = [
            "",
            "a",
            "ab",
            "ba",
            "GC Thread#0",
            "GC Thread#12",
            "C2 CompilerThre",
            "aaaaaaaaaaaaaaa",
            "aXbXc",
        ];
        let patterns = [
            "",
            "*",
            "**",
            "?",
            "a",
            "a*",
            "*a",
            "*a*",
            "?b",
            "GC Thread#?",
            "GC Thread#*",
            "GC*",
            "*Thre",
            "*#*",
            "a*a*a",
            "a?b?c",
            "*X*c",
            "?*?",
            "C2 CompilerThre",
            "aaaaaaaaaaaaaaa",
            "*aaaaaaaaaaaaaaa*",
            "a*b*c*d",
        ];
        for (pattern, name) in patterns.iter().flat_map(|pattern| names.map(|name| (pattern, name))) {
            assert_eq!(
                is(pattern, name),
                plainly(pattern.as_bytes(), name.as_bytes()),
                "{pattern:?} {name:?}"
            );
        }
        assert!(is("ä*", "äb") && !is("?", "ä") && is("??", "ä"), "bytes, as the kernel has them");
    }

    #[test]
    fn a_pattern_longer_than_any_name_is_refused() {
        assert!(Glob::new(b"sixteen-bytes-xx").is_none());
        assert!(Glob::new(b"*fifteen*bytes*-x*y*").is_some());
        assert!(!Glob::NONE.matches([0, 0]));
    }
}
