//! Where a process died.
//!
//! In: a death, the faults. Out: the fault that it died of, its functions in a line.

use std::collections::BTreeMap;

use profiler_common::crash::FATAL;

use super::rows::{Fault, How, Kind, Received};
use crate::probes::peer::gate::{Gate, Unknown, is_of_go};
use crate::profile::deaths::Death;
use crate::profile::{Profile, StackId};
use crate::render::locks;
use crate::render::name::{nameless, user_functions};
use crate::render::stack_lines::joined;

/// Functions that only raise the signal: their callers matter.
const RAISING: &[&str] = &[
    "raise",
    "gsignal",
    "abort",
    "pthread_kill",
    "__pthread_kill",
    "__pthread_kill_implementation",
    "__pthread_kill_internal",
    "__GI_raise",
    "__GI_abort",
    "__libc_do_syscall",
    "tgkill",
    "__restore_rt",
];
/// Between Go and C: of every such call the same.
const BETWEEN_GO_AND_C: &[&str] = &["runtime.asmcgocall", "runtime.asmcgocall.abi0", "runtime.cgocall"];
/// Functions of a sentence.
const TOLD: usize = 5;
/// A death comes this long after its fault at most: the kernel may write a core between them, which takes its time.
const DYING_NS: u64 = 60_000_000_000;
/// A receive so long before a death may have led to it.
const SHORTLY_NS: u64 = 1_000_000_000;
/// What a handler takes at most that writes what it knows and then ends the process: runtimes print all their threads.
const GIVING_UP_NS: u64 = 10_000_000_000;

/// The fault that a process died of: the last one before its death. A fault that a handler caught counts only
/// if there is no other.
pub fn fault_of<'p>(profile: &'p Profile, death: &Death) -> Option<&'p Fault> {
    let near = of_process(profile, death);
    let fits = |fault: &&Fault| match fault.how {
        How::Dies | How::Killed => fault.signal == death.signal,
        How::Caught => is_of(death, fault),
    };
    near.filter(fits).max_by_key(|fault| (fault.how != How::Caught, fault.at_ns))
}

/// What a process received shortly before the fault that it died of; none if its threads work for other peers
/// than those they received from.
pub fn received(profile: &Profile, gate: &Gate<'_>, death: &Death) -> Option<Received> {
    let fault = fault_of(profile, death)?;
    let moves = matches!(gate.doubt(death.pid), Some(Unknown::Moving | Unknown::Astray));
    fault
        .received
        .filter(|received| received.ago_ns <= SHORTLY_NS && !moves && !is_of_go(profile, fault.stack))
}

/// The fault that a handler caught shortly before the process died of something else.
pub fn caught_before<'p>(profile: &'p Profile, death: &Death) -> Option<&'p Fault> {
    let caught = of_process(profile, death).filter(|fault| fault.how == How::Caught && is_of(death, fault));
    caught.max_by_key(|fault| fault.at_ns)
}

/// The faults of a process that may be those it died of. A pid is given again: what is older than the process is another's.
fn of_process<'p>(profile: &'p Profile, death: &Death) -> impl Iterator<Item = &'p Fault> {
    let (pid, at_ns, most_ns) = (death.pid, death.at_ns, death.age_ns.min(DYING_NS));
    let own = profile.crash.faults.iter().filter(move |fault| fault.pid == pid);
    own.filter(move |fault| at_ns.checked_sub(fault.at_ns).is_some_and(|ns| ns <= most_ns))
}

/// Whether the process died of the fault. Faults that handlers caught in other processes are not shown.
pub fn is_fatal(profile: &Profile, fault: &Fault) -> bool {
    let is_its = |death: &Death| death.pid == fault.pid && is_of(death, fault);
    fault.how != How::Caught || profile.deaths.told().iter().any(is_its)
}

/// Whether a process may have died of a fault that a handler caught: soon after, and not because somebody killed it.
fn is_of(death: &Death, caught: &Fault) -> bool {
    let soon = death.at_ns.checked_sub(caught.at_ns).is_some_and(|ns| ns <= GIVING_UP_NS);
    soon && (death.signal == 0 || death.signal < 64 && FATAL & (1 << death.signal) != 0)
}

/// The functions of a fault's stack, leaf first, less those that raise signals; why there are none.
pub fn functions(profile: &Profile, fault: &Fault, most: usize) -> String {
    spelled(profile, fault, user_functions(&profile.stacks, fault.stack), most)
}

