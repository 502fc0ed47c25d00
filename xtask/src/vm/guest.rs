//! In: a kernel and an initial file system. Out: the guest's output as it comes, and how it ended. Emulated (TCG)
//! by one thread: with more, patching the kernel's text under load has crashed guests. Killed by pid when its time is over.

use std::{
    fs::{self, File},
    io::Read,
    os::{fd::AsRawFd, unix::process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::{command, vm::stream::Stream};

const PROGRAM: &str = "qemu-system-x86_64";
/// Lines of the log shown when a guest does not end by itself.
const TAIL: usize = 50;

/// A guest to boot.
pub struct Guest {
    /// How messages call it.
    pub name: String,
    pub image: PathBuf,
    pub initrd: PathBuf,
    /// CPUs as QEMU spells them: `4` or `2,maxcpus=64`.
    pub smp: String,
    pub memory: String,
    /// More words for the kernel's command line.
    pub cmdline: String,
    /// More arguments for QEMU.
    pub arguments: Vec<String>,
    pub limit: Option<Duration>,
    /// Where the guest's `/out` comes to, and its log.
    pub directory: PathBuf,
    /// Whether this terminal's keys go to the guest.
    pub interactive: bool,
}

/// How a guest ended.
pub struct Ending {
    pub stream: Stream,
    /// QEMU's exit code: twice the job's plus one, by the exit device; 0 after a panic.
    status: Option<i32>,
    expired: bool,
}

impl Guest {
    /// Boots it and waits for its end.
    ///
    /// # Errors
    /// When QEMU cannot be run. A guest that fails is no error here.
    pub fn run(&self, sink: &mut dyn FnMut(&[u8])) -> Result<Ending> {
        let terminal = self.interactive.then(Terminal::save);
        let sent = self.directory.join("out.tar");
        fs::create_dir_all(&self.directory)
            .with_context(|| format!("creating {}", self.directory.display()))?;
        let mut child = self.command(&sent).spawn().with_context(|| format!("starting {PROGRAM}"))?;
        let followed = self.follow(&mut child, sink);
        if !matches!(followed, Ok((_, false))) {
            // A guest that has ended meanwhile cannot be killed, and need not.
            let _ = child.kill();
        }
        let status = child.wait().context("waiting for QEMU")?;
        drop(terminal);
        let (stream, expired) = followed?;
        fs::write(self.directory.join("log"), stream.log()).context("writing the guest's log")?;
        unpack(&sent)?;
        Ok(Ending { stream, status: status.code(), expired })
    }

    fn command(&self, sent: &Path) -> Command {
        let mut qemu = Command::new(PROGRAM);
        qemu.args([
            "-accel",
            "tcg,thread=single",
            "-cpu",
            "max,-hypervisor",
            "-smp",
            &self.smp,
            "-m",
            &self.memory,
        ])
        .args(["-display", "none", "-vga", "none", "-monitor", "none", "-no-reboot", "-nic", "none"])
        .args(["-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"])
        .arg("-chardev")
        .arg(format!("file,id=sent,path={}", sent.display()))
        .args(["-serial", "chardev:sent"])
        .args(["-device", "isa-debug-exit,iobase=0xf4,iosize=0x01"])
        .arg("-kernel")
        .arg(&self.image)
        .arg("-initrd")
        .arg(&self.initrd)
        .args(["-append", &format!("console=ttyS0 panic=-1 quiet {}", self.cmdline)])
        .args(&self.arguments)
        .stdin(if self.interactive { Stdio::inherit() } else { Stdio::null() })
        .stdout(Stdio::piped());
        // SAFETY: prctl is async-signal-safe and takes numbers only: a guest does not outlive us, however we end.
        unsafe {
            qemu.pre_exec(|| {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                Ok(())
            });
        }
        qemu
    }

    /// Reads the console to its end, or until the time is over: whether it is.
    fn follow(&self, child: &mut Child, sink: &mut dyn FnMut(&[u8])) -> Result<(Stream, bool)> {
        let mut console = child.stdout.take().context("QEMU has no output")?;
        let end = self.limit.map(|limit| Instant::now() + limit);
        let (mut stream, mut bytes) = (Stream::new(), [0; 4096]);
        loop {
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Ok((stream, true));
            }
            if !readable(&console, left) {
                continue;
            }
            match console.read(&mut bytes).context("reading the guest's console")? {
                0 => return Ok((stream, false)),
                got => stream.feed(&bytes[..got], sink),
            }
        }
    }
}

/// Waits for output, at most that long.
fn readable(console: &impl AsRawFd, limit: Option<Duration>) -> bool {
    let mut entry = libc::pollfd { fd: console.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let limit = limit.map_or(-1, |limit| i32::try_from(limit.as_millis() + 1).unwrap_or(i32::MAX));
    // SAFETY: one entry, alive for the call.
    unsafe { libc::poll(&raw mut entry, 1, limit) > 0 }
}

/// What the guest sent over its second line is an archive, if anything.
fn unpack(sent: &Path) -> Result<()> {
    let length = sent.metadata().map_or(0, |found| found.len());
    if length > 0 {
        let directory = sent.with_file_name("out");
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory)?;
        command::run(Command::new("tar").arg("-xf").arg(sent).arg("-C").arg(&directory))?;
    }
    let _ = fs::remove_file(sent);
    Ok(())
}

impl Ending {
    /// The job's exit code, which the mark and the exit device must agree on.
    ///
    /// # Errors
    /// When the guest did not come to its end, with the end of its log.
    pub fn code(&self, guest: &Guest) -> Result<u8> {
        let name = &guest.name;
        let tail = self.stream.tail(TAIL);
        let limit = guest.limit.unwrap_or_default().as_secs();
        if self.expired && !self.stream.began() {
            bail!("{name}: did not boot within {limit} s; the end of its log:\n{tail}");
        }
        if self.expired {
            bail!("{name}: not done after {limit} s, killed; the end of its log:\n{tail}");
        }
        let Some(code) = self.stream.code() else {
            bail!(
                "{name}: ended without an exit code (QEMU: {:?}); the end of its log:\n{tail}",
                self.status
            );
        };
        if self.status != Some(i32::from(code) * 2 % 256 + 1) {
            bail!(
                "{name}: its log says exit code {code}, QEMU {:?}; the end of its log:\n{tail}",
                self.status
            );
        }
        Ok(code)
    }
}

/// A terminal's settings, put back when dropped: a killed QEMU leaves it raw.
struct Terminal {
    settings: Option<libc::termios>,
}

impl Terminal {
    fn save() -> Self {
        // SAFETY: all zero is a valid value of this plain structure, which the call fills in.
        let mut settings: libc::termios = unsafe { std::mem::zeroed() };
        // SAFETY: writes one structure.
        let known = unsafe { libc::tcgetattr(0, &raw mut settings) } == 0;
        Self { settings: known.then_some(settings) }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(settings) = &self.settings {
            // SAFETY: reads one structure that tcgetattr filled in.
            unsafe { libc::tcsetattr(0, libc::TCSANOW, settings) };
        }
    }
}

/// Whether this program's standard input is a terminal.
pub fn has_terminal() -> bool {
    use std::io::IsTerminal;
    std::io::stdin().is_terminal()
}

/// Reads what is piped in, at most a megabyte: a script for the guest.
///
/// # Errors
/// When it cannot be read.
pub fn piped_script(directory: &Path) -> Result<PathBuf> {
    let mut script = Vec::new();
    std::io::stdin().take(1 << 20).read_to_end(&mut script).context("reading the script from stdin")?;
    fs::create_dir_all(directory)?;
    let path = directory.join("script");
    let mut file = File::create(&path).with_context(|| format!("writing {}", path.display()))?;
    std::io::Write::write_all(&mut file, &script)?;
    Ok(path)
}
