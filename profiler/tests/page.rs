//! `report.html`: what the page shows is what was measured, in a browser, whatever names are in it.
//!
//! In: recordings made by hand, with hostile names; a headless Chromium where there is one. Out: totals equal to the folded files', ranges
//! equal to what was made in them, no request, no error, no markup of others.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where its ground is gone")]
#![allow(dead_code, reason = "the scenes are shared with another test")]

#[path = "page/driver.rs"]
mod driver;
#[path = "page/many.rs"]
mod many;
#[path = "page/scene.rs"]
mod scene;
#[path = "render/session.rs"]
mod session;

use std::path::{Path, PathBuf};
use std::process::Command;

use driver::Browser;
use profiler::profile::Chunk;
use scene::{BURN_A, BURN_B, HALF, SECONDS, twenty_seconds};
use serde_json::Value;

/// Makes a capture and its page with the program itself.
fn page(directory: &Path, flags: &[&str]) -> PathBuf {
    page_of(directory, &twenty_seconds(), flags)
}

fn page_of(directory: &Path, chunks: &[Chunk], flags: &[&str]) -> PathBuf {
    report(directory, &scene::write(&directory.join("capture"), chunks), flags)
}

fn report(directory: &Path, capture: &Path, flags: &[&str]) -> PathBuf {
    let out = directory.join(format!("out{}", flags.len()));
    let status = Command::new(env!("CARGO_BIN_EXE_profiler"))
        .arg("report")
        .arg(capture)
        .arg("-o")
        .arg(&out)
        .args(flags)
        .output()
        .unwrap();
    assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
    if let Some(keep) = std::env::var_os("PAGE_KEEP") {
        std::fs::copy(out.join("report.html"), keep).unwrap();
    }
    if let Some(keep) = std::env::var_os("CAPTURE_KEEP") {
        std::fs::copy(capture, keep).unwrap();
    }
    out.join("report.html")
}

/// The object that the page's script reads.
fn meta(page: &Path) -> Value {
    let text = std::fs::read_to_string(page).unwrap();
    let (_, rest) = text.split_once("id=\"meta\">").unwrap();
    serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
}

#[test]
fn totals_are_the_folded_files_and_all_of_it_has_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let page = page(directory.path(), &[]);
    let meta = meta(&page);
    let graphs = meta["graphs"].as_array().unwrap();
    assert!(graphs.len() >= 5, "{graphs:?}");
    for graph in graphs {
        let name = graph["name"].as_str().unwrap();
        let folded = std::fs::read_to_string(page.with_file_name(format!("{name}.folded"))).unwrap();
        let weight = |line: &str| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap();
        assert_eq!(graph["total"], folded.lines().map(weight).sum::<u64>(), "{name}");
        assert_eq!(graph["stacks"], folded.lines().count(), "{name}");
        assert_eq!((&graph["timeless"], &graph["folded"]), (&0.into(), &0.into()), "{name}");
    }
    assert_eq!(meta["slices"].as_array().unwrap().len() as u64, SECONDS);
}

#[test]
fn a_capture_that_ends_early_or_is_of_an_older_version_has_a_page() {
    let directory = tempfile::tempdir().unwrap();
    let mut chunks = twenty_seconds();
    for chunk in &mut chunks {
        if let Chunk::Interval(interval) = chunk {
            // What version 1 did not know.
            interval.syscall.parts.clear();
            interval.slowest.clear();
        }
    }
    let capture = scene::write(&directory.path().join("capture"), &chunks);
    let whole = meta(&report(directory.path(), &capture, &[]));
    let names = |meta: &Value| -> Vec<String> {
        let graphs = meta["graphs"].as_array().unwrap().iter();
        graphs.map(|graph| graph["name"].as_str().unwrap().to_owned()).collect()
    };
    assert!(names(&whole).contains(&"syscall".to_owned()), "{:?}", names(&whole));
    assert!(!names(&whole).contains(&"latency".to_owned()), "{:?}", names(&whole));
    let file = std::fs::OpenOptions::new().write(true).open(&capture).unwrap();
    file.set_len(file.metadata().unwrap().len() / 2).unwrap();
    let half = meta(&report(directory.path(), &capture, &["-q"]));
    let slices = half["slices"].as_array().unwrap().len() as u64;
    assert!((1..SECONDS).contains(&slices), "{slices}");
    assert!(half["sections"].to_string().contains("bytes of the capture are unreadable"), "it says so");
    assert!(half["graphs"].as_array().unwrap().iter().all(|graph| graph["timeless"] == 0));
}

