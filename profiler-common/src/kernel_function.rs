//! Functions of the kernel that programs call, and that not every kernel has.
//!
//! In: nothing. Out: the numbers that stand for them in the object, where a helper's number would. The loader puts the kernel's
//! own number there, or an instruction that does nothing.

/// From here on the running thread keeps its CPU (`bpf_preempt_disable`).
pub const HOLD_CPU: i32 = 0x4b46_4e01;
/// From here on it may lose its CPU again (`bpf_preempt_enable`).
pub const RELEASE_CPU: i32 = 0x4b46_4e02;
