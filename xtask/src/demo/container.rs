//! In: what the workload should do. Out: it runs in a runc container with a busybox root built on the
//! spot, or in a bare cgroup where there is no runc; dropping the guard takes all of it away.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::{command, statics, workspace::Workspace};

const NAME: &str = "profiler-demo";

/// The running workload.
pub enum Container {
    Runc { state: PathBuf },
    Cgroup { directory: PathBuf, child: Child },
}

impl Container {
    /// Where it runs, for people.
    pub fn place(&self) -> String {
        match self {
            Self::Runc { .. } => format!("the runc container {NAME}"),
            Self::Cgroup { directory, .. } => format!("the cgroup {} (no runc here)", directory.display()),
        }
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        match self {
            Self::Runc { state } => delete(state),
            Self::Cgroup { directory, child } => {
                let _ = child.kill();
                let _ = child.wait();
                let _ = fs::remove_dir(directory);
            }
        }
    }
}

/// Starts the workload with these arguments in a container of its own.
///
/// # Errors
/// When neither runc nor a cgroup will take it.
pub fn start(workspace: &Workspace, arguments: &[&str]) -> Result<Container> {
    let workload = statics::binary(workspace, "workload");
    if command::on_path("runc").is_some() {
        match in_runc(workspace, &workload, arguments) {
            Ok(container) => return Ok(container),
            Err(error) => println!("xtask: runc: {error:#}; taking a bare cgroup instead"),
        }
    }
    in_cgroup(&workload, arguments)
}

fn in_runc(workspace: &Workspace, workload: &Path, arguments: &[&str]) -> Result<Container> {
    let state = workspace.target().join("demo/runc");
    let bundle = workspace.target().join("demo/bundle");
    build_root(&bundle.join("rootfs"), workload)?;
    let mut words = vec!["/bin/workload"];
    words.extend(arguments);
    fs::write(bundle.join("config.json"), configuration(&words).to_string())?;
    // What a killed run may have left.
    delete(&state);
    let container = Container::Runc { state: state.clone() };
    let runc = Command::new("runc")
        .arg("--root")
        .arg(&state)
        .args(["run", "--detach", "--bundle"])
        .arg(&bundle)
        .arg(NAME)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status();
    match runc.context("starting runc")?.success() {
        true => Ok(container),
        false => anyhow::bail!("it could not start the container"),
    }
}

fn delete(state: &Path) {
    let mut runc = Command::new("runc");
    runc.arg("--root").arg(state).args(["delete", "--force", NAME]);
    let _ = runc.stdout(Stdio::null()).stderr(Stdio::null()).status();
}

/// A root directory with busybox and the workload.
fn build_root(root: &Path, workload: &Path) -> Result<()> {
    for directory in ["bin", "proc", "dev", "sys", "tmp"] {
        fs::create_dir_all(root.join(directory))?;
    }
    install(workload, &root.join("bin/workload"))?;
    if let Some(busybox) = command::on_path("busybox") {
        install(&busybox, &root.join("bin/busybox"))?;
        let shell = root.join("bin/sh");
        if !shell.exists() {
            std::os::unix::fs::symlink("busybox", shell)?;
        }
    }
    Ok(())
}

fn install(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).with_context(|| format!("copying {}", from.display()))?;
    fs::set_permissions(to, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

/// The least a runtime needs: own pid, mount, ipc, uts and network namespaces, no privileges.
fn configuration(words: &[&str]) -> Value {
    let namespaces = ["pid", "mount", "ipc", "uts", "network"].map(|kind| json!({ "type": kind }));
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": { "uid": 0, "gid": 0 },
            "args": words,
            "env": ["PATH=/bin"],
            "cwd": "/",
            "noNewPrivileges": true
        },
        "root": { "path": "rootfs", "readonly": true },
        "hostname": NAME,
        "mounts": [
            { "destination": "/proc", "type": "proc", "source": "proc" },
            { "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"] }
        ],
        "linux": {
            "cgroupsPath": format!("/{NAME}"),
            "namespaces": namespaces
        }
    })
}

fn in_cgroup(workload: &Path, arguments: &[&str]) -> Result<Container> {
    let directory = cgroup_root().join(NAME);
    if !directory.is_dir() {
        fs::create_dir(&directory).with_context(|| format!("creating {}", directory.display()))?;
    }
    // The shell moves itself in before it becomes the workload, so that no call is made outside.
    let child = Command::new("/bin/sh")
        .args(["-c", "echo $$ > \"$1\" && shift && exec \"$@\"", "sh"])
        .arg(directory.join("cgroup.procs"))
        .arg(workload)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .context("starting the workload")?;
    Ok(Container::Cgroup { directory, child })
}

/// The cgroup v2 tree, which hybrid hosts mount at `unified`.
fn cgroup_root() -> PathBuf {
    let unified = PathBuf::from("/sys/fs/cgroup/unified");
    if unified.is_dir() { unified } else { PathBuf::from("/sys/fs/cgroup") }
}
