//! A thread takes a signal.
//!
//! In: the signal, its `siginfo`, the action. Out: a record in the ring of faults, or with the thread's caught ones.

use aya_ebpf::bindings::BPF_RB_FORCE_WAKEUP;
use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::helpers::generated::{bpf_probe_read_kernel, bpf_ringbuf_output};
use aya_ebpf::macros::map;
use aya_ebpf::maps::Array;
use core::ffi::c_void;
use profiler_common::copy::STACK_BYTES;
use profiler_common::crash::{FATAL, FaultHead, STACK_BYTES_LATER, WHOLE, how};
use profiler_common::outcome::Outcome;
use profiler_common::processor::{REGISTER_WORDS, STACK_POINTER};

use crate::crash::buffer::{Buffer, FAULTS, buffer};
use crate::crash::{caught, goroutine, head};
use crate::global;
use crate::outcome::{busy, count};
use crate::process::announce;
use crate::stack::window;
use crate::target::filter;
use crate::task;
use crate::task::read::read;
use crate::task::registers;

/// How many faults were told.
#[map]
static FAULTS_TOLD: Array<u32> = Array::with_max_entries(1, 0);

/// `SIGKILL`: what all threads of a process get that is to end.
const KILL: u32 = 9;
/// `SIG_DFL`, `SIG_IGN` (include/uapi/asm-generic/signal-defs.h); all above are handlers.
const DEFAULT: u64 = 0;
const IGNORED: u64 = 1;

/// The running thread takes a signal. Most signals are left after two comparisons.
#[inline(always)]
pub fn deliver(signal: u32, siginfo: u64, action: u64) {
    if signal >= 64 || signal != KILL && FATAL & 1 << signal == 0 || global::have_offsets() == 0 {
        return;
    }
    if !filter::admits_running(task::current()) {
        return;
    }
    if signal == KILL {
        killed();
    } else if let Some(handler) = read::<u64>(action) {
        match handler {
            DEFAULT => take(signal, siginfo, how::DIES),
            IGNORED => {}
            _ => take(signal, siginfo, how::CAUGHT),
        }
    }
}

/// The process ends, for what another thread did or somebody sent. What was sent is the group's exit code.
#[inline(always)]
fn killed() {
    let ids = bpf_get_current_pid_tgid();
    let tid = ids as u32;
    caught::forget(tid);
    let signal = head::group_signal();
    if tid == (ids >> 32) as u32 && signal != 0 && FATAL & 1 << signal == 0 {
        take(signal, 0, how::KILLED);
    }
}

#[inline(always)]
fn take(signal: u32, siginfo: u64, how: u32) {
    if fault_filled(signal, siginfo, how) == 0 {
        count(Outcome::FaultUntold, 1);
    }
}

/// Fills the buffer and sends it; 0: it was lost. A global function: the verifier walks it once.
#[unsafe(no_mangle)]
#[inline(never)]
fn fault_filled(signal: u32, siginfo: u64, how: u32) -> u32 {
    head::fault_head(signal, siginfo, how);
    let Some(buffer) = buffer() else { return 0 };
    // SAFETY: the buffer holds as many words.
    let failed = unsafe {
        bpf_probe_read_kernel(
            (&raw mut buffer.head.registers).cast(),
            (8 * REGISTER_WORDS) as u32,
            registers::of_current() as *const c_void,
        )
    };
    if failed != 0 {
        return 0;
    }
    head::fault_areas();
    let sp = buffer.head.registers[STACK_POINTER / 8];
    let bytes = window::read(&mut buffer.stack, &mut buffer.head.bytes, sp, wanted(how));
    buffer.head.bytes = bytes;
    goroutine::fault_goroutine();
    announce::process(buffer.head.tgid);
    if how == how::CAUGHT {
        count(Outcome::FaultCaught, 1);
        return caught::keep();
    }
    u32::from(send(buffer, bytes))
}

/// How much of the stack is wanted.
#[inline(always)]
fn wanted(how: u32) -> u32 {
    let Some(told) = FAULTS_TOLD.get_ptr_mut(0) else { return STACK_BYTES_LATER };
    // SAFETY: an aligned word. Two CPUs at once may count one: then one fault more has all of its stack.
    unsafe {
        if how == how::CAUGHT || *told >= WHOLE {
            return STACK_BYTES_LATER;
        }
        *told += 1;
    }
    STACK_BYTES
}

#[inline(always)]
fn send(buffer: &mut Buffer, bytes: u32) -> bool {
    let length = size_of::<FaultHead>() as u64 + u64::from(bytes & STACK_BYTES);
    let ring = (&raw const FAULTS).cast_mut().cast();
    // SAFETY: the record lies in the buffer, whose size bounds its length.
    busy(|| unsafe {
        bpf_ringbuf_output(ring, core::ptr::from_mut(buffer).cast(), length, u64::from(BPF_RB_FORCE_WAKEUP))
    }) == 0
}
