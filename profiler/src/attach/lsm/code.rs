//! The two programs of the `lsm` probe as instructions, with the maps of the loaded object in them.
//!
//! In: the embedded object, loaded maps. Out: [`Code`], which makes the programs of one site: the site's numbers
//! replace the marks in the instructions.

use std::collections::HashSet;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd, RawFd};

use anyhow::{Context as _, Result, ensure};
use aya::Ebpf;
use aya::maps::{Map, MapData};
use aya_obj::Object;
use aya_obj::generated::bpf_insn;
use profiler_common::lsm::{
    BEGIN_MARK, CALL_MARK, FILTER_MARK, INTERRUPT_MARK, ROWS_MARK, SITE_MARK, SPECIAL_MARK, UNGUARDED_MARK,
    begin_tag,
};

use crate::attach::raw::Program;
use crate::sys;

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
    /// The object lacks the programs, or a mark is not where it must be.
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
        let btf = types.and_then(|types| sys::load_btf(&types).ok());
        Ok(Self { enter: marked(&object, "lsm_enter")?, exit: marked(&object, "lsm_exit")?, btf })
    }

    /// The object's types, as the kernel knows them.
    pub fn btf(&self) -> Option<BorrowedFd<'_>> {
        self.btf.as_ref().map(|btf| btf.as_fd())
    }

    /// The program that runs when the site's function is entered.
    pub fn enter(&self, site: Site) -> Program {
        with_numbers(&self.enter, site)
    }

    /// The program that runs when it returns.
    pub fn exit(&self, site: Site) -> Program {
        with_numbers(&self.exit, site)
    }
}

/// The constants of a site's programs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Site {
    /// Its position in the session's list.
    pub number: u16,
    /// Its function also runs in interrupts.
    pub in_interrupts: bool,
    /// The constants that all sites share.
    pub mode: Mode,
}

/// Checks that the programs can leave out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mode {
    /// The target is not the whole machine.
    pub filtered: bool,
    /// System calls are rows.
    pub in_calls: bool,
    /// The kernel does not keep a program from running on top of itself.
    pub unguarded: bool,
}

impl Site {
    /// Marks in one instruction, and what takes their place.
    fn words(self) -> [(i32, i32); 7] {
        let special = self.in_interrupts || self.mode.in_calls || self.mode.unguarded;
        [
            (SPECIAL_MARK, special.into()),
            (SITE_MARK, i32::from(self.number)),
            (ROWS_MARK, 2 * i32::from(self.number)),
            (INTERRUPT_MARK, self.in_interrupts.into()),
            (FILTER_MARK, self.mode.filtered.into()),
            (CALL_MARK, self.mode.in_calls.into()),
            (UNGUARDED_MARK, self.mode.unguarded.into()),
        ]
    }
}

fn marked(object: &Object, name: &str) -> Result<Program> {
    let program = object.programs.get(name).with_context(|| format!("the object has no program {name}"))?;
    let function = object.functions.get(&program.function_key()).context("a program without code")?;
    ensure!(function.instructions.windows(2).any(is_begin), "{name} has no place for its site");
    Ok(Program {
        instructions: function.instructions.clone(),
        functions: function.func_info.func_info_bytes(),
        function_size: function.func_info_rec_size as u32,
    })
}

/// `wN = …` or `rN = …`.
fn is_constant(instruction: &bpf_insn) -> bool {
    matches!(instruction.code, 0xb4 | 0xb7)
}

/// The two instructions of `rN = BEGIN_MARK ll`.
fn is_begin(pair: &[bpf_insn]) -> bool {
    matches!(pair, [low, high] if low.code == 0x18 && [low.imm, high.imm] == halves(BEGIN_MARK as u64))
}

const fn halves(word: u64) -> [i32; 2] {
    [word as i32, (word >> 32) as i32]
}

fn with_numbers(program: &Program, site: Site) -> Program {
    let mut program = program.clone();
    for (mark, word) in site.words() {
        let marks = program.instructions.iter_mut().filter(|instruction| is_constant(instruction));
        marks.filter(|instruction| instruction.imm == mark).for_each(|instruction| instruction.imm = word);
    }
    let [low, high] = halves(begin_tag(site.number));
    for at in 1..program.instructions.len() {
        if is_begin(&program.instructions[at - 1..=at]) {
            (program.instructions[at - 1].imm, program.instructions[at].imm) = (low, high);
        }
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
        // What stands for task storage where the kernel has none: named in code that is never reached.
        | Map::SkStorage(map)
        | Map::Unsupported(map) => fd(map),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::attach::object;
    use crate::attach::raw::{self, Kind};

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
        let site = Site { number: 3, in_interrupts: true, ..Site::default() };
        for (name, program) in [("lsm_enter", code.enter(site)), ("lsm_exit", code.exit(site))] {
            let marks = SITE_MARK..=SPECIAL_MARK;
            assert!(!program.instructions.iter().any(|found| marks.contains(&found.imm)), "{name}");
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
