//! In: the summaries of two recordings. Out: what the security layer took of the same calls, and where threads spun, side by side.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path};

use anyhow::{Context, Result};
use serde_json::Value;

/// What one recording says.
struct Side {
    release: String,
    label: String,
    /// Time per call, ns, by what is timed.
    each: BTreeMap<String, f64>,
    /// Share of `sendto`, by what is timed.
    shares: BTreeMap<String, f64>,
    /// Spin waits and ns, by caller.
    spins: BTreeMap<String, (u64, u64)>,
}

/// A text with tables: the hook and each module below it, the calls around it, spin waits.
///
/// # Errors
/// When a summary is not there, or not as documented.
pub fn differences(out: &Path, kernel: &str) -> Result<String> {
    let (before, after) = (side(&out.join("before/out"))?, side(&out.join("after/out"))?);
    let mut text = format!(
        "Linux {}, emulated, 4 CPUs; before: `{}`, after: `{}`.\n\n\
         | Time per call, µs | before | after | before / after |\n|---|---|---|---|\n",
        before.release, before.label, after.label
    );
    for (what, ns) in &before.each {
        if let Some(later) = after.each.get(what) {
            writeln!(text, "| {what} | {:.2} | {:.2} | {:.2} |", ns / 1e3, later / 1e3, ns / later)?;
        }
    }
    text.push_str("\n| Share of `sendto` | before | after |\n|---|---|---|\n");
    for (what, share) in &before.shares {
        let later =
            after.shares.get(what).map_or_else(|| "–".to_owned(), |share| format!("{:.1} %", share * 100.0));
        writeln!(text, "| {what} | {:.1} % | {later} |", share * 100.0)?;
    }
    text.push_str("\n| Spin waits below | before | after |\n|---|---|---|\n");
    let callers: Vec<&String> = before
        .spins
        .keys()
        .chain(after.spins.keys().filter(|caller| !before.spins.contains_key(*caller)))
        .collect();
    let show = |side: &Side, caller: &str| {
        side.spins
            .get(caller)
            .map_or_else(|| "none".to_owned(), |(waits, ns)| format!("{waits}, {:.2} ms", *ns as f64 / 1e6))
    };
    for caller in &callers {
        writeln!(text, "| `{caller}` | {} | {} |", show(&before, caller), show(&after, caller))?;
    }
    if !callers.iter().any(|caller| caller.starts_with("aa_") || caller.starts_with("apparmor_")) {
        writeln!(
            text,
            "\nNobody spun on a lock of AppArmor's own on {kernel}: its buffers are per CPU there, or nothing contended."
        )?;
    }
    Ok(text)
}

fn side(directory: &Path) -> Result<Side> {
    let path = directory.join("summary.json");
    let text = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
    let summary: Value =
        serde_json::from_slice(&text).with_context(|| format!("reading {}", path.display()))?;
    let rows = |probe: &str| summary["probes"][probe]["rows"].as_array().cloned().unwrap_or_default();
    let number = |row: &Value, field: &str| row[field].as_u64().unwrap_or(0);
    let mut side = Side {
        release: summary["environment"]["kernel_release"].as_str().unwrap_or("?").to_owned(),
        label: String::new(),
        each: BTreeMap::new(),
        shares: BTreeMap::new(),
        spins: BTreeMap::new(),
    };
    for row in rows("syscall") {
        if ["sendto", "open", "openat", "stat", "newfstatat", "statx"]
            .iter()
            .any(|name| row["syscall"] == *name)
            && number(&row, "count") > 100
        {
            let name = format!("`{}`", row["syscall"].as_str().unwrap_or("?"));
            side.each.insert(name, number(&row, "total_ns") as f64 / number(&row, "count") as f64);
        }
    }
    let sendto = rows("syscall")
        .iter()
        .find(|row| row["syscall"] == "sendto")
        .map_or(0, |row| number(row, "total_ns"));
    for row in rows("lsm").iter().filter(|row| row["hook"] == "socket_sendmsg") {
        let module = row["module"].as_str().unwrap_or_default();
        let what = if module.is_empty() {
            "`security_socket_sendmsg`".to_owned()
        } else {
            format!("{module} in it")
        };
        side.each.insert(what.clone(), number(row, "total_ns") as f64 / number(row, "count").max(1) as f64);
        side.shares.insert(what, number(row, "total_ns") as f64 / sendto.max(1) as f64);
        side.label = row["label"].as_str().unwrap_or_default().to_owned();
    }
    for row in rows("lock").iter().filter(|row| row["kind"] == "spin") {
        let caller = row["caller"].as_str().unwrap_or("?").to_owned();
        let sum = side.spins.entry(caller).or_default();
        *sum = (sum.0 + number(row, "count"), sum.1 + number(row, "total_ns"));
    }
    Ok(side)
}
