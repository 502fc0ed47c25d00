//! The output directory, held open: everything is written into it, even if its path is renamed or replaced meanwhile.
//!
//! In: a path. Out: a directory that belongs to this user, made (mode 0700) if it is missing. A symbolic link is refused,
//! and so is another user's directory, because that user could redirect our files. Files in it appear whole or not at all.

use std::fs::{DirBuilder, File};
use std::io::{BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use crate::failure::Failure;

/// Names tried for a temporary file.
const TRIES: u32 = 100;

/// A directory that is held.
#[derive(Debug)]
pub struct Directory {
    file: File,
    path: PathBuf,
    made: bool,
}

/// Room of a file system, bytes.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// What is left to this user.
    pub free: u64,
    /// All of it; 0: it does not tell.
    pub size: u64,
}

impl Directory {
    /// Makes it if it is missing, and opens it.
    ///
    /// # Errors
    /// `Usage` when it is a link or another user's, `Runtime` when it cannot be made or opened.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let made = std::fs::symlink_metadata(path).is_err();
        if made {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(path)
                .with_context(|| format!("cannot create the output directory {}", path.display()))?;
        }
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
        let file = match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::LOOP | Errno::NOTDIR) if is_link(path) => {
                return Err(refused(path, "it is a symbolic link"));
            }
            Err(Errno::NOTDIR) => {
                return Err(anyhow::anyhow!(
                    "cannot create the output directory {}: there is a file of that name",
                    path.display()
                )
                .into());
            }
            Err(error) => {
                let text = format!("cannot open the output directory {}", path.display());
                return Err(anyhow::Error::new(error).context(text).into());
            }
        };
        let owner = file.metadata().with_context(|| format!("cannot read {}", path.display()))?.uid();
        if owner != rustix::process::geteuid().as_raw() {
            return Err(refused(path, &format!("it belongs to uid {owner}, not to the user who records")));
        }
        Ok(Self { file, path: path.to_path_buf(), made })
    }

    /// The held directory.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// What it was called when it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What its file system has room for; none where that cannot be read.
    pub fn room(&self) -> Option<Room> {
        let told = rustix::fs::fstatvfs(&self.file).ok()?;
        let bytes = |blocks: u64| blocks.saturating_mul(told.f_frsize);
        Some(Room { free: bytes(told.f_bavail), size: bytes(told.f_blocks) })
    }

    /// The same directory, held twice.
    ///
    /// # Errors
    /// No file descriptor is left.
    pub fn try_clone(&self) -> anyhow::Result<Self> {
        let file = self.file.try_clone().with_context(|| format!("cannot hold {}", self.path.display()))?;
        Ok(Self { file, path: self.path.clone(), made: self.made })
    }

    /// Removes it, if it was made here, is still what its path names, and is empty.
    pub fn remove_if_made(&self) {
        let same = |found: &std::fs::Metadata, own: &std::fs::Metadata| {
            (found.dev(), found.ino()) == (own.dev(), own.ino())
        };
        let (found, own) = (std::fs::symlink_metadata(&self.path), self.file.metadata());
        if self.made && found.is_ok_and(|found| own.is_ok_and(|own| same(&found, &own))) {
            // One that is not empty stays.
            let _ = std::fs::remove_dir(&self.path);
        }
    }

    /// Writes a file of the directory, mode 0600, and replaces the one of that name in one step; on any error
    /// nothing is left, and what was there before stays.
    ///
    /// # Errors
    /// The directory cannot be written, `write` fails, or the disk is full; the error names the file.
    pub fn publish(
        &self,
        name: &str,
        write: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>,
    ) -> anyhow::Result<PathBuf> {
        let path = self.path.join(name);
        let attempt = || -> anyhow::Result<()> {
            let (file, temporary) = self.temporary()?;
            let written = fill(file, write)
                .and_then(|()| Ok(rustix::fs::renameat(&self.file, temporary.as_str(), &self.file, name)?));
            if written.is_err() {
                // What failed is being reported.
                let _ = rustix::fs::unlinkat(&self.file, temporary.as_str(), AtFlags::empty());
            }
            written
        };
        attempt().with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// A new file under a name that does not exist yet.
    fn temporary(&self) -> anyhow::Result<(File, String)> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::WRONLY | OFlags::CLOEXEC;
        for attempt in 0..TRIES {
            let name = format!(".profiler-{}-{attempt}", std::process::id());
            match rustix::fs::openat(&self.file, name.as_str(), flags, Mode::RUSR | Mode::WUSR) {
                Ok(file) => return Ok((File::from(file), name)),
                Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        anyhow::bail!("temporary files of others are in the way")
    }
}

fn fill(file: File, write: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let mut buffered = BufWriter::with_capacity(1 << 16, file);
    write(&mut buffered)?;
    buffered.into_inner().map_err(|error| error.into_error())?.sync_all()?;
    Ok(())
}

fn is_link(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink())
}

fn refused(path: &Path, why: &str) -> Failure {
    Failure::Usage(format!(
        "--output {}: {why}: what is written there could end up anywhere; choose a directory that is not there yet",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let parent = tempfile::tempdir().unwrap();
        let directory = Directory::open(parent.path()).unwrap();
        let path = directory.publish("summary.json", |out| Ok(out.write_all(b"first")?)).unwrap();
        let failed = directory.publish("summary.json", |out| {
            out.write_all(&[b'x'; 1 << 20])?;
            anyhow::bail!("no more")
        });
        assert!(format!("{:#}", failed.unwrap_err()).contains("summary.json: no more"));
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 1);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_link_in_the_way_is_replaced_and_not_followed() {
        let parent = tempfile::tempdir().unwrap();
        let victim = parent.path().join("victim");
        fs::write(&victim, "precious").unwrap();
        symlink(&victim, parent.path().join("cpu.svg")).unwrap();
        let directory = Directory::open(parent.path()).unwrap();
        directory.publish("cpu.svg", |out| Ok(out.write_all(b"<svg/>")?)).unwrap();
        assert_eq!(fs::read(&victim).unwrap(), b"precious");
        assert!(fs::symlink_metadata(parent.path().join("cpu.svg")).unwrap().is_file());
    }

    #[test]
    fn a_directory_that_is_swapped_meanwhile_redirects_nothing() {
        let parent = tempfile::tempdir().unwrap();
        let (own, moved, victim) =
            (parent.path().join("own"), parent.path().join("moved"), parent.path().join("victim"));
        fs::create_dir(&victim).unwrap();
        fs::write(victim.join("summary.json"), "precious").unwrap();
        let directory = Directory::open(&own).unwrap();
        fs::rename(&own, &moved).unwrap();
        symlink(&victim, &own).unwrap();
        directory.publish("summary.json", |out| Ok(out.write_all(b"{}")?)).unwrap();
        assert_eq!(fs::read(victim.join("summary.json")).unwrap(), b"precious");
        assert_eq!(fs::read(moved.join("summary.json")).unwrap(), b"{}");
        directory.remove_if_made();
        assert!(is_link(&own) && victim.exists());
    }

    #[test]
    fn a_planted_link_is_refused() {
        let parent = tempfile::tempdir().unwrap();
        let link = parent.path().join("out");
        symlink(parent.path().join("elsewhere"), &link).unwrap();
        for target_there in [false, true] {
            if target_there {
                fs::create_dir(parent.path().join("elsewhere")).unwrap();
            }
            let refused = Directory::open(&link).unwrap_err();
            assert!(matches!(&refused, Failure::Usage(text) if text.contains("symbolic link")), "{refused}");
        }
    }
}
