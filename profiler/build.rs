//! In: the kernel-side object that `cargo xtask build` leaves in `target/bpf/`, or the file named by
//! `PROFILER_EBPF_OBJECT`. Out: `$OUT_DIR/profiler.bpf.o`, embedded by
//! `aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/profiler.bpf.o"))`.
//! Without an object the file is empty and `cfg(ebpf_stub)` is set, so that plain `cargo build`,
//! `clippy` and `test` work on stable Rust with no BPF toolchain; the tool then explains itself when run.

use std::{env, fs, io, path::PathBuf};

fn main() -> io::Result<()> {
    println!("cargo:rustc-check-cfg=cfg(ebpf_stub)");
    println!("cargo:rerun-if-env-changed=PROFILER_EBPF_OBJECT");
    println!("cargo:rerun-if-changed=build.rs");
    let source = object_path()?;
    println!("cargo:rerun-if-changed={}", source.display());
    let object = match fs::read(&source) {
        Ok(bytes) if bytes.starts_with(b"\x7fELF") => bytes,
        Ok(_) => return Err(io::Error::other(format!("{} is not an ELF object", source.display()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            println!("cargo:rustc-cfg=ebpf_stub");
            Vec::new()
        }
        Err(error) => return Err(io::Error::other(format!("{}: {error}", source.display()))),
    };
    fs::write(required("OUT_DIR")?.join("profiler.bpf.o"), object)
}

fn object_path() -> io::Result<PathBuf> {
    if let Some(path) = env::var_os("PROFILER_EBPF_OBJECT") {
        return Ok(PathBuf::from(path));
    }
    Ok(required("CARGO_MANIFEST_DIR")?.join("../target/bpf/profiler.bpf.o"))
}

fn required(name: &str) -> io::Result<PathBuf> {
    env::var_os(name).map(PathBuf::from).ok_or_else(|| io::Error::other(format!("cargo did not set {name}")))
}
