//! What calls in flight are about: who hangs in `read` is no answer, of what is one.
//!
//! In: threads inside calls, with the arguments in their registers. Out: for each, what its descriptor names now, the path that it
//! was given, the mount that this is on, and who has the other end. A path is read from the thread's memory, which may have changed
//! since. Who polls one connection waits for that.

use std::time::{Duration, Instant};

use profiler_common::abi::{BEGAN_BEFORE, narrow};
use profiler_common::slowest::{NO_PATH, PATH, path_argument, takes_descriptor};

use super::asleep;
use super::object::name_with;
use super::other_end::{self, Descriptor, TO};
use super::polled::Place;
use super::served::{At, Tables};
use super::socket::{Sockets, UNIX_PATH};
use super::watched::{self, Set, Silent};
use crate::machine;
use crate::profile::call::CallNumber;
use crate::profile::in_flight::Subject;
use crate::profile::slowest::SlowestCall;
use crate::profile::{Pid, Tid};

/// Time for all that is read from memory, again for all other ends, and half of it for event loops.
const WITHIN: Duration = Duration::from_millis(300);
/// A call that has not returned has not succeeded, so that an `execve` is no new program yet.
const NOT_RETURNED: i64 = -1;
/// `read`.
const READ: CallNumber = libc::SYS_read as CallNumber;
/// `epoll_pwait2`.
const EPOLL_PWAIT2: i64 = 441;
/// Bytes in front of the path in `sockaddr_un`.
const FAMILY: u64 = 2;

/// A call in flight.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// Process.
    pub pid: Pid,
    /// Thread.
    pub tid: Tid,
    /// System call.
    pub nr: CallNumber,
    /// Its first three arguments.
    pub arguments: [u64; 3],
}

impl Asked {
    fn short(&self) -> u32 {
        narrow(self.nr) & !BEGAN_BEFORE
    }

    /// Whether it is about something that has a name.
    pub fn has_subject(&self) -> bool {
        let is_about_one = takes_descriptor(self.short()) || path_argument(self.short()) != NO_PATH;
        is_about_one || self.waits_for_several()
    }

    /// Whether it waits for several descriptors, as idle threads do.
    pub fn waits_for_several(&self) -> bool {
        self.polled().is_some() || self.watches()
    }

    /// Whether it waits for a set of descriptors.
    fn watches(&self) -> bool {
        matches!(i64::from(self.short()), libc::SYS_epoll_wait | libc::SYS_epoll_pwait | EPOLL_PWAIT2)
    }

    /// Where the descriptors stand that it polls.
    fn polled(&self) -> Option<Place> {
        Place::of(self.short(), self.arguments)
    }

    /// Where the path stands in memory that it was given.
    fn path(&self) -> Option<(Pid, u64)> {
        let address = *self.arguments.get(path_argument(self.short()))?;
        Some((self.pid, address))
    }
}

/// What they are about, in their order.
pub fn of(asked: &[Asked]) -> Vec<Subject> {
    let memory = Instant::now() + WITHIN;
    let mut calls = calls(asked, memory);
    let mut sockets = Sockets::default();
    name_with(calls.iter_mut(), &mut sockets);
    name_where_to(&mut calls, memory);
    name_polled(asked, &mut calls, &mut sockets, memory);
    let threads: Vec<String> =
        asked.iter().map(|call| format!("/proc/{}/task/{}", call.pid.0, call.tid.0)).collect();
    let descriptors: Vec<_> =
        calls.iter().zip(&threads).map(|(call, thread)| descriptor(call, thread)).collect();
    let silent = silent(asked, &threads, &mut sockets, Instant::now() + WITHIN / 2);
    let other_ends = other_end::find(&descriptors, &mut sockets, Instant::now() + WITHIN);
    let mut tables = Tables::default();
    let mounts: Vec<_> =
        calls.iter().zip(&threads).map(|(call, thread)| mount(call, thread, &mut tables)).collect();
    let subject = |((call, found), mount): ((SlowestCall, other_end::Found), String)| Subject {
        object: with_other_name(call.object, found.name.as_deref()),
        object_unknown: call.object_unknown,
        path: call.path,
        mount,
        other_ends: found.ends,
        more_ends: found.more,
        other_end_unknown: found.unknown.to_owned(),
        serves: found.serves,
    };
    let mut subjects: Vec<Subject> = calls.into_iter().zip(other_ends).zip(mounts).map(subject).collect();
    for (at, Silent { object, unknown, found }) in silent {
        let (object_unknown, other_ends, more_ends) = (unknown.to_owned(), found.ends, found.more);
        subjects[at] = Subject { object, object_unknown, other_ends, more_ends, ..Subject::default() };
    }
    subjects
}

