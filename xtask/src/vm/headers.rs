//! In: the version of a kernel that can be booted. Out: its headers, with their places in a guest: where bcc looks for them. From
//! the cache or the mirror.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{
    command,
    vm::{self, kernel::Cache, mirror::Mirror},
    workspace::Workspace,
};

/// What compiling a BPF program opens.
const WANTED: [&str; 2] = ["include", "arch/x86/include"];

/// The headers of the kernel that this version boots, as files for a guest.
///
/// # Errors
/// When the mirror does not have them, or cannot be reached.
pub fn of(workspace: &Workspace, version: &str) -> Result<Vec<(PathBuf, String)>> {
    vm::require_emulator(workspace)?;
    let cache = Cache::open()?;
    let release = cache.kernel(version, false)?.release;
    let directory = cache.root().join("headers").join(&release);
    if !directory.is_dir() {
        fetch(&cache, &release, &directory).with_context(|| {
            format!("no headers of {release}: is there a newer one, `cargo xtask vm --kernel {version} --update -- true`?")
        })?;
    }
    let mut files = Vec::new();
    for path in below(&directory)? {
        let place = path.strip_prefix(&directory)?.display().to_string();
        files.push((path, format!("lib/modules/{release}/build/{place}")));
    }
    Ok(files)
}

/// Debian splits the headers into a common and a generated part; bcc wants one directory.
fn fetch(cache: &Cache, release: &str, directory: &Path) -> Result<()> {
    let mirror = Mirror::open(cache.root())?;
    let common = release.trim_end_matches("-amd64");
    let partial = directory.with_file_name(format!("{release}.partial"));
    let _ = fs::remove_dir_all(&partial);
    for name in [format!("linux-headers-{common}-common"), format!("linux-headers-{release}")] {
        let source = mirror.unpacked(&name)?.join("usr/src").join(&name);
        for part in WANTED {
            fs::create_dir_all(partial.join(part))?;
            // Links stay links, within the directory.
            command::run(
                Command::new("cp").arg("-a").arg(source.join(part).join(".")).arg(partial.join(part)),
            )?;
        }
        mirror.forget(&name);
    }
    fs::rename(&partial, directory).with_context(|| format!("creating {}", directory.display()))
}

/// All files; links to directories are not followed.
fn below(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).with_context(|| format!("reading {}", directory.display()))? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            files.extend(below(&path)?);
        } else if path.is_file() {
            files.push(path);
        }
    }
    Ok(files)
}
