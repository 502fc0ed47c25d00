//! Columns of numbers as the page holds them.
//!
//! In: numbers. Out: LEB128, deflated (RFC 1951): small numbers and repeated ones take little.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::DeflateEncoder;

/// Of deflate: 1 is the fastest, 9 the smallest. Folding until all has room packs a graph several times.
const LEVEL: u32 = 3;

/// One column.
#[derive(Clone, Debug, Default)]
pub struct Column(Vec<u8>);

impl Column {
    /// Appends a number.
    pub fn push(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    /// Of text, as it is.
    pub fn text(text: String) -> Self {
        Self(text.into_bytes())
    }

    /// Its numbers again.
    #[cfg(test)]
    pub fn numbers(&self) -> Vec<u64> {
        let (mut numbers, mut value, mut shift) = (Vec::new(), 0u64, 0);
        for byte in &self.0 {
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if *byte < 0x80 {
                numbers.push(value);
                (value, shift) = (0, 0);
            }
        }
        numbers
    }

    /// The column, deflated.
    ///
    /// # Errors
    /// Only if memory cannot be allocated.
    pub fn pack(&self) -> std::io::Result<Vec<u8>> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::new(LEVEL));
        encoder.write_all(&self.0)?;
        encoder.finish()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn numbers_come_back() {
        let numbers = [0, 1, 127, 128, 300, 1 << 40, u64::MAX];
        let mut column = Column::default();
        numbers.iter().for_each(|number| column.push(*number));
        let mut raw = Vec::new();
        flate2::read::DeflateDecoder::new(column.pack().unwrap().as_slice()).read_to_end(&mut raw).unwrap();
        assert_eq!(Column(raw).numbers(), numbers);
    }
}
