//! What calls in flight are about: of what a call hangs, and who is at the other end.
//!
//! In: a writer whose reader is stopped, clients whose servers say nothing, a file whose server is silent. Out: their pipe,
//! connection, path and mount, in `summary.json` and in the first sentences.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up fails")]

use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::support::fuse::Fuse;
use crate::support::live::{Recorded, Recording, send};
use crate::support::{Process, can_run, skipped, wait_for};

/// Waits until a process is blocked in a call, by the kernel's own word.
fn wait_until_in_call(process: &Process, nr: i64) {
    wait_for("the call to block", || {
        let call = std::fs::read_to_string(format!("/proc/{}/syscall", process.pid())).unwrap();
        call.starts_with(&format!("{nr} ")).then_some(())
    });
}

fn spawn(command: &mut Command) -> Process {
    Process(command.stderr(Stdio::null()).spawn().unwrap())
}

/// Records what is in flight in one process.
fn hanging(process: &Process) -> Recorded {
    Recording::start(&["--pid", &process.pid().to_string(), "--probe", "syscall", "-d", "500ms"]).ended()
}

/// Its one call in flight, and the first three sentences: a quota that these tests run under is above it.
fn told(recorded: &Recorded, process: &Process) -> (Value, String) {
    let calls = recorded.in_flight(process.pid());
    assert_eq!(calls.len(), 1, "{calls:#?}");
    let findings = recorded.summary["findings"].as_array().unwrap().iter().take(3);
    let sentences: Vec<_> = findings.map(|finding| finding.as_str().unwrap()).collect();
    (calls[0].clone(), sentences.join(" "))
}

#[test]
fn who_hangs_in_a_write_is_told_with_the_stopped_reader_of_its_pipe() {
    if !can_run("who_hangs_in_a_write_is_told_with_the_stopped_reader_of_its_pipe", &["yes", "sleep"]) {
        return;
    }
    let (reader, writer) = std::io::pipe().unwrap();
    let collector = spawn(Command::new("sleep").arg("1000").stdin(reader));
    let service = spawn(Command::new("yes").stdout(writer));
    send(collector.pid(), "STOP");
    wait_until_in_call(&service, libc::SYS_write);
    let recorded = hanging(&service);
    let (call, sentence) = told(&recorded, &service);
    assert!(call["object"].as_str().unwrap().starts_with("pipe:["), "{call:#}");
    let ends = call["other_ends"].as_array().unwrap();
    assert_eq!(ends.len(), 1, "{call:#}");
    assert_eq!((&ends[0]["pid"], &ends[0]["comm"]), (&collector.pid().into(), &"sleep".into()));
    assert_eq!(ends[0]["state"], "stopped");
    let words = format!("with sleep[{}] (stopped) at the other end", collector.pid());
    assert!(sentence.contains(", of pipe:[") && sentence.contains(&words), "{sentence}");
}

