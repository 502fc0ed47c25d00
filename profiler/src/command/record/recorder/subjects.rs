//! What the calls in flight are about.
//!
//! In: threads that the task iterator found inside calls, with their registers. Out: each call's subject; who has the other ends is known
//! to the capture as a process.

use profiler_common::processor::ARGUMENTS;

use super::Recorder;
use crate::collect::Found;
use crate::profile::InFlightCall;
use crate::profile::in_flight::Subject;
use crate::symbol::asleep::THREADS;
use crate::symbol::subject::{self, Asked};

/// Calls that are asked about, each with its place.
#[derive(Default)]
pub struct Subjects {
    places: Vec<usize>,
    asked: Vec<Asked>,
    /// Those that wait for several descriptors: asked about if there is room.
    later: Vec<(usize, Asked)>,
    /// Places of those that are more than are asked about.
    left_out: Vec<usize>,
}

impl Subjects {
    /// One more, if its registers are known and it is about something.
    pub fn add(&mut self, place: usize, found: &Found) {
        let (Some(registers), Some(nr)) = (found.registers, found.nr) else { return };
        let word = |offset: u64| registers.get(offset as usize / 8).copied().unwrap_or(0);
        let asked = Asked { pid: found.pid, tid: found.tid, nr, arguments: ARGUMENTS.map(word) };
        if !asked.has_subject() {
            return;
        }
        if asked.waits_for_several() && self.later.len() < THREADS {
            self.later.push((place, asked));
        } else {
            self.ask(place, asked);
        }
    }

    fn ask(&mut self, place: usize, asked: Asked) {
        if self.asked.len() >= THREADS {
            self.left_out.push(place);
            return;
        }
        self.places.push(place);
        self.asked.push(asked);
    }
}

impl Recorder {
    /// Says of each what it is about.
    pub(super) fn subjects(&mut self, mut subjects: Subjects, calls: &mut [InFlightCall]) {
        for (place, asked) in std::mem::take(&mut subjects.later) {
            subjects.ask(place, asked);
        }
        for (place, subject) in subjects.places.iter().zip(subject::of(&subjects.asked)) {
            subject.other_ends.iter().for_each(|end| self.see_met(end.pid));
            if let Some(call) = calls.get_mut(*place) {
                call.subject = Some(Box::new(subject));
            }
        }
        for place in &subjects.left_out {
            if let Some(call) = calls.get_mut(*place) {
                let object_unknown = format!("not asked: more than {THREADS} calls in flight");
                call.subject = Some(Box::new(Subject { object_unknown, ..Subject::default() }));
            }
        }
    }
}
