//! Captures: written, cut, damaged, forged, and read again.
//!
//! In: captures made here through the public API. Out: the profile or the sentence a user gets.

#![expect(clippy::unwrap_used, reason = "a test that cannot set its stage up must fail")]

#[path = "capture/forge.rs"]
mod forge;
#[path = "capture/restarts.rs"]
mod restarts;

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use forge::{cbor, cbor_without, cpu_time, forge, random};
use profiler::capture::{FINISHED, PARTIAL, ReadError, Writer, read, read_from};
use profiler::failure::Failure;
use profiler::profile::parts::{PartKey, PartRow};
use profiler::profile::rows::{CpuKey, SlowKey, StackSource};
use profiler::profile::stack::{Module, ModuleId, Stack, Symbols};
use profiler::profile::*;

/// A small session: a header, two intervals, names, an end.
fn session() -> Vec<Chunk> {
    let header =
        Header { version: "0.1.0".into(), frequency_hz: 99, slow_ns: 10_000_000, ..Header::default() };
    let mut second = interval(1, 3, 4);
    second.frames.clear();
    let names = Symbols {
        frames: vec![
            (FrameId(0), Resolution::Named(vec!["pipe_read".into(), "vfs_read".into()])),
            (FrameId(1), Resolution::Unnamed(Reason::NoSymbol)),
        ],
        locks: vec![(0xffff_8000_0000_1000, "tasklist_lock".into())],
    };
    let in_flight = InFlightCall {
        pid: Pid(7),
        tid: Tid(8),
        comm: "web;\n\x1b[31m".into(),
        nr: 0,
        age_ns: 5_000_000_000,
        at_least: true,
        kernel: StackId(1),
        user: StackId::NONE,
        wait: None,
        held_by: None,
        subject: None,
    };
    let end = End { duration_ns: 2_000_000_000, in_flight: vec![in_flight], ..End::default() };
    vec![
        Chunk::Header(Box::new(header)),
        Chunk::Interval(Box::new(interval(0, 3, 4))),
        Chunk::Interval(Box::new(second)),
        Chunk::Symbols(names),
        Chunk::End(Box::new(end)),
    ]
}

/// Second `nth` of a session, with `stacks` stacks of `depth` frames out of 20,000 known ones.
fn interval(nth: u64, stacks: u64, depth: u64) -> Interval {
    let mut interval = Interval {
        start_ns: nth * 1_000_000_000,
        end_ns: (nth + 1) * 1_000_000_000,
        processes: vec![Process { pid: Pid(7), comm: "web".into(), ..Process::default() }],
        modules: vec![Module { path: "/usr/bin/web".into(), build_id: "abcd".into(), ..Module::default() }],
        ..Interval::default()
    };
    let known = (stacks * depth).min(20_000);
    interval.frames = (0..known)
        .map(|at| Frame {
            space: if at % 2 == 0 { FrameSpace::Kernel } else { FrameSpace::Module(ModuleId(0)) },
            address: 0xffff_ffff_8100_0000 + at * 137,
        })
        .collect();
    let mut seed = 88_172_645_463_325_252u64 + nth;
    for id in 1..=stacks {
        let frames = (0..depth).map(|_| FrameId((random(&mut seed) % known) as u32)).collect();
        let kernel = StackId(random(&mut seed));
        interval.stacks.push(Stack { id: kernel, frames, truncated: false });
        interval.cpu.rows.insert(CpuKey { pid: Pid(7), kernel, user: StackId::NONE }, CpuRow { samples: id });
        let key = SlowKey { pid: Pid(7), nr: 0, kernel, user: StackId::NONE, source: StackSource::Wait };
        let parts = Parts::new([1, 0, 0, 3, 16, 0, 0, 0, 0, 0]);
        let row = SlowRow { count: 1, total_ns: 20, max_ns: 20, off_cpu_ns: 19, parts };
        interval.syscall.slow.insert(key, row);
        let key = PartKey { pid: Pid(7), nr: 0, part: Part::Sleep, kernel };
        interval.syscall.parts.insert(key, PartRow { ns: 16, calls: 1 });
    }
    let row = interval.syscall.rows.entry((Pid(7), 0)).or_default();
    row.latency.record(20_000_000);
    row.errors.insert(11, 3);
    interval.ledger.count(Class::UserStackMissing, 2);
    interval
}

