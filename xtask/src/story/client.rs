//! Clients of the services of a story, each at an address of its own on the loopback.
//!
//! In: addresses, a request, how often. Out: requests, until the value drops.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddrV4, TcpStream},
    os::fd::{FromRawFd as _, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use std::io;

use anyhow::{Result, ensure};

use super::scene::until;

/// What kills by chance is tried this often.
const TRIES: u32 = 50;
/// A client waits this long for an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A client that asks again and again.
pub struct Client {
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Client {
    /// Asks `server` every `period`, from `own`. The times are fixed: an answer that is late delays no request but its own.
    pub fn start(own: [u8; 4], server: SocketAddrV4, request: String, period: Duration) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&done);
        let thread = std::thread::spawn(move || {
            let begin = Instant::now();
            for round in 1.. {
                let due = begin + period * round;
                while Instant::now() < due {
                    if over.load(Ordering::Relaxed) {
                        return;
                    }
                    std::thread::sleep((due - Instant::now().min(due)).min(Duration::from_millis(20)));
                }
                // A service that is being restarted refuses: what matters comes again.
                let _ = ask(own.into(), server, &request);
            }
        });
        Self { done, thread: Some(thread) }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Requests that kill, and when each did.
pub struct Kills(Vec<Instant>);

impl Kills {
    /// Sends `request` every `period` from `own`, for the first time after one of them, once all `services` are there again, until it has killed `count` times. `killed` tells it by the answer.
    ///
    /// # Errors
    /// When services do not come again, or live on.
    pub fn play(
        (own, server, request): (Ipv4Addr, SocketAddrV4, &str),
        (period, count): (Duration, usize),
        services: impl Fn() -> bool,
        killed: impl Fn(&io::Result<String>) -> bool,
    ) -> Result<Self> {
        let (begin, mut times) = (Instant::now(), Vec::new());
        while times.len() < count {
            let due = times.last().map_or(begin, |last| *last) + period;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            until("the services", &services)?;
            let asked = Instant::now();
            let dies = || killed(&ask(own, server, request));
            ensure!((0..TRIES).any(|_| dies()), "the service lives on");
            times.push(asked);
        }
        Ok(Self(times))
    }

    /// The time between them, if it was nearly the same each time: a service that is slow to come again delays its end.
    pub fn period(&self) -> Option<Duration> {
        let gaps: Vec<Duration> = self.0.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let (least, most) = (*gaps.iter().min()?, *gaps.iter().max()?);
        (most - least <= least / 10).then_some((least + most) / 2)
    }
}

/// Whether the service ended instead of answering.
pub fn died(answer: &io::Result<String>) -> bool {
    const ENDS: [io::ErrorKind; 3] =
        [io::ErrorKind::UnexpectedEof, io::ErrorKind::ConnectionReset, io::ErrorKind::BrokenPipe];
    answer.as_ref().is_err_and(|error| ENDS.contains(&error.kind()))
}

/// One request, and its answer.
///
/// # Errors
/// When nobody listens, or the connection ends before an answer.
pub fn ask(own: Ipv4Addr, server: SocketAddrV4, request: &str) -> io::Result<String> {
    let mut stream = connect(own, server)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    if answer.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// A connection from this address.
///
/// # Errors
/// When nobody listens.
pub fn connect(own: Ipv4Addr, server: SocketAddrV4) -> io::Result<TcpStream> {
    // SAFETY: takes no pointer; the descriptor is owned right away.
    let socket = unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) };
    if socket < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it was just opened, and nobody else has it.
    let owned = unsafe { OwnedFd::from_raw_fd(socket) };
    let place = |address: Ipv4Addr, port: u16| libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: port.to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from(address).to_be() },
        sin_zero: [0; 8],
    };
    let (from, to) = (place(own, 0), place(*server.ip(), server.port()));
    let length = size_of::<libc::sockaddr_in>() as libc::socklen_t;
    for (call, address) in [(libc::bind as Call, &from), (libc::connect as Call, &to)] {
        // SAFETY: the address lives on this stack and is as long as is said.
        if unsafe { call(socket, std::ptr::from_ref(address).cast(), length) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(TcpStream::from(owned))
}

type Call = unsafe extern "C" fn(libc::c_int, *const libc::sockaddr, libc::socklen_t) -> libc::c_int;