/// Calls of event loops, by their place, of which a connection cannot be answered.
fn silent(asked: &[Asked], threads: &[String], sockets: &mut Sockets, end: Instant) -> Vec<(usize, Silent)> {
    let watches: Vec<usize> = (0..asked.len()).filter(|at| asked[*at].watches()).collect();
    let set = |at: &usize| Set {
        pid: asked[*at].pid,
        thread: &threads[*at],
        number: asked[*at].arguments[0] as u32 as i32,
    };
    let sets: Vec<Set<'_>> = watches.iter().map(set).collect();
    let found = watched::silent(&sets, sockets, end);
    watches.into_iter().zip(found).filter_map(|(at, silent)| Some((at, silent?))).collect()
}

/// Time until then.
fn left(end: Instant) -> Duration {
    end.saturating_duration_since(Instant::now())
}

/// As calls that have ended are asked, with their paths.
fn calls(asked: &[Asked], end: Instant) -> Vec<SlowestCall> {
    let places: Vec<_> = asked.iter().filter_map(Asked::path).collect();
    let mut texts = asleep::texts(&places, PATH, left(end)).into_iter();
    let call = |call: &Asked| SlowestCall {
        pid: call.pid,
        tid: call.tid,
        nr: call.nr,
        arguments: call.arguments,
        ret: NOT_RETURNED,
        path: call
            .path()
            .and_then(|_| texts.next())
            .map(|text| String::from_utf8_lossy(&text).into_owned())
            .unwrap_or_default(),
        ..SlowestCall::default()
    };
    asked.iter().map(call).collect()
}

/// A call that polls is about the one connection among what it polls, or about the one descriptor.
fn name_polled(asked: &[Asked], calls: &mut [SlowestCall], sockets: &mut Sockets, end: Instant) {
    let polls = asked.iter().enumerate().filter_map(|(at, call)| Some((at, call.polled()?)));
    let polls: Vec<(usize, Place)> = polls.collect();
    let places: Vec<_> = polls.iter().map(|(at, place)| (asked[*at].pid, place.address())).collect();
    let memory = asleep::memory(&places, Place::BYTES, left(end));
    for ((at, place), memory) in polls.into_iter().zip(memory) {
        // As a read of it is asked.
        let reads = |descriptor: i32| {
            let arguments = [u64::from(descriptor as u32), 0, 0];
            SlowestCall { nr: READ, arguments, ret: NOT_RETURNED, ..calls[at].clone() }
        };
        let mut polled: Vec<SlowestCall> = place.descriptors(&memory).into_iter().map(reads).collect();
        name_with(polled.iter_mut(), sockets);
        if let Some(one) = the_one(polled) {
            calls[at] = one;
        }
    }
}

/// The TCP connection, else the unix socket, else the descriptor; nothing if there are two of these.
fn the_one(mut polled: Vec<SlowestCall>) -> Option<SlowestCall> {
    let kinds: [fn(&SlowestCall) -> bool; 3] = [
        |call| call.object.starts_with("tcp ") && call.object.contains(" → "),
        |call| call.object.starts_with("unix "),
        |_| true,
    ];
    let is_there = |kind: &fn(&SlowestCall) -> bool| polled.iter().any(kind);
    let kind = kinds.into_iter().find(is_there)?;
    let mut of_kind = (0..polled.len()).filter(|at| kind(&polled[*at]));
    let at = of_kind.next().filter(|_| of_kind.next().is_none())?;
    Some(polled.swap_remove(at))
}

/// Unix sockets that are being connected are about where to: the path behind their second argument, without which
/// it is an abstract name.
fn name_where_to(calls: &mut [SlowestCall], end: Instant) {
    let asks = |call: &SlowestCall| {
        i64::from(narrow(call.nr)) == libc::SYS_connect && call.object.starts_with("unix ")
    };
    let places: Vec<usize> = (0..calls.len()).filter(|place| asks(&calls[*place])).collect();
    let texts = |offset| {
        let at = |place: &usize| (calls[*place].pid, calls[*place].arguments[1].wrapping_add(offset));
        asleep::texts(&places.iter().map(at).collect::<Vec<_>>(), UNIX_PATH, left(end))
    };
    let (paths, names) = (texts(FAMILY), texts(FAMILY + 1));
    for ((place, path), name) in places.into_iter().zip(paths).zip(names) {
        let text = |bytes: &[u8]| machine::line(&String::from_utf8_lossy(bytes), UNIX_PATH);
        calls[place].object = match (path.is_empty(), name.is_empty()) {
            (false, _) => format!("{TO}{}", text(&path)),
            (true, false) => format!("{TO}@{}", text(&name)),
            (true, true) => continue,
        };
    }
}

