//! Instances that come and go, and deaths, in a capture.
//!
//! In: a session that has them. Out: the same, read again; none from a writer that did not know them.

use profiler::profile::deaths::Sender;
use profiler::profile::rows::{Area, CallBefore, CoreFacts, CrashRows, Fault, How, Kind, Place};
use profiler::profile::{Absence, Chunk, Death, Interval, Pid, PresenceChange, Tid};

use super::forge::{cbor, cbor_without, forge};
use super::{bytes_of, parse, session};

fn deaths() -> Vec<Death> {
    let killed = Death {
        at_ns: 1_200,
        pid: Pid(7),
        comm: "px\n\x1b[31m".into(),
        container: "web".into(),
        age_ns: 1_100,
        signal: 9,
        out_of_memory: true,
        sender: Sender::Process { pid: Pid(3), comm: "killer".into(), container: "shell".into() },
        ..Death::default()
    };
    let failed = Death { at_ns: 1_300, exit_code: 3, after_signal: 15, ..Death::default() };
    let crashed = Death { at_ns: 1_400, signal: 11, core: true, sender: Sender::Fault, ..Death::default() };
    let asked = Death { at_ns: 1_450, signal: 9, after_signal: 15, after_ns: 90, ..Death::default() };
    vec![asked, killed, failed, crashed, Death { sender: Sender::Kernel, ..Death::default() }]
}

fn changes() -> Vec<PresenceChange> {
    let change = |at_ns, present| PresenceChange { name: "web".into(), at_ns, present };
    vec![change(1_200, false), change(1_500, true), change(1_900, false)]
}

fn chunk() -> Chunk {
    let interval = Interval { end_ns: 2_000, presence: changes(), deaths: deaths(), ..Interval::default() };
    Chunk::Interval(Box::new(interval))
}

#[test]
fn gaps_and_deaths_are_read_as_they_were_recorded() {
    let mut chunks = session();
    chunks.insert(2, chunk());
    let profile = parse(&bytes_of(&chunks)).unwrap();
    assert_eq!(profile.deaths.told(), deaths());
    let gap = |from_ns, to_ns| Absence { name: "web", from_ns, to_ns };
    assert_eq!(profile.presence.absences("web"), [gap(1_200, Some(1_500)), gap(1_900, None)]);
}

#[test]
fn where_processes_died_is_read_as_it_was_recorded_and_older_captures_have_none() {
    let area =
        Area { start: 1, end: 9, access: "r-xp".into(), name: "px\u{1b}[2J".into(), ..Area::default() };
    let core = CoreFacts { limit: Some(0), dumpable: None, pattern: Some("|/x".into()) };
    let fault = Fault {
        at_ns: 1_100,
        pid: Pid(7),
        tid: Tid(8),
        inside: (Pid(1), Tid(2)),
        how: How::Caught,
        kind: Kind::FileTruncated,
        address: Some(u64::MAX),
        registers: vec![u64::MAX; 17],
        code_in: Place::In(area),
        address_in: Place::Nowhere,
        core,
        calls: vec![CallBefore { nr: 1, ret: -4, ..CallBefore::default() }],
        ..Fault::default()
    };
    let rows = CrashRows { faults: vec![fault, Fault::default()] };
    let interval = Interval { end_ns: 2_000, crash: rows.clone(), ..Interval::default() };
    let chunk = Chunk::Interval(Box::new(interval));
    let mut chunks = session();
    chunks.insert(2, chunk.clone());
    assert_eq!(parse(&bytes_of(&chunks)).unwrap().crash, rows);
    let old = forge(&[
        (b"HEAD", cbor(&chunks[0]), None),
        (b"INTV", cbor_without(&chunk, "crash"), None),
        (b"END ", cbor(&chunks[chunks.len() - 1]), None),
    ]);
    let profile = parse(&old).unwrap();
    assert_eq!((profile.missing_tail, profile.crash), (None, CrashRows::default()));
}

#[test]
fn a_capture_from_before_them_has_neither() {
    let chunks = session();
    let mut interval = cbor_without(&chunk(), "presence");
    assert_ne!(interval, cbor(&chunk()), "the field is left out");
    let half: Chunk = ciborium::from_reader(interval.as_slice()).unwrap();
    interval = cbor_without(&half, "deaths");
    let old = forge(&[
        (b"HEAD", cbor(&chunks[0]), None),
        (b"INTV", interval, None),
        (b"END ", cbor(&chunks[4]), None),
    ]);
    let profile = parse(&old).unwrap();
    assert_eq!(profile.missing_tail, None);
    assert!(profile.deaths.told().is_empty() && profile.presence.names().is_empty());
}
