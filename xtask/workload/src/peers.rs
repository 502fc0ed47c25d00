//! In: addresses of loopback by their last number, a port. Out: what each receive took, by peer; a child that dies after one.

use std::{
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    os::fd::{AsRawFd, FromRawFd},
    thread,
    time::Duration,
};

use crate::{
    die,
    report::{Report, Timed},
    system::{self, now, timed},
};

/// As a number of an address: `::1`.
const V6: u64 = 0;
/// From here on a number is that of an address of IPv4 which the socket reaches by IPv6.
const MAPPED: u64 = 1_000;
/// How long a receive that gets nothing waits, ms.
const SILENT_MS: u64 = 5;
/// Who waits for an answer for good is an error, not a hang, s.
const PATIENCE_S: u64 = 20;

/// `127.0.0.N`; of [`V6`] and [`MAPPED`] that.
fn address(number: u64, port: u16) -> SocketAddr {
    let v4 = Ipv4Addr::new(127, 0, 0, (number % MAPPED) as u8);
    let ip = match number {
        V6 => IpAddr::V6(Ipv6Addr::LOCALHOST),
        MAPPED.. => IpAddr::V6(v4.to_ipv6_mapped()),
        _ => IpAddr::V4(v4),
    };
    SocketAddr::new(ip, port)
}

fn port(number: u64) -> io::Result<u16> {
    u16::try_from(number).map_err(io::Error::other)
}

/// Asks each server `count` times by turns; then receives `silent` times where nobody sends.
pub fn ask(count: u64, silent: u64, at: u64, servers: &[u64]) -> io::Result<Report> {
    let connect = |server: &u64| TcpStream::connect(address(*server, port(at)?));
    let mut streams = servers.iter().map(connect).collect::<io::Result<Vec<_>>>()?;
    let mut calls: Vec<Vec<Timed>> = servers.iter().map(|_| Vec::new()).collect();
    for stream in &streams {
        stream.set_read_timeout(Some(Duration::from_secs(PATIENCE_S)))?;
        stream.set_nodelay(true)?;
    }
    for _ in 0..count {
        for (stream, calls) in streams.iter_mut().zip(&mut calls) {
            stream.write_all(b"?")?;
            calls.push(receive(stream)?);
        }
    }
    if let Some(stream) = streams.first_mut() {
        stream.set_read_timeout(Some(Duration::from_millis(SILENT_MS)))?;
        for _ in 0..silent {
            system::read(stream.as_raw_fd(), &mut [0]);
        }
    }
    let mut report = Report::new();
    for (server, calls) in servers.iter().zip(&calls) {
        report = report.with_part(&server.to_string(), &Report::new().with_timed(calls));
    }
    Ok(report)
}

fn receive(stream: &TcpStream) -> io::Result<Timed> {
    let mut got = 0;
    let timed = timed(|| got = system::read(stream.as_raw_fd(), &mut [0]));
    if got == 1 { Ok(timed) } else { Err(io::Error::other("no answer")) }
}

/// Asks a server of this process at 127.0.0.9 `count` times; it answers after `ms`.
pub fn talk(count: u64, ms: u64) -> io::Result<Report> {
    let listener = TcpListener::bind(address(9, 0))?;
    let stream = TcpStream::connect(listener.local_addr()?)?;
    let (mut asked, _) = listener.accept()?;
    let answer = thread::spawn(move || -> io::Result<()> {
        for _ in 0..count {
            asked.read_exact(&mut [0])?;
            system::nanosleep(ms * 1_000_000);
            asked.write_all(b"!")?;
        }
        Ok(())
    });
    let mut calls = Vec::new();
    for _ in 0..count {
        (&stream).write_all(b"?")?;
        calls.push(receive(&stream)?);
    }
    answer.join().map_err(|_| io::Error::other("a thread died"))??;
    Ok(Report::new().with_timed(&calls))
}

/// A server that is there before anybody looks.
pub struct Server(TcpListener);

impl Server {
    pub fn bind(at: u64) -> io::Result<Self> {
        Ok(Self(TcpListener::bind((Ipv4Addr::UNSPECIFIED, port(at)?))?))
    }

