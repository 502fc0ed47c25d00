//! A profile being rendered: what several formats need is made once.
//!
//! In: the profile. Out: [`Rendering`]: pictures as paths and trees, and the ledger with what rendering cut.
//! Pictures that take much memory are made again when another format asks for them.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;

use super::drawn::Drawn;
use super::fold::Folded;
use super::scene::Idle;
use super::sheet::Summary;
use super::syscalls::CallClass;
use super::{cuts, folded_lines, idle, pictures};
use crate::probe::Picture;
use crate::profile::{Class, Ledger, Profile};

/// Frames of the pictures that are kept beside the last one, 8 MB.
const KEPT_FRAMES: usize = 2 << 20;

/// A profile being rendered: what several formats need is made once.
pub struct Rendering<'p> {
    profile: &'p Profile,
    /// Where idle waits stand.
    pub idle: Idle,
    made: RefCell<Vec<(Picture, Rc<Made>)>>,
    told: [OnceCell<Told>; Picture::ALL.len()],
    ledger: OnceCell<Ledger>,
    /// `summary.json`, when it was asked for.
    pub summary: OnceCell<Summary>,
    /// Stacks that lack frames in the page, when it was asked for.
    pub page_cut: Cell<u64>,
}

/// A picture, folded.
pub struct Made {
    /// Its paths.
    pub folded: Folded,
    /// What of them is drawn.
    pub drawn: Drawn,
}

/// What is said of a picture elsewhere.
#[derive(Clone, Copy)]
struct Told {
    /// Share that is too narrow to draw, 0..=1.
    elided: f64,
    /// Stacks without a line in its folded file.
    cut: u64,
}

impl<'p> Rendering<'p> {
    /// Nothing made yet.
    pub fn new(profile: &'p Profile) -> Self {
        Self {
            profile,
            idle: Idle::Apart,
            made: RefCell::default(),
            told: Default::default(),
            ledger: OnceCell::new(),
            summary: OnceCell::new(),
            page_cut: Cell::new(0),
        }
    }

    /// Where idle waits stand in tables; left out, they are missing from pictures too, never from `summary.json`.
    pub fn with_idle(self, idle: Idle) -> Self {
        Self { idle, ..Self::new(self.profile) }
    }

    /// How many idle waits are left out, in words; none when nothing is.
    pub fn idle_left_out(&self) -> Option<String> {
        if self.idle == Idle::LeftOut { idle::sentence(self.profile) } else { None }
    }

    /// Share of a picture that is too narrow to draw, 0..=1.
    pub fn elided(&self, picture: Picture) -> f64 {
        self.told(picture).elided
    }

    /// The profile.
    pub const fn profile(&self) -> &'p Profile {
        self.profile
    }

    /// The profile's ledger, and what cannot be shown whole in any output.
    pub fn ledger(&self) -> &Ledger {
        self.ledger.get_or_init(|| {
            let mut ledger = self.profile.ledger.clone();
            cuts::count(&self.profile.stacks, &mut ledger);
            ledger
        })
    }

    /// The same, and what the folded files leave out.
    pub fn ledger_of_files(&self) -> Ledger {
        let mut ledger = self.ledger().clone();
        let cut = Picture::ALL.iter().map(|picture| self.told(*picture).cut);
        ledger.count(Class::FoldedCut, cut.fold(0, u64::saturating_add));
        ledger.count(Class::PageCut, self.page_cut.get());
        ledger
    }

    /// A picture's rows as paths, and what of them is drawn.
    pub fn made(&self, picture: Picture) -> Rc<Made> {
        let known =
            self.made.borrow().iter().find(|(own, _)| *own == picture).map(|(_, made)| Rc::clone(made));
        if let Some(known) = known {
            return known;
        }
        self.forget();
        let folded = pictures::fold(self.profile, picture);
        let folded = if self.idle == Idle::LeftOut { folded.leave_out(CallClass::Idle) } else { folded };
        let drawn = Drawn::new(&folded);
        let made = Rc::new(Made { folded, drawn });
        self.made.borrow_mut().push((picture, Rc::clone(&made)));
        made
    }

    /// Gives the memory of large pictures back.
    fn forget(&self) {
        let mut room = KEPT_FRAMES;
        self.made.borrow_mut().retain(|(_, made)| {
            let kept = made.folded.size() <= room;
            room = room.saturating_sub(made.folded.size());
            kept
        });
    }

    fn told(&self, picture: Picture) -> Told {
        *self.told[picture as usize].get_or_init(|| {
            let made = self.made(picture);
            Told { elided: made.drawn.tree.elided(), cut: folded_lines::cut(&made.folded) }
        })
    }
}
