//! One word of a record that several programs share.
//!
//! In: a value. Out: the same value. Each access is one load or store of an aligned word, so a program that interrupts this
//! one, or runs on another CPU, never sees half of a value.

use core::cell::UnsafeCell;

mod sealed {
    /// Integers that the processor loads and stores in one instruction.
    pub trait Word: Copy {}
    impl Word for u16 {}
    impl Word for u32 {}
    impl Word for u64 {}
}
pub use sealed::Word;

/// One word. Its changes are not ordered with those of other words, and a change in two steps ([`Field::add`]) can lose
/// what another program adds in between: a field that counts has one writer.
#[repr(transparent)]
pub struct Field<T>(UnsafeCell<T>);

// SAFETY: every access is volatile and of an aligned word, which is one load or store instruction of BPF, never torn. The
// kernel's memory model allows such accesses to race (`READ_ONCE`, `WRITE_ONCE`). Rust has no atomics of
// less than 64 bits for BPF.
unsafe impl<T: Word> Sync for Field<T> {}

impl<T: Word> Field<T> {
    /// A field with this value.
    #[inline(always)]
    pub const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// Its value.
    #[inline(always)]
    pub fn get(&self) -> T {
        // SAFETY: the pointer is that of a live, aligned word; nobody has a reference to it.
        unsafe { self.0.get().read_volatile() }
    }

    /// Changes its value.
    #[inline(always)]
    pub fn set(&self, value: T) {
        // SAFETY: as in `get`.
        unsafe { self.0.get().write_volatile(value) };
    }
}

impl Field<u64> {
    /// Each gets the other's value.
    #[inline(always)]
    pub fn exchange(&self, other: &Self) {
        let value = self.get();
        self.set(other.get());
        other.set(value);
    }

    /// Adds to its value.
    #[inline(always)]
    pub fn add(&self, amount: u64) {
        self.set(self.get().wrapping_add(amount));
    }
}

impl Field<u32> {
    /// Adds to its value.
    #[inline(always)]
    pub fn add(&self, amount: u32) {
        self.set(self.get().wrapping_add(amount));
    }
}
