//! In: packages of the mirror, binaries of this checkout, a job. Out: one initial file system for a guest: a base
//! that every job has (busybox, AppArmor's parser with its library) and the job's own files behind it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::vm::{cpio::Archive, kernel::Cache, mirror::Mirror};

const INIT: &str = include_str!("init.sh");

/// What a guest runs beside what every guest has.
#[derive(Clone, Default)]
pub struct Job {
    /// Program and arguments; none is a shell for a person.
    pub command: Vec<String>,
    /// Files of this machine and their place in the guest, without the leading slash.
    pub files: Vec<(PathBuf, String)>,
}

/// Writes the whole image into `directory`; the caller removes it.
///
/// # Errors
/// When a file cannot be read, or the base cannot be made.
pub fn write(cache: &Cache, job: &Job, directory: &Path) -> Result<PathBuf> {
    let mut bytes = base(cache)?;
    bytes.extend(own(job)?);
    fs::create_dir_all(directory).with_context(|| format!("creating {}", directory.display()))?;
    let path = directory.join(format!("initrd.{}", std::process::id()));
    fs::write(&path, bytes).with_context(|| format!("writing {}", path.display()))?;
    Ok(path)
}

fn base(cache: &Cache) -> Result<Vec<u8>> {
    let path = cache.root().join("base.cpio");
    if let Ok(kept) = fs::read(&path) {
        return Ok(kept);
    }
    let mirror = Mirror::open(cache.root())?;
    let (busybox, apparmor, libc) =
        (mirror.unpacked("busybox-static")?, mirror.unpacked("apparmor")?, mirror.unpacked("libc6")?);
    let libraries = libc.join("usr/lib/x86_64-linux-gnu");
    let mut archive = Archive::default();
    for directory in ["dev", "proc", "sys", "tmp", "run", "root", "sbin"] {
        archive.directory(directory);
    }
    archive.device("dev/console", (5, 1));
    archive.copy("bin/busybox", &busybox.join("usr/bin/busybox"))?;
    archive.copy("sbin/apparmor_parser", &apparmor.join("usr/sbin/apparmor_parser"))?;
    archive.copy("lib64/ld-linux-x86-64.so.2", &libraries.join("ld-linux-x86-64.so.2"))?;
    archive.copy("lib/x86_64-linux-gnu/libc.so.6", &libraries.join("libc.so.6"))?;
    let bytes = archive.finish();
    let partial = cache.root().join("base.cpio.partial");
    fs::write(&partial, &bytes)?;
    fs::rename(&partial, &path)?;
    ["busybox-static", "apparmor", "libc6"].into_iter().for_each(|package| mirror.forget(package));
    Ok(bytes)
}

fn own(job: &Job) -> Result<Vec<u8>> {
    let mut archive = Archive::default();
    archive.file("init", INIT.as_bytes());
    archive.file("job/run", script(&job.command).as_bytes());
    for (from, to) in &job.files {
        archive.copy(to, from)?;
    }
    Ok(archive.finish())
}

fn script(command: &[String]) -> String {
    if command.is_empty() {
        return "#!/bin/sh\nexec setsid cttyhack sh\n".to_owned();
    }
    let words: Vec<String> = command.iter().map(|word| quoted(word)).collect();
    format!("#!/bin/sh\nexec {}\n", words.join(" "))
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_reach_the_guest_unchanged() {
        let command = ["echo", "a b", "it's", "$HOME"].map(str::to_owned);
        assert_eq!(script(&command), "#!/bin/sh\nexec 'echo' 'a b' 'it'\\''s' '$HOME'\n");
    }
}
