//! The scene of a story: one server, the same work twice. Before: AppArmor confines it. After: it does not.
//!
//! In: a kernel with AppArmor. Out: `/out/before` and `/out/after`, two recordings, and a `@cell` line each.

use std::{io::Write, path::Path};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{
    confine, matrix,
    recording::{self, Workload},
};

/// Four threads: each sends a datagram, opens a file and looks at another, so many times.
const SERVER: &[&str] = &["serve", "6000", "4"];
/// Calls of a millisecond are slow here; an emulated CPU is.
const ARGUMENTS: &[&str] = &["--slow", "1ms", "-F", "499"];

/// Records both; whether both could be.
///
/// # Errors
/// When the output is closed.
pub fn run(out: &mut dyn Write) -> Result<bool> {
    let mut well = true;
    for (name, confined) in [("before", true), ("after", false)] {
        let found = scene(name, confined);
        well &= found.is_ok();
        let (state, detail) = match &found {
            Ok(text) => ("ok", text.clone()),
            Err(error) => ("FAILED", format!("{error:#}")),
        };
        matrix::tell(out, ("story", "apparmor", name), (state, &detail))?;
    }
    Ok(well)
}

fn scene(name: &str, confined: bool) -> Result<String> {
    let program = if confined { confine::workload()? } else { "workload" };
    // `/out` comes back from the guest.
    let directory = Path::new("/out").join(name);
    let mut server = Workload::start(program, SERVER)?;
    let pid = server.pid().to_string();
    let recording = recording::start(&[&["--pid", &pid], ARGUMENTS].concat(), &directory)?;
    server.go()?;
    let truth = server.truth()?;
    let summary = recording::stop(recording)?.summary()?;
    let label = summary["probes"]["lsm"]["rows"][0]["label"].as_str().unwrap_or_default();
    ensure!(!confined || label == confine::LABEL, "the server is labelled {label:?}");
    sends(&summary, &truth)
}

/// Every send went through the hook: counted, or known to be missed.
fn sends(summary: &Value, truth: &Value) -> Result<String> {
    let rows = summary["probes"]["lsm"]["rows"].as_array().context("no rows of the lsm probe")?;
    let hook = rows.iter().find(|row| row["hook"] == "socket_sendmsg" && row["module"] == "");
    let counted = hook.and_then(|row| row["count"].as_u64()).context("no row of socket_sendmsg")?;
    let sent = truth["calls"].as_u64().context("the server does not say how much it sent")?;
    let costs = summary["cost"]["programs"].as_array().into_iter().flatten();
    let missed: u64 = costs.filter_map(|cost| cost["recursion_misses"].as_u64()).sum();
    ensure!(counted <= sent && counted + missed >= sent, "{counted} of {sent} sends, {missed} missed");
    Ok(format!("{counted} sends"))
}
