//! What shells and `man` need: completions and manual pages, made from the command line as it is.
//!
//! In: the command tree. Out: text.

use anyhow::Context as _;
use clap::{Command, CommandFactory};

use super::typed::Arguments;
use crate::failure::Failure;

/// Commands that are for packagers.
const PAGELESS: [&str; 2] = ["completions", "man"];

/// Completions for a shell.
pub(super) fn completions(shell: clap_complete::Shell) -> String {
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "profiler", &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// The manual page of a command; without a name that of the tool.
///
/// # Errors
/// `Usage` when there is no such command.
pub(super) fn manual(name: Option<&str>) -> Result<String, Failure> {
    let mut whole = Arguments::command();
    // Gives each command its full name.
    whole.build();
    let page = match name {
        None => whole,
        Some(name) => command(&whole, name).ok_or_else(|| no_such(&whole, name))?,
    };
    let mut out = Vec::new();
    let rendered = clap_mangen::Man::new(page).render(&mut out);
    rendered.context("cannot make the manual page").map_err(Failure::Runtime)?;
    Ok(String::from_utf8_lossy(&out).into_owned())
}

/// One command as a page of its own, `profiler-record`.
fn command(whole: &Command, name: &str) -> Option<Command> {
    let found = whole.find_subcommand(name).filter(|found| !PAGELESS.contains(&found.get_name()))?.clone();
    Some(found.version(env!("CARGO_PKG_VERSION")))
}

fn no_such(whole: &Command, name: &str) -> Failure {
    let names: Vec<&str> = whole
        .get_subcommands()
        .map(Command::get_name)
        .filter(|name| command(whole, name).is_some())
        .collect();
    Failure::Usage(format!("COMMAND: {name:?} has no page; there are {}", names.join(", ")))
}
