//! Switches that are ignored on purpose, of 1,000: only in the object that tests and benches load.
//!
//! In: two globals that the loader of that object writes. Out: how many to ignore; none in the tool's own object.

#[cfg(feature = "lab")]
#[unsafe(no_mangle)]
static IGNORE_SWITCHES: u32 = 0;
#[cfg(feature = "lab")]
#[unsafe(no_mangle)]
static IGNORE_ARRIVALS: u32 = 0;

/// Switches to ignore.
#[cfg(feature = "lab")]
#[inline(always)]
pub fn ignore_switches() -> u32 {
    // SAFETY: a static of this object; volatile because the loader changes it.
    unsafe { core::ptr::read_volatile(&raw const IGNORE_SWITCHES) }
}

/// Switches to ignore on the side of the thread that is switched in.
#[cfg(feature = "lab")]
#[inline(always)]
pub fn ignore_arrivals() -> u32 {
    // SAFETY: as above.
    unsafe { core::ptr::read_volatile(&raw const IGNORE_ARRIVALS) }
}

/// The tool's own object ignores nothing.
#[cfg(not(feature = "lab"))]
#[inline(always)]
pub fn ignore_switches() -> u32 {
    0
}

/// The tool's own object ignores nothing on the side of the thread that is switched in either.
#[cfg(not(feature = "lab"))]
#[inline(always)]
pub fn ignore_arrivals() -> u32 {
    0
}
