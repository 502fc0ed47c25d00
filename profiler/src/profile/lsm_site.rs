//! Functions of the security layer.
//!
//! In: nothing. Out: [`LsmSite`].

use serde::{Deserialize, Serialize};

/// A traced function of the kernel's security layer.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LsmSite {
    /// The hook, `socket_sendmsg`.
    pub hook: String,
    /// The module whose function it is, `apparmor`; empty for the hook itself, which calls them all.
    pub module: String,
    /// The kernel's function, `apparmor_socket_sendmsg`.
    pub function: String,
}
