//! What calls in flight are about: who hangs in `read` is no answer, of what is one.
//!
//! In: threads inside calls, with the arguments in their registers. Out: for each, what its descriptor names now, the path that it was
//! given (from its memory, which may have changed since), the mount that this is on, and who has the other end.

use std::time::Duration;

use profiler_common::abi::{BEGAN_BEFORE, narrow};
use profiler_common::slowest::{NO_PATH, PATH, path_argument, takes_descriptor};

use super::asleep;
use super::object::name_with;
use super::other_end::{self, Descriptor, TO};
use super::served::{At, Tables};
use super::socket::{Sockets, UNIX_PATH};
use crate::machine;
use crate::profile::call::CallNumber;
use crate::profile::in_flight::Subject;
use crate::profile::slowest::SlowestCall;
use crate::profile::{Pid, Tid};

/// Time for reading paths from memory, and again for other ends.
const WITHIN: Duration = Duration::from_millis(300);
/// A call that has not returned has not succeeded, so that an `execve` is no new program yet.
const NOT_RETURNED: i64 = -1;
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
        takes_descriptor(self.short()) || path_argument(self.short()) != NO_PATH
    }

    /// Where the path stands in memory that it was given.
    fn path(&self) -> Option<(Pid, u64)> {
        let address = *self.arguments.get(path_argument(self.short()))?;
        Some((self.pid, address))
    }
}

/// What they are about, in their order.
pub fn of(asked: &[Asked]) -> Vec<Subject> {
    let mut calls = calls(asked);
    let mut sockets = Sockets::default();
    name_with(calls.iter_mut(), &mut sockets);
    name_where_to(&mut calls);
    let threads: Vec<String> =
        asked.iter().map(|call| format!("/proc/{}/task/{}", call.pid.0, call.tid.0)).collect();
    let descriptors: Vec<_> =
        calls.iter().zip(&threads).map(|(call, thread)| descriptor(call, thread)).collect();
    let other_ends = other_end::find(&descriptors, &mut sockets, WITHIN);
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
    };
    calls.into_iter().zip(other_ends).zip(mounts).map(subject).collect()
}

/// As calls that have ended are asked, with their paths.
fn calls(asked: &[Asked]) -> Vec<SlowestCall> {
    let places: Vec<_> = asked.iter().filter_map(Asked::path).collect();
    let mut texts = asleep::texts(&places, PATH, WITHIN).into_iter();
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

/// Unix sockets that are being connected are about where to: the path behind their second argument, without which
/// it is an abstract name.
fn name_where_to(calls: &mut [SlowestCall]) {
    let asks = |call: &SlowestCall| {
        i64::from(narrow(call.nr)) == libc::SYS_connect && call.object.starts_with("unix ")
    };
    let places: Vec<usize> = (0..calls.len()).filter(|place| asks(&calls[*place])).collect();
    let texts = |offset| {
        let at = |place: &usize| (calls[*place].pid, calls[*place].arguments[1].wrapping_add(offset));
        asleep::texts(&places.iter().map(at).collect::<Vec<_>>(), UNIX_PATH, WITHIN)
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
    use std::os::fd::AsRawFd as _;

    use super::*;

    const READ: u32 = 0;
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
            ask(READ, [reader.as_raw_fd() as u64, 0, 0]),
        ];
        assert_eq!(asked.map(|call| call.has_subject()), [true, false, true]);
        let found = of(&asked);
        assert_eq!((found[0].path.as_str(), found[0].object.as_str()), ("/no/such/place", ""));
        assert!(found[1].is_empty(), "{:?}", found[1]);
        assert!(found[2].object.starts_with("pipe:["), "{:?}", found[2]);
        writes.kill().unwrap();
        writes.wait().unwrap();
    }
}
