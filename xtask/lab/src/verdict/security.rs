//! In: rows of the LSM probe. Out: whether every send is counted in its hook, and what confinement adds to it.

use anyhow::{Context, Result, ensure};
use judge::{bounds::Off, summary::number};
use serde_json::Value;

use super::Run;
use crate::confine;

const HOOK: &str = "security_socket_sendmsg";
const MODULE: &str = "apparmor_socket_sendmsg";

impl Run {
    fn function(&self, pid: u32, name: &str) -> Option<&Value> {
        self.rows_of(pid, "lsm").into_iter().find(|row| row["function"] == name)
    }

    /// The row of a sender's hook, and that of AppArmor's function below it, where that can be hooked; counted as often
    /// as sent.
    fn sends(&self, pid: u32, truth: &Value) -> Result<(&Value, Option<&Value>)> {
        let sent = number(truth, "calls")?;
        let hook = self.function(pid, HOOK).context("no row of the hook")?;
        let module = self.function(pid, MODULE);
        for row in [Some(hook), module].into_iter().flatten() {
            let name = row["function"].as_str().unwrap_or_default();
            let programs = [format!("lsm_enter {name}"), format!("lsm_exit {name}")];
            let missed = self.missed(&programs.each_ref().map(String::as_str)) + self.lost("lsm_");
            let count = number(row, "count")?;
            ensure!(
                count <= sent && count + missed >= sent,
                "{name}: {count} counted of {sent}, {missed} recorded as missed"
            );
        }
        Ok((hook, module))
    }
}

/// Datagrams: each is one run of the hook, and of AppArmor's function below it where that is active.
pub fn datagrams(run: &Run) -> Result<String> {
    let (hook, module) = run.sends(run.pid, &run.truth)?;
    let stack = hook["stack"].to_string();
    ensure!(stack.contains("security_socket_sendmsg_[k]"), "the hook is not in its stack: {stack}");
    run.function(run.pid, "security_socket_recvmsg").context("no row of security_socket_recvmsg")?;
    let sent = run.truth("calls")?;
    let told = [Some(hook), module].into_iter().flatten();
    let told: Vec<String> =
        told.map(|row| format!("{} {} of {sent}", row["function"], row["count"]).replace('"', "")).collect();
    Ok(told.join(", "))
}

/// The same datagrams with and without a profile, by turns: the label is told, and the way through AppArmor is longer.
pub fn confined(run: &Run) -> Result<String> {
    let (free, free_truth) = run.free.as_ref().context("nobody ran unconfined")?;
    let (hook, module) = run.sends(run.pid, &run.truth)?;
    let (free_hook, free_module) = run.sends(*free, free_truth)?;
    ensure!(hook["label"] == confine::LABEL, "the sender is labelled {}", hook["label"]);
    ensure!(free_hook["label"] != confine::LABEL, "the free sender is labelled {}", free_hook["label"]);
    let (row, free) = module.zip(free_module).unwrap_or((hook, free_hook));
    let (long, short) = (number(row, "p50_ns")?, number(free, "p50_ns")?);
    let mean =
        |row: &Value| Ok::<u64, anyhow::Error>(number(row, "total_ns")? / number(row, "count")?.max(1));
    let (mean, free_mean) = (mean(row)?, mean(free)?);
    let name = row["function"].as_str().unwrap_or_default();
    let text =
        format!("{name}: median {long} ns confined, {short} ns free; mean {mean} ns and {free_mean} ns");
    if long <= short {
        return Err(Off { what: text, by_ns: short - long + 1 }.into());
    }
    Ok(text)
}
