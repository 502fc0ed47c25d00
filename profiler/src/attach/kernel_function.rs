//! Functions of the kernel that the programs call where it has them.
//!
//! In: the object's bytes, the kernel's types. Out: an object whose marked calls are calls of this kernel's functions, or do nothing.
//!
//! There is one pair: `bpf_preempt_disable` and `bpf_preempt_enable`. Programs need it where the kernel may preempt them, which
//! those of system calls were never before Linux 7.0 (there, tracepoints of system calls lost their `preempt_disable`).

use std::collections::HashSet;

use profiler_common::kernel_function::{HOLD_CPU, RELEASE_CPU};

use super::btf;
use super::offsets::with_btf;
use crate::plan::facts::version;

/// First kernel that may preempt programs of system calls; older ones are not searched, which takes milliseconds.
const PREEMPTS: (u32, u32) = (7, 0);
/// Came with the kernels that do it.
const PREEMPTIBLE: &str = "trace_call_bpf_faultable";
const DISABLE: &str = "bpf_preempt_disable";
const ENABLE: &str = "bpf_preempt_enable";

/// Bytes of an instruction.
const INSTRUCTION: usize = 8;
/// A call of a helper: its code, no registers, no offset.
const HELPER: [u8; 4] = [0x85, 0, 0, 0];
/// A call of a function of the kernel (`BPF_PSEUDO_KFUNC_CALL` in the place of the source register).
const FUNCTION: [u8; 4] = [0x85, 0x20, 0, 0];
/// A jump to the next instruction.
const NOTHING: [u8; INSTRUCTION] = [0x05, 0, 0, 0, 0, 0, 0, 0];

/// The kernel's numbers of the functions by which a program keeps its CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holding {
    disable: u32,
    enable: u32,
}

impl Holding {
    /// Of this kernel; none where programs keep their CPU anyway, or nothing can be done.
    pub fn of_this_kernel() -> Option<Self> {
        if version(&rustix::system::uname().release().to_string_lossy()) < PREEMPTS {
            return None;
        }
        let wanted = HashSet::from([PREEMPTIBLE, DISABLE, ENABLE]);
        let found = with_btf(|bytes| btf::functions(bytes, &wanted))?;
        found.get(PREEMPTIBLE)?;
        Some(Self { disable: *found.get(DISABLE)?, enable: *found.get(ENABLE)? })
    }
}

/// Puts the kernel's functions, or nothing, in the place of the marked calls. Returns how many these were.
pub fn bind(object: &mut [u8], holding: Option<Holding>) -> usize {
    let mut bound = 0;
    // Code begins at multiples of an instruction in its file.
    for instruction in object.chunks_exact_mut(INSTRUCTION) {
        let (code, mark) = instruction.split_at(4);
        if code != HELPER {
            continue;
        }
        let number = if mark == HOLD_CPU.to_le_bytes() {
            holding.map(|holding| holding.disable)
        } else if mark == RELEASE_CPU.to_le_bytes() {
            holding.map(|holding| holding.enable)
        } else {
            continue;
        };
        match number {
            Some(number) => {
                instruction[..4].copy_from_slice(&FUNCTION);
                instruction[4..].copy_from_slice(&number.to_le_bytes());
            }
            None => instruction.copy_from_slice(&NOTHING),
        }
        bound += 1;
    }
    bound
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attach::object;

    const HOLDING: Holding = Holding { disable: 77, enable: 78 };

    #[test]
    fn marked_calls_become_calls_of_the_kernel_or_nothing() {
        let helper = [0x85, 0, 0, 0, 5, 0, 0, 0];
        let marked = |mark: i32| [HELPER, mark.to_le_bytes()].concat();
        let code = [marked(HOLD_CPU), helper.to_vec(), marked(RELEASE_CPU)].concat();
        let mut bound = code.clone();
        assert_eq!(bind(&mut bound, Some(HOLDING)), 2);
        assert_eq!(bound[..8], [0x85, 0x20, 0, 0, 77, 0, 0, 0]);
        assert_eq!(bound[8..16], helper);
        assert_eq!(bound[16..], [0x85, 0x20, 0, 0, 78, 0, 0, 0]);
        let mut without = code;
        assert_eq!(bind(&mut without, None), 2);
        assert_eq!(without, [NOTHING, helper, NOTHING].concat());
    }

    #[test]
    fn the_object_holds_and_releases_alike() {
        let Ok(bytes) = object::bytes() else {
            eprintln!("SKIPPED: built without the kernel side");
            return;
        };
        let mut bytes = bytes.to_vec();
        let bound = bind(&mut bytes, Some(HOLDING));
        let calls = |number: u32| {
            let call = [FUNCTION, number.to_le_bytes()].concat();
            bytes.chunks_exact(INSTRUCTION).filter(|instruction| *instruction == call).count()
        };
        assert!(bound > 4 && calls(77) > 2, "{bound}");
        assert!(calls(78) >= calls(77), "a way out that does not release");
        assert_eq!(bind(&mut bytes, None), 0);
    }
}
