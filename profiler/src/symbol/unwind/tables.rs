//! The unwind tables of one image: `.eh_frame`, else `.debug_frame`.
//!
//! In: an image, a linked address. Out: the [`Row`] of rules that holds there, kept once it was made.

use std::collections::HashMap;
use std::rc::Rc;

use gimli::{
    BaseAddresses, CfaRule, CieOrFde, DebugFrame, EhFrame, EhFrameHdr, EndianSlice, FrameDescriptionEntry,
    LittleEndian, ParsedEhFrameHdr, Register, RegisterRule, UnwindContext, UnwindSection,
};

use super::elf::{Elf, Part};
use super::evaluate::Expression;
use super::memory::{RA, RBP};
use crate::profile::stack_copy::REGISTERS;

type Bytes<'a> = EndianSlice<'a, LittleEndian>;
type Entry<'a> = FrameDescriptionEntry<Bytes<'a>>;

/// Rows kept of one image.
const ROWS: usize = 1 << 16;
/// Functions of a table that has no sorted index.
const FUNCTIONS: usize = 1 << 20;

/// How the frame above a position is found.
#[derive(Clone, Debug)]
pub struct Row {
    /// The frame's address.
    pub cfa: Base,
    /// Each register of the caller.
    pub rules: [Rule; REGISTERS],
    /// The frame is a signal's: its caller was interrupted at any instruction, and has made no call.
    pub signal: bool,
}

/// The frame's address: what the stack pointer was before the call.
#[derive(Clone, Debug)]
pub enum Base {
    /// A register plus an offset.
    Register(u16, i64),
    /// Computed.
    Computed(Expression),
}

/// Where a register of the caller is.
#[derive(Clone, Debug)]
pub enum Rule {
    /// Its value is unknown. For the return address, this means that there is no caller.
    Undefined,
    /// As it is.
    Same,
    /// In memory, at the frame's address plus this.
    At(i64),
    /// The frame's address plus this.
    Is(i64),
    /// In another register.
    Register(u16),
    /// In memory, at a computed address.
    AtComputed(Expression),
    /// Computed.
    Computed(Expression),
}

impl Row {
    /// Whether the code keeps its frame pointer here: what it points to is the caller's.
    pub fn keeps_frame_pointer(&self) -> bool {
        matches!(self.cfa, Base::Register(RBP, 16)) && matches!(self.rule(RBP), Rule::At(-16))
    }

    /// The rule of a register.
    pub fn rule(&self, register: u16) -> &Rule {
        self.rules.get(usize::from(register)).unwrap_or(&Rule::Undefined)
    }

    /// Whether the code has no caller.
    pub fn is_root(&self) -> bool {
        matches!(self.rule(RA), Rule::Undefined)
    }
}

/// A table and how a function is found in it.
enum Table<'a> {
    None,
    Indexed(EhFrame<Bytes<'a>>, ParsedEhFrameHdr<Bytes<'a>>),
    Listed(EhFrame<Bytes<'a>>, Vec<Function>),
    Debug(DebugFrame<Bytes<'a>>, Vec<Function>),
}

/// A function of a table without an index.
#[derive(Clone, Copy)]
struct Function {
    start: u64,
    end: u64,
    entry: usize,
}

/// The tables of one image.
pub struct Tables<'a> {
    table: Table<'a>,
    bases: BaseAddresses,
    context: UnwindContext<usize>,
    rows: HashMap<u64, Option<Rc<Row>>>,
}

impl<'a> Tables<'a> {
    /// Finds the tables; functions are read when they are asked for.
    pub fn new(elf: &Elf<'a>) -> Self {
        let (table, bases) = indexed(elf)
            .or_else(|| listed(elf))
            .or_else(|| debug(elf))
            .unwrap_or((Table::None, BaseAddresses::default()));
        Self { table, bases, context: UnwindContext::new(), rows: HashMap::new() }
    }

    /// The rules at a linked address; `None` where no table covers it, or its entry is broken.
    pub fn row(&mut self, address: u64) -> Option<Rc<Row>> {
        if let Some(known) = self.rows.get(&address) {
            return known.clone();
        }
        let row = self.read(address).map(Rc::new);
        if self.rows.len() >= ROWS {
            self.rows.clear();
        }
        self.rows.insert(address, row.clone());
        row
    }

    fn read(&mut self, address: u64) -> Option<Row> {
        let (bases, context) = (&self.bases, &mut self.context);
        match &self.table {
            Table::None => None,
            Table::Indexed(frames, header) => {
                let found = header.table()?.lookup(address, bases).ok()?.direct().ok()?;
                // gimli subtracts without a look: an entry before its section is a hostile index.
                let at = found.checked_sub(header.eh_frame_ptr().direct().ok()?)? as usize;
                let entry = frames.fde_from_offset(bases, at.into(), EhFrame::cie_from_offset).ok()?;
                entry.contains(address).then(|| row(frames, (bases, context), &entry, address))?
            }
            Table::Listed(frames, functions) => {
                let entry =
                    frames.fde_from_offset(bases, find(functions, address)?.into(), EhFrame::cie_from_offset);
                row(frames, (bases, context), &entry.ok()?, address)
            }
            Table::Debug(frames, functions) => {
                let at = find(functions, address)?.into();
                let entry = frames.fde_from_offset(bases, at, DebugFrame::cie_from_offset);
                row(frames, (bases, context), &entry.ok()?, address)
            }
        }
    }
}

