//! `latency`: slow calls as `container;comm (pid);call;part;kernel…_[k]`, in ns: their whole wall time.
//!
//! In: rows of parts. Out: paths; idle calls and waits on user locks stand under roots of their own, as in
//! `syscall`. It is no probe of its own: the `syscall` probe measures it.

use super::picture::{self, root};
use crate::profile::Header;
use crate::profile::ledger::Population;
use crate::profile::measured::Measured;
use crate::profile::parts::Part;
use crate::render::drawing::Drawing;
use crate::render::fold::Folder;
use crate::render::humane;
use crate::render::syscalls;

/// The picture.
pub const DRAWING: Drawing = Drawing {
    unit: "ns",
    title,
    events: picture::events,
    event: "system calls",
    of: &[Population::Calls],
    fold,
};

/// The picture's title.
pub fn title(header: &Header) -> String {
    match header.slow_ns {
        0 => "wall time of system calls by part".to_owned(),
        slow => format!("wall time of system calls ≥ {} by part", humane::setting(slow)),
    }
}

/// What stands in the place of a stack; nothing where a part has none by its nature.
const fn instead(part: Part) -> Option<&'static str> {
    match part {
        Part::OnCpu => Some("[no sample fell into it]"),
        Part::Spin | Part::LockSleep | Part::Sleep => Some("[too short for a stack]"),
        Part::Irq
        | Part::Woken
        | Part::Preempted
        | Part::Throttled
        | Part::Interrupted
        | Part::Unaccounted => None,
    }
}

/// Folds the parts of all slow calls.
pub fn fold(measured: Measured<'_>, folder: &mut Folder<'_>) {
    let classes = folder.classes();
    for (key, row) in &measured.syscall.parts {
        let class = classes.borrow().of_call(key.pid, key.nr);
        if let Some(root) = root(class) {
            folder.frame(root);
        }
        folder.process(key.pid);
        folder.frame(&format!("{}()", syscalls::name(key.nr))).frame(key.part.name());
        folder.stack(key.kernel, instead(key.part));
        folder.end(row.ns, class);
    }
}
