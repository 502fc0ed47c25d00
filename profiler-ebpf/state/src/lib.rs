//! What the kernel side keeps about threads and CPUs, and how each event changes it.
//!
//! In: events, and a [`world::World`] that answers questions and takes what comes out. Out: parts of calls, waits, counts.
//! Nothing here calls the kernel, so the same code runs in the programs and in tests on the host.
//! Records are made of [`field::Field`]s: they are shared, never borrowed for writing.
#![no_std]

#[cfg(test)]
extern crate std;

pub mod away;
pub mod call;
pub mod chain;
pub mod field;
pub mod inherited;
pub mod lock_wait;
pub mod lock_waits;
pub mod missed;
pub mod parts;
pub mod peer;
pub mod pending;
pub mod restart;
pub mod slice;
pub mod slot;
pub mod thread;
pub mod turns;
pub mod unseen;
pub mod wait_kind;
pub mod waker;
pub mod world;

#[cfg(test)]
mod tests;
