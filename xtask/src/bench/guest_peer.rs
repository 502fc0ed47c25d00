//! In: the peers' packages on this machine. Out: their files with the places they want in a guest, libraries included.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::peer;
use crate::{command, vm::headers, workspace::Workspace};

/// Files of this machine and their place in the guest, without the leading slash.
type Files = Vec<(PathBuf, String)>;

/// Debian's own: its packages of bcc are for no other.
const PYTHON: &str = "/usr/bin/python3";

/// # Errors
/// When it is not on this machine.
pub fn bpftrace() -> Result<Files> {
    with_libraries(vec![(found("bpftrace")?, "job/bpftrace".to_owned())])
}

/// Both under the names that tell them from bcc's.
///
/// # Errors
/// When they are not on this machine.
pub fn libbpf_tools() -> Result<Files> {
    let tools = ["offcputime", "syscount"];
    let files = tools.map(|name| Ok((found(&peer::libbpf(name))?, format!("job/libbpf-{name}"))));
    with_libraries(files.into_iter().collect::<Result<_>>()?)
}

/// bcc's two scripts; Python and clang, which they run by; the headers that it compiles against.
///
/// # Errors
/// When one of them cannot be had.
pub fn bcc(workspace: &Workspace, kernel: &str) -> Result<Files> {
    let python = fs::canonicalize(PYTHON).with_context(|| format!("looking for {PYTHON}"))?;
    let version = python.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut files = vec![(python, PYTHON.trim_start_matches('/').to_owned())];
    for name in ["offcputime-bpfcc", "syscount-bpfcc"] {
        files.push((found(name)?, format!("job/{name}")));
    }
    let parts = ["minimal", "stdlib"].map(|part| format!("lib{version}-{part}"));
    // Python loads parts of the C library by their names, which no list of libraries has.
    for package in parts.iter().map(String::as_str).chain(["libc6", "python3-bpfcc", "libbpfcc"]) {
        files.extend(installed(package)?);
    }
    let mut files = with_libraries(files)?;
    files.extend(headers::of(workspace, kernel)?);
    Ok(files)
}

fn found(program: &str) -> Result<PathBuf> {
    command::on_path(program).with_context(|| format!("there is no {program} on this machine"))
}

/// What a package put here, without documents.
fn installed(package: &str) -> Result<Files> {
    let list = command::read(Command::new("dpkg").args(["-L", package]))?;
    let paths = list.lines().filter(|path| !path.starts_with("/usr/share/") && Path::new(path).is_file());
    Ok(paths.map(|path| (PathBuf::from(path), path.trim_start_matches('/').to_owned())).collect())
}

/// The files and the libraries they want, where the loader of this machine finds them.
fn with_libraries(files: Files) -> Result<Files> {
    let linked: Vec<&PathBuf> = files.iter().map(|(from, _)| from).filter(|path| is_elf(path)).collect();
    let listed = command::read(Command::new("ldd").args(linked))?;
    let mut all: BTreeMap<String, PathBuf> = files.into_iter().map(|(from, to)| (to, from)).collect();
    for path in libraries(&listed) {
        let whole = fs::canonicalize(path).with_context(|| format!("reading {path}"))?;
        all.insert(path.trim_start_matches('/').to_owned(), whole);
    }
    Ok(all.into_iter().map(|(to, from)| (from, to)).collect())
}

/// The paths in what `ldd` says; lines that end in a colon name whom it speaks of.
fn libraries(listed: &str) -> impl Iterator<Item = &str> {
    let lines = listed.lines().filter(|line| !line.ends_with(':'));
    lines.filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')))
}

fn is_elf(path: &Path) -> bool {
    let mut magic = [0; 4];
    let read = fs::File::open(path).and_then(|mut file| std::io::Read::read_exact(&mut file, &mut magic));
    read.is_ok() && &magic == b"\x7fELF"
}

#[cfg(test)]
mod tests {
    use super::libraries;

    #[test]
    fn libraries_are_told_from_those_who_want_them() {
        let listed = "/usr/bin/one:\n\tlinux-vdso.so.1 (0x1)\n\tlibz.so.1 => /lib/libz.so.1 (0x2)\n\
                      \t/lib64/ld.so (0x3)\n/usr/lib/two.so:\n\tstatically linked\n";
        assert_eq!(libraries(listed).collect::<Vec<_>>(), ["/lib/libz.so.1", "/lib64/ld.so"]);
    }
}
