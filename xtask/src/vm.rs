//! In: the version of a kernel and a command. Out: that command's output and exit code, from a guest that runs a
//! stock Debian kernel with the static profiler and the workload inside. `target/vm/VERSION` has its log, and what
//! the command left in `/out`.

pub mod cpio;
pub mod guest;
pub mod headers;
pub mod image;
pub mod kernel;
pub mod mirror;
pub mod modules;
pub mod stream;

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, Result};

use crate::{command, setup, statics::Binaries, workspace::Workspace};
use guest::Guest;
use image::Job;
use kernel::Cache;

#[derive(clap::Args)]
pub struct Options {
    /// Boot the newest kernel of this version: 5.10, 6.1, 6.12, 6.18, 7.2 or another one of --list
    #[arg(long, value_name = "VERSION", default_value = "6.1")]
    kernel: String,
    /// List the kernels: what is cached, what the mirror has
    #[arg(long)]
    list: bool,
    /// Ask the mirror for a newer kernel than the cached one
    #[arg(long)]
    update: bool,
    /// CPUs, as QEMU spells them: 4, or 2,maxcpus=64
    #[arg(long, value_name = "N", default_value = "2")]
    smp: String,
    /// Memory, as QEMU spells it
    #[arg(long, value_name = "SIZE", default_value = "2G")]
    memory: String,
    /// More words for the kernel's command line, like "lsm=lockdown,yama,apparmor,bpf"
    #[arg(long, value_name = "WORDS", default_value = "", allow_hyphen_values = true)]
    cmdline: String,
    /// Kill the guest after so many seconds [default: 300 with a command, none for a shell]
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// Put a file into the guest: FILE to /job/NAME, FILE=/PATH to there
    #[arg(long, value_name = "FILE[=/PATH]")]
    file: Vec<String>,
    /// Another argument for QEMU
    #[arg(long, value_name = "WORD", allow_hyphen_values = true)]
    qemu: Vec<String>,
    /// What to run as root in the guest; none is a shell, or the script on stdin if that is no terminal
    #[arg(last = true, value_name = "CMD")]
    command: Vec<String>,
}

/// `cargo xtask vm`.
pub fn run(workspace: &Workspace, options: &Options) -> Result<ExitCode> {
    if options.list {
        kernel::list()?;
        return Ok(ExitCode::SUCCESS);
    }
    let directory = directory(workspace, &options.kernel);
    let mut job = Job { command: options.command.clone(), files: files(&Binaries::build(workspace)?) };
    for file in &options.file {
        job.files.push(placed(file)?);
    }
    let interactive = job.command.is_empty() && guest::has_terminal();
    if job.command.is_empty() && !interactive {
        job.files.push((guest::piped_script(&directory)?, "job/script".to_owned()));
        job.command = vec!["sh".to_owned(), "/job/script".to_owned()];
    }
    let mut guest = prepare(workspace, (&options.kernel, options.update), &job, &directory)?;
    guest.smp.clone_from(&options.smp);
    guest.memory.clone_from(&options.memory);
    guest.cmdline.clone_from(&options.cmdline);
    guest.arguments.clone_from(&options.qemu);
    guest.interactive = interactive;
    let limit = options.timeout.or((!interactive).then_some(300));
    guest.limit = limit.map(Duration::from_secs);
    show(&guest)
}

fn show(guest: &Guest) -> Result<ExitCode> {
    println!("vm: booting {}{}", guest.name, if guest.interactive { "; `exit` ends it" } else { "" });
    let ending = guest.run(&mut show_bytes);
    let _ = fs::remove_file(&guest.initrd);
    let ending = ending?;
    println!();
    if let Some(complaint) = ending.stream.complaint() {
        println!("vm: the guest's kernel complained: {complaint}");
    }
    let code = ending.code(guest)?;
    println!("vm: {}: exit code {code}; log and /out in {}", guest.name, guest.directory.display());
    Ok(ExitCode::from(code))
}

/// What a guest says, on this terminal.
pub fn show_bytes(bytes: &[u8]) {
    let mut stdout = std::io::stdout().lock();
    // A closed pipe is no reason to leave the guest without its end.
    let _ = stdout.write_all(bytes).and_then(|()| stdout.flush());
}

/// Where a guest's log and what it leaves in `/out` are: that of a kernel, or of one of several guests of it.
pub fn directory(workspace: &Workspace, name: &str) -> PathBuf {
    workspace.target().join("vm").join(name)
}

/// A guest with the usual settings, ready to boot; its initial file system is the caller's to remove.
///
/// # Errors
/// When QEMU, the kernel or the base cannot be had.
pub fn prepare(
    workspace: &Workspace,
    (version, update): (&str, bool),
    job: &Job,
    directory: &Path,
) -> Result<Guest> {
    require_emulator(workspace)?;
    let cache = Cache::open()?;
    let kernel = cache.kernel(version, update)?;
    let mut job = job.clone();
    job.files.extend(modules::placed(&kernel.modules));
    let initrd = image::write(&cache, &job, directory)?;
    Ok(Guest {
        name: kernel.release,
        image: kernel.image,
        initrd,
        smp: "2".to_owned(),
        memory: "2G".to_owned(),
        cmdline: String::new(),
        arguments: Vec::new(),
        limit: Some(Duration::from_secs(300)),
        directory: directory.to_owned(),
        interactive: false,
    })
}

/// Installs QEMU, and what the mirror's signatures are checked by, where it is not there.
///
/// # Errors
/// When apt cannot.
pub fn require_emulator(workspace: &Workspace) -> Result<()> {
    if command::on_path("qemu-system-x86_64").is_some() {
        return Ok(());
    }
    setup::packages(workspace, &["qemu-system-x86", "seabios", "debian-archive-keyring"])
}

/// The static profiler, the workload and the lab's driver, as the guest has them.
pub fn files(binaries: &Binaries) -> Vec<(PathBuf, String)> {
    let Binaries { profiler, workload, lab, profiler_lab: _ } = binaries;
    [(profiler, "profiler"), (workload, "workload"), (lab, "lab")]
        .map(|(path, name)| (path.clone(), format!("job/{name}")))
        .to_vec()
}

fn placed(file: &str) -> Result<(PathBuf, String)> {
    if let Some((from, to)) = file.split_once("=/") {
        return Ok((PathBuf::from(from), to.to_owned()));
    }
    let name = Path::new(file).file_name().and_then(|name| name.to_str());
    Ok((PathBuf::from(file), format!("job/{}", name.with_context(|| format!("--file {file}: not a file"))?)))
}
