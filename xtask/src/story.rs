//! In: the name of a story and a kernel. Out: its scene played in a guest, two recordings of it, what differs
//! between them, and, for a kernel the text is about, the text's figures and pictures in `docs/stories`.

mod compare;

use std::{fs, path::Path, process::Command, time::Duration};

use anyhow::{Context, Result, bail, ensure};

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
/// Of what the story tells, 5.10 and 6.1 have it all: AppArmor's spinlock is gone from later ones.
const TOLD: &str = "6.1";
/// The heading of what moved in the page of `profiler diff`.
const MOVED: &str = "WHAT MOVED";
/// The profile of the confined server, as the kernel spells it.
const PROFILE: &str = "labtest (enforce)";
/// What is kept of each recording.
const PICTURES: [&str; 2] = ["lsm.svg", "lock.svg"];

#[derive(clap::Args)]
pub struct Options {
    /// Which one
    story: Story,
    /// The kernel to play it on
    #[arg(long, value_name = "VERSION", default_value = TOLD)]
    kernel: String,
    /// Write the figures and pictures into `docs/stories`
    #[arg(long)]
    write: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Story {
    /// A confined server beside the same one unconfined
    Apparmor,
}

/// `cargo xtask story`.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let Story::Apparmor = options.story;
    let mut tally = Tally::default();
    vm::require_emulator(workspace)?;
    let binaries = Binaries::build(workspace)?;
    let task = Task::new(&options.kernel, &binaries, &["story"], LIMIT);
    column::run(workspace, &task, &mut tally);
    tally.print();
    if tally.failed() {
        bail!("the story could not be played on {}", options.kernel);
    }
    let out = vm::directory(workspace, &options.kernel).join("out");
    let mut text = compare::differences(&out, &options.kernel)?;
    text.push_str(&told_by_diff(&binaries.profiler, &out)?);
    println!("\n{text}\nvm: the recordings are in {}; `profiler report` shows them", out.display());
    if options.write {
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

/// Replaces the generated part of the text, and the pictures beside it.
fn keep(workspace: &Workspace, out: &Path, text: &str) -> Result<()> {
    const BEGIN: &str = "<!-- written by `cargo xtask story apparmor --write` -->\n";
    const END: &str = "<!-- /story -->";
    let directory = workspace.root().join("docs/stories");
    let page = directory.join("apparmor.md");
    let old = fs::read_to_string(&page).with_context(|| format!("reading {}", page.display()))?;
    let (head, rest) = old.split_once(BEGIN).context("the text has no place for figures")?;
    let (_, tail) = rest.split_once(END).context("the text's figures have no end")?;
    for side in ["before", "after"] {
        for picture in PICTURES {
            let to = directory.join(format!("apparmor-{side}-{picture}"));
            fs::copy(out.join(side).join("out").join(picture), &to)
                .with_context(|| format!("writing {}", to.display()))?;
        }
    }
    fs::write(&page, format!("{head}{BEGIN}\n{text}\n{END}{tail}"))
        .with_context(|| format!("writing {}", page.display()))
}
