//! Calls that are given a path, by their numbers in the tables of x86-64, x32 and i386.
//!
//! In: a short number (see [`crate::abi`]). Out: which of the arguments is the path; whether a call is `connect`, whose
//! address may hold one.

use crate::abi::{I386, X32};

/// No argument is a path.
pub const NO_PATH: usize = usize::MAX;

/// The place of the path among a call's arguments, the first one where there are two; [`NO_PATH`] without any.
#[inline(always)]
pub const fn path_argument(short: u32) -> usize {
    if first(short) {
        0
    } else if second(short) {
        1
    } else {
        NO_PATH
    }
}

/// Whether the second argument is the address of a socket.
#[inline(always)]
pub const fn is_connect(short: u32) -> bool {
    short == I386 | 362 || short & !X32 == 42
}

#[inline(always)]
const fn first(short: u32) -> bool {
    if short & I386 != 0 {
        return first_of_i386(short & !I386);
    }
    // Of x32 alone: execve.
    short == X32 | 520
        || matches!(
            short & !X32,
            // open, stat, lstat, access, execve, truncate, chdir, rename to unlink, readlink, chmod, chown, lchown
            2 | 4 | 6 | 21 | 59 | 76 | 80 | 82..=87 | 89 | 90 | 92 | 94
                // utime, mknod, statfs, pivot_root, chroot, acct, umount2 to swapoff
                | 132 | 133 | 137 | 155 | 161 | 163 | 166..=168
                // setxattr, lsetxattr, getxattr, lgetxattr, listxattr, llistxattr, removexattr, lremovexattr, utimes
                | 188 | 189 | 191 | 192 | 194 | 195 | 197 | 198 | 235
        )
}

#[inline(always)]
const fn first_of_i386(place: u32) -> bool {
    matches!(
        place,
        // open to execve, chdir, mknod to lchown, oldstat, umount, utime, access, rename to rmdir, acct, umount2, chroot
        5 | 8..=12 | 14..=16 | 18 | 22 | 30 | 33 | 38..=40 | 51 | 52 | 61
            // oldlstat to swapon, truncate, statfs, stat, lstat, swapoff, chown, truncate64, stat64, lstat64, lchown32
            | 84..=87 | 92 | 99 | 106 | 107 | 115 | 182 | 193 | 195 | 196 | 198
            // chown32, pivot_root, setxattr, lsetxattr, getxattr, lgetxattr, listxattr, llistxattr, removexattr
            | 212 | 217 | 226 | 227 | 229 | 230 | 232 | 233 | 235
            // lremovexattr, statfs64, utimes
            | 236 | 268 | 271
    )
}

#[inline(always)]
const fn second(short: u32) -> bool {
    if short & I386 != 0 {
        return second_of_i386(short & !I386);
    }
    // Of x32 alone: execveat.
    short == X32 | 545
        || matches!(
            short & !X32,
            // mount, inotify_add_watch, openat to linkat, readlinkat to faccessat, utimensat, name_to_handle_at
            165 | 254 | 257..=265 | 267..=269 | 280 | 303
                // renameat2, execveat, statx, open_tree, move_mount, fspick, openat2, faccessat2, mount_setattr, fchmodat2
                | 316 | 322 | 332 | 428 | 429 | 433 | 437 | 439 | 442 | 452
        )
}

#[inline(always)]
const fn second_of_i386(place: u32) -> bool {
    matches!(
        place,
        // mount, inotify_add_watch, openat to linkat, readlinkat to faccessat, utimensat, name_to_handle_at
        21 | 292 | 295..=303 | 305..=307 | 320 | 341
            // renameat2, execveat, statx, utimensat_time64, and those that have the same number in both tables
            | 353 | 358 | 383 | 412 | 428 | 429 | 433 | 437 | 439 | 442 | 452
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_where_the_calls_take_them_in_every_table() {
        for (short, at) in [
            (2, 0),
            (257, 1),
            (4, 0),
            (262, 1),
            (87, 0),
            (263, 1),
            (82, 0),
            (316, 1),
            (59, 0),
            (322, 1),
            (165, 1),
            (X32 | 257, 1),
            (X32 | 520, 0),
            (X32 | 545, 1),
            (I386 | 5, 0),
            (I386 | 11, 0),
            (I386 | 295, 1),
            (I386 | 358, 1),
        ] {
            assert_eq!(path_argument(short), at, "{short}");
        }
        // read, close, fstat, symlinkat (its first path is what the link says), open's number in another table.
        for short in [0, 3, 5, 266, I386 | 2, I386 | 304, I386 | 257, X32 | 59 | I386] {
            assert_eq!(path_argument(short), NO_PATH, "{short}");
        }
        assert!(is_connect(42) && is_connect(X32 | 42) && is_connect(I386 | 362) && !is_connect(I386 | 42));
    }
}
