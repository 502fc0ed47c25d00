//! In: the static binary, which prints its own manual pages and completions. Out: a directory to be packed: everything beside
//! the binary, or each thing at the place where a distribution's tools look for it.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use anyhow::{Context, Result};

use crate::{command, workspace::Workspace};

/// Shells, with the name of their file and the place where Debian's look for it.
const SHELLS: [(&str, &str, &str); 3] = [
    ("bash", "profiler", "usr/share/bash-completion/completions"),
    ("zsh", "_profiler", "usr/share/zsh/vendor-completions"),
    ("fish", "profiler.fish", "usr/share/fish/vendor_completions.d"),
];
/// Commands that have a manual page of their own.
const PAGES: [&str; 6] = ["record", "crash", "report", "diff", "check", "targets"];
const DOCUMENTS: [&str; 4] = ["README.md", "CHANGELOG.md", "LICENSE-APACHE", "LICENSE-MIT"];

/// Fills the directory that the tarball unpacks to.
///
/// # Errors
/// When something cannot be read or written.
pub fn unpackable(workspace: &Workspace, binary: &Path, root: &Path) -> Result<()> {
    put(root, "profiler", &fs::read(binary)?, 0o755)?;
    for name in DOCUMENTS {
        put(root, name, &fs::read(workspace.root().join(name))?, 0o644)?;
    }
    for (shell, file, _) in SHELLS {
        put(root, &format!("completions/{file}"), &said(binary, &["completions", shell])?, 0o644)?;
    }
    pages(binary, &mut |name, page| put(root, &format!("man/{name}"), page, 0o644))
}

/// Fills the root of a package.
///
/// # Errors
/// When something cannot be read or written.
pub fn installed(workspace: &Workspace, binary: &Path, root: &Path) -> Result<()> {
    put(root, "usr/bin/profiler", &fs::read(binary)?, 0o755)?;
    for name in DOCUMENTS {
        put(root, &format!("usr/share/doc/profiler/{name}"), &fs::read(workspace.root().join(name))?, 0o644)?;
    }
    for (shell, file, place) in SHELLS {
        put(root, &format!("{place}/{file}"), &said(binary, &["completions", shell])?, 0o644)?;
    }
    pages(binary, &mut |name, page| put(root, &format!("usr/share/man/man1/{name}"), page, 0o644))
}

/// Each manual page with the name of its file.
fn pages(binary: &Path, each: &mut dyn FnMut(&str, &[u8]) -> Result<()>) -> Result<()> {
    each("profiler.1", &said(binary, &["man"])?)?;
    PAGES.iter().try_for_each(|page| each(&format!("profiler-{page}.1"), &said(binary, &["man", page])?))
}

fn said(binary: &Path, words: &[&str]) -> Result<Vec<u8>> {
    Ok(command::read(Command::new(binary).args(words))?.into_bytes())
}

/// Whatever this user's mask is, others may enter it.
///
/// # Errors
/// When it is not this user's.
pub fn open_to_all(directory: &Path) -> Result<()> {
    Ok(fs::set_permissions(directory, fs::Permissions::from_mode(0o755))?)
}

/// Writes a file; whatever this user's mask is, others may read it.
///
/// # Errors
/// When it cannot be written.
pub fn put(root: &Path, name: &str, bytes: &[u8], mode: u32) -> Result<()> {
    let path = root.join(name);
    let mut directory = root.to_owned();
    for part in Path::new(name).parent().into_iter().flatten() {
        directory.push(part);
        fs::create_dir_all(&directory)?;
        open_to_all(&directory)?;
    }
    fs::write(&path, bytes).with_context(|| format!("writing {}", path.display()))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
    Ok(())
}
