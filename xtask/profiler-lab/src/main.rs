//! The profiler with the kernel side that is built with the feature `lab`; neither ships with the tool.
//!
//! In: `profiler-lab floor KIND`, which attaches programs that do next to nothing; or `profiler-lab record …` as of
//! the profiler, with `--ignore-switches PERMILLE` and `--ignore-arrivals PERMILLE` anywhere in it. The object is
//! `target/bpf/lab.bpf.o` of this checkout, or what `PROFILER_LAB_OBJECT` names. Out: as of the profiler.

mod floor;
mod ignored;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use profiler::attach::Object;
use profiler::cli::{self, Request, Settings};
use profiler::command::{self, record};
use profiler::failure::Failure;

fn main() -> ExitCode {
    match run(std::env::args_os().collect()) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            // Nobody is left to be told when this fails; the exit code still says it.
            let _ = writeln!(io::stderr().lock(), "profiler-lab: {failure}");
            failure.exit_code()
        }
    }
}

fn run(mut words: Vec<OsString>) -> Result<u8, Failure> {
    if words.get(1).is_some_and(|word| word == "floor") {
        floor::attach(words.get(2).and_then(|kind| kind.to_str()).unwrap_or_default(), &object()?)?;
        return Ok(0);
    }
    let globals = ignored::globals(&mut words).map_err(Failure::Usage)?;
    match cli::parse(words)? {
        Request::Run(Settings::Record(settings)) => {
            record::run_with(&settings, Object::other(object()?, globals))
        }
        Request::Run(settings) => command::run(settings),
        Request::Print(text) => {
            command::stdout::to_stdout(|out| Ok(out.write_all(text.as_bytes())?))?;
            Ok(0)
        }
    }
}

/// The object's bytes.
fn object() -> Result<Vec<u8>, Failure> {
    let built = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/bpf/lab.bpf.o");
    let path = std::env::var_os("PROFILER_LAB_OBJECT").map_or_else(built, PathBuf::from);
    let read = std::fs::read(&path);
    Ok(read.with_context(|| format!("reading {}: `cargo xtask test` builds it", path.display()))?)
}

#[cfg(test)]
mod tests {
    use super::object;

    /// Of what only the lab's object has.
    const NAMES: [&str; 4] = ["floor_empty_enter", "floor_clock_exit", "IGNORE_SWITCHES", "IGNORE_ARRIVALS"];

    fn holds(object: &[u8], name: &str) -> bool {
        object.windows(name.len()).any(|window| window == name.as_bytes())
    }

    #[test]
    fn the_tools_own_object_has_no_floors_and_ignores_nothing() {
        let (Ok(own), Ok(lab)) = (profiler::attach::object(), object()) else {
            println!("SKIPPED: the_tools_own_object_has_no_floors_and_ignores_nothing: no object is built");
            return;
        };
        for name in NAMES {
            assert!(holds(&lab, name), "{name} is not in the lab's object: nothing is shown");
            assert!(!holds(own, name), "{name} is in the tool's object");
        }
    }

    #[test]
    fn the_tool_knows_neither_command_nor_flags() {
        for words in [
            &["profiler", "bench-floor", "--kind", "empty"][..],
            &["profiler", "floor", "empty"],
            &["profiler", "record", "--ignore-switches", "50"],
            &["profiler", "record", "--ignore-arrivals", "50"],
        ] {
            let refused = profiler::cli::parse(words.iter().map(Into::into)).expect_err("it was taken");
            assert!(matches!(refused, profiler::failure::Failure::Usage(_)), "{words:?}: {refused}");
        }
    }
}
