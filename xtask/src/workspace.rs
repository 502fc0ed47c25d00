//! In: the place xtask was built from. Out: the paths every command works with.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The checkout, by absolute path.
pub struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// The workspace this xtask belongs to.
    pub fn find() -> Result<Self> {
        let manifest = std::env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = manifest.parent().context("xtask has no parent directory")?;
        Ok(Self { root: root.canonicalize().with_context(|| format!("opening {}", root.display()))? })
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The kernel side's crate, which is not a member of the workspace.
    pub fn kernel_crate(&self) -> PathBuf {
        self.root.join("profiler-ebpf")
    }

    /// Where the tool's `build.rs` looks for the kernel-side object.
    pub fn kernel_object(&self) -> PathBuf {
        self.target().join("bpf/profiler.bpf.o")
    }

    /// The kernel-side object that only tests and benchmarks load.
    pub fn lab_object(&self) -> PathBuf {
        self.target().join("bpf/lab.bpf.o")
    }

    /// Cargo's output directory. A `CARGO_TARGET_DIR` of the caller is not followed, so that the
    /// object, the tools and the binaries have one place.
    pub fn target(&self) -> PathBuf {
        self.root.join("target")
    }

    /// The private root of installed tools.
    pub fn tools(&self) -> PathBuf {
        self.target().join("tools")
    }

    /// A set-up script by its file name.
    pub fn script(&self, name: &str) -> PathBuf {
        self.root.join("scripts").join(name)
    }

    /// A binary of a cargo profile's directory (`debug`, `release`).
    pub fn binary(&self, profile: &str, name: &str) -> PathBuf {
        self.target().join(profile).join(name)
    }
}
