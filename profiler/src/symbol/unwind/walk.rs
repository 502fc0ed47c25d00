//! From the leaf of a stack to its root.
//!
//! In: a copy, the code it went through, the kernel's own walk by frame pointers. Out: [`Unwound`]. At each
//! frame the first of these decides that can: a signal's frame; the table that covers the code; for code
//! without a table, its frame pointer. Where the copy ends, the kernel's walk continues it if the code keeps
//! frame pointers. It also does where Go's runtime has switched from a goroutine's stack to its own. Where Go
//! called C, the walk continues on the goroutine's stack, if the frame pointer is one of that stack.

use std::rc::Rc;

use super::memory::{RA, RBP, RSP, Registers, Window};
use super::tables::{Base, Row, Rule};
use crate::profile::stack::Cut;
use crate::profile::stack_copy::{OtherStack, REGISTERS, StackCopy};

/// Frames of one stack.
const FRAMES: usize = 256;
/// Links of a chain of frame pointers that are followed, as the kernel does.
const LINKS: usize = 127;
/// `mov $15,%rax; syscall`: what a signal's handler returns to.
const SIGRETURN: &[u8] = &[0x48, 0xc7, 0xc0, 15, 0, 0, 0, 0x0f, 0x05];
/// The longest call instruction.
const CALL_BYTES: u64 = 7;
/// Where the interrupted code's registers are, from the stack pointer of a handler that has returned:
/// `ucontext.uc_mcontext`, 17 words in this order of DWARF numbers.
const INTERRUPTED: u64 = 40;
const CONTEXT_ORDER: [u16; REGISTERS] = [8, 9, 10, 11, 12, 13, 14, 15, 5, 4, RBP, 3, 1, 0, 2, RSP, RA];

/// A stack that was unwound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unwound {
    /// Leaf first: the leaf as it is, callers at their return address − 1, interrupted code as it is.
    pub positions: Vec<u64>,
    /// Why it ends before its root; `None`: it does not.
    pub cut: Option<Cut>,
    /// The stack pointer at the root, as its table tells it; 0: unknown.
    pub top: u64,
    /// Where the return addresses are, in words from the stack pointer; empty if that does not tell all, or the stack is cut.
    pub words: Vec<u16>,
}

/// What is at an address.
pub enum Place {
    /// No code.
    Nowhere,
    /// Code whose file cannot be read.
    Unreadable,
    /// Code that no table covers.
    Uncovered,
    /// Code with rules.
    Covered(Rc<Row>),
}

/// What Go code is to its stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Go {
    /// It has been called, and keeps its frame pointer.
    Called,
    /// A stack of Go's begins with it.
    Bottom,
}

/// The code of a process.
pub trait Code {
    /// What is at an address.
    fn place(&mut self, address: u64) -> Place;
    /// Bytes of code; `None` where no file has them.
    fn bytes(&mut self, address: u64, length: usize) -> Option<&[u8]>;
    /// What Go code is at an address; `None` where there is other code.
    fn go(&mut self, address: u64) -> Option<Go>;
}

/// One step.
enum Step {
    /// To the caller, whose registers are set; `exact`: it was interrupted, it made no call.
    Caller {
        exact: bool,
    },
    Root,
    Cut(Cut),
}

/// Unwinds a copy; `list`: the kernel's walk, leaf first.
pub fn walk(code: &mut impl Code, copy: &StackCopy, list: &[u64]) -> Unwound {
    let registers = Registers::new(copy.registers);
    let start = registers.get(RSP).unwrap_or(0);
    let mut walk = Walk {
        code,
        registers,
        stack: Window::new(start, &copy.stack),
        other: copy.other.as_ref(),
        back: copy.in_call,
        leaf: true,
        found: Some(Vec::new()),
    };
    let mut unwound = Unwound::default();
    unwound.positions.push(walk.position());
    loop {
        match walk.step() {
            Step::Caller { exact } => {
                // What a handler returns to has made no call either.
                walk.leaf = false;
                walk.back = !exact && !walk.is_trampoline();
                let position = walk.position();
                if matches!(walk.code.place(position), Place::Nowhere) {
                    // Some roots are called from nowhere.
                    unwound.cut = (walk.ip() != 0).then_some(Cut::Unmapped);
                    return unwound;
                }
                unwound.positions.push(position);
                if unwound.positions.len() >= FRAMES {
                    unwound.cut = Some(Cut::Deep);
                    return unwound;
                }
            }
            Step::Root => {
                let own = copy.other.is_none() || walk.other.is_some();
                unwound.top = walk.registers.get(RSP).filter(|_| own).unwrap_or(0);
                unwound.words = walk.words(start);
                return unwound;
            }
            Step::Cut(cut) => {
                unwound.cut = Some(cut);
                let position = walk.position();
                // Go's runtime works on a stack of its own; its frame pointers lead back to the goroutine's.
                let go = (cut == Cut::NoTable).then(|| walk.code.go(position)).flatten();
                if go == Some(Go::Bottom) {
                    unwound.cut = None;
                } else if cut == Cut::Window || go.is_some() {
                    let links =
                        links(copy.registers.get(usize::from(RBP)).copied().unwrap_or(0), &walk.stack);
                    walk.join(&mut unwound, &links, list);
                }
                return unwound;
            }
        }
    }
}

