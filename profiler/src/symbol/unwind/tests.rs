//! Stacks of this test's own threads, beside what libgcc's unwinder says of them; and rules that lead nowhere.

use std::arch::asm;
use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::rc::Rc;
use std::sync::Mutex;

use super::memory::{RA, RBP};
use super::run::{Batch, Unwinder};
use super::tables::{Base, Row, Rule};
use super::walk::{Code, Go, Place, Unwound, walk};
use crate::profile::stack::{Cut, StackId};
use crate::profile::stack_copy::{OtherStack, REGISTERS, StackCopy};
use crate::profile::{Pid, Tid};
use crate::symbol::maps;
use crate::symbol::pin::Executables;
use crate::symbol::process::{AddressSpace, Region};

/// A copy of this thread's stack, and the return addresses that another unwinder finds.
#[inline(never)]
fn capture(bytes: usize) -> (StackCopy, Vec<u64>) {
    let mut registers = [0_u64; REGISTERS];
    // SAFETY: the instructions write as many words as there are, at the numbers that DWARF gives them.
    unsafe {
        asm!(
            "mov [{r} + 24], rbx", "mov [{r} + 48], rbp", "mov [{r} + 56], rsp", "mov [{r} + 96], r12",
            "mov [{r} + 104], r13", "mov [{r} + 112], r14", "mov [{r} + 120], r15", "lea {t}, [rip]",
            "mov [{r} + 128], {t}",
            r = in(reg) registers.as_mut_ptr(), t = out(reg) _,
        );
    }
    let mut stack = vec![0; bytes];
    // What follows the stack may be unmapped.
    let read = File::open("/proc/self/mem").unwrap().read_at(&mut stack, registers[7]).unwrap();
    stack.truncate(read);
    let mut truth = [std::ptr::null_mut(); 200];
    // SAFETY: room for as many addresses as said.
    let found = unsafe { libc::backtrace(truth.as_mut_ptr(), truth.len() as i32) };
    let truth = truth[1..found as usize].iter().map(|address| *address as u64).collect();
    let (id, pid, tid) = (StackId(1), Pid(std::process::id()), Tid(1));
    let stack = stack.into_boxed_slice();
    let copy = StackCopy {
        id,
        list: StackId(2),
        pid,
        tid,
        time_ns: 0,
        in_call: false,
        registers,
        stack,
        other: None,
    };
    (copy, truth)
}

fn unwind(copies: &[StackCopy]) -> Vec<Unwound> {
    let own = Pid(std::process::id());
    let mut executables = Executables::new();
    let mappings = maps::read(own).unwrap();
    let regions = mappings.iter().map(|mapping| Region::new(mapping, executables.backing(own, mapping)));
    let spaces = HashMap::from([(own, AddressSpace::new(Ok(regions.collect())))]);
    let batch = Batch { copies, lists: &HashMap::new(), spaces: &spaces, executables: &executables };
    Unwinder::new().run(&batch)
}

/// The callers agree: return addresses − 1 where calls were made, the address itself where a signal came.
fn assert_same(unwound: &Unwound, truth: &[u64]) {
    let callers = &unwound.positions[1..];
    let same = |(ours, theirs): (&u64, &u64)| *ours == *theirs || *ours + 1 == *theirs;
    assert!(
        callers.len() == truth.len() && callers.iter().zip(truth).all(same),
        "{unwound:x?}\nbeside {truth:x?}"
    );
    assert_eq!(unwound.cut, None);
}

#[inline(never)]
fn deep(levels: u32) -> (StackCopy, Vec<u64>) {
    let found = if levels == 0 { capture(64 << 10) } else { deep(levels - 1) };
    std::hint::black_box(levels);
    found
}

#[test]
fn a_thread_is_unwound_to_its_root_and_a_short_copy_to_its_end() {
    let (copy, truth) = deep(20);
    assert!(truth.len() > 24, "{truth:x?}");
    let whole = &unwind(std::slice::from_ref(&copy))[0];
    assert_same(whole, &truth);
    // The copy that reaches to the root, and no further, is enough; half of it is not.
    let bytes = (whole.top - copy.registers[7]) as usize;
    let first = |bytes: usize| StackCopy { stack: copy.stack[..bytes].into(), ..copy.clone() };
    let unwound = unwind(&[first(bytes), first(bytes / 2)]);
    assert_eq!(&unwound[0], whole);
    let cut = &unwound[1];
    assert_eq!(cut.cut, Some(Cut::Window));
    assert!(cut.positions.len() > 5 && whole.positions.starts_with(&cut.positions), "{cut:x?}");
}

