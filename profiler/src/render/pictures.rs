//! The pictures of all probes.
//!
//! In: `picture.rs` of each probe's folder, and a file for each further picture. Out: the row of a picture.

use super::drawing::Drawing;
use super::fold::{Folded, Folder};
use crate::probe::{Picture, each_probe};
use crate::profile::Profile;

macro_rules! drawings {
    ($($probe:ident $name:ident [$($picture:ident $file:ident)*],)*) => {
        /// The row of a picture.
        pub const fn drawing(picture: Picture) -> &'static Drawing {
            match picture {
                $(Picture::$probe => &crate::probes::$name::picture::DRAWING,)*
                $($(Picture::$picture => &crate::probes::$name::$file::DRAWING,)*)*
            }
        }
    };
}

each_probe!(drawings);

/// A picture's rows as folded paths.
pub fn fold(profile: &Profile, picture: Picture) -> Folded {
    let mut folder = Folder::new(profile);
    (drawing(picture).fold)(profile.into(), &mut folder);
    folder.finish()
}

/// How many events the probe of a picture saw, and what they are called.
pub fn events(profile: &Profile, picture: Picture) -> (u64, &'static str) {
    let drawing = drawing(picture);
    ((drawing.events)(profile), drawing.event)
}
