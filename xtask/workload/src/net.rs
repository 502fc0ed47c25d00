//! In: how many datagrams. Out: what each send took: every one is one call of `security_socket_sendmsg`, and
//! every datagram is received before the next, so that none is dropped. Or what each receive took that waited.

use std::{fs, io, net::UdpSocket, thread, time::Duration};

use crate::timed::Answerer;
use crate::{
    report::Report,
    system::{cpu_time, now},
};

/// Datagrams over loopback, per thread.
pub fn udp_send(count: u64, threads: u64) -> io::Result<Report> {
    let begin = now();
    let others: Vec<_> = (1..threads).map(|_| thread::spawn(move || send(count))).collect();
    let mut durations = send(count)?;
    for other in others {
        durations.extend(other.join().map_err(|_| io::Error::other("a thread died"))??);
    }
    Ok(Report::new().with("elapsed_ns", now() - begin).with_calls(durations))
}

/// Datagrams over loopback until the thread's CPU clock has moved by MS; how many.
pub fn udp_send_for(ms: u64) -> io::Result<Report> {
    let (begin, mut calls) = (cpu_time(), 0);
    while cpu_time() - begin < ms * 1_000_000 {
        calls += send(ROUND)?.len() as u64;
    }
    Ok(Report::new().with("calls", calls).with("cpu_ns", cpu_time() - begin))
}

/// N receives, each of a datagram that a child sends late: the softirq of its send is what wakes.
pub fn late_datagrams(count: u64, ms: u64) -> io::Result<Report> {
    let (from, to) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
    to.set_read_timeout(Some(Duration::from_secs(10)))?;
    from.connect(to.local_addr()?)?;
    let sender = Answerer::start(ms, || {
        // What is not sent is an error of the receive that waits for it.
        let _ = from.send(b"!");
    })?;
    let mut durations = Vec::new();
    for _ in 0..count {
        sender.ask();
        let begin = now();
        to.recv(&mut [0])?;
        durations.push(now() - begin);
    }
    sender.end();
    Ok(Report::new().with_calls(durations))
}

/// What a proxy asks of the security layer: per thread and round a datagram, a file opened and one looked at.
pub fn serve(count: u64, threads: u64) -> io::Result<Report> {
    let begin = now();
    let others: Vec<_> = (1..threads).map(|_| thread::spawn(move || requests(count))).collect();
    let mut durations = requests(count)?;
    for other in others {
        durations.extend(other.join().map_err(|_| io::Error::other("a thread died"))??);
    }
    Ok(Report::new().with("elapsed_ns", now() - begin).with_calls(durations))
}

fn requests(count: u64) -> io::Result<Vec<u64>> {
    let mut durations = Vec::new();
    for _ in 0..count.div_ceil(ROUND) {
        durations.extend(send(ROUND)?);
        for _ in 0..ROUND {
            drop(fs::File::open("/etc/passwd")?);
            fs::metadata("/proc/self/stat")?;
        }
    }
    Ok(durations)
}

/// Requests on one pair of sockets.
const ROUND: u64 = 50;

fn send(count: u64) -> io::Result<Vec<u64>> {
    let (from, to) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
    // A datagram that went missing is an error, not a hang.
    to.set_read_timeout(Some(Duration::from_secs(10)))?;
    from.connect(to.local_addr()?)?;
    let mut durations = Vec::with_capacity(usize::try_from(count).map_err(io::Error::other)?);
    for _ in 0..count {
        let begin = now();
        from.send(b"?")?;
        durations.push(now() - begin);
        to.recv(&mut [0])?;
    }
    Ok(durations)
}
