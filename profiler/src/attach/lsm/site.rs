//! The functions that are timed to measure what the security layer costs.
//!
//! In: hooks (`socket_sendmsg`), the active modules in order. Out: candidates: the hook's own function,
//! which calls every module, and each module's function below it. Attaching them shows which of them this
//! kernel has.

use profiler_common::lsm::SITES;

/// Hooks that are measured when none are named.
pub const HOOKS: &[&str] = &[
    "socket_create",
    "socket_connect",
    "socket_bind",
    "socket_listen",
    "socket_accept",
    "socket_sendmsg",
    "socket_recvmsg",
    "socket_shutdown",
    "sock_rcv_skb",
    "unix_may_send",
    "unix_stream_connect",
];

/// Modules whose functions are not named `MODULE_HOOK`.
const PREFIXES: &[(&str, &str)] =
    &[("bpf", "bpf_lsm_"), ("landlock", "hook_"), ("capability", "cap_"), ("integrity", "integrity_")];

/// Hooks that only tasks run; others may run in softirqs, and ask for their context.
const OF_TASKS: &[&str] = &[
    "socket_", "unix_", "file_", "inode_", "path_", "bprm_", "mmap_", "sb_", "kernel_", "ptrace_", "task_",
    "cred_", "move_", "msg_", "shm_", "sem_", "ipc_", "bpf", "perf_", "uring_", "locked_", "capable",
];

/// A function that may be traced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The hook.
    pub hook: String,
    /// Its module; empty for the hook's own function.
    pub module: String,
    /// Names the function may have, the usual one first.
    pub functions: Vec<String>,
    /// It may run in an interrupt.
    pub in_interrupts: bool,
}

/// How many sites there can be at most.
pub fn most(hooks: &[String], modules: &[String]) -> usize {
    (hooks.len() * (1 + modules.len())).min(SITES)
}

/// All candidates: each hook, then its modules' functions.
pub fn candidates(hooks: &[String], modules: &[String]) -> Vec<Candidate> {
    let of_hook = |hook: &String| {
        let in_interrupts = !OF_TASKS.iter().any(|prefix| hook.starts_with(prefix));
        let candidate = move |module: &str, functions| Candidate {
            hook: hook.clone(),
            module: module.to_owned(),
            functions,
            in_interrupts,
        };
        let own = candidate("", vec![format!("security_{hook}")]);
        let below = modules.iter().map(move |module| candidate(module, functions(module, hook)));
        std::iter::once(own).chain(below).collect::<Vec<_>>()
    };
    hooks.iter().flat_map(of_hook).collect()
}

/// What a module may call its function: SELinux and others put `socket` before hooks of sockets whose
/// own name has it not (`selinux_socket_unix_may_send`).
fn functions(module: &str, hook: &str) -> Vec<String> {
    let known = PREFIXES.iter().find(|(name, _)| *name == module);
    let prefix = known.map_or_else(|| format!("{module}_"), |(_, prefix)| (*prefix).to_owned());
    let mut functions = vec![format!("{prefix}{hook}")];
    if hook.starts_with("unix_") || hook.starts_with("sock_") {
        functions.push(format!("{prefix}socket_{hook}"));
    }
    functions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hook_comes_before_its_modules() {
        let found = candidates(&["unix_may_send".to_owned()], &["selinux".to_owned(), "bpf".to_owned()]);
        let functions: Vec<_> = found.iter().flat_map(|candidate| &candidate.functions).collect();
        assert_eq!(
            functions,
            [
                "security_unix_may_send",
                "selinux_unix_may_send",
                "selinux_socket_unix_may_send",
                "bpf_lsm_unix_may_send",
                "bpf_lsm_socket_unix_may_send"
            ]
        );
        assert!(found.iter().all(|candidate| !candidate.in_interrupts));
    }

    #[test]
    fn what_runs_in_softirqs_asks_for_its_context() {
        let hooks: Vec<String> = HOOKS.iter().map(|hook| (*hook).to_owned()).collect();
        let asking: Vec<_> = candidates(&hooks, &[])
            .into_iter()
            .filter_map(|candidate| candidate.in_interrupts.then_some(candidate.hook))
            .collect();
        assert_eq!(asking, ["sock_rcv_skb"]);
    }
}
