//! `profiler targets`: the containers as a table or as JSON.
//!
//! In: containers, with names their owners chose. Out: at most 100 columns of clean text, or one JSON
//! array.

use std::io::{self, Write};

use super::survey::{Container, short};
use super::text::{clean, fit};
use crate::hostile::acts;

/// Heading, greatest width, and whether the end tells more than the start.
const COLUMNS: [(&str, usize, bool); 6] = [
    ("RUNTIME", 10, false),
    ("NAME", 24, false),
    ("ID", 12, false),
    ("IMAGE", 16, true),
    ("POD", 15, false),
    ("PIDS", 12, false),
];

/// Writes the listing.
pub fn write_list(containers: &[Container], json: bool, out: &mut dyn Write) -> io::Result<()> {
    if json {
        return write_json(containers, out);
    }
    if containers.is_empty() {
        return writeln!(
            out,
            "no containers run here; any cgroup, unit or process can be a target: --cgroup, --unit, --pid"
        );
    }
    let heading = COLUMNS.map(|(heading, ..)| heading.to_owned());
    let rows: Vec<[String; 6]> = [heading].into_iter().chain(containers.iter().map(row)).collect();
    let widths: [usize; 6] = std::array::from_fn(|at| {
        rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    });
    for row in &rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

fn row(container: &Container) -> [String; 6] {
    let pod = if container.pod.is_empty() { String::new() } else { container.pod_name() };
    let name = container.inside(container.name.clone());
    let cells =
        [&container.runtime, &name, short(&container.id), &container.image, &pod, &pids(&container.pids, 1)];
    let mut columns = COLUMNS.iter();
    cells.map(|cell| {
        let cell = clean(cell);
        let cell = if cell.is_empty() { "-".to_owned() } else { cell };
        columns.next().map_or_else(String::new, |(_, width, keep_end)| fit(&cell, *width, *keep_end))
    })
}

/// The first `most` process ids, and how many more.
pub(super) fn pids(all: &[u32], most: usize) -> String {
    let shown: Vec<String> = all.iter().take(most).map(u32::to_string).collect();
    let more = all.len().saturating_sub(most);
    if more == 0 { shown.join(",") } else { format!("{} +{more}", shown.join(",")) }
}

/// JSON, with every letter that steers a terminal escaped.
fn write_json(containers: &[Container], out: &mut dyn Write) -> io::Result<()> {
    let text = serde_json::to_string_pretty(containers)?;
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter != '\n' && acts(letter) {
            let mut units = [0; 2];
            safe.extend(letter.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            safe.push(letter);
        }
    }
    writeln!(out, "{safe}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nasty() -> Container {
        Container {
            runtime: "containerd".into(),
            name: format!("\u{1b}[2Jname\n{}", "x".repeat(300)),
            id: "a".repeat(64),
            image: "registry.example/some/long/path/app:1.2".into(),
            pod: "a-pod-with-a-long-name".into(),
            namespace: "production\u{202e}".into(),
            pids: (1..=400_000).collect(),
            ..Container::default()
        }
    }

    #[test]
    fn the_table_fits_and_is_clean() {
        let mut out = Vec::new();
        write_list(&[nasty(), Container::default()], false, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        assert!(!text.chars().any(|letter| letter != '\n' && acts(letter)), "{text}");
        assert!(text.contains("ath/app:1.2"), "{text}");
    }

    #[test]
    fn json_keeps_names_and_steers_nothing() {
        let mut out = Vec::new();
        write_list(&[nasty()], true, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(!text.chars().any(|letter| letter != '\n' && acts(letter)));
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value[0]["namespace"], "production\u{202e}");
        assert_eq!(value[0]["name"], nasty().name);
    }
}
