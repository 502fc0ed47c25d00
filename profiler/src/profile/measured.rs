//! The rows of all probes, wherever they are kept.
//!
//! In: a profile, or one interval of it. Out: [`Measured`], from which pictures are folded: those of the whole recording and those of
//! a part of it are made the same way.

use super::{Interval, Profile, WaitRows};
use crate::probe::each_probe;

macro_rules! measured {
    ($($probe:ident $name:ident [$($picture:tt)*],)*) => {
        /// Rows of some stretch of time.
        #[derive(Clone, Copy)]
        pub struct Measured<'m> {
            $(
                /// The rows of the probe of this name.
                pub $name: &'m crate::probes::$name::rows::Rows,
            )*
            /// Waits off the CPU.
            pub waits: &'m WaitRows,
        }

        impl<'m> From<&'m Profile> for Measured<'m> {
            fn from(profile: &'m Profile) -> Self {
                Self { $($name: &profile.$name,)* waits: &profile.waits }
            }
        }

        impl<'m> From<&'m Interval> for Measured<'m> {
            fn from(interval: &'m Interval) -> Self {
                Self { $($name: &interval.$name,)* waits: &interval.waits }
            }
        }
    };
}

each_probe!(measured);
