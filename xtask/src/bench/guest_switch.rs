//! In: a guest whose clock counts instructions. Out: how many all probes add to a context switch, beside bcc's `offcputime` and
//! `syscount` together, which need kprobes, and those of libbpf-tools.

use std::time::Duration;

use anyhow::Result;

use super::{
    guest_peer,
    instructions::{self, KERNEL, Order},
    machine, page, peer,
    place::Place,
    switch::{EVERYTHING, EVERYTHING_BOUND},
};

/// bcc compiles two programs on an emulated CPU.
const LIMIT: Duration = Duration::from_secs(15 * 60);
const RATIOS: [(&str, &str); 2] =
    [(EVERYTHING, peer::OFF_CPU_AND_SYSCALLS), (EVERYTHING, peer::LIBBPF_OFF_CPU_AND_SYSCALLS)];

/// # Errors
/// When a peer or the guest cannot be had, one did not see the switches, or the page cannot be written.
pub fn run(place: &Place<'_>) -> Result<()> {
    let mut files = guest_peer::bcc(place.workspace, KERNEL)?;
    files.extend(guest_peer::libbpf_tools()?);
    let order = Order { operation: "switch", files, memory: "4G", limit: LIMIT };
    let prices = instructions::measure(place, order)?;
    let text = format!(
        "Instructions added per context switch of two threads that pass a byte through pipes, two system calls included, of {KERNEL} \
         in an emulated guest ({}, one CPU, QEMU `-icount`), where bcc has its kprobe: the middle of 20 parts by the process's CPU \
         time; the mean by the clock, with what preempted it. {}.\n\n{}\n{}",
        prices.kernel,
        machine::today(),
        prices.table(),
        prices.ratios(&RATIOS, EVERYTHING_BOUND)?
    );
    page::write_block(place, "guest-switch", &text)
}
