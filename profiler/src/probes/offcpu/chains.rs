//! `chains`: long waits by what they come from: `who at the root;…;who was waited for;who waited`, in ns.
//!
//! In: waits by place with their chains. Out: paths whose total is all long waits; what no chain explains stands under a root that says
//! why. It is no probe of its own: `offcpu` measures it.

use super::picture;
use crate::probes::blame::chains::{Chains, Place};
use crate::profile::ledger::Population;
use crate::profile::measured::Measured;
use crate::profile::waits::WaitKey;
use crate::profile::{Header, Profile};
use crate::render::drawing::Drawing;
use crate::render::fold::Folder;

/// The picture.
pub const DRAWING: Drawing =
    Drawing { unit: "ns", title, events, event: "long waits", of: &[Population::Waits], fold };

/// The picture's title.
pub fn title(header: &Header) -> String {
    format!("long waits and what they come from{}", picture::of_stacks(header))
}

/// Long waits that ended.
pub fn events(profile: &Profile) -> u64 {
    let rows = profile.waits.blame.links.iter().filter(|(key, _)| !key.outside);
    rows.map(|(_, row)| row.waits).fold(0, u64::saturating_add)
}

/// Folds all of them.
pub fn fold(measured: Measured<'_>, folder: &mut Folder<'_>) {
    let (profile, classes) = (folder.profile(), folder.classes());
    let chains = Chains::of(profile, &measured.waits.blame.links);
    for (place, waits) in chains.waits() {
        let (class, _) = classes.borrow_mut().of_row(&wait(&place));
        for (part, ns) in &waits.parts {
            if part.chain.is_empty() {
                folder.frame(&format!("[{}]", chains.chain(part)));
            } else if part.is_cut {
                folder.frame("[unknown (its link was lost)]");
            }
            for step in part.chain.iter().rev() {
                folder.frame(&chains.words(step));
            }
            folder.process(place.pid).frame(&picture::call(&wait(&place)));
            folder.stack(place.kernel, None);
            folder.end(*ns, class);
        }
    }
}

const fn wait(place: &Place) -> WaitKey {
    WaitKey { pid: place.pid, nr: place.nr, wait: place.wait }
}
