//! In: the modules that the guest was given. Out: a disk that answers each request after a time that is known.

use std::{
    ffi::CString,
    fs::{self, File},
    os::fd::AsRawFd,
    path::Path,
};

use anyhow::{Context, Result, ensure};

/// How long the disk takes for a request, ns.
pub const ANSWERS_AFTER_NS: u64 = 2_000_000;
/// Where it is.
const DISK: &str = "/dev/nullb0";
const MODULES: &str = "/job/modules";

/// Makes it, once.
///
/// # Errors
/// When the guest has no such module, or its kernel does not take it.
pub fn make() -> Result<()> {
    if Path::new(DISK).exists() {
        return Ok(());
    }
    let listed = fs::read_dir(MODULES).context("this guest was given no modules")?;
    let mut modules: Vec<_> = listed.flatten().map(|entry| entry.path()).collect();
    modules.sort();
    for module in &modules {
        let is_disk = module.to_string_lossy().ends_with("null_blk.ko");
        // Requests that a timer completes, one at a time.
        let how = format!(
            "queue_mode=2 irqmode=2 completion_nsec={ANSWERS_AFTER_NS} hw_queue_depth=1 nr_devices=1 gb=1"
        );
        load(module, if is_disk { &how } else { "" })?;
    }
    ensure!(Path::new(DISK).exists(), "{DISK} is not there after loading {modules:?}");
    Ok(())
}

fn load(module: &Path, parameters: &str) -> Result<()> {
    let file = File::open(module)?;
    let parameters = CString::new(parameters)?;
    // SAFETY: an open descriptor, a C string, no flags.
    let loaded = unsafe { libc::syscall(libc::SYS_finit_module, file.as_raw_fd(), parameters.as_ptr(), 0) };
    let error = std::io::Error::last_os_error();
    ensure!(
        loaded == 0 || error.raw_os_error() == Some(libc::EEXIST),
        "loading {}: {error}",
        module.display()
    );
    Ok(())
}
