//! Parsers of foreign bytes, fed with damaged ones: none may panic or take longer than its share of CPU time.
//!
//! In: `fuzz/corpus` and captures made here; `FUZZ_SECONDS` for each target instead of a number of rounds; `FUZZ_SEED`.
//! Out: a pass, or the seed and the round, and the input in `target/tmp`. What is found becomes a plain test.

#![expect(clippy::unwrap_used, reason = "a test that cannot set its stage up must fail")]

#[path = "capture/forge.rs"]
#[expect(dead_code, reason = "the tests of captures use all of it")]
mod forge;
#[path = "fuzz/harness.rs"]
mod harness;

use std::fs;
use std::os::unix::fs::FileExt as _;

use forge::{cbor, forge};
use harness::mutate::{self, Random};
use harness::{corpus, fuzz};
use profiler::capture::{Look, read_from, read_from_with};
use profiler::hostile::acts;
use profiler::html::{Ended, Page};
use profiler::machine::{cgroup_layout, file_system, mount_point};
use profiler::probe::Picture;
use profiler::profile::rows::{CpuKey, SlowKey, StackSource};
use profiler::profile::stack::{Module, ModuleId, Stack, Symbols};
use profiler::profile::*;
use profiler::render::{Format, Rendering};
use profiler::symbol::build_id::read_build_id;
use profiler::symbol::maps::Mapping;
use profiler::symbol::unwind::unwind_through;
use profiler::symbol::{KernelSymbols, PerfMap};

fn chunks() -> Vec<Chunk> {
    let frame = |address| Frame { space: FrameSpace::Kernel, address };
    let interval = Interval {
        end_ns: 1_000_000_000,
        processes: vec![Process { pid: Pid(7), comm: "web".into(), ..Process::default() }],
        modules: vec![Module { path: "/usr/bin/web".into(), build_id: "abcd".into(), ..Module::default() }],
        frames: (0..20).map(|at| frame(0xffff_ffff_8100_0000 + at * 64)).collect(),
        stacks: vec![Stack { id: StackId(9), frames: (0..20).map(FrameId).collect(), truncated: false }],
        ..Interval::default()
    };
    let mut interval = interval;
    let key = CpuKey { pid: Pid(7), kernel: StackId(9), user: StackId::NONE };
    interval.cpu.rows.insert(key, CpuRow { samples: 3 });
    let key = SlowKey { pid: Pid(7), nr: 0, kernel: StackId(9), user: StackId(9), source: StackSource::Wait };
    interval.syscall.slow.insert(key, SlowRow { count: 1, total_ns: 20_000_000, ..SlowRow::default() });
    interval.syscall.rows.entry((Pid(7), 0)).or_default().latency.record(20_000_000);
    interval.ended = vec![Pid(8)];
    let names = vec![(FrameId(0), Resolution::Named(vec!["pipe_read".into(), "vfs_read".into()]))];
    vec![
        Chunk::Header(Box::new(Header { version: "0.1.0".into(), frequency_hz: 99, ..Header::default() })),
        Chunk::Interval(Box::new(interval.clone())),
        Chunk::Interval(Box::new(Interval { frames: Vec::new(), modules: Vec::new(), ..interval })),
        Chunk::Symbols(Symbols { frames: names, locks: vec![(1, "tasklist_lock".into())] }),
        Chunk::End(Box::new(End { duration_ns: 2_000_000_000, ..End::default() })),
    ]
}

#[test]
fn captures_of_damaged_structure_with_right_checksums() {
    let tags = [b"HEAD", b"INTV", b"INTV", b"SYMS", b"END "];
    let whole: Vec<ciborium::Value> =
        chunks().iter().map(|chunk| ciborium::from_reader(cbor(chunk).as_slice()).unwrap()).collect();
    let make = |random: &mut Random| {
        let mut values = whole.clone();
        for _ in 0..=random.below(4) {
            let at = random.below(values.len());
            mutate::tree(&mut values[at], random);
        }
        let payload = |value: &ciborium::Value| {
            let mut bytes = Vec::new();
            ciborium::into_writer(value, &mut bytes).unwrap();
            bytes
        };
        let payloads: Vec<_> =
            tags.iter().zip(&values).map(|(tag, value)| (*tag, payload(value), None)).collect();
        forge(&payloads)
    };
    let (mut read, mut rendered) = (0_u64, 0_u64);
    // Rendering takes most of the time: in the suite only some are rendered.
    let rarely = if std::env::var_os("FUZZ_SECONDS").is_some() { 1 } else { 16 };
    fuzz("capture", make, |input| {
        let Ok(profile) = read_from(input, input.len() as u64) else { return };
        read += 1;
        if read.is_multiple_of(rarely) {
            rendered += 1;
            render_all(&profile, input);
        }
        for (id, _) in profile.stacks.iter_frames() {
            let _ = profile.stacks.resolution(id);
        }
        let _ = (
            profile.stacks.frames(StackId(9)),
            profile.ledger.losses().count(),
            profile.cost.programs_share(),
        );
    });
    assert!(rendered > 0, "no damaged capture was rendered: nothing behind the first check was reached");
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    println!("capture: {read} read, {rendered} rendered, {peak} KiB resident at most");
    assert!(peak < 1 << 20, "{peak} KiB resident");
}

