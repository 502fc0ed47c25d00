//! The two programs of the `lsm` probe as instructions, with the maps of the loaded object in them.
//!
//! In: the embedded object, loaded maps. Out: [`Code`], which makes the programs of one site: the site's
//! word takes the place of a mark in one instruction each.

use std::collections::HashSet;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd, RawFd};

use anyhow::{Context as _, Result, ensure};
use aya::Ebpf;
use aya::maps::{Map, MapData};
use aya_obj::Object;
use aya_obj::generated::bpf_insn;
use profiler_common::lsm::SITE_MARK;

use crate::probe::raw::{self, Program};

/// Both programs, for no site yet.
#[derive(Debug)]
pub struct Code {
    enter: Program,
    exit: Program,
    btf: Option<OwnedFd>,
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
        // Without it the programs load too, but the verifier walks every function for every caller.
        let types = aya::features().btf().and_then(|features| {
            object.fixup_and_sanitize_btf(features).ok().flatten().map(aya_obj::btf::Btf::to_bytes)
        });
        let btf = types.and_then(|types| raw::load_btf(&types).ok());
        Ok(Self { enter: marked(&object, "lsm_enter")?, exit: marked(&object, "lsm_exit")?, btf })
    }

    /// The object's types, as the kernel knows them.
    pub fn btf(&self) -> Option<BorrowedFd<'_>> {
        self.btf.as_ref().map(|btf| btf.as_fd())
    }

    /// The program that runs when the site's function is entered.
    pub fn enter(&self, word: u32) -> Program {
        with_word(&self.enter, word)
    }

    /// The program that runs when it returns.
    pub fn exit(&self, word: u32) -> Program {
        with_word(&self.exit, word)
    }
}

fn marked(object: &Object, name: &str) -> Result<Program> {
    let program = object.programs.get(name).with_context(|| format!("the object has no program {name}"))?;
    let function = object.functions.get(&program.function_key()).context("a program without code")?;
    ensure!(function.instructions.iter().any(is_mark), "{name} has no place for its site");
    Ok(Program {
        instructions: function.instructions.clone(),
        functions: function.func_info.func_info_bytes(),
        function_size: function.func_info_rec_size as u32,
    })
}

/// `wN = SITE_MARK` or `rN = SITE_MARK`.
fn is_mark(instruction: &bpf_insn) -> bool {
    matches!(instruction.code, 0xb4 | 0xb7) && instruction.imm as u32 == SITE_MARK
}

fn with_word(program: &Program, word: u32) -> Program {
    let mut program = program.clone();
    for instruction in program.instructions.iter_mut().filter(|instruction| is_mark(instruction)) {
        instruction.imm = word as i32;
    }
    program
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

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::probe::{object, raw::Kind};

    /// A kprobe's program is verified the same with and without kprobes to attach it to.
    #[test]
    fn both_programs_pass_this_kernels_verifier() {
        let skip = |why: &str| writeln!(std::io::stderr(), "SKIPPED: {why}").unwrap();
        let Ok(bytes) = object::bytes() else { return skip("built without the kernel side") };
        let ebpf = match object::loader().btf(None).allow_unsupported_maps().load(bytes) {
            Ok(ebpf) => ebpf,
            Err(error) => return skip(&format!("this user may not load maps: {error}")),
        };
        let code = Code::new(bytes, &ebpf).unwrap();
        for (name, program) in [("lsm_enter", code.enter(3)), ("lsm_exit", code.exit(3))] {
            assert!(!program.instructions.iter().any(is_mark), "{name}");
            let loaded = match raw::load(Kind::KProbe, name, &program, code.btf(), true) {
                Ok(loaded) => loaded,
                Err(error) => panic!("{name}: {error}"),
            };
            // Each of some fifty loads pays it.
            let info = format!("/proc/self/fdinfo/{}", loaded.as_raw_fd());
            let walked = std::fs::read_to_string(info).unwrap();
            let walked = walked.lines().find_map(|line| line.strip_prefix("verified_insns:"));
            let walked: u32 = walked.map_or(0, |number| number.trim().parse().unwrap());
            assert!(walked < 8_000, "the verifier walked {walked} instructions of {name}");
        }
    }
}
