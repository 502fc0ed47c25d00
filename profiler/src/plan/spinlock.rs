//! Which kind of spinlocks this kernel uses: that decides what the contention tracepoints see.
//!
//! In: /proc/cpuinfo and the kernel's own lines of the boot log. Out: [`SpinLocks`].

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;

use serde::Serialize;

use crate::machine;

/// Which spinlock code the kernel runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SpinLocks {
    /// Queued locks of bare metal.
    Native,
    /// Queued locks of a guest whose host helps.
    Paravirtual,
    /// A guest without such help: plain test-and-set.
    TestAndSet,
    /// Unknown, and why.
    Unknown(String),
}

/// Records of the log that are read at most.
const RECORDS: usize = 200_000;

/// Reads the kind of spinlocks in use.
pub fn read() -> SpinLocks {
    let Ok(cpuinfo) = machine::read("/proc/cpuinfo", 16 << 10) else {
        return SpinLocks::Unknown("/proc/cpuinfo is not readable".to_owned());
    };
    if !is_guest(&cpuinfo) {
        return SpinLocks::Native;
    }
    let mut seen = None;
    let log = each_kernel_record(|message| seen = seen.or_else(|| verdict(message)));
    match (seen, log) {
        (Some(locks), _) => locks.into(),
        (None, Ok(())) => SpinLocks::Unknown("the boot log no longer says".to_owned()),
        (None, Err(why)) => SpinLocks::Unknown(why),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    On,
    Off,
}

impl From<Verdict> for SpinLocks {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::On => Self::Paravirtual,
            Verdict::Off => Self::TestAndSet,
        }
    }
}

fn is_guest(cpuinfo: &str) -> bool {
    let flags = cpuinfo.lines().find_map(|line| line.strip_prefix("flags")?.split_once(':'));
    flags.is_some_and(|(_, flags)| flags.split(' ').any(|flag| flag == "hypervisor"))
}

/// What KVM, Xen and Hyper-V guests log when they choose their locks.
fn verdict(message: &str) -> Option<Verdict> {
    let lower = message.to_ascii_lowercase();
    if !lower.contains("pv spinlocks") && !lower.contains("pv_spinlocks") {
        return None;
    }
    if lower.contains("enabled") { Some(Verdict::On) } else { Some(Verdict::Off) }
}

/// Calls `each` with every message of the kernel; what processes wrote to the log is left out.
fn each_kernel_record(mut each: impl FnMut(&str)) -> Result<(), String> {
    let mut log = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open("/dev/kmsg")
        .map_err(|_| "the boot log is not readable by this user".to_owned())?;
    let mut record = [0; 8192];
    for _ in 0..RECORDS {
        match log.read(&mut record) {
            Ok(length) => {
                if let Some(message) = kernel_message(record.get(..length).unwrap_or_default()) {
                    each(&message);
                }
            }
            // Overwritten while reading: the next read goes on with the oldest record left.
            Err(error) if error.raw_os_error() == Some(libc::EPIPE) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(()),
            Err(_) => return Err("the boot log is not readable by this user".to_owned()),
        }
    }
    Ok(())
}

/// The text of a record `priority,sequence,time,flags;text` whose facility is the kernel's (0),
/// which no process can claim.
fn kernel_message(record: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(record);
    let (head, message) = text.split_once(';')?;
    let priority: u64 = head.split(',').next()?.parse().ok()?;
    (priority >> 3 == 0).then(|| message.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_own_line_decides() {
        assert_eq!(verdict("kvm-guest: PV spinlocks enabled"), Some(Verdict::On));
        assert_eq!(verdict("kvm-guest: PV spinlocks disabled, no host support"), Some(Verdict::Off));
        assert_eq!(verdict("Hyper-V: PV spinlocks enabled"), Some(Verdict::On));
        assert_eq!(verdict("Booting paravirtualized kernel on KVM"), None);
    }

    #[test]
    fn a_line_that_a_process_wrote_is_no_evidence() {
        assert_eq!(kernel_message(b"12,1,5,-;kvm-guest: PV spinlocks enabled"), None);
        assert_eq!(kernel_message(b"6,1,5,-;hello").as_deref(), Some("hello"));
        assert_eq!(kernel_message(b"garbage"), None);
    }

    #[test]
    fn the_hypervisor_flag_is_a_whole_word() {
        assert!(is_guest("model name : x\nflags\t\t: fpu hypervisor lm\n"));
        assert!(!is_guest("flags\t\t: fpu nohypervisor lm\n"));
    }
}
