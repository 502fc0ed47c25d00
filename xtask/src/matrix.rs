//! In: kernels of the mirror. Out: for each, in a guest of its own, every probe by every backend against a known
//! workload (`xtask/lab` has the table), counted cell by cell; a run over all of them writes the table in `docs/kernels.md`.

mod page;

use std::{fs, time::Duration};

use anyhow::{Result, anyhow, bail};

use crate::{
    test::tally::Tally,
    vm::{self, guest::Ending, image::Job, kernel::PROMISED},
    workspace::Workspace,
};

/// Everything one kernel may take; five of them stay below 20 minutes.
const LIMIT: Duration = Duration::from_secs(230);
/// With fewer, few threads wait for a spinlock.
const CPUS: &str = "4";

#[derive(clap::Args)]
pub struct Options {
    /// Only this kernel (repeat for more) [default: 5.10, 6.1, 6.12, 6.18 and 7.2]
    #[arg(long, value_name = "VERSION")]
    kernel: Vec<String>,
    /// Only cells whose probe, backend or load contains this
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
}

/// `cargo xtask matrix`.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let mut tally = Tally::default();
    if options.kernel.is_empty() && options.only.is_none() {
        all(workspace, &mut tally);
    } else {
        let named: Vec<&str> = options.kernel.iter().map(String::as_str).collect();
        let kernels = if named.is_empty() { PROMISED.as_slice() } else { &named };
        columns(workspace, kernels, options.only.as_deref(), &mut tally);
    }
    tally.print();
    if tally.failed() { bail!("cells failed") } else { Ok(()) }
}

/// Every cell of every promised kernel, and the table of them.
pub fn all(workspace: &Workspace, tally: &mut Tally) {
    let columns = columns(workspace, &PROMISED, None, tally);
    if !columns.is_empty() {
        tally.outcome("docs/kernels.md", page::write(workspace, &columns));
    }
}

/// One guest after the other; none if there is nothing to run in them.
fn columns(workspace: &Workspace, kernels: &[&str], only: Option<&str>, tally: &mut Tally) -> Vec<Column> {
    println!("\n== binaries of the matrix");
    match vm::binaries(workspace) {
        Ok(files) => {
            let mut command = vec!["lab".to_owned(), "matrix".to_owned()];
            command.extend(only.map(str::to_owned));
            let job = Job { command, files };
            kernels.iter().map(|kernel| column(workspace, kernel, &job, tally)).collect()
        }
        Err(error) => {
            tally.outcome("binaries of the matrix", Err(error));
            Vec::new()
        }
    }
}

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

/// One guest. Whatever goes wrong with it is counted, and the next one boots.
fn column(workspace: &Workspace, kernel: &str, job: &Job, tally: &mut Tally) -> Column {
    println!("\n== matrix {kernel}");
    let mut column = Column { kernel: kernel.to_owned(), release: String::new(), cells: Vec::new() };
    let run = measure(workspace, job, &mut column);
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

fn measure(workspace: &Workspace, job: &Job, column: &mut Column) -> Result<u8> {
    let mut guest = vm::prepare(workspace, &column.kernel, false, job)?;
    guest.smp = CPUS.to_owned();
    guest.limit = Some(LIMIT);
    column.release.clone_from(&guest.name);
    let mut pending = Vec::new();
    let ending = guest.run(&mut |bytes| {
        pending.extend_from_slice(bytes);
        while let Some(end) = pending.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = pending.drain(..=end).collect();
            take_line(&String::from_utf8_lossy(&line), column);
        }
    });
    let _ = fs::remove_file(&guest.initrd);
    judge(&ending?, &guest)
}

fn take_line(line: &str, column: &mut Column) {
    let cell = line.starts_with("@cell\t").then(|| Cell::parse(line)).flatten();
    match cell {
        Some(cell) => {
            println!(
                "{:8} {} by {}, {}: {}",
                format!("{:?}", cell.state),
                cell.probe,
                cell.backend,
                cell.load,
                cell.detail
            );
            column.cells.push(cell);
        }
        None => print!("{line}"),
    }
}

fn judge(ending: &Ending, guest: &vm::guest::Guest) -> Result<u8> {
    let code = ending.code(guest)?;
    match ending.stream.complaint() {
        Some(complaint) => bail!("{}: the kernel complained: {complaint}", guest.name),
        None => Ok(code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_driver_become_cells() {
        let cell = Cell::parse("@cell\tlock\tkprobe\ta mutex held\tok\t30 waits\n").unwrap();
        assert_eq!((cell.state, cell.detail.as_str()), (State::Measured, "30 waits"));
        assert_eq!(Cell::parse("@cell\ta\tb\tc\tFAILED\tlost\n").unwrap().state, State::Failed);
        assert_eq!(Cell::parse("@cell\ta\tb\tc\tsomething new\tlost\n").unwrap().state, State::Failed);
        assert_eq!(Cell::parse("@cell\ta\tb\n"), None);
    }
}
