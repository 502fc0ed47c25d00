//! Story S2: a hundred milliseconds in the kernel, with AppArmor and without.
//!
//! In: a kernel. Out: the scene played in a guest, two recordings of it, what differs between them.

use std::{path::Path, process::Command, time::Duration};

use anyhow::{Context, Result, bail, ensure};

use super::{compare, text::Text};

use crate::{
    command,
    matrix::column::{self, Task},
    statics::Binaries,
    test::tally::Tally,
    vm,
    workspace::Workspace,
};

/// Two recordings of a few seconds each, on an emulated machine.
const LIMIT: Duration = Duration::from_secs(420);
/// The kernel it is told of. Of what it tells, 5.10 and 6.1 have it all: AppArmor's spinlock is gone from later ones.
pub const TOLD: &str = "6.1";
/// The heading of what moved in the page of `profiler diff`.
const MOVED: &str = "WHAT MOVED";
/// The profile of the confined server, as the kernel spells it.
const PROFILE: &str = "labtest (enforce)";
/// What is kept of each recording.
const PICTURES: [&str; 2] = ["lsm.svg", "lock.svg"];

/// Plays it.
///
/// # Errors
/// When it cannot be played, or `profiler diff` does not name what changed.
pub fn play(workspace: &Workspace, kernel: &str, write: bool) -> Result<()> {
    let mut tally = Tally::default();
    vm::require_emulator(workspace)?;
    let binaries = Binaries::build(workspace)?;
    let task = Task::new(kernel, &binaries, &["story"], LIMIT);
    column::run(workspace, &task, &mut tally);
    tally.print();
    if tally.failed() {
        bail!("the story could not be played on {kernel}");
    }
    let out = vm::directory(workspace, kernel).join("out");
    let mut text = compare::differences(&out, kernel)?;
    text.push_str(&told_by_diff(&binaries.profiler, &out)?);
    println!("\n{text}\nvm: the recordings are in {}; `profiler report` shows them", out.display());
    if write {
        keep(workspace, &out, &text)?;
    }
    Ok(())
}

/// What `profiler diff` says of the two, which must name the profile among what else changed, and AppArmor among what moved.
fn told_by_diff(profiler: &Path, out: &Path) -> Result<String> {
    let sides = ["before/out", "after/out"];
    let said = command::read(Command::new(profiler).current_dir(out).arg("diff").args(sides))?;
    let (changed, moved) = said.split_once(MOVED).context("`profiler diff` has no list of what moved")?;
    ensure!(changed.contains(PROFILE), "`profiler diff` does not name the profile:\n{changed}");
    // Its spinlock on old kernels, its part of the hook on later ones.
    ensure!(
        ["aa_", "apparmor"].iter().any(|name| moved.contains(name)),
        "`profiler diff` does not say that AppArmor moved:\n{moved}"
    );
    Ok(format!("\n`profiler diff before after` says of these recordings:\n\n```\n{}\n```\n", said.trim()))
}

/// Keeps the figures and the pictures.
fn keep(workspace: &Workspace, out: &Path, text: &str) -> Result<()> {
    let page = Text::open(workspace, "apparmor")?;
    for side in ["before", "after"] {
        for picture in PICTURES {
            page.picture(&out.join(side).join("out").join(picture), &format!("{side}-{picture}"))?;
        }
    }
    page.write(text)
}
