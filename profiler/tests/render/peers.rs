//! Receives that were waited for, made by hand.
//!
//! In: what `session` is made of. Out: [`peers`]: a program that waits for a database and for its clients, with hostile names; a
//! death after a receive; a server that works for a scanner; and what the findings rest on.

use profiler::probes::cpu::rows::CpuKey;
use profiler::probes::crash::rows::{CoreFacts, Fault, How, Place, Received};
use profiler::probes::peer::rows::{PeerKey, PeerRow, Sends};
use profiler::profile::deaths::Death;
use profiler::profile::peer::{Host, Peer};
use profiler::profile::slowest::SlowestCall;
use profiler::profile::waits::WaitKey;
use profiler::profile::{Pid, ProbePlan, Profile, StackId, Tid, Wait};
use profiler::redact::redact;
use profiler::render::{Format, render};
use serde_json::Value;

use super::disks::profile;
use super::session::{MS, Stacks, calls};

const READ: u32 = 0;
const RECVFROM: u32 = 45;
const EPOLL_WAIT: u32 = 232;

/// As the kernel has it: of IPv4 mapped into IPv6.
fn v4(bytes: [u8; 4], port: u16) -> Peer {
    Peer::of([0, u64::from_ne_bytes([0, 0, 0xff, 0xff, bytes[0], bytes[1], bytes[2], bytes[3]])], port)
}

fn v6(last: u8, port: u16) -> Peer {
    let first = u64::from_ne_bytes([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0]);
    Peer::of([first, u64::from_ne_bytes([0, 0, 0, 0, 0, 0, 0, last])], port)
}

const DATABASE: ([u8; 4], u16) = ([10, 0, 0, 7], 5432);

/// Receives of one process by one call from one peer: whether it connected, how many, how long each was waited for.
fn add(stacks: &mut Stacks, (pid, nr): (u32, u32), (peer, connected): (Peer, bool), waits: &[(u64, u64)]) {
    let key = PeerKey { pid: Pid(pid), nr, peer, connected };
    let row: &mut PeerRow = stacks.interval.peer.rows.entry(key).or_default();
    for (count, ns) in waits {
        (0..*count).for_each(|_| row.waits.record(*ns));
        row.wall_ns += count * (ns + ns / 40);
        row.round_trip_us += if connected { count * 210 } else { 0 };
    }
    for (count, ns) in waits {
        calls(&mut stacks.interval, pid, nr, &[(ns + ns / 40, *count)]);
    }
}

/// Waits of one call, as the `offcpu` probe has them.
fn blocked(stacks: &mut Stacks, (pid, nr): (u32, u32), (count, ns): (u64, u64)) {
    let row = WaitKey { pid: Pid(pid), nr: Some(nr), wait: Wait::Sleep };
    let waits = stacks.interval.waits.rows.entry(row).or_default();
    (0..count).for_each(|_| waits.record(ns));
}

/// CPU samples of a thread that had received from a peer, or of one that had not; the function that ran.
fn worked(stacks: &mut Stacks, pid: u32, peer: Option<Peer>, (id, function): (u64, &str), samples: u64) {
    let user = stacks.user(id, &[function, "serve", "main"]);
    let key = CpuKey { pid: Pid(pid), kernel: StackId::NONE, user };
    stacks.interval.cpu.rows.entry(key).or_default().samples += samples;
    if let Some(peer) = peer {
        stacks.interval.peer.sampled(peer.host, key, samples);
    }
}

