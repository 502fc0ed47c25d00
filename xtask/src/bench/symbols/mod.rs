//! In: real programs from packages, each under load. Out: which part of their user stacks reaches its root, and which part
//! of the frames has a name, ours beside perf's, as a block of `docs/symbols.md`.

mod compiled;
mod count;
mod programs;
mod running;
mod runtimes;
mod servers;
mod share;
mod table;
mod tools;
mod yard;

use std::collections::BTreeMap;

use anyhow::{Result, bail};

use super::{page, place::Place};
use crate::{command, workspace::Workspace};
use programs::{PACKAGES, PROGRAMS, Program};
use yard::Yard;

/// Installs the programs. One that cannot be had is said to be missing, and its row stays empty.
pub fn install(workspace: &Workspace) {
    for package in PACKAGES.iter().chain(&["linux-perf"]) {
        if let Err(error) = command::script(workspace, "install-servers.sh", &[package]) {
            println!("xtask: {error:#}; going on without {package}");
        }
    }
}

/// Plays all programs, or those in the list; the page is written after all.
///
/// # Errors
/// When a program of the list is unknown or the page cannot be written.
pub fn run(place: &Place<'_>, wanted: &[String]) -> Result<()> {
    let known: BTreeMap<&str, &Program> = PROGRAMS.iter().map(|program| (program.key, program)).collect();
    if let Some(unknown) = wanted.iter().find(|key| !known.contains_key(key.as_str())) {
        bail!("no program `{unknown}`; there are: {}", PROGRAMS.map(|program| program.key).join(", "));
    }
    let played =
        PROGRAMS.iter().filter(|program| wanted.is_empty() || wanted.iter().any(|key| key == program.key));
    let rows: Vec<table::Row<'_>> = played.map(|program| (program, play(place, program))).collect();
    let text = table::described(&rows);
    if wanted.is_empty() {
        return page::replace_block(place, "docs/symbols.md", "symbols", &text);
    }
    println!("\n{text}\nxtask: some programs alone are not written down");
    Ok(())
}

/// An error is told in its row.
fn play(place: &Place<'_>, program: &Program) -> Result<tools::Measured, String> {
    println!("xtask: {} …", program.name);
    let measured = Yard::new(program.key, place.workspace.target().join("bench/go-cache")).and_then(|yard| {
        let running = (program.start)(&yard, place)?;
        tools::measure(place, &running)
    });
    measured.map_err(|error| {
        println!("xtask: {}: {error:#}", program.name);
        let text = format!("{error:#}");
        text.chars().filter(|letter| !letter.is_control() && *letter != '|').take(120).collect()
    })
}
