//! In: a version as a person says it, `6.1`. Out: the newest stock Debian kernel of that version, from the
//! cache or the mirror.

use std::{
    fs::{self, File},
    os::fd::AsRawFd,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use crate::vm::{mirror::Mirror, modules};

/// What the project promises to run on; any other version the mirror has boots as well.
pub const PROMISED: [&str; 5] = ["5.10", "6.1", "6.12", "6.18", "7.2"];
const FLAVOUR: &str = "-amd64";
const PACKAGE: &str = "linux-image-";
/// Modules that are kept beside the kernel, each after what it needs.
const MODULES: [&str; 2] = ["configfs", "null_blk"];

/// Is there once the modules were looked for: a kernel may have one of them built in.
const MODULES_KNOWN: &str = "modules-known";

/// A kernel that can be booted.
pub struct Kernel {
    /// The full name, `6.1.0-56-amd64`.
    pub release: String,
    pub image: PathBuf,
    /// Modules of it, in the order in which they are loaded: a disk whose speed is known.
    pub modules: Vec<PathBuf>,
}

/// What is kept between runs: outside the checkout, so that every worktree has it.
pub struct Cache {
    root: PathBuf,
    /// Held while the cache is in use: two runs must not download into the same place.
    _lock: File,
}

impl Cache {
    /// `$XDG_CACHE_HOME/profiler-lab`, or below `~/.cache`. Waits for another run that is filling it.
    ///
    /// # Errors
    /// When there is no such place, or it is not writable.
    pub fn open() -> Result<Self> {
        let base = std::env::var_os("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache")))
            .context("neither XDG_CACHE_HOME nor HOME says where to keep kernels")?;
        let root = base.join("profiler-lab");
        fs::create_dir_all(root.join("kernels")).with_context(|| format!("creating {}", root.display()))?;
        let lock = File::create(root.join("lock")).context("opening the cache's lock")?;
        // SAFETY: locks a descriptor that is open, until it is closed.
        if unsafe { libc::flock(lock.as_raw_fd(), libc::LOCK_EX) } != 0 {
            return Err(std::io::Error::last_os_error()).context("locking the cache");
        }
        Ok(Self { root, _lock: lock })
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The kernel of that version: what is cached, without asking anybody; else the newest on the mirror.
    ///
    /// # Errors
    /// When the mirror has none, or cannot be reached.
    pub fn kernel(&self, version: &str, update: bool) -> Result<Kernel> {
        require_version(version)?;
        if !update && let Some(kept) = self.kept(version) {
            return Ok(kept);
        }
        let mirror = Mirror::open(&self.root)?;
        let release = on_mirror(&mirror.names(PACKAGE)?, version)?;
        if let Some(kept) = self.kept(version).filter(|kept| kept.release == release) {
            return Ok(kept);
        }
        self.fetch(&mirror, version, &release)?;
        self.kept(version).context("the kernel just fetched is not in the cache")
    }

    /// What is in the cache, if anything.
    pub fn kept(&self, version: &str) -> Option<Kernel> {
        let directory = self.root.join("kernels").join(version);
        let release = fs::read_to_string(directory.join("release")).ok()?;
        let modules = MODULES.map(|name| directory.join(format!("{name}.ko")));
        // A cache of before has none of them.
        let known = directory.join(MODULES_KNOWN).is_file();
        let modules = modules.into_iter().filter(|path| path.is_file()).collect();
        known.then(|| Kernel { release, image: directory.join("vmlinuz"), modules })
    }

    /// From 7.2 on the named package is empty, and the image is in one it depends on.
    fn fetch(&self, mirror: &Mirror, version: &str, release: &str) -> Result<()> {
        let package = format!("{PACKAGE}{release}");
        let mut candidates = vec![package.clone()];
        candidates.extend(mirror.depends(&package)?.into_iter().filter(|name| name.contains(release)));
        let directory = self.root.join("kernels").join(version);
        fs::create_dir_all(&directory)?;
        let (mut image, mut modules) = (false, false);
        // The image and the modules may be in packages of their own.
        for candidate in &candidates {
            if image && modules {
                break;
            }
            let unpacked = mirror.unpacked(candidate)?;
            if let Some(found) = places(&unpacked, release).into_iter().find(|path| path.is_file()) {
                fs::copy(&found, directory.join("vmlinuz"))?;
                image = true;
            }
            modules |= modules::keep(&unpacked, &directory, &MODULES)?;
            mirror.forget(candidate);
        }
        if !image {
            bail!("no image in {package} nor in what it depends on");
        }
        fs::write(directory.join(MODULES_KNOWN), "")?;
        Ok(fs::write(directory.join("release"), release)?)
    }
}

