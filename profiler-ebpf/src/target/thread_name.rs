//! Threads of the target by their own names.
//!
//! In: a task. Out: whether its name matches one of the patterns that user space compiled.

use profiler_common::glob::{GLOBS, Glob, matches};

use crate::global;
use crate::task::{self, Task};

#[unsafe(no_mangle)]
static THREAD_GLOBS: [Glob; GLOBS] = [Glob::NONE; GLOBS];

/// Whether the thread has one of the names.
#[inline(always)]
pub fn selected(task: Task) -> bool {
    let name = task::comm(task);
    for index in 0..GLOBS as u32 {
        if index >= global::thread_count() {
            return false;
        }
        if name_matches(index, name[0], name[1]) != 0 {
            return true;
        }
    }
    false
}

/// A global function: the verifier walks its loop once, not once for every caller.
#[unsafe(no_mangle)]
#[inline(never)]
fn name_matches(index: u32, low: u64, high: u64) -> u32 {
    if index as usize >= GLOBS {
        return 0;
    }
    // SAFETY: below the length of the array. Volatile because the loader changes it.
    let glob = unsafe { (&raw const THREAD_GLOBS).cast::<Glob>().add(index as usize) };
    // SAFETY: its fields; a byte is below the length of the table.
    let (gaps, whole) =
        unsafe { ((&raw const (*glob).gaps).read_volatile(), (&raw const (*glob).whole).read_volatile()) };
    // SAFETY: as above.
    let next =
        |byte: u8| unsafe { (&raw const (*glob).next).cast::<u16>().add(usize::from(byte)).read_volatile() };
    u32::from(matches([low, high], gaps, whole, next))
}
