//! Deaths as the kernel side tells them, made into rows.
//!
//! In: a death event, who owns its cgroup. Out: a [`Death`].

use profiler_common::death::{DeathEvent, FAULTS, flag};

use crate::collect::comm_of;
use crate::profile::deaths::{Death, KEPT, Sender};
use crate::profile::{Class, Interval, Pid, Profile};

/// In the kernel's exit code: the signal, and that a core was written.
const SIGNAL: u32 = 0x7f;
const CORE: u32 = 0x80;
/// A signal that was sent longer before has nothing to do with the end: runtimes wait for 10 or 30 seconds.
const ASKED_NS: u64 = 300_000_000_000;

/// The row of a death; `start_ns` is the session's start.
pub fn row(event: &DeathEvent, [container, sender_container]: [String; 2], start_ns: u64) -> Death {
    let signal = (event.exit_code & SIGNAL) as u8;
    let sent = event.signal != 0 && (signal == 0 || event.signal == u32::from(signal));
    let sender = match (sent, event.flags) {
        (true, flags) if flags & flag::SENT != 0 => {
            let (pid, comm) = (Pid(event.sender), comm_of(event.sender_comm));
            Sender::Process { pid, comm, container: sender_container }
        }
        (true, _) => Sender::Kernel,
        (false, _) if FAULTS & 1 << signal != 0 => Sender::Fault,
        (false, _) => Sender::Unknown,
    };
    let asked = asked_before(event, sent && signal != 0);
    Death {
        at_ns: event.time_ns.saturating_sub(start_ns),
        pid: Pid(event.tgid),
        comm: comm_of(event.comm),
        container,
        age_ns: event.time_ns.saturating_sub(event.started_ns),
        signal,
        exit_code: if signal == 0 { (event.exit_code >> 8) as u8 } else { 0 },
        core: event.exit_code & CORE != 0,
        out_of_memory: sent && event.flags & flag::OUT_OF_MEMORY != 0,
        after_signal: match asked {
            Some((before, _)) => before,
            None if signal == 0 && sent => event.signal as u8,
            None => 0,
        },
        after_ns: asked.map_or(0, |(_, ns)| ns),
        sender,
    }
}

/// The signal that asked it to end, and how long before another one ended it: what `docker stop` does.
fn asked_before(event: &DeathEvent, killed: bool) -> Option<(u8, u64)> {
    let ago_ns = event.time_ns.saturating_sub(event.before_ns);
    (killed && event.before != 0 && ago_ns <= ASKED_NS).then_some((event.before as u8, ago_ns))
}

/// Keeps a row, unless the recording's own end came first: Ctrl-C ends a command of ours, too. What there is no room
/// for is counted.
pub fn keep(row: Death, (profile, interval): (&Profile, &mut Interval), end_ns: Option<u64>) {
    if end_ns.is_some_and(|end_ns| row.at_ns >= end_ns) {
        return;
    }
    if profile.deaths.told().len() + interval.deaths.len() < KEPT {
        interval.deaths.push(row);
    } else {
        interval.ledger.count(Class::DeathUntold, 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_dies_after_the_end_is_no_death_and_what_is_too_much_is_counted() {
        let (profile, mut interval) = (Profile::default(), Interval::default());
        let at = |at_ns| Death { at_ns, ..Death::default() };
        keep(at(10), (&profile, &mut interval), Some(10));
        assert!(interval.deaths.is_empty());
        for _ in 0..KEPT + 3 {
            keep(at(9), (&profile, &mut interval), Some(10));
        }
        assert_eq!((interval.deaths.len(), interval.ledger.get(Class::DeathUntold)), (KEPT, 3));
    }

    fn event(exit_code: u32, signal: u32, flags: u32) -> DeathEvent {
        DeathEvent {
            tgid: 9,
            time_ns: 5_000,
            started_ns: 2_000,
            exit_code,
            flags,
            signal,
            sender: 7,
            sender_comm: [u64::from_ne_bytes(*b"killer\0\0"), 0],
            ..DeathEvent::default()
        }
    }

    #[test]
    fn a_fault_is_the_process_s_own_and_a_kill_is_somebodys() {
        let fault = row(&event(11 | CORE, 0, 0), ["web".into(), String::new()], 1_000);
        assert_eq!((fault.signal, fault.core, &fault.sender), (11, true, &Sender::Fault));
        assert_eq!((fault.at_ns, fault.age_ns, fault.container.as_str()), (4_000, 3_000, "web"));
        let killed = row(&event(9, 9, flag::SENT), [String::new(), "shell".into()], 0);
        assert_eq!(
            killed.sender,
            Sender::Process { pid: Pid(7), comm: "killer".into(), container: "shell".into() }
        );
        let sent_fault = row(&event(11, 11, flag::SENT), <[String; 2]>::default(), 0);
        assert!(matches!(sent_fault.sender, Sender::Process { .. }), "{sent_fault:?}");
    }

    #[test]
    fn a_signal_that_was_handled_did_not_end_it() {
        let other = row(&event(9, 15, flag::SENT), <[String; 2]>::default(), 0);
        assert_eq!((other.signal, &other.sender, other.after_signal), (9, &Sender::Unknown, 0));
        let failed = row(&event(3 << 8, 15, flag::SENT), <[String; 2]>::default(), 0);
        assert_eq!((failed.signal, failed.exit_code, failed.after_signal), (0, 3, 15));
        let starved = row(&event(9, 9, flag::BY_KERNEL | flag::OUT_OF_MEMORY), <[String; 2]>::default(), 0);
        assert!(starved.out_of_memory && starved.sender == Sender::Kernel, "{starved:?}");
        let mut stopped = DeathEvent { before: 15, before_ns: 4_000, ..event(9, 9, flag::SENT) };
        let told = row(&stopped, <[String; 2]>::default(), 0);
        assert_eq!((told.signal, told.after_signal, told.after_ns), (9, 15, 1_000));
        stopped.time_ns = 4_001 + ASKED_NS;
        assert_eq!(row(&stopped, <[String; 2]>::default(), 0).after_signal, 0, "long ago");
    }
}
