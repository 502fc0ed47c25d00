//! Faults one by one.
//!
//! In: those of one interval. Out: all, bounded, in the order they came.

use serde::{Deserialize, Serialize};

use crate::profile::call::CallNumber;
use crate::profile::folding::Keys;
use crate::profile::peer::Peer;
use crate::profile::process::{Pid, Tid};
use crate::profile::row_set::{ENTRY, RowSet};
use crate::profile::stack::StackId;

/// Faults that are kept one by one; what is more is counted.
pub const KEPT: usize = 4_096;

/// What the signal did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// It ended the process, and this thread got it.
    #[default]
    Dies,
    /// A handler caught it, and the thread ended soon after.
    Caught,
    /// It was sent to end the process; this is the leader.
    Killed,
}

/// A kind of fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A null pointer, or a field behind one.
    Null,
    /// The stack's end.
    StackOverflow,
    /// Nothing is mapped there.
    Unmapped,
    /// What is mapped there may not be used so.
    NoPermission,
    /// Code was looked for where there is none.
    NoCode,
    /// An address that no process can have.
    NoAddress,
    /// A file that is shorter than its mapping.
    FileTruncated,
    /// A file, or memory, that could not be read.
    NotReadable,
    /// An address that is not aligned.
    Unaligned,
    /// Broken memory.
    BrokenMemory,
    /// An instruction that there is not, or that is not allowed.
    Instruction,
    /// Arithmetic.
    Arithmetic,
    /// A breakpoint.
    Breakpoint,
    /// A call that a seccomp filter refuses.
    Refused,
    /// The process raised it itself, as `abort` does.
    Raised,
    /// Somebody sent it.
    #[default]
    Sent,
}

/// A mapping of the process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Area {
    /// First address.
    pub start: u64,
    /// First address behind it.
    pub end: u64,
    /// As `/proc/PID/maps` shows it: `r-xp`.
    pub access: String,
    /// Offset of `start` in the file, bytes.
    pub offset: u64,
    /// Length of the file, bytes.
    pub file_bytes: u64,
    /// Inode of the file; 0: no file.
    pub inode: u64,
    /// The file's name, without its path.
    pub name: String,
}

/// Where an address is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// Not known.
    #[default]
    Unknown,
    /// In no mapping.
    Nowhere,
    /// In this one.
    In(Area),
}

/// What decides whether the kernel writes a core.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoreFacts {
    /// The limit on its size, bytes.
    pub limit: Option<u64>,
    /// Whether the process may be dumped: 0 no, 1 yes, 2 by root only.
    pub dumpable: Option<u8>,
    /// `kernel.core_pattern`.
    pub pattern: Option<String>,
}

/// A call of a thread that ended before its fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallBefore {
    /// Its number.
    pub nr: CallNumber,
    /// How long before, ns.
    pub ago_ns: u64,
    /// How long it took, ns.
    pub ns: u64,
    /// What it returned.
    pub ret: i64,
}

/// What a thread received last before its fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// From whom.
    pub peer: Peer,
    /// How long before, ns.
    pub ago_ns: u64,
    /// By which call; none: outside of any.
    pub nr: Option<CallNumber>,
}

/// A thread at the moment it got a signal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// When, ns since the start of the session.
    pub at_ns: u64,
    /// Process.
    pub pid: Pid,
    /// Thread.
    pub tid: Tid,
    /// Process and thread in their innermost pid namespace; 0: not known.
    pub inside: (Pid, Tid),
    /// The thread's name.
    pub thread: String,
    /// The process's container; empty: none.
    pub container: String,
    /// What the signal did.
    pub how: How,
    /// The signal.
    pub signal: u8,
    /// `si_code`.
    pub code: i32,
    /// What it was, told while all was known.
    pub kind: Kind,
    /// The address that it is about; none where it is about none, or left out.
    pub address: Option<u64>,
    /// The call that seccomp refused.
    pub refused: Option<u32>,
    /// The thread itself raised it.
    pub raised: bool,
    /// Registers by their numbers in DWARF, the last is where the code was; empty: left out.
    pub registers: Vec<u64>,
    /// The mapping of the instruction.
    pub code_in: Place,
    /// The mapping of the address.
    pub address_in: Place,
    /// The user stack.
    pub stack: StackId,
    /// Bytes of it that were copied.
    pub copied_bytes: u32,
    /// Why there is no core, if there is none.
    pub core: CoreFacts,
    /// The thread's last calls, the last one first; empty: not kept.
    #[serde(default)]
    pub calls: Vec<CallBefore>,
    /// What it received last; none: nothing since the recording began, or not followed.
    #[serde(default)]
    pub received: Option<Received>,
}

/// Faults.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrashRows {
    /// One by one.
    pub faults: Vec<Fault>,
}

/// What the probe's rows are.
pub type Rows = CrashRows;

impl RowSet for CrashRows {
    fn add(&mut self, delta: &Self) {
        let Self { faults } = delta;
        // A recording counts what it keeps no room for; of more in a capture nobody is to blame but its maker.
        let room = KEPT.saturating_sub(self.faults.len());
        self.faults.extend(faults.iter().take(room).cloned());
    }

    fn weigh(&self) -> u64 {
        let Self { faults } = self;
        let text = |place: &Place| if let Place::In(area) = place { area.name.len() } else { 0 };
        let one = |fault: &Fault| {
            let words = (fault.registers.len() + 4 * fault.calls.len()) * 8
                + fault.thread.len()
                + fault.container.len();
            (words + text(&fault.code_in) + text(&fault.address_in)) as u64 + 4 * ENTRY
        };
        faults.iter().map(one).sum()
    }

    fn stacks(&self, each: &mut dyn FnMut(StackId)) {
        let Self { faults } = self;
        faults.iter().for_each(|fault| each(fault.stack));
    }

    fn rekey(&mut self, keys: &dyn Keys) {
        // A fault stays its process's own.
        self.faults.iter_mut().for_each(|fault| fault.stack = keys.user(fault.pid, fault.stack));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_kept_than_there_is_room_for() {
        let mut rows = CrashRows::default();
        let delta = CrashRows { faults: vec![Fault::default(); KEPT - 1] };
        rows.add(&delta);
        rows.add(&delta);
        assert_eq!(rows.faults.len(), KEPT);
    }
}
