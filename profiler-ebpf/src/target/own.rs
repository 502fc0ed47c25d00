//! The profiler's own children, which read foreign files: like the profiler itself, they are not measured.
//!
//! In: forks of the profiler, ends of processes. Out: whether a process is one of them. A child that has no
//! room in the table is measured.

/// At once: one that looks, one that names, one that answers a question.
const CHILDREN: usize = 4;

/// No process has this number; 0 is the idle task's.
const NOBODY: u32 = u32::MAX;

/// Their numbers. Written by the profiler's own threads and by ends.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".data.children")]
static mut CHILDREN_TGIDS: [u32; CHILDREN] = [NOBODY; CHILDREN];

/// The place of one; `index` is a constant below [`CHILDREN`].
#[inline(always)]
fn place(index: usize) -> *mut u32 {
    // SAFETY: `index` is below CHILDREN by the callers' constant loops.
    unsafe { (&raw mut CHILDREN_TGIDS).cast::<u32>().add(index) }
}

/// Whether a process is a child of the profiler.
#[inline(always)]
pub fn is_child(tgid: u32) -> bool {
    let mut is = false;
    for index in 0..CHILDREN {
        // SAFETY: an aligned word inside the array; others write it whole.
        is |= unsafe { place(index).read_volatile() } == tgid;
    }
    is
}

/// The profiler made a child.
#[inline(always)]
pub fn begins(tgid: u32) {
    for index in 0..CHILDREN {
        // SAFETY: as above.
        unsafe {
            if place(index).read_volatile() == NOBODY {
                place(index).write_volatile(tgid);
                return;
            }
        }
    }
}

/// A process ended.
#[inline(always)]
pub fn ends(tgid: u32) {
    for index in 0..CHILDREN {
        // SAFETY: as above.
        unsafe {
            if place(index).read_volatile() == tgid {
                place(index).write_volatile(NOBODY);
            }
        }
    }
}
