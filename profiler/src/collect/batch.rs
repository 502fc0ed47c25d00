//! Whole maps in few system calls: aya 0.14 has no batch operations.
//!
//! In: a map's descriptor and the shapes of its records. Out: all entries, or one error.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use aya::Pod;
use aya_obj::generated::{bpf_attr, bpf_cmd};

use crate::sys;

/// Attributes of a batch command on a map.
fn batch(map: BorrowedFd<'_>, count: usize) -> bpf_attr {
    let mut attributes = sys::attributes();
    attributes.batch.map_fd = map.as_raw_fd() as u32;
    attributes.batch.count = count as u32;
    attributes
}

/// How many entries the kernel says it has done.
fn count(attributes: &bpf_attr) -> usize {
    // SAFETY: plain integers, all bytes set.
    unsafe { attributes.batch.count as usize }
}

/// Reads all entries of a hash map.
///
/// # Errors
/// Any error of `bpf(2)`, except "that was all" and "give me more room".
pub fn read_all<K: Pod + Default, V: Pod + Default>(map: BorrowedFd<'_>) -> io::Result<Vec<(K, V)>> {
    let mut entries = Vec::new();
    let mut room = 4096usize;
    let mut keys = vec![K::default(); room];
    let mut values = vec![V::default(); room];
    // The kernel's cursor is opaque; for hash maps a bucket number of 4 bytes.
    let (mut cursor, mut next) = ([0u64; 8], [0u64; 8]);
    let mut first = true;
    loop {
        let mut attributes = batch(map, room);
        attributes.batch.in_batch = if first { 0 } else { cursor.as_ptr() as u64 };
        attributes.batch.out_batch = next.as_mut_ptr() as u64;
        attributes.batch.keys = keys.as_mut_ptr() as u64;
        attributes.batch.values = values.as_mut_ptr() as u64;
        // SAFETY: the cursors and the buffers of `room` records are ours and outlive the call.
        let result = unsafe { sys::bpf(bpf_cmd::BPF_MAP_LOOKUP_BATCH, &mut attributes) };
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
        let found = count(&attributes).min(room);
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
        let mut attributes = batch(map, rest.len());
        attributes.batch.keys = rest.as_ptr() as u64;
        // SAFETY: the keys outlive the call, which only reads them.
        match unsafe { sys::bpf(bpf_cmd::BPF_MAP_DELETE_BATCH, &mut attributes) } {
            Ok(_) => return Ok(()),
            // The first key of the rest after `count` is gone: step over it.
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => done += count(&attributes) + 1,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
