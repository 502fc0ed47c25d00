//! What is known of a fault beside registers and stack.
//!
//! In: the running task, a `siginfo`. Out: the head of this CPU's buffer.

use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use profiler_common::crash::{UNKNOWN, how};
use profiler_common::processor::WHERE;

use crate::clock::now_ns;
use crate::crash::{area, buffer};
use crate::global::offset;
use crate::peer::last;
use crate::target::cgroup;
use crate::task::read::read;
use crate::task::{self, number};

/// `RLIMIT_CORE`: each limit is two words.
const CORE: u64 = 4 * 16;
/// In a `siginfo` (include/uapi/asm-generic/siginfo.h), as words: the code in the low half of the second, then an address or
/// a pid, and behind it the call that seccomp refused.
const CODE: usize = 1;
const ADDRESS: usize = 2;
const CALL: usize = 3;

/// The signal that ends the running process; 0: none does.
#[inline(always)]
pub fn group_signal() -> u32 {
    if offset!(task_signal) == 0 {
        return 0;
    }
    let signal = field(task::address(task::current()), offset!(task_signal));
    read::<u32>(signal + offset!(signal_exit_code) as u64).map_or(0, |code| code & 0x3f)
}

/// A pointer or word of a structure; [`UNKNOWN`] cannot be read from either.
#[inline(always)]
pub fn field(base: u64, offset: usize) -> u64 {
    read(base + offset as u64).unwrap_or(UNKNOWN)
}

/// A global function: the verifier walks it once.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn fault_head(signal: u32, siginfo: u64, how: u32) -> u32 {
    let Some(buffer) = buffer::buffer() else { return 0 };
    let head = &mut buffer.head;
    let ids = bpf_get_current_pid_tgid();
    let current = task::current();
    (head.tgid, head.tid) = ((ids >> 32) as u32, ids as u32);
    (head.how, head.signal, head.time_ns) = (how, signal, now_ns());
    head.comm = task::comm(current);
    head.received = last::told(current);
    head.cgroup = cgroup::own_id(current);
    let words = if how == how::KILLED { [0; 4] } else { read::<[u64; 4]>(siginfo).unwrap_or([0; 4]) };
    (head.code, head.address, head.call) = (words[CODE] as i32, words[ADDRESS], words[CALL] as u32);
    let task = task::address(current);
    head.parent = parent(task);
    head.inner_tid = number::innermost(task);
    head.inner_tgid = number::innermost(task::address(task::leader(current)));
    head.core_limit = core_limit(task);
    head.mm_flags = if offset!(mm_flags) == 0 { UNKNOWN } else { field(memory(task), offset!(mm_flags)) };
    0
}

#[inline(always)]
fn memory(task: u64) -> u64 {
    field(task, offset!(task_mm))
}

#[inline(always)]
fn parent(task: u64) -> u32 {
    if offset!(task_parent) == 0 {
        return 0;
    }
    read(field(task, offset!(task_parent)) + offset!(task_tgid) as u64).unwrap_or(0)
}

#[inline(always)]
fn core_limit(task: u64) -> u64 {
    if offset!(signal_limits) == 0 || offset!(task_signal) == 0 {
        return UNKNOWN;
    }
    field(field(task, offset!(task_signal)) + CORE, offset!(signal_limits))
}

/// The mappings of instruction and address. A global function, as above.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn fault_areas() -> u32 {
    let Some(buffer) = buffer::buffer() else { return 0 };
    let memory = if offset!(task_mm) == 0 { UNKNOWN } else { memory(task::address(task::current())) };
    let (ip, address) = (buffer.head.registers[WHERE[0] as usize / 8], buffer.head.address);
    area::fault_area(area::INSTRUCTION, memory, ip);
    area::fault_area(area::ADDRESS, memory, address);
    0
}
