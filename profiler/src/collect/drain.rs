//! Draining the rows of a finished epoch.
//!
//! In: the row maps of all probes. Out: one epoch's rows; the drained entries are deleted.
//! The epoch is flipped first and every program that may still write the old one is waited for,
//! so nothing is read while it is written and nothing is lost between read and delete.

use anyhow::{Context as _, Result};
use aya::Ebpf;
use aya::maps::{Array, MapData};
use profiler_common::Control;

use super::source::{Contexts, Drained as _, Source, map};
use crate::probe::each_probe;
use crate::probes::waits::drain as waits;
use crate::profile::{Interval, Pid};

/// An epoch that is over.
pub struct Finished(u32);

macro_rules! drain {
    ($($probe:ident $name:ident [$($picture:tt)*],)*) => {
        /// One epoch's rows as the kernel wrote them.
        #[derive(Default)]
        pub struct Drained {
            $(
                /// The rows of the probe of this name.
                pub $name: <crate::probes::$name::drain::Maps as Source>::Drained,
            )*
            /// Waits off the CPU.
            pub waits: waits::OffCpu,
        }

        /// The row maps, and the epoch they are in.
        pub struct Rows {
            $($name: crate::probes::$name::drain::Maps,)*
            waits: waits::Maps,
            control: Array<MapData, Control>,
            epoch: u32,
        }

        impl Rows {
            /// Takes the row maps out of the loaded object.
            ///
            /// # Errors
            /// An object without them.
            pub fn new(ebpf: &mut Ebpf) -> Result<Self> {
                Ok(Self {
                    $($name: Source::new(ebpf)?,)*
                    waits: Source::new(ebpf)?,
                    control: Array::try_from(map(ebpf, ".bss")?)?,
                    epoch: 0,
                })
            }

            /// Takes the rows of an epoch that nobody writes any more.
            ///
            /// # Errors
            /// A `bpf(2)` call that failed; rows already read are in the error's place lost, so it ends the
            /// recording.
            pub fn take_epoch(&mut self, Finished(finished): Finished) -> Result<Drained> {
                Ok(Drained {
                    $($name: self.$name.take(finished)?,)*
                    waits: self.waits.take(finished)?,
                })
            }
        }

        impl Drained {
            /// Adds these rows to an interval.
            pub fn add_to(&self, interval: &mut Interval, contexts: &Contexts) {
                let Self { $($name,)* waits } = self;
                $($name.add_to(&mut interval.$name, &mut interval.ledger, contexts);)*
                waits.add_to(&mut interval.waits, &mut interval.ledger, contexts);
            }

            /// Gives each user stack the id that `name` has for it: a copy's is the one of its stack.
            pub fn rename(&mut self, name: &mut dyn FnMut(&mut u64)) {
                $(self.$name.rename(name);)*
                self.waits.rename(name);
            }

            /// Processes that rows are of and that no event may have announced.
            pub fn unannounced(&self) -> Vec<Pid> {
                let Self { $($name,)* waits } = self;
                [$($name.unannounced(),)* waits.unannounced()].concat()
            }

            /// Processes that rows name beside those that they are of.
            pub fn others(&self) -> Vec<(Pid, String)> {
                let Self { $($name,)* waits } = self;
                [$($name.others(),)* waits.others()].concat()
            }

            /// Keeps back rows whose stack has not arrived yet.
            pub fn hold_back(&mut self, late: &mut Self, contexts: &Contexts, ended: bool) {
                let Self { $($name,)* waits } = self;
                $($name.hold_back(&mut late.$name, contexts, ended);)*
                waits.hold_back(&mut late.waits, contexts, ended);
            }
        }
    };
}

each_probe!(drain);

impl Rows {
    /// Lets the programs keep calls in the CPUs' slots: only once `sched_switch` is attached, which
    /// moves them to the threads' own state.
    ///
    /// # Errors
    /// A `bpf(2)` call that failed.
    pub fn use_slots(&mut self) -> Result<()> {
        let mut control = self.control.get(&0, 0).context("reading the control record")?;
        control.slots = 1;
        self.control.set(0, control, 0).context("writing the control record")
    }

    /// Ends the epoch: from here on programs write the other one. Before [`Self::take_epoch`],
    /// [`wait_for_programs`] must have returned.
    ///
    /// # Errors
    /// A `bpf(2)` call that failed.
    pub fn flip(&mut self) -> Result<Finished> {
        let mut control = self.control.get(&0, 0).context("reading the epoch")?;
        let finished = Finished(self.epoch);
        self.epoch ^= 1;
        control.epoch = self.epoch;
        self.control.set(0, control, 0).context("flipping the epoch")?;
        Ok(finished)
    }
}

/// Waits until every program that began before this call has ended: programs run inside RCU read
/// sections, and `MEMBARRIER_CMD_GLOBAL` is an RCU grace period, which takes tens of milliseconds.
pub fn wait_for_programs() {
    const GLOBAL: libc::c_int = 1;
    // SAFETY: no pointers.
    let result = unsafe { libc::syscall(libc::SYS_membarrier, GLOBAL, 0, 0) };
    if result != 0 {
        // Kernels with nohz_full refuse it; programs run for microseconds.
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}
