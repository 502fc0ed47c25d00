//! In: nothing. Out: a directory of a program's own, which servers that are not root may use, and short enough for sockets;
//! removed at the end.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use crate::command;

/// The user of servers that refuse root: `nobody`.
pub const USER: u32 = 65_534;

pub struct Yard {
    root: PathBuf,
    /// What Go keeps of what it compiled.
    pub cache: PathBuf,
}

impl Yard {
    /// # Errors
    /// When it cannot be made.
    pub fn new(name: &str, cache: PathBuf) -> Result<Self> {
        let root = std::env::temp_dir().join(format!("profiler-{name}-{}", std::process::id()));
        fs::create_dir(&root).with_context(|| format!("creating {}", root.display()))?;
        let yard = Self { root, cache };
        yard.give_away(&yard.root)?;
        Ok(yard)
    }

    fn give_away(&self, path: &Path) -> Result<()> {
        chown(path, Some(USER), Some(USER)).with_context(|| format!("giving away {}", path.display()))?;
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(path, mode).with_context(|| format!("opening {}", path.display()))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// Writes a source down and returns where.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn file(&self, name: &str, text: &str) -> Result<String> {
        fs::write(self.path(name), text).with_context(|| format!("writing {name}"))?;
        Ok(self.text(name))
    }
}

impl Drop for Yard {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

/// A program on PATH or at one of these places.
///
/// # Errors
/// When it is nowhere.
pub fn program(name: &str) -> Result<PathBuf> {
    let elsewhere =
        ["/usr/sbin", "/usr/lib/go/bin", "/usr/bin"].map(|directory| Path::new(directory).join(name));
    let found = elsewhere.into_iter().find(|path| command::is_executable(path));
    match found.or_else(|| command::on_path(name)) {
        Some(path) => Ok(path),
        None => bail!("{name} is not installed"),
    }
}
