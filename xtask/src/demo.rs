//! In: a fresh machine. Out: ten seconds of it recorded while a slow workload runs in a container of
//! its own: the findings on the terminal, a capture and flame graphs under `target/demo/`.

mod container;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::{build, command, kernel_side, setup, statics, workspace::Workspace};

/// How long the workload lives, in milliseconds: the ten recorded seconds and the attaching before.
const WORKLOAD_MS: &str = "15000";

#[derive(clap::Args)]
pub struct Options {
    /// Everything is built already (how the demo calls itself through sudo)
    #[arg(long, hide = true)]
    built: bool,
}

/// `cargo xtask demo`.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    if !options.built {
        kernel_side::object(workspace)?;
        build::tool(workspace, true)?;
        statics::package(workspace, "workload")?;
        setup::demo_packages(workspace);
    }
    if !setup::is_root() {
        return through_sudo();
    }
    finish_when_interrupted();
    let directory = fresh_directory(workspace)?;
    let container = container::start(workspace, &["demo", WORKLOAD_MS])?;
    println!("xtask: a slow workload runs in {}", container.place());
    let recorded = record(workspace, &directory);
    drop(container);
    recorded?;
    give_back(&directory);
    show(&directory)
}

fn through_sudo() -> Result<()> {
    if command::on_path("sudo").is_none() {
        bail!("recording the whole machine needs root and there is no sudo: run this as root");
    }
    println!("xtask: recording the whole machine needs root: going on through sudo");
    let own = std::env::current_exe().context("finding xtask's own binary")?;
    command::run(Command::new("sudo").arg("--").arg(own).args(["demo", "--built"]))
}

/// Ctrl-C ends the recording, which is a child; the container must still be taken down after it.
/// A handler, unlike an ignored signal, is not inherited by that child.
fn finish_when_interrupted() {
    extern "C" fn noted(_signal: libc::c_int) {}
    for signal in [libc::SIGINT, libc::SIGTERM] {
        // SAFETY: the handler does nothing, so it is safe at any instruction.
        unsafe { libc::signal(signal, noted as *const () as libc::sighandler_t) };
    }
}

/// A path under `target/demo/` that does not exist yet.
fn fresh_directory(workspace: &Workspace) -> Result<PathBuf> {
    let parent = workspace.target().join("demo");
    fs::create_dir_all(&parent).with_context(|| format!("creating {}", parent.display()))?;
    (1..10_000)
        .map(|number| parent.join(format!("recording-{number}")))
        .find(|path| !path.exists())
        .with_context(|| format!("{} is full of recordings: remove some", parent.display()))
}

fn record(workspace: &Workspace, directory: &Path) -> Result<()> {
    let profiler = workspace.binary("release", "profiler");
    println!("xtask: {} record -d 10s -o {}", profiler.display(), directory.display());
    command::run(Command::new(profiler).args(["record", "-d", "10s", "-o"]).arg(directory))
}

/// Hands what root wrote to the user who called sudo.
fn give_back(directory: &Path) {
    let id = |name| std::env::var(name).ok()?.parse::<u32>().ok();
    let (Some(user), Some(group)) = (id("SUDO_UID"), id("SUDO_GID")) else { return };
    let inside = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    for path in inside.chain([directory.to_owned()]) {
        // Best effort: the files can still be read through sudo.
        let _ = std::os::unix::fs::lchown(path, Some(user), Some(group));
    }
}

fn show(directory: &Path) -> Result<()> {
    let entries = fs::read_dir(directory).with_context(|| format!("reading {}", directory.display()))?;
    let mut pictures: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    pictures.retain(|path| path.extension().is_some_and(|extension| extension == "svg"));
    pictures.sort();
    if pictures.is_empty() {
        bail!("the recording left no flame graph in {}", directory.display());
    }
    println!("\nFlame graphs (open them in a browser):");
    for picture in pictures {
        println!("  {}", picture.display());
    }
    Ok(())
}
