//! In: how long each call takes, a read that computes. Out: one slow call on each kind of object, with what only its maker knows of it:
//! descriptors, ports, inodes, addresses, pids.

use std::{
    fs, io,
    net::{TcpListener, TcpStream},
    os::{fd::AsRawFd, unix::fs::MetadataExt as _},
};

use crate::{
    long_read::LongRead,
    report::Report,
    system::{self, now},
    timed::Answerer,
};

/// A slow call on a TCP connection, a pipe, a file, a futex, a descriptor that is closed then, and by a process
/// that is gone then.
pub fn each(ms: u64, mut read: LongRead) -> io::Result<Report> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    let (server, _) = listener.accept()?;
    let (here, there) = (client.local_addr()?.port(), client.peer_addr()?.port());
    read_late(client.as_raw_fd(), server.as_raw_fd(), ms)?;

    let [reading, writing] = system::pipe(0)?;
    read_late(reading, writing, ms)?;
    // SAFETY: duplicates a descriptor that stays open.
    let closed = unsafe { libc::fcntl(reading, libc::F_DUPFD, 100) };
    read_late(closed, writing, ms)?;
    system::close(closed);
    let gone = system::fork(|| {
        let _ = read_late(reading, writing, ms);
    })?;
    system::reap(gone);

    read.make();
    let word = 0_u32;
    let begin = now();
    wait_in_vain(&word, ms);
    let waited_ns = now() - begin;
    let pipe = fs::metadata(format!("/proc/self/fd/{reading}"))?.ino();
    let report = Report::new()
        .with("tcp_fd", client.as_raw_fd() as u64)
        .with("here", here.into())
        .with("there", there.into())
        .with("pipe_fd", reading as u64)
        .with("pipe_inode", pipe)
        .with("closed_fd", closed as u64)
        .with("gone_pid", gone as u64)
        .with("file_fd", read.descriptor())
        .with("futex", &raw const word as u64)
        .with("futex_ns", waited_ns);
    // They stay open until the process ends: their names are asked for after the calls.
    std::mem::forget((client, server, read));
    Ok(report)
}

/// A read of a byte that the other end sends late.
fn read_late(fd: i32, other_end: i32, ms: u64) -> io::Result<()> {
    let answerer = Answerer::start(ms, || {
        system::write(other_end, b"!");
    })?;
    answerer.ask();
    system::read(fd, &mut [0]);
    answerer.end();
    Ok(())
}

/// A wait for a word that nobody changes.
fn wait_in_vain(word: &u32, ms: u64) {
    let time = libc::timespec { tv_sec: 0, tv_nsec: (ms * 1_000_000) as i64 };
    let wait = (libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG) as usize;
    // SAFETY: word and time are alive until it returns.
    unsafe {
        let word = &raw const *word as usize;
        system::call(libc::SYS_futex, [word, wait, 0, &raw const time as usize, 0, 0]);
    }
}
