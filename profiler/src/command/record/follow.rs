//! The target's instances while recording: which of them exist, and whether a new cgroup is an instance.
//!
//! In: cgroup events, names that runtimes record. Out: changes of presence, and the kernel side's filter where a target
//! comes back under another path. Where the path stays, the kernel side follows by itself.

use std::time::{Duration, Instant};

use aya::Ebpf;
use profiler_common::follow::{CgroupEvent, change};

use super::scope::place;
use crate::attach::{Instances, is_somebody};
use crate::failure::Failure;
use crate::profile::{Class, Interval, PresenceChange};
use crate::target::{Finder, Seek, Whose};

/// A new cgroup whose container is not described is asked about for so long.
const PATIENCE: Duration = Duration::from_secs(5);
/// Such cgroups at once, at most.
const KEPT: usize = 256;

/// Follows the target's cgroups.
pub struct Follower {
    instances: Instances,
    finder: Finder,
    seats: Vec<Seat>,
    nameless: Vec<Nameless>,
}

/// One cgroup of the target.
struct Seat {
    seek: Seek,
    present: bool,
}

/// A new cgroup whose container nobody has described yet.
struct Nameless {
    path: String,
    since: Instant,
}

impl Follower {
    /// Takes the maps of the loaded object.
    ///
    /// # Errors
    /// An object without them.
    pub fn new(ebpf: &mut Ebpf, seeks: Vec<Seek>, finder: Finder) -> Result<Self, Failure> {
        let seat = |seek: Seek| Seat { present: is_somebody(seek.identity.0), seek };
        let seats = seeks.into_iter().map(seat).collect();
        Ok(Self { instances: Instances::new(ebpf)?, finder, seats, nameless: Vec::new() })
    }

    /// Whether any cgroup of the target is there; true of a target without.
    pub fn has_any(&self) -> bool {
        self.seats.is_empty() || self.seats.iter().any(|seat| seat.present)
    }

    /// Whether the target is one of cgroups.
    pub fn is_needed(&self) -> bool {
        !self.seats.is_empty()
    }

    /// What is waited for, in words.
    pub fn awaited(&self) -> String {
        let absent = self.seats.iter().filter(|seat| !seat.present);
        absent.map(|seat| seat.seek.label()).collect::<Vec<_>>().join(" or ")
    }

    /// Begins: notes which instances are absent, and makes up for those that came or went before the hooks
    /// were attached.
    pub fn begin(&mut self, interval: &mut Interval) {
        for (index, seat) in self.seats.iter_mut().enumerate() {
            let now = self.finder.identity(&seat.seek.path).filter(|_| seat.present);
            let known = self.instances.get(index).map_or([0; 2], |known| [known.id, known.awaited]);
            match now {
                Some((id, level)) if !known.contains(&id) && seat.seek.identity.0 != id => {
                    if let Err(error) = self.instances.begin(index, id, level) {
                        tracing::warn!("{}: {error:#}", seat.seek.label());
                    }
                }
                None => seat.present = false,
                Some(_) => {}
            }
            if !seat.present {
                interval.presence.push(change_of(seat, 0));
            }
        }
    }

    /// Takes an event; `start_ns` is the session's start.
    pub fn note(&mut self, event: CgroupEvent, path: String, (start_ns, interval): (u64, &mut Interval)) {
        let since = |time_ns: u64| time_ns.saturating_sub(start_ns);
        match event.change {
            change::BEGAN => {
                if let Some(seat) = self.seats.get_mut(event.place as usize) {
                    seat.present = true;
                    interval.presence.push(change_of(seat, since(event.time_ns)));
                }
            }
            change::REMOVED => {
                let Some(seat) = self.seats.get_mut(event.place as usize).filter(|seat| seat.present) else {
                    return;
                };
                seat.present = false;
                let ended_ns = if event.ended_ns == 0 { event.time_ns } else { event.ended_ns };
                interval.presence.push(change_of(seat, since(ended_ns)));
            }
            change::OTHER => self.identify(Nameless { path, since: Instant::now() }, (start_ns, interval)),
            _ => {}
        }
    }

    /// Whether asking again soon may help.
    pub fn is_hopeful(&self) -> bool {
        !self.nameless.is_empty()
    }

    /// Asks again whose the new cgroups are.
    pub fn ask(&mut self, start_ns: u64, interval: &mut Interval) {
        for nameless in std::mem::take(&mut self.nameless) {
            self.identify(nameless, (start_ns, interval));
        }
    }

    fn identify(&mut self, new: Nameless, (start_ns, interval): (u64, &mut Interval)) {
        let seeks: Vec<Seek> = self.seats.iter().map(|seat| seat.seek.clone()).collect();
        match self.finder.whose(&seeks, &new.path) {
            Whose::Of(index, path, identity) => self.seat(index, (path, identity), (start_ns, interval)),
            Whose::Unknown if new.since.elapsed() < PATIENCE => {
                if self.nameless.len() < KEPT {
                    self.nameless.push(new);
                } else {
                    interval.ledger.count(Class::CgroupUntold, 1);
                }
            }
            Whose::Unknown | Whose::Nobodys => {}
        }
    }

    /// A new instance takes the place of the one before, unless that lives.
    fn seat(
        &mut self,
        index: usize,
        (path, identity): (String, (u64, u32)),
        (start_ns, interval): (u64, &mut Interval),
    ) {
        let Some(seat) = self.seats.get_mut(index) else { return };
        if seat.seek.identity == identity {
            return;
        }
        if seat.present && self.finder.is_populated(&seat.seek.path) {
            interval.ledger.count(Class::InstanceUnfollowed, 1);
            return;
        }
        let now_ns = crate::attach::now_ns().saturating_sub(start_ns);
        if std::mem::replace(&mut seat.present, false) {
            let ended_ns = self.instances.get(index).map_or(0, |known| known.ended_ns);
            let ended_ns = if ended_ns == 0 { now_ns } else { ended_ns.saturating_sub(start_ns) };
            interval.presence.push(change_of(seat, ended_ns));
        }
        (seat.seek.path, seat.seek.identity) = (path, identity);
        match self.instances.take(index, &place(&seat.seek)) {
            Ok(false) => {}
            Ok(true) => {
                interval.ledger.count(Class::InstanceLate, 1);
                seat.present = true;
                interval.presence.push(change_of(seat, now_ns));
            }
            Err(error) => {
                tracing::warn!("{}: {error:#}", seat.seek.label());
                interval.ledger.count(Class::InstanceUnfollowed, 1);
            }
        }
    }
}

fn change_of(seat: &Seat, at_ns: u64) -> PresenceChange {
    PresenceChange { name: seat.seek.name.clone(), at_ns, present: seat.present }
}
