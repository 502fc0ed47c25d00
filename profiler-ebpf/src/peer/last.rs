//! What each thread received last, beside its record, which has no room for it.
//!
//! In: a task. Out: its last receive: in task storage, or in a preallocated hash by the task's address where the kernel has
//! no task storage (before 5.12). It is made at a thread's first receive, and freed with the task.

use aya_ebpf::bindings::{BPF_LOCAL_STORAGE_GET_F_CREATE, BPF_NOEXIST};
use aya_ebpf::helpers::generated::bpf_task_storage_get;
use aya_ebpf::macros::{btf_map, map};
use aya_ebpf::maps::HashMap;
use profiler_common::outcome::Outcome;
use profiler_common::peer::LastReceive;
use profiler_state::peer::LastPeer;

use crate::global;
use crate::outcome::{busy, count};
use crate::task::{self, Task};
use crate::thread::storage::TaskStorage;

/// Last receives.
#[btf_map]
static LAST_PEERS: TaskStorage<LastPeer> = TaskStorage::new();
/// The same by the task's address, for kernels without task storage; one entry elsewhere.
#[map]
static PEER_TASKS: HashMap<u64, LastPeer> = HashMap::with_max_entries(16_384, 0);

const NONE: LastReceive = LastReceive { address: [0; 2], time_ns: 0, port: 0, nr: 0 };

/// The thread's last receive, if it has received.
#[inline(always)]
pub fn get(task: Task) -> Option<&'static LastPeer> {
    if global::task_storage() != 0 { stored(task, 0) } else { hashed(task::address(task)) }
}

/// The same, made if the thread has not received yet: this allocates.
#[inline(always)]
pub fn get_or_create(task: Task) -> Option<&'static LastPeer> {
    let last = if global::task_storage() != 0 {
        stored(task, u64::from(BPF_LOCAL_STORAGE_GET_F_CREATE))
    } else {
        let address = task::address(task);
        hashed(address).or_else(|| insert(address))
    };
    if last.is_none() {
        count(Outcome::PeerStateFull, 1);
    }
    last
}

/// What user space is told of it.
#[inline(always)]
pub fn told(task: Task) -> LastReceive {
    match get(task) {
        Some(last) => last.told(),
        None => NONE,
    }
}

/// The task at `address` is freed by the kernel.
#[inline(always)]
pub fn free(address: u64) {
    let _ = busy(|| PEER_TASKS.remove(&address));
}

#[inline(always)]
fn stored(task: Task, flags: u64) -> Option<&'static LastPeer> {
    // SAFETY: the helper returns null, or a value of the map that is freed with its task and an RCU grace period, which
    // this program's run does not outlive. Any bits are a `LastPeer`; all its words are fields that may be shared.
    unsafe {
        bpf_task_storage_get(LAST_PEERS.as_ptr(), task, core::ptr::null_mut(), flags)
            .cast::<LastPeer>()
            .as_ref()
    }
}

#[inline(always)]
fn hashed(address: u64) -> Option<&'static LastPeer> {
    // SAFETY: the value's memory is the map's for good. Its entry is removed when the kernel frees the task, whom no
    // program can name any more then. Any bits are a `LastPeer`; all its words are fields that may be shared.
    PEER_TASKS.get_ptr(&address).map(|last| unsafe { &*last })
}

#[inline(always)]
fn insert(address: u64) -> Option<&'static LastPeer> {
    // SAFETY: all words are integers, and zeros are their value.
    let new: LastPeer = unsafe { core::mem::zeroed() };
    let _ = busy(|| PEER_TASKS.insert(&address, &new, u64::from(BPF_NOEXIST)));
    hashed(address)
}
