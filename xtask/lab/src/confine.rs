//! In: the workload. Out: a copy of it that AppArmor confines, by a profile that allows what it does: every hook of
//! the security layer then goes the whole way.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, ensure};

/// Where the copy is: profiles go by path.
const PROGRAM: &str = "/tmp/confined/workload";
/// The profile's name, and what tasks under it are labelled.
pub const LABEL: &str = "labtest (enforce)";
const FEATURES: &str = "/sys/kernel/security/apparmor/features";

/// Loads the profile, and returns the program to run.
///
/// # Errors
/// When this kernel's AppArmor does not take it.
pub fn workload() -> Result<&'static str> {
    let directory = Path::new(PROGRAM).parent().context("a directory")?;
    fs::create_dir_all(directory)?;
    fs::copy("/job/workload", PROGRAM).context("copying the workload")?;
    let profile = directory.join("profile");
    let rules = "file, network, unix, signal, ptrace, capability,";
    fs::write(&profile, format!("profile labtest {PROGRAM} flags=(attach_disconnected) {{ {rules} }}\n"))?;
    let mut parser = Command::new("apparmor_parser");
    parser.args(["--policy-features", FEATURES, "--kernel-features", FEATURES, "-K", "-r"]).arg(&profile);
    let output = parser.output().context("starting apparmor_parser")?;
    let complaint = String::from_utf8_lossy(&output.stderr).replace('\n', " ");
    ensure!(output.status.success(), "apparmor_parser: {complaint}");
    Ok(PROGRAM)
}
