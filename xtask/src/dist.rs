//! In: the sources. Out: `target/dist/profiler`, statically linked, for any x86-64 distribution.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::{command, kernel_side, statics, workspace::Workspace};

/// `cargo xtask dist`.
pub fn run(workspace: &Workspace) -> Result<()> {
    let binary = build(workspace)?;
    command::run(Command::new(&binary).arg("--version"))?;
    println!("xtask: static: {} ({} KiB)", binary.display(), fs::metadata(&binary)?.len() / 1024);
    Ok(())
}

/// Builds the binary and returns its path.
///
/// # Errors
/// When cargo refuses, or the result asks for a dynamic loader.
pub fn build(workspace: &Workspace) -> Result<PathBuf> {
    kernel_side::object(workspace)?;
    let built = statics::package(workspace, "profiler")?;
    let output = workspace.target().join("dist");
    fs::create_dir_all(&output).with_context(|| format!("creating {}", output.display()))?;
    let binary = output.join("profiler");
    fs::copy(&built, &binary).with_context(|| format!("copying {}", built.display()))?;
    require_static(&binary)?;
    Ok(binary)
}

fn require_static(binary: &Path) -> Result<()> {
    let bytes = fs::read(binary).with_context(|| format!("reading {}", binary.display()))?;
    match interpreted(&bytes) {
        Some(false) => Ok(()),
        Some(true) => bail!("{} is dynamically linked", binary.display()),
        None => bail!("{} is not a 64-bit ELF file", binary.display()),
    }
}

/// Whether an ELF file asks for a dynamic loader (`PT_INTERP`); `None` if it is no ELF file.
fn interpreted(elf: &[u8]) -> Option<bool> {
    const PT_INTERP: u32 = 3;
    let number = |at: usize, bytes: usize| {
        let field = elf.get(at..at.checked_add(bytes)?)?;
        Some(field.iter().rev().fold(0_u64, |value, &byte| value << 8 | u64::from(byte)))
    };
    if !elf.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let (table, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
    for index in 0..count {
        let header = usize::try_from(table.checked_add(index * size)?).ok()?;
        if number(header, 4)? == u64::from(PT_INTERP) {
            return Some(true);
        }
    }
    Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dynamic_binary_is_told_from_no_binary() {
        let own = fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(interpreted(&own), Some(true));
        assert_eq!(interpreted(b"#!/bin/sh"), None);
        assert_eq!(interpreted(&own[..60]), None);
    }
}
