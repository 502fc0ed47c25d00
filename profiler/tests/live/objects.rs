//! What the slowest calls were about, against a workload that made the objects: a TCP connection, a pipe, a file,
//! a futex, a descriptor that is closed by the time it is looked up, a process that is gone; paths that this test gives.
//!
//! In: root. Out: names and peer addresses, or the reason why there is none.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot set up must fail")]

use std::ffi::CString;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use crate::support::can_run;
use crate::support::live::{Recording, Workload, number};
use serde_json::Value;

/// The one slow read by that descriptor.
fn read(calls: &[Value], pid: u64, fd: u64) -> &Value {
    let is = |call: &&Value| call["pid"] == pid && call["syscall"] == "read" && call["arguments"][0] == fd;
    let found: Vec<_> = calls.iter().filter(is).collect();
    assert_eq!(found.len(), 1, "reads of {fd} by {pid} in {calls:#?}");
    found[0]
}

#[test]
fn the_slowest_calls_tell_what_they_were_about() {
    if !can_run("the_slowest_calls_tell_what_they_were_about", &[]) {
        return;
    }
    let mut workload = Workload::start(&["--linger", "objects", "100"]);
    let pid = u64::from(workload.pid());
    let (slow, least) = (workload.slow(), (workload.unit_ns() / 2).min(10_000_000));
    let recording = Recording::start(&["--pid", &pid.to_string(), &slow[0], &slow[1]]);
    workload.go();
    let truth = workload.report();
    // It lingers, with all it opened, while the last second is drained.
    let recorded = recording.stop();
    let probe = &recorded.summary["probes"]["syscall"];
    let calls = probe["slowest"].as_array().unwrap();
    let of = |field: &str| number(&truth, field);
    for (field, expected) in [
        ("tcp_fd", format!("tcp 127.0.0.1:{} → 127.0.0.1:{}", of("here"), of("there"))),
        ("pipe_fd", format!("pipe:[{}]", of("pipe_inode"))),
        ("file_fd", "/dev/urandom".to_owned()),
    ] {
        let call = read(calls, pid, of(field));
        assert_eq!((&call["object"], &call["object_unknown"]), (&expected.into(), &"".into()), "{field}");
        assert!(number(call, "wall_ns") >= least, "{call:#}");
    }
    for (pid, fd, why) in
        [(pid, of("closed_fd"), "closed by now"), (of("gone_pid"), of("pipe_fd"), "process gone")]
    {
        let call = read(calls, pid, fd);
        assert_eq!((&call["object"], &call["object_unknown"]), (&"".into(), &why.into()));
    }
    assert_eq!(read(calls, of("gone_pid"), of("pipe_fd"))["file_kind"], "pipe", "known though it is gone");
    let futexes = probe["slowest_user_locks"].as_array().unwrap();
    assert!(calls.iter().all(|call| call["syscall"] != "futex"));
    let address = of("futex");
    let waits: Vec<_> = futexes.iter().filter(|call| call["arguments"][0] == address).collect();
    assert_eq!(waits.len(), 1, "{futexes:#?}");
    assert_eq!(waits[0]["object"], format!("futex {address:#x}"));
    assert_eq!(waits[0]["error"], "ETIMEDOUT");
    assert!((100_000_000..=of("futex_ns")).contains(&number(waits[0], "wall_ns")), "{:#}", waits[0]);
}

/// A fifo, whose opening waits until its other end is opened too.
fn fifo(path: &Path) {
    let path = CString::new(path.to_str().unwrap()).unwrap();
    // SAFETY: a string with its NUL.
    assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
}

/// Opens the other end of a fifo after a while that makes the opening of this one a slow call.
fn meet(path: &Path) -> std::thread::JoinHandle<()> {
    let path = path.to_owned();
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(60));
        drop(std::fs::OpenOptions::new().write(true).open(path).unwrap());
    })
}

/// A socket that listens at a path and has room for one connection.
fn narrow_listener(path: &Path) -> OwnedFd {
    let bytes = path.to_str().unwrap().as_bytes();
    // SAFETY: plain calls with valid arguments; the address is as long as its path and family.
    unsafe {
        let socket = OwnedFd::from_raw_fd(libc::socket(libc::AF_UNIX, libc::SOCK_STREAM, 0));
        let mut address: libc::sockaddr_un = std::mem::zeroed();
        address.sun_family = libc::AF_UNIX as u16;
        for (to, from) in address.sun_path.iter_mut().zip(bytes) {
            *to = *from as libc::c_char;
        }
        let length = size_of::<libc::sockaddr_un>() as u32;
        assert_eq!(libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length), 0);
        assert_eq!(libc::listen(socket.as_raw_fd(), 0), 0);
        socket
    }
}

#[test]
fn slow_calls_with_a_path_tell_it() {
    if !can_run("slow_calls_with_a_path_tell_it", &[]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let long = at(&"x".repeat(200));
    let hostile = at("in\u{1b}[31m \"&<b>");
    for path in [&hostile, &long, &at("near")] {
        fifo(path);
    }
    let listener = narrow_listener(&at("socket"));
    let here = std::fs::File::open(dir.path()).unwrap();
    let recording = Recording::start(&["--pid", &std::process::id().to_string(), "--slow", "20ms"]);
    for path in [&hostile, &long] {
        let other = meet(path);
        drop(std::fs::File::open(path).unwrap());
        other.join().unwrap();
    }
    let other = meet(&at("near"));
    // SAFETY: an open directory, a string with its NUL.
    let near = unsafe { libc::openat(here.as_raw_fd(), c"near".as_ptr(), libc::O_RDONLY) };
    assert!(near >= 0);
    // SAFETY: just opened, and nobody else's.
    let near = unsafe { OwnedFd::from_raw_fd(near) };
    other.join().unwrap();
    // The second connection waits until the first was taken.
    let first = UnixStream::connect(at("socket")).unwrap();
    let socket = listener.as_raw_fd();
    let taker = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(60));
        // SAFETY: the listener lives until this thread was joined; no address is asked for.
        assert!(unsafe { libc::accept(socket, std::ptr::null_mut(), std::ptr::null_mut()) } >= 0);
    });
    let second = UnixStream::connect(at("socket")).unwrap();
    taker.join().unwrap();
    let recorded = recording.stop();
    drop((first, second, near));
    let calls = recorded.summary["probes"]["syscall"]["slowest"].as_array().unwrap();
    let find = |syscall: &str, path: &str| {
        let mut calls =
            calls.iter().filter(|call| call["syscall"] == syscall && number(call, "wall_ns") >= 20_000_000);
        let found = calls.find(|call| call["path"] == path);
        found.unwrap_or_else(|| panic!("no {syscall} of {path:?} in {calls:#?}")).clone()
    };
    assert_eq!(find("openat", hostile.to_str().unwrap())["path_is_cut"], false);
    let cut = find("openat", &long.to_str().unwrap()[..127]);
    assert_eq!(cut["path_is_cut"], true);
    assert_eq!(find("openat", "near")["object"], dir.path().to_str().unwrap());
    find("connect", at("socket").to_str().unwrap());
}