/// A unix socket without a path of its own is called by the other one's.
fn with_other_name(object: String, other: Option<&str>) -> String {
    match other.and_then(|other| other.strip_prefix("unix ")) {
        Some(path) if object.starts_with("unix socket:[") && !path.starts_with("socket:[") => {
            format!("{TO}{path}")
        }
        _ => object,
    }
}

fn descriptor<'d>(call: &'d SlowestCall, thread: &'d str) -> Descriptor<'d> {
    // The kernel takes the lower half.
    Descriptor { pid: call.pid, thread, number: call.arguments[0] as u32 as i32, object: &call.object }
}

fn mount(call: &SlowestCall, thread: &str, tables: &mut Tables) -> String {
    let number = call.arguments[0] as u32 as i32;
    if call.path.starts_with('/') {
        return tables.served(thread, At::Path(&call.path));
    }
    if call.object.starts_with('/') {
        return tables.served(thread, At::Descriptor(number));
    }
    if call.path.is_empty() {
        return String::new();
    }
    let directory = std::fs::read_link(format!("{thread}/cwd")).unwrap_or_default();
    let path = format!("{}/{}", directory.to_string_lossy(), call.path);
    tables.served(thread, At::Path(&path))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd as _;
    use std::os::unix::net::UnixStream;

    use super::*;

    const POLL: u32 = 7;
    const STAT: u32 = 4;
    const GETPID: u32 = 39;

    fn ask(nr: u32, arguments: [u64; 3]) -> Asked {
        let tid = Tid(rustix::thread::gettid().as_raw_nonzero().get() as u32);
        Asked { pid: Pid(std::process::id()), tid, nr, arguments }
    }

    #[test]
    fn descriptors_paths_and_other_ends_are_told_in_their_order() {
        let (reader, writer) = std::io::pipe().unwrap();
        let mut writes = std::process::Command::new("sleep").arg("1000").stdout(writer).spawn().unwrap();
        let path = c"/no/such/place";
        let asked = [
            ask(STAT, [path.as_ptr() as u64, 0, 0]),
            ask(GETPID, [0; 3]),
            ask(libc::SYS_read as u32, [reader.as_raw_fd() as u64, 0, 0]),
        ];
        assert_eq!(asked.map(|call| call.has_subject()), [true, false, true]);
        let found = of(&asked);
        assert_eq!((found[0].path.as_str(), found[0].object.as_str()), ("/no/such/place", ""));
        assert!(found[1].is_empty(), "{:?}", found[1]);
        assert!(found[2].object.starts_with("pipe:["), "{:?}", found[2]);
        writes.kill().unwrap();
        writes.wait().unwrap();
    }

    #[test]
    fn who_polls_a_connection_beside_others_waits_for_that() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (wakes, _) = UnixStream::pair().unwrap();
        let (reader, _writer) = std::io::pipe().unwrap();
        let all = [reader.as_raw_fd(), wakes.as_raw_fd(), client.as_raw_fd()];
        let polled = all.map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
        let of_first = |count: u64| {
            let asked = ask(POLL, [polled.as_ptr() as u64, count, 0]);
            assert!(asked.has_subject());
            of(&[asked]).remove(0).object
        };
        assert!(of_first(1).starts_with("pipe:["), "{}", of_first(1));
        assert!(of_first(2).starts_with("unix "), "{}", of_first(2));
        assert!(of_first(3).starts_with("tcp 127.0.0.1:"), "{}", of_first(3));
        let twice = [polled[0], polled[0]];
        let none = of(&[ask(POLL, [twice.as_ptr() as u64, 2, 0])]).remove(0);
        assert_eq!(none.object, "", "of several nothing is said");
        let two_connections = [polled[2], polled[1], polled[2]];
        let none = of(&[ask(POLL, [two_connections.as_ptr() as u64, 3, 0])]).remove(0);
        assert_eq!(none.object, "", "nor of what is beside them");
    }
}
