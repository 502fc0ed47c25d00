//! In: `summary.json`. Out: its rows, counts and losses by name.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// Spells each stack where a row has its number.
pub fn spell(summary: &mut Value) {
    let list = |name: &str| summary[name].as_array().cloned().unwrap_or_default();
    let (names, stacks) = (list("names"), list("stacks"));
    let at = |list: &[Value], number: &Value| {
        number.as_u64().and_then(|at| list.get(usize::try_from(at).ok()?).cloned())
    };
    let spelled = |number: &Value| {
        let path = at(&stacks, number)?;
        let frames = path.as_array()?.iter().filter_map(|name| at(&names, name));
        Some(Value::Array(frames.collect()))
    };
    let mut open = vec![summary];
    while let Some(value) = open.pop() {
        match value {
            Value::Array(items) => open.extend(items),
            Value::Object(fields) => {
                for name in ["stack", "user_stack"] {
                    if let Some(stack) = fields.get_mut(name)
                        && let Some(frames) = spelled(stack)
                    {
                        *stack = frames;
                    }
                }
                open.extend(fields.values_mut());
            }
            _ => {}
        }
    }
}

/// Rows of a probe, of one process.
pub fn rows<'s>(summary: &'s Value, probe: &str, pid: u32) -> Vec<&'s Value> {
    of_pid(&summary["probes"][probe]["rows"], pid)
}

/// Those of a list that are of one process.
pub fn of_pid(list: &Value, pid: u32) -> Vec<&Value> {
    list.as_array().into_iter().flatten().filter(|row| row["pid"] == pid).collect()
}

/// The row of a process and call.
///
/// # Errors
/// When there is none, with what there is.
pub fn call<'s>(summary: &'s Value, pid: u32, name: &str) -> Result<&'s Value> {
    let rows = rows(summary, "syscall", pid);
    let found = rows.iter().copied().find(|row| row["syscall"] == name);
    found.with_context(|| {
        let calls: Vec<String> =
            rows.iter().map(|row| format!("{} {}", row["syscall"], row["count"])).collect();
        format!("no row of {name} by {pid}, but {}", calls.join(", "))
    })
}

/// A number of a row.
///
/// # Errors
/// When it has none of that name.
pub fn number(row: &Value, field: &str) -> Result<u64> {
    row[field].as_u64().with_context(|| format!("no number {field} in {row}"))
}

/// Events of a loss or class of the ledger.
///
/// # Errors
/// When the ledger has no such class.
pub fn counted(summary: &Value, class: &str) -> Result<u64> {
    let mut entries = ["losses", "classes"].iter().filter_map(|list| summary[*list].as_array()).flatten();
    let entry = entries.find(|entry| entry["class"] == class);
    number(entry.with_context(|| format!("no class {class} in the ledger"))?, "count")
}

/// Events of all classes of losses whose name begins so.
pub fn lost(summary: &Value, prefix: &str) -> u64 {
    let losses = summary["losses"].as_array().into_iter().flatten();
    let ours = losses.filter(|loss| loss["class"].as_str().is_some_and(|class| class.starts_with(prefix)));
    ours.filter_map(|loss| loss["count"].as_u64()).sum()
}

/// Events that programs missed because they ran already on that CPU; counted for the whole machine.
pub fn missed(summary: &Value, programs: &[&str]) -> u64 {
    let costs = summary["cost"]["programs"].as_array().into_iter().flatten();
    let ours = costs.filter(|cost| programs.iter().any(|program| cost["program"] == *program));
    ours.filter_map(|cost| cost["recursion_misses"].as_u64()).sum()
}

/// Exact means: counted + recorded as missed == truth. Misses are counted for all processes, so they bound what may lack;
/// nothing may be too many.
///
/// # Errors
/// When it is not so.
pub fn exact(what: &str, counted: u64, truth: u64, missed: u64) -> Result<()> {
    ensure!(
        counted <= truth && truth - counted <= missed,
        "{what}: {counted} counted of {truth}, {missed} recorded as missed"
    );
    Ok(())
}
