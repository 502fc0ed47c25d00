//! Computed rules of unwind tables.
//!
//! In: an expression of DWARF, registers, the copied stack. Out: its value. It runs for a bounded number of steps, and
//! reads nothing but registers and the copy.

use gimli::{
    Encoding, EndianSlice, EvaluationResult, LittleEndian, Location, Piece, UnwindExpression, UnwindSection,
    Value,
};

use super::memory::{Registers, Window};

/// Operations of one expression; those of compilers have a dozen.
const STEPS: u32 = 256;
/// Bytes of an expression that is kept.
const BYTES: usize = 1024;

/// An expression, out of its table.
#[derive(Clone, Debug)]
pub struct Expression {
    code: Box<[u8]>,
    encoding: Encoding,
}

impl Expression {
    /// Copies it; `None` if it is longer than any compiler makes one.
    pub fn read<'a, S: UnwindSection<EndianSlice<'a, LittleEndian>>>(
        found: &UnwindExpression<usize>,
        section: &S,
        encoding: Encoding,
    ) -> Option<Self> {
        let code = found.get(section).ok()?.0;
        (code.len() <= BYTES).then(|| Self { code: code.slice().into(), encoding })
    }

    /// Its value; `first` is pushed before it begins. `None` if it asks for what is not known, or does not end.
    pub fn value(&self, first: Option<u64>, registers: &Registers, stack: &Window<'_>) -> Option<u64> {
        let code = gimli::Expression(EndianSlice::new(&self.code, LittleEndian));
        let mut evaluation = code.evaluation(self.encoding);
        evaluation.set_max_iterations(STEPS);
        if let Some(first) = first {
            evaluation.set_initial_value(first);
        }
        let mut state = evaluation.evaluate().ok()?;
        loop {
            state = match state {
                EvaluationResult::Complete => break,
                EvaluationResult::RequiresRegister { register, .. } => {
                    evaluation.resume_with_register(Value::Generic(registers.get(register.0)?))
                }
                EvaluationResult::RequiresMemory { address, size, .. } => {
                    let word = stack.word(address)?;
                    let bits = 8 * u32::from(size.clamp(1, 8));
                    evaluation.resume_with_memory(Value::Generic(word & (u64::MAX >> (64 - bits))))
                }
                _ => return None,
            }
            .ok()?;
        }
        match evaluation.as_result() {
            [Piece { location: Location::Address { address }, .. }] => Some(*address),
            _ => None,
        }
    }
}
