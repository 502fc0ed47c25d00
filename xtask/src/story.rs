//! In: the name of a story and a kernel. Out: its scene played in a guest, two recordings of it, what differs
//! between them, and, for a kernel the text is about, the text's figures and pictures in `docs/stories`.

mod compare;

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result, bail};

use crate::{
    matrix::column::{self, Task},
    test::tally::Tally,
    workspace::Workspace,
};

/// Two recordings of a few seconds each, on an emulated machine.
const LIMIT: Duration = Duration::from_secs(420);
/// Of what the story tells, 5.10 and 6.1 have it all: AppArmor's spinlock is gone from later ones.
const TOLD: &str = "6.1";
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
    let task = Task::new(workspace, &["story"], LIMIT)?;
    column::run(workspace, &options.kernel, &task, &mut tally);
    tally.print();
    if tally.failed() {
        bail!("the story could not be played on {}", options.kernel);
    }
    let out = workspace.target().join("vm").join(&options.kernel).join("out");
    let text = compare::differences(&out, &options.kernel)?;
    println!("\n{text}\nvm: the recordings are in {}; `profiler report` shows them", out.display());
    if options.write {
        keep(workspace, &out, &text)?;
    }
    Ok(())
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
