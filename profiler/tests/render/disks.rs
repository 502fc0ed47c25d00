//! Disk requests, made by hand.
//!
//! In: what `session` is made of. Out: [`disks`]: a target that waits for a disk whose queue a neighbour fills, with hostile
//! names of everything; and what the finding rests on.

use profiler::probes::block::rows::{BlockKey, BlockRow, BlockRows, Disk, Kind, LongRequest};
use profiler::profile::chunk::{Chunk, End, Interval};
use profiler::profile::slowest::SlowestCall;
use profiler::profile::waits::{WaitKey, WaitStackKey, WaitStackRow, Waker};
use profiler::profile::{Pid, ProbePlan, Process, Profile, StackId, Tid, Wait};
use profiler::render::{Format, render};
use serde_json::Value;

use super::session::{HOSTILE, MS, Stacks, calls, header, processes, with_entry};

const VDA: Disk = Disk(254 << 20);
const GONE: Disk = Disk(7 << 20 | 3);
const FSYNC: u32 = 74;

/// So many requests: in the queue, in the device, and of how many bytes each.
type Requests = (u64, (u64, u64), u64);

fn add(
    rows: &mut BlockRows,
    (disk, pid, kind): (Disk, u32, Kind),
    (count, (queue, device), bytes): Requests,
) {
    let of_target = matches!(pid, 812 | 813);
    let cgroup = if pid == 7 { 66 } else { 0 };
    let key = BlockKey { disk, pid: Pid(pid), cgroup, kind, of_target };
    let row: &mut BlockRow = rows.rows.entry(key).or_default();
    for _ in 0..count {
        row.queue.record(queue);
        row.device.record(device);
    }
    row.requests += count;
    row.bytes += count * bytes;
}

/// Waits for the disk in `fsync`, by one process.
fn fsyncs(stacks: &mut Stacks, (count, ns): (u64, u64)) -> StackId {
    let kernel = stacks.kernel(3, &with_entry(&["io_schedule", "folio_wait_bit_common", "ext4_sync_file"]));
    let row = WaitKey { pid: Pid(812), nr: Some(FSYNC), wait: Wait::Uninterruptible };
    let waits = &mut stacks.interval.waits;
    (0..count).for_each(|_| waits.rows.entry(row).or_default().record(ns));
    let key = WaitStackKey { row, kernel, user: StackId::NONE, waker: Waker::Unseen };
    waits.stacks.insert(key, WaitStackRow { waits: count, total_ns: count * ns, max_ns: ns });
    calls(&mut stacks.interval, 812, FSYNC, &[(ns + MS, count)]);
    kernel
}

/// A recording of ten seconds, by one interval with these stacks and more of them.
pub fn profile(mut stacks: Stacks, more: Vec<Interval>) -> Profile {
    let mut header = header();
    (header.environment.at_start, header.environment.at_end) = Default::default();
    let plan = |probe: &str| ProbePlan {
        probe: probe.into(),
        backend: "io-start".into(),
        misses: vec![],
        active: true,
    };
    header.probes = ["syscall", "offcpu", "block"].map(plan).into();
    stacks.interval.processes.extend(processes());
    let backup = Process { pid: Pid(4711), comm: "backup".into(), ..Process::default() };
    stacks.interval.processes.push(backup);
    stacks.interval.end_ns = 1_000 * MS;
    let mut profile = Profile::default();
    profile.apply(Chunk::Header(Box::new(header)));
    profile.apply(Chunk::Interval(Box::new(stacks.interval)));
    profile.apply(Chunk::Symbols(stacks.symbols));
    more.into_iter().for_each(|interval| profile.apply(Chunk::Interval(Box::new(interval))));
    profile.apply(Chunk::End(Box::new(End { duration_ns: 10_000 * MS, ..End::default() })));
    profile
}

