//! The kernel's own way to load and attach one program in many places: aya 0.14 keeps one place a program.
//!
//! In: instructions, a place. Out: descriptors; closing them detaches.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

use aya_obj::generated::bpf_insn;

const PROG_LOAD: libc::c_long = 5;
const RAW_TRACEPOINT_OPEN: libc::c_long = 17;
const BTF_LOAD: libc::c_long = 18;
const PERF_EVENT_IOC_SET_BPF: libc::Ioctl = 0x4004_2408;
const PERF_EVENT_IOC_ENABLE: libc::Ioctl = 0x2400;
const PERF_FLAG_FD_CLOEXEC: libc::c_ulong = 8;

/// Bytes of the verifier's log that are kept.
const LOG_BYTES: usize = 1 << 20;
/// Its last lines that are told.
const LOG_LINES: usize = 3;

/// What a program is loaded as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// At a function's entry, by its id in the kernel's BTF.
    FEntry(u32),
    /// At its return.
    FExit(u32),
    /// At any kprobe or kretprobe.
    KProbe,
}

/// `bpf_attr` of `BPF_PROG_LOAD` (include/uapi/linux/bpf.h), up to `attach_prog_fd`.
#[repr(C)]
#[derive(Default)]
struct ProgramLoad {
    program_type: u32,
    instruction_count: u32,
    instructions: u64,
    licence: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
    interface: u32,
    attach_type: u32,
    btf_fd: u32,
    function_info_size: u32,
    function_info: u64,
    function_info_count: u32,
    line_info_size: u32,
    line_info: u64,
    line_info_count: u32,
    attach_btf_id: u32,
    attach_program_fd: u32,
    padding: u32,
}

/// Instructions, and the description of their functions that lets the verifier judge each once.
#[derive(Clone, Debug)]
pub struct Program {
    /// The code, maps and calls in place.
    pub instructions: Vec<bpf_insn>,
    /// `bpf_func_info` records.
    pub functions: Vec<u8>,
    /// Bytes of one.
    pub function_size: u32,
}

/// Hands the object's types to the kernel, for [`load`].
///
/// # Errors
/// The kernel's errno.
pub fn load_btf(btf: &[u8]) -> io::Result<OwnedFd> {
    // btf, log, sizes (btf, log), level and padding.
    let mut attributes = [btf.as_ptr() as u64, 0, btf.len() as u64, 0];
    // SAFETY: the attributes and the bytes outlive the call.
    descriptor(unsafe {
        libc::syscall(libc::SYS_bpf, BTF_LOAD, attributes.as_mut_ptr(), size_of_val(&attributes) - 4)
    })
}

/// Loads a program.
///
/// # Errors
/// The kernel's errno; with `verbose` also the verifier's last lines.
pub fn load(
    kind: Kind,
    name: &str,
    program: &Program,
    btf: Option<BorrowedFd<'_>>,
    verbose: bool,
) -> io::Result<OwnedFd> {
    let (program_type, attach_type, attach_btf_id) = match kind {
        Kind::FEntry(id) => (26, 24, id),
        Kind::FExit(id) => (26, 25, id),
        Kind::KProbe => (2, 0, 0),
    };
    let mut attributes = ProgramLoad {
        program_type,
        attach_type,
        attach_btf_id,
        instruction_count: program.instructions.len() as u32,
        instructions: program.instructions.as_ptr() as u64,
        licence: c"Dual MIT/GPL".as_ptr() as u64,
        ..ProgramLoad::default()
    };
    if let Some(btf) = btf {
        attributes.btf_fd = btf.as_raw_fd() as u32;
        attributes.function_info = program.functions.as_ptr() as u64;
        attributes.function_info_size = program.function_size;
        attributes.function_info_count = program.functions.len() as u32 / program.function_size.max(1);
    }
    // The last byte stays NUL.
    for (slot, byte) in attributes.name.iter_mut().take(15).zip(name.bytes()) {
        *slot = byte;
    }
    let loaded = load_with(&mut attributes);
    match loaded {
        Err(error) if verbose => Err(with_log(&error, &mut attributes)),
        other => other,
    }
}

