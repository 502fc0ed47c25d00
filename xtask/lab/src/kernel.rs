//! In: the guest's kernel. Out: its version, what it logged since a moment, and counts of its tracepoints and
//! functions that do not come from the profiler: the independent witness.

use std::{
    fs,
    os::fd::{FromRawFd, OwnedFd},
};

use anyhow::{Context, Result, bail};

/// Possible CPUs of the guest that has many.
pub const MANY: u32 = 64;
const TRACEFS: &str = "/sys/kernel/tracing";
/// What a healthy kernel does not write.
const COMPLAINTS: [&str; 8] = [
    "Oops",
    "BUG:",
    "WARNING:",
    "Kernel panic",
    "general protection",
    "lockup",
    "detected stalls",
    "blocked for more than",
];

/// Major and minor number.
///
/// # Errors
/// When the kernel's release is not to be read.
pub fn version() -> Result<(u32, u32)> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let mut numbers = release.split(|letter: char| !letter.is_ascii_digit()).map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Ok((major, minor)),
        _ => bail!("{release}: not a release"),
    }
}

/// CPUs that per-CPU memory is there for.
///
/// # Errors
/// When sysfs does not tell.
pub fn possible_cpus() -> Result<u32> {
    let text = fs::read_to_string("/sys/devices/system/cpu/possible")?;
    let last = text.trim().rsplit(['-', ',']).next().and_then(|number| number.parse::<u32>().ok());
    last.map(|last| last + 1).with_context(|| format!("{text}: not a range of CPUs"))
}

/// All per-CPU memory of the kernel, bytes.
///
/// # Errors
/// When procfs does not tell.
pub fn per_cpu_bytes() -> Result<u64> {
    let text = fs::read_to_string("/proc/meminfo")?;
    let line = text.lines().find_map(|line| line.strip_prefix("Percpu:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    Ok(kibibytes.context("no line of Percpu in meminfo")? << 10)
}

/// Whether a module of the security layer is active.
pub fn has_module(name: &str) -> bool {
    let modules = fs::read_to_string("/sys/kernel/security/lsm").unwrap_or_default();
    modules.trim().split(',').any(|module| module == name)
}

/// Lines of the kernel's log that complain, all since boot.
pub fn complaints() -> Vec<String> {
    const READ_ALL: i32 = 3;
    let mut bytes = vec![0_u8; 1 << 20];
    let length = i32::try_from(bytes.len()).unwrap_or(i32::MAX);
    // SAFETY: the kernel writes at most `length` bytes into the buffer.
    let got = unsafe { libc::klogctl(READ_ALL, bytes.as_mut_ptr().cast(), length) };
    bytes.truncate(usize::try_from(got).unwrap_or(0));
    let text = String::from_utf8_lossy(&bytes);
    let complains = |line: &&str| COMPLAINTS.iter().any(|complaint| line.contains(complaint));
    text.lines().filter(complains).map(str::to_owned).collect()
}

/// Counts hits of one trace event by the threads of one process, also those it starts later.
pub struct Counter {
    event: OwnedFd,
}

impl Counter {
    /// Counts from now on; `filter` is in tracefs' own language, empty is all.
    ///
    /// # Errors
    /// When the kernel has no such event.
    pub fn start(event: &str, filter: &str, pid: u32) -> Result<Self> {
        const TRACEPOINT: u64 = 2;
        const SIZE: u64 = 64;
        const INHERIT: u64 = 1 << 1;
        const SET_FILTER: u64 = 0x4008_2406;
        let path = format!("{TRACEFS}/events/{event}/id");
        let id = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
        // perf_event_attr as of its first version: type and size, config, period, formats, flags.
        let mut attributes = [0_u64; 8];
        attributes[0] = TRACEPOINT | SIZE << 32;
        attributes[1] = id.trim().parse().context("reading an event's id")?;
        attributes[5] = INHERIT;
        // SAFETY: the kernel reads as many bytes as the size in it says.
        let fd = unsafe { libc::syscall(libc::SYS_perf_event_open, attributes.as_mut_ptr(), pid, -1, -1, 0) };
        let fd = i32::try_from(fd).context("a file descriptor")?;
        if fd < 0 {
            return Err(std::io::Error::last_os_error()).with_context(|| format!("counting {event}"));
        }
        let words = std::ffi::CString::new(filter)?;
        // SAFETY: the descriptor is open, the filter a C string.
        if !filter.is_empty() && unsafe { libc::ioctl(fd, SET_FILTER as _, words.as_ptr()) } != 0 {
            return Err(std::io::Error::last_os_error())
                .with_context(|| format!("filtering {event}: {filter}"));
        }
        // SAFETY: just opened, and owned by nobody else.
        Ok(Self { event: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    /// How many there were.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn count(self) -> Result<u64> {
        use std::io::Read;
        let mut bytes = [0; 8];
        fs::File::from(self.event).read_exact(&mut bytes).context("reading a counter")?;
        Ok(u64::from_ne_bytes(bytes))
    }
}

/// A tracefs kprobe, removed when dropped.
pub struct Kprobe;

impl Kprobe {
    /// The name of its event.
    pub const EVENT: &'static str = "lab/probed";

    /// Places one on a function; counters of [`Self::EVENT`] arm it.
    ///
    /// # Errors
    /// When the kernel has no such function.
    pub fn place(function: &str) -> Result<Self> {
        write(&format!("p:{} {function}", Self::EVENT)).with_context(|| format!("a kprobe on {function}"))?;
        Ok(Self)
    }

    /// All hits on all CPUs, as `kprobe_profile` has them.
    ///
    /// # Errors
    /// When tracefs does not tell.
    pub fn hits(&self) -> Result<u64> {
        let text = fs::read_to_string(format!("{TRACEFS}/kprobe_profile"))?;
        let line = text.lines().find(|line| line.trim().starts_with("probed"));
        let hits = line.and_then(|line| line.split_whitespace().nth(1));
        hits.and_then(|hits| hits.parse().ok()).context("no line of our kprobe in kprobe_profile")
    }
}

impl Drop for Kprobe {
    fn drop(&mut self) {
        let _ = write(&format!("-:{}", Self::EVENT));
    }
}

fn write(line: &str) -> Result<()> {
    use std::io::Write;
    let mut file = fs::OpenOptions::new().append(true).open(format!("{TRACEFS}/kprobe_events"))?;
    Ok(writeln!(file, "{line}")?)
}
