//! What kind of file a descriptor stands for.
//!
//! In: the mode of its inode, the magic number of the file system that it is on, as the kernel has them. Out:
//! words, such as `pipe`, `socket`, `file on ext4`; nothing if the kernel side could not tell.

/// Files without a name, each kind on a file system of its own (include/uapi/linux/magic.h).
const NAMELESS: [(u64, &str); 4] = [
    (0x5049_5045, "pipe"),
    (0x534f_434b, "socket"),
    (0x0904_1934, "eventfd, epoll or alike"),
    (0x6462_6d65, "dma-buf"),
];

/// File systems by magic number (include/uapi/linux/magic.h; of xfs, fuse and zfs: their own sources).
const SYSTEMS: [(u64, &str); 24] = [
    (0xef53, "ext4"),
    (0x5846_5342, "xfs"),
    (0x9123_683e, "btrfs"),
    (0xf2f5_2010, "f2fs"),
    (0x2fc1_2fc1, "zfs"),
    (0x0102_1994, "tmpfs"),
    (0x794c_7630, "overlay"),
    (0x7371_7368, "squashfs"),
    (0xe0f5_e1e2, "erofs"),
    (0x4d44, "vfat"),
    (0x6969, "nfs"),
    (0x6573_5546, "fuse"),
    (0xff53_4d42, "cifs"),
    (0xfe53_4d42, "cifs"),
    (0x0102_1997, "9p"),
    (0x00c3_6400, "ceph"),
    (0x9fa0, "proc"),
    (0x6265_6572, "sysfs"),
    (0x0027_e0eb, "cgroup"),
    (0x6367_7270, "cgroup2"),
    (0x7472_6163, "tracefs"),
    (0x1cd1, "devpts"),
    (0x9584_58f6, "hugetlbfs"),
    (0x6264_6576, "a disk"),
];

/// The kind in words; empty for none.
pub fn name(mode: u64, file_system: u64) -> String {
    let known = |table: &[(u64, &'static str)]| {
        table.iter().find(|(magic, _)| *magic == file_system).map(|(_, name)| *name)
    };
    if let Some(kind) = known(&NAMELESS) {
        return kind.to_owned();
    }
    let kind = match mode & 0o170_000 {
        0o140_000 => "socket",
        0o120_000 => "symbolic link",
        0o100_000 => "file",
        0o060_000 => "block device",
        0o040_000 => "directory",
        0o020_000 => "character device",
        0o010_000 => "named pipe",
        _ => return String::new(),
    };
    match known(&SYSTEMS) {
        Some(system) => format!("{kind} on {system}"),
        None => format!("{kind} on a file system {file_system:#x}"),
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsFd, AsRawFd as _};

    use super::*;

    /// What this kernel says of a descriptor: the same two numbers, but for inodes without a type.
    fn of(file: impl AsFd) -> String {
        let file = file.as_fd();
        let status = rustix::fs::fstat(file).unwrap();
        let system = rustix::fs::fstatfs(file).unwrap();
        assert!(file.as_raw_fd() >= 0);
        name(u64::from(status.st_mode), system.f_type as u64 & 0xffff_ffff)
    }

    #[test]
    fn kinds_are_told_by_mode_and_file_system() {
        assert_eq!(of(std::io::pipe().unwrap().0), "pipe");
        assert_eq!(of(std::os::unix::net::UnixStream::pair().unwrap().0), "socket");
        assert_eq!(of(std::fs::File::open("/proc/self/status").unwrap()), "file on proc");
        assert_eq!(of(std::fs::File::open("/proc/self").unwrap()), "directory on proc");
        assert!(of(std::fs::File::open("/dev/null").unwrap()).starts_with("character device on "));
        assert_eq!(name(0o600, 0x0904_1934), "eventfd, epoll or alike");
        assert_eq!(name(0o100_600, 0x1234), "file on a file system 0x1234");
        assert_eq!(name(0, 0), "");
    }
}
