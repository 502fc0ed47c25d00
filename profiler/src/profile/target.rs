//! The target, as the capture describes it.
//!
//! In: the resolved target. Out: text for titles and summaries.

use serde::{Deserialize, Serialize};

/// Who was measured, and by which way of telling them apart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetNote {
    /// What the user would call it: `container web`, `pid 1234`, `whole machine`.
    pub label: String,
    /// The kernel-side way: `cgroup v2 id 1234 at level 3`, `cgroup v1 memory …`, `pid set`, `none`.
    pub way: String,
    /// Container image, pod and the like, as `key` → `value`.
    pub details: Vec<(String, String)>,
}
