//! Copies of user stacks: what it takes to unwind one by tables.
//!
//! In: a thread's user registers and the top of its stack. Out: a record of the ring of copies.

use crate::processor::REGISTER_WORDS;
use crate::stack::{finish, mix};

/// Bytes of a stack that are copied at most. A mask of the verifier's: 8-byte words below 32 KiB.
pub const STACK_BYTES: u32 = 0x7ff8;
/// The fewest that may be asked for.
pub const STACK_BYTES_LEAST: u32 = 512;

/// The thread was in a system call: its leaf is a return address, too.
pub const IN_CALL: u32 = 1;

/// What precedes the copied bytes, which begin at the stack pointer.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct CopyHead {
    /// Process.
    pub tgid: u32,
    /// Thread.
    pub tid: u32,
    /// [`IN_CALL`], or 0.
    pub flags: u32,
    /// How many bytes follow.
    pub bytes: u32,
    /// What rows refer to instead of a stack: user space puts the stack's own id in its place.
    pub id: u64,
    /// The same stack as the kernel walks it by frame pointers.
    pub list: u64,
    /// When, monotonic ns.
    pub time_ns: u64,
    /// The user registers, as `pt_regs` has them.
    pub registers: [u64; REGISTER_WORDS],
}
crate::shared_record!(CopyHead, 40 + 8 * REGISTER_WORDS);

/// Frames of a stack that can be known again.
pub const SLOTS: usize = 48;

/// A stack that was unwound: which words of it are the return addresses. As long as they are the same, so is the stack.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct KnownStack {
    /// The stack's id.
    pub id: u64,
    /// [`known_hash`] of the words.
    pub hash: u64,
    /// How many there are.
    pub slots: u32,
    /// Nothing.
    pub pad: u32,
    /// Where they are, in words from the stack pointer.
    pub words: [u16; SLOTS],
}
crate::shared_record!(KnownStack, 24 + 2 * SLOTS);

/// The key of a known stack: the kernel's walk, which begins with the instruction, and the stack pointer, which no two
/// threads share.
#[inline(always)]
pub const fn known_key(list: u64, stack_pointer: u64) -> u64 {
    mix(list, stack_pointer)
}

/// Ends the hash of its words with its id: a record that is read while it changes fits nothing.
#[inline(always)]
pub const fn known_hash(words: u64, id: u64) -> u64 {
    finish(mix(words, id))
}
