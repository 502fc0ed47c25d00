//! The `peer` probe against servers and clients on addresses of loopback.
//!
//! In: root. Out: as many receives as there were, each with its peer; waits as the workload's clock has them; a server's waits
//! for its clients are no finding; a death with what its thread received last.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot set up fails, and its figures are worth reading"
)]

mod support;

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use std::time::Duration;

use judge::bounds;
use serde_json::Value;
use support::can_run;
use support::host::measured;
use support::live::{Recorded, Recording, Workload, number, profiler};

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
