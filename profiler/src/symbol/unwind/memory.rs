//! What is known of a thread: its registers in a frame, and the copied part of its stack.
//!
//! In: a copy. Out: registers by their DWARF numbers, words of the stack.

use crate::profile::stack_copy::REGISTERS;

/// DWARF numbers (System V ABI for x86-64, figure 3.36).
pub const RBP: u16 = 6;
/// The stack pointer.
pub const RSP: u16 = 7;
/// The return address; of the frame at hand, where it is.
pub const RA: u16 = 16;

/// Registers of one frame: a value where it is known.
#[derive(Clone, Copy, Debug)]
pub struct Registers {
    values: [u64; REGISTERS],
    known: u32,
}

impl Registers {
    /// All known.
    pub fn new(values: [u64; REGISTERS]) -> Self {
        Self { values, known: (1 << REGISTERS) - 1 }
    }

    /// A register's value, if it is known in this frame.
    pub fn get(&self, register: u16) -> Option<u64> {
        let value = self.values.get(usize::from(register)).copied()?;
        (self.known & 1 << register != 0).then_some(value)
    }

    /// Sets a register; one that is not followed is left alone.
    pub fn set(&mut self, register: u16, value: Option<u64>) {
        if let Some(slot) = self.values.get_mut(usize::from(register)) {
            *slot = value.unwrap_or(0);
            let bit = 1 << register;
            self.known = if value.is_some() { self.known | bit } else { self.known & !bit };
        }
    }
}

/// The copied part of a stack.
#[derive(Clone, Copy, Debug)]
pub struct Window<'a> {
    start: u64,
    bytes: &'a [u8],
}

impl<'a> Window<'a> {
    /// `bytes` lie at `start`.
    pub fn new(start: u64, bytes: &'a [u8]) -> Self {
        Self { start, bytes }
    }

    /// The word at an address; `None` outside.
    pub fn word(&self, address: u64) -> Option<u64> {
        let at = usize::try_from(address.checked_sub(self.start)?).ok()?;
        let word = self.bytes.get(at..at.checked_add(8)?)?;
        Some(u64::from_le_bytes(word.try_into().ok()?))
    }

    /// The first address that was not copied.
    pub fn end(&self) -> u64 {
        self.start.saturating_add(self.bytes.len() as u64)
    }

    /// Whether an address lies in the copy, or where more of the same stack would be.
    pub fn is_above(&self, address: u64) -> bool {
        address >= self.end() && address - self.end() < MOST
    }
}

/// The largest stack that is taken for one: what is farther away is another one.
const MOST: u64 = 64 << 20;
