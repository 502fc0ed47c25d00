//! Rendering, from chunks to bytes.
//!
//! In: a synthetic session with hostile names, built from chunks as a capture would hold them.
//! Out: goldens in `tests/golden/` (`BLESS=1` rewrites them), and properties no golden can show.

#![allow(clippy::unwrap_used, reason = "a test stops where its ground is gone")]

#[path = "render/began.rs"]
mod began;
#[path = "render/blame.rs"]
mod blame;
#[path = "render/disks.rs"]
mod disks;
#[path = "render/findings.rs"]
mod findings;
#[path = "render/peers.rs"]
mod peers;
#[path = "render/scenes.rs"]
mod scenes;
#[path = "render/session.rs"]
mod session;
#[path = "render/time_line.rs"]
mod time_line;
#[path = "render/waits.rs"]
mod waits;

use std::path::PathBuf;

use profiler::probe::Picture;
use profiler::profile::Profile;
use profiler::render::{Format, Idle, Rendering, pictures, render};
use scenes::{loops, minute, wide};
use session::{HOSTILE, MS, session};

fn rendered(profile: &Profile, format: Format) -> String {
    let mut out = Vec::new();
    render(profile, format, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn golden(name: &str, found: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == expected, "{name} differs; BLESS=1 rewrites it. Found:\n{found}");
}

#[test]
fn goldens() {
    for (scene, profile) in [
        ("session", session()),
        ("waits", waits::waits()),
        ("disks", disks::disks()),
        ("blame", blame::blame()),
        ("peers", peers::peers()),
    ] {
        golden(&format!("{scene}.txt"), &rendered(&profile, Format::Text));
        golden(&format!("{scene}.json"), &rendered(&profile, Format::Json));
        for &probe in Picture::ALL.iter().filter(|picture| pictures::events(&profile, **picture).0 > 0) {
            let name = probe.name();
            golden(&format!("{scene}.{name}.folded"), &rendered(&profile, Format::Folded(probe)));
            golden(&format!("{scene}.{name}.svg"), &rendered(&profile, Format::PlainSvg(probe)));
        }
    }
}

#[test]
fn an_empty_profile_renders_in_every_format() {
    let profile = Profile::default();
    golden("empty.txt", &rendered(&profile, Format::Text));
    serde_json::from_str::<serde_json::Value>(&rendered(&profile, Format::Json)).unwrap();
    for &probe in Picture::ALL {
        assert_eq!(rendered(&profile, Format::Folded(probe)), "");
        assert!(rendered(&profile, Format::Svg(probe)).contains("nothing measured: 0"));
    }
}

/// What is not known is told as `unknown (reason)`, in all outputs. In the JSON some values are words of a closed list.
#[test]
fn what_is_not_known_has_one_form_in_all_outputs() {
    let mut seen = 0;
    for profile in [session(), waits::waits(), disks::disks(), blame::blame(), peers::peers()] {
        let mut outputs: Vec<String> =
            [Format::Text, Format::Json, Format::Heat].map(|of| rendered(&profile, of)).into();
        for &probe in Picture::ALL {
            outputs.extend([Format::Folded(probe), Format::PlainSvg(probe)].map(|of| rendered(&profile, of)));
        }
        for output in outputs {
            for line in output.lines() {
                seen += assert_unknown(line);
            }
        }
    }
    assert!(seen > 10, "only {seen} were not known");
}

/// How often something in the line is not known.
fn assert_unknown(line: &str) -> usize {
    // A block of the environment with that title, keys and words of the JSON, frames without a symbol.
    let line = line.strip_prefix("  unknown  ").unwrap_or(line);
    let line = ["\"unknown\"", "_unknown", "unknown\":", "[unknown: "]
        .iter()
        .fold(line.to_owned(), |line, word| line.replace(word, ""));
    for (at, word) in line.match_indices("unknown") {
        // In a table, the reason may go on in the cell's next line.
        let rest = &line[at + word.len()..];
        assert!(
            rest.is_empty() || rest.starts_with("  ") || rest.starts_with(" ("),
            "without its reason: {line}"
        );
    }
    let is_mark = |word: &str| word == "?" || word.starts_with("?[") || word == "\"?\"";
    assert!(!line.split([' ', ';', ',', ':', '/', '>']).any(is_mark), "no reason at all: {line}");
    line.matches("unknown").count()
}

#[test]
fn text_fits_the_page_and_nothing_untrusted_acts() {
    for profile in [session(), waits::waits(), disks::disks(), blame::blame(), peers::peers()] {
        let mut outputs = vec![rendered(&profile, Format::Text), rendered(&profile, Format::Json)];
        assert!(outputs[0].lines().all(|line| line.chars().count() <= 100), "{}", outputs[0]);
        for &probe in Picture::ALL {
            let svg = rendered(&profile, Format::PlainSvg(probe));
            assert!(!svg.contains("<script>"), "{svg}");
            outputs.extend([svg, rendered(&profile, Format::Folded(probe))]);
        }
        for output in outputs {
            assert!(!output.chars().any(|c| c.is_control() && c != '\n'), "{output}");
        }
    }
}

#[test]
fn latencies_over_time_are_drawn_cell_by_cell() {
    let profile = minute();
    let svg = rendered(&profile, Format::Heat);
    golden("minute.heat.svg", &svg);
    assert_well_formed(&svg);
    // 60 columns of reads at 4 and 6 µs (which share a cell in some), 15 of slow reads, 60 of fsync.
    let cells = svg.matches("<rect class=").count();
    assert!((60 + 15 + 60..=2 * 60 + 2 * 15 + 60).contains(&cells), "{cells}");
    assert!(svg.contains("60 of other calls not drawn"), "epoll is idle, and said to be left out");
    assert!(svg.contains("db1 · Linux 6.18.5 · 60.0 s") && svg.contains("no losses"), "{svg}");
    assert!(svg.find("read: ").unwrap() < svg.find("fsync: ").unwrap(), "the slowest first");
}

#[test]
fn heat_maps_of_hostile_and_empty_captures_are_well_formed() {
    let mut hostile = session();
    hostile.header.target.label = HOSTILE.into();
    hostile.header.environment.hostname = "<b>&".into();
    hostile.missing_tail = Some("cut".into());
    let absurd = (0..2_000u64).map(|at| (at.wrapping_mul(u64::MAX / 7), u64::MAX >> (at % 64)));
    for (start_ns, end_ns) in absurd {
        let mut interval = profiler::profile::Interval { start_ns, end_ns, ..Default::default() };
        let row = interval.syscall.rows.entry((profiler::profile::Pid(1), 0)).or_default();
        row.latency.add_octave(255, &[u32::MAX; 8], u64::MAX, u64::MAX);
        hostile.apply(profiler::profile::Chunk::Interval(Box::new(interval)));
    }
    for profile in [hostile, Profile::default()] {
        let svg = rendered(&profile, Format::Heat);
        assert_well_formed(&svg);
        assert!(!svg.contains("<script>") && !svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        assert!(svg.len() < 1 << 20, "{}", svg.len());
    }
}

fn assert_well_formed(svg: &str) {
    let mut reader = quick_xml::Reader::from_str(svg);
    let mut text = 0;
    loop {
        match reader.read_event().unwrap() {
            quick_xml::events::Event::Eof => break,
            quick_xml::events::Event::Text(found) => text += found.len(),
            quick_xml::events::Event::Start(tag) | quick_xml::events::Event::Empty(tag) => {
                tag.attributes().for_each(|attribute| assert!(!attribute.unwrap().key.0.is_empty()));
            }
            _ => {}
        }
    }
    assert!(text > 0);
}

#[test]
fn a_shell_loop_is_one_line_and_its_hanging_child_another() {
    let profile = loops();
    let text = rendered(&profile, Format::Text);
    let line = |words: &[&str]| {
        let all = |line: &&str| words.iter().all(|word| line.split_whitespace().any(|own| own == *word));
        text.lines().filter(all).count()
    };
    assert_eq!(line(&["sh", "×200", "read", "400"]), 1, "{text}");
    assert_eq!(line(&["sh", "9999", "read", "1"]), 1, "{text}");
    assert_eq!(line(&["sh", "×200", "burn", "200"]), 1, "{text}");
    assert_eq!(line(&["spin", "×200", "200"]), 1, "{text}");
    let json: serde_json::Value = serde_json::from_str(&rendered(&profile, Format::Json)).unwrap();
    assert_eq!(
        json["probes"]["syscall"]["rows"].as_array().unwrap().len(),
        201,
        "each process keeps its row"
    );
}

#[test]
fn json_says_what_was_measured() {
    let json: serde_json::Value = serde_json::from_str(&rendered(&session(), Format::Json)).unwrap();
    let rows = json["probes"]["syscall"]["rows"].as_array().unwrap();
    let read = rows.iter().find(|row| row["pid"] == 812 && row["syscall"] == "read").unwrap();
    assert_eq!(read["count"], 9_120);
    assert_eq!(read["total_ns"], 9_000 * 4_000 + 120 * 20 * MS);
    assert_eq!(read["errors"]["EAGAIN"], 31);
    assert_eq!(read["container"], "web");
    assert_eq!(read["slow"]["count"], 120);
    let parts = read["parts"].as_object().unwrap();
    let sum: u64 =
        parts.iter().filter(|(part, _)| *part != "wall_ns").map(|(_, ns)| ns.as_u64().unwrap()).sum();
    assert_eq!((sum, &parts["wall_ns"]), (2_400 * MS, &(2_400 * MS).into()));
    assert!(rows.iter().any(|row| row["slow"]["count"] == 0 && row.get("parts").is_none()));
    assert!(rows.iter().any(|row| row["comm"] == HOSTILE), "names are not altered, only escaped");
    let mutex = &json["probes"]["lock"]["rows"][0];
    assert_eq!((&mutex["kind"], &mutex["lock"]), (&"mutex".into(), &"pipe mutex".into()));
    assert_eq!(json["in_flight"][0]["age_ns"], 35_000 * MS);
}

#[test]
fn folded_weights_add_up_and_every_line_is_well_formed() {
    let profile = session();
    let slow: u64 = profile.syscall.slow.values().map(|row| row.total_ns).sum();
    let locks: u64 = profile.lock.rows.values().map(|row| row.wait.total_ns).sum();
    let samples: u64 = profile.cpu.rows.values().map(|row| row.samples).sum();
    for (probe, truth) in
        [(Picture::Syscall, slow), (Picture::Lock, locks), (Picture::Cpu, samples), (Picture::Latency, slow)]
    {
        assert_eq!(sum(&rendered(&profile, Format::Folded(probe))), truth, "{probe:?}");
    }
}

/// Sum of the weights of folded lines.
fn sum(folded: &str) -> u64 {
    folded.lines().map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum()
}

#[test]
fn every_nanosecond_off_the_cpu_is_drawn_once_whatever_the_stacks_say() {
    let scenes = (1..60).map(|seed| waits::random(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed)));
    for profile in scenes.chain([waits::waits()]) {
        let of = |runnable| -> u64 {
            let rows = profile.waits.rows.iter().filter(|(key, _)| key.wait.is_runnable() == runnable);
            rows.map(|(_, row)| row.total_ns).sum()
        };
        assert!(of(true) > 0 && of(false) > 0);
        for (probe, truth) in
            [(Picture::Offcpu, of(false)), (Picture::Wakers, of(false)), (Picture::Runq, of(true))]
        {
            assert_eq!(sum(&rendered(&profile, Format::Folded(probe))), truth, "{probe:?}");
        }
        let json: serde_json::Value = serde_json::from_str(&rendered(&profile, Format::Json)).unwrap();
        let total = |rows: &serde_json::Value| -> u64 {
            rows.as_array().unwrap().iter().map(|row| row["total_ns"].as_u64().unwrap()).sum()
        };
        assert_eq!(total(&json["probes"]["offcpu"]["rows"]), of(false));
        assert_eq!(total(&json["probes"]["runq"]["rows"]), of(true));
        assert_eq!(total(&json["probes"]["runq"]["processes"]), of(true));
        assert!(!rendered(&profile, Format::Text).is_empty());
    }
}

#[test]
fn waits_off_the_cpu_are_told_apart() {
    let profile = waits::waits();
    let offcpu = rendered(&profile, Format::Folded(Picture::Offcpu));
    let line = |words: &[&str]| offcpu.lines().filter(|line| words.iter().all(|w| line.contains(w))).count();
    assert_eq!(
        line(&["api (812);(no call);", "exc_page_fault_[k]", "asleep, uninterruptible 2000000000"]),
        1
    );
    assert_eq!(line(&["[idle];kworker/0:1 (7);(no call);"]), 2, "a kernel thread in its main loop is idle");
    assert_eq!(line(&["api (812);read();[shorter than 625 µs: no stacks] 320000000"]), 1);
    assert_eq!(line(&["[user lock];java (33)"]), 1);
    let wakers = rendered(&profile, Format::Folded(Picture::Wakers));
    assert!(wakers.contains(";-- woken by web/a:b␊<script>␛[31m (813) --;"), "{wakers}");
    assert!(wakers.contains(";asleep on a lock;-- released by web/api (812) --;"), "{wakers}");
    assert!(
        wakers.contains(";-- woken by db/postgres (99) --;entry_SYSCALL_64"),
        "its own softirq: {wakers}"
    );
    assert!(!wakers.contains("burn_a_page"), "{wakers}");
    // What the timer interrupted is neither to blame nor of use.
    let by_timer = ";-- woken by an interrupt --;asm_sysvec_apic_timer_interrupt_[k];hrtimer_wakeup_[k] ";
    assert!(wakers.contains(by_timer), "{wakers}");
    let json: serde_json::Value = serde_json::from_str(&rendered(&profile, Format::Json)).unwrap();
    let outside = &json["outside_calls"][0];
    assert_eq!((&outside["pid"], &outside["by"]["throttled"]), (&812.into(), &(1_600 * MS).into()));
    assert_eq!(outside["blocked_on"]["page fault: disk"], 2_000 * MS);
    let neighbour = &json["probes"]["runq"]["neighbours"][0];
    assert_eq!((&neighbour["neighbour"]["comm"], &neighbour["turns"]), (&HOSTILE.into(), &300.into()));
    let text = rendered(&session(), Format::Text);
    assert!(!text.contains("OFF THE CPU") && !text.contains("RUN QUEUE"), "neither ran: {text}");
}

#[test]
fn idle_waits_are_left_out_aloud_and_only_when_asked() {
    for profile in [waits::waits(), session()] {
        let write = |no_idle: bool, format| {
            let mut out = Vec::new();
            Rendering::new(&profile).with_idle(left_out(no_idle)).write(format, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        let pictures = [Picture::Offcpu, Picture::Wakers, Picture::Syscall, Picture::Latency];
        for probe in pictures.into_iter().filter(|probe| pictures::events(&profile, *probe).0 > 0) {
            let (all, without) = (write(false, Format::Folded(probe)), write(true, Format::Folded(probe)));
            let kept: Vec<_> = all.lines().filter(|line| !line.starts_with("[idle];")).collect();
            assert_eq!(without.lines().collect::<Vec<_>>(), kept, "{probe:?}");
            let svgs = [false, true].map(|no_idle| write(no_idle, Format::PlainSvg(probe)));
            assert_eq!(svgs[0], svgs[1], "{probe:?}: work is drawn, and the subtitle says what is not");
            assert_eq!(svgs[1].contains("idle "), kept.len() < all.lines().count(), "{probe:?}");
        }
        let text = write(true, Format::Text);
        assert!(!text.contains("epoll_wait"), "{text}");
        assert!(text.contains("LEFT OUT") && text.contains("(--no-idle)"), "{text}");
        assert_eq!(write(true, Format::Json), write(false, Format::Json));
    }
    let rendering = |no_idle: bool| {
        let profile = waits::waits();
        Rendering::new(&profile).with_idle(left_out(no_idle)).idle_left_out()
    };
    assert_eq!(rendering(true).as_deref(), Some("140 idle waits, 69.0 s (--no-idle)"));
    assert_eq!(rendering(false), None);
}

const fn left_out(no_idle: bool) -> Idle {
    if no_idle { Idle::LeftOut } else { Idle::Apart }
}

#[test]
fn many_stacks_are_pruned_in_the_picture_and_kept_in_the_folded_file() {
    let profile = wide(20_000);
    let rendering = Rendering::new(&profile);
    let mut folded = Vec::new();
    rendering.write(Format::Folded(Picture::Cpu), &mut folded).unwrap();
    assert_eq!(folded.iter().filter(|byte| **byte == b'\n').count(), 20_000);
    let elided = rendering.elided(Picture::Cpu);
    assert!((0.49..0.51).contains(&elided), "the 19,999 slivers are half of the weight: {elided}");
    let mut svg = Vec::new();
    rendering.write(Format::Svg(Picture::Cpu), &mut svg).unwrap();
    assert!(svg.len() < 200_000, "{}", svg.len());
    assert!(String::from_utf8(svg).unwrap().contains("50 % too narrow to draw"));
}

#[test]
fn absurd_weights_do_not_overflow() {
    let mut profile = session();
    for row in profile.syscall.slow.values_mut() {
        row.total_ns = u64::MAX;
    }
    for row in profile.cpu.rows.values_mut() {
        row.samples = u64::MAX;
    }
    for format in [Format::Text, Format::Json, Format::Svg(Picture::Syscall), Format::Svg(Picture::Cpu)] {
        assert!(!rendered(&profile, format).is_empty());
    }
}

#[test]
fn a_closed_pipe_is_an_error_not_a_panic() {
    struct Closed;
    impl std::io::Write for Closed {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let profile = session();
    for format in [Format::Text, Format::Json, Format::Folded(Picture::Cpu), Format::Svg(Picture::Cpu)] {
        let error = render(&profile, format, &mut Closed).unwrap_err();
        let kind =
            error.chain().find_map(|cause| cause.downcast_ref::<std::io::Error>()).map(std::io::Error::kind);
        assert!(kind == Some(std::io::ErrorKind::BrokenPipe), "{format:?}: {error:?}");
    }
}