/// The table that the dynamic linker uses, with its sorted index.
fn indexed<'a>(elf: &Elf<'a>) -> Option<(Table<'a>, BaseAddresses)> {
    let part = elf.eh_frame_hdr()?;
    let bases = BaseAddresses::default().set_eh_frame_hdr(part.address);
    let header = EhFrameHdr::new(part.bytes, LittleEndian).parse(&bases, 8).ok()?;
    header.table()?;
    let frames = elf.part_at(header.eh_frame_ptr().direct().ok()?)?;
    Some((
        Table::Indexed(EhFrame::new(frames.bytes, LittleEndian), header),
        bases.set_eh_frame(frames.address),
    ))
}

fn listed<'a>(elf: &Elf<'a>) -> Option<(Table<'a>, BaseAddresses)> {
    let Part { address, bytes } = elf.section(".eh_frame")?;
    let bases = BaseAddresses::default().set_eh_frame(address);
    let frames = EhFrame::new(bytes, LittleEndian);
    let functions = functions(&frames, &bases)?;
    Some((Table::Listed(frames, functions), bases))
}

fn debug<'a>(elf: &Elf<'a>) -> Option<(Table<'a>, BaseAddresses)> {
    let bases = BaseAddresses::default();
    let mut frames = DebugFrame::new(elf.section(".debug_frame")?.bytes, LittleEndian);
    frames.set_address_size(8);
    let functions = functions(&frames, &bases)?;
    Some((Table::Debug(frames, functions), bases))
}

/// All functions of a table, sorted; `None` if it has none.
fn functions<'a, S: UnwindSection<Bytes<'a>>>(section: &S, bases: &BaseAddresses) -> Option<Vec<Function>> {
    let mut entries = section.entries(bases);
    let mut functions = Vec::new();
    while functions.len() < FUNCTIONS {
        match entries.next() {
            Ok(Some(CieOrFde::Fde(partial))) => {
                if let Ok(entry) = partial.parse(S::cie_from_offset) {
                    let (start, end) = (entry.initial_address(), entry.end_address());
                    functions.push(Function { start, end, entry: entry.offset() });
                }
            }
            Ok(Some(CieOrFde::Cie(_))) => {}
            Ok(None) | Err(_) => break,
        }
    }
    functions.sort_unstable_by_key(|function| function.start);
    (!functions.is_empty()).then_some(functions)
}

/// Where the entry of the function is that covers an address.
fn find(functions: &[Function], address: u64) -> Option<usize> {
    let after = functions.partition_point(|function| function.start <= address);
    let function = functions.get(after.checked_sub(1)?)?;
    (address < function.end).then_some(function.entry)
}

fn row<'a, S: UnwindSection<Bytes<'a>>>(
    section: &S,
    (bases, context): (&BaseAddresses, &mut UnwindContext<usize>),
    entry: &Entry<'a>,
    address: u64,
) -> Option<Row> {
    let found = entry.unwind_info_for_address(section, bases, context, address).ok()?;
    let encoding = entry.cie().encoding();
    let expression = |found: &gimli::UnwindExpression<usize>| Expression::read(found, section, encoding);
    let cfa = match found.cfa() {
        CfaRule::RegisterAndOffset { register, offset } => Base::Register(register.0, *offset),
        CfaRule::Expression(found) => Base::Computed(expression(found)?),
    };
    let mut rules = std::array::from_fn(|register| by_default(register as u16));
    // The return address may have another number. A table that says nothing of it covers nothing.
    let ra = entry.cie().return_address_register();
    found.register(ra)?;
    for (slot, number) in rules.iter_mut().zip(0..) {
        *slot = match found.register(if number == RA { ra } else { Register(number) }) {
            None => continue,
            Some(RegisterRule::Undefined | RegisterRule::Architectural | RegisterRule::Constant(_)) => {
                Rule::Undefined
            }
            Some(RegisterRule::SameValue) => Rule::Same,
            Some(RegisterRule::Offset(offset)) => Rule::At(offset),
            Some(RegisterRule::ValOffset(offset)) => Rule::Is(offset),
            Some(RegisterRule::Register(other)) => Rule::Register(other.0),
            Some(RegisterRule::Expression(found)) => Rule::AtComputed(expression(&found)?),
            Some(RegisterRule::ValExpression(found)) => Rule::Computed(expression(&found)?),
        };
    }
    Some(Row { cfa, rules, signal: entry.is_signal_trampoline() })
}

/// What the ABI says of a register that a table does not name: calls preserve `rbx`, `rbp` and `r12` to `r15`, and the
/// stack pointer is the frame's address.
fn by_default(register: u16) -> Rule {
    match register {
        3 | 6 | 12..=15 => Rule::Same,
        7 => Rule::Is(0),
        _ => Rule::Undefined,
    }
}
