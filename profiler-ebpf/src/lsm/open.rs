//! The functions of the security layer that tasks are in.
//!
//! In: the running task's address. Out: its record in a static array, at an index computed from that address: an array
//! costs less than a map. A task keeps its record until another task needs it or the task is freed. So the record also
//! holds the task's process and the target filter's verdict.

use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::helpers::generated::bpf_get_current_task;
use profiler_common::lsm::lasted;
use profiler_common::outcome::Outcome;
use profiler_state::field::Field;

use crate::lsm::site::opaque;
use crate::outcome::count;
use crate::target::filter;

/// How many functions a task can be in at once.
const DEPTH: usize = 6;
/// Number of records, a power of two. Two tasks can share one.
const PLACES: usize = 1 << PLACES_SHIFT;
const PLACES_SHIFT: u32 = 13;
/// Bytes of a begin: room is counted in them.
const STEP: u64 = 8;
/// Room of a task that is in no function; of a record that was never used it is 0, which is none.
const EMPTY: u32 = (DEPTH as u32 + 1) * STEP as u32;
/// Offset of the last begin that there is room for.
const LAST: u64 = (DEPTH as u64 - 1) * STEP;

/// One cache line for each task. Two tasks can share a line: if they run at the same time on two CPUs, each
/// takes it from the other, and `owner` says whose it is. A return whose line was taken meanwhile is counted
/// as unmatched. An interrupt uses the places above the task's own, and leaves the record as it was.
#[repr(C, align(64))]
pub struct Open {
    /// The task's address.
    owner: Field<u64>,
    /// Its process.
    tgid: Field<u32>,
    /// Room that is left, plus one.
    room: Field<u32>,
    /// When each began, with its site: see [`profiler_common::lsm::begin_of`]. The outermost is the last.
    begun: [Field<u64>; DEPTH],
}

#[unsafe(no_mangle)]
#[unsafe(link_section = ".bss.lsm")]
static LSM_OPEN: [Open; PLACES] = [const {
    Open {
        owner: Field::new(0),
        tgid: Field::new(0),
        room: Field::new(0),
        begun: [const { Field::new(0) }; DEPTH],
    }
}; PLACES];

/// A record.
pub type Record = &'static Open;

/// The running task.
#[inline(always)]
pub fn running() -> u64 {
    // SAFETY: the helper has no preconditions.
    unsafe { bpf_get_current_task() }
}

/// The place of a task; it may be another's.
#[inline(always)]
pub fn place(task: u64) -> Record {
    // Tasks lie at multiples of 64. A factor of 31 bits is part of an instruction.
    let index = (task.wrapping_mul(0x61c8_8647) >> 24) as usize & (PLACES - 1);
    &LSM_OPEN[index]
}

impl Open {
    /// Whether it is that task's.
    #[inline(always)]
    pub fn is_of(&self, task: u64) -> bool {
        self.owner.get() == task
    }

    /// Its process.
    #[inline(always)]
    pub fn tgid(&self) -> u32 {
        self.tgid.get()
    }

    #[inline(always)]
    fn room(&self) -> u64 {
        u64::from(self.room.get())
    }

    #[inline(always)]
    fn set_room(&self, room: u64) {
        self.room.set(room as u32);
    }

    /// # Safety
    /// The offset is a multiple of [`STEP`] not above [`LAST`].
    #[inline(always)]
    unsafe fn begin(&self, offset: u64) -> &Field<u64> {
        // SAFETY: by the caller's promise, one of the array's.
        unsafe { &*(&raw const self.begun).cast::<Field<u64>>().byte_add(offset as usize) }
    }

    /// Where the begin of another function goes; none where there is no room.
    #[inline(always)]
    pub fn push(&self) -> Option<&Field<u64>> {
        let offset = opaque(self.room().wrapping_sub(2 * STEP));
        if offset > LAST {
            return None;
        }
        // First the room, then the begin: what interrupts between the two uses the places above.
        self.set_room(offset + STEP);
        // SAFETY: rooms are multiples of STEP, and the offset is not above LAST.
        Some(unsafe { self.begin(offset) })
    }

    /// Takes off the function on top, and returns its begin; none if the task is in no function.
    #[inline(always)]
    pub fn pop(&self) -> Option<u64> {
        let offset = opaque(self.room().wrapping_sub(STEP));
        if offset > LAST {
            return None;
        }
        // SAFETY: as in `push`.
        let begin = unsafe { self.begin(offset) }.get();
        self.set_room(offset + 2 * STEP);
        Some(begin)
    }
}

/// A task enters a function, and its record belongs to another task, is full, or is new. None: the task is
/// not measured.
#[cold]
#[inline(never)]
pub fn take(task: u64) -> Option<Record> {
    let place = place(task);
    if !place.is_of(task) {
        let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
        if !filter::admits_process(tgid) {
            return None;
        }
        place.owner.set(task);
        place.tgid.set(tgid);
    } else if place.room() != 0 {
        // Only left-overs of missed returns fill it; their frames are gone by now.
        count(Outcome::LsmNestingFull, DEPTH as u64);
    }
    place.set_room(u64::from(EMPTY));
    Some(place)
}

/// The kernel frees a task: another task may get its address.
#[inline(always)]
pub fn free(task: u64) {
    let place = place(task);
    if place.is_of(task) {
        place.owner.set(0);
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
        // SAFETY: as in `push`.
        if let Some(ns) = lasted(end.wrapping_sub(unsafe { place.begin(offset) }.get())) {
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
        for begin in &place.begun {
            begin.add(spent_ns);
        }
    }
}
