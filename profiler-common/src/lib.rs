//! The contract between the kernel side and user space.
//!
//! In: nothing. Out: plain `#[repr(C)]` records with explicit padding, the closed list of
//! outcomes, and the arithmetic both sides must agree on (histogram buckets, stack hash).
//! Kernel terms here: `tid` is a thread, `tgid` a process (what users call the pid).
#![no_std]

pub mod event;
pub mod histogram;
pub mod lock;
pub mod outcome;
pub mod sample;
pub mod stack;
pub mod syscall;

/// Bytes of a task's command name, NUL padded (`TASK_COMM_LEN`).
pub const COMM_BYTES: usize = 16;

/// Asserts the size and alignment of a shared record at compile time and, in user space, lets
/// aya read it as plain old data.
#[macro_export]
macro_rules! shared_record {
    ($name:ty, $size:expr) => {
        const _: () = assert!(core::mem::size_of::<$name>() == $size);
        const _: () = assert!(core::mem::align_of::<$name>() <= 8);
        // SAFETY: the record is `repr(C)`, has no implicit padding (its size is asserted above to
        // be the sum of its fields) and every bit pattern of its integers is a value.
        #[cfg(feature = "user")]
        unsafe impl aya::Pod for $name {}
    };
}
