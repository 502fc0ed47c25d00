//! The vDSO: code the kernel maps into every process.
//!
//! In: this process's own copy. Out: a file with its ELF image.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

use rustix::fs::{MemfdFlags, memfd_create};

use super::maps;
use crate::profile::Pid;

/// The image is a few pages.
const BYTES: u64 = 1 << 20;

/// The running kernel's vDSO as a file in memory.
///
/// # Errors
/// This process has none, or its memory cannot be read.
pub fn image() -> io::Result<File> {
    let mappings = maps::read(Pid(std::process::id()))?;
    let vdso = mappings.iter().find(|mapping| mapping.is_vdso()).ok_or(io::ErrorKind::NotFound)?;
    let mut bytes = vec![0; (vdso.end - vdso.start).min(BYTES) as usize];
    File::open("/proc/self/mem")?.read_exact_at(&mut bytes, vdso.start)?;
    let mut file = File::from(memfd_create("vdso", MemfdFlags::CLOEXEC)?);
    file.write_all(&bytes)?;
    Ok(file)
}
