//! Rendering, from chunks to bytes.
//!
//! In: a synthetic session with hostile names, built from chunks as a capture would hold them.
//! Out: goldens in `tests/golden/` (`BLESS=1` rewrites them), and properties no golden can show.

#![allow(clippy::unwrap_used, reason = "a test stops where its ground is gone")]

#[path = "render/session.rs"]
mod session;

use std::path::PathBuf;

use profiler::profile::Profile;
use profiler::render::{Format, Probe, Rendering, render};
use session::{HOSTILE, MS, session, wide};

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
    let profile = session();
    golden("session.txt", &rendered(&profile, Format::Text));
    golden("session.json", &rendered(&profile, Format::Json));
    for &probe in Probe::ALL {
        golden(&format!("session.{}.folded", probe.name()), &rendered(&profile, Format::Folded(probe)));
        golden(&format!("session.{}.svg", probe.name()), &rendered(&profile, Format::PlainSvg(probe)));
    }
}

#[test]
fn an_empty_profile_renders_in_every_format() {
    let profile = Profile::default();
    golden("empty.txt", &rendered(&profile, Format::Text));
    serde_json::from_str::<serde_json::Value>(&rendered(&profile, Format::Json)).unwrap();
    for &probe in Probe::ALL {
        assert_eq!(rendered(&profile, Format::Folded(probe)), "");
        assert!(rendered(&profile, Format::Svg(probe)).contains("nothing measured: 0"));
    }
}

#[test]
fn text_fits_the_page_and_nothing_untrusted_acts() {
    let profile = session();
    let mut outputs = vec![rendered(&profile, Format::Text), rendered(&profile, Format::Json)];
    assert!(outputs[0].lines().all(|line| line.chars().count() <= 100), "{}", outputs[0]);
    for &probe in Probe::ALL {
        let svg = rendered(&profile, Format::PlainSvg(probe));
        assert!(!svg.contains("<script>"), "{svg}");
        outputs.extend([svg, rendered(&profile, Format::Folded(probe))]);
    }
    for output in outputs {
        assert!(!output.chars().any(|c| c.is_control() && c != '\n'), "{output}");
    }
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
        [(Probe::Syscall, slow), (Probe::Lock, locks), (Probe::Cpu, samples), (Probe::Latency, slow)]
    {
        let folded = rendered(&profile, Format::Folded(probe));
        let sum: u64 =
            folded.lines().map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum();
        assert_eq!(sum, truth, "{probe:?}");
    }
}

#[test]
fn many_stacks_are_pruned_in_the_picture_and_kept_in_the_folded_file() {
    let profile = wide(20_000);
    let rendering = Rendering::new(&profile);
    let mut folded = Vec::new();
    rendering.write(Format::Folded(Probe::Cpu), &mut folded).unwrap();
    assert_eq!(folded.iter().filter(|byte| **byte == b'\n').count(), 20_000);
    let elided = rendering.elided(Probe::Cpu);
    assert!((0.49..0.51).contains(&elided), "the 19,999 slivers are half of the weight: {elided}");
    let mut svg = Vec::new();
    rendering.write(Format::Svg(Probe::Cpu), &mut svg).unwrap();
    assert!(svg.len() < 200_000, "{}", svg.len());
    assert!(String::from_utf8(svg).unwrap().contains("50 % too narrow to draw"));
}

/// Stop → SVG for 10⁵ stacks; run with `--release -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement, not a check"]
fn measure_100_000_stacks() {
    let profile = wide(100_000);
    let resident = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        status
            .lines()
            .filter(|line| line.starts_with("VmHWM") || line.starts_with("VmRSS"))
            .collect::<Vec<_>>()
            .join(" ")
    };
    println!("before: {}", resident());
    let rendering = Rendering::new(&profile);
    for format in [Format::Svg(Probe::Cpu), Format::Folded(Probe::Cpu), Format::Json, Format::Text] {
        let start = std::time::Instant::now();
        rendering.write(format, &mut std::io::sink()).unwrap();
        println!("{format:?}: {:?}; {}", start.elapsed(), resident());
    }
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
    for format in [Format::Text, Format::Json, Format::Svg(Probe::Syscall), Format::Svg(Probe::Cpu)] {
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
    for format in [Format::Text, Format::Json, Format::Folded(Probe::Cpu), Format::Svg(Probe::Cpu)] {
        let error = render(&profile, format, &mut Closed).unwrap_err();
        let kind =
            error.chain().find_map(|cause| cause.downcast_ref::<std::io::Error>()).map(std::io::Error::kind);
        assert!(kind == Some(std::io::ErrorKind::BrokenPipe), "{format:?}: {error:?}");
    }
}
