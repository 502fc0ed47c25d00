//! What joins a call with its restart, one kind of evidence at a time. Everything at random is in `calls`.

use profiler_common::outcome::Outcome;
use profiler_common::processor::RESTART_SYSCALL;
use profiler_common::stack::NO_STACK;

use super::model::Model;
use super::new_thread;
use crate::restart::{Next, Over};
use crate::thread::{Thread, flag};
use crate::{call, restart};

const READ: u32 = 7;
const AT: u64 = 1 << 16;
const SA_RESTART: u64 = 0x1000_0000;
const SA_ONSTACK: u64 = 0x0800_0000;

fn interrupted(stack_pointer: Option<u64>, ret: i64) -> (Model, Thread) {
    let (world, thread) = (Model::default(), new_thread());
    call::begins(&world, &thread, (READ, 1_000), false);
    call::ends(&world, &thread, 2_000);
    assert_eq!(restart::at_exit(&thread, 2_000, stack_pointer, ret), None);
    (world, thread)
}

fn next(thread: &Thread, stack_pointer: u64) -> Next {
    restart::next(thread, READ, Some(stack_pointer))
}

#[test]
fn a_stack_pointer_that_could_not_be_read_joins_nothing() {
    for (at_exit, at_enter) in
        [(None, None), (None, Some(AT)), (Some(AT), None), (None, Some(0)), (Some(0), Some(0))]
    {
        let (_, thread) = interrupted(at_exit, -512);
        assert_eq!(restart::next(&thread, READ, at_enter), Next::Other, "{at_exit:?} {at_enter:?}");
        restart::at_handler(&thread, SA_RESTART);
        restart::at_sigreturn(&thread, at_enter, READ);
        assert!(thread.is(flag::HANDLED), "{at_exit:?} {at_enter:?}");
    }
    let (world, thread) = interrupted(Some(AT), -512);
    assert_eq!(next(&thread, AT), Next::Restart);
    call::begins(&world, &thread, (READ, 3_000), true);
    assert_eq!((world.counted(Outcome::Restarted), thread.is(flag::INTERRUPTED)), (1, false));
}

#[test]
fn a_call_that_only_restart_syscall_restarts_is_not_run_again() {
    let (world, thread) = interrupted(Some(AT), -516);
    assert_eq!(next(&thread, AT), Next::Other);
    assert_eq!(restart::next(&thread, RESTART_SYSCALL, Some(AT)), Next::Restart);
    call::begins(&world, &thread, (RESTART_SYSCALL, 4_000), true);
    assert_eq!((world.counted(Outcome::Restarted), thread.nr.get()), (1, READ));
    let (_, thread) = interrupted(Some(AT), -512);
    assert_eq!(restart::next(&thread, RESTART_SYSCALL, Some(AT)), Next::Other, "only that errno leads there");
}

#[test]
fn a_handler_that_jumps_away_leaves_the_call_even_if_the_program_makes_it_again_at_once() {
    let (_, thread) = interrupted(Some(AT), -512);
    assert!(!restart::at_handler(&thread, SA_RESTART));
    assert_eq!(next(&thread, AT - 64), Next::OfHandler);
    assert_eq!(next(&thread, AT), Next::Other);
    assert_eq!(restart::take(&thread), Over { nr: READ, wall_ns: 1_000, user: NO_STACK });
    assert!(!thread.is(flag::INTERRUPTED | flag::HANDLED));
}

#[test]
fn a_handler_on_its_own_stack_may_be_anywhere_but_at_the_call() {
    let (_, thread) = interrupted(Some(AT), -512);
    assert!(!restart::at_handler(&thread, SA_RESTART | SA_ONSTACK));
    assert_eq!((next(&thread, 8 * AT), next(&thread, AT)), (Next::OfHandler, Next::Other));
    let (_, thread) = interrupted(Some(AT), -512);
    assert!(!restart::at_handler(&thread, SA_RESTART) && !restart::at_handler(&thread, SA_ONSTACK));
    assert_eq!(next(&thread, 8 * AT), Next::OfHandler, "the second handler has one");
}

#[test]
fn only_a_return_to_the_very_frame_leads_to_the_restart() {
    let (_, thread) = interrupted(Some(AT), -513);
    assert!(!restart::at_handler(&thread, 0));
    restart::at_sigreturn(&thread, Some(AT - 64), READ);
    assert_eq!(next(&thread, AT), Next::Other, "that was the return of a handler on top");
    restart::at_sigreturn(&thread, Some(AT), READ + 1);
    assert_eq!(next(&thread, AT), Next::Other, "it goes on with something else");
    restart::at_sigreturn(&thread, Some(AT), READ);
    assert_eq!(next(&thread, AT), Next::Restart);
    assert!(!restart::at_handler(&thread, 0), "it cannot fail any more");
    assert_eq!(next(&thread, AT - 64), Next::OfHandler);
}

#[test]
fn whether_a_handler_makes_it_fail_is_the_kernels_rule() {
    for (ret, action, fails) in [
        (-512, 0, true),
        (-512, SA_RESTART, false),
        (-513, 0, false),
        (-514, SA_RESTART, true),
        (-516, SA_RESTART, true),
    ] {
        let (_, thread) = interrupted(Some(AT), ret);
        assert_eq!(restart::at_handler(&thread, action), fails, "{ret} {action:x}");
    }
}

#[test]
fn a_call_of_a_handler_that_is_interrupted_takes_the_place_of_the_one_below() {
    let (world, thread) = interrupted(Some(AT), -512);
    restart::at_handler(&thread, SA_RESTART);
    call::begins(&world, &thread, (9, 5_000), false);
    call::ends(&world, &thread, 5_500);
    let over = restart::at_exit(&thread, 5_500, Some(AT - 64), -512);
    assert_eq!(over, Some(Over { nr: READ, wall_ns: 1_000, user: NO_STACK }));
    assert_eq!(thread.enter_ns.get(), 1_000, "the record is that of the one below");
    assert_eq!(restart::next(&thread, 9, Some(AT - 64)), Next::Restart);
    assert_eq!(restart::take(&thread), Over { nr: 9, wall_ns: 500, user: NO_STACK });
}