#[test]
fn who_waits_for_an_answer_is_told_with_the_process_that_has_the_connection() {
    if !can_run("who_waits_for_an_answer_is_told_with_the_process_that_has_the_connection", &["bash"]) {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let script = format!("exec 3<>/dev/tcp/127.0.0.1/{}; read -u 3 line", at.port());
    let client = spawn(Command::new("bash").args(["-c", &script]).stdin(Stdio::null()));
    wait_until_in_call(&client, libc::SYS_read);
    // Nobody has accepted it: who listens has it.
    let (call, _) = told(&hanging(&client), &client);
    assert_eq!(call["other_ends"][0]["pid"], std::process::id(), "{call:#}");
    let (server, from) = listener.accept().unwrap();
    // Another process has it.
    let server = spawn(Command::new("sleep").arg("1000").stdin(OwnedFd::from(server)));
    wait_until_in_call(&client, libc::SYS_read);
    let recorded = hanging(&client);
    let (call, sentence) = told(&recorded, &client);
    assert_eq!(call["object"], format!("tcp {from} → {at}"));
    let ends = call["other_ends"].as_array().unwrap();
    assert_eq!(ends.iter().map(|end| &end["pid"]).collect::<Vec<_>>(), [&server.pid()]);
    assert!(sentence.contains(&format!(", of tcp {from} → {at} with sleep[")), "{sentence}");
}

#[test]
fn who_reads_from_a_unix_socket_is_told_with_the_process_that_has_the_other_one() {
    if !can_run("who_reads_from_a_unix_socket_is_told_with_the_process_that_has_the_other_one", &["cat"]) {
        return;
    }
    let (one, other) = UnixStream::pair().unwrap();
    let client = spawn(Command::new("cat").stdin(OwnedFd::from(one)).stdout(Stdio::null()));
    let server = spawn(Command::new("sleep").arg("1000").stdin(OwnedFd::from(other)));
    wait_until_in_call(&client, libc::SYS_read);
    let recorded = hanging(&client);
    let (call, sentence) = told(&recorded, &client);
    assert!(call["object"].as_str().unwrap().starts_with("unix socket:["), "{call:#}");
    let ends = call["other_ends"].as_array().unwrap();
    assert_eq!(ends.iter().map(|end| &end["pid"]).collect::<Vec<_>>(), [&server.pid()], "{call:#}");
    assert!(sentence.contains("with sleep["), "{sentence}");
}

#[test]
fn who_reads_from_a_unix_socket_that_nobody_accepted_is_told_with_who_listens_and_where() {
    if !can_run(
        "who_reads_from_a_unix_socket_that_nobody_accepted_is_told_with_who_listens_and_where",
        &["cat"],
    ) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("service.sock");
    let _listener = UnixListener::bind(&path).unwrap();
    let asked = UnixStream::connect(&path).unwrap();
    let client = spawn(Command::new("cat").stdin(OwnedFd::from(asked)).stdout(Stdio::null()));
    wait_until_in_call(&client, libc::SYS_read);
    let recorded = hanging(&client);
    is_told_with_this_process(&recorded, &client, &format!("unix → {}", path.display()));
}

/// Its one call in flight is about this, and this process has the other end.
fn is_told_with_this_process(recorded: &Recorded, client: &Process, object: &str) {
    let (call, sentence) = told(recorded, client);
    assert_eq!(call["object"], object, "{call:#}");
    let ends = call["other_ends"].as_array().unwrap();
    assert_eq!(ends.iter().map(|end| &end["pid"]).collect::<Vec<_>>(), [&std::process::id()], "{call:#}");
    assert!(sentence.contains(&format!(", of {object} with ")), "{sentence}");
}

/// Makes a socket hold one connection that nobody has accepted, and no more.
fn hold_one(listener: &impl AsFd) {
    rustix::net::listen(listener, 0).unwrap();
}

#[test]
fn who_asks_for_a_connection_behind_a_full_queue_is_told_with_who_listens() {
    if !can_run("who_asks_for_a_connection_behind_a_full_queue_is_told_with_who_listens", &["bash", "perl"]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("full.sock");
    let by_path = UnixListener::bind(&path).unwrap();
    hold_one(&by_path);
    let _first = UnixStream::connect(&path).unwrap();
    let ask = "use Socket; socket(S, PF_UNIX, SOCK_STREAM, 0); connect(S, sockaddr_un($ARGV[0]));";
    let asks_by_path = spawn(Command::new("perl").args(["-e", ask]).arg(&path));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    hold_one(&listener);
    let at = listener.local_addr().unwrap();
    // Until one is not answered.
    let asks = || TcpStream::connect_timeout(&at, Duration::from_millis(200));
    let _held: Vec<_> = std::iter::from_fn(|| asks().ok()).collect();
    let script = format!("exec 3<>/dev/tcp/127.0.0.1/{}", at.port());
    let asks_by_address = spawn(Command::new("bash").args(["-c", &script]));
    for client in [&asks_by_path, &asks_by_address] {
        wait_until_in_call(client, libc::SYS_connect);
    }
    is_told_with_this_process(&hanging(&asks_by_path), &asks_by_path, &format!("unix → {}", path.display()));
    let recorded = hanging(&asks_by_address);
    let (call, _) = told(&recorded, &asks_by_address);
    let object = call["object"].as_str().unwrap();
    assert!(object.starts_with("tcp 127.0.0.1:") && object.ends_with(&format!(" → {at}")), "{object}");
    is_told_with_this_process(&recorded, &asks_by_address, object);
}

#[test]
fn who_waits_for_a_served_file_is_told_with_its_path_and_mount() {
    let test = "who_waits_for_a_served_file_is_told_with_its_path_and_mount";
    if !can_run(test, &["cat"]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    // It ends when its server has: declared before it, dropped behind it.
    let client;
    let server = Fuse::serve(vec![("answer", b"42".to_vec())]).filter(|_| Path::new("/dev/fuse").exists());
    let Some(mut server) = server else { return skipped(test, "this kernel has no FUSE") };
    if !server.mount(directory.path()) {
        return skipped(test, "FUSE cannot be mounted here");
    }
    server.be_silent();
    let file = directory.path().join("answer");
    client = spawn(Command::new("cat").arg(&file).stdout(Stdio::null()));
    wait_until_in_call(&client, libc::SYS_openat);
    let recorded = hanging(&client);
    let (call, sentence) = told(&recorded, &client);
    assert_eq!(call["path"], file.to_str().unwrap());
    let mount = call["mount"].as_str().unwrap();
    assert!(mount.starts_with(&format!("fuse at {}, of ", directory.path().display())), "{mount}");
    assert!(sentence.contains(&format!(", of \"{}\" on fuse at ", file.display())), "{sentence}");
}
