//! What a call was about: the file, pipe or socket behind the descriptor it was given; the program that it became.
//!
//! In: a call that has ended, of a thread that may be gone. Out: the name that the thread's table of descriptors has
//! now (the descriptor may mean another file by now), for a socket both addresses; or the reason why there is none.
//! A call with a path has a descriptor only as the directory that a relative path begins in.
//! Links are read, never followed. Only files that the kernel itself provides are opened.

use std::io::ErrorKind;
use std::path::Path;

use profiler_common::abi::{BEGAN_BEFORE, is_exec, narrow};
use profiler_common::slowest::{NO_PATH, path_argument, takes_descriptor};

use super::socket::Sockets;
use crate::machine;
use crate::profile::slowest::SlowestCall;

/// Bytes of a name at most.
const NAME_MAX: usize = 256;

/// Names what those calls were about.
pub fn name_objects<'c>(calls: impl Iterator<Item = &'c mut SlowestCall>) {
    name_with(calls, &mut Sockets::default());
}

/// The same, with tables of sockets that are read already or go on to be used.
pub(super) fn name_with<'c>(calls: impl Iterator<Item = &'c mut SlowestCall>, sockets: &mut Sockets) {
    for call in calls {
        let nr = narrow(call.nr) & !BEGAN_BEFORE;
        let named = if is_exec(nr) && call.ret == 0 {
            program(call)
        } else if takes_descriptor(nr) && needs_descriptor(call, nr) {
            of(call, sockets)
        } else {
            continue;
        };
        match named {
            Ok(name) => call.object = name,
            Err(why) => why.clone_into(&mut call.object_unknown),
        }
    }
}

/// Whether the descriptor says more than the path does: without a path, or where a relative one begins.
fn needs_descriptor(call: &SlowestCall, nr: u32) -> bool {
    match path_argument(nr) {
        NO_PATH => call.path.is_empty(),
        _ => !call.path.starts_with('/') && call.arguments[0] as u32 as i32 != libc::AT_FDCWD,
    }
}

/// What a process became: its memory has not the path any more by which it asked for that.
fn program(call: &SlowestCall) -> Result<String, &'static str> {
    let link =
        std::fs::read_link(format!("/proc/{}/exe", call.pid.0)).map_err(|error| match error.kind() {
            ErrorKind::PermissionDenied => "not readable by this user",
            _ => "process gone",
        })?;
    Ok(machine::line(&link.to_string_lossy(), NAME_MAX))
}

fn of(call: &SlowestCall, sockets: &mut Sockets) -> Result<String, &'static str> {
    // The kernel takes the lower half.
    let Ok(descriptor) = i32::try_from(call.arguments[0] as u32) else { return Err("no descriptor") };
    let thread = thread(call).ok_or("process gone")?;
    let link = std::fs::read_link(format!("{thread}/fd/{descriptor}"));
    let link = link.map_err(|error| match error.kind() {
        ErrorKind::NotFound if Path::new(&thread).exists() => "closed by now",
        ErrorKind::PermissionDenied => "not readable by this user",
        _ => "process gone",
    })?;
    let name = machine::line(&link.to_string_lossy(), NAME_MAX);
    let inode = name.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']')?.parse().ok());
    match inode {
        Some(inode) => Ok(sockets.find(&thread, inode).unwrap_or(name)),
        None => Ok(name),
    }
}

/// Where the kernel tells of the thread, which may have descriptors and a network of its own; when it has
/// ended, of its process.
fn thread(call: &SlowestCall) -> Option<String> {
    let process = format!("/proc/{}", call.pid.0);
    [format!("{process}/task/{}", call.tid.0), process].into_iter().find(|path| Path::new(path).exists())
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::fd::{AsRawFd, RawFd};

    use super::*;
    use crate::profile::{Pid, Tid};

    /// What a read of that descriptor by this thread was about.
    fn read(fd: RawFd) -> SlowestCall {
        let tid = Tid(rustix::thread::gettid().as_raw_nonzero().get() as u32);
        let arguments = [fd as u64, 0, 0];
        let mut call = SlowestCall { pid: Pid(std::process::id()), tid, arguments, ..SlowestCall::default() };
        name_objects(std::iter::once(&mut call));
        call
    }

    #[test]
    fn files_and_pipes_have_the_names_of_their_links() {
        let file = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(read(file.as_raw_fd()).object, "/dev/null");
        let (pipe, _writer) = std::io::pipe().unwrap();
        assert!(read(pipe.as_raw_fd()).object.starts_with("pipe:["));
    }

    #[test]
    fn sockets_have_both_addresses() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(address) else { continue };
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (here, there) = (client.local_addr().unwrap(), client.peer_addr().unwrap());
            assert_eq!(read(client.as_raw_fd()).object, format!("tcp {here} → {there}"));
            assert_eq!(read(listener.as_raw_fd()).object, format!("tcp {there} listening"));
        }
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let here = socket.local_addr().unwrap();
        assert_eq!(read(socket.as_raw_fd()).object, format!("udp {here}"));
        socket.connect("127.0.0.1:9").unwrap();
        assert_eq!(read(socket.as_raw_fd()).object, format!("udp {here} → 127.0.0.1:9"));
    }

    #[test]
    fn unix_sockets_have_a_path_or_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("line\nbreak");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let client = std::os::unix::net::UnixStream::connect(&path).unwrap();
        assert!(read(client.as_raw_fd()).object.starts_with("unix socket:["));
        let object = read(listener.as_raw_fd()).object;
        assert!(object.ends_with("/line"), "up to what would be another line: {object}");
    }

    /// What a call with a path was about beside it.
    fn beside(nr: u32, ret: i64, path: &str, fd: i64) -> String {
        let arguments = [fd as u64, 0, 0];
        let pid = Pid(std::process::id());
        let mut call = SlowestCall {
            pid,
            tid: Tid(pid.0),
            nr,
            ret,
            arguments,
            path: path.into(),
            ..SlowestCall::default()
        };
        name_objects(std::iter::once(&mut call));
        call.object
    }

    #[test]
    fn a_relative_path_has_its_directory_and_an_exec_what_it_became() {
        const OPENAT: u32 = 257;
        let dir = std::fs::File::open("/dev").unwrap();
        let fd = i64::from(dir.as_raw_fd());
        assert_eq!(beside(OPENAT, 3, "null", fd), "/dev");
        assert_eq!(beside(OPENAT, 3, "/dev/null", fd), "");
        assert_eq!(beside(OPENAT, 3, "null", i64::from(libc::AT_FDCWD)), "");
        let own = std::fs::read_link("/proc/self/exe").unwrap();
        assert_eq!(beside(59, 0, "", 0), own.to_string_lossy());
        assert_eq!(beside(59, -2, "/nowhere", 0), "");
    }

    #[test]
    fn without_a_name_there_is_a_reason() {
        let unknown = |call: SlowestCall| (call.object, call.object_unknown);
        assert_eq!(unknown(read(900)), (String::new(), "closed by now".into()));
        assert_eq!(unknown(read(-1)), (String::new(), "no descriptor".into()));
        let mut gone = SlowestCall { pid: Pid(u32::MAX >> 1), ..SlowestCall::default() };
        name_objects(std::iter::once(&mut gone));
        assert_eq!(unknown(gone), (String::new(), "process gone".into()));
    }
}