fn load_with(attributes: &mut ProgramLoad) -> io::Result<OwnedFd> {
    // SAFETY: the attributes and what they point to outlive the call; the size is the record's own.
    descriptor(unsafe {
        libc::syscall(
            libc::SYS_bpf,
            PROG_LOAD,
            std::ptr::from_mut(attributes),
            // Not the record's padding.
            size_of::<ProgramLoad>() - 4,
        )
    })
}

/// Tries once more with a log, for its last lines.
fn with_log(error: &io::Error, attributes: &mut ProgramLoad) -> io::Error {
    let mut log = vec![0u8; LOG_BYTES];
    (attributes.log_level, attributes.log_size) = (1, LOG_BYTES as u32);
    attributes.log = log.as_mut_ptr() as u64;
    let _ = load_with(attributes);
    let end = log.iter().position(|byte| *byte == 0).unwrap_or(log.len());
    let text = String::from_utf8_lossy(&log[..end]);
    let lines: Vec<&str> = text.lines().rev().take(LOG_LINES).collect();
    let lines: Vec<&str> = lines.into_iter().rev().collect();
    io::Error::new(error.kind(), format!("{error}; the verifier's last lines: {}", lines.join(" | ")))
}

fn descriptor(result: libc::c_long) -> io::Result<OwnedFd> {
    match i32::try_from(result) {
        // SAFETY: the kernel has just made this descriptor and nothing else owns it.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Attaches a program that was loaded for its function.
///
/// # Errors
/// The kernel's errno.
pub fn attach_trampoline(program: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let mut attributes = [0u64, u64::from(program.as_raw_fd() as u32)];
    // SAFETY: the attributes (name 0, program) outlive the call.
    descriptor(unsafe {
        libc::syscall(libc::SYS_bpf, RAW_TRACEPOINT_OPEN, attributes.as_mut_ptr(), size_of_val(&attributes))
    })
}

/// Where kprobes are opened, as sysfs tells it.
#[derive(Clone, Copy, Debug)]
pub struct KProbes {
    kind: u32,
    returns: u64,
}

impl KProbes {
    /// Reads it; `None` on a kernel without kprobes for perf events.
    pub fn read() -> Option<Self> {
        const PLACE: &str = "/sys/bus/event_source/devices/kprobe";
        let text = |name: &str| std::fs::read_to_string(format!("{PLACE}/{name}")).ok();
        let bit: u32 = text("format/retprobe")?.trim().strip_prefix("config:")?.parse().ok()?;
        Some(Self { kind: text("type")?.trim().parse().ok()?, returns: 1u64.checked_shl(bit)? })
    }

    /// Attaches a program at a function's entry, or at its return.
    ///
    /// # Errors
    /// The kernel's errno; `NotFound` when there is no such function.
    pub fn attach(self, program: BorrowedFd<'_>, function: &str, at_return: bool) -> io::Result<OwnedFd> {
        let name = CString::new(function)?;
        let mut event = PerfEvent {
            kind: self.kind,
            size: size_of::<PerfEvent>() as u32,
            config: if at_return { self.returns } else { 0 },
            function: name.as_ptr() as u64,
            ..PerfEvent::default()
        };
        let (every_process, first_cpu, no_group) = (-1, 0, -1);
        // SAFETY: the attributes state their own size, they and the name outlive the call.
        let event = descriptor(unsafe {
            libc::syscall(
                libc::SYS_perf_event_open,
                &raw mut event,
                every_process,
                first_cpu,
                no_group,
                PERF_FLAG_FD_CLOEXEC,
            )
        })?;
        // SAFETY: no pointers; both descriptors are open.
        let done = unsafe {
            libc::ioctl(event.as_raw_fd(), PERF_EVENT_IOC_SET_BPF, program.as_raw_fd()) == 0
                && libc::ioctl(event.as_raw_fd(), PERF_EVENT_IOC_ENABLE, 0) == 0
        };
        if done { Ok(event) } else { Err(io::Error::last_os_error()) }
    }
}

/// `struct perf_event_attr` up to `config2`.
#[repr(C)]
#[derive(Default)]
struct PerfEvent {
    kind: u32,
    size: u32,
    config: u64,
    period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup: u32,
    breakpoint: u32,
    function: u64,
    offset: u64,
}