fn places(unpacked: &Path, release: &str) -> [PathBuf; 3] {
    [
        unpacked.join(format!("boot/vmlinuz-{release}")),
        unpacked.join(format!("usr/lib/modules/{release}/vmlinuz")),
        unpacked.join(format!("lib/modules/{release}/vmlinuz")),
    ]
}

/// The version becomes the name of a directory and a part of a package's name.
fn require_version(version: &str) -> Result<()> {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    match version.split_once('.') {
        Some((major, minor)) if is_number(major) && is_number(minor) => Ok(()),
        _ => bail!("--kernel {version}: say it like {}", PROMISED.join(", ")),
    }
}

/// The newest release of that version among the mirror's packages.
///
/// # Errors
/// When there is none.
pub fn on_mirror(packages: &[String], version: &str) -> Result<String> {
    newest(packages, version).with_context(|| {
        format!("no kernel {version} on the Debian mirror (any more): see `cargo xtask vm --list`")
    })
}

/// The highest release of that version among package names; real-time, cloud and debug flavours are others.
fn newest(packages: &[String], version: &str) -> Option<String> {
    stock(packages)
        .filter(|release| version_of(release) == Some(version))
        .max_by_key(|release| numbers(release))
        .map(str::to_owned)
}

/// `6.1` of `6.1.0-56-amd64`; nothing of the meta package `6.1-amd64`.
fn version_of(release: &str) -> Option<&str> {
    let second = release.match_indices('.').nth(1)?.0;
    release.get(..second)
}

fn stock(packages: &[String]) -> impl Iterator<Item = &str> {
    packages.iter().filter_map(|name| name.strip_prefix(PACKAGE)).filter(|release| {
        release
            .strip_suffix(FLAVOUR)
            .is_some_and(|rest| rest.bytes().all(|byte| !byte.is_ascii_alphabetic()) || rest.contains("+deb"))
            && ["cloud", "rt", "unsigned", "dbg"].iter().all(|flavour| !release.contains(flavour))
    })
}

fn numbers(release: &str) -> Vec<u64> {
    let digits = release.split(|letter: char| !letter.is_ascii_digit());
    digits.filter_map(|part| part.parse().ok()).collect()
}

/// `cargo xtask vm --list`: what is cached, and what the mirror has.
///
/// # Errors
/// When there is no place for a cache.
pub fn list() -> Result<()> {
    let cache = Cache::open()?;
    let found = Mirror::open(cache.root()).and_then(|mirror| mirror.names(PACKAGE));
    let packages = found.unwrap_or_else(|error| {
        println!("vm: {error:#}");
        Vec::new()
    });
    let mut versions: Vec<&str> = stock(&packages).filter_map(version_of).chain(PROMISED).collect();
    versions.sort_by_key(|version| numbers(version));
    versions.dedup();
    for version in versions {
        let promised = if PROMISED.contains(&version) { "promised" } else { "" };
        let on_mirror = newest(&packages, version).unwrap_or_else(|| "not on the mirror".to_owned());
        let kept = cache.kept(version).map_or_else(String::new, |kept| format!("cached: {}", kept.release));
        println!("{version:6} {promised:9} {on_mirror:26} {kept}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_stock_kernel_is_taken() {
        let packages: Vec<String> = [
            "linux-image-6.1-amd64",
            "linux-image-6.1.0-9-amd64",
            "linux-image-6.1.0-56-amd64",
            "linux-image-6.1.0-57-cloud-amd64",
            "linux-image-6.1.0-58-rt-amd64",
            "linux-image-6.12.107+deb13-amd64",
            "linux-image-6.12.99+deb13-amd64",
        ]
        .map(str::to_owned)
        .to_vec();
        assert_eq!(newest(&packages, "6.1").as_deref(), Some("6.1.0-56-amd64"));
        assert_eq!(newest(&packages, "6.12").as_deref(), Some("6.12.107+deb13-amd64"));
        assert_eq!(newest(&packages, "4.19"), None);
    }

    #[test]
    fn only_versions_become_paths() {
        assert!(require_version("5.10").is_ok());
        for bad in ["../5.10", "5", "5.", "5.10.1", "a.b", "/etc"] {
            assert!(require_version(bad).is_err(), "{bad}");
        }
    }
}
