//! The command line, in three layers: as typed → validated settings → run (in `command`).
//!
//! In: the process's arguments. Out: [`Settings`], or what to print instead. No I/O.

mod crash;
mod defaults;
pub mod duration;
mod list;
pub mod settings;
mod shell;
mod size;
mod stretch;
mod typed;

use std::ffi::OsString;

use clap::{CommandFactory, FromArgMatches};

use crate::failure::Failure;
pub use settings::Settings;

/// What the arguments ask for.
#[derive(Debug)]
pub enum Request {
    /// Run a command.
    Run(Settings),
    /// Print this text (help, version) on stdout.
    Print(String),
}

/// Columns of the help text: the same everywhere, so that it can be tested.
const COLUMNS: usize = 100;

/// Reads the arguments, the program's name first.
///
/// # Errors
/// `Usage`, which names the flag and says what to write.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Request, Failure> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let command = typed::Arguments::command().term_width(COLUMNS).max_term_width(COLUMNS);
    let matches = command.try_get_matches_from(&arguments);
    match matches.and_then(|matches| typed::Arguments::from_arg_matches(&matches)) {
        Ok(typed) => {
            let words = arguments.iter().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
            settings::validate(typed, words).map(Request::Run)
        }
        Err(error) if !error.use_stderr() => Ok(Request::Print(error.render().to_string())),
        Err(error) => Err(Failure::Usage(one_line(&error))),
    }
}

/// What clap says in paragraphs, as one line: the error, its tips, and where the help is.
fn one_line(error: &clap::Error) -> String {
    use clap::error::ErrorKind::{
        DisplayHelpOnMissingArgumentOrSubcommand, MissingSubcommand, UnknownArgument,
    };
    use clap::error::{ContextKind, ContextValue};
    if matches!(error.kind(), DisplayHelpOnMissingArgumentOrSubcommand | MissingSubcommand) {
        return "no command given: try `profiler record`, or `profiler --help`".to_owned();
    }
    let text = error.render().to_string();
    let said = text.split("Usage:").next().unwrap_or_default();
    let said = said.split("For more information").next().unwrap_or_default();
    let mut line = String::new();
    for part in said.lines().map(str::trim).filter(|part| !part.is_empty()) {
        let part = part.strip_prefix("error: ").unwrap_or(part);
        let glue = if line.is_empty() {
            ""
        } else if line.ends_with(':') {
            " "
        } else {
            "; "
        };
        line.push_str(glue);
        line.push_str(part);
    }
    let stray = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(word)) if error.kind() == UnknownArgument => word.as_str(),
        _ => "-",
    };
    if !stray.starts_with('-') {
        line.push_str("; a command to start goes behind --, as in `profiler record -- make`");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_tree_is_sound() {
        typed::Arguments::command().debug_assert();
    }
}
