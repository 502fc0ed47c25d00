//! Frame ids, and those of a stack as one byte string: differences to the frame before, zigzag, LEB128.
//!
//! In and out: `Vec<FrameId>`, for `#[serde(with)]`. Stacks are most of a capture; as lists of
//! integers they take longer to decode than everything else together.

use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Position of a frame in the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FrameId(pub u32);

pub(super) fn serialize<S: Serializer>(frames: &[FrameId], serializer: S) -> Result<S::Ok, S::Error> {
    let mut bytes = Vec::with_capacity(frames.len() * 3);
    let mut before = 0;
    for frame in frames {
        let difference = i64::from(frame.0) - before;
        before = i64::from(frame.0);
        let mut rest = (difference << 1 ^ difference >> 63) as u64;
        while rest >= 0x80 {
            bytes.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        bytes.push(rest as u8);
    }
    serializer.serialize_bytes(&bytes)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<FrameId>, D::Error> {
    deserializer.deserialize_bytes(Packed)
}

struct Packed;

impl Visitor<'_> for Packed {
    type Value = Vec<FrameId>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("packed frame ids")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
        unpack(bytes).ok_or_else(|| E::custom("the frame ids of a stack are malformed"))
    }
}

fn unpack(bytes: &[u8]) -> Option<Vec<FrameId>> {
    // The last byte of each number, and only that, has its top bit clear.
    let mut frames = Vec::with_capacity(bytes.iter().filter(|byte| **byte < 0x80).count());
    let (mut before, mut rest, mut shift) = (0i64, 0u64, 0);
    for &byte in bytes {
        if shift > 35 {
            return None;
        }
        rest |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte < 0x80 {
            before += (rest >> 1) as i64 ^ -((rest & 1) as i64);
            frames.push(FrameId(u32::try_from(before).ok()?));
            (rest, shift) = (0, 0);
        }
    }
    (shift == 0).then_some(frames)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A value with packed ids, as they stand in a chunk.
    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    struct Holder(#[serde(with = "super")] Vec<FrameId>);

    #[test]
    fn ids_survive_at_the_edges() {
        for ids in [&[][..], &[0], &[u32::MAX, 0, u32::MAX], &[1, 2, 3, 127, 128, 16_384, 5, 5]] {
            let holder = Holder(ids.iter().map(|id| FrameId(*id)).collect());
            let mut bytes = Vec::new();
            ciborium::into_writer(&holder, &mut bytes).unwrap();
            assert_eq!(ciborium::from_reader::<Holder, _>(bytes.as_slice()).unwrap(), holder);
        }
    }

    #[test]
    fn what_is_no_list_of_ids_is_refused() {
        for bytes in [&[0x80][..], &[1], &[0xff; 9], &[0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], &[2, 3, 3]] {
            assert_eq!(unpack(bytes), None, "{bytes:?}");
        }
    }
}
