//! The kernel's own walks of user stacks, kept until it is known whether their rows get an unwound stack
//! instead; and the result of unwinding a copy.
//!
//! In: walks along frame pointers. Out: those that a row still needs.

use std::collections::{HashMap, HashSet};

use crate::profile::Pid;
use crate::profile::stack::{Cut, StackId};

/// Walks kept at most; what is over becomes a stack at once.
pub const LISTS: usize = 131_072;

/// The kernel's walk by frame pointers.
#[derive(Clone, Debug)]
pub struct List {
    /// Its process.
    pub pid: Pid,
    /// Leaf first.
    pub addresses: Box<[u64]>,
    /// Its root side is cut.
    pub truncated: bool,
}

/// Walks whose stacks may yet be unwound.
#[derive(Debug, Default)]
pub struct Lists {
    /// All of them.
    pub known: HashMap<StackId, List>,
    /// By process.
    pub by_process: HashMap<Pid, Vec<StackId>>,
    /// Walks that rows have and that are still to come.
    pub awaited: HashSet<StackId>,
}

/// What became of a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The copy's id.
    pub copy: StackId,
    /// Its stack's.
    pub stack: StackId,
    /// Why it is cut.
    pub cut: Option<Cut>,
    /// The stack pointer at its root; 0: unknown.
    pub top: u64,
    /// Where its return addresses are, in words from the stack pointer; empty: not known.
    pub words: Vec<u16>,
}
