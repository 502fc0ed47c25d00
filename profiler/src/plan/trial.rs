//! Trials: doing the thing is the only sure way to know whether it is allowed.
//!
//! In: nothing. Out: whether the kernel lets this process load a tracing program, read kernel
//! memory from it, and open perf events. Nothing is attached; what is opened is closed at once.

use std::mem::size_of;
use std::os::fd::{FromRawFd, OwnedFd};

use serde::Serialize;

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
        other => format!("errno {other}"),
    }
}

/// One BPF instruction, as the kernel reads it.
#[repr(C)]
#[derive(Clone, Copy)]
struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    immediate: i32,
}

const fn instruction(code: u8, registers: u8, immediate: i32) -> Instruction {
    Instruction { code, registers, offset: 0, immediate }
}

const MOVE_IMMEDIATE: u8 = 0xb7;
const RETURN_ZERO: [Instruction; 2] = [instruction(MOVE_IMMEDIATE, 0, 0), instruction(0x95, 0, 0)];
/// `probe_read_kernel(stack - 8, 8, 0)`: verified, never run.
const READ_KERNEL: [Instruction; 7] = [
    instruction(0xbf, 0xa1, 0), // r1 = r10
    instruction(0x07, 0x01, -8),
    instruction(MOVE_IMMEDIATE, 2, 8),
    instruction(MOVE_IMMEDIATE, 3, 0),
    instruction(0x85, 0, 113), // BPF_FUNC_probe_read_kernel
    RETURN_ZERO[0],
    RETURN_ZERO[1],
];

/// Start of `union bpf_attr` for `BPF_PROG_LOAD`; what follows is zero.
#[repr(C)]
#[derive(Default)]
struct ProgramLoad {
    program_type: u32,
    instruction_count: u32,
    instructions: u64,
    licence: u64,
    log: [u64; 2],
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
    interface: u32,
    attach_type: u32,
    debug: [u64; 4],
    line_info_count: u32,
    attach_btf_id: u32,
}

/// What the trial's programs are called in a list of programs, while they exist.
pub const PROGRAM: &str = "profiler_trial";

const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_TYPE_RAW_TRACEPOINT: u32 = 17;
const BPF_PROG_TYPE_TRACING: u32 = 26;
const BPF_TRACE_FENTRY: u32 = 24;

/// Whether a tracing program of no effect loads.
pub fn load() -> Trial {
    load_program(&RETURN_ZERO)
}

/// Whether programs for the entry of kernel functions load: this one names a type that is no function,
/// so a kernel that would let it through says that, and one that refuses such programs says so first.
pub fn trampoline() -> Trial {
    match load_as(&ProgramLoad {
        program_type: BPF_PROG_TYPE_TRACING,
        attach_type: BPF_TRACE_FENTRY,
        attach_btf_id: 1,
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

fn load_program(instructions: &[Instruction]) -> Trial {
    load_as(&program(instructions))
}

/// A raw tracepoint's program.
fn program(instructions: &[Instruction]) -> ProgramLoad {
    let mut name = [0; 16];
    // The last byte stays NUL; the name is shorter.
    name[..PROGRAM.len()].copy_from_slice(PROGRAM.as_bytes());
    ProgramLoad {
        program_type: BPF_PROG_TYPE_RAW_TRACEPOINT,
        instruction_count: instructions.len() as u32,
        instructions: instructions.as_ptr() as u64,
        licence: c"Dual MIT/GPL".as_ptr() as u64,
        name,
        ..ProgramLoad::default()
    }
}

fn load_as(attributes: &ProgramLoad) -> Trial {
    // SAFETY: the attributes, the instructions and the licence outlive the call, the size given is
    // the structure's own, and the kernel writes to none of them (no log buffer is named).
    close(unsafe {
        libc::syscall(libc::SYS_bpf, BPF_PROG_LOAD, std::ptr::from_ref(attributes), size_of::<ProgramLoad>())
    })
}

/// `struct perf_event_attr` of the first version (64 bytes), which every kernel accepts.
#[repr(C)]
#[derive(Default)]
struct PerfEvent {
    kind: u32,
    size: u32,
    config: u64,
    frequency: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup: u32,
    breakpoint: u32,
    config1: u64,
}

const PERF_TYPE_HARDWARE: u32 = 0;
const PERF_TYPE_SOFTWARE: u32 = 1;
const DISABLED_BY_FREQUENCY: u64 = 1 | 1 << 10;

/// Whether the software CPU clock opens on a whole CPU.
pub fn cpu_clock() -> Trial {
    perf_event(PERF_TYPE_SOFTWARE)
}

/// Whether the hardware cycle counter opens on a whole CPU.
pub fn cycles() -> Trial {
    perf_event(PERF_TYPE_HARDWARE)
}

/// Opens event 0 of a type (cycles, cpu-clock) disabled, for every process of the present CPU.
fn perf_event(kind: u32) -> Trial {
    let event = PerfEvent {
        kind,
        size: size_of::<PerfEvent>() as u32,
        frequency: 99,
        flags: DISABLED_BY_FREQUENCY,
        ..PerfEvent::default()
    };
    // SAFETY: takes no arguments and touches no memory of ours.
    let cpu = unsafe { libc::sched_getcpu() }.max(0);
    let (every_process, no_group, close_on_exec) = (-1, -1, 8u64);
    // SAFETY: the attributes outlive the call and state their own size; the kernel may write only
    // their size field, through a pointer that came from a mutable place.
    close(unsafe {
        let event = &mut { event } as *mut PerfEvent;
        libc::syscall(libc::SYS_perf_event_open, event, every_process, cpu, no_group, close_on_exec)
    })
}

fn close(descriptor: libc::c_long) -> Trial {
    match i32::try_from(descriptor) {
        Ok(descriptor) if descriptor >= 0 => {
            // SAFETY: the kernel has just made this descriptor and nothing else owns it.
            drop(unsafe { OwnedFd::from_raw_fd(descriptor) });
            Trial::Works
        }
        _ => Trial::Refused(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL)),
    }
}
