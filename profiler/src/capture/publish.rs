//! Output files that appear whole or not at all.
//!
//! In: a path and a closure that writes. Out: the file, mode 0600, replaced in one step; on any
//! error nothing, and what was there before stays.

use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::Context;

/// Writes `path` through a temporary file in the same directory.
///
/// # Errors
/// The directory cannot be written, `write` fails, or the disk is full; the error names `path`.
pub fn publish(path: &Path, write: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let attempt = || -> anyhow::Result<()> {
        // tempfile creates with O_EXCL and mode 0600, and removes the file when it is dropped.
        let file = tempfile::Builder::new().prefix(".profiler-").tempfile_in(directory)?;
        let mut buffered = BufWriter::with_capacity(1 << 16, file);
        write(&mut buffered)?;
        let file = buffered.into_inner().map_err(|error| error.into_error())?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    attempt().with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("summary.json");
        publish(&path, |out| Ok(out.write_all(b"first")?)).unwrap();
        let failed = publish(&path, |out| {
            out.write_all(&[b'x'; 1 << 20])?;
            anyhow::bail!("no more")
        });
        assert!(format!("{:#}", failed.unwrap_err()).contains("summary.json: no more"));
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_link_in_the_way_is_replaced_and_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let victim = directory.path().join("victim");
        fs::write(&victim, "precious").unwrap();
        let path = directory.path().join("cpu.svg");
        std::os::unix::fs::symlink(&victim, &path).unwrap();
        publish(&path, |out| Ok(out.write_all(b"<svg/>")?)).unwrap();
        assert_eq!(fs::read(&victim).unwrap(), b"precious");
        assert!(fs::symlink_metadata(&path).unwrap().is_file());
    }
}
