//! The rim: arguments in, one exit code out.
//!
//! In: the process's arguments. Out: exit 0, 1 (failed), 2 (usage, nothing matched) or 3
//! (privilege, kernel), with one line on stderr; the code of the command that was measured, if asked for.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use profiler::cli::{self, Request};
use profiler::command;
use profiler::failure::Failure;
use profiler::hostile::acts;
use profiler::machine::heap;

fn main() -> ExitCode {
    heap::give_back_early();
    match run() {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            let line = one_line(&failure.to_string());
            // Nobody is left to be told when this fails; the exit code still says it.
            let _ = writeln!(io::stderr().lock(), "profiler: {line}");
            failure.exit_code()
        }
    }
}

fn run() -> Result<u8, Failure> {
    match cli::parse(std::env::args_os())? {
        Request::Print(text) => {
            command::stdout::to_stdout(|out| Ok(out.write_all(text.as_bytes())?))?;
            Ok(0)
        }
        Request::Run(settings) => {
            log_to_stderr(settings.verbosity());
            command::run(settings)
        }
    }
}

fn log_to_stderr(verbosity: i8) {
    use tracing::level_filters::LevelFilter;
    let level = match verbosity {
        ..=-2 => LevelFilter::OFF,
        -1 => LevelFilter::ERROR,
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        2 => LevelFilter::DEBUG,
        3.. => LevelFilter::TRACE,
    };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal() && !no_color())
        .with_target(verbosity > 1)
        .without_time()
        .log_internal_errors(false)
        .init();
}

/// Whether the user asked for no colours (no-color.org): by any value but an empty one.
fn no_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// Names in a message may be an attacker's: nothing of them reaches the terminal as control
/// characters, or turns the reading direction.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if acts(c) { ' ' } else { c }).collect()
}
