//! In: one kernel and a job of the lab's driver. Out: its cells, one per line that begins with `@cell`,
//! counted in the tally. Whatever goes wrong with a guest is counted as well, and does not stop the other
//! guests.

use std::{fs, time::Duration};

use anyhow::{Result, anyhow, bail};

use crate::{
    statics::Binaries,
    test::{tally::Tally, voice::Voice},
    vm::{
        self,
        guest::{Ending, Guest},
        image::Job,
    },
    workspace::Workspace,
};

/// With fewer, few threads wait for a spinlock.
const CPUS: &str = "4";
/// What an emulated machine pays for and no cell needs: a clock that is a device of the emulator, pages cleared twice.
/// What the kernel does around its own code for faults of real processors stays: there the probes hook it.
pub const CLOCK: &str = "clocksource=tsc tsc=reliable init_on_alloc=0";

/// What one kernel gave.
pub struct Column {
    pub kernel: String,
    /// The full release; empty if it could not be had.
    pub release: String,
    pub cells: Vec<Cell>,
}

/// One line of the guest's driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    pub probe: String,
    pub backend: String,
    pub load: String,
    pub state: State,
    /// Figures, or what is wrong.
    pub detail: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Measured, and right.
    Measured,
    /// This kernel cannot have it.
    Absent,
    Failed,
}

impl Cell {
    fn parse(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.trim_end().split('\t').collect();
        let [_, probe, backend, load, state, detail] = fields[..] else { return None };
        let state = match state {
            "ok" => State::Measured,
            "none" => State::Absent,
            _ => State::Failed,
        };
        let [probe, backend, load, detail] = [probe, backend, load, detail].map(str::to_owned);
        Some(Self { probe, backend, load, state, detail })
    }

    /// As the tally names it.
    fn name(&self, kernel: &str) -> String {
        format!("{kernel}: {} by {}, {}", self.probe, self.backend, self.load)
    }
}

/// What the driver is to do in one guest.
#[derive(Clone)]
pub struct Task {
    pub kernel: String,
    /// Of its directory under `target/vm`: guests that run beside each other have different ones.
    pub name: String,
    pub job: Job,
    pub limit: Duration,
    /// CPUs as QEMU spells them.
    pub smp: String,
    /// More words for the kernel's command line.
    pub cmdline: String,
}

impl Task {
    /// `lab WORDS` on one kernel, with this checkout's binaries.
    pub fn new(kernel: &str, binaries: &Binaries, words: &[&str], limit: Duration) -> Self {
        let command = ["lab"].iter().chain(words).map(|word| (*word).to_owned()).collect();
        let job = Job { command, files: vm::files(binaries) };
        Self {
            kernel: kernel.to_owned(),
            name: kernel.to_owned(),
            job,
            limit,
            smp: CPUS.to_owned(),
            cmdline: CLOCK.to_owned(),
        }
    }
}

/// Boots one guest and counts what it says.
pub fn run(workspace: &Workspace, task: &Task, tally: &mut Tally) -> Column {
    let voice = tally.voice().clone();
    voice.say(&format!("== {}: {}", task.kernel, task.job.command.join(" ")));
    counted(&task.kernel, tally, |column| measure(workspace, task, column, &voice))
}

/// A column by whatever fills it, counted cell by cell, and as a whole if it did not end well.
fn counted(kernel: &str, tally: &mut Tally, fill: impl FnOnce(&mut Column) -> Result<u8>) -> Column {
    let mut column = Column { kernel: kernel.to_owned(), release: String::new(), cells: Vec::new() };
    let run = fill(&mut column);
    for cell in &column.cells {
        match cell.state {
            State::Measured => tally.outcome(&cell.name(kernel), Ok(())),
            State::Failed => tally.outcome(&cell.name(kernel), Err(anyhow!("{}", cell.detail))),
            // Known and listed: nothing was tested, and nothing is amiss.
            State::Absent => {}
        }
    }
    match run {
        // The driver ends with 1 if a cell failed, which is counted by now.
        Ok(1) if column.cells.iter().any(|cell| cell.state == State::Failed) => {}
        Ok(0) if !column.cells.is_empty() => {}
        Ok(code) => tally.outcome(
            &format!("{kernel}: the guest"),
            Err(anyhow!("the driver ended with {code} after {} cells", column.cells.len())),
        ),
        Err(error) => tally.outcome(&format!("{kernel}: the guest"), Err(error)),
    }
    column
}

