//! In: the machine's compilers and linkers. Out: one way to compile for `bpfel-unknown-none`, if there is one:
//! rust-src with build-std (rustup), or a precompiled `core` (Debian's packages), and a bpf-linker whose
//! LLVM is not older than that compiler's.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::{command, workspace::Workspace};

/// The target of the kernel side.
pub const BPF_TARGET: &str = "bpfel-unknown-none";

/// Forces one way: `rust-src` or `packages`.
pub const WAY_VARIABLE: &str = "PROFILER_BPF_CORE";

/// Where `core` for the BPF target comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Core {
    /// Built from the standard library's source, next to the kernel side.
    Source,
    /// Shipped with the compiler.
    Precompiled,
}

/// A compiler that can compile the kernel side.
#[derive(Debug)]
pub struct Compiler {
    pub cargo: PathBuf,
    pub rustc: PathBuf,
    pub core: Core,
    pub version: Version,
}

/// What `rustc -vV` says.
#[derive(Debug, PartialEq, Eq)]
pub struct Version {
    pub release: String,
    pub llvm_major: u32,
}

impl Version {
    fn parse(text: &str) -> Option<Self> {
        let field = |name| text.lines().find_map(|line: &str| line.strip_prefix(name));
        let llvm = field("LLVM version: ")?.split('.').next()?;
        Some(Self { release: field("release: ")?.to_owned(), llvm_major: llvm.trim().parse().ok()? })
    }

    /// Whether unstable features are allowed without `RUSTC_BOOTSTRAP`.
    pub fn is_nightly(&self) -> bool {
        self.release.contains("nightly") || self.release.contains("dev")
    }
}

/// The way asked for by the environment: `any`, `rust-src` or `packages`.
pub fn wanted_way() -> Result<String> {
    let way = std::env::var(WAY_VARIABLE).unwrap_or_else(|_| "any".to_owned());
    if !matches!(way.as_str(), "any" | "rust-src" | "packages") {
        bail!("{WAY_VARIABLE}={way}: use rust-src or packages, or leave it unset");
    }
    Ok(way)
}

/// The first installed compiler that can: the one in use, then the distribution's.
pub fn find_compiler(way: &str) -> Option<Compiler> {
    let in_use = (command::on_path("cargo"), command::on_path("rustc"));
    let packaged = (Some(PathBuf::from("/usr/bin/cargo")), Some(PathBuf::from("/usr/bin/rustc")));
    [in_use, packaged].into_iter().find_map(|(cargo, rustc)| inspect(cargo?, rustc?, way))
}

fn inspect(cargo: PathBuf, rustc: PathBuf, way: &str) -> Option<Compiler> {
    if !command::is_executable(&cargo) || !command::is_executable(&rustc) {
        return None;
    }
    let sysroot = command::read(Command::new(&rustc).args(["--print", "sysroot"])).ok()?;
    let libraries = Path::new(sysroot.trim()).join("lib/rustlib");
    let core = if way != "rust-src" && has_core(&libraries.join(BPF_TARGET).join("lib")) {
        Core::Precompiled
    } else if way != "packages" && libraries.join("src/rust/library/core/Cargo.toml").is_file() {
        Core::Source
    } else {
        return None;
    };
    let version = Version::parse(&command::read(Command::new(&rustc).arg("-vV")).ok()?)?;
    Some(Compiler { cargo, rustc, core, version })
}

fn has_core(directory: &Path) -> bool {
    let Ok(entries) = fs::read_dir(directory) else { return false };
    entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("libcore-"))
}

/// The first bpf-linker that runs and is new enough: the private one, then the one on PATH.
pub fn find_linker(workspace: &Workspace, llvm_major: u32) -> Option<PathBuf> {
    let private = workspace.tools().join("bin/bpf-linker");
    [Some(private), command::on_path("bpf-linker")]
        .into_iter()
        .flatten()
        .find(|linker| linker_serves(linker, llvm_major).unwrap_or(false))
}

/// A linker linked to an older LLVM cannot read the compiler's bitcode. One with LLVM built in does
/// not tell its version; it is tried.
fn linker_serves(linker: &Path, llvm_major: u32) -> Result<bool> {
    let version = command::read(Command::new(linker).arg("--version"))?;
    let bytes = fs::read(linker).with_context(|| format!("reading {}", linker.display()))?;
    Ok(version.starts_with("bpf-linker") && linked_llvm(&bytes).is_none_or(|major| major >= llvm_major))
}

/// The major version in a `libLLVM.so.22.1` or `libLLVM-22.so` among a binary's strings.
fn linked_llvm(binary: &[u8]) -> Option<u32> {
    const NAME: &[u8] = b"libLLVM";
    let at = binary.windows(NAME.len()).position(|window| window == NAME)?;
    let rest = binary.get(at + NAME.len()..)?;
    let rest = rest.strip_prefix(b".so.").or_else(|| rest.strip_prefix(b"-"))?;
    let digits: Vec<u8> = rest.iter().copied().take_while(u8::is_ascii_digit).take(4).collect();
    String::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compiler_versions_are_read() {
        let text = "rustc 1.95.0 (59807616e 2026-04-14)\nrelease: 1.95.0\nLLVM version: 22.1.2\n";
        let version = Version::parse(text).unwrap();
        assert_eq!(version, Version { release: "1.95.0".into(), llvm_major: 22 });
        assert!(!version.is_nightly());
        assert!(Version::parse("release: 1.99.0-nightly\nLLVM version: 23.0.0").unwrap().is_nightly());
        assert_eq!(Version::parse("release: 1.95.0"), None);
    }

    #[test]
    fn the_linkers_llvm_is_read_from_its_needed_library() {
        assert_eq!(linked_llvm(b"\0libLLVM.so.22.1\0"), Some(22));
        assert_eq!(linked_llvm(b"\0libLLVM-19.so.1\0"), Some(19));
        assert_eq!(linked_llvm(b"static"), None);
    }
}
