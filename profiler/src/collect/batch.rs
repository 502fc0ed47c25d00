//! Whole maps in few system calls: aya 0.14 has no batch operations.
//!
//! In: a map's descriptor and the shapes of its records. Out: all entries, or one error.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use aya::Pod;

const LOOKUP_BATCH: libc::c_long = 24;
const DELETE_BATCH: libc::c_long = 27;

/// `bpf_attr.batch` of the `bpf(2)` system call (include/uapi/linux/bpf.h).
#[repr(C)]
#[derive(Default)]
struct Attributes {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    elem_flags: u64,
    flags: u64,
}

fn bpf(command: libc::c_long, attributes: &mut Attributes) -> io::Result<()> {
    // SAFETY: the attributes outlive the call and their pointers refer to live buffers of the
    // lengths that `count` says.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attributes), size_of::<Attributes>())
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Reads all entries of a hash map.
///
/// # Errors
/// Whatever `bpf(2)` says, but for "that was all" and "give me more room".
pub fn read_all<K: Pod + Default, V: Pod + Default>(map: BorrowedFd<'_>) -> io::Result<Vec<(K, V)>> {
    let mut entries = Vec::new();
    let mut room = 4096usize;
    let mut keys = vec![K::default(); room];
    let mut values = vec![V::default(); room];
    // The kernel's cursor is opaque; for hash maps a bucket number of 4 bytes.
    let (mut cursor, mut next) = ([0u64; 8], [0u64; 8]);
    let mut first = true;
    loop {
        let mut attributes = Attributes {
            in_batch: if first { 0 } else { cursor.as_ptr() as u64 },
            out_batch: next.as_mut_ptr() as u64,
            keys: keys.as_mut_ptr() as u64,
            values: values.as_mut_ptr() as u64,
            count: room as u32,
            map_fd: map.as_raw_fd() as u32,
            ..Attributes::default()
        };
        let result = bpf(LOOKUP_BATCH, &mut attributes);
        let more_room = matches!(&result, Err(error) if error.raw_os_error() == Some(libc::ENOSPC));
        if more_room && room < 1 << 22 {
            room *= 4;
            keys.resize(room, K::default());
            values.resize(room, V::default());
            continue;
        }
        let done = matches!(&result, Err(error) if error.raw_os_error() == Some(libc::ENOENT));
        if !done {
            result?;
        }
        let found = (attributes.count as usize).min(room);
        entries.extend(keys[..found].iter().copied().zip(values[..found].iter().copied()));
        if done {
            return Ok(entries);
        }
        (cursor, first) = (next, false);
    }
}

/// Deletes entries by key.
///
/// # Errors
/// Whatever `bpf(2)` says; keys that are gone already are not an error.
pub fn delete<K: Pod>(map: BorrowedFd<'_>, keys: &[K]) -> io::Result<()> {
    let mut done = 0;
    while done < keys.len() {
        let rest = &keys[done..];
        let mut attributes = Attributes {
            keys: rest.as_ptr() as u64,
            count: rest.len() as u32,
            map_fd: map.as_raw_fd() as u32,
            ..Attributes::default()
        };
        match bpf(DELETE_BATCH, &mut attributes) {
            Ok(()) => return Ok(()),
            // The first key of the rest after `count` is gone: step over it.
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => done += attributes.count as usize + 1,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
