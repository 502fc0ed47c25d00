//! The two programs of the `lsm` probe as instructions, with the maps of the loaded object in them.
//!
//! In: the embedded object, loaded maps. Out: [`Code`], which makes the programs of one site: the site's
//! word takes the place of a mark in one instruction each.

use std::collections::HashSet;
use std::os::fd::{AsFd as _, AsRawFd as _, RawFd};

use anyhow::{Context as _, Result, ensure};
use aya::Ebpf;
use aya::maps::{Map, MapData};
use aya_obj::Object;
use aya_obj::generated::bpf_insn;
use profiler_common::lsm::SITE_MARK;

/// Both programs, for no site yet.
#[derive(Debug)]
pub struct Code {
    enter: Vec<bpf_insn>,
    exit: Vec<bpf_insn>,
}

impl Code {
    /// Takes the programs out of the object.
    ///
    /// # Errors
    /// An object without them, or whose mark is not where it must be.
    pub fn new(object: &[u8], ebpf: &Ebpf) -> Result<Self> {
        let mut object = Object::parse(object).context("parsing the object")?;
        let maps = std::mem::take(&mut object.maps);
        let descriptors: Vec<(&str, RawFd, &aya_obj::Map)> = maps
            .iter()
            // A map this kernel refused has none; no program of this probe uses it.
            .map(|(name, map)| (name.as_str(), ebpf.map(name).and_then(descriptor).unwrap_or(-1), map))
            .collect();
        let text: HashSet<usize> = object.functions.keys().map(|(section, _)| *section).collect();
        object.relocate_maps(descriptors.into_iter(), &text).context("naming the maps")?;
        object.relocate_calls(&text).context("joining the functions")?;
        Ok(Self { enter: marked(&object, "lsm_enter")?, exit: marked(&object, "lsm_exit")? })
    }

    /// The program that runs when the site's function is entered.
    pub fn enter(&self, word: u32) -> Vec<bpf_insn> {
        with_word(&self.enter, word)
    }

    /// The program that runs when it returns.
    pub fn exit(&self, word: u32) -> Vec<bpf_insn> {
        with_word(&self.exit, word)
    }
}

fn marked(object: &Object, name: &str) -> Result<Vec<bpf_insn>> {
    let program = object.programs.get(name).with_context(|| format!("the object has no program {name}"))?;
    let function = object.functions.get(&program.function_key()).context("a program without code")?;
    let marks = function.instructions.iter().filter(|instruction| is_mark(instruction)).count();
    ensure!(marks > 0, "{name} has no place for its site");
    Ok(function.instructions.clone())
}

/// `wN = SITE_MARK` or `rN = SITE_MARK`.
fn is_mark(instruction: &bpf_insn) -> bool {
    matches!(instruction.code, 0xb4 | 0xb7) && instruction.imm as u32 == SITE_MARK
}

fn with_word(instructions: &[bpf_insn], word: u32) -> Vec<bpf_insn> {
    let mut instructions = instructions.to_vec();
    for instruction in instructions.iter_mut().filter(|instruction| is_mark(instruction)) {
        instruction.imm = word as i32;
    }
    instructions
}

fn descriptor(map: &Map) -> Option<RawFd> {
    let fd = |map: &MapData| map.fd().as_fd().as_raw_fd();
    Some(match map {
        Map::Array(map)
        | Map::HashMap(map)
        | Map::LruHashMap(map)
        | Map::PerCpuArray(map)
        | Map::PerCpuHashMap(map)
        | Map::RingBuf(map)
        | Map::Unsupported(map) => fd(map),
        _ => return None,
    })
}
