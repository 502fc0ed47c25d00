//! The `peer` probe against servers and clients on addresses of loopback.
//!
//! In: root. Out: as many receives as there were, each with its peer; waits as the workload's clock has them; a server's waits
//! for its clients are no finding; a slow receive with its own peer; a death with what its thread received last; CPU time by peer as
//! servers have it themselves, or `unknown`.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot set up fails, and its figures are worth reading"
)]

mod clients;

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::support::can_run;
use crate::support::host::measured;
use crate::support::live::{Recorded, Recording, Workload, number, profiler};
use clients::{GARBAGE, Server};
use judge::bounds;
use serde_json::Value;

/// Times that the workload asks each server.
const ASKED: u64 = 120;
/// Receives of nothing.
const SILENT: u64 = 20;

/// Answers on all addresses of loopback until the test ends, each question after as many ms as the asked address says.
fn server() -> u16 {
    let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer(stream));
        }
    });
    port
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let ms = match stream.local_addr()?.ip().to_canonical() {
        IpAddr::V4(ip) => u64::from(ip.octets()[3]) / 10,
        IpAddr::V6(_) => 3,
    };
    loop {
        stream.read_exact(&mut [0])?;
        thread::sleep(Duration::from_millis(ms));
        stream.write_all(b"!")?;
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn rows(recorded: &Recorded, pid: u32) -> Vec<&Value> {
    recorded.rows("peer", pid)
}

/// The report as one line.
fn report(recorded: &Recorded) -> String {
    let shown = Command::new(profiler()).arg("report").arg(recorded.output()).output().unwrap().stdout;
    String::from_utf8_lossy(&shown).split_whitespace().collect::<Vec<_>>().join(" ")
}

fn has_finding(recorded: &Recorded, pid: u32) -> bool {
    let found = recorded.summary["evidence"].as_array().unwrap();
    let own = format!("(pid {pid})");
    found
        .iter()
        .any(|found| found["rule"] == "peer_wait" && found["finding"].as_str().unwrap().contains(&own))
}

#[test]
fn receives_and_waits_are_those_of_each_server() {
    let test = "receives_and_waits_are_those_of_each_server";
    if !can_run(test, &[]) {
        return;
    }
    // By IPv4, by IPv6, and an address of IPv4 by IPv6.
    let servers = [("20", "127.0.0.20"), ("60", "127.0.0.60"), ("0", "::1"), ("1040", "127.0.0.40")];
    measured(test, || {
        let port = server();
        let mut words = vec!["ask-peers".to_owned(), ASKED.to_string(), SILENT.to_string(), port.to_string()];
        words.extend(servers.map(|(number, _)| number.to_owned()));
        let words: Vec<&str> = ["--linger"].into_iter().chain(words.iter().map(String::as_str)).collect();
        let mut worker = Workload::start(&words);
        let pid = worker.pid();
        let recording = Recording::start(&["--probe", "peer,syscall", "--pid", &pid.to_string()]);
        worker.go();
        let truth = worker.report();
        let recorded = recording.stop();
        let rows = rows(&recorded, pid);
        let all: u64 = rows.iter().map(|row| number(row, "count")).sum();
        assert!(all <= ASKED * servers.len() as u64, "receives of nothing have no peer: {rows:#?}");
        for (name, ip) in servers {
            let peer = SocketAddr::new(ip.parse().unwrap(), port).to_string();
            let row = rows.iter().find(|row| row["peer"] == peer.as_str());
            let row = row.unwrap_or_else(|| panic!("{peer}: {rows:#?}"));
            assert_eq!((&row["syscall"], &row["connected"]), (&"read".into(), &true.into()), "{row}");
            assert_eq!((&row["address"], &row["port"]), (&ip.into(), &port.into()), "{row}");
            let count = number(row, "count");
            println!("{peer}: {count} of {ASKED} receives");
            assert!(count * 100 >= ASKED * 99 && count <= ASKED, "{row}");
            let clock = &truth[name];
            let (least, most) = (number(clock, "least_total_ns"), number(clock, "total_ns"));
            println!("{}", bounds::between("calls", number(row, "wall_ns"), (least, most), most / 20)?);
            // What is not sleep is the way to the CPU and the call itself.
            let wall = number(row, "wall_ns");
            println!("{}", bounds::between("asleep", number(row, "total_ns"), (wall * 8 / 10, wall), 0)?);
            assert!(number(row, "max_ns") <= number(clock, "max_ns"), "{row} {clock}");
            // Without the server's pause.
            let trip = row["round_trip_ns"].as_u64();
            assert!(trip.is_none_or(|ns| ns < number(row, "p50_ns") / 2), "{row}");
        }
        assert!(has_finding(&recorded, pid), "{:#?}", recorded.summary["findings"]);
        let (text, heaviest) = (report(&recorded), format!("waiting for 127.0.0.60:{port}: "));
        assert!(text.contains("PEERS: calls") && text.contains(&heaviest), "{text}");
        let folded = recorded.file("peer.folded");
        assert!(folded.lines().any(|line| line.starts_with(&format!("[::1]:{port};"))), "{folded}");
        Ok(())
    });
}

#[test]
fn a_servers_waits_for_its_clients_are_idle() {
    if !can_run("a_servers_waits_for_its_clients_are_idle", &[]) {
        return;
    }
    let port = free_port().to_string();
    let clients = ["31", "32", "33"];
    let mut worker = Workload::start(&["--linger", "serve-peers", &port, "3"]);
    let pid = worker.pid();
    let recording = Recording::start(&["--probe", "peer,syscall", "--pid", &pid.to_string()]);
    let asked = ASKED.to_string();
    let mut caller =
        Workload::start(&[&["--linger", "call-peers", &port, &asked, "2"], &clients[..]].concat());
    worker.go();
    caller.go();
    caller.report();
    drop(caller);
    let truth = worker.report();
    let recorded = recording.stop();
    let rows = rows(&recorded, pid);
    for client in clients {
        let ip = format!("127.0.0.{client}");
        let row = rows.iter().find(|row| row["peer"] == ip.as_str());
        let row = row.unwrap_or_else(|| panic!("{ip}: {rows:#?}"));
        assert_eq!((&row["connected"], &row["port"]), (&false.into(), &Value::Null), "{row}");
        let (count, received) = (number(row, "count"), number(&truth[&ip], "calls"));
        println!("{ip}: {count} of {received} receives");
        // The first may have come before the thread asked for it.
        assert!(received == ASKED && count * 100 >= received * 99 - 100 && count <= received, "{row}");
    }
    assert!(!has_finding(&recorded, pid), "{:#?}", recorded.summary["findings"]);
}

#[test]
fn a_death_has_what_its_thread_received_last() {
    if !can_run("a_death_has_what_its_thread_received_last", &[]) {
        return;
    }
    let port = server();
    let mut worker = Workload::start(&["--linger", "die-after-peer", &port.to_string(), "77", "30"]);
    let pid = worker.pid().to_string();
    let recording = Recording::start(&["--probe", "crash", "--pid", &pid]);
    worker.go();
    let truth = worker.report();
    let recorded = recording.stop();
    let faults = recorded.summary["probes"]["crash"]["rows"].as_array().unwrap();
    let fault = faults.iter().find(|fault| fault["pid"] == truth["child"]);
    let received = &fault.unwrap_or_else(|| panic!("{faults:#?}"))["received"];
    assert_eq!(received["peer"], format!("127.0.0.77:{port}"), "{received}");
    assert_eq!(received["syscall"], "read", "{received}");
    let (ago, most) = (number(received, "ago_ns"), number(&truth, "lived_ns"));
    println!("received {ago} ns before, lived {most} ns");
    assert!(ago >= 30_000_000 && ago <= most, "{received}, {truth}");
    let text = format!("last received from 127.0.0.77:{port}, ");
    let shown = report(&recorded);
    assert!(shown.contains(&text), "{shown}");
}

#[test]
fn a_slow_receive_has_its_own_peer_and_not_the_next_one_of_its_descriptor() {
    if !can_run("a_slow_receive_has_its_own_peer_and_not_the_next_one_of_its_descriptor", &[]) {
        return;
    }
    let port = free_port().to_string();
    let mut worker = Workload::start(&["--linger", "serve-turns", &port, "12"]);
    let pid = worker.pid();
    let recording = Recording::start(&["--probe", "peer,syscall", "--pid", &pid.to_string()]);
    worker.go();
    let clients: Vec<String> = (31..43).map(|client: u32| client.to_string()).collect();
    let words = ["--linger", "call-turns", &port].into_iter().chain(clients.iter().map(String::as_str));
    let mut caller = Workload::start(&words.collect::<Vec<_>>());
    caller.go();
    caller.report();
    let truth = worker.report();
    let recorded = recording.stop();
    let slowest = recorded.summary["probes"]["syscall"]["slowest"].as_array().unwrap();
    let own: Vec<_> = slowest.iter().filter(|row| row["pid"] == pid && row["syscall"] == "read").collect();
    println!("{} slow receives", own.len());
    assert!(own.len() >= 11, "{slowest:#?}");
    for row in own {
        let peer = row["peer"].as_str().unwrap_or_else(|| panic!("{row}"));
        // Each client waited 10 ms longer than the one before.
        let (wall, clock) = (number(row, "wall_ns"), number(&truth[peer], "total_ns"));
        assert!(wall.abs_diff(clock) < 4_000_000, "{row} {truth}");
        let object = row["object"].as_str().unwrap();
        assert!(object.starts_with("tcp ") && object.ends_with(&format!("→ {peer}")), "{row}");
    }
}

/// A server of the test: its name, what starts it, and why its peers must be unknown; empty where they must be right.
type Kind = (&'static str, &'static [&'static str], &'static str);

const KINDS: [Kind; 5] = [
    ("a Python thread for each connection", &["python3", "server.py"], ""),
    ("a Java pool", &["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "Pool.java"], ""),
    ("Node, synchronous", &["node", "server.js", "sync"], ""),
    ("Node with timers", &["node", "server.js", "timers"], "sends to others than it received from last"),
    ("Go, stripped", &["./server-go"], "its runtime moves work between threads"),
];

#[test]
fn cpu_time_is_that_of_the_peer_that_burned_it_or_unknown() {
    let test = "cpu_time_is_that_of_the_peer_that_burned_it_or_unknown";
    if !can_run(test, &["python3", "java", "node", "go"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("server.py", include_str!("peer/server.py")),
        ("server.js", include_str!("peer/server.js")),
        ("Pool.java", include_str!("peer/Pool.java")),
        ("server.go", include_str!("peer/server.go")),
    ] {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let build = ["build", "-ldflags", "-s -w", "-o", "server-go", "server.go"];
    assert!(Command::new("go").args(build).current_dir(dir.path()).status().unwrap().success());
    let mut servers = KINDS.map(|(_, words, _)| Server::start(words, dir.path()));
    servers.iter_mut().for_each(Server::listens);
    let pids = servers.each_ref().map(|server| server.pid().to_string()).join(",");
    let recording = Recording::start(&["--probe", "cpu,peer", "-F", "499", "--pid", &pids]);
    let clients = servers.each_ref().map(|server| server.ask(Duration::from_secs(3)));
    clients.into_iter().flatten().for_each(|client| client.join().unwrap());
    let recorded = recording.stop();
    let folded = recorded.file("peers.folded");
    let sends = recorded.summary["probes"]["peer"]["sends"].as_array().unwrap();
    for ((name, _, unknown), server) in KINDS.iter().zip(servers) {
        let pid = server.pid();
        let roots = roots(&folded, pid);
        let compared = sends.iter().find(|row| row["pid"] == pid);
        println!("{name}: {:?}; {compared:?}", &roots[..roots.len().min(3)]);
        let truth = server.end();
        if unknown.is_empty() {
            right(name, &roots, &truth);
        } else {
            assert_eq!(roots[0].0, format!("unknown ({unknown})"), "{name}");
            assert!(roots.iter().all(|(root, _)| root.starts_with("unknown (")), "{name}: {roots:?}");
        }
    }
    for found in recorded.summary["evidence"].as_array().unwrap() {
        if found["rule"] == "cpu_by_peer" {
            let sentence = found["finding"].as_str().unwrap();
            println!("{sentence}");
            assert!(sentence.contains(" is work for 127.0.0.77, one of "), "{sentence}");
        }
    }
}

/// Samples of one process by their root, most first.
fn roots(folded: &str, pid: u32) -> Vec<(String, u64)> {
    let own = format!(" ({pid})");
    let mut sums = BTreeMap::new();
    for line in folded.lines() {
        let (path, samples) = line.rsplit_once(' ').unwrap();
        let mut frames = path.split(';');
        let root = frames.next().unwrap();
        if frames.next().is_some_and(|process| process.ends_with(&own)) {
            *sums.entry(root.to_owned()).or_insert(0) += samples.parse::<u64>().unwrap();
        }
    }
    let mut roots: Vec<_> = sums.into_iter().collect();
    roots.sort_by_key(|(_, samples)| std::cmp::Reverse(*samples));
    roots
}

/// Thousandths by which the share of one peer may be off: its samples have what the server does not time (the kernel's work, and the
/// runtime's), and they are some hundreds.
const BOUND: u64 = 100;

/// The one that sent garbage is the widest, and has the share of what the server gave to anybody that it had by the server's own clock.
fn right(name: &str, roots: &[(String, u64)], truth: &BTreeMap<String, u64>) {
    let garbage = format!("127.0.0.{GARBAGE}");
    assert_eq!(roots[0].0, garbage, "{name}: {roots:?}");
    let peers = roots.iter().filter(|(root, _)| !root.starts_with("unknown"));
    let all: u64 = peers.map(|(_, samples)| samples).sum();
    let share = roots[0].1 * 1_000 / all;
    let clock = truth[&garbage] * 1_000 / truth.values().sum::<u64>();
    println!("{name}: {share} ‰ of {all} samples, the server says {clock} ‰");
    assert!(share.abs_diff(clock) <= BOUND, "{name}: {share} ‰, the server says {clock} ‰");
}