/// The session.
pub fn disks() -> Profile {
    let mut stacks = Stacks::default();
    let kernel = fsyncs(&mut stacks, (100, 20 * MS));
    let block = &mut stacks.interval.block;
    add(block, (VDA, 812, Kind::Write), (100, (12 * MS, 7 * MS), 4_096));
    add(block, (VDA, 812, Kind::Flush), (100, (0, MS), 0));
    add(block, (VDA, 813, Kind::Read), (3, (9_000, 80_000), 512));
    add(block, (VDA, 4711, Kind::Write), (400, (30 * MS, 9 * MS), 1 << 20));
    add(block, (VDA, 7, Kind::Write), (40, (MS, MS), 65_536));
    add(block, (VDA, 0, Kind::Read), (2, (MS, MS), 4_096));
    add(block, (GONE, 33, Kind::Discard), (1, (0, 40_000), 1 << 30));
    block.rows.values_mut().next().unwrap().failed = 2;
    block.disks.insert(VDA, format!("vda{HOSTILE}"));
    block.cgroups.insert(66, format!("/back{HOSTILE}"));
    let request = |start_ns| LongRequest {
        start_ns,
        queue_ns: Some(12 * MS),
        total_ns: 19 * MS,
        disk: VDA,
        pid: Pid(812),
        tid: Tid(815),
        kind: Kind::Write,
    };
    block.long.push(request(101 * MS));
    let call = |tid, start_ns| SlowestCall {
        pid: Pid(812),
        tid: Tid(tid),
        nr: FSYNC,
        start_ns,
        wall_ns: 21 * MS,
        kernel,
        object: "/var/lib/data".into(),
        ..SlowestCall::default()
    };
    stacks.interval.slowest = vec![call(815, 100 * MS), call(816, 500 * MS)];
    profile(stacks, Vec::new())
}

