//! The kernel's calls that aya 0.14 has no door to: parts of `bpf(2)`, and `perf_event_open(2)`.
//!
//! In: attributes, as the kernel's own headers name them. Out: descriptors, which close themselves; or the errno.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

use aya_obj::generated::{
    PERF_EVENT_IOC_ENABLE, PERF_EVENT_IOC_SET_BPF, PERF_FLAG_FD_CLOEXEC, bpf_attach_type, bpf_attr, bpf_cmd,
    bpf_insn, bpf_prog_type, perf_event_attr,
};

/// What a program says of itself; without it the kernel keeps its tracing functions back.
const LICENCE: &CStr = c"Dual MIT/GPL";

/// Attributes of `bpf(2)`, all zero: the kernel refuses a byte beyond a command's own that is not, padding too.
pub fn attributes() -> bpf_attr {
    // SAFETY: every member is plain integers, zero is a value of each.
    unsafe { std::mem::zeroed() }
}

/// Calls `bpf(2)`.
///
/// # Errors
/// The kernel's errno.
///
/// # Safety
/// What the attributes point to is live, of the lengths they state, and nobody else's where the command writes.
pub unsafe fn bpf(command: bpf_cmd, attributes: &mut bpf_attr) -> io::Result<libc::c_long> {
    // SAFETY: the attributes outlive the call, the size is their own; the caller answers for the pointers.
    told(unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command as libc::c_uint,
            std::ptr::from_mut(attributes),
            size_of::<bpf_attr>(),
        )
    })
}

fn told(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Takes over a descriptor that the kernel has just made for us.
fn descriptor(result: libc::c_long) -> io::Result<OwnedFd> {
    let fd = i32::try_from(result).map_err(io::Error::other)?;
    // SAFETY: the kernel has just made this descriptor and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A program as the kernel takes it.
#[derive(Clone, Copy)]
pub struct Load<'a> {
    /// What it may do.
    pub kind: bpf_prog_type,
    /// For a tracing program: how, and at which function by its id in the kernel's BTF.
    pub attach: Option<(bpf_attach_type, u32)>,
    /// What it is called in a list of programs; 15 bytes are kept.
    pub name: &'a str,
    /// The code, maps and calls in place.
    pub instructions: &'a [bpf_insn],
    /// Its functions, for the verifier to judge each once.
    pub functions: Option<Functions<'a>>,
}

/// The description of a program's functions.
#[derive(Clone, Copy)]
pub struct Functions<'a> {
    /// The types, by [`load_btf`].
    pub btf: BorrowedFd<'a>,
    /// `bpf_func_info` records.
    pub records: &'a [u8],
    /// Bytes of one.
    pub size: u32,
}

/// Loads a program; the verifier writes to `log`, unless that is empty.
///
/// # Errors
/// The kernel's errno.
pub fn load(program: &Load<'_>, log: &mut [u8]) -> io::Result<OwnedFd> {
    let mut attributes = attributes();
    // SAFETY: every member is plain integers, and all bytes are set.
    let load = unsafe { &mut attributes.__bindgen_anon_3 };
    load.prog_type = program.kind as u32;
    load.insn_cnt = program.instructions.len() as u32;
    load.insns = program.instructions.as_ptr() as u64;
    load.license = LICENCE.as_ptr() as u64;
    // The last byte stays NUL.
    for (slot, byte) in load.prog_name.iter_mut().take(15).zip(program.name.bytes()) {
        *slot = byte as libc::c_char;
    }
    if let Some((kind, function)) = program.attach {
        load.expected_attach_type = kind as u32;
        load.attach_btf_id = function;
    }
    if let Some(functions) = program.functions {
        load.prog_btf_fd = functions.btf.as_raw_fd() as u32;
        load.func_info = functions.records.as_ptr() as u64;
        load.func_info_rec_size = functions.size;
        load.func_info_cnt = functions.records.len() as u32 / functions.size.max(1);
    }
    if !log.is_empty() {
        (load.log_level, load.log_size) = (1, log.len() as u32);
        load.log_buf = log.as_mut_ptr() as u64;
    }
    // SAFETY: code, licence, records and log are borrowed until after the call, of the lengths given; only the log is written.
    descriptor(unsafe { bpf(bpf_cmd::BPF_PROG_LOAD, &mut attributes) }?)
}

/// Hands types to the kernel, for [`Functions`].
///
/// # Errors
/// The kernel's errno.
pub fn load_btf(btf: &[u8]) -> io::Result<OwnedFd> {
    let mut attributes = attributes();
    attributes.__bindgen_anon_7.btf = btf.as_ptr() as u64;
    attributes.__bindgen_anon_7.btf_size = btf.len() as u32;
    // SAFETY: the bytes outlive the call and are only read; no log is named.
    descriptor(unsafe { bpf(bpf_cmd::BPF_BTF_LOAD, &mut attributes) }?)
}

/// Attaches a program that was loaded for its function.
///
/// # Errors
/// The kernel's errno.
pub fn attach_trampoline(program: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let mut attributes = attributes();
    attributes.raw_tracepoint.prog_fd = program.as_raw_fd() as u32;
    // SAFETY: the only pointer, the tracepoint's name, is null: the program names its place.
    descriptor(unsafe { bpf(bpf_cmd::BPF_RAW_TRACEPOINT_OPEN, &mut attributes) }?)
}

/// Which perf event, for every process of one CPU.
#[derive(Clone, Copy, Default)]
pub struct Event<'a> {
    /// The kernel's number of the source.
    pub kind: u32,
    /// Which event of that source.
    pub config: u64,
    /// Samples a second; such an event opens disabled.
    pub frequency: Option<u64>,
    /// For a kprobe: the function.
    pub function: Option<&'a CStr>,
}

/// Opens a perf event.
///
/// # Errors
/// The kernel's errno.
pub fn open_event(event: &Event<'_>, cpu: u32) -> io::Result<OwnedFd> {
    // SAFETY: every member is plain integers, zero is a value of each.
    let mut attributes: perf_event_attr = unsafe { std::mem::zeroed() };
    attributes.type_ = event.kind;
    attributes.size = size_of::<perf_event_attr>() as u32;
    attributes.config = event.config;
    if let Some(frequency) = event.frequency {
        attributes.__bindgen_anon_1.sample_freq = frequency;
        attributes.set_freq(1);
        attributes.set_disabled(1);
    }
    if let Some(function) = event.function {
        attributes.__bindgen_anon_3.kprobe_func = function.as_ptr() as u64;
    }
    let (every_process, no_group) = (-1, -1);
    // SAFETY: the attributes state their own size; they and the function's name outlive the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            &raw mut attributes,
            every_process,
            cpu,
            no_group,
            libc::c_ulong::from(PERF_FLAG_FD_CLOEXEC),
        )
    };
    descriptor(told(result)?)
}

/// Lets a program run at each of an event.
///
/// # Errors
/// The kernel's errno.
pub fn run_at(event: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    for (request, argument) in [(PERF_EVENT_IOC_SET_BPF, program.as_raw_fd()), (PERF_EVENT_IOC_ENABLE, 0)] {
        // SAFETY: no pointers; both descriptors are open.
        told(unsafe { libc::ioctl(event.as_raw_fd(), request as libc::Ioctl, argument) }.into())?;
    }
    Ok(())
}
