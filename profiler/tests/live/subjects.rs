//! What calls in flight are about: of what a call hangs, and who is at the other end.
//!
//! In: a writer whose reader is stopped, clients whose servers say nothing, a file whose server is silent. Out: their pipe,
//! connection, path and mount, in `summary.json` and in the first sentences.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up fails")]

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::support::fuse::Fuse;
use crate::support::live::{Recorded, Recording, send};
use crate::support::{Cgroup, Process, can_run, skipped, wait_for};

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
fn who_polls_a_connection_to_a_stopped_server_is_told_with_it_and_is_at_work() {
    if !can_run(
        "who_polls_a_connection_to_a_stopped_server_is_told_with_it_and_is_at_work",
        &["perl", "sleep"],
    ) {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    // With a time limit, as clients do it.
    let script = "use Socket; socket(S, PF_INET, SOCK_STREAM, 0); \
        connect(S, sockaddr_in($ARGV[0], inet_aton('127.0.0.1'))); \
        my $set = ''; vec($set, fileno(S), 1) = 1; select($set, undef, undef, 1000);";
    let client = spawn(Command::new("perl").args(["-e", script, &at.port().to_string()]));
    let (connection, from) = listener.accept().unwrap();
    let server = spawn(Command::new("sleep").arg("1000").stdin(OwnedFd::from(connection)));
    send(server.pid(), "STOP");
    wait_for("the client to poll", || {
        let call = std::fs::read_to_string(format!("/proc/{}/syscall", client.pid())).unwrap();
        let polls = [libc::SYS_select, libc::SYS_pselect6].map(|nr| format!("{nr} "));
        polls.iter().any(|nr| call.starts_with(nr)).then_some(())
    });
    let recorded = hanging(&client);
    let (call, sentence) = told(&recorded, &client);
    assert_eq!(
        (call["object"].as_str().unwrap(), &call["class"]),
        (&*format!("tcp {from} → {at}"), &"work".into())
    );
    let words = format!("of tcp {from} → {at} with sleep[{}] (stopped) at the other end", server.pid());
    assert!(sentence.contains(&words), "{sentence}");
}

/// A client that reads from a connection which another process has.
fn reads_from(listener: &TcpListener) -> (Process, Process) {
    let script =
        format!("exec 3<>/dev/tcp/127.0.0.1/{}; read -u 3 line", listener.local_addr().unwrap().port());
    let client = spawn(Command::new("bash").args(["-c", &script]).stdin(Stdio::null()));
    let (connection, _) = listener.accept().unwrap();
    let server = spawn(Command::new("sleep").arg("1000").stdin(OwnedFd::from(connection)));
    wait_until_in_call(&client, libc::SYS_read);
    (client, server)
}

/// Who is frozen cannot even be killed: thaws when it drops.
struct Thaws(PathBuf, &'static str);

impl Drop for Thaws {
    fn drop(&mut self) {
        std::fs::write(&self.0, self.1).unwrap();
    }
}

#[test]
fn a_server_whose_cgroup_is_frozen_is_told_so() {
    let test = "a_server_whose_cgroup_is_frozen_is_told_so";
    if !can_run(test, &["bash", "sleep"]) {
        return;
    }
    let name = format!("profiler-frozen-{}", std::process::id());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (client, server) = reads_from(&listener);
    let cgroups = [
        ("freezer", "freezer.state", ["FROZEN", "THAWED"], ("freezer.state", "FROZEN")),
        ("", "cgroup.freeze", ["1", "0"], ("cgroup.events", "frozen 1")),
    ];
    let made = cgroups.into_iter().find_map(|(controller, file, words, tells)| {
        let cgroup = Cgroup::make(controller, &name)?;
        let file = cgroup.dir.join(file);
        file.exists().then_some((cgroup, file, words, tells))
    });
    let Some((cgroup, file, [freeze, thaw], (tells, frozen))) = made else {
        return skipped(test, "no cgroup can be frozen here");
    };
    cgroup.adopt(server.pid());
    std::fs::write(&file, freeze).unwrap();
    let thaws = Thaws(file, thaw);
    let is_frozen = || std::fs::read_to_string(cgroup.dir.join(tells)).unwrap().contains(frozen);
    wait_for("the cgroup to freeze", || is_frozen().then_some(()));
    let recorded = hanging(&client);
    drop(thaws);
    let (call, sentence) = told(&recorded, &client);
    assert_eq!(
        (&call["other_ends"][0]["state"], &call["class"]),
        (&"frozen".into(), &"work".into()),
        "{call:#}"
    );
    assert!(
        sentence.contains(&format!("with sleep[{}] (frozen) at the other end", server.pid())),
        "{sentence}"
    );
}

#[test]
fn a_stopped_client_is_no_reason_for_its_server_to_be_at_work() {
    if !can_run("a_stopped_client_is_no_reason_for_its_server_to_be_at_work", &["sleep", "cat"]) {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let asks = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let client = spawn(Command::new("sleep").arg("1000").stdin(OwnedFd::from(asks)));
    let (connection, _) = listener.accept().unwrap();
    let server = spawn(Command::new("cat").stdin(OwnedFd::from(connection)).stdout(Stdio::null()));
    wait_until_in_call(&server, libc::SYS_read);
    send(client.pid(), "STOP");
    let recorded = hanging(&server);
    let (call, sentence) = told(&recorded, &server);
    assert_eq!(
        (&call["other_ends"][0]["state"], &call["class"]),
        (&"stopped".into(), &"idle".into()),
        "{call:#}"
    );
    assert!(sentence.contains("Nothing else was at work"), "{sentence}");
}

/// An nginx that asks a server behind it.
fn nginx(directory: &Path, behind: u16) -> (Process, u16) {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let at = directory.display();
    let paths: Vec<String> = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("{kind}_temp_path {at}/{kind};"))
        .collect();
    let configuration = format!(
        "pid {at}/pid; daemon off; master_process off; events {{ worker_connections 64; }} \
         http {{ access_log off; {} server {{ listen 127.0.0.1:{free}; \
         location / {{ proxy_pass http://127.0.0.1:{behind}; proxy_read_timeout 600s; }} }} }}",
        paths.join(" ")
    );
    let file = directory.join("nginx.conf");
    std::fs::write(&file, configuration).unwrap();
    let mut command = Command::new("nginx");
    command.arg("-e").arg(directory.join("errors")).arg("-c").arg(&file);
    let server = spawn(&mut command);
    wait_for("nginx", || TcpStream::connect(("127.0.0.1", free)).ok());
    (server, free)
}

#[test]
fn an_event_loop_behind_which_a_server_is_stopped_is_told_with_it() {
    if !can_run("an_event_loop_behind_which_a_server_is_stopped_is_told_with_it", &["nginx", "sleep"]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let behind = listener.local_addr().unwrap();
    let (loops, port) = nginx(directory.path(), behind.port());
    let mut asks = TcpStream::connect(("127.0.0.1", port)).unwrap();
    asks.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let (connection, from) = listener.accept().unwrap();
    let shares = connection.try_clone().unwrap();
    let server = spawn(Command::new("sleep").arg("1000").stdin(OwnedFd::from(connection)));
    let helper = spawn(Command::new("sleep").arg("1000").stdin(OwnedFd::from(shares)));
    send(server.pid(), "STOP");
    wait_until_in_call(&loops, libc::SYS_epoll_wait);
    // Who has it, too, may answer.
    let (waits, _) = told(&hanging(&loops), &loops);
    assert_eq!((&waits["class"], waits["other_ends"].as_array()), (&"idle".into(), None), "{waits:#}");
    drop(helper);
    let recorded = hanging(&loops);
    let (waits, sentence) = told(&recorded, &loops);
    assert_eq!(
        (&waits["object"], &waits["class"]),
        (&format!("tcp {from} → {behind}").into(), &"work".into())
    );
    let ends = waits["other_ends"].as_array().unwrap();
    assert_eq!(
        ends.iter().map(|end| (&end["pid"], &end["state"])).collect::<Vec<_>>(),
        [(&server.pid().into(), &"stopped".into())]
    );
    assert!(
        sentence.contains(&format!("with sleep[{}] (stopped) at the other end", server.pid())),
        "{sentence}"
    );
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
