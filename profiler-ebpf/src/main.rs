//! The kernel side. Each probe is a folder that brings its own programs and maps; what several probes share is
//! in folders named for what they hold.
//!
//! In: hooks. Out: rows in maps, rare events in the ring buffer.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]
#![allow(static_mut_refs, reason = "maps and globals are statics the loader fills")]

// The probes.
mod block;
mod cpu;
mod crash;
mod lock;
mod lsm;
mod offcpu;
mod peer;
mod runq;
mod syscall;

// What they share.
mod allowance;
mod blame;
mod clock;
mod death;
mod event;
#[cfg(feature = "lab")]
mod floor;
mod follow;
mod global;
mod held;
mod ignored;
mod outcome;
mod process;
mod row;
mod stack;
mod target;
mod task;
mod thread;

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// Helpers marked GPL-only need a compatible licence.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
