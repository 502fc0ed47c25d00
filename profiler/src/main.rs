//! The rim: arguments in, one exit code out.
//!
//! In: the process's arguments. Out: exit 0, 1 (failed), 2 (usage, nothing matched) or 3
//! (privilege, kernel), with one line on stderr.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use profiler::cli::{self, Request};
use profiler::command;
use profiler::failure::Failure;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let line = one_line(&failure.to_string());
            // Nobody is left to be told when this fails; the exit code still says it.
            let _ = writeln!(io::stderr().lock(), "profiler: {line}");
            failure.exit_code()
        }
    }
}

fn run() -> Result<(), Failure> {
    match cli::parse(std::env::args_os())? {
        Request::Print(text) => command::to_stdout(|out| Ok(out.write_all(text.as_bytes())?)),
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
        .with_ansi(io::stderr().is_terminal())
        .with_target(verbosity > 1)
        .without_time()
        .log_internal_errors(false)
        .init();
}

/// Names in a message may be an attacker's: nothing of them reaches the terminal as control
/// characters, or turns the reading direction.
fn one_line(text: &str) -> String {
    let unsafe_char = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
    };
    text.chars().map(|c| if unsafe_char(c) { ' ' } else { c }).collect()
}
