//! Servers in four languages whose clients are on addresses of loopback.
//!
//! In: a server's sources, which lie beside this. Out: it runs; fifty clients ask it for little, and one for much, each from an address
//! of its own; what CPU time each of them took, as the server itself has it.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketType, bind, connect, socket};

/// The one that has the server burn CPU time.
pub const GARBAGE: u8 = 77;
/// The others.
const CLIENTS: std::ops::Range<u8> = 2..52;
/// Questions on one connection.
const QUESTIONS: u32 = 6;

/// A server that runs.
pub struct Server {
    child: Child,
    out: BufReader<ChildStdout>,
    port: u16,
}

impl Server {
    /// Starts it; its first line is its port.
    pub fn start(words: &[&str], dir: &Path) -> Self {
        let mut command = Command::new(words[0]);
        let mut child = command.args(&words[1..]).current_dir(dir).stdout(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Self { child, out, port: 0 }
    }

    /// Waits until it listens.
    pub fn listens(&mut self) {
        self.port = self.line().trim().parse().unwrap();
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// All clients, for so long.
    pub fn ask(&self, time: Duration) -> Vec<thread::JoinHandle<()>> {
        let (port, end) = (self.port, Instant::now() + time);
        let client = |number: u8, ms: u8, pause: u64| {
            thread::spawn(move || {
                while Instant::now() < end {
                    // Whoever cannot be served goes away.
                    let _ = talk(number, port, ms, Duration::from_millis(pause));
                }
            })
        };
        CLIENTS.map(|number| client(number, 1, 400)).chain([client(GARBAGE, 20, 30)]).collect()
    }

    /// Ends it; what CPU time each client took, ns.
    pub fn end(mut self) -> BTreeMap<String, u64> {
        rustix::process::kill_process(
            rustix::process::Pid::from_child(&self.child),
            rustix::process::Signal::TERM,
        )
        .unwrap();
        serde_json::from_str(&self.line()).unwrap_or_default()
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        line
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks from `127.0.0.NUMBER` on one connection, each time for an answer that takes so many ms.
fn talk(number: u8, port: u16, ms: u8, pause: Duration) -> std::io::Result<()> {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
    bind(&socket, &SocketAddr::from((Ipv4Addr::new(127, 0, 0, number), 0)))?;
    connect(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    for _ in 0..QUESTIONS {
        stream.write_all(&[ms])?;
        stream.read_exact(&mut [0])?;
        thread::sleep(pause);
    }
    Ok(())
}