    /// Answers everybody on so many connections, each on a thread of its own; what each receive took that got something.
    pub fn serve(&self, connections: u64) -> io::Result<Report> {
        let mut threads = Vec::new();
        for _ in 0..connections {
            let (mut stream, peer) = self.0.accept()?;
            let serve = move || -> io::Result<Vec<Timed>> {
                let mut calls = Vec::new();
                while let Ok(timed) = receive(&stream) {
                    calls.push(timed);
                    stream.write_all(b"!")?;
                }
                Ok(calls)
            };
            threads.push((peer, thread::spawn(serve)));
        }
        let mut report = Report::new();
        for (peer, thread) in threads {
            let calls = thread.join().map_err(|_| io::Error::other("a thread died"))??;
            report = report.with_part(&peer.ip().to_string(), &Report::new().with_timed(&calls));
        }
        Ok(report)
    }
}

/// Clients that take turns: how much longer each waits than the one before, ms.
const TURN_MS: u64 = 10;

impl Server {
    /// Receives once on each of so many connections, one after the other; what each receive took, by the peer's address and port.
    pub fn take_turns(&self, connections: u64) -> io::Result<Report> {
        let mut report = Report::new();
        for _ in 0..connections {
            let (stream, peer) = self.0.accept()?;
            let timed = receive(&stream)?;
            report = report.with_part(&peer.to_string(), &Report::new().with_timed(&[timed]));
        }
        Ok(report)
    }
}

/// Connects from each of these addresses, one after the other, and sends once after a wait that grows; each connection has been
/// closed by the server before the next one is made.
pub fn call_by_turns(at: u64, clients: &[u64]) -> io::Result<Report> {
    let server = SocketAddr::from((Ipv4Addr::LOCALHOST, port(at)?));
    for (turn, client) in clients.iter().enumerate() {
        let mut stream = connect_from(*client, server)?;
        system::nanosleep((turn as u64 + 2) * TURN_MS * 1_000_000);
        stream.write_all(b"?")?;
        let _ = stream.read(&mut [0]);
    }
    Ok(Report::new().with("asked", clients.len() as u64))
}

/// Asks a server of this machine `count` times from each of these addresses, with a pause of `ms` before.
pub fn call(at: u64, count: u64, ms: u64, clients: &[u64]) -> io::Result<Report> {
    let server = SocketAddr::from((Ipv4Addr::LOCALHOST, port(at)?));
    let connect = |client: &u64| connect_from(*client, server);
    let mut streams = clients.iter().map(connect).collect::<io::Result<Vec<_>>>()?;
    for _ in 0..count {
        for stream in &mut streams {
            system::nanosleep(ms * 1_000_000);
            stream.write_all(b"?")?;
            stream.read_exact(&mut [0])?;
        }
    }
    Ok(Report::new().with("asked", count * streams.len() as u64))
}

fn connect_from(client: u64, server: SocketAddr) -> io::Result<TcpStream> {
    let check = |result: i32| if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) };
    let SocketAddr::V4(server) = server else { return Err(io::Error::other("not of IPv4")) };
    let plain = |ip: Ipv4Addr, port: u16| libc::sockaddr_in {
        sin_family: libc::AF_INET as u16,
        sin_port: port.to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(ip.octets()) },
        sin_zero: [0; 8],
    };
    let (own, other) = (plain(Ipv4Addr::new(127, 0, 0, client as u8), 0), plain(*server.ip(), server.port()));
    let length = size_of::<libc::sockaddr_in>() as u32;
    // SAFETY: the addresses live until the calls return, and are as long as said; the descriptor is new and ours.
    unsafe {
        let fd = check(libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0))?;
        let stream = TcpStream::from_raw_fd(fd);
        check(libc::bind(fd, (&raw const own).cast(), length))?;
        check(libc::connect(fd, (&raw const other).cast(), length))?;
        Ok(stream)
    }
}

/// A child that receives from a server, works on for `ms`, and dies of a null pointer; its pid, and how long it lived at most.
pub fn die_after(at: u64, server: u64, ms: u64) -> io::Result<Report> {
    let server = address(server, port(at)?);
    let begin = now();
    let pid = die::plain_null(move || {
        if let Ok(mut stream) = TcpStream::connect(server) {
            let _ = stream.write_all(b"?");
            let _ = receive(&stream);
        }
        system::nanosleep(ms * 1_000_000);
    })?;
    system::reap(pid);
    Ok(Report::new().with("child", pid as u64).with("lived_ns", now() - begin))
}