/// Every format of a profile, and its page.
fn render_all(profile: &Profile, input: &[u8]) {
    let rendering = Rendering::new(profile);
    let pictures = Picture::ALL.iter().flat_map(|picture| [Format::Folded(*picture), Format::Svg(*picture)]);
    for format in pictures.chain([Format::Text, Format::Json, Format::Heat]) {
        rendering.write(format, &mut std::io::sink()).unwrap();
    }
    let length = input.len() as u64;
    let mut ended = Ended::default();
    let look: Look<'_> = &mut |chunk| {
        ended.look(&chunk);
        None
    };
    read_from_with(input, length, look).unwrap();
    let mut page = Page::new(&rendering, ended);
    let look: Look<'_> = &mut |chunk| {
        page.timed().look(chunk);
        None
    };
    read_from_with(input, length, look).unwrap();
    page.write(&mut std::io::sink()).unwrap();
}

/// The page of a profile whose capture is not at hand.
fn page_of(rendering: &Rendering<'_>) -> String {
    let mut out = Vec::new();
    Page::new(rendering, Ended::default()).write(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// What is drawn of names that nobody checked: text a terminal obeys no part of, and pictures that are XML.
#[test]
fn pictures_of_hostile_names() {
    let names = corpus("names");
    let make = |random: &mut Random| mutate::bytes(&names, random);
    harness::fuzz_one_in(8, "hostile-names", make, |input| {
        let text = String::from_utf8_lossy(input);
        let third = text.chars().count() / 3;
        let part = |at: usize| text.chars().skip(at * third).take(third).collect::<String>();
        let profile = named(&part(0), &part(1), &part(2));
        let rendering = Rendering::new(&profile);
        let write = |format| {
            let mut out = Vec::new();
            rendering.write(format, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        for format in [Format::Text, Format::Json, Format::Folded(Picture::Cpu), Format::Svg(Picture::Cpu)] {
            let out = write(format);
            let acting = out.chars().find(|character| *character != '\n' && acts(*character));
            assert_eq!(acting.filter(|character| *character != '\t'), None, "{format:?}");
        }
        let page = page_of(&rendering);
        assert_eq!(page.chars().find(|character| *character != '\n' && acts(*character)), None, "the page");
        assert_eq!((page.matches("</script").count(), page.matches("<!--").count()), (3, 0), "the page");
        let svg = write(Format::Svg(Picture::Cpu));
        let mut reader = quick_xml::Reader::from_str(&svg);
        while !matches!(reader.read_event().unwrap(), quick_xml::events::Event::Eof) {}
        assert!(
            write(Format::Folded(Picture::Cpu)).lines().all(|line| line.ends_with(" 7")),
            "a name made a line"
        );
    });
}

/// One process with one sample in two functions.
fn named(comm: &str, module: &str, function: &str) -> Profile {
    let frame = |address| Frame { space: FrameSpace::Module(ModuleId(0)), address };
    let mut interval = Interval {
        end_ns: 1_000_000_000,
        processes: vec![Process {
            pid: Pid(7),
            comm: comm.into(),
            container: module.into(),
            ..Process::default()
        }],
        modules: vec![Module { path: module.into(), ..Module::default() }],
        frames: vec![frame(1), frame(2)],
        stacks: vec![Stack { id: StackId(9), frames: vec![FrameId(0), FrameId(1)], truncated: false }],
        ..Interval::default()
    };
    interval
        .cpu
        .rows
        .insert(CpuKey { pid: Pid(7), kernel: StackId::NONE, user: StackId(9) }, CpuRow { samples: 7 });
    let names = vec![(FrameId(0), Resolution::Named(vec![function.into(), module.into()]))];
    let mut profile = Profile::default();
    profile.apply(Chunk::Header(Box::default()));
    profile.apply(Chunk::Interval(Box::new(interval)));
    profile.apply(Chunk::Symbols(Symbols { frames: names, locks: Vec::new() }));
    profile
}

#[test]
fn captures_of_damaged_bytes() {
    let payloads: Vec<_> = [b"HEAD", b"INTV", b"INTV", b"SYMS", b"END "]
        .into_iter()
        .zip(chunks())
        .map(|(tag, chunk)| (tag, cbor(&chunk), None))
        .collect();
    let corpus = vec![forge(&payloads)];
    fuzz(
        "capture-bytes",
        |random| mutate::bytes(&corpus, random),
        |input| drop(read_from(input, input.len() as u64)),
    );
}

#[test]
fn symbols_of_the_kernel() {
    let corpus = corpus("kallsyms");
    fuzz(
        "kallsyms",
        |random| mutate::bytes(&corpus, random),
        |input| {
            let symbols = KernelSymbols::parse(input);
            for address in [0, 1, 0xffff_ffff_8100_0001, u64::MAX] {
                let _ = (symbols.resolve(address), symbols.data_symbol(address));
            }
            let _ = (symbols.lookup("_stext"), symbols.hidden(), symbols.len());
        },
    );
}

#[test]
fn perf_maps() {
    let corpus = corpus("perf-map");
    fuzz(
        "perf-map",
        |random| mutate::bytes(&corpus, random),
        |input| {
            let map = PerfMap::parse(input);
            for address in [0, 0x7f00_0000_1001, 0x7f00_0000_2041, u64::MAX] {
                let _ = map.name(address);
            }
        },
    );
}

#[test]
fn mappings() {
    let corpus = corpus("maps");
    fuzz(
        "maps",
        |random| mutate::bytes(&corpus, random),
        |input| {
            for line in input.split(|byte| *byte == b'\n') {
                let mapping = Mapping::parse(line);
                let _ = mapping
                    .is_some_and(|found| found.is_vdso() || found.has_file() || found.is_memory_file());
            }
        },
    );
}

#[test]
fn mounts() {
    let corpus = corpus("mountinfo");
    fuzz(
        "mountinfo",
        |random| mutate::bytes(&corpus, random),
        |input| {
            let text = String::from_utf8_lossy(input);
            let _ = cgroup_layout(&text);
            for line in text.lines() {
                let _ = (file_system(line), mount_point(line));
            }
        },
    );
}

/// The vDSO's tables, and a stack that leads through them.
#[test]
fn unwind_tables() {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let vdso = maps.lines().find(|line| line.ends_with("[vdso]")).unwrap();
    let (start, end) = vdso.split_once(' ').unwrap().0.split_once('-').unwrap();
    let number = |hex| u64::from_str_radix(hex, 16).unwrap();
    let mut image = vec![0; (number(end) - number(start)) as usize];
    fs::File::open("/proc/self/mem").unwrap().read_exact_at(&mut image, number(start)).unwrap();
    let corpus = vec![image.clone()];
    let (mut seed, mut unwound) = (Random::new(7), 0_u64);
    fuzz(
        "unwind",
        |random| mutate::bytes(&corpus, random),
        |input| {
            let length = image.len();
            let words: Vec<u64> = (0..64).map(|_| seed.below(length) as u64).collect();
            let stack = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            let mut registers = [0x1_0000; 17];
            registers[16] = seed.below(length) as u64;
            let (id, pid, tid) = (StackId(1), Pid(1), Tid(1));
            let copy = StackCopy {
                id,
                list: id,
                pid,
                tid,
                time_ns: 0,
                in_call: false,
                registers,
                stack,
                other: None,
            };
            unwound += unwind_through(input, &copy).map_or(0, |stack| stack.positions.len() as u64);
        },
    );
    assert!(unwound > 0, "no damaged image was unwound through");
}

/// Headers and notes of this test's own program: what lies behind them is not read.
#[test]
fn build_ids() {
    let mut own = fs::read("/proc/self/exe").unwrap();
    own.truncate(4096);
    let corpus = vec![own];
    let file = tempfile::tempfile().unwrap();
    fuzz(
        "build-id",
        |random| mutate::bytes(&corpus, random),
        |input| {
            file.set_len(0).unwrap();
            file.write_all_at(input, 0).unwrap();
            let _ = read_build_id(&file);
        },
    );
}
