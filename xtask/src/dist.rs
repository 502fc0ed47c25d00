//! In: the sources. Out: in `target/dist`, `profiler`, statically linked, for any x86-64 distribution; the same with manual
//! pages and completions as `profiler-VERSION-x86_64.tar.gz`, and as `profiler_VERSION_amd64.deb`. Archives of one commit are
//! equal byte by byte.

mod tree;

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::{command, kernel_side, statics, workspace::Workspace};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// `cargo xtask dist`.
pub fn run(workspace: &Workspace) -> Result<()> {
    kernel_side::object(workspace)?;
    let built = statics::package(workspace, "profiler")?;
    for path in build(workspace, &built)? {
        println!("xtask: {} ({} KiB)", path.display(), fs::metadata(&path)?.len() / 1024);
    }
    Ok(())
}

/// Packs a static binary; the paths of what can be handed on, the binary first.
///
/// # Errors
/// When it asks for a dynamic loader or does not start, or an archive cannot be written.
pub fn build(workspace: &Workspace, built: &Path) -> Result<Vec<PathBuf>> {
    // Nothing of another version, or of a tool that is gone by now.
    let output = fresh(&workspace.target(), "dist")?;
    let binary = output.join("profiler");
    fs::copy(built, &binary).with_context(|| format!("copying {}", built.display()))?;
    require_static(&binary)?;
    command::run(Command::new(&binary).arg("--version"))?;
    let time = commit_time(workspace);
    let mut made = vec![binary.clone(), tarball(workspace, &binary, &time)?];
    match command::on_path("dpkg-deb") {
        Some(_) => made.push(package(workspace, &binary, &time)?),
        None => println!("SKIPPED: no .deb is made, as this machine has no dpkg-deb (package dpkg)"),
    }
    Ok(made)
}

/// Where the results are.
pub fn directory(workspace: &Workspace) -> PathBuf {
    workspace.target().join("dist")
}

/// The time of the last commit, in seconds since 1970; 0 outside a checkout.
fn commit_time(workspace: &Workspace) -> String {
    let mut log = Command::new("git");
    log.args(["log", "-1", "--format=%ct"]).current_dir(workspace.root());
    command::read(&mut log).map_or_else(|_| "0".to_owned(), |time| time.trim().to_owned())
}

/// A directory of that name, freshly made.
fn fresh(parent: &Path, name: &str) -> Result<PathBuf> {
    let directory = parent.join(name);
    if directory.exists() {
        fs::remove_dir_all(&directory).with_context(|| format!("removing {}", directory.display()))?;
    }
    fs::create_dir_all(&directory).with_context(|| format!("creating {}", directory.display()))?;
    tree::open_to_all(&directory)?;
    Ok(directory)
}

/// What unpacks anywhere into one directory.
fn tarball(workspace: &Workspace, binary: &Path, time: &str) -> Result<PathBuf> {
    let name = format!("profiler-{VERSION}-x86_64");
    let output = directory(workspace);
    let root = fresh(&output, &name)?;
    tree::unpackable(workspace, binary, &root)?;
    let archive = output.join(format!("{name}.tar.gz"));
    let mut tar = Command::new("tar");
    tar.args([
        "--sort=name",
        "--owner=0",
        "--group=0",
        "--numeric-owner",
        "--format=gnu",
        "--use-compress-program=gzip -n9",
    ]);
    tar.arg(format!("--mtime=@{time}")).arg("-C").arg(&output).arg("-cf").arg(&archive).arg(&name);
    command::run(&mut tar)?;
    fs::remove_dir_all(&root)?;
    Ok(archive)
}

/// What Debian and its children install.
fn package(workspace: &Workspace, binary: &Path, time: &str) -> Result<PathBuf> {
    let output = directory(workspace);
    let root = fresh(&output, "deb")?;
    tree::installed(workspace, binary, &root)?;
    let control = root.join("DEBIAN");
    fs::create_dir(&control)?;
    tree::open_to_all(&control)?;
    tree::put(&control, "control", fields(size_kib(&root)?).as_bytes(), 0o644)?;
    let archive = output.join(format!("profiler_{VERSION}_amd64.deb"));
    let mut build = Command::new("dpkg-deb");
    build.args([OsStr::new("--root-owner-group"), OsStr::new("-Zgzip"), OsStr::new("--build")]);
    build.arg(&root).arg(&archive).env("SOURCE_DATE_EPOCH", time).stdout(std::process::Stdio::null());
    command::run(&mut build)?;
    fs::remove_dir_all(&root)?;
    Ok(archive)
}

/// What dpkg keeps of a package. It depends on nothing: the binary is static.
fn fields(size_kib: u64) -> String {
    format!(
        "Package: profiler\nVersion: {VERSION}\nArchitecture: amd64\nMaintainer: the authors of profiler <profiler@localhost>\n\
         Installed-Size: {size_kib}\nSection: utils\nPriority: optional\n\
         Description: kernel latency profiler for incidents\n \
         Says which system calls are slow, which locks are waited for and what burns\n \
         CPU, for which process of which container, with flame graphs.\n"
    )
}

fn size_kib(directory: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { size_kib(&entry.path())? * 1024 } else { metadata.len() };
    }
    Ok(bytes.div_ceil(1024))
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

    #[test]
    fn a_package_says_what_it_is_in_fields_that_dpkg_reads() {
        let fields = fields(7);
        assert!(fields.ends_with('\n') && fields.contains("\nInstalled-Size: 7\n"), "{fields}");
        assert!(fields.lines().all(|line| line.starts_with(' ') || line.contains(": ")), "{fields}");
    }
}