/// A server whose CPU time a scanner has, beside one that sends to others than it received from.
fn work(stacks: &mut Stacks) {
    let scanner = v4([127, 0, 0, 77], 0);
    worked(stacks, 812, Some(scanner), (71, "decode\u{1b}[2J"), 390);
    worked(stacks, 812, Some(scanner), (72, "read_frame"), 40);
    worked(stacks, 812, Some(v6(9, 0)), (73, "decode"), 60);
    worked(stacks, 812, Some(Peer { host: Host::Others, port: 0 }), (73, "decode"), 7);
    worked(stacks, 812, None, (74, "accept_next"), 11);
    worked(stacks, 813, Some(scanner), (75, "turn"), 80);
    let sends = [(812, (900, 3, 480, 1)), (813, (400, 390, 70, 66))];
    for (pid, (sends, astray, samples, samples_astray)) in sends {
        stacks.interval.peer.sends.insert(Pid(pid), Sends { sends, astray, samples, samples_astray });
    }
}

fn with_sends(mut profile: Profile) -> Profile {
    let backend = "rcv-space + send send-length".into();
    let plan = ProbePlan { probe: "peer".into(), backend, misses: vec![], active: true };
    profile.header.probes.push(plan);
    profile.header.probes.push(ProbePlan {
        probe: "cpu".into(),
        backend: "cpu-clock".into(),
        misses: vec![],
        active: true,
    });
    profile
}

/// The session.
pub fn peers() -> Profile {
    let mut stacks = Stacks::default();
    work(&mut stacks);
    add(&mut stacks, (812, RECVFROM), (v4(DATABASE.0, DATABASE.1), true), &[(1_180, 6 * MS), (24, 31 * MS)]);
    blocked(&mut stacks, (812, RECVFROM), (1_204, 6 * MS));
    add(&mut stacks, (812, READ), (v6(1, 443), true), &[(40, 2 * MS)]);
    add(&mut stacks, (813, READ), (v4([192, 168, 0, 9], 0), false), &[(30, 900 * MS)]);
    add(&mut stacks, (33, READ), (v6(0x77, 0), false), &[(3, MS)]);
    // Its descriptor named the next client by the time it was looked up.
    stacks.interval.slowest.push(SlowestCall {
        pid: Pid(812),
        tid: Tid(815),
        start_ns: 460 * MS,
        wall_ns: 31 * MS,
        ret: 12,
        arguments: [9, 0x7ffe_0000_1000, 64],
        object: "tcp 10.0.0.2:80 → 10.0.0.9:47110".into(),
        peer: Some(v4([127, 0, 0, 77], 41_234)),
        ..SlowestCall::default()
    });
    let received = Received { peer: v4([127, 0, 0, 77], 41_234), ago_ns: 3 * MS + MS / 10, nr: Some(READ) };
    stacks.interval.crash.faults.push(Fault {
        at_ns: 500 * MS,
        pid: Pid(812),
        tid: Tid(815),
        signal: 11,
        how: How::Dies,
        thread: "worker".into(),
        core: CoreFacts { limit: Some(0), dumpable: Some(1), pattern: Some("core".into()) },
        code_in: Place::Nowhere,
        address_in: Place::Nowhere,
        received: Some(received),
        ..Fault::default()
    });
    let mut profile = profile(stacks, Vec::new());
    let death = Death { at_ns: 501 * MS, pid: Pid(812), signal: 11, age_ns: 400 * MS, ..Death::default() };
    profile.deaths.extend(vec![death]);
    with_sends(profile)
}

