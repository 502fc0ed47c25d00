//! A wait that was open at attach, against what was seeded.
//!
//! In: a thread that sleeps, and is seeded as such. Out: its wait since then, in the call that it is in.

use profiler_common::outcome::Outcome;
use profiler_common::part::Part;
use profiler_common::wait::Wait;

use super::model::Model;
use super::new_thread;
use crate::thread::{Thread, flag};
use crate::{away, call};

const CALL: u32 = 73;

#[test]
fn a_seeded_wait_counts_from_then_on_and_its_call_has_it_as_a_part() {
    let (world, thread) = (Model::default(), new_thread());
    world.switches.set(5);
    thread.nr.set(CALL);
    thread.flags.set(flag::KNOWN | flag::IN_CALL | flag::SEEDED);
    away::seed(&world, &thread, Wait::Sleep, 1 << 20);
    away::woken(&world, &thread, || (1 << 20) + 4096);
    away::comes_back(&world, &thread, (1 << 20) + 5120);
    assert_eq!(*world.rows.borrow(), [(Some(CALL), Wait::Sleep, 4096), (Some(CALL), Wait::Woken, 1024)]);
    let part = |part: Part| thread.parts.ns[part as usize].get();
    assert_eq!((part(Part::Sleep), part(Part::Woken)), (4096, 1024));
    assert_eq!(world.counted(Outcome::SwitchMissed), 0);
}

#[test]
fn what_was_seeded_and_taken_back_is_no_wait() {
    let (world, thread) = (Model::default(), new_thread());
    away::seed(&world, &thread, Wait::Stopped, 1 << 20);
    away::unseed(&thread);
    away::comes_back(&world, &thread, (1 << 20) + 4096);
    assert!(world.rows.borrow().is_empty());
}

/// A thread that ran at attach, for 4,096 ns since.
fn running() -> (Model, Thread) {
    let (world, thread) = (Model::default(), new_thread());
    world.switches.set(5);
    call::may_be(&world, &thread, 1 << 20);
    assert!(!thread.in_call() && !thread.is(flag::KNOWN));
    (world, thread)
}

#[test]
fn a_call_of_a_thread_that_ran_at_attach_has_its_time_since_then() {
    let (world, thread) = running();
    world.switches.set(6);
    world.state.set(2);
    call::told(&thread, Some(CALL));
    away::leaves(&world, &thread, false, (1 << 20) + 4096);
    away::woken(&world, &thread, || (1 << 20) + 8192);
    away::comes_back(&world, &thread, (1 << 20) + 8192);
    call::ends(&world, &thread, (1 << 20) + 9216);
    let before = CALL | profiler_common::abi::BEGAN_BEFORE;
    assert_eq!(*world.rows.borrow(), [(Some(before), Wait::Uninterruptible, 4096)]);
    let part = |part: Part| thread.parts.ns[part as usize].get();
    assert_eq!((part(Part::OnCpu), part(Part::Sleep)), (4096 + 1024, 4096));
    assert_eq!(thread.enter_ns.get(), 1 << 20);
}

#[test]
fn a_thread_that_ran_its_own_code_at_attach_is_in_no_call() {
    let (world, thread) = running();
    call::told(&thread, None);
    assert!(!thread.in_call() && thread.is(flag::KNOWN));
    let (_, thread) = running();
    call::begins(&world, &thread, (CALL, 2 << 20), false);
    assert_eq!((thread.in_call(), thread.nr.get(), thread.enter_ns.get()), (true, CALL, 2 << 20));
    assert!(!thread.is(flag::UNTOLD | flag::SEEDED));
}