#[test]
fn what_is_redacted_is_in_no_page() {
    let directory = tempfile::tempdir().unwrap();
    let page = page(directory.path(), &["--redact"]);
    let text = std::fs::read_to_string(page).unwrap();
    assert!(text.contains("redacted: paths"));
    for secret in ["db1", "shop/api:1.2", "/vmlinuz"] {
        assert!(!text.contains(secret), "{secret}");
    }
}

#[test]
fn a_reader_drives_it() {
    if let Some(why) = driver::missing() {
        println!("SKIPPED a_reader_drives_it: {why}");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let page = page(directory.path(), &[]);
    let browser = Browser::start(1200, 900);
    let ready = browser.open(&page);
    println!("ready after {ready} ms");
    let text = |selector: &str| -> String {
        let told = browser.run(&format!("return document.querySelector({selector:?}).textContent"));
        told.as_str().unwrap().to_owned()
    };
    let seconds = |halves: [u64; 2]| (halves[0] + halves[1]) * HALF;
    let others = 60 + 9 + 2 + 1;

    // The whole: what was made.
    browser.run("const list = document.querySelector('#graphs select'); list.value = 'cpu'; list.dispatchEvent(new Event('change'))");
    let title = || text("#graphs > .hint");
    let whole = seconds(BURN_A) + seconds(BURN_B) + others * SECONDS;
    browser.wait("return document.querySelector('#graphs > .hint').textContent.startsWith('CPU samples')");
    assert!(title().contains(&format!(": {} samples.", grouped(whole))), "{}", title());

    // Search, with its sum.
    let search = |pattern: &str| {
        browser.run(&format!(
            "const box = document.getElementById('search'); box.value = {pattern:?}; box.dispatchEvent(new Event('input'))"
        ));
        text("#found")
    };
    let found = search("^burn_b$");
    assert!(found.starts_with(&format!("found: {} samples", grouped(seconds(BURN_B)))), "{found}");
    assert_eq!(search("("), "not a regular expression");
    search("");

    // A range of the time line: its second half, less its ends.
    browser.drag("#time canvas", (0.9, 0.5), (0.6, 0.5), false);
    let chosen = text("#chosen");
    let (from, to) = range(&chosen);
    assert!(from >= HALF as f64 && to > from && to <= SECONDS as f64, "{chosen}");
    let there = (to - from).round() as u64;
    let part = (BURN_A[1] + BURN_B[1] + others) * there;
    assert!(title().contains(&format!(": {} samples.", grouped(part))), "{} in {chosen}", title());
    assert!(search("burn_a").starts_with("found: 0 samples"));
    search("");

    // A second one: the difference, with its direction.
    browser.drag("#time canvas", (0.1, 0.5), (0.4, 0.5), true);
    assert!(text("#chosen").contains("second range ("), "{}", text("#chosen"));
    assert!(title().contains("Red: more in the second range"), "{}", title());
    let perhaps = search("^burn_a$");
    assert!(perhaps.starts_with(&format!("found: {} samples/s", BURN_A[0])), "{perhaps}");
    search("");
    browser.run("[...document.querySelectorAll('button')].find((own) => own.textContent === 'whole recording').click()");
    assert!(title().contains(&grouped(whole)), "{}", title());

    // What is left out is nowhere: no search finds it.
    browser.run("const list = document.querySelector('#graphs select'); list.value = 'syscall'; list.dispatchEvent(new Event('change'))");
    browser.wait("return document.querySelector('#graphs > .hint').textContent.startsWith('system calls')");
    assert!(title().contains("of idle time and user locks are left out"), "{}", title());
    let found = search("futex");
    assert!(found.starts_with("found: 0 ns"), "{found}");
    search("");
    browser.run("const list = document.querySelector('#graphs select'); list.value = 'cpu'; list.dispatchEvent(new Event('change'))");
    browser.wait("return document.querySelector('#graphs > .hint').textContent.startsWith('CPU samples')");

    // A function with its callers.
    browser.run("[...document.querySelectorAll('#graphs td button')].find((own) => own.textContent === 'burn_a').click()");
    let told = text(".sandwich");
    assert!(told.starts_with("burn_a") && told.contains(&grouped(seconds(BURN_A))), "{told}");

    // Keys move through the graph and zoom.
    browser.run(
        "const canvas = document.querySelector('#graphs .flame canvas'); canvas.focus(); \
         for (const key of ['ArrowUp', 'ArrowUp', 'Enter']) canvas.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }))",
    );
    assert!(text("#graphs .tip").contains("% of what it stands on"), "{}", text("#graphs .tip"));

    narrow_dark_and_harmless(&browser, &text);
}

fn narrow_dark_and_harmless(browser: &Browser, text: &dyn Fn(&str) -> String) {
    browser.command(
        "Emulation.setEmulatedMedia",
        &serde_json::json!({ "features": [{ "name": "prefers-color-scheme", "value": "dark" }] }),
    );
    let paper = browser.run("return getComputedStyle(document.body).backgroundColor");
    assert_eq!(paper, "rgb(23, 24, 26)");
    let phone = serde_json::json!({ "width": 400, "height": 800, "deviceScaleFactor": 1, "mobile": false });
    browser.command("Emulation.setDeviceMetricsOverride", &phone);
    browser.wait("return innerWidth === 400");
    let wide = browser.run("return document.documentElement.scrollWidth");
    assert!(wide.as_u64().unwrap() <= 400, "{wide}");
    // Names are text, and nothing else.
    assert!(text("main").contains("</script><img src=x onerror=window.hit=1>\\u{202e}␛[31m"));
    assert_eq!(
        browser.run("return [window.hit === undefined, document.querySelectorAll('img').length]"),
        serde_json::json!([true, 0])
    );
    let (said, asked) = browser.said_and_asked();
    assert!(said.is_empty(), "{said:?}");
    assert!(asked.len() == 1 && asked[0].starts_with("file:///"), "{asked:?}");
}

/// Bytes of a page at most, beside what it says of stacks.
const PAGE_BYTES: u64 = 5_000_000;

#[test]
#[ignore = "a measurement: PAGE_STACKS=100000 cargo test --release --test page -- --ignored --nocapture"]
fn many_stacks() {
    let stacks = std::env::var("PAGE_STACKS").ok().and_then(|text| text.parse().ok()).unwrap_or(100_000);
    let directory = tempfile::tempdir().unwrap();
    let chunks = many::stacks(stacks);
    let begin = std::time::Instant::now();
    let page = page_of(directory.path(), &chunks, &[]);
    let wrote = begin.elapsed();
    let bytes = std::fs::metadata(&page).unwrap().len();
    let graph = meta(&page)["graphs"][0].clone();
    println!("{stacks} stacks: {bytes} bytes, report with all files {wrote:?}, graph {graph}");
    assert!(bytes <= PAGE_BYTES);
    if let Some(why) = driver::missing() {
        println!("SKIPPED many_stacks: {why}");
        return;
    }
    let browser = Browser::start(1200, 900);
    for _ in 0..5 {
        println!("ready after {} ms", browser.open(&page));
    }
    let time = |script: &str| {
        let told = browser.run(&format!(
            "const times = []; for (let i = 0; i < 5; i++) {{ const begin = performance.now(); {script}; times.push(performance.now() - begin); }} return times.join(' ')"
        ));
        println!("{script}: {told} ms");
    };
    time(
        "const box = document.getElementById('search'); box.value = 'function_1' + i; box.dispatchEvent(new Event('input'))",
    );
    time(
        "document.querySelector('#graphs .flame canvas').dispatchEvent(new KeyboardEvent('keydown', { key: i % 2 ? 'Escape' : 'ArrowUp' }))",
    );
    println!("heap {}", browser.run("return performance.memory.usedJSHeapSize"));
}

/// The two times that the page says are shown, s.
fn range(chosen: &str) -> (f64, f64) {
    let words: Vec<f64> = chosen.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    (words[0], words[1])
}

/// `12,345`.
fn grouped(number: u64) -> String {
    profiler::render::humane::count(number)
}