fn rendered(profile: &Profile, format: Format) -> String {
    let mut out = Vec::new();
    render(profile, format, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn finding(stacks: Stacks) -> Option<String> {
    found(&profile(stacks, Vec::new()), "peer_wait")
}

fn found(profile: &Profile, rule: &str) -> Option<String> {
    let json: Value = serde_json::from_str(&rendered(profile, Format::Json)).unwrap();
    let all = json["evidence"].as_array().unwrap().iter();
    let mut ours = all.filter(|finding| finding["rule"] == rule);
    ours.next().map(|finding| finding["finding"].as_str().unwrap().to_owned())
}

#[test]
fn a_sentence_names_the_peer_that_has_most_of_a_programs_cpu_time() {
    assert_eq!(
        found(&peers(), "cpu_by_peer").unwrap(),
        "81 to 88 % of the CPU time of web/api (pid 812) is work for 127.0.0.77, one of more than 2 peers; \
         87 to 94 % of that in decode␛[2J."
    );
}

#[test]
fn cpu_time_of_who_sends_to_others_has_no_peer_and_no_sample_is_lost() {
    let profile = peers();
    let folded = rendered(&profile, Format::Folded(profiler::probe::Picture::Peers));
    let of = |root: &str, process: &str| {
        let start = format!("{root};{process}");
        let lines = folded.lines().filter(|line| line.starts_with(&start));
        lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum::<u64>()
    };
    assert_eq!(of("127.0.0.77", "container web;api"), 430, "{folded}");
    assert_eq!(of("unknown (received nothing)", ""), 11, "{folded}");
    assert_eq!(of("unknown (sends to others than it received from last)", ""), 80, "{folded}");
    assert_eq!(of("", ""), 0);
    let all: u64 = profile.cpu.rows.values().map(|row| row.samples).sum();
    let told = folded.lines().filter(|line| !line.starts_with('#'));
    assert_eq!(told.map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum::<u64>(), all);
}

#[test]
fn without_sends_to_compare_no_peer_is_told() {
    let mut profile = peers();
    profile.header.probes.clear();
    assert_eq!(found(&profile, "cpu_by_peer"), None);
    let folded = rendered(&profile, Format::Folded(profiler::probe::Picture::Peers));
    assert!(folded.lines().all(|line| line.starts_with("unknown (") || line.starts_with('#')), "{folded}");
}

fn told(nr: u32, connected: bool, waits: &[(u64, u64)]) -> Option<String> {
    let mut stacks = Stacks::default();
    add(&mut stacks, (812, nr), (v4(DATABASE.0, DATABASE.1), connected), waits);
    finding(stacks)
}

#[test]
fn a_sentence_names_the_peer_that_a_call_waits_for() {
    assert_eq!(
        told(RECVFROM, true, &[(1_180, 6 * MS), (24, 31 * MS)]).unwrap(),
        "98 % of recvfrom in web/api (pid 812) is waiting for 10.0.0.7:5432: 1,204 waits, 7.82 s, p99 31.0 ms; \
         a round trip takes 210 µs."
    );
    let few = told(RECVFROM, true, &[(10, 90 * MS)]).unwrap();
    assert!(few.contains("10 waits, 900 ms, longest 90.0 ms"), "{few}");
}

#[test]
fn who_waits_for_clients_is_idle_and_few_waits_carry_no_sentence() {
    assert_eq!(told(RECVFROM, false, &[(1_000, 9 * MS)]), None, "it did not connect");
    assert_eq!(told(RECVFROM, true, &[(9, 900 * MS)]), None, "too few");
    assert_eq!(told(RECVFROM, true, &[(1_000, MS / 10)]), None, "too little of the time");
    assert_eq!(told(EPOLL_WAIT, true, &[(1_000, 9 * MS)]), None, "such a call waits for work");
}

#[test]
fn addresses_are_redacted_the_same_everywhere_and_ports_stay() {
    let mut profile = peers();
    redact(&mut profile);
    let text = rendered(&profile, Format::Text);
    let json = rendered(&profile, Format::Json);
    let folded = rendered(&profile, Format::Folded(profiler::probe::Picture::Peer));
    let peers = rendered(&profile, Format::Folded(profiler::probe::Picture::Peers));
    for output in [&text, &json, &folded, &peers] {
        for address in ["10.0.0.7", "2001:db8", "192.168.0.9", "127.0.0.77"] {
            assert!(!output.contains(address), "{address}: {output}");
        }
    }
    let word = folded.lines().find_map(|line| line.split_once(":5432;")).unwrap().0;
    assert!(word.starts_with("address-"), "{folded}");
    assert!(text.contains(&format!("{word}:5432")) && json.contains(&format!("\"{word}:5432\"")), "{text}");
}