/// The same for a sentence: of the way from Go to C only its ends.
fn told(profile: &Profile, fault: &Fault) -> String {
    let all = user_functions(&profile.stacks, fault.stack);
    spelled(profile, fault, all.filter(|name| !is_between(name)), TOLD)
}

/// Whether a function only leads from Go to C: one of the runtime, or one that cgo made.
fn is_between(name: &str) -> bool {
    BETWEEN_GO_AND_C.contains(&name) || name.starts_with("_cgo_") || name.contains("._Cfunc_")
}

fn spelled<'p>(
    profile: &Profile,
    fault: &Fault,
    all: impl Iterator<Item = &'p str> + Clone,
    most: usize,
) -> String {
    let mut told = all.clone().skip_while(|name| RAISING.contains(&locks::base(name))).peekable();
    let line = if told.peek().is_some() { joined(told.take(most)) } else { joined(all.take(most)) };
    if line.is_empty() { without(profile, fault) } else { line }
}

/// What stands in the place of functions.
fn without(profile: &Profile, fault: &Fault) -> String {
    match (fault.stack, nameless(&profile.stacks, fault.stack)) {
        (StackId::NONE, _) => "unknown (no stack)".to_owned(),
        (_, Some(why)) => format!("unknown ({why})"),
        (_, None) => "unknown (stack lost)".to_owned(),
    }
}

/// Where most of some deaths were: the functions, how many, and of how many a place is known.
pub fn most(profile: &Profile, deaths: &[&Death]) -> Option<(String, &'static str, usize, usize)> {
    let mut places: BTreeMap<(String, &'static str), usize> = BTreeMap::new();
    for fault in deaths.iter().filter_map(|death| fault_of(profile, death)) {
        let what = if fault.kind == Kind::Sent { "" } else { fault.kind.text() };
        *places.entry((told(profile, fault), what)).or_default() += 1;
    }
    let known: usize = places.values().sum();
    let ((line, kind), count) = places.into_iter().max_by_key(|(_, count)| *count)?;
    Some((line, kind, count, known))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Pid;

    fn fault(at_ns: u64, pid: u32, signal: u8, how: How) -> Fault {
        Fault { at_ns, pid: Pid(pid), signal, how, ..Fault::default() }
    }

    #[test]
    fn a_death_has_the_fault_of_its_own_process_and_signal() {
        let mut profile = Profile::default();
        profile.crash.faults = vec![
            fault(10, 7, 11, How::Dies),
            fault(20, 7, 11, How::Caught),
            fault(21, 7, 6, How::Dies),
            fault(22, 8, 6, How::Dies),
            fault(90, 7, 6, How::Dies),
        ];
        let death = |signal, age_ns| Death { at_ns: 30, pid: Pid(7), signal, age_ns, ..Death::default() };
        let at = |death: &Death| fault_of(&profile, death).map(|fault| fault.at_ns);
        assert_eq!(at(&death(6, 30)), Some(21), "the last one before, of this signal");
        assert_eq!(at(&death(11, 30)), Some(10));
        assert_eq!(
            at(&death(11, 15)),
            Some(20),
            "the first is older than the process: its pid was another's"
        );
        assert_eq!(at(&death(0, 30)), Some(20), "it ended by itself after a handler had caught one");
        assert_eq!(at(&death(0, 5)), None);
        assert_eq!(caught_before(&profile, &death(6, 30)).map(|fault| fault.at_ns), Some(20));
    }

    #[test]
    fn what_a_handler_caught_counts_only_if_the_process_died() {
        let mut profile = Profile::default();
        let caught = fault(20, 7, 11, How::Caught);
        assert!(!is_fatal(&profile, &caught) && is_fatal(&profile, &fault(20, 7, 11, How::Dies)));
        let death = Death { at_ns: 30, pid: Pid(7), exit_code: 2, age_ns: 30, ..Death::default() };
        assert_eq!(profile.deaths.extend(vec![death]), 0);
        assert!(is_fatal(&profile, &caught));
        let mut killed = Profile::default();
        let death = Death { at_ns: 30, pid: Pid(7), signal: 9, age_ns: 30, ..Death::default() };
        assert_eq!(killed.deaths.extend(vec![death]), 0);
        assert!(!is_fatal(&killed, &caught), "somebody killed it");
    }

    #[test]
    fn without_a_stack_the_reason_stands_there() {
        let profile = Profile::default();
        assert_eq!(functions(&profile, &Fault::default(), 3), "unknown (no stack)");
        let lost = Fault { stack: StackId(9), ..Fault::default() };
        assert_eq!(functions(&profile, &lost, 3), "unknown (stack lost)");
    }
}
