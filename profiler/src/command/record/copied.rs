//! Copies of user stacks become stacks of rows.
//!
//! In: copies, walks by frame pointers, the result of unwinding each copy. Out: rows with the ids of stacks
//! in place of the ids of copies; stacks that are cut, counted by reason.

use std::collections::{HashMap, VecDeque};
use std::io;

use aya::Ebpf;

use super::dying::Dying;
use crate::cli::settings::{RecordSettings, Unwind};
use crate::collect::{Copies, Drained};
use crate::failure::Failure;
use crate::profile::{Class, Cut, Ledger, Pid, StackCopy, StackId};
use crate::symbol::{Found, Interner};

/// Copies whose stacks are remembered: a row may come long after its copy, once its call has ended.
const REMEMBERED: usize = 1 << 18;

/// Copies on their way to stacks.
pub struct Unwound {
    /// Their ring.
    pub copies: Copies,
    /// How user stacks are walked.
    pub way: Unwind,
    /// Bytes of a stack that are copied at most; 0: none are.
    pub bytes: usize,
    /// Those that are not unwound yet.
    pub held: Vec<StackCopy>,
    /// Bytes of them.
    pub held_bytes: usize,
    /// Copies of threads that died.
    pub faults: Dying,
    stacks: HashMap<StackId, StackId>,
    order: VecDeque<StackId>,
}

impl Unwound {
    /// None yet, of a target that has these processes.
    ///
    /// # Errors
    /// An object without their ring.
    pub fn new(ebpf: &mut Ebpf, settings: &RecordSettings, members: &[u32]) -> Result<Self, Failure> {
        let (copies, faults, way) =
            (Copies::new(ebpf)?, Dying::new(ebpf, settings, members)?, settings.unwind);
        let (held, stacks, order) = (Vec::new(), HashMap::new(), VecDeque::new());
        let bytes = settings.copies().unwrap_or(0) as usize;
        Ok(Self { copies, faults, way, bytes, held, held_bytes: 0, stacks, order })
    }

    /// Waits until many copies wait, or a thread died.
    ///
    /// # Errors
    /// A ring cannot be watched.
    pub async fn many(&self) -> io::Result<()> {
        tokio::select! {
            many = self.copies.many() => many,
            any = self.faults.any() => any,
        }
    }

    /// A walk by frame pointers arrived.
    pub fn list(
        &self,
        interner: &mut Interner,
        (id, pid): (StackId, Pid),
        addresses: &[u64],
        truncated: bool,
    ) {
        // Where stacks are copied, the kernel's own walks are second best.
        if self.way != Unwind::FramePointers {
            interner.list(id, pid, addresses, truncated);
        } else {
            interner.user_stack(id, pid, addresses, truncated);
        }
    }

    /// Gives rows the ids of their stacks instead of their copies'.
    pub fn rename(&self, interner: &mut Interner, drained: &mut Drained) {
        if self.way != Unwind::FramePointers {
            drained.rename(&mut |id| match self.stacks.get(&StackId(*id)) {
                Some(stack) => *id = stack.0,
                None => interner.used(StackId(*id)),
            });
        }
    }

    /// Notes what became of a copy.
    pub fn remember(&mut self, found: &Found) {
        if self.order.len() >= REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.stacks.remove(&oldest);
        }
        self.stacks.insert(found.copy, found.stack);
        self.order.push_back(found.copy);
    }
}

/// Counts a stack that is cut, by its reason.
pub fn count(ledger: &mut Ledger, cut: Option<Cut>) {
    let class = match cut {
        None => return,
        Some(Cut::Window) => Class::StackCutWindow,
        Some(Cut::OtherStack) => Class::StackCutElsewhere,
        Some(Cut::NoTable) => Class::StackCutNoTable,
        Some(Cut::Unreadable | Cut::Rules) => Class::StackCutTables,
        Some(Cut::Unmapped) => Class::StackCutUnmapped,
        Some(Cut::Deep) => Class::StackCutDeep,
        Some(Cut::ProcessGone | Cut::NotReached) => Class::StackNotUnwound,
    };
    ledger.count(class, 1);
}
