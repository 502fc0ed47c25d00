//! What a fuzzer does to bytes. In: a corpus, and a seed. Out: the same inputs damaged: byte by byte, and CBOR by its
//! own structure, so that the damage lies behind what a checksum or a length would refuse.

use ciborium::Value;

/// Pseudo-random numbers (xorshift64*): the same seed gives the same run.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        // Zero would stay zero.
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    fn one_of<'a, T: ?Sized>(&mut self, list: &[&'a T]) -> &'a T {
        list[self.below(list.len())]
    }
}

/// Where parsers of text go wrong.
const TOKENS: &[&[u8]] = &[
    b"ffffffffffffffff",
    b"10000000000000000",
    b"0",
    b"-1",
    b"0x",
    b" ",
    b"\t",
    b"\n",
    b"\\040",
    b"\\0",
    b"-",
    b" - ",
    b"/../",
    b"[",
    b"]",
    b"\0",
    b"\xff\xfe",
    b"\xc3",
    b"\x1b[2J",
    b"\xe2\x80\xae",
];

/// One of the inputs, damaged a few times; at most 64 KiB of it.
pub fn bytes(corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut input = corpus[random.below(corpus.len())].clone();
    for _ in 0..=random.below(6) {
        let at = random.below(input.len() + 1);
        let end = (at + random.below(40)).min(input.len());
        match random.below(8) {
            0 if at < input.len() => input[at] ^= 1 << random.below(8),
            1 if at < input.len() => input[at] = random.next() as u8,
            2 => drop(input.drain(at..end)),
            3 => input.truncate(at),
            4 => {
                let copy = input[at..end].to_vec();
                input.splice(at..at, copy.repeat(1 + random.below(30)));
            }
            5 => {
                let other = &corpus[random.below(corpus.len())];
                let from = random.below(other.len() + 1);
                input.splice(at..end, other[from..].iter().copied());
            }
            _ => drop(input.splice(at..end, random.one_of(TOKENS).iter().copied())),
        }
    }
    input.truncate(1 << 16);
    input
}

/// Damages one place of a tree: a number, a text, the entries of a list or a map, or a whole branch.
pub fn tree(value: &mut Value, random: &mut Random) {
    let inside = random.below(5) > 0;
    match value {
        Value::Array(items) if inside && !items.is_empty() => {
            let at = random.below(items.len());
            match random.below(10) {
                0 => drop(items.remove(at)),
                1 => items.extend(vec![items[at].clone(); 1 + random.below(50)]),
                _ => tree(&mut items[at], random),
            }
        }
        Value::Map(entries) if inside && !entries.is_empty() => {
            let at = random.below(entries.len());
            match random.below(12) {
                0 => drop(entries.remove(at)),
                1 => entries.push(entries[at].clone()),
                2 => tree(&mut entries[at].0, random),
                _ => tree(&mut entries[at].1, random),
            }
        }
        Value::Bytes(packed) if inside => *packed = bytes(std::slice::from_ref(packed), random),
        _ => *value = leaf(random),
    }
}

fn leaf(random: &mut Random) -> Value {
    match random.below(9) {
        0 => Value::Integer(0.into()),
        1 => Value::Integer(u64::MAX.into()),
        2 => Value::Integer(i64::MIN.into()),
        3 => Value::Integer((random.next() % 300).into()),
        4 => Value::Text("\u{202e}\x1b[31m\n;".repeat(random.below(200))),
        5 => Value::Null,
        6 => Value::Array(vec![Value::Integer(1.into()); random.below(2000)]),
        7 => (0..random.below(40)).fold(Value::Bool(true), |inner, _| Value::Array(vec![inner])),
        _ => Value::Float(f64::NAN),
    }
}
