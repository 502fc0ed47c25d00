//! Processes that user space is told of: once when they get their first row, and again with each new image.
//!
//! In: the running process. Out: an event in the ring buffer.

use aya_ebpf::bindings::{BPF_NOEXIST, BPF_RB_FORCE_WAKEUP};
use aya_ebpf::helpers::generated::bpf_ringbuf_output;
use aya_ebpf::macros::map;
use aya_ebpf::maps::HashMap;
use profiler_common::COMM_BYTES;
use profiler_common::event::{PROCESS, ProcessEvent};
use profiler_common::outcome::Outcome;

use crate::clock::now_ns;
use crate::event::EVENTS;
use crate::global::{self, offset};
use crate::outcome::{busy, count};
use crate::target::cgroup;
use crate::task;
use crate::task::read::read;

/// Processes user space knows.
#[map]
pub static PROCESSES: HashMap<u32, u8> = HashMap::with_max_entries(32_768, 0);

/// Tells user space of the running process the first time it gets a row.
#[inline(always)]
pub fn process(tgid: u32) {
    // SAFETY: the value is not read.
    if unsafe { PROCESSES.get(&tgid) }.is_none()
        && busy(|| PROCESSES.insert(&tgid, &1, u64::from(BPF_NOEXIST))).is_ok()
    {
        send(tgid);
    }
}

/// A global function: for each pointer that is followed, verifiers since 6.3 search all of the kernel's types by name,
/// which they shall do once in a program, and not for every way there.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn send(tgid: u32) -> u32 {
    let task = task::current();
    let named = if global::have_offsets() == 0 { task } else { task::leader(task) };
    let mut event = ProcessEvent {
        tag: PROCESS,
        tgid,
        time_ns: now_ns(),
        cgroup: cgroup::own_id(task),
        comm: read(task::address(named) + offset!(task_comm) as u64).unwrap_or([0; COMM_BYTES]),
    };
    // SAFETY: the event is on the stack, and as long as said.
    unsafe {
        let sent = busy(|| {
            bpf_ringbuf_output(
                (&raw const EVENTS).cast_mut().cast(),
                (&raw mut event).cast(),
                size_of::<ProcessEvent>() as u64,
                // As for user stacks: a silent record before it must not hold it back.
                u64::from(BPF_RB_FORCE_WAKEUP),
            )
        });
        if sent != 0 {
            count(Outcome::EventRingFull, 1);
        }
    }
    0
}
