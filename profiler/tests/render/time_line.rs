//! The time line of a service that dies again and again, made by hand.
//!
//! In: intervals of a second. Out: what the terminal, `summary.json` and the heat map say of it.

use profiler::probes::crash::rows::{Fault, How, Received};
use profiler::profile::deaths::Death;
use profiler::profile::peer::{Host, Peer};
use profiler::profile::rows::CpuKey;
use profiler::profile::{
    Chunk, Header, Interval, Pid, PresenceChange, Process, Profile, StackId, SyscallRow,
};
use profiler::redact::redact;
use profiler::render::{Format, render};
use serde_json::{Value, json};

const S: u64 = 1_000_000_000;
const MS: u64 = 1_000_000;
/// Seconds of the recording.
const SECONDS: u64 = 12;
/// The seconds at whose middle it dies.
const DEATHS: [u64; 3] = [2, 5, 8];

fn interval(second: u64) -> Interval {
    let mut interval = Interval { start_ns: second * S, end_ns: (second + 1) * S, ..Interval::default() };
    let dies = DEATHS.contains(&second);
    let row: &mut SyscallRow = interval.syscall.rows.entry((Pid(7), 0)).or_default();
    (0..10).for_each(|_| row.latency.record(if dies { 80 * MS } else { 5 * MS }));
    let key = CpuKey { pid: Pid(7), kernel: StackId::NONE, user: StackId::NONE };
    interval.cpu.rows.entry(key).or_default().samples = 25;
    if !dies {
        return interval;
    }
    let at_ns = second * S + S / 2;
    let received = Received {
        peer: Peer { host: Host::Ip([127, 0, 0, 77].into()), port: 4_000 + second as u16 },
        ago_ns: MS * (second + 1),
        nr: Some(0),
    };
    interval.crash.faults.push(Fault {
        at_ns,
        pid: Pid(7),
        signal: 11,
        how: How::Dies,
        received: Some(received),
        ..Fault::default()
    });
    let death = Death { at_ns, pid: Pid(7), signal: 11, age_ns: 3 * S, ..Death::default() };
    interval.deaths.push(Death { comm: "px".into(), container: "web".into(), ..death });
    interval.presence = [(at_ns, false), (at_ns + S / 4, true)]
        .map(|(at_ns, present)| PresenceChange { name: "web".into(), at_ns, present })
        .into();
    interval
}

fn profile() -> Profile {
    let mut profile = Profile::default();
    profile.apply(Chunk::Header(Box::new(Header { frequency_hz: 50, ..Header::default() })));
    for second in 0..SECONDS {
        let mut interval = interval(second);
        if second == 0 {
            let process = Process { pid: Pid(7), comm: "px".into(), ..Process::default() };
            interval.processes.push(Process { container: "web".into(), ..process });
        }
        profile.apply(Chunk::Interval(Box::new(interval)));
    }
    profile
}

fn rendered(profile: &Profile, format: Format) -> String {
    let mut out = Vec::new();
    render(profile, format, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn deaths_peers_absences_latency_and_cpu_stand_on_one_axis() {
    let text = rendered(&profile(), Format::Text);
    let at = text.find("TIME LINE").unwrap_or_else(|| panic!("{text}"));
    let told = text[at..].lines().take(7).map(|line| line.trim_end()).collect::<Vec<_>>().join("\n");
    assert_eq!(
        told,
        "TIME LINE from 0 to 12.0 s: each sign is 1.00 s
  what                             when          in all
  web/px: SIGSEGV                  ··1··1··1···  3 deaths, every 3.00 s
  after a receive from 127.0.0.77  ··1··1··1···  3 deaths, every 3.00 s
  web not there                    ··–··–··–···  750 ms in all
  p99 of read                      ▁▁█▁▁█▁▁█▁▁▁  up to 80.0 ms
  CPU                              ████████████  up to 0.50 CPUs"
    );
}

#[test]
fn the_sentence_of_deaths_names_the_peer_of_each() {
    let json: Value = serde_json::from_str(&rendered(&profile(), Format::Json)).unwrap();
    let first = json["findings"][0].as_str().unwrap();
    assert!(
        first.starts_with("web/px: 3 deaths by SIGSEGV, every 3.00 s")
            && first.contains("each within 9.00 ms of a receive from 127.0.0.77"),
        "{first}"
    );
    let tracks = json["time_line"]["tracks"].as_array().unwrap();
    let deaths = &tracks[0];
    assert_eq!((&deaths["kind"], &deaths["period_ns"]), (&json!("deaths"), &json!(3 * S)));
    assert_eq!(deaths["values"], json!([0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 0]));
    assert_eq!(json["time_line"]["columns"].as_array().unwrap().len() as u64, SECONDS);
}

#[test]
fn the_heat_map_has_the_same_tracks_below_it_and_redacted_ones_name_nobody() {
    let svg = rendered(&profile(), Format::Heat);
    for words in [
        "web/px: SIGSEGV: 3 deaths, every 3.00 s",
        "after a receive from 127.0.0.77",
        "2.00 s to 3.00 s: 1 death",
    ] {
        assert!(svg.contains(words), "{words}");
    }
    let mut redacted = profile();
    redact(&mut redacted);
    for format in [Format::Heat, Format::Text, Format::Json] {
        let told = rendered(&redacted, format);
        assert!(!told.contains("127.0.0.77") && told.contains("address-1"), "{told}");
    }
}

#[test]
fn where_nobody_dies_or_goes_the_terminal_has_no_time_line() {
    let mut profile = profile();
    profile.deaths = Default::default();
    profile.presence = Default::default();
    let text = rendered(&profile, Format::Text);
    assert!(!text.contains("TIME LINE"), "{text}");
}

#[test]
fn times_without_end_in_a_capture_overflow_nothing() {
    let mut profile = profile();
    let change = |name: &str, at_ns, present| PresenceChange { name: name.into(), at_ns, present };
    let mut endless = Interval { start_ns: 0, end_ns: u64::MAX, ..Interval::default() };
    for name in ["web", "a", "b", "c", "d", "e", "f"] {
        endless.presence.extend([change(name, 0, false), change(name, u64::MAX, true)]);
        endless.presence.extend([change(name, 0, false), change(name, u64::MAX, true)]);
    }
    let row: &mut SyscallRow = endless.syscall.rows.entry((Pid(7), 0)).or_default();
    row.latency.record(u64::MAX);
    let key = CpuKey { pid: Pid(7), kernel: StackId::NONE, user: StackId::NONE };
    endless.cpu.rows.entry(key).or_default().samples = u64::MAX;
    profile.apply(Chunk::Interval(Box::new(endless)));
    for format in [Format::Text, Format::Json, Format::Heat] {
        assert!(rendered(&profile, format).contains("not there"));
    }
}
