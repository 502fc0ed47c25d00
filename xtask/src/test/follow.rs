//! In: a run that may hang. Out: what it printed, errors included, on the terminal and line by line to who counts;
//! a run that has been silent for too long is killed with everything it started, and its last words are named.

use std::{
    fs,
    io::{self, PipeReader, Read},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};

use super::voice::Voice;

/// The longest that any test or the compiler may be silent. The slowest test takes about a minute on a busy machine, and some
/// minutes with half a CPU.
const PATIENCE: Duration = Duration::from_secs(900);

/// Runs it to its end, without input; true when it succeeded.
///
/// # Errors
/// When it can't be started, or was silent for so long that it was killed.
pub fn run(tests: &mut Command, voice: &Voice, count: impl FnMut(&str)) -> Result<bool> {
    run_within(tests, voice, count, PATIENCE)
}

fn run_within(
    tests: &mut Command,
    voice: &Voice,
    mut count: impl FnMut(&str),
    patience: Duration,
) -> Result<bool> {
    let (mut child, output) = start(tests)?;
    let mut line = Vec::new();
    loop {
        match output.recv_timeout(patience) {
            Ok(piece) => {
                voice.say_piece(&piece);
                line.extend(piece);
                while let Some(end) = line.iter().position(|byte| *byte == b'\n') {
                    let whole = String::from_utf8_lossy(&line[..end]).into_owned();
                    voice.say_rest(&whole);
                    count(&whole);
                    line.drain(..=end);
                }
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                // What a finished run left behind may hold its output open; then nothing hangs but that.
                if let Some(status) = child.try_wait().context("waiting for a run")? {
                    voice.say("\nxtask: something that the tests started outlives them");
                    return Ok(status.success());
                }
                kill(&mut child)?;
                bail!(
                    "silent for {} s, killed at: {}",
                    patience.as_secs(),
                    String::from_utf8_lossy(&line).trim()
                );
            }
        }
    }
    Ok(child.wait().context("waiting for a run")?.success())
}

/// Its output and its errors come by one pipe, so that lines do not mix. The command keeps no end of it.
fn start(tests: &mut Command) -> Result<(Child, Receiver<Vec<u8>>)> {
    let (reader, writer) = io::pipe().context("making a pipe")?;
    tests.stdin(Stdio::null()).stderr(writer.try_clone().context("making a pipe")?).stdout(writer);
    let child = tests.spawn().context("starting a run");
    tests.stdout(Stdio::null()).stderr(Stdio::null());
    Ok((child?, pieces(reader)))
}

/// What arrives, as it arrives: a test that hangs has printed its name, but no end of the line.
fn pieces(mut output: PipeReader) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = output.read(&mut buffer) {
            if sender.send(buffer[..length].to_vec()).is_err() {
                break;
            }
        }
    });
    receiver
}

/// Ends it and everything it started: that would go on without it.
fn kill(child: &mut Child) -> Result<()> {
    let mut family = vec![child.id().to_string()];
    let parents = parents();
    let mut index = 0;
    while let Some(parent) = family.get(index).cloned() {
        family.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| pid.clone()));
        index += 1;
    }
    Command::new("kill").arg("-KILL").args(&family).status().context("killing a test that hangs")?;
    child.wait().context("waiting for a killed test")?;
    Ok(())
}

/// Every process with its parent, from `/proc/PID/stat`: `pid (comm) state ppid …`.
fn parents() -> Vec<(String, String)> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let parent = |entry: fs::DirEntry| {
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.to_owned();
        Some((entry.file_name().into_string().ok()?, parent))
    };
    processes.filter_map(parent).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn lines_are_counted_and_the_end_is_told() {
        let mut lines = Vec::new();
        let good =
            run(&mut shell("echo one; printf 't'; echo wo >&2; printf rest"), &Voice::default(), |line| {
                lines.push(line.to_owned());
            });
        assert!(good.unwrap());
        assert_eq!(lines, ["one", "two"]);
        assert!(!run(&mut shell("exit 3"), &Voice::named("a"), |_| ()).unwrap());
    }

    #[test]
    fn a_run_that_hangs_is_killed_and_named() {
        let mut hanging = shell("printf 'test a ... '; sleep 1000 & wait");
        let error =
            run_within(&mut hanging, &Voice::named("a"), |_| (), Duration::from_millis(500)).unwrap_err();
        assert_eq!(error.to_string(), "silent for 0 s, killed at: test a ...");
    }

    #[test]
    fn what_outlives_a_run_does_not_hold_it() {
        let mut leaving = shell("sleep 5 & echo done");
        let mut lines = 0;
        assert!(
            run_within(&mut leaving, &Voice::default(), |_| lines += 1, Duration::from_millis(500)).unwrap()
        );
        assert_eq!(lines, 1);
    }
}