fn record(directory: &Path, chunks: &[Chunk]) -> std::path::PathBuf {
    let mut writer = Writer::create(directory).unwrap();
    for chunk in chunks {
        writer.append(chunk).unwrap();
    }
    writer.finish().unwrap()
}

/// What a live session holds after the same chunks.
fn live(chunks: &[Chunk]) -> String {
    let mut profile = Profile::default();
    chunks.iter().cloned().for_each(|chunk| profile.apply(chunk));
    told(&profile)
}

/// A profile as text, without the order of its hash tables.
fn told(profile: &Profile) -> String {
    let stacks: Vec<_> = profile
        .cpu
        .rows
        .keys()
        .map(|key| (key.kernel, profile.stacks.frames(key.kernel).map(<[FrameId]>::to_vec)))
        .collect();
    let frames: Vec<_> =
        profile.stacks.iter_frames().map(|(id, frame)| (frame, profile.stacks.resolution(id))).collect();
    let tables =
        format!("{:?} {:?} {:?} {:?}", profile.syscall, profile.lock, profile.cpu, profile.processes);
    let rest =
        format!("{:?} {:?} {:?} {:?}", profile.header, profile.in_flight, profile.ledger, profile.cost);
    let lock = profile.stacks.lock(0xffff_8000_0000_1000);
    format!("{tables} {rest} {} {stacks:?} {frames:?} {lock:?}", profile.duration_ns)
}

fn bytes_of(chunks: &[Chunk]) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    fs::read(record(directory.path(), chunks)).unwrap()
}

fn parse(bytes: &[u8]) -> Result<Profile, ReadError> {
    read_from(bytes, bytes.len() as u64)
}

#[test]
fn what_is_read_is_what_was_recorded() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("a/b");
    let path = record(&directory, &session());
    assert_eq!(path, directory.join(FINISHED));
    for (made, mode) in [(&directory, 0o700), (&path, 0o600)] {
        assert_eq!(fs::metadata(made).unwrap().permissions().mode() & 0o777, mode, "{}", made.display());
    }
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
    for given in [&directory, &path] {
        let profile = read(given).unwrap();
        assert_eq!(profile.missing_tail, None);
        assert_eq!(told(&profile), live(&session()));
    }
}

#[test]
fn a_killed_recorder_leaves_every_appended_chunk() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("out");
    let chunks = session();
    let mut writer = Writer::create(&directory).unwrap();
    for (done, chunk) in chunks[..3].iter().enumerate() {
        writer.append(chunk).unwrap();
        // Not flushed, not dropped: as if SIGKILL came now.
        let profile = read(&directory).unwrap();
        let tail = profile.missing_tail.as_deref().unwrap();
        assert!(tail.contains(&format!("ends at second {done}.0")), "{tail}");
        assert_eq!(told(&profile), live(&chunks[..=done]));
    }
    std::mem::forget(writer);
    assert!(directory.join(PARTIAL).exists());
}

#[test]
fn a_taken_directory_is_refused_and_left_alone() {
    let parent = tempfile::tempdir().unwrap();
    let path = record(parent.path(), &session());
    let before = fs::read(&path).unwrap();
    let refused = Writer::create(parent.path()).unwrap_err();
    assert!(matches!(refused, Failure::Usage(_)));
    assert!(refused.to_string().contains("already holds capture.profiler"), "{refused}");
    assert_eq!(fs::read(&path).unwrap(), before);

    let other = tempfile::tempdir().unwrap();
    let victim = other.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    std::os::unix::fs::symlink(&victim, other.path().join(PARTIAL)).unwrap();
    let refused = Writer::create(other.path()).unwrap_err();
    assert!(refused.to_string().contains("already holds capture.partial"), "{refused}");
    assert_eq!(fs::read(&victim).unwrap(), b"precious");
}

#[test]
fn a_discarded_capture_leaves_the_directory_free() {
    let parent = tempfile::tempdir().unwrap();
    Writer::create(parent.path()).unwrap().discard().unwrap();
    record(parent.path(), &session());
}

