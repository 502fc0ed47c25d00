//! Memory that is free goes back to the kernel early: a recording lives beside a sick service, and writing the results
//! frees in large pieces what the next file takes anew.
//!
//! In: nothing. Out: how the C library's allocator behaves from here on.

/// Blocks from here on, bytes, are mapped each for itself, and unmapped when they are freed.
#[cfg(target_env = "gnu")]
const MAPPED: libc::c_int = 64 << 10;
/// So many free bytes at the end of the heap stay with us.
#[cfg(target_env = "gnu")]
const KEPT: libc::c_int = 128 << 10;

/// Gives memory back early. By default the C library raises both limits with what a program frees, up to 32 MiB.
pub fn give_back_early() {
    #[cfg(target_env = "gnu")]
    // SAFETY: they set numbers of the allocator, under its own lock.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED);
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT);
    }
}
