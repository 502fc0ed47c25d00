//! The probes: the one list of them; a leaf.
//!
//! In: nothing. Out: [`Probe`], a set of them, [`Picture`], and [`each_probe`], by which each stage takes its
//! file from every probe's folder in `probes`. Whoever adds a probe adds a line here, and the compiler lists what is missing.

use std::fmt;

use serde::{Serialize, Serializer};

/// Calls a macro with all probes in the order they are shown: `Type name [Type name of a further picture …]`.
macro_rules! each_probe {
    ($then:ident) => {
        $then! {
            Syscall syscall [Latency latency],
            Lock lock [],
            Lsm lsm [],
            Offcpu offcpu [Wakers wakers Futex futex Chains chains],
            Runq runq [],
            Cpu cpu [],
            Block block [],
            Peer peer [Peers peers],
            Crash crash [],
        }
    };
}
pub(crate) use each_probe;

macro_rules! list {
    ($($probe:ident $name:ident [$($picture:ident $picture_name:ident)*],)*) => {
        /// One latency source; its folder in `probes` says what it is.
        #[expect(missing_docs, reason = "each probe's folder opens with what it is")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Probe { $($probe,)* }

        /// What can be drawn: a picture of each probe under its own name, then the further ones.
        #[expect(missing_docs, reason = "each picture's file opens with what it is")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Picture { $($probe,)* $($($picture,)*)* }

        impl Probe {
            /// All of them, in the order they are shown.
            pub const ALL: &'static [Self] = &[$(Self::$probe,)*];

            /// The one name: of the option, the file, the folder.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$probe => stringify!($name),)* }
            }

            /// The picture that has its name.
            pub const fn picture(self) -> Picture {
                match self { $(Self::$probe => Picture::$probe,)* }
            }
        }

        impl Picture {
            /// All of them, in the order they are shown.
            pub const ALL: &'static [Self] = &[$(Self::$probe,)* $($(Self::$picture,)*)*];

            /// The one name: of the option and the file.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$probe => stringify!($name),)*
                    $($(Self::$picture => stringify!($picture_name),)*)*
                }
            }

            /// The probe that measures it.
            pub const fn probe(self) -> Probe {
                match self {
                    $(Self::$probe => Probe::$probe,)*
                    $($(Self::$picture => Probe::$probe,)*)*
                }
            }
        }
    };
}

each_probe!(list);

impl fmt::Display for Probe {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl Serialize for Probe {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// A set of probes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Probes(u64);

const _: () = assert!(Probe::ALL.len() <= 64);

impl Probes {
    /// All of them.
    pub fn all() -> Self {
        Probe::ALL.iter().copied().collect()
    }

    /// Whether a probe is in it.
    pub const fn has(self, probe: Probe) -> bool {
        self.0 & (1 << probe as u32) != 0
    }

    /// The probes in the set, in the order in which they are shown.
    pub fn iter(self) -> impl Iterator<Item = Probe> {
        Probe::ALL.iter().copied().filter(move |probe| self.has(*probe))
    }
}

impl FromIterator<Probe> for Probes {
    fn from_iter<I: IntoIterator<Item = Probe>>(probes: I) -> Self {
        Self(probes.into_iter().fold(0, |set, probe| set | 1 << probe as u32))
    }
}

/// Names as a sentence lists them: `a, b and c`.
pub fn listed(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// The names of all probes.
pub fn probe_names() -> Vec<&'static str> {
    Probe::ALL.iter().map(|probe| probe.name()).collect()
}

/// The names of all pictures.
pub fn picture_names() -> Vec<&'static str> {
    Picture::ALL.iter().map(|picture| picture.name()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_put_in_and_nothing_else() {
        for probe in Probe::ALL {
            let one: Probes = [*probe].into_iter().collect();
            assert_eq!(one.iter().collect::<Vec<_>>(), [*probe]);
        }
        assert_eq!(Probes::all().iter().collect::<Vec<_>>(), Probe::ALL);
        assert_eq!(Probes::default().iter().count(), 0);
    }

    #[test]
    fn each_name_is_given_once() {
        let mut names = picture_names();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Picture::ALL.len());
        assert!(Probe::ALL.iter().all(|probe| probe.picture().name() == probe.name()));
    }

    #[test]
    fn a_list_ends_with_and() {
        assert_eq!(listed(&["a"]), "a");
        assert_eq!(listed(&["a", "b", "c"]), "a, b and c");
    }
}
