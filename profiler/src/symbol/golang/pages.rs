//! A foreign file in pages, a few of which are kept.
//!
//! In: what can be read in parts; places in it. Out: numbers and text there; nothing behind its end, and nothing where it
//! cannot be read any more.

use super::super::headers::Bytes;

/// Bytes that are read at once.
const PAGE: u64 = 4096;
/// Pages that are kept: 2 MiB.
const KEPT: usize = 512;

/// A file, and its pages that were read last.
#[derive(Debug)]
pub struct Pages<S> {
    /// The file itself.
    pub source: S,
    length: u64,
    kept: Vec<Option<(u64, Vec<u8>)>>,
}

impl<S: Bytes> Pages<S> {
    /// Nothing is read yet.
    pub fn new(source: S) -> Self {
        let length = source.length();
        Self { source, length, kept: vec![None; KEPT] }
    }

    /// How long the file was when it was opened.
    pub fn length(&self) -> u64 {
        self.length
    }

    fn page(&mut self, number: u64) -> Option<&[u8]> {
        let slot = self.kept.get_mut((number % KEPT as u64) as usize)?;
        if slot.as_ref().is_none_or(|(kept, _)| *kept != number) {
            let begin = number.checked_mul(PAGE)?;
            let bytes = self.source.part(begin, PAGE.min(self.length.checked_sub(begin)?))?;
            *slot = Some((number, bytes));
        }
        slot.as_ref().map(|(_, bytes)| bytes.as_slice())
    }

    /// Reads as many bytes as there are, at most so many as fit: how many.
    pub fn read(&mut self, at: u64, into: &mut [u8]) -> usize {
        let mut done = 0;
        while let Some(rest) = into.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let Some(place) = at.checked_add(done as u64) else { break };
            let page = self.page(place / PAGE).and_then(|page| page.get((place % PAGE) as usize..));
            let Some(bytes) = page.filter(|bytes| !bytes.is_empty()) else { break };
            let count = bytes.len().min(rest.len());
            for (slot, byte) in rest.iter_mut().zip(bytes) {
                *slot = *byte;
            }
            done += count;
        }
        done
    }

    fn array<const N: usize>(&mut self, at: u64) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        (self.read(at, &mut bytes) == N).then_some(bytes)
    }

    /// A byte at a place.
    pub fn u8(&mut self, at: u64) -> Option<u8> {
        self.array(at).map(u8::from_le_bytes)
    }

    /// Four bytes at a place.
    pub fn u32(&mut self, at: u64) -> Option<u32> {
        self.array(at).map(u32::from_le_bytes)
    }

    /// Eight bytes at a place.
    pub fn u64(&mut self, at: u64) -> Option<u64> {
        self.array(at).map(u64::from_le_bytes)
    }

    /// The bytes up to the next zero, at most so many; `None` if the file ends before.
    pub fn text(&mut self, at: u64, most: usize) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        let mut chunk = [0; 64];
        while text.len() < most {
            let count = self.read(at.checked_add(text.len() as u64)?, &mut chunk);
            let read = chunk.get(..count)?;
            if let Some(end) = read.iter().position(|byte| *byte == 0) {
                text.extend(read.get(..end)?);
                text.truncate(most);
                return Some(text);
            }
            if count < chunk.len() {
                return None;
            }
            text.extend(read);
        }
        text.truncate(most);
        Some(text)
    }
}