/// The chain of frame pointers in the copy, with the first link outside.
fn links(first: u64, stack: &Window<'_>) -> Vec<u64> {
    let mut links = vec![first];
    while links.len() < LINKS
        && let Some(next) = links.last().and_then(|link| stack.word(*link))
    {
        links.push(next);
    }
    links
}

struct Walk<'a, C> {
    code: &'a mut C,
    registers: Registers,
    stack: Window<'a>,
    /// The stack that this one goes on with, until it has.
    other: Option<&'a OtherStack>,
    /// The instruction pointer is a return address.
    back: bool,
    leaf: bool,
    /// Where the return addresses were read; `None`: not all of them were.
    found: Option<Vec<u64>>,
}

impl<C: Code> Walk<'_, C> {
    fn ip(&self) -> u64 {
        self.registers.get(RA).unwrap_or(0)
    }

    /// Where the code is: a return address is moved back into the call before it.
    fn position(&self) -> u64 {
        self.ip().wrapping_sub(u64::from(self.back))
    }

    /// Where the return addresses are, from the start of the copy.
    fn words(&self, start: u64) -> Vec<u16> {
        let word =
            |address: &u64| u16::try_from(address.checked_sub(start).filter(|at| at % 8 == 0)? / 8).ok();
        self.found.iter().flatten().map(word).collect::<Option<_>>().unwrap_or_default()
    }

    /// Notes where a return address was read.
    fn note(&mut self, address: Option<u64>) {
        match (address, &mut self.found) {
            (Some(address), Some(found)) => found.push(address),
            _ => self.found = None,
        }
    }

    fn is_trampoline(&mut self) -> bool {
        self.code.bytes(self.registers.get(RA).unwrap_or(0), SIGRETURN.len()) == Some(SIGRETURN)
    }

    fn step(&mut self) -> Step {
        if !self.leaf && self.is_trampoline() {
            return self.by_signal();
        }
        match self.code.place(self.position()) {
            Place::Nowhere => Step::Cut(Cut::Unmapped),
            Place::Covered(row) => self.by_table(&row),
            Place::Uncovered => self.by_pointer(Cut::NoTable),
            Place::Unreadable => self.by_pointer(Cut::Unreadable),
        }
    }

    /// To the code that a signal interrupted.
    fn by_signal(&mut self) -> Step {
        let Some(context) = self.registers.get(RSP).and_then(|rsp| rsp.checked_add(INTERRUPTED)) else {
            return Step::Cut(Cut::Rules);
        };
        for (register, at) in CONTEXT_ORDER.into_iter().zip(0..) {
            let Some(value) = self.stack.word(context.wrapping_add(8 * at)) else {
                return self.lost(context);
            };
            self.registers.set(register, Some(value));
        }
        self.note(None);
        Step::Caller { exact: true }
    }

    fn by_table(&mut self, row: &Row) -> Step {
        if row.is_root() {
            return Step::Root;
        }
        let before = self.registers;
        let cfa = match &row.cfa {
            Base::Register(register, offset) => {
                before.get(*register).map(|base| base.wrapping_add_signed(*offset))
            }
            Base::Computed(expression) => expression.value(None, &before, &self.stack),
        };
        let Some(cfa) = cfa else { return Step::Cut(Cut::Rules) };
        // A frame lies above the one it called: no rules lead in a circle.
        if !row.signal && before.get(RSP).is_none_or(|rsp| cfa <= rsp) {
            return Step::Cut(Cut::Rules);
        }
        for (rule, register) in row.rules.iter().zip(0..) {
            self.registers.set(register, self.apply(rule, register, cfa, &before));
        }
        if self.registers.get(RA).is_none() {
            let lost = self.lost(match row.rule(RA) {
                Rule::At(offset) => cfa.wrapping_add_signed(*offset),
                _ => return Step::Cut(Cut::Rules),
            });
            self.registers = before;
            return lost;
        }
        self.note(match row.rule(RA) {
            Rule::At(offset) => Some(cfa.wrapping_add_signed(*offset)),
            _ => None,
        });
        Step::Caller { exact: row.signal }
    }

    fn apply(&self, rule: &Rule, register: u16, cfa: u64, before: &Registers) -> Option<u64> {
        match rule {
            Rule::Undefined => None,
            Rule::Same => before.get(register),
            Rule::At(offset) => self.stack.word(cfa.wrapping_add_signed(*offset)),
            Rule::Is(offset) => Some(cfa.wrapping_add_signed(*offset)),
            Rule::Register(other) => before.get(*other),
            Rule::AtComputed(expression) => {
                self.stack.word(expression.value(Some(cfa), before, &self.stack)?)
            }
            Rule::Computed(expression) => expression.value(Some(cfa), before, &self.stack),
        }
    }

    /// Code without a table: a leaf that has just been called, else its frame pointer. `cut`: why there may be none.
    fn by_pointer(&mut self, cut: Cut) -> Step {
        let (Some(rsp), Some(rbp)) = (self.registers.get(RSP), self.registers.get(RBP)) else {
            return Step::Cut(cut);
        };
        if self.leaf
            && !self.back
            && let Some(ip) = self.stack.word(rsp).filter(|ip| self.follows_call(*ip))
        {
            self.registers.set(RA, Some(ip));
            self.registers.set(RSP, Some(rsp.wrapping_add(8)));
            self.note(Some(rsp));
            return Step::Caller { exact: false };
        }
        if let Some(step) = self.change_stack(rbp) {
            return step;
        }
        // What starts a thread clears it.
        if rbp == 0 && !self.leaf {
            return Step::Root;
        }
        if rbp % 8 != 0 || rbp < rsp {
            return Step::Cut(cut);
        }
        let (Some(next), Some(ip)) = (self.stack.word(rbp), self.stack.word(rbp.wrapping_add(8))) else {
            return if self.stack.is_above(rbp) { Step::Cut(Cut::Window) } else { Step::Cut(cut) };
        };
        if ip == 0 {
            return Step::Root;
        }
        for register in [3, 12, 13, 14, 15] {
            self.registers.set(register, None);
        }
        self.registers.set(RA, Some(ip));
        self.registers.set(RBP, Some(next));
        self.registers.set(RSP, Some(rbp.wrapping_add(16)));
        self.note(Some(rbp.wrapping_add(8)));
        Step::Caller { exact: false }
    }

    /// To the code that switched stacks: its frame pointer is the one that it left.
    fn change_stack(&mut self, rbp: u64) -> Option<Step> {
        let other = self.other.take_if(|other| !self.leaf && other.bp == rbp)?;
        self.stack = Window::new(other.sp, &other.bytes);
        let Some(ip) = self.stack.word(other.sp) else { return Some(Step::Cut(Cut::OtherStack)) };
        for register in [3, 12, 13, 14, 15] {
            self.registers.set(register, None);
        }
        self.registers.set(RA, Some(ip));
        self.registers.set(RSP, Some(other.sp.wrapping_add(8)));
        self.note(None);
        Some(Step::Caller { exact: false })
    }

    /// Whether an address is one that a call returns to, as far as a file shows its code.
    fn follows_call(&mut self, ip: u64) -> bool {
        let Some(before) = ip.checked_sub(CALL_BYTES) else { return false };
        if matches!(self.code.place(before), Place::Nowhere) {
            return false;
        }
        self.code.bytes(before, CALL_BYTES as usize).is_some_and(is_call)
    }

    /// A word that was not copied.
    fn lost(&self, address: u64) -> Step {
        Step::Cut(if self.stack.is_above(address) { Cut::Window } else { Cut::OtherStack })
    }

    /// Goes on with the kernel's walk, where this frame's pointer is a link of its chain.
    fn join(&mut self, unwound: &mut Unwound, links: &[u64], list: &[u64]) {
        let link = self.registers.get(RBP).and_then(|rbp| links.iter().position(|link| *link == rbp));
        let Some(rest) = link.and_then(|link| list.get(link + 1..)) else { return };
        let mut place = self.code.place(self.position());
        for address in rest {
            match &place {
                Place::Covered(row) if !row.keeps_frame_pointer() => return,
                Place::Unreadable => return,
                _ => {}
            }
            let position = address.wrapping_sub(1);
            place = self.code.place(position);
            if matches!(place, Place::Nowhere) {
                return;
            }
            unwound.positions.push(position);
            if let Place::Covered(row) = &place
                && row.is_root()
            {
                unwound.cut = None;
                return;
            }
        }
        // The chain of code without tables ends where the thread began.
        if matches!(place, Place::Uncovered) && !rest.is_empty() && list.len() < LINKS {
            unwound.cut = None;
        }
    }
}

/// Whether seven bytes end with a call.
fn is_call(bytes: &[u8]) -> bool {
    let at = |back: usize| bytes.len().checked_sub(back).and_then(|at| bytes.get(at..)).unwrap_or_default();
    let indirect = |back: usize| matches!(at(back), [0xff, modes, ..] if modes >> 3 & 7 == 2);
    at(5).first() == Some(&0xe8) || [2, 3, 4, 6, 7].into_iter().any(indirect)
}
