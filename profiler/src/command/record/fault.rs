//! Faults as the kernel side tells them, made into rows.
//!
//! In: a fault's head. Out: a [`Fault`] without its stack and, with `--no-memory`, without anything that
//! comes from the process's memory.

use profiler_common::abi;
use profiler_common::crash::{Area as Told, FaultHead, LastCall, UNKNOWN, how};
use profiler_common::peer::NO_CALL;
use profiler_common::processor::DWARF_ORDER;

use crate::collect::{comm, comm_of};
use crate::machine;
use crate::probes::crash::rows::{Area, CallBefore, CoreFacts, Fault, How, Kind, Place, Received};
use crate::profile::peer::Peer;
use crate::profile::{Pid, Tid};

/// `SI_USER`, `SI_TKILL`: a process sent it, and which one stands in the place of the address.
const BY_USER: [i32; 2] = [0, -6];
/// `PAGE_SHIFT`.
const PAGE: u32 = 12;
/// The longest pattern that the kernel keeps (`CORENAME_MAX_SIZE`).
const PATTERN: usize = 128;

/// The row of a fault; `start_ns` is the session's start.
pub fn row(
    (head, calls): (&FaultHead, &[LastCall]),
    (container, start_ns): (String, u64),
    memory: bool,
) -> Fault {
    let by_user = BY_USER.contains(&head.code);
    // The kernel tells the sender by its number in the receiver's own namespace.
    let sender = head.address as u32;
    let has_address = head.code > 0 && head.signal != libc::SIGSYS as u32;
    let mut fault = Fault {
        at_ns: head.time_ns.saturating_sub(start_ns),
        pid: Pid(head.tgid),
        tid: Tid(head.tid),
        inside: (Pid(head.inner_tgid), Tid(head.inner_tid)),
        thread: comm_of(head.comm),
        container,
        how: match head.how {
            how::CAUGHT => How::Caught,
            how::KILLED => How::Killed,
            _ => How::Dies,
        },
        signal: head.signal as u8,
        code: head.code,
        address: has_address.then_some(head.address),
        refused: (head.signal == libc::SIGSYS as u32 && head.code == 1).then_some(head.call),
        raised: by_user && sender != 0 && [head.tgid, head.inner_tgid].contains(&sender),
        registers: registers(head),
        code_in: place(&head.ip_area),
        address_in: if has_address { place(&head.address_area) } else { Place::Unknown },
        copied_bytes: head.bytes,
        core: core(head),
        calls: calls.iter().map(|call| before(head, call)).collect(),
        received: received(head),
        ..Fault::default()
    };
    fault.kind = Kind::of(&fault);
    if !memory {
        without_memory(&mut fault);
    }
    fault
}

fn before(head: &FaultHead, call: &LastCall) -> CallBefore {
    let ago_ns = head.time_ns.saturating_sub(call.end_ns);
    CallBefore { nr: abi::wide(call.nr), ago_ns, ns: call.ns, ret: call.ret }
}

fn received(head: &FaultHead) -> Option<Received> {
    let last = head.received;
    (last.time_ns != 0).then(|| Received {
        peer: Peer::of(last.address, last.port as u16),
        ago_ns: head.time_ns.saturating_sub(last.time_ns),
        nr: (last.nr != NO_CALL).then(|| abi::wide(last.nr)),
    })
}

/// Leaves out every number of the process's memory.
fn without_memory(fault: &mut Fault) {
    (fault.address, fault.registers) = (None, Vec::new());
    // What succeeds may be an address.
    fault.calls.iter_mut().for_each(|call| call.ret = call.ret.min(0));
    for place in [&mut fault.code_in, &mut fault.address_in] {
        if matches!(place, Place::In(_)) {
            *place = Place::Unknown;
        }
    }
}

fn registers(head: &FaultHead) -> Vec<u64> {
    DWARF_ORDER.iter().map(|word| head.registers.get(*word).copied().unwrap_or(0)).collect()
}

fn place(area: &Told) -> Place {
    match area.end {
        UNKNOWN => Place::Unknown,
        0 => Place::Nowhere,
        end => Place::In(Area {
            start: area.start,
            end,
            access: access(area.flags),
            offset: area.page << PAGE,
            file_bytes: area.file_bytes,
            inode: area.inode,
            name: comm(&area.name),
        }),
    }
}

