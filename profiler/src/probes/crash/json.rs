//! `probes.crash` in `summary.json`; `docs/summary.md` is the schema.
//!
//! In: faults. Out: what serde writes, a fault to a line, in the order of their time.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;

use super::picture::{self, DRAWING};
use super::rows::{Area, CallBefore, Fault, How, Kind, Place};
use super::{dump, place};
use crate::profile::{Pid, Profile, Tid};
use crate::render::json_row::Rows;
use crate::render::scene::Scene;
use crate::render::sheet::{Sheet, StackRef};
use crate::render::{errno, signal, syscalls};

/// `probes.crash`.
pub type Json<'a> = Rows<'a, FaultRow<'a>>;

/// Names of registers by their numbers in DWARF.
const REGISTERS: [&str; 17] = [
    "rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
    "r15", "rip",
];

/// One fault.
#[derive(Serialize)]
pub struct FaultRow<'p> {
    at_ns: u64,
    pid: Pid,
    tid: Tid,
    pid_inside: Option<Pid>,
    tid_inside: Option<Tid>,
    thread: &'p str,
    container: &'p str,
    how: How,
    signal: String,
    code: i32,
    kind: Kind,
    address: Option<String>,
    refused: Option<u32>,
    registers: BTreeMap<&'static str, String>,
    code_in: Mapping<'p>,
    address_in: Mapping<'p>,
    stack: StackRef<'p>,
    copied_bytes: u32,
    core: String,
    calls: Vec<Call>,
    received: Option<Last>,
}

/// What the thread received last.
#[derive(Serialize)]
struct Last {
    peer: String,
    ago_ns: u64,
    syscall: Option<Cow<'static, str>>,
}

#[derive(Serialize)]
struct Call {
    syscall: Cow<'static, str>,
    ago_ns: u64,
    ns: u64,
    ret: i64,
    error: Option<Cow<'static, str>>,
}

#[derive(Serialize)]
struct Mapping<'p> {
    known: bool,
    start: Option<String>,
    end: Option<String>,
    access: &'p str,
    offset: u64,
    file: &'p str,
    file_bytes: u64,
}

/// `probes.crash` of a profile.
pub fn json<'a>(scene: &Scene<'a>, sheet: &Sheet<'a>) -> Json<'a> {
    let profile = scene.profile;
    let fatal = profile.crash.faults.iter().filter(|fault| place::is_fatal(profile, fault));
    let rows = fatal.map(|fault| row(profile, fault, sheet)).collect();
    Rows { unit: DRAWING.unit, rows: sheet.list("probes.crash.rows", rows) }
}

fn row<'p>(profile: &Profile, fault: &'p Fault, sheet: &Sheet<'p>) -> FaultRow<'p> {
    let (Pid(pid), Tid(tid)) = fault.inside;
    let registers = REGISTERS.iter().zip(&fault.registers).map(|(name, value)| (*name, hex(*value)));
    let written = profile.deaths.told().iter().any(|death| death.pid == fault.pid && death.core);
    FaultRow {
        at_ns: fault.at_ns,
        pid: fault.pid,
        tid: fault.tid,
        pid_inside: (pid != 0).then_some(Pid(pid)),
        tid_inside: (tid != 0).then_some(Tid(tid)),
        thread: &fault.thread,
        container: &fault.container,
        how: fault.how,
        signal: signal::name(fault.signal),
        code: fault.code,
        kind: fault.kind,
        address: fault.address.map(hex),
        refused: fault.refused,
        registers: registers.collect(),
        code_in: mapping(&fault.code_in),
        address_in: mapping(&fault.address_in),
        stack: sheet.stack(|folder| picture::push(fault, folder)),
        copied_bytes: fault.copied_bytes,
        core: dump::line(fault, written),
        calls: fault.calls.iter().map(call).collect(),
        received: fault.received.map(|last| Last {
            peer: last.peer.to_string(),
            ago_ns: last.ago_ns,
            syscall: last.nr.map(syscalls::name),
        }),
    }
}

fn call(call: &CallBefore) -> Call {
    let CallBefore { nr, ago_ns, ns, ret } = *call;
    let error =
        u16::try_from(-i128::from(ret)).ok().filter(|errno| (1..4096).contains(errno)).map(errno::name);
    Call { syscall: syscalls::name(nr), ago_ns, ns, ret, error }
}

/// As text: programs that read JSON numbers as floats lose the low bits of addresses.
fn hex(value: u64) -> String {
    format!("{value:#x}")
}

fn mapping(place: &Place) -> Mapping<'_> {
    static NONE: Area = Area {
        start: 0,
        end: 0,
        access: String::new(),
        offset: 0,
        file_bytes: 0,
        inode: 0,
        name: String::new(),
    };
    let area = if let Place::In(area) = place { area } else { &NONE };
    let there = matches!(place, Place::In(_));
    Mapping {
        known: *place != Place::Unknown,
        start: there.then(|| hex(area.start)),
        end: there.then(|| hex(area.end)),
        access: &area.access,
        offset: area.offset,
        file: &area.name,
        file_bytes: area.file_bytes,
    }
}
