//! Calls and waits that began before the recording.
//!
//! In: a lock wait of that kind, made by hand. Out: `≥` at its times in tables, lists and sentences, `at_least` in the JSON.

use profiler::profile::chunk::{Chunk, End};
use profiler::profile::parts::Parts;
use profiler::profile::rows::{InFlightCall, SlowKey, StackSource};
use profiler::profile::slowest::SlowestCall;
use profiler::profile::waits::WaitKey;
use profiler::profile::{Pid, Process, Profile, SlowRow, StackId, Tid, Wait};
use profiler::render::Format;
use serde_json::Value;

use super::rendered;
use super::session::{MS, Stacks, calls, header, with_entry};

/// `flock`, with the mark of calls that began before.
const FLOCK: u32 = 73 | 1 << 29;
const PID: Pid = Pid(42);

/// One `flock` that ended 3 s into a recording of 10 s, 61 s after it was found waiting since; another that never ended.
fn profile() -> Profile {
    let mut stacks = Stacks::default();
    let kernel =
        stacks.kernel(1, &with_entry(&["__schedule", "schedule", "locks_lock_inode_wait", "__do_sys_flock"]));
    let Stacks { mut interval, symbols, .. } = stacks;
    let parts = Parts::new([0, 0, 0, 0, 3_000 * MS, 0, 0, 0, 0, 0]);
    let key = SlowKey { pid: PID, nr: FLOCK, kernel, user: StackId::NONE, source: StackSource::Wait };
    let row = SlowRow { count: 1, total_ns: 3_000 * MS, max_ns: 3_000 * MS, off_cpu_ns: 3_000 * MS, parts };
    interval.syscall.slow.insert(key, row);
    calls(&mut interval, PID.0, FLOCK, &[(3_000 * MS, 1)]);
    let wait = WaitKey { pid: PID, nr: Some(FLOCK), wait: Wait::Sleep };
    interval.waits.rows.entry(wait).or_default().record(3_000 * MS);
    interval.slowest.push(SlowestCall {
        pid: PID,
        tid: Tid(42),
        nr: FLOCK,
        wall_ns: 3_000 * MS,
        before_ns: 58_000 * MS,
        parts,
        kernel,
        ..SlowestCall::default()
    });
    interval.processes = vec![Process { pid: PID, comm: "flock".into(), ..Process::default() }];
    interval.end_ns = 10_000 * MS;
    let open = InFlightCall {
        pid: PID,
        tid: Tid(43),
        comm: "flock".into(),
        nr: 73,
        age_ns: 70_000 * MS,
        at_least: true,
        kernel,
        user: StackId::NONE,
        wait: Some(Wait::Sleep),
        held_by: None,
        subject: None,
    };
    let mut profile = Profile::default();
    profile.apply(Chunk::Header(Box::new(header())));
    profile.apply(Chunk::Interval(Box::new(interval)));
    profile.apply(Chunk::Symbols(symbols));
    let end = End { duration_ns: 10_000 * MS, in_flight: vec![open], ..End::default() };
    profile.apply(Chunk::End(Box::new(end)));
    profile
}

#[test]
fn their_times_are_told_as_lower_bounds_everywhere() {
    let profile = profile();
    let text = rendered(&profile, Format::Text);
    let section = |heading: &str| {
        let (_, rest) = text.split_once(heading).unwrap_or_else(|| panic!("no {heading}:\n{text}"));
        rest.split("\n\n").next().unwrap().to_owned()
    };
    assert!(section("SLOW CALLS").contains("≥ 3.00 s  1 × flock (began before) in flock"), "{text}");
    let slowest = section("SLOWEST CALLS");
    assert!(slowest.contains("before") && slowest.contains("≥ 61.0 s  flock  "), "{text}");
    assert_eq!(section("SYSTEM CALLS").matches("≥ 3.00 s").count(), 4, "{text}");
    assert!(section("SYSTEM CALLS").contains("flock (began before)"), "decisive columns are not cut: {text}");
    assert!(section("IN FLIGHT").contains("≥ 70.0 s"), "{text}");
    assert_eq!(section("OFF THE CPU").matches("≥ 3.00 s").count(), 3, "{text}");
    let findings =
        serde_json::from_str::<Value>(&rendered(&profile, Format::Json)).unwrap()["findings"].clone();
    let told =
        |part: &str| findings.as_array().unwrap().iter().any(|one| one.as_str().unwrap().contains(part));
    assert!(
        told("≥ 3.00 s in all, longest ≥ 3.00 s, begun 58.0 s before the recording at least"),
        "{findings:#}"
    );
    assert!(told("the oldest after ≥ 70.0 s: flock"), "{findings:#}");
}

#[test]
fn the_json_marks_them_and_no_others() {
    let json: Value = serde_json::from_str(&rendered(&profile(), Format::Json)).unwrap();
    let probes = &json["probes"];
    for row in [
        &probes["syscall"]["rows"][0],
        &probes["syscall"]["slow"][0],
        &probes["syscall"]["slowest"][0],
        &probes["offcpu"]["rows"][0],
        &json["in_flight"][0],
    ] {
        assert_eq!(row["at_least"], true, "{row:#}");
    }
    let slowest = &probes["syscall"]["slowest"][0];
    assert_eq!((&slowest["wall_ns"], &slowest["before_ns"]), (&(3_000 * MS).into(), &(58_000 * MS).into()));
    let other: Value = serde_json::from_str(&rendered(&super::session(), Format::Json)).unwrap();
    assert!(other["probes"]["syscall"]["rows"][0].get("at_least").is_none(), "{other:#}");
}

#[test]
fn who_waits_for_the_other_end_of_a_named_pipe_all_the_time_hangs_nobody() {
    const OPENAT: u32 = 257;
    let hangs = |at_least: bool, functions: &[&'static str]| {
        let mut stacks = Stacks::default();
        let kernel = stacks.kernel(1, &with_entry(functions));
        let Stacks { mut interval, symbols, .. } = stacks;
        interval.processes = vec![Process { pid: PID, comm: "dotnet".into(), ..Process::default() }];
        let mut profile = profile();
        profile.in_flight.iter_mut().for_each(|call| {
            (call.nr, call.at_least, call.kernel) = (OPENAT, at_least, kernel);
        });
        profile.apply(Chunk::Interval(Box::new(interval)));
        profile.apply(Chunk::Symbols(symbols));
        let json: Value = serde_json::from_str(&rendered(&profile, Format::Json)).unwrap();
        let findings = json["findings"].as_array().unwrap();
        findings.iter().any(|one| one.as_str().unwrap().contains("openat"))
    };
    let fifo = ["wait_for_partner", "fifo_open", "do_dentry_open"];
    assert!(!hangs(true, &fifo), "it did nothing else");
    assert!(hangs(false, &fifo), "it did something else before");
    assert!(hangs(true, &["request_wait_answer", "fuse_open_common"]), "a file system does not answer");
}
