//! Stacks: how they are keyed and how their frames travel.
//!
//! In: raw addresses. Out: a 64-bit id that is a strong hash of all frames (and, for user
//! stacks, of the process), so that different stacks are never merged.

/// Frames a stack record holds at most (the kernel's `perf_event_max_stack` default).
pub const FRAMES: usize = 127;

/// No stack: not taken, or not to be had (then counted as missing).
pub const NO_STACK: u64 = 0;

/// The stack of a user-space process.
pub const USER: u32 = 1;
/// The stack of kernel code.
pub const KERNEL: u32 = 0;

/// What precedes the frames in a stack event; `frames` addresses of 8 bytes follow.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct StackHead {
    /// [`crate::event::STACK`].
    pub tag: u32,
    /// The process for a user stack; 0 for a kernel stack, which belongs to no process.
    pub tgid: u32,
    /// The key that rows refer to.
    pub id: u64,
    /// [`KERNEL`] or [`USER`].
    pub space: u32,
    /// How many addresses follow.
    pub frames: u32,
}
crate::shared_record!(StackHead, 24);

/// The start value of a stack's hash: the process (0 for kernel stacks) and the space.
#[inline(always)]
pub const fn seed(tgid: u32, space: u32) -> u64 {
    0x9e37_79b9_7f4a_7c15 ^ ((tgid as u64) << 1 | space as u64)
}

/// Folds one address into the hash: one round of a 64-bit multiply and xor-shift mixer.
#[inline(always)]
pub const fn mix(hash: u64, address: u64) -> u64 {
    let hash = (hash ^ address).wrapping_mul(0xff51_afd7_ed55_8ccd);
    (hash ^ (hash >> 32)).wrapping_add(0x9e37_79b9_7f4a_7c15)
}

/// Ends the hash; never [`NO_STACK`].
#[inline(always)]
pub const fn finish(hash: u64) -> u64 {
    let hash = (hash ^ (hash >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = hash ^ (hash >> 32);
    if hash == NO_STACK { 1 } else { hash }
}
