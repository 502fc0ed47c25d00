//! `crash`: deaths as `container;comm (pid);user…;SIGSEGV: null pointer`.
//!
//! In: faults. Out: paths, weighing deaths. What a handler caught is drawn if its process died.

use super::place;
use super::rows::Fault;
use crate::profile::Profile;
use crate::profile::measured::Measured;
use crate::render::clean;
use crate::render::drawing::Drawing;
use crate::render::fold::Folder;
use crate::render::signal;
use crate::render::syscalls::CallClass;

/// The picture.
pub const DRAWING: Drawing = Drawing {
    unit: "deaths",
    title: |_| "where processes died".to_owned(),
    events,
    event: "faults",
    of: &[],
    fold,
};

/// Faults of processes that died of them.
pub fn events(profile: &Profile) -> u64 {
    profile.crash.faults.iter().filter(|fault| place::is_fatal(profile, fault)).count() as u64
}

/// Pushes the stack of a fault, and what it was.
pub fn push(fault: &Fault, folder: &mut Folder<'_>) {
    folder.stack(fault.stack, Some("[user stack missing]"));
    folder.frame(&format!("[{}: {}]", signal::name(fault.signal), fault.kind.text()));
}

/// Folds all.
pub fn fold(measured: Measured<'_>, folder: &mut Folder<'_>) {
    let profile = folder.profile();
    for fault in measured.crash.faults.iter().filter(|fault| place::is_fatal(profile, fault)) {
        if !fault.container.is_empty() {
            folder.frame(&format!("container {}", clean::frame(&fault.container)));
        }
        folder.frame(&clean::frame(&fault.thread));
        push(fault, folder);
        folder.end(1, CallClass::Work);
    }
}