/// As `/proc/PID/maps` shows it.
fn access(flags: u64) -> String {
    let letters = [(1, 'r', '-'), (2, 'w', '-'), (4, 'x', '-'), (8, 's', 'p')];
    letters.iter().map(|(bit, yes, no)| if flags & bit == 0 { *no } else { *yes }).collect()
}

fn core(head: &FaultHead) -> CoreFacts {
    let pattern = machine::fact("/proc/sys/kernel/core_pattern");
    CoreFacts {
        limit: (head.core_limit != UNKNOWN).then_some(head.core_limit),
        dumpable: (head.mm_flags != UNKNOWN).then_some((head.mm_flags & 3) as u8),
        pattern: pattern.known().map(|text| machine::line(text.trim_end(), PATTERN)),
    }
}

#[cfg(test)]
mod tests {
    use profiler_common::peer::{LastReceive, mapped};

    use super::*;

    fn head() -> FaultHead {
        let none = Told::default();
        FaultHead {
            tgid: 70,
            tid: 71,
            parent: 1,
            how: how::DIES,
            bytes: 0,
            signal: 11,
            code: 1,
            call: 0,
            inner_tgid: 5,
            inner_tid: 6,
            time_ns: 3_000,
            address: 0x10,
            cgroup: 0,
            core_limit: 0,
            mm_flags: 0xcd,
            comm: [0; 2],
            ip_area: Told { start: 0x1000, end: 0x2000, flags: 5, page: 1, inode: 9, ..none },
            address_area: none,
            received: LastReceive {
                address: mapped(u32::from_ne_bytes([127, 0, 0, 77])),
                time_ns: 2_900,
                port: 41_234,
                nr: 45,
            },
            registers: core::array::from_fn(|word| word as u64),
        }
    }

    #[test]
    fn a_fault_has_its_place_and_what_decides_on_a_core() {
        let fault = row((&head(), &[]), ("web".into(), 1_000), true);
        assert_eq!((fault.at_ns, fault.address, fault.raised), (2_000, Some(0x10), false));
        assert_eq!(fault.kind, Kind::Null);
        assert_eq!(
            (fault.inside, fault.core.dumpable, fault.core.limit),
            ((Pid(5), Tid(6)), Some(1), Some(0))
        );
        assert_eq!((fault.registers[16], fault.registers[7]), (16, 19), "ip and sp");
        let Place::In(area) = &fault.code_in else { panic!("{fault:?}") };
        assert_eq!((area.access.as_str(), area.offset), ("r-xp", 4096));
        assert_eq!(fault.address_in, Place::Nowhere);
    }

    #[test]
    fn a_fault_has_what_its_thread_received_last() {
        let of = |received| row((&FaultHead { received, ..head() }, &[]), (String::new(), 0), true).received;
        let told = of(head().received).unwrap();
        assert_eq!(
            (told.peer.to_string().as_str(), told.ago_ns, told.nr),
            ("127.0.0.77:41234", 100, Some(45))
        );
        assert_eq!(of(LastReceive { nr: NO_CALL, ..head().received }).unwrap().nr, None);
        assert_eq!(of(LastReceive::default()), None);
    }

    #[test]
    fn without_memory_no_address_of_the_process_is_kept() {
        let fault = row((&head(), &[]), (String::new(), 0), false);
        assert_eq!((fault.address, fault.registers.len(), fault.kind), (None, 0, Kind::Null));
        assert_eq!((&fault.code_in, &fault.address_in), (&Place::Unknown, &Place::Nowhere));
    }

    #[test]
    fn who_raises_it_is_known_by_either_number() {
        let of = |code, sender| {
            row((&FaultHead { signal: 6, code, address: sender, ..head() }, &[]), (String::new(), 0), true)
        };
        assert!(of(-6, 5).raised && of(0, 70).raised);
        assert!(!of(0, 99).raised && !of(0, 0).raised && !of(1, 5).raised);
        assert_eq!(of(-6, 5).address, None, "it is a pid");
    }
}
