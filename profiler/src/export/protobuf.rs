//! The wire format of Protocol Buffers, as far as exports need it (protobuf.dev/programming-guides/encoding).
//!
//! In: fields by number. Out: bytes. There is no code generation: a message is what its writer pushes.

/// A message being written.
#[derive(Debug, Default)]
pub struct Message {
    bytes: Vec<u8>,
}

/// Wire types.
const VARINT: u64 = 0;
const FIXED: u64 = 1;
const LENGTH: u64 = 2;

impl Message {
    /// An integer; 0 is what a reader assumes, so it is left out.
    pub fn integer(&mut self, field: u32, value: u64) -> &mut Self {
        if value != 0 {
            varint(&mut self.bytes, u64::from(field) << 3 | VARINT);
            varint(&mut self.bytes, value);
        }
        self
    }

    /// An integer of eight bytes; 0 is left out.
    pub fn fixed(&mut self, field: u32, value: u64) -> &mut Self {
        if value != 0 {
            varint(&mut self.bytes, u64::from(field) << 3 | FIXED);
            self.bytes.extend_from_slice(&value.to_le_bytes());
        }
        self
    }

    /// Text, also an empty one.
    pub fn text(&mut self, field: u32, text: &str) -> &mut Self {
        self.raw(field, text.as_bytes())
    }

    /// Integers, packed.
    pub fn packed(&mut self, field: u32, values: impl Iterator<Item = u64>) -> &mut Self {
        let mut packed = Vec::new();
        values.for_each(|value| varint(&mut packed, value));
        self.raw(field, &packed)
    }

    /// A message in this one.
    pub fn message(&mut self, field: u32, inner: &Self) -> &mut Self {
        self.raw(field, &inner.bytes)
    }

    /// What was written.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Forgets what was written, and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    fn raw(&mut self, field: u32, bytes: &[u8]) -> &mut Self {
        varint(&mut self.bytes, u64::from(field) << 3 | LENGTH);
        varint(&mut self.bytes, bytes.len() as u64);
        self.bytes.extend_from_slice(bytes);
        self
    }
}

fn varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_those_of_the_specification() {
        let mut inner = Message::default();
        inner.integer(1, 150);
        assert_eq!(inner.bytes(), [0x08, 0x96, 0x01]);
        let mut outer = Message::default();
        outer.message(3, &inner).text(2, "testing").integer(9, 0).packed(6, [3, 270, 86_942].into_iter());
        let expected: Vec<u8> = [
            &[0x1a, 3, 0x08, 0x96, 0x01, 0x12, 7][..],
            b"testing",
            &[0x32, 6, 0x03, 0x8e, 0x02, 0x9e, 0xa7, 0x05],
        ]
        .concat();
        assert_eq!(outer.bytes(), expected);
        let mut most = Message::default();
        most.integer(1, u64::MAX);
        assert_eq!(most.bytes().len(), 11);
        let mut fixed = Message::default();
        fixed.fixed(3, 258).fixed(4, 0);
        assert_eq!(fixed.bytes(), [0x19, 2, 1, 0, 0, 0, 0, 0, 0]);
    }
}