static CAUGHT: Mutex<Option<(StackCopy, Vec<u64>)>> = Mutex::new(None);

extern "C" fn handler(_: i32) {
    *CAUGHT.lock().unwrap() = Some(capture(64 << 10));
}

#[test]
fn a_signals_frame_is_crossed() {
    // SAFETY: the handler does nothing that the interrupted code, which raises the signal, may not do.
    unsafe {
        let old = libc::signal(libc::SIGUSR2, handler as extern "C" fn(i32) as libc::sighandler_t);
        libc::raise(libc::SIGUSR2);
        libc::signal(libc::SIGUSR2, old);
    }
    let (copy, truth) = CAUGHT.lock().unwrap().take().unwrap();
    assert_same(&unwind(&[copy])[0], &truth);
}

/// Code made up of functions of 16 bytes, by their number.
struct Made(Vec<Option<Rc<Row>>>);

impl Code for Made {
    fn place(&mut self, address: u64) -> Place {
        match self.0.get(address as usize / 16) {
            None => Place::Nowhere,
            Some(None) => Place::Uncovered,
            Some(Some(row)) => Place::Covered(Rc::clone(row)),
        }
    }

    fn bytes(&mut self, _: u64, _: usize) -> Option<&[u8]> {
        None
    }

    fn go(&mut self, _: u64) -> Option<Go> {
        None
    }
}

/// The same, all of it Go's; a stack begins in the function of this number.
struct MadeOfGo(Made, u64);

impl Code for MadeOfGo {
    fn place(&mut self, address: u64) -> Place {
        self.0.place(address)
    }

    fn bytes(&mut self, address: u64, length: usize) -> Option<&[u8]> {
        self.0.bytes(address, length)
    }

    fn go(&mut self, address: u64) -> Option<Go> {
        Some(if address / 16 == self.1 { Go::Bottom } else { Go::Called })
    }
}

/// Rules with the frame at a register plus an offset, and the return address below it.
fn row(register: u16, offset: i64) -> Option<Rc<Row>> {
    let mut rules = std::array::from_fn(|_| Rule::Same);
    rules[7] = Rule::Is(0);
    rules[usize::from(RA)] = Rule::At(-8);
    if register == RBP {
        rules[usize::from(RBP)] = Rule::At(-16);
    }
    Some(Rc::new(Row { cfa: Base::Register(register, offset), rules, signal: false }))
}

fn copy(words: &[u64], (ip, bp): (u64, u64)) -> StackCopy {
    let stack = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let mut registers = [0; REGISTERS];
    (registers[7], registers[6], registers[16]) = (0x1000, bp, ip);
    let (id, pid, tid) = (StackId(1), Pid(1), Tid(1));
    StackCopy { id, list: StackId(2), pid, tid, time_ns: 0, in_call: false, registers, stack, other: None }
}

#[test]
fn rules_that_lead_in_a_circle_or_nowhere_end_the_stack() {
    let ends = |row: Option<Rc<Row>>, words: &[u64]| walk(&mut Made(vec![row]), &copy(words, (1, 0)), &[]);
    // The frame does not grow.
    assert_eq!(ends(row(7, 0), &[5, 5]).cut, Some(Cut::Rules));
    assert_eq!(ends(row(7, -8), &[5, 5]).cut, Some(Cut::Rules));
    // Recursion without end is ended by the copy, and at the latest by the number of frames.
    let ended = ends(row(7, 8), &[5, 5, 5]);
    assert_eq!((ended.positions.len(), ended.cut), (4, Some(Cut::Window)));
    assert_eq!(ends(row(7, 8), &[5; 1000]).cut, Some(Cut::Deep));
    // A register that nobody has saved, another stack, an address in no code.
    let mut lost = row(3, 16);
    Rc::get_mut(lost.as_mut().unwrap()).unwrap().rules[3] = Rule::Undefined;
    assert_eq!(ends(lost, &[5; 8]).cut, Some(Cut::Rules));
    assert_eq!(ends(row(7, 1 << 40), &[5; 8]).cut, Some(Cut::OtherStack));
    assert_eq!(ends(row(7, 8), &[1 << 30, 5]).cut, Some(Cut::Unmapped));
    assert_eq!(ends(row(7, 8), &[0, 5]).cut, None);
}

