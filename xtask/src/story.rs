//! The incidents of `docs/stories`, played for real.
//!
//! In: the name of a story. Out: its scene, a recording that is told nothing but the containers' names, and an error unless the
//! culprit stands in the first three sentences; with `--write` the figures of its text.

mod apparmor;
mod cgo;
mod client;
mod compare;
mod decoder;
mod proxy;
mod requests;
mod scene;
mod text;

use std::{path::Path, time::Duration};

use anyhow::Result;

use crate::{statics, test::tally::Tally, workspace::Workspace};
use scene::Told;
use text::Text;

/// Time between two bad requests when somebody plays it.
const PERIOD: Duration = Duration::from_secs(4);
/// The same in the suite.
const SHORT: Duration = Duration::from_millis(1500);

#[derive(clap::Args)]
pub struct Options {
    /// Which one
    story: Story,
    /// The kernel to play it on, in a guest (apparmor only)
    #[arg(long, value_name = "VERSION", default_value = apparmor::TOLD)]
    kernel: String,
    /// Write the figures and pictures into `docs/stories`
    #[arg(long)]
    write: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Story {
    /// A confined server beside the same one unconfined
    Apparmor,
    /// A server in .NET that spins on garbage
    Decoder,
    /// A server that dies in zlib, without a core dump
    Proxy,
    /// A monitor whose requests kill back ends
    Requests,
    /// A service in Go that dies in C++
    Cgo,
}

/// A story that is played on this machine, and how it is told.
struct Play {
    name: &'static str,
    /// What shows where.
    pictures: &'static [&'static str],
    run: fn(&Workspace, &Path, Duration) -> Result<Told>,
}

const DECODER: Play = Play { name: "decoder", pictures: &["cpu.svg", "peers.svg"], run: decoder::play };
const PROXY: Play = Play { name: "proxy", pictures: &["crash.svg"], run: proxy::play };
const CGO: Play = Play { name: "cgo", pictures: &["crash.svg"], run: cgo::play };
const REQUESTS: Play = Play { name: "requests", pictures: &["crash.svg"], run: requests::play };

/// `cargo xtask story`.
///
/// # Errors
/// When it cannot be played, or is not told.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let play = match options.story {
        Story::Apparmor => return apparmor::play(workspace, &options.kernel, options.write),
        Story::Decoder => DECODER,
        Story::Proxy => PROXY,
        Story::Requests => REQUESTS,
        Story::Cgo => CGO,
    };
    crate::kernel_side::object(workspace)?;
    let profiler = statics::package(workspace, "profiler")?;
    let told = (play.run)(workspace, &profiler, PERIOD)?;
    println!("{}\nxtask: the recording is in {}", told.text, told.out.display());
    if options.write {
        let text = Text::open(workspace, play.name)?;
        text.picture(&told.out.join("syscall-heat.svg"), "heat.svg")?;
        for picture in play.pictures {
            text.picture(&told.out.join(picture), picture)?;
        }
        text.write(&told.figures())?;
    }
    Ok(())
}

/// The stories that this machine can play, played short: part of the suite.
pub fn few_here(workspace: &Workspace, profiler: &Path, tally: &mut Tally) {
    for play in [PROXY, CGO, REQUESTS] {
        let told = (play.run)(workspace, profiler, SHORT);
        tally.outcome(&format!("story {}", play.name), told.map(drop));
    }
}
