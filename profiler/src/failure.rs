//! How a command fails: which exit code, and one line that says why and what to do.
//!
//! In: errors of any stage. Out: the process's exit code (design: 1 runtime, 2 usage or nothing
//! matched, 3 privilege or the kernel lacks it; of `diff` 4 a condition is met, 5 it cannot be decided).

use std::process::ExitCode;

/// Why a command did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The call was wrong, or its target matches nothing or too much: exit 2.
    #[error("{0}")]
    Usage(String),
    /// This user or this kernel may not: exit 3.
    #[error("{0}")]
    Privilege(String),
    /// A condition that was asked for is met: exit 4.
    #[error("{0}")]
    Condition(String),
    /// A condition that was asked for can be neither affirmed nor denied: exit 5.
    #[error("{0}")]
    Undecided(String),
    /// Anything else: exit 1.
    #[error("{0:#}")]
    Runtime(#[from] anyhow::Error),
}

impl Failure {
    /// The process's exit code.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Runtime(_) => 1,
            Self::Usage(_) => 2,
            Self::Privilege(_) => 3,
            Self::Condition(_) => 4,
            Self::Undecided(_) => 5,
        })
    }
}
