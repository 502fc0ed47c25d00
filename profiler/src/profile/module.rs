//! Files that are mapped as code.
//!
//! In: what was seen of a file while a process mapped it. Out: where an offset in it is linked.

use serde::{Deserialize, Serialize};

/// A mapped file: an executable or a library.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Module {
    /// Path inside its mount namespace, raw.
    pub path: String,
    /// Hex build-id; empty when it has none or could not be read.
    pub build_id: String,
    /// Its segments of code. Another file of the same build is laid out in another way, but linked at the same addresses:
    /// with these, it can name frames later. Empty in captures from before that, and where the file could not be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub segments: Vec<Segment>,
    /// Go made it: its work moves between threads. Older captures do not tell.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub of_go: bool,
}

/// A part of a file that is loaded as code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Segment {
    /// Where it is in the file, bytes.
    pub offset: u64,
    /// Where it is linked.
    pub address: u64,
    /// Its length in the file.
    pub bytes: u64,
}

impl Segment {
    /// The linked address of an offset in the file.
    pub fn address_of(segments: &[Self], offset: u64) -> Option<u64> {
        segments.iter().find_map(|segment| {
            let into = offset.checked_sub(segment.offset).filter(|into| *into < segment.bytes)?;
            segment.address.checked_add(into)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_have_the_addresses_of_their_segment() {
        let segments = [
            Segment { offset: 0x1000, address: 0x40_1000, bytes: 0x100 },
            Segment { offset: 0x2000, address: u64::MAX - 1, bytes: u64::MAX },
        ];
        let of = |offset| Segment::address_of(&segments, offset);
        assert_eq!(of(0x1000), Some(0x40_1000));
        assert_eq!(of(0x10ff), Some(0x40_10ff));
        assert_eq!((of(0xfff), of(0x1100), of(u64::MAX)), (None, None, None));
        assert_eq!((of(0x2001), of(0x2002)), (Some(u64::MAX), None));
    }
}