#[test]
fn a_full_disk_leaves_whole_chunks_and_says_so() {
    // A file-size limit stands in for a full disk: a child process takes it, so that no other test does.
    if std::env::var_os("CAPTURE_TEST_LIMITED").is_none() {
        let exe = std::env::current_exe().unwrap();
        let status = std::process::Command::new("sh")
            .args(["-c", "ulimit -f 64; trap '' XFSZ; exec \"$0\" \"$@\""])
            .arg(exe)
            .args(["--exact", "a_full_disk_leaves_whole_chunks_and_says_so"])
            .env("CAPTURE_TEST_LIMITED", "1")
            .stdout(std::process::Stdio::null())
            .status()
            .unwrap();
        assert!(status.success());
        return;
    }
    let parent = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(parent.path()).unwrap();
    let chunks = session();
    writer.append(&chunks[0]).unwrap();
    writer.append(&chunks[1]).unwrap();
    let error = writer.append(&Chunk::Interval(Box::new(interval(1, 3000, 40)))).unwrap_err();
    assert!(format!("{error:#}").contains("capture.partial: File too large"), "{error:#}");
    assert_eq!(fs::metadata(parent.path().join(PARTIAL)).unwrap().len(), writer.bytes());
    // A smaller chunk would still fit: it would make a false whole.
    assert!(writer.append(&chunks[4]).unwrap_err().to_string().contains("stays partial"));
    assert!(writer.finish().is_err() && !parent.path().join(FINISHED).exists());
    let profile = read(parent.path()).unwrap();
    assert!(
        profile.missing_tail.is_some_and(|tail| tail.contains("was not finished: it ends at second 1.0"))
    );
    assert_eq!(profile.cpu.rows.len(), 3);
}

#[test]
fn a_cut_at_any_byte_keeps_what_is_whole_and_counts_the_rest() {
    let bytes = bytes_of(&session());
    let mut told_before = String::new();
    let mut kept = 0;
    for cut in 0..bytes.len() {
        match parse(&bytes[..cut]) {
            Err(ReadError::Empty | ReadError::NothingWhole(_)) => assert_eq!(kept, 0, "at {cut}"),
            Err(other) => panic!("cut at {cut}: {other}"),
            Ok(profile) => {
                let tail = profile.missing_tail.clone().expect("a cut capture says so");
                let now = told(&profile);
                if now != told_before {
                    assert!(tail.starts_with("the recording was not finished"), "{tail}");
                    (told_before, kept) = (now, cut);
                } else {
                    let expected =
                        format!("the last {} bytes of the capture are unreadable (cut", cut - kept);
                    assert!(cut == kept || tail.starts_with(&expected), "{tail}, not {expected}");
                }
            }
        }
    }
    assert!(kept > 0);
}

#[test]
fn random_damage_never_panics_and_is_never_silent() {
    let whole = bytes_of(&session());
    let truth = told(&parse(&whole).unwrap());
    let mut seed = 0x2545_f491_4f6c_dd1d;
    let started = cpu_time();
    for round in 0..8_000 {
        let mut bytes = whole.clone();
        for _ in 0..=random(&mut seed) % 4 {
            if bytes.is_empty() {
                break;
            }
            let at = (random(&mut seed) as usize) % bytes.len();
            match random(&mut seed) % 4 {
                0 => bytes[at] ^= 1 << (random(&mut seed) % 8),
                1 => bytes[at] = random(&mut seed) as u8,
                2 => drop(bytes.drain(at..(at + 9).min(bytes.len()))),
                _ => bytes.truncate(at.max(1)),
            }
        }
        if let Ok(profile) = parse(&bytes) {
            let silent = profile.missing_tail.is_none() && told(&profile) != truth;
            assert!(!silent, "round {round}: damage went unnoticed");
        }
    }
    assert!((cpu_time() - started).as_secs() < 60);
}

