//! Per-thread state: in task storage, or in a preallocated hash by the task's address where the kernel
//! has no task storage (before 5.12).
//!
//! In: a task. Out: its record, made where that is safe. The hash's entries are freed with their task.

use aya_ebpf::bindings::{BPF_LOCAL_STORAGE_GET_F_CREATE, BPF_NOEXIST};
use aya_ebpf::helpers::generated::bpf_task_storage_get;
use aya_ebpf::macros::{btf_map, map};
use aya_ebpf::maps::{Array, HashMap};
use profiler_common::outcome::Outcome;
use profiler_state::thread::Thread;

use crate::global;
use crate::outcome::{busy, count};
use crate::task::{self, Task};
use crate::thread::storage::TaskStorage;

/// Per-thread state.
#[btf_map]
static THREADS: TaskStorage<Thread> = TaskStorage::new();
/// Per-thread state by the task's address, for kernels without task storage; one entry elsewhere.
#[map]
static TASKS: HashMap<u64, Thread> = HashMap::with_max_entries(16_384, 0);
/// New entries of `TASKS` are copied from this: a record is too large for a program's stack. It is never written.
#[map]
static NEW_THREAD: Array<Thread> = Array::with_max_entries(1, 0);

/// The thread's state, if it has one. It stays valid as long as the program runs. Other programs use it at the same time:
/// those that interrupt this one, and those on other CPUs that wake the thread.
#[inline(always)]
pub fn get(task: Task) -> Option<&'static Thread> {
    if global::task_storage() != 0 { stored(task, 0) } else { hashed(task::address(task)) }
}

/// The thread's state, made if it has none. This allocates, so call it only where that is safe.
#[inline(always)]
pub fn get_or_create(task: Task) -> Option<&'static Thread> {
    let thread = if global::task_storage() != 0 {
        stored(task, u64::from(BPF_LOCAL_STORAGE_GET_F_CREATE))
    } else {
        let address = task::address(task);
        hashed(address).or_else(|| insert(address))
    };
    if thread.is_none() {
        count(Outcome::ThreadStateFull, 1);
    }
    thread
}

/// The task at `address` is freed by the kernel: its state goes. Task storage does that by itself.
#[inline(always)]
pub fn free(address: u64) {
    let _ = busy(|| TASKS.remove(&address));
}

#[inline(always)]
fn stored(task: Task, flags: u64) -> Option<&'static Thread> {
    // SAFETY: the helper returns null, or a value of the map that is freed with its task and an RCU grace period, which
    // this program's run does not outlive. Any bits are a `Thread`; all its words are fields that may be shared.
    unsafe {
        bpf_task_storage_get(THREADS.as_ptr(), task, core::ptr::null_mut(), flags).cast::<Thread>().as_ref()
    }
}

#[inline(always)]
fn hashed(address: u64) -> Option<&'static Thread> {
    // SAFETY: the value's memory is the map's for good. Its entry is removed when the kernel frees the task, whom no
    // program can name any more then. Any bits are a `Thread`; all its words are fields that may be shared.
    TASKS.get_ptr(&address).map(|thread| unsafe { &*thread })
}

#[inline(always)]
fn insert(address: u64) -> Option<&'static Thread> {
    let new = NEW_THREAD.get(0)?;
    let _ = busy(|| TASKS.insert(&address, new, u64::from(BPF_NOEXIST)));
    hashed(address)
}
