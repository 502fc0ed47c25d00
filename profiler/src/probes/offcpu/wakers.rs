//! `wakers`: what `offcpu` shows, and above each long wait who ended it:
//! `…;kernel…_[k];-- woken by container/comm (pid) --;user…;kernel…_[k]`, in ns.
//!
//! In: rows of waits, and stacks of the long ones with their wakers. Out: paths with the same total as `offcpu`'s.
//! It is no probe of its own: `offcpu` measures it. It is not part of `offcpu`'s picture, because there the leaf is where
//! a thread waits, and one place is one frame, whoever wakes it.

use super::picture;
use crate::probes::waits::ender::Ender;
use crate::probes::waits::interrupt;
use crate::profile::ledger::Population;
use crate::profile::measured::Measured;
use crate::profile::waits::{WaitStackKey, Waker};
use crate::profile::{Header, Profile, StackId, Wait};
use crate::render::clean;
use crate::render::drawing::Drawing;
use crate::render::fold::Folder;
use crate::render::who::process;

/// The picture.
pub const DRAWING: Drawing =
    Drawing { unit: "ns", title, events: picture::events, event: "waits", of: &[Population::Waits], fold };

/// The picture's title.
pub fn title(header: &Header) -> String {
    format!("waits off the CPU and who ended them{}", picture::of_stacks(header))
}

/// Pushes who ended waits, and the stacks it had then.
pub fn push(profile: &Profile, key: &WaitStackKey, folder: &mut Folder<'_>) {
    let ender = Ender::of(profile, key.waker);
    let what = if key.row.wait == Wait::Lock { "released" } else { "woken" };
    match ender {
        Ender::Unseen => folder.frame("-- woken by unknown (not seen) --"),
        Ender::Interrupt => folder.frame("-- woken by an interrupt --"),
        Ender::Process(pid) => folder.frame(&format!(
            "-- {what} by {} ({}) --",
            clean::frame(&process(profile, pid)),
            profile.processes.pid_text(pid)
        )),
    };
    push_stacks(ender, key.waker, folder);
}

/// Pushes the stacks of a waker; below an interrupt's entry they are of whoever ran then, and left out.
pub fn push_stacks(ender: Ender, waker: Waker, folder: &mut Folder<'_>) {
    let (kernel, user) = match waker {
        Waker::Unseen => return,
        Waker::Interrupt { kernel } | Waker::OnTop { kernel, .. } => (kernel, StackId::NONE),
        Waker::Process { kernel, user, .. } => (kernel, user),
    };
    match ender {
        Ender::Unseen => {}
        Ender::Interrupt => {
            folder.stack_from(kernel, interrupt::is_entry);
        }
        Ender::Process(_) => {
            folder.stack(user, None).stack(kernel, None);
        }
    }
}

/// Folds all waits.
pub fn fold(measured: Measured<'_>, folder: &mut Folder<'_>) {
    let profile = folder.profile();
    picture::fold_with(measured, folder, |key, folder| push(profile, key, folder));
}
