//! The functions of the security layer that tasks are in.
//!
//! In: the running task's address. Out: its record, by an address that is computed from the task's: a static array costs
//! less than a map. A task keeps its place until another one needs it or it is freed, so that a record is also its
//! process and the target filter's verdict.

use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::helpers::generated::bpf_get_current_task;
use profiler_common::lsm::lasted;
use profiler_common::outcome::Outcome;

use crate::lsm_site::opaque;
use crate::outcome::count;
use crate::target;

/// Functions a task can be in at once.
const DEPTH: usize = 6;
/// Tasks that can be in such functions at once without taking each other's place: a power of two.
const PLACES: usize = 1 << PLACES_SHIFT;
const PLACES_SHIFT: u32 = 13;
/// Bytes of a begin: room is counted in them.
const STEP: u64 = 8;
/// Room of a task that is in no function; of a record that was never used it is 0, which is none.
const EMPTY: u32 = (DEPTH as u32 + 1) * STEP as u32;
/// Begin of the last one there is room for, as an offset.
const LAST: u64 = (DEPTH as u64 - 1) * STEP;

/// One cache line for each task.
#[repr(C, align(64))]
pub struct Open {
    /// The task's address.
    owner: u64,
    /// Its process.
    tgid: u32,
    /// Room that is left, and one more.
    room: u32,
    /// When each began, with its site: see [`profiler_common::lsm::begin_of`]. The outermost is the last.
    begun: [u64; DEPTH],
}

#[unsafe(no_mangle)]
#[unsafe(link_section = ".bss.lsm")]
static mut LSM_OPEN: [Open; PLACES] =
    [const { Open { owner: 0, tgid: 0, room: 0, begun: [0; DEPTH] } }; PLACES];

/// A record. Nobody else writes it meanwhile, but for what interrupts us and leaves it as it was, and tasks that
/// share the place, which the owner tells. So every access is a load or store of its own.
pub type Place = &'static mut Open;

/// The running task.
#[inline(always)]
pub fn running() -> u64 {
    // SAFETY: the helper has no preconditions.
    unsafe { bpf_get_current_task() }
}

/// The place of a task; it may be another's.
#[inline(always)]
pub fn place(task: u64) -> Place {
    // Tasks lie at multiples of 64. A factor of 31 bits is part of an instruction.
    let index = (task.wrapping_mul(0x61c8_8647) >> 24) as usize & (PLACES - 1);
    // SAFETY: the index is masked.
    unsafe { &mut *(&raw mut LSM_OPEN).cast::<Open>().add(index) }
}

impl Open {
    /// Whether it is that task's.
    #[inline(always)]
    pub fn is_of(&self, task: u64) -> bool {
        // SAFETY: a field of ours.
        unsafe { (&raw const self.owner).read_volatile() == task }
    }

    /// Its process.
    #[inline(always)]
    pub fn tgid(&self) -> u32 {
        // SAFETY: as above.
        unsafe { (&raw const self.tgid).read_volatile() }
    }

    #[inline(always)]
    fn room(&self) -> u64 {
        // SAFETY: as above.
        u64::from(unsafe { (&raw const self.room).read_volatile() })
    }

    #[inline(always)]
    fn set_room(&mut self, room: u64) {
        // SAFETY: as above.
        unsafe { (&raw mut self.room).write_volatile(room as u32) };
    }

    #[inline(always)]
    fn begin(&mut self, offset: u64) -> *mut u64 {
        // SAFETY: callers compare the offset with LAST.
        unsafe { (&raw mut self.begun).cast::<u64>().byte_add(offset as usize) }
    }

    /// Where the begin of another function goes; none where there is no room.
    #[inline(always)]
    pub fn push(&mut self) -> Option<*mut u64> {
        let offset = opaque(self.room().wrapping_sub(2 * STEP));
        if offset > LAST {
            return None;
        }
        // First the room, then the begin: what interrupts between the two uses the places above.
        self.set_room(offset + STEP);
        Some(self.begin(offset))
    }

    /// The begin of the function on top, which is in no function any more; none where it is in none.
    #[inline(always)]
    pub fn pop(&mut self) -> Option<u64> {
        let offset = opaque(self.room().wrapping_sub(STEP));
        if offset > LAST {
            return None;
        }
        // SAFETY: the offset is not above LAST.
        let begin = unsafe { self.begin(offset).read_volatile() };
        self.set_room(offset + 2 * STEP);
        Some(begin)
    }
}

/// A function is entered by a task whose place is another's, full or new. None: it is not measured.
#[cold]
#[inline(never)]
pub fn take(task: u64) -> Option<Place> {
    let place = place(task);
    if !place.is_of(task) {
        let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
        if !target::admits_process(tgid) {
            return None;
        }
        // SAFETY: fields of ours.
        unsafe {
            (&raw mut place.owner).write_volatile(task);
            (&raw mut place.tgid).write_volatile(tgid);
        }
    } else if place.room() != 0 {
        // Only left-overs of missed returns fill it; their frames are gone by now.
        count(Outcome::LsmNestingFull, DEPTH as u64);
    }
    place.set_room(u64::from(EMPTY));
    Some(place)
}

/// The kernel frees a task: the next one at its address is another.
#[inline(always)]
pub fn free(task: u64) {
    let place = place(task);
    if place.is_of(task) {
        // SAFETY: a field of ours.
        unsafe { (&raw mut place.owner).write_volatile(0) };
    }
}

/// The function on top, which was taken off, has missed its return, or this one took long: looks from there on.
/// In: what is not below [`profiler_common::lsm::SHORT_NS`], and the begin it was counted from. Out: how long it took,
/// or the maximum when it is not found.
#[cold]
#[inline(never)]
pub fn search(difference: u64, begin: u64) -> u64 {
    let end = difference.wrapping_add(begin);
    let place = place(running());
    let top = place.room().wrapping_sub(2 * STEP);
    for steps in 0..DEPTH as u64 {
        let offset = opaque(top.wrapping_add(steps * STEP));
        if offset > LAST {
            break;
        }
        // SAFETY: the offset is not above LAST.
        if let Some(ns) = lasted(end.wrapping_sub(unsafe { place.begin(offset).read_volatile() })) {
            if steps > 0 {
                count(Outcome::LsmReturnMissed, steps);
            }
            place.set_room(offset + 2 * STEP);
            return ns;
        }
    }
    place.set_room(top.wrapping_add(STEP));
    u64::MAX
}

/// Ours was the time of the running task, not of the functions that it is in.
#[inline(always)]
pub fn excuse(spent_ns: u64) {
    let task = running();
    let place = place(task);
    if place.is_of(task) {
        for begin in &mut place.begun {
            *begin = begin.wrapping_add(spent_ns);
        }
    }
}
