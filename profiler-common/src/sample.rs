//! The `cpu` probe's records.
//!
//! In: timer samples. Out: sample counts per (process, kernel stack, user stack).

/// Key of a row of CPU samples.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SampleKey {
    /// Process.
    pub tgid: u32,
    /// The one writer of this row, see [`crate::writer`].
    pub writer: u32,
    /// Kernel stack; 0 when the sample hit user code.
    pub kernel: u64,
    /// User stack; 0 for kernel threads.
    pub user: u64,
}
crate::shared_record!(SampleKey, 24);
