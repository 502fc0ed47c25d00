//! The bytes of a capture: the version line and the head in front of each chunk.
//!
//! In: chunks, lengths, checksums. Out: fixed-size heads, which are checked before their fields are
//! used. No I/O.

use crate::profile::Chunk;

/// Version this build writes, and the newest it reads. 2: parts of slow calls.
pub const VERSION: u32 = 2;
/// Name of a finished capture inside its directory.
pub const FINISHED: &str = "capture.profiler";
/// Name of a capture that is being written, or whose recorder was killed.
pub const PARTIAL: &str = "capture.partial";

/// What every capture begins with; the decimal version and a newline follow.
pub(super) const MAGIC: &str = "profiler-capture ";
/// Longest version line that is looked at, bytes.
pub(super) const VERSION_LINE_MAX: usize = MAGIC.len() + 10 + 1;
/// Largest compressed chunk, bytes.
pub(super) const PACKED_MAX: u32 = 64 << 20;
/// Largest uncompressed chunk, bytes. An interval of 10^5 stacks with 127 frames fits.
pub(super) const RAW_MAX: u32 = 128 << 20;
/// Bytes of a [`ChunkHead`].
pub(super) const HEAD_LEN: usize = 20;

/// What stands in front of a chunk's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChunkHead {
    /// Four letters, see [`tag`].
    pub tag: [u8; 4],
    /// Length of the CBOR, bytes.
    pub raw_len: u32,
    /// Length of the deflated payload that follows, bytes.
    pub packed_len: u32,
    /// CRC-32 of that payload.
    pub crc: u32,
}

impl ChunkHead {
    /// The head's bytes: its fields, little-endian, and their own CRC-32, so that a damaged
    /// length is found before it is used.
    pub fn to_bytes(self) -> [u8; HEAD_LEN] {
        let mut bytes = [0; HEAD_LEN];
        bytes[..4].copy_from_slice(&self.tag);
        bytes[4..8].copy_from_slice(&self.raw_len.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.packed_len.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.crc.to_le_bytes());
        let own = crc32fast::hash(&bytes[..16]);
        bytes[16..].copy_from_slice(&own.to_le_bytes());
        bytes
    }

    /// Reads a head; `None` when its checksum is wrong or a length is over its limit.
    pub fn from_bytes(bytes: &[u8; HEAD_LEN]) -> Option<Self> {
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let head = Self {
            tag: [bytes[0], bytes[1], bytes[2], bytes[3]],
            raw_len: word(4),
            packed_len: word(8),
            crc: word(12),
        };
        let sound = word(16) == crc32fast::hash(&bytes[..16])
            && head.raw_len <= RAW_MAX
            && head.packed_len <= PACKED_MAX;
        sound.then_some(head)
    }
}

/// The four letters of a chunk. Types with other letters are of a later, compatible writer: they
/// are skipped.
pub(super) fn tag(chunk: &Chunk) -> [u8; 4] {
    match chunk {
        Chunk::Header(_) => *b"HEAD",
        Chunk::Interval(_) => *b"INTV",
        Chunk::Symbols(_) => *b"SYMS",
        Chunk::End(_) => *b"END ",
    }
}

/// Whether this version knows a type of chunk.
pub(super) fn known(tag: [u8; 4]) -> bool {
    [*b"HEAD", *b"INTV", *b"SYMS", *b"END "].contains(&tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_survives_and_any_flipped_bit_is_found() {
        let head = ChunkHead { tag: *b"INTV", raw_len: 70_000, packed_len: 900, crc: 0xdead_beef };
        let bytes = head.to_bytes();
        assert_eq!(ChunkHead::from_bytes(&bytes), Some(head));
        for bit in 0..HEAD_LEN * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(ChunkHead::from_bytes(&damaged), None, "bit {bit}");
        }
    }

    #[test]
    fn lengths_over_the_limit_are_refused_even_with_a_right_checksum() {
        for (raw_len, packed_len) in [(RAW_MAX + 1, 1), (1, PACKED_MAX + 1), (u32::MAX, u32::MAX)] {
            let head = ChunkHead { tag: *b"INTV", raw_len, packed_len, crc: 0 };
            assert_eq!(ChunkHead::from_bytes(&head.to_bytes()), None);
        }
    }
}