#[test]
fn code_without_tables_is_walked_by_its_frame_pointers_to_where_they_are_cleared() {
    let words = [0x1010, 0x15, 0, 0x25];
    let unwound = walk(&mut Made(vec![None; 4]), &copy(&words, (1, 0x1000)), &[]);
    assert_eq!((unwound.positions, unwound.cut), (vec![1, 0x14, 0x24], None));
    // Nothing is known of a leaf without one.
    assert_eq!(walk(&mut Made(vec![None; 4]), &copy(&words, (1, 0)), &[]).cut, Some(Cut::NoTable));
}

#[test]
fn a_stack_goes_on_with_another_one_only_where_its_frame_pointer_leads_there() {
    // C at 1, called by code without a table at 0x14, which was called on another stack from 0x24, and that from 0x34.
    let words = [0x110, 0x2f, 0, 0x35].map(u64::to_le_bytes).concat();
    let other = |sp: u64, bp: u64| Some(OtherStack { sp, bp, bytes: words[8..].into() });
    let unwound = |other| {
        let copy = StackCopy { other, ..copy(&[0x15, 7, 7], (1, 0x110)) };
        walk(&mut Made(vec![row(7, 8), None, None, None]), &copy, &[])
    };
    let whole = unwound(other(0x108, 0x110));
    assert_eq!((whole.positions, whole.cut, whole.top), (vec![1, 0x14, 0x2e, 0x34], None, 0));
    assert_eq!(unwound(other(0x108, 0x118)).cut, Some(Cut::NoTable), "another frame pointer");
    assert_eq!(unwound(None).cut, Some(Cut::NoTable));
    let empty = OtherStack { sp: 0x108, bp: 0x110, bytes: Box::default() };
    assert_eq!(unwound(Some(empty)).cut, Some(Cut::OtherStack));
}

#[test]
fn where_the_copy_ends_the_kernels_walk_goes_on_through_code_that_keeps_frame_pointers() {
    let keeps = || row(RBP, 16);
    let words = [0x1010, 0x15];
    let list = [1, 0x15, 0x25, 0x35];
    // The first frame is in the copy, the second's pointer is the first link outside.
    let joined = |code: Vec<_>| walk(&mut Made(code), &copy(&words, (1, 0x1000)), &list);
    let whole = joined(vec![keeps(), keeps(), keeps(), None]);
    assert_eq!((whole.positions, whole.cut), (vec![1, 0x14, 0x24, 0x34], None));
    let unsure = joined(vec![keeps(), keeps(), row(7, 64), None]);
    assert_eq!((unsure.positions, unsure.cut), (vec![1, 0x14, 0x24], Some(Cut::Window)));
    let refused = joined(vec![keeps(), row(7, 64), keeps(), None]);
    assert_eq!((refused.positions, refused.cut), (vec![1, 0x14], Some(Cut::Window)));
}

#[test]
fn where_gos_runtime_has_changed_stacks_the_kernels_walk_goes_on_with_the_goroutine() {
    // The runtime at 1, called from 0x14 on its own stack; the frame pointer there is the goroutine's, below this stack.
    let words = [0x200, 0x15];
    let (copy, list) = (copy(&words, (1, 0x1000)), [1, 0x15, 0x25, 0x35]);
    let walked = |bottom| walk(&mut MadeOfGo(Made(vec![None; 4]), bottom), &copy, &list);
    let whole = walked(99);
    assert_eq!((whole.positions, whole.cut, whole.top), (vec![1, 0x14, 0x24, 0x34], None, 0));
    assert!(whole.words.is_empty(), "these words do not tell the goroutine's stack");
    // What begins a stack has a frame pointer of somebody else's.
    let bottom = walked(1);
    assert_eq!((bottom.positions, bottom.cut, bottom.top), (vec![1, 0x14], None, 0));
    assert_eq!(walk(&mut Made(vec![None; 4]), &copy, &list).cut, Some(Cut::NoTable), "not Go's");
    let other = walk(&mut MadeOfGo(Made(vec![None; 4]), 99), &copy, &[1, 0x15]);
    assert_eq!((other.positions, other.cut), (vec![1, 0x14], Some(Cut::NoTable)), "no walk of the kernel's");
}
