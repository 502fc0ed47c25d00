//! Where processes died, below the table of deaths.
//!
//! In: groups of deaths, faults. Out: for each group what, where, after what, why there is no core.

use std::io;

use super::rows::{Area, CallBefore, Fault, How, Kind, Place, Received};
use super::{dump, place};
use crate::profile::deaths::Death;
use crate::profile::{FrameSpace, Pid, Profile, Tid};
use crate::render::deaths::{self, Group};
use crate::render::fold::Folder;
use crate::render::page::Page;
use crate::render::scene::Scene;
use crate::render::{clean, errno, humane, signal, syscalls};

/// Groups that are told.
const GROUPS: usize = 5;
/// Functions of a stack that are shown.
const FUNCTIONS: usize = 12;
/// Calls before it that are shown; `summary.json` has all.
const CALLS: usize = 4;

/// All of it.
pub fn sections(page: &mut Page<'_>, scene: &Scene<'_>, _: &mut Folder<'_>) -> io::Result<()> {
    let groups = deaths::groups(scene.profile);
    let told = groups.iter().filter_map(|group| Some((group, last(scene.profile, group)?)));
    let told: Vec<_> = told.take(GROUPS).collect();
    if told.is_empty() {
        return Ok(());
    }
    page.heading("WHERE PROCESSES DIED: the last death of each kind")?;
    for (group, (death, fault)) in told {
        page.line(&format!("  {} ({}) by {}", group.who(), death.pid.0, group.how()))?;
        one(page, scene.profile, (death, fault))?;
    }
    Ok(())
}

/// The last death whose place is known.
fn last<'p>(profile: &'p Profile, group: &Group<'p>) -> Option<(&'p Death, &'p Fault)> {
    group.deaths.iter().rev().find_map(|death| Some((*death, place::fault_of(profile, death)?)))
}

/// One death on a few lines.
pub fn one(page: &mut Page<'_>, profile: &Profile, (death, fault): (&Death, &Fault)) -> io::Result<()> {
    page.paragraph("      what   ", &what(fault))?;
    page.paragraph("      where  ", &place::functions(profile, fault, FUNCTIONS))?;
    page.paragraph("      at     ", &at(profile, fault))?;
    if let Some(caught) = place::caught_before(profile, death).filter(|caught| *caught != fault) {
        let line = place::functions(profile, caught, FUNCTIONS);
        let ago = humane::duration(death.at_ns.saturating_sub(caught.at_ns));
        let text = format!("{ago} before, a handler caught {} in {line}", what(caught));
        page.paragraph("      before ", &text)?;
    }
    if !fault.calls.is_empty() {
        page.paragraph("      calls  ", &calls(fault))?;
    }
    if let Some(received) = &fault.received {
        page.paragraph("      peer   ", &peer(received))?;
    }
    page.paragraph("      thread ", &thread(fault))?;
    page.paragraph("      core   ", &dump::line(fault, death.core))
}

/// `SIGSEGV: null pointer, at 0x10`.
fn what(fault: &Fault) -> String {
    let kind = fault.kind;
    let signal = signal::name(fault.signal);
    let caught = if fault.how == How::Caught { ", caught by a handler" } else { "" };
    if fault.how == How::Killed {
        return format!("{signal}, sent to end it; where its first thread was");
    }
    let address = match (fault.address, kind) {
        (_, Kind::Raised | Kind::Sent | Kind::NoAddress | Kind::Refused) | (None, _) => String::new(),
        (Some(address), _) => format!(", at {address:#x} {}", area(&fault.address_in)),
    };
    let refused = fault.refused.map(|call| format!(": {}", syscalls::name(call)));
    format!("{signal}: {}{}{address}{caught}", kind.text(), refused.unwrap_or_default())
}

/// The module, offset and build id of the instruction, which name it afterwards.
fn at(profile: &Profile, fault: &Fault) -> String {
    let leaf = profile.stacks.frames(fault.stack).and_then(|frames| profile.stacks.frame(*frames.first()?));
    let module = leaf.and_then(|frame| match frame.space {
        FrameSpace::Module(module) => Some((profile.stacks.module(module)?, frame.address)),
        _ => None,
    });
    let Some((module, offset)) = module else { return area(&fault.code_in) };
    let build_id = match module.build_id.as_str() {
        "" => "without build id".to_owned(),
        id => format!("build id {}", clean::line(id, 64)),
    };
    format!("{}+{offset:#x}, {build_id}", clean::line(&module.path, 120))
}

/// `in [r--p] libz.so.1`.
fn area(place: &Place) -> String {
    match place {
        Place::Unknown => "(mapping unknown)".to_owned(),
        Place::Nowhere => "in no mapping".to_owned(),
        Place::In(Area { access, name, inode, .. }) => {
            let name = if *inode == 0 { "memory".into() } else { clean::name(name) };
            format!("in {name} ({})", clean::line(access, 8))
        }
    }
}

/// `read 12.0 µs before (took 3.10 ms) = 512`, the last one first.
fn calls(fault: &Fault) -> String {
    let one = |call: &CallBefore| {
        let result = match u16::try_from(-i128::from(call.ret)) {
            Ok(errno @ 1..4096) => errno::name(errno).into_owned(),
            _ => call.ret.to_string(),
        };
        let (ago, took) = (humane::duration(call.ago_ns), humane::duration(call.ns));
        format!("{} = {result}, {ago} before, took {took}", syscalls::name(call.nr))
    };
    fault.calls.iter().take(CALLS).map(one).collect::<Vec<_>>().join("; ")
}

/// `last received from 127.0.0.77:41234, 3.10 ms before, by read`.
fn peer(received: &Received) -> String {
    let by = received.nr.map_or_else(String::new, |nr| format!(", by {}", syscalls::name(nr)));
    format!("last received from {}, {} before{by}", received.peer, humane::duration(received.ago_ns))
}

fn thread(fault: &Fault) -> String {
    let (Pid(pid), Tid(tid)) = fault.inside;
    let inside = match (pid, tid) {
        (0, _) => String::new(),
        (pid, tid) if pid == fault.pid.0 && tid == fault.tid.0 => String::new(),
        (pid, tid) => format!("; inside its container pid {pid}, tid {tid}"),
    };
    format!("{}, pid {}, tid {}{inside}", clean::name(&fault.thread), fault.pid.0, fault.tid.0)
}
