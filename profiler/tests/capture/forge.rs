//! Captures made byte by byte, with right checksums around whatever they hold.
//!
//! In: payloads, or chunks to encode. Out: the bytes of a file of format version 1.

use std::io::Write;

use ciborium::Value;
use profiler::profile::Chunk;

/// A capture around payloads that need not be what they say, with right checksums.
pub fn forge(payloads: &[(&[u8; 4], Vec<u8>, Option<u32>)]) -> Vec<u8> {
    let mut file = b"profiler-capture 1\n".to_vec();
    for (tag, raw, claimed) in payloads {
        let mut deflate = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
        deflate.write_all(raw).unwrap();
        let packed = deflate.finish().unwrap();
        let mut head = tag.to_vec();
        head.extend(claimed.unwrap_or(raw.len() as u32).to_le_bytes());
        head.extend((packed.len() as u32).to_le_bytes());
        head.extend(crc32fast::hash(&packed).to_le_bytes());
        head.extend(crc32fast::hash(&head).to_le_bytes());
        file.extend(head);
        file.extend(packed);
    }
    file
}

/// A chunk as it stands in a capture.
pub fn cbor(chunk: &Chunk) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(chunk, &mut bytes).unwrap();
    bytes
}

/// The same without any field of that name, as a writer that did not know it made it.
pub fn cbor_without(chunk: &Chunk, field: &str) -> Vec<u8> {
    let mut value: Value = ciborium::from_reader(cbor(chunk).as_slice()).unwrap();
    remove(&mut value, field);
    let mut bytes = Vec::new();
    ciborium::into_writer(&value, &mut bytes).unwrap();
    bytes
}

fn remove(value: &mut Value, field: &str) {
    match value {
        Value::Map(entries) => {
            entries.retain(|(key, _)| key.as_text() != Some(field));
            entries.iter_mut().for_each(|(_, value)| remove(value, field));
        }
        Value::Array(items) => items.iter_mut().for_each(|value| remove(value, field)),
        _ => {}
    }
}

/// CPU time of this thread: a busy machine does not lengthen it.
pub fn cpu_time() -> std::time::Duration {
    rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime).try_into().unwrap()
}

/// The next of a row of random numbers (xorshift).
pub fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}
