//! Trials: the only sure way to know whether something is allowed is to try it.
//!
//! In: nothing. Out: whether the kernel lets this process load a tracing program, read kernel
//! memory from it, and open perf events. Nothing is attached; what is opened is closed at once.

use std::io;
use std::os::fd::OwnedFd;

use aya_obj::generated::{__BindgenBitfieldUnit, bpf_attach_type, bpf_insn, bpf_prog_type, perf_type_id};
use serde::Serialize;

use crate::sys::{self, Event, Load};

/// How a trial went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trial {
    /// The kernel did it.
    Works,
    /// It refused, with this errno.
    Refused(i32),
}

impl Trial {
    /// `None` when it works, else a phrase about `call`.
    pub fn trouble(self, call: &str) -> Option<String> {
        match self {
            Self::Works => None,
            Self::Refused(errno) => Some(format!("{call} is refused ({})", errno_name(errno))),
        }
    }
}

/// The kernel's word for an errno that these trials meet.
fn errno_name(errno: i32) -> String {
    match errno {
        libc::EPERM => "EPERM".to_owned(),
        libc::EACCES => "EACCES".to_owned(),
        libc::ENOSYS => "ENOSYS".to_owned(),
        libc::ENOENT => "ENOENT".to_owned(),
        libc::EINVAL => "EINVAL".to_owned(),
        libc::EOPNOTSUPP => "EOPNOTSUPP".to_owned(),
        libc::EMFILE => "EMFILE".to_owned(),
        libc::ENFILE => "ENFILE".to_owned(),
        libc::ENOMEM => "ENOMEM".to_owned(),
        other => format!("errno {other}"),
    }
}

const fn instruction(code: u8, registers: u8, immediate: i32) -> bpf_insn {
    let _bitfield_1 = __BindgenBitfieldUnit::new([registers]);
    bpf_insn { code, _bitfield_align_1: [], _bitfield_1, off: 0, imm: immediate }
}

const MOVE_IMMEDIATE: u8 = 0xb7;
const RETURN_ZERO: [bpf_insn; 2] = [instruction(MOVE_IMMEDIATE, 0, 0), instruction(0x95, 0, 0)];
/// `probe_read_kernel(stack - 8, 8, 0)`: verified, never run.
const READ_KERNEL: [bpf_insn; 7] = [
    instruction(0xbf, 0xa1, 0), // r1 = r10
    instruction(0x07, 0x01, -8),
    instruction(MOVE_IMMEDIATE, 2, 8),
    instruction(MOVE_IMMEDIATE, 3, 0),
    instruction(0x85, 0, 113), // BPF_FUNC_probe_read_kernel
    RETURN_ZERO[0],
    RETURN_ZERO[1],
];

/// The name of the trial's programs in a list of programs, while they exist.
pub const PROGRAM: &str = "profiler_trial";

/// Whether a tracing program of no effect loads.
pub fn load() -> Trial {
    load_program(&RETURN_ZERO)
}

/// Whether programs for the entry of kernel functions load: this one names a type that is no function,
/// so a kernel that would let it through says that, and one that refuses such programs says so first.
pub fn trampoline() -> Trial {
    const NO_FUNCTION: u32 = 1;
    match load_as(&Load {
        kind: bpf_prog_type::BPF_PROG_TYPE_TRACING,
        attach: Some((bpf_attach_type::BPF_TRACE_FENTRY, NO_FUNCTION)),
        ..program(&RETURN_ZERO)
    }) {
        Trial::Refused(libc::EINVAL) => Trial::Works,
        other => other,
    }
}

/// Whether a tracing program that reads kernel memory loads.
pub fn read_kernel() -> Trial {
    load_program(&READ_KERNEL)
}

fn load_program(instructions: &[bpf_insn]) -> Trial {
    load_as(&program(instructions))
}

/// A raw tracepoint's program.
fn program(instructions: &[bpf_insn]) -> Load<'_> {
    let kind = bpf_prog_type::BPF_PROG_TYPE_RAW_TRACEPOINT;
    Load { kind, attach: None, name: PROGRAM, instructions, functions: None }
}

fn load_as(program: &Load<'_>) -> Trial {
    close(sys::load(program, &mut []))
}

/// Whether the software CPU clock opens on a whole CPU.
pub fn cpu_clock() -> Trial {
    perf_event(perf_type_id::PERF_TYPE_SOFTWARE)
}

/// Whether the hardware cycle counter opens on a whole CPU.
pub fn cycles() -> Trial {
    perf_event(perf_type_id::PERF_TYPE_HARDWARE)
}

/// Opens event 0 of a type (cycles, cpu-clock) disabled, for every process of the present CPU.
fn perf_event(kind: perf_type_id) -> Trial {
    // SAFETY: takes no arguments and touches no memory of ours.
    let cpu = unsafe { libc::sched_getcpu() }.max(0);
    // The lowest rate: `kernel.perf_event_max_sample_rate` forbids none so low.
    let event = Event { kind: kind as u32, frequency: Some(1), ..Event::default() };
    close(sys::open_event(&event, cpu as u32))
}

fn close(opened: io::Result<OwnedFd>) -> Trial {
    match opened {
        Ok(_) => Trial::Works,
        Err(error) => Trial::Refused(error.raw_os_error().unwrap_or(libc::EINVAL)),
    }
}