fn rendered(profile: &Profile, format: Format) -> String {
    let mut out = Vec::new();
    render(profile, format, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn finding(profile: &Profile) -> Option<String> {
    let json: Value = serde_json::from_str(&rendered(profile, Format::Json)).unwrap();
    let all = json["evidence"].as_array().unwrap().iter();
    let mut ours = all.filter(|finding| finding["rule"] == "disk_wait");
    ours.next().map(|finding| finding["finding"].as_str().unwrap().to_owned())
}

/// A target with so many requests of its own, and a neighbour that moves data in the same second or in the next.
fn told(own: u64, neighbour: u64, same_second: bool) -> Option<String> {
    let mut stacks = Stacks::default();
    fsyncs(&mut stacks, (100, 20 * MS));
    let mut later = Interval { start_ns: 1_000 * MS, end_ns: 2_000 * MS, ..Interval::default() };
    let block = &mut stacks.interval.block;
    block.disks.insert(VDA, "vda".to_owned());
    add(block, (VDA, 812, Kind::Write), (own, (2_000 * MS / own.max(1), MS), 4_096));
    let its = if same_second { block } else { &mut later.block };
    add(its, (VDA, 4711, Kind::Write), (neighbour, (MS, MS), 1 << 20));
    finding(&profile(stacks, vec![later]))
}

#[test]
fn a_sentence_names_the_disk_and_who_filled_its_queue() {
    assert_eq!(
        told(100, 400, true).unwrap(),
        "95 % of fsync in web/api (pid 812) is waiting for vda, 20.0 ms a request in its queue and 1.00 ms in the device; its \
         queue was filled by backup[4711] (100 % of the bytes)."
    );
}

#[test]
fn who_moved_data_at_another_time_filled_no_queue() {
    let sentence = told(100, 400, false).unwrap();
    assert!(sentence.contains("vda") && !sentence.contains("filled"), "{sentence}");
}

#[test]
fn who_writes_back_for_others_is_blamed_only_if_it_is_known_for_whom() {
    let told = |cgroup: u64, own: u64| {
        let mut stacks = Stacks::default();
        fsyncs(&mut stacks, (100, 20 * MS));
        let block = &mut stacks.interval.block;
        add(block, (VDA, 812, Kind::Write), (100, (20 * MS, MS), 4_096));
        add(block, (VDA, 90, Kind::Write), (100, (MS, MS), 1 << 20));
        for (key, row) in std::mem::take(&mut block.rows) {
            let cgroup = if key.pid == Pid(90) { cgroup } else { own };
            block.rows.insert(BlockKey { cgroup, ..key }, row);
        }
        block.cgroups.insert(66, "backup".to_owned());
        let worker =
            Process { pid: Pid(90), comm: "kworker/u8:1".into(), parent: Pid(2), ..Process::default() };
        let profile = profile_with(stacks, worker);
        finding(&profile).unwrap()
    };
    assert!(told(66, 5).contains("filled by kworker/u8:1 for backup[90]"), "{}", told(66, 5));
    assert!(!told(66, 66).contains("filled"), "it writes what the waiting process wrote");
    assert!(!told(0, 0).contains("filled"), "for whom is not known");
}

fn profile_with(mut stacks: Stacks, process: Process) -> Profile {
    stacks.interval.processes.push(process);
    profile(stacks, Vec::new())
}

#[test]
fn few_requests_carry_no_sentence_and_a_few_of_others_no_blame() {
    assert_eq!(told(9, 400, true), None);
    let sentence = told(100, 9, true).unwrap();
    assert!(!sentence.contains("filled"), "{sentence}");
}

#[test]
fn a_disk_whose_requests_do_not_explain_the_wait_is_not_named() {
    let mut stacks = Stacks::default();
    fsyncs(&mut stacks, (100, 20 * MS));
    add(&mut stacks.interval.block, (VDA, 812, Kind::Write), (100, (MS, 2 * MS), 4_096));
    assert_eq!(finding(&profile(stacks, Vec::new())), None);
    // A journal's thread writes for it, and is no process of user space: its parent is the kernel's.
    let mut stacks = Stacks::default();
    fsyncs(&mut stacks, (100, 20 * MS));
    add(&mut stacks.interval.block, (VDA, 812, Kind::Write), (100, (MS, 2 * MS), 4_096));
    add(&mut stacks.interval.block, (VDA, 90, Kind::Write), (100, (2 * MS, 10 * MS), 4_096));
    let mut journal = Interval { start_ns: 1_000 * MS, end_ns: 1_100 * MS, ..Interval::default() };
    let own = Process { pid: Pid(90), comm: "jbd2/vda-8".into(), parent: Pid(2), ..Process::default() };
    journal.processes.push(own);
    assert!(finding(&profile(stacks, vec![journal])).is_some());
}

#[test]
fn with_two_disks_nobody_knows_which_one_it_was() {
    let mut stacks = Stacks::default();
    fsyncs(&mut stacks, (100, 20 * MS));
    for disk in [VDA, GONE] {
        add(&mut stacks.interval.block, (disk, 812, Kind::Write), (100, (10 * MS, 10 * MS), 4_096));
    }
    assert_eq!(finding(&profile(stacks, Vec::new())), None);
}

#[test]
fn a_slow_call_names_its_disk_or_why_it_does_not() {
    let json: Value = serde_json::from_str(&rendered(&disks(), Format::Json)).unwrap();
    let slowest = json["probes"]["syscall"]["slowest"].as_array().unwrap();
    let of = |tid: u64| &slowest.iter().find(|call| call["tid"] == tid).unwrap()["disk"];
    assert_eq!(of(815)["disk"].as_str().unwrap(), rendered_disk(), "{slowest:#?}");
    assert_eq!((of(815)["queue_ns"].as_u64(), of(815)["device_ns"].as_u64()), (Some(12 * MS), Some(7 * MS)));
    assert_eq!(
        (of(816)["disk"].as_str(), of(816)["unknown"].as_str()),
        (None, Some("no long request of its thread"))
    );
    let text = rendered(&disks(), Format::Text);
    assert!(text.contains("disk unknown (no long") && text.contains("12.0 ms queued"), "{text}");
}

/// The disk as outputs spell it.
fn rendered_disk() -> &'static str {
    "vdaa;b␊<script>␛[31m"
}
