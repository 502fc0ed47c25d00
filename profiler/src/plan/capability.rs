//! Capabilities: which ones the tool uses, and what each is for.
//!
//! In: the `CapEff` mask of /proc/self/status. Out: names and purposes.

use serde::Serialize;

macro_rules! capabilities {
    ($($(#[$doc:meta])* $variant:ident = $bit:literal, $name:literal, $purpose:literal;)*) => {
        /// A Linux capability the tool has a use for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        pub enum Capability { $($(#[$doc])* $variant,)* }

        impl Capability {
            /// All of them, most needed first.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The kernel's bit number.
            pub const fn bit(self) -> u32 {
                match self { $(Self::$variant => $bit,)* }
            }

            /// The kernel's name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What cannot be done without it.
            pub const fn purpose(self) -> &'static str {
                match self { $(Self::$variant => $purpose,)* }
            }
        }
    };
}

capabilities! {
    /// Loading.
    Bpf = 39, "CAP_BPF", "load programs and maps";
    /// Attaching, sampling.
    Perfmon = 38, "CAP_PERFMON", "attach to tracepoints, sample all CPUs";
    /// kallsyms.
    Syslog = 34, "CAP_SYSLOG", "name kernel functions";
    /// Other processes.
    SysPtrace = 19, "CAP_SYS_PTRACE", "read other processes' maps, binaries and root";
    /// map_files.
    CheckpointRestore = 40, "CAP_CHECKPOINT_RESTORE", "pin executables (map_files) before they are deleted";
    /// tracefs, map_files.
    DacReadSearch = 2, "CAP_DAC_READ_SEARCH", "open files of other users, tracefs";
    /// Listing.
    SysAdmin = 21, "CAP_SYS_ADMIN", "list other BPF programs; stands in for CAP_BPF before Linux 5.8";
    /// Old memory accounting.
    SysResource = 24, "CAP_SYS_RESOURCE", "raise the locked-memory limit (only before Linux 5.11)";
}

/// The capability set of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct CapabilitySet(pub u64);

impl CapabilitySet {
    /// Parses the hexadecimal mask of a `Cap…:` line.
    pub fn parse(mask: &str) -> Option<Self> {
        u64::from_str_radix(mask.trim(), 16).ok().map(Self)
    }

    /// Whether the set holds a capability.
    pub const fn has(self, capability: Capability) -> bool {
        self.0 >> capability.bit() & 1 == 1
    }

    /// Capabilities that the tool uses and that are not in the set.
    pub fn lacking(self) -> Vec<Capability> {
        Capability::ALL.iter().copied().filter(|capability| !self.has(*capability)).collect()
    }
}
