//! In: a guest whose clock counts instructions. Out: how many the `lsm` probe adds to a `sendmsg` by each of its
//! backends, and how many bpftrace does.

use std::time::Duration;

use anyhow::Result;

use super::{
    guest_peer,
    instructions::{self, KERNEL, Order},
    machine, page,
    place::Place,
};

const LIMIT: Duration = Duration::from_secs(180);
/// Of what kprobes add.
const BOUND: f64 = 0.5;
const RATIOS: [(&str, &str); 2] = [
    ("fentry/fexit", "kprobe/kretprobe"),
    ("fentry/fexit, receiving too", "kprobe/kretprobe, receiving too"),
];

/// # Errors
/// When the guest cannot be had, says nothing, or the page cannot be written.
pub fn run(place: &Place<'_>) -> Result<()> {
    let files = guest_peer::bpftrace().unwrap_or_else(|error| {
        println!("xtask: {error:#}; going on without bpftrace");
        Vec::new()
    });
    let order = Order { operation: "send", files, memory: "3G", limit: LIMIT };
    let prices = instructions::measure(place, order)?;
    let text = format!(
        "Instructions added per `sendto` of a datagram over loopback, of {KERNEL} in an emulated guest ({}, one CPU, QEMU \
         `-icount`): its clock counts instructions, and two runs of the same agree. `security_socket_sendmsg` and what AppArmor and \
         TOMOYO have below it (three functions) are timed; \"receiving too\" adds `security_sock_rcv_skb` and AppArmor's (two), which \
         run in the softirq of the same call. {}.\n\n{}\n{}",
        prices.kernel,
        machine::today(),
        prices.table(),
        prices.ratios(&RATIOS, BOUND)?
    );
    page::write_block(place, "security", &text)
}
