//! A walk over CBOR that builds nothing: what would this chunk cost to decode?
//!
//! In: the bytes of one chunk, perhaps hostile. Out: their weight in memory, or why they are
//! refused: nested too deep, counts that the bytes cannot hold, forms we never write.
//! A byte of CBOR can become 60 bytes of empty strings; so this runs before the real decoder.

/// Deepest nesting; the profile's own is below ten.
const DEPTH_MAX: usize = 32;
/// Memory that one array, map, string or byte string may take beside its content, bytes.
const ITEM: u64 = 64;
/// Memory of a number (as an element of a vector or of a map's node), bytes.
const NUMBER: u64 = 16;

/// Upper estimate of the memory that one CBOR value filling all of `bytes` decodes to, in bytes.
///
/// # Errors
/// A sentence's end that says what is wrong with the bytes.
pub(super) fn weigh(bytes: &[u8]) -> Result<u64, &'static str> {
    let mut cursor = bytes;
    let mut weight = 0u64;
    // Items still to come, per open level.
    let mut open: Vec<u64> = vec![1];
    while let Some(left) = open.last_mut() {
        if *left == 0 {
            open.pop();
            continue;
        }
        *left -= 1;
        let (major, argument) = head(&mut cursor)?;
        match major {
            0 | 1 | 7 => weight += NUMBER,
            2 | 3 => {
                let length = usize::try_from(argument).map_err(|_| "a string is longer than its chunk")?;
                cursor = cursor.get(length..).ok_or("a string is longer than its chunk")?;
                // Byte strings hold packed numbers, which unpack to four bytes each (and the vector's spare room).
                weight += ITEM + if major == 2 { argument * 8 } else { argument };
            }
            4 | 5 => {
                let items = argument.saturating_mul(if major == 5 { 2 } else { 1 });
                if items > cursor.len() as u64 {
                    return Err("a list is longer than its chunk");
                }
                if open.len() >= DEPTH_MAX {
                    return Err("it is nested too deep");
                }
                weight += ITEM;
                open.push(items);
            }
            _ => return Err("it uses a form of CBOR that captures do not use"),
        }
    }
    if cursor.is_empty() { Ok(weight) } else { Err("bytes follow its value") }
}

/// Takes one item's head off the cursor: major type and argument.
fn head(cursor: &mut &[u8]) -> Result<(u8, u64), &'static str> {
    const CUT: &str = "its value is cut off";
    let (&first, rest) = cursor.split_first().ok_or(CUT)?;
    let extra = match first & 31 {
        0..=23 => 0,
        24 => 1,
        25 => 2,
        26 => 4,
        27 => 8,
        _ => return Err("it uses a form of CBOR that captures do not use"),
    };
    let argument = rest.get(..extra).ok_or(CUT)?;
    *cursor = &rest[extra..];
    let value = argument.iter().fold(0u64, |value, byte| value << 8 | u64::from(*byte));
    Ok((first >> 5, if extra == 0 { u64::from(first & 31) } else { value }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_few_bytes_must_not_do_is_refused() {
        assert_eq!(weigh(&[0x81; 100_000]), Err("it is nested too deep"));
        assert_eq!(
            weigh(&[0x9b, 255, 255, 255, 255, 255, 255, 255, 255]),
            Err("a list is longer than its chunk")
        );
        assert_eq!(weigh(&[0xbb, 128, 0, 0, 0, 0, 0, 0, 0]), Err("a list is longer than its chunk"));
        assert_eq!(
            weigh(&[0x7b, 255, 255, 255, 255, 255, 255, 255, 255]),
            Err("a string is longer than its chunk")
        );
        assert_eq!(weigh(&[0x9f, 0xff]), Err("it uses a form of CBOR that captures do not use"));
        assert_eq!(weigh(&[0x19, 1]), Err("its value is cut off"));
        assert_eq!(weigh(&[]), Err("its value is cut off"));
        assert_eq!(weigh(&[1, 1]), Err("bytes follow its value"));
    }

    #[test]
    fn many_empty_strings_weigh_what_they_take() {
        let mut bytes = vec![0x1a | 0x80, 0, 1, 0, 0];
        bytes.resize(5 + 65_536, 0x60);
        let weight = weigh(&bytes).unwrap();
        assert!(weight >= 65_536 * (size_of::<String>() as u64), "{weight}");
    }
}
