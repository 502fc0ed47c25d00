//! One image as if it were all the code there is, mapped at its own offsets: for tests that damage images.
//!
//! In: the bytes of an image, a copy. Out: what comes of it.

use super::image::Image;
use super::walk::{Code, Go, Place, Unwound, walk};
use crate::profile::StackCopy;

/// Unwinds a copy through one image; `None` for what is no ELF image.
pub fn unwind_through(bytes: &[u8], copy: &StackCopy) -> Option<Unwound> {
    let mut alone = Alone { image: Image::parse(bytes)?, length: bytes.len() as u64 };
    Some(walk(&mut alone, copy, &[]))
}

struct Alone<'a> {
    image: Image<'a>,
    length: u64,
}

impl Code for Alone<'_> {
    fn place(&mut self, address: u64) -> Place {
        if address >= self.length {
            return Place::Nowhere;
        }
        self.image.row(address).map_or(Place::Uncovered, Place::Covered)
    }

    fn bytes(&mut self, address: u64, length: usize) -> Option<&[u8]> {
        self.image.bytes(address, length)
    }

    fn go(&mut self, address: u64) -> Option<Go> {
        self.image.go(address)
    }
}