#[test]
fn random_cbor_with_right_checksums_never_panics() {
    let chunks = session();
    let raw: Vec<Vec<u8>> = chunks.iter().map(cbor).collect();
    let tags = [b"HEAD", b"INTV", b"INTV", b"SYMS", b"END "];
    let mut seed = 0x9e37_79b9_7f4a_7c15;
    let mut survived = 0;
    for _ in 0..4_000 {
        let mut payloads: Vec<_> =
            tags.iter().zip(&raw).map(|(tag, bytes)| (*tag, bytes.clone(), None)).collect();
        for _ in 0..=random(&mut seed) % 3 {
            let victim = &mut payloads[(random(&mut seed) % 5) as usize].1;
            let at = (random(&mut seed) as usize) % victim.len();
            victim[at] = if random(&mut seed) & 1 == 0 { random(&mut seed) as u8 } else { victim[at] ^ 1 };
        }
        if let Ok(profile) = parse(&forge(&payloads)) {
            survived += 1;
            // Whatever is in it can be asked for.
            let _ = told(&profile);
            for row in profile.syscall.rows.values() {
                let _ = (row.latency.percentile_ns(990), row.latency.buckets().count(), row.latency.count());
            }
            let _ = (profile.cost.programs_share(), profile.ledger.losses().count());
        }
    }
    assert!(survived > 200, "the mutations reached the profile only {survived} times");
}

#[test]
fn bombs_and_lies_are_refused() {
    let header = (b"HEAD", cbor(&session()[0]), None);
    let zeros = vec![0; 40 << 20];
    let mut strings = vec![0xa1, 0x66];
    strings.extend(b"Header");
    strings.extend([0xa1, 0x69]);
    strings.extend(b"arguments");
    strings.extend([0x9a, 0x02, 0, 0, 0]);
    strings.resize(strings.len() + (0x0200_0000), 0x60);
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("not as long as it says", forge(&[header.clone(), (b"INTV", zeros.clone(), Some(10))])),
        ("malformed", forge(&[header.clone(), (b"INTV", zeros, None)])),
        ("nested too deep", forge(&[header.clone(), (b"INTV", vec![0x81; 1 << 20], None)])),
        (
            "longer than its chunk",
            forge(&[header.clone(), (b"INTV", vec![0x9b, 255, 255, 255, 255, 0, 0, 0, 0], None)]),
        ),
        ("more memory than any", forge(&[header.clone(), (b"HEAD", strings, None)])),
        ("not of the type it says", forge(&[header.clone(), (b"INTV", cbor(&session()[4]), None)])),
        ("a second header", forge(&[header.clone(), header.clone()])),
        ("head of a chunk is damaged", forge(&[header, (b"INTV", vec![0], Some(u32::MAX))])),
    ];
    for (expected, bytes) in cases {
        let started = cpu_time();
        let tail = parse(&bytes).unwrap().missing_tail.unwrap();
        assert!(tail.contains(expected), "{tail}: not {expected}");
        let used = cpu_time() - started;
        assert!(used.as_secs() < 10, "{expected}: {used:?}");
    }
    let first = parse(&forge(&[(b"END ", cbor(&session()[4]), None)]));
    assert!(first.unwrap_err().to_string().contains("does not begin with a header"));
}

#[test]
fn a_later_writer_is_understood_as_far_as_it_says() {
    let chunks = session();
    let with_unknown = forge(&[
        (b"HEAD", cbor(&chunks[0]), None),
        (b"XTRA", vec![1, 2, 3], None),
        (b"INTV", cbor(&chunks[1]), None),
        (b"END ", cbor(&chunks[4]), None),
    ]);
    assert_eq!(parse(&with_unknown).unwrap().missing_tail, None);
    let error = parse(b"profiler-capture 3\nwhatever").unwrap_err().to_string();
    assert!(error.contains("format version 3") && error.contains("newer one"), "{error}");
}

#[test]
fn a_capture_of_version_1_is_read_and_has_no_parts() {
    let chunks = session();
    let old = forge(&[
        (b"HEAD", cbor_without(&chunks[0], "parts"), None),
        (b"INTV", cbor_without(&chunks[1], "parts"), None),
        (b"END ", cbor_without(&chunks[4], "parts"), None),
    ]);
    let profile = parse(&old).unwrap();
    assert_eq!(profile.missing_tail, None);
    assert_eq!((profile.syscall.slow.len(), profile.syscall.parts.len()), (3, 0));
    assert!(profile.syscall.slow.values().all(|row| row.total_ns == 20 && row.parts.sum() == 0));
    let new = parse(&bytes_of(&session())).unwrap();
    assert!(new.syscall.slow.values().all(|row| row.parts.sum() == row.total_ns));
}
