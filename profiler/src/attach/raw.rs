//! Loads and attaches one program in many places, by the kernel's own calls: aya 0.14 allows one place for each program.
//!
//! In: instructions, a place. Out: descriptors; closing them detaches.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use aya_obj::generated::{bpf_attach_type, bpf_insn, bpf_prog_type};

use crate::sys::{self, Event, Functions, Load};

/// The CPU on which the event of a kprobe is opened; it fires on every CPU.
const FIRST_CPU: u32 = 0;
/// Bytes of the verifier's log that are kept.
const LOG_BYTES: usize = 1 << 20;
/// Its last lines that are told.
const LOG_LINES: usize = 3;

/// The type that a program is loaded as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// At a function's entry, by its id in the kernel's BTF.
    FEntry(u32),
    /// At its return.
    FExit(u32),
    /// At any kprobe or kretprobe.
    KProbe,
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
    let (kind, attach) = match kind {
        Kind::FEntry(id) => {
            (bpf_prog_type::BPF_PROG_TYPE_TRACING, Some((bpf_attach_type::BPF_TRACE_FENTRY, id)))
        }
        Kind::FExit(id) => {
            (bpf_prog_type::BPF_PROG_TYPE_TRACING, Some((bpf_attach_type::BPF_TRACE_FEXIT, id)))
        }
        Kind::KProbe => (bpf_prog_type::BPF_PROG_TYPE_KPROBE, None),
    };
    let functions =
        btf.map(|btf| Functions { btf, records: &program.functions, size: program.function_size });
    let load = Load { kind, attach, name, instructions: &program.instructions, functions };
    match sys::load(&load, &mut []) {
        Err(error) if verbose => Err(with_log(&error, &load)),
        other => other,
    }
}

/// Tries once more with a log, for its last lines.
fn with_log(error: &io::Error, load: &Load<'_>) -> io::Error {
    let mut log = vec![0u8; LOG_BYTES];
    let _ = sys::load(load, &mut log);
    let end = log.iter().position(|byte| *byte == 0).unwrap_or(log.len());
    let text = String::from_utf8_lossy(&log[..end]);
    let lines: Vec<&str> = text.lines().rev().take(LOG_LINES).collect();
    let lines: Vec<&str> = lines.into_iter().rev().collect();
    io::Error::new(error.kind(), format!("{error}; the verifier's last lines: {}", lines.join(" | ")))
}

/// The PMU type by which kprobes are opened, read from sysfs.
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
        let config = if at_return { self.returns } else { 0 };
        let event = Event { kind: self.kind, config, function: Some(&name), ..Event::default() };
        let event = sys::open_event(&event, FIRST_CPU)?;
        sys::run_at(event.as_fd(), program)?;
        Ok(event)
    }
}