fn measure(workspace: &Workspace, task: &Task, column: &mut Column, voice: &Voice) -> Result<u8> {
    let directory = vm::directory(workspace, &task.name);
    let mut guest = vm::prepare(workspace, (&task.kernel, false), &task.job, &directory)?;
    guest.smp.clone_from(&task.smp);
    guest.cmdline.clone_from(&task.cmdline);
    guest.limit = Some(task.limit);
    column.release.clone_from(&guest.name);
    let mut pending = Vec::new();
    let ending = guest.run(&mut |bytes| {
        pending.extend_from_slice(bytes);
        while let Some(end) = pending.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = pending.drain(..=end).collect();
            take_line(&String::from_utf8_lossy(&line), column, voice);
        }
    });
    let _ = fs::remove_file(&guest.initrd);
    judge(&ending?, &guest)
}

fn take_line(line: &str, column: &mut Column, voice: &Voice) {
    let cell = line.starts_with("@cell\t").then(|| Cell::parse(line)).flatten();
    match cell {
        Some(cell) => {
            let Cell { probe, backend, load, state, detail } = &cell;
            voice.say(&format!("{:8} {probe} by {backend}, {load}: {detail}", format!("{state:?}")));
            column.cells.push(cell);
        }
        None => voice.say(line.trim_end()),
    }
}

fn judge(ending: &Ending, guest: &Guest) -> Result<u8> {
    let code = ending.code(guest)?;
    match ending.stream.complaint() {
        Some(complaint) => bail!("{}: the kernel complained: {complaint}", guest.name),
        None => Ok(code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vm::kernel::on_mirror;

    #[test]
    fn lines_of_the_driver_become_cells() {
        let cell = Cell::parse("@cell\tlock\tkprobe\ta mutex held\tok\t30 waits\n").unwrap();
        assert_eq!((cell.state, cell.detail.as_str()), (State::Measured, "30 waits"));
        assert_eq!(Cell::parse("@cell\ta\tb\tc\tFAILED\tlost\n").unwrap().state, State::Failed);
        assert_eq!(Cell::parse("@cell\ta\tb\tc\tsomething new\tlost\n").unwrap().state, State::Failed);
        assert_eq!(Cell::parse("@cell\ta\tb\n"), None);
    }

    #[test]
    fn a_kernel_that_is_gone_from_the_mirror_fails_its_column_and_leaves_the_others() {
        let packages = ["linux-image-6.1.0-56-amd64".to_owned()];
        let mut tally = Tally::default();
        let columns = ["4.19", "6.1"].map(|kernel| {
            counted(kernel, &mut tally, |column| {
                column.release = on_mirror(&packages, kernel)?;
                let line = "@cell\tlock\tkprobe\ta mutex held\tok\t30 waits\n";
                take_line(line, column, &Voice::default());
                Ok(0)
            })
        });
        assert_eq!(tally.line(), "1 passed, 1 failed, 0 skipped");
        let [failure] = tally.failures() else { panic!("{:?}", tally.failures()) };
        let expected =
            "4.19: the guest: no kernel 4.19 on the Debian mirror (any more): see `cargo xtask vm --list`";
        assert_eq!(failure, expected);
        assert_eq!(
            columns.map(|column| (column.release, column.cells.len())),
            [(String::new(), 0), ("6.1.0-56-amd64".to_owned(), 1)]
        );
    }
}
