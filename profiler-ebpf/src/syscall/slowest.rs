//! The slowest calls one by one: a small table per CPU and epoch, no events.
//!
//! In: a slow call whose parts are settled. Out: its place in `SLOWEST`, if it is longer than the shortest
//! there.

use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::macros::map;
use aya_ebpf::maps::PerCpuArray;
use profiler_common::abi::{BEGAN_BEFORE, I386};
use profiler_common::part::PARTS;
use profiler_common::processor::{ARGUMENTS, ARGUMENTS_I386};
use profiler_common::slowest::{KINDS, Slowest, SlowestCall, waits_by_purpose, waits_for_thread};
use profiler_common::user_lock::Holder;
use profiler_state::thread::Thread;

use crate::blame::held;
use crate::peer::last;
use crate::row::longest::{self, Long};
use crate::syscall::{object, registers};
use crate::{global, task};

/// The slowest calls, by the epoch's parity, then by kind.
#[map]
static SLOWEST: PerCpuArray<Slowest> = PerCpuArray::with_max_entries(2 * KINDS as u32, 0);

/// An argument that could not be read: no descriptor and no address.
const UNKNOWN: u64 = u64::MAX;

/// What tells one call from others of its kind.
pub struct One {
    pub nr: u32,
    pub wall_ns: u64,
    pub ret: i64,
    pub regs: u64,
    pub kernel: u64,
    pub user: u64,
}

/// Keeps the call if it is one of the slowest.
#[inline(never)]
pub fn keep(thread: &Thread, call: &One) -> u32 {
    let nr = call.nr & !BEGAN_BEFORE;
    let for_thread = waits_for_thread(nr);
    if waits_by_purpose(nr) && !for_thread {
        return 0;
    }
    let at = (global::epoch() & 1) + 2 * u32::from(for_thread);
    let Some(kept) = SLOWEST.get_ptr_mut(at) else { return 0 };
    // SAFETY: this CPU's own value, of the epoch that user space does not read; only the end of a call comes here.
    let kept = unsafe { &mut *kept };
    let kept = &mut kept[longest::shortest(kept)];
    if call.wall_ns <= kept.wall_ns {
        return 0;
    }
    let ids = bpf_get_current_pid_tgid();
    // Field by field: a whole record is more than the stack has room for before Linux 6.12.
    kept.wall_ns = call.wall_ns;
    kept.enter_ns = thread.enter_ns.get();
    kept.ret = call.ret;
    for index in 0..ARGUMENTS.len() {
        let at = if call.nr & I386 != 0 { ARGUMENTS_I386[index] } else { ARGUMENTS[index] };
        kept.arguments[index] = registers::argument(call.regs, at).unwrap_or(UNKNOWN);
    }
    for part in 0..PARTS {
        kept.parts[part] = thread.parts.ns[part].get();
    }
    kept.kernel = call.kernel;
    kept.user = call.user;
    kept.tgid = (ids >> 32) as u32;
    kept.tid = ids as u32;
    kept.nr = call.nr;
    kept.comm = task::comm(task::current());
    kept.before_ns = if call.nr & BEGAN_BEFORE != 0 { thread.before_ns.get() } else { 0 };
    kept.holder = if for_thread { held::in_call(thread) } else { Holder::default() };
    note_peer(kept);
    object::note(kept, nr);
    0
}

/// Notes from whom the call itself received. The thread's last receive is this call's if it came after the call began, in a
/// call of its number that returned data. (A handler on top of an interrupted call may have received, too.)
#[inline(never)]
fn note_peer(kept: &mut SlowestCall) -> u32 {
    kept.peer = [0; 2];
    let last = last::told(task::current());
    if kept.ret > 0 && last.nr == kept.nr && last.time_ns >= kept.enter_ns {
        kept.peer = last.address;
        kept.peer_port = u64::from(last.port);
    }
    0
}

impl Long for SlowestCall {
    #[inline(always)]
    fn ns(&self) -> u64 {
        self.wall_ns
    }
}
