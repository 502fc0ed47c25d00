//! The mount that a file lies on, if a program or another machine serves it: a call there waits for that server.
//!
//! In: a descriptor of a thread, or a path that it gave. Out: kind, place and source of the mount, by the thread's own table of
//! mounts. The file is not looked at: its server may not answer.

use std::collections::HashMap;

use crate::machine;
use crate::machine::mounts::{Mount, parse};

/// Bytes of a mount table that are read at most.
const TABLE_MAX: u64 = 1 << 20;
/// Tables that are kept at most: one for each thread that is asked about.
const TABLES: usize = 64;
/// Characters of a mount's text at most.
const TEXT_MAX: usize = 256;

/// Kinds of file systems that a program or another machine serves, by how their names begin.
const SERVED: [&str; 13] = [
    "fuse", "nfs", "cifs", "smb", "9p", "virtiofs", "ceph", "lustre", "afs", "beegfs", "ocfs2", "gfs2",
    "autofs",
];

/// Where the file is.
#[derive(Clone, Copy, Debug)]
pub enum At<'a> {
    /// Behind this descriptor.
    Descriptor(i32),
    /// At this path, as the thread gave it: links are not followed.
    Path(&'a str),
}

/// Mounts of threads that were asked about.
#[derive(Default)]
pub struct Tables(HashMap<String, Vec<Mount>>);

impl Tables {
    /// `fuse.sshfs at /srv, of web1:/srv`; empty where nobody serves it, or that is not known.
    pub fn served(&mut self, thread: &str, at: At<'_>) -> String {
        if !self.0.contains_key(thread) && self.0.len() >= TABLES {
            self.0.clear();
        }
        let read = || parse(&machine::read(&format!("{thread}/mountinfo"), TABLE_MAX).unwrap_or_default());
        // Threads of a process may have mounts of their own, so their process's table is not theirs.
        let mounts = self.0.entry(thread.to_owned()).or_insert_with(read);
        let mount = match at {
            At::Descriptor(number) => by_number(mounts, &fdinfo(thread, number)),
            At::Path(path) => by_path(mounts, path),
        };
        mount.filter(|mount| is_served(&mount.kind)).map(text).unwrap_or_default()
    }
}

fn is_served(kind: &str) -> bool {
    SERVED.iter().any(|served| kind.starts_with(served))
}

fn text(mount: &Mount) -> String {
    machine::line(&format!("{} at {}, of {}", mount.kind, mount.point, mount.source), TEXT_MAX)
}

fn fdinfo(thread: &str, number: i32) -> String {
    machine::read(&format!("{thread}/fdinfo/{number}"), 4096).unwrap_or_default()
}

/// The mount that the kernel names for a descriptor.
fn by_number<'m>(mounts: &'m [Mount], fdinfo: &str) -> Option<&'m Mount> {
    let id: u64 = fdinfo.lines().find_map(|line| line.strip_prefix("mnt_id:"))?.trim().parse().ok()?;
    mounts.iter().find(|mount| mount.id == id)
}

/// The deepest mount above a path; of several at one place the last hides the others.
fn by_path<'m>(mounts: &'m [Mount], path: &str) -> Option<&'m Mount> {
    let holds = |mount: &&Mount| {
        let rest = path.strip_prefix(mount.point.trim_end_matches('/'));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    mounts.iter().filter(holds).max_by_key(|mount| mount.point.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
        30 21 0:40 / /srv rw - fuse.sshfs web1:/srv rw\n\
        31 30 8:2 / /srv/local rw - xfs /dev/sdb1 rw\n\
        32 21 0:41 / /old rw - nfs4 filer:/old rw\n\
        33 21 0:42 / /old rw - tmpfs none rw\n";

    #[test]
    fn the_deepest_mount_above_a_path_counts() {
        let mounts = parse(TABLE);
        let at = |path| by_path(&mounts, path).map(|mount| mount.id);
        assert_eq!(at("/srv/a/b"), Some(30));
        assert_eq!(at("/srv"), Some(30));
        assert_eq!(at("/srv/local/x"), Some(31));
        assert_eq!(at("/srvx"), Some(21));
        assert_eq!(at("/old/x"), Some(33), "what is mounted above hides what is below");
        assert_eq!(at("relative"), None);
    }

    #[test]
    fn only_what_is_served_is_named() {
        let mounts = parse(TABLE);
        let named =
            |fdinfo: &str| by_number(&mounts, fdinfo).map(|mount| (is_served(&mount.kind), text(mount)));
        let served = named("pos:\t0\nflags:\t0100000\nmnt_id:\t30\nino:\t7\n");
        assert_eq!(served, Some((true, "fuse.sshfs at /srv, of web1:/srv".to_owned())));
        assert!(!named("mnt_id:\t31").unwrap().0);
        assert_eq!(named("mnt_id:\t99"), None);
        assert_eq!(named("pos: 0"), None);
        assert!(is_served("nfs4") && !is_served("ext4") && !is_served("tmpfs"));
    }

    #[test]
    fn own_descriptors_and_paths_are_on_no_served_mount_or_on_one_that_is_told() {
        let file = std::fs::File::open("/proc/self/stat").unwrap();
        let thread = format!("/proc/{0}/task/{0}", std::process::id());
        let number = std::os::fd::AsRawFd::as_raw_fd(&file);
        let mut tables = Tables::default();
        assert_eq!(tables.served(&thread, At::Descriptor(number)), "", "procfs is the kernel's own");
        assert_eq!(tables.served(&thread, At::Path("/proc/self/stat")), "");
        assert_eq!(tables.served("/proc/0/task/0", At::Path("/")), "");
    }
}
