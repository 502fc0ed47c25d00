//! The descriptors that a thread waits for by `poll` or `select`: they stand in its memory, not in a register.
//!
//! In: a call's number and arguments, then what stands in memory there. Out: where that is; the descriptors.

/// Descriptors of a call at most: who waits for more serves many, and hangs on none of them.
const DESCRIPTORS: usize = 8;
/// Bits of a set, as glibc has it; programs with larger ones serve many.
const SET: u64 = 1024;
/// Bytes of a `pollfd`: the descriptor, what is waited for, what came.
const POLLED: usize = 8;

/// Where they stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Address and bytes of an array of `pollfd`.
    Array(u64, usize),
    /// Address and bits of a set.
    Set(u64, usize),
}

impl Place {
    /// Of the call with that number in the table of 64-bit programs; none of other calls, and of those that wait for none or for many.
    pub fn of(nr: u32, arguments: [u64; 3]) -> Option<Self> {
        let [first, second, third] = arguments;
        match i64::from(nr) {
            libc::SYS_poll | libc::SYS_ppoll => {
                let count = usize::try_from(second).ok().filter(|count| (1..=DESCRIPTORS).contains(count))?;
                Some(Self::Array(first, count * POLLED))
            }
            // Who waits to read, whatever it may write.
            libc::SYS_select | libc::SYS_pselect6 if (1..=SET).contains(&first) => {
                let address = [second, third].into_iter().find(|address| *address != 0)?;
                Some(Self::Set(address, first as usize))
            }
            _ => None,
        }
    }

    /// Its address.
    pub fn address(self) -> u64 {
        let (Self::Array(address, _) | Self::Set(address, _)) = self;
        address
    }

    /// Bytes to be read at most, of any place.
    pub const BYTES: usize = (SET / 8) as usize;

    /// The descriptors in what was read there; none if that is cut, or if they are many.
    pub fn descriptors(self, memory: &[u8]) -> Vec<i32> {
        let found: Vec<i32> = match self {
            Self::Array(_, bytes) => {
                let words = memory.get(..bytes).unwrap_or_default().chunks_exact(POLLED);
                let descriptor = |word: &[u8]| i32::from_ne_bytes([word[0], word[1], word[2], word[3]]);
                // The kernel passes over negative ones.
                words.map(descriptor).filter(|descriptor| *descriptor >= 0).collect()
            }
            Self::Set(_, bits) if memory.len() >= bits.div_ceil(8) => {
                let is_in = |bit: &usize| memory.get(bit / 8).is_some_and(|byte| byte >> (bit % 8) & 1 == 1);
                (0..bits).filter(is_in).map(|bit| bit as i32).collect()
            }
            Self::Set(..) => Vec::new(),
        };
        if found.len() > DESCRIPTORS { Vec::new() } else { found }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLL: u32 = 7;
    const SELECT: u32 = 23;

    #[test]
    fn an_array_is_read_as_far_as_the_call_says() {
        let place = Place::of(POLL, [64, 2, 0]).unwrap();
        assert_eq!((place, place.address()), (Place::Array(64, 16), 64));
        let polled = |descriptor: i32| [&descriptor.to_ne_bytes()[..], &[1, 0, 0, 0]].concat();
        assert_eq!(place.descriptors(&[polled(5), polled(-1), polled(9)].concat()), [5]);
        assert_eq!(place.descriptors(&polled(5)), [0; 0], "cut");
        assert_eq!(Place::of(POLL, [64, 0, 0]), None);
        assert_eq!(Place::of(POLL, [64, 9, 0]), None, "many");
        assert_eq!(Place::of(0, [64, 2, 0]), None, "another call");
    }

    #[test]
    fn a_set_is_of_what_is_read_else_of_what_is_written() {
        let reads = Place::of(SELECT, [11, 64, 128]).unwrap();
        assert_eq!(reads, Place::Set(64, 11));
        assert_eq!(reads.descriptors(&[0b1000_0001, 0b1100]), [0, 7, 10]);
        assert_eq!(Place::of(SELECT, [11, 0, 128]), Some(Place::Set(128, 11)));
        assert_eq!(Place::of(SELECT, [11, 0, 0]), None, "it only sleeps");
        assert_eq!(Place::of(SELECT, [2000, 64, 0]), None);
        assert_eq!(Place::Set(64, 1024).descriptors(&[0xff; 128]), [0; 0], "many");
        assert_eq!(reads.descriptors(&[]), [0; 0]);
    }
}
