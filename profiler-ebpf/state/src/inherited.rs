//! What a wait takes over from the thread that ends it.
//!
//! In: the last long waits of that thread. Out: the links that lie inside the wait. The link that explains
//! most becomes the wait's parent.

use profiler_common::chain::{DEEPEST, How, NO_LINK};

use crate::chain::{REMEMBERED, Recent};
use crate::field::Field;

/// What explains less than this part of a wait is left out.
const LEAST_PART: u64 = 8;

/// What a wait takes over: the links inside of it, what each explains.
#[repr(C)]
pub struct Inherited {
    /// Which wait it is of; 0: none.
    pub of: Field<u64>,
    links: [Share; REMEMBERED],
    /// The one that explains most.
    parent: Field<u64>,
    /// Index of [`How`].
    how: Field<u32>,
    /// The thread at the root of the first link's chain.
    root: Field<u32>,
    /// Links of that chain.
    depth: Field<u32>,
    /// 1: one of them was of a wait for the same thread, and is left out.
    pub cycle: Field<u32>,
}

/// A link, and what it explains.
#[repr(C)]
struct Share {
    link: Field<u64>,
    ns: Field<u64>,
}

impl Inherited {
    /// The wait takes nothing over.
    #[inline(always)]
    pub fn none(&self, how: How) {
        for share in &self.links {
            share.ns.set(0);
            share.link.set(NO_LINK);
        }
        self.parent.set(NO_LINK);
        self.how.set(how as u32);
        self.root.set(0);
        self.depth.set(0);
        self.cycle.set(0);
    }

    /// The wait of the thread `tid` from `begin` until `end` takes over what its waker waited for meanwhile.
    #[inline(always)]
    pub fn take(&self, recent: &Recent, tid: u32, (begin, end): (u64, u64)) {
        self.none(How::Ran);
        let least = end.saturating_sub(begin) / LEAST_PART;
        let mut most = 0;
        for (index, past) in recent.waits.iter().enumerate() {
            let ns = past.within(begin, end);
            if ns == 0 {
                continue;
            }
            if past.root.get() == tid {
                self.cycle.set(1);
                continue;
            }
            let ns = self.add(past.link.get(), index, ns);
            if ns > most {
                most = ns;
                self.parent.set(past.link.get());
                self.root.set(past.root.get());
                self.depth.set(past.depth.get());
            }
        }
        let cycle = self.cycle.get() != 0;
        self.how.set(if most == 0 || most < least {
            if cycle { How::Cycle } else { How::Ran }
        } else if self.depth.get() >= DEEPEST {
            How::Deep
        } else {
            How::Inherited
        } as u32);
        for share in &self.links {
            // A deeper chain than is kept would make a link of its own of every wait.
            if share.ns.get() < least || self.how.get() == How::Deep as u32 {
                share.ns.set(0);
            }
        }
    }

    /// Adds to the share of a link, which is at `index` unless there is one already; what that is now.
    #[inline(always)]
    fn add(&self, link: u64, index: usize, ns: u64) -> u64 {
        let [first, second, third, fourth] = &self.links;
        let share = if first.link.get() == link {
            first
        } else if second.link.get() == link {
            second
        } else if third.link.get() == link {
            third
        } else if index == 0 {
            first
        } else if index == 1 {
            second
        } else if index == 2 {
            third
        } else {
            fourth
        };
        share.link.set(link);
        share.ns.add(ns);
        share.ns.get()
    }

    /// What is said of the rest of the wait: an index of [`How`].
    #[inline(always)]
    pub fn how(&self) -> u32 {
        self.how.get()
    }

    /// The link that explains most, and how much; none: [`NO_LINK`].
    #[inline(always)]
    pub fn parent(&self) -> (u64, u64) {
        let (parent, mut most) = (self.parent.get(), 0);
        for share in &self.links {
            let ns = share.ns.get();
            if share.link.get() == parent && ns > most {
                most = ns;
            }
        }
        (if most == 0 { NO_LINK } else { parent }, most)
    }

    /// Hands out the other links.
    #[inline(always)]
    pub fn others(&self, parent: u64, mut give: impl FnMut(u64, u64)) {
        for share in &self.links {
            let ns = share.ns.get();
            if ns != 0 && share.link.get() != parent {
                give(share.link.get(), ns);
            }
        }
    }

    /// The thread at the root of a wait of the thread `tid`, and the links of its chain.
    #[inline(always)]
    pub fn root(&self, tid: u32) -> (u32, u32) {
        if self.how.get() == How::Inherited as u32 {
            (self.root.get(), self.depth.get() + 1)
        } else {
            (tid, 1)
        }
    }
}
