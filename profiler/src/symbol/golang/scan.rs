//! Looking for words in stretches of a foreign file.
//!
//! In: a stretch, which words are looked for, how much may be read and for how long. Out: where they are. A stretch is read
//! in pieces, none of which is kept.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::super::headers::{Bytes, u32_at, u64_at};

/// Bytes that are read at once: words and relocations fill them.
const PIECE: u64 = 48 << 10;
/// Bytes that are read of one file while something is looked for, and how long that may take: a disk may be slow, and the
/// file has other names.
const BYTES: u64 = 256 << 20;
const TIME: Duration = Duration::from_secs(2);

const WORD: usize = 8;
const RELOCATION: usize = 24;
/// A relocation that adds where the program is loaded: on x86-64, on 64-bit ARM.
const RELATIVE: [u32; 2] = [8, 1027];

/// What may still be spent on one file.
#[derive(Debug)]
pub struct Effort {
    bytes: u64,
    until: Instant,
}

impl Default for Effort {
    fn default() -> Self {
        Self { bytes: BYTES, until: Instant::now() + TIME }
    }
}

impl Effort {
    fn take(&mut self, bytes: u64) -> Option<()> {
        self.bytes = self.bytes.checked_sub(bytes)?;
        (Instant::now() < self.until).then_some(())
    }
}

/// Gives the pieces of a stretch to `look` until it has enough, or nothing more may be read.
fn pieces(
    source: &impl Bytes,
    stretch: Range<u64>,
    effort: &mut Effort,
    mut look: impl FnMut(u64, &[u8]) -> bool,
) {
    let end = stretch.end.min(source.length());
    let mut at = stretch.start;
    while at < end && effort.take(PIECE).is_some() {
        let Some(bytes) = source.part(at, PIECE.min(end - at)) else { return };
        if look(at, &bytes) {
            return;
        }
        at += PIECE;
    }
}

/// Where words are that `wanted` asks for, at multiples of their size: at most so many.
pub fn words(
    source: &impl Bytes,
    stretch: Range<u64>,
    effort: &mut Effort,
    most: usize,
    wanted: impl Fn(u64) -> bool,
) -> Vec<u64> {
    let mut found = Vec::new();
    let Some(start) = stretch.start.checked_next_multiple_of(WORD as u64) else { return found };
    pieces(source, start..stretch.end, effort, |at, bytes| {
        for (index, word) in bytes.chunks_exact(WORD).enumerate() {
            if found.len() < most && u64_at(word, 0).is_some_and(&wanted) {
                found.push(at + (index * WORD) as u64);
            }
        }
        found.len() >= most
    });
    found
}

/// The addresses and values that relocations say and `wanted` asks for: at most so many.
pub fn relocations(
    source: &impl Bytes,
    (at, length): (u64, u64),
    effort: &mut Effort,
    most: usize,
    wanted: impl Fn(u64, u64) -> bool,
) -> Vec<(u64, u64)> {
    let mut found = Vec::new();
    let one = |entry: &[u8]| {
        let (address, kind, value) = (u64_at(entry, 0)?, u32_at(entry, 8)?, u64_at(entry, 16)?);
        (RELATIVE.contains(&kind) && wanted(address, value)).then_some((address, value))
    };
    pieces(source, at..at.saturating_add(length), effort, |_, bytes| {
        let room = most - found.len();
        found.extend(bytes.chunks_exact(RELOCATION).filter_map(one).take(room));
        found.len() >= most
    });
    found
}
