//! In: the columns of a run over all kernels. Out: the table between the two marks of `docs/kernels.md`.

use std::{collections::BTreeSet, fs};

use anyhow::{Context, Result};

use super::column::{Cell, Column, State};
use crate::workspace::Workspace;

const BEGIN: &str = "<!-- matrix: written by `cargo xtask matrix` -->\n";
const END: &str = "<!-- /matrix -->\n";

/// Puts the table into the page.
///
/// # Errors
/// When the page or its marks are not there.
pub fn write(workspace: &Workspace, columns: &[Column]) -> Result<()> {
    let path = workspace.root().join("docs/kernels.md");
    let page = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let replaced = replaced(&page, &table(columns)).context("docs/kernels.md has no marks for the matrix")?;
    if replaced != page {
        fs::write(&path, replaced).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

fn replaced(page: &str, table: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}{table}{END}{after}"))
}

fn table(columns: &[Column]) -> String {
    let head = columns.iter().map(|column| format!(" {} |", column.kernel));
    let rule = columns.iter().map(|_| "---|");
    let mut text = format!(
        "\n| Probe | Backend | Workload |{}\n|---|---|---|{}\n",
        head.collect::<String>(),
        rule.collect::<String>()
    );
    let (mut reasons, mut rows) = (BTreeSet::new(), Vec::new());
    for cell in columns.iter().flat_map(|column| &column.cells) {
        let row = (&cell.probe, &cell.backend, &cell.load);
        if !rows.contains(&row) {
            rows.push(row);
        }
        if cell.state == State::Absent {
            reasons.insert(format!("- `{}` by {}: {}.\n", cell.probe, cell.backend, cell.detail));
        }
    }
    for (probe, backend, load) in rows {
        let is = |cell: &&Cell| (&cell.probe, &cell.backend, &cell.load) == (probe, backend, load);
        let marks = columns.iter().map(|column| match column.cells.iter().find(is).map(|cell| cell.state) {
            Some(State::Measured) => " yes |",
            Some(State::Absent) => " cannot |",
            Some(State::Failed) => " **failed** |",
            None => " not run |",
        });
        text += &format!("| `{probe}` | {backend} | {load} |{}\n", marks.collect::<String>());
    }
    let releases: Vec<&str> =
        columns.iter().map(|column| column.release.as_str()).filter(|release| !release.is_empty()).collect();
    text += &format!("\nKernels: {}.\n", releases.join(", "));
    if !reasons.is_empty() {
        text += "\nWhat a kernel cannot have:\n\n";
        text.extend(reasons);
    }
    text + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(state: State) -> Cell {
        let [probe, backend, load, detail] = ["lock", "kprobe", "a mutex held", "too old"].map(str::to_owned);
        Cell { probe, backend, load, state, detail }
    }

    fn column(kernel: &str, cells: Vec<Cell>) -> Column {
        Column { kernel: kernel.to_owned(), release: format!("{kernel}.0"), cells }
    }

    #[test]
    fn every_cell_has_its_mark_and_what_cannot_be_its_reason() {
        let text = table(&[
            column("1.1", vec![cell(State::Absent)]),
            column("1.2", vec![cell(State::Measured)]),
            column("1.3", vec![cell(State::Failed)]),
            column("1.4", Vec::new()),
        ]);
        assert!(
            text.contains("| `lock` | kprobe | a mutex held | cannot | yes | **failed** | not run |\n"),
            "{text}"
        );
        assert!(text.contains("- `lock` by kprobe: too old.\n"), "{text}");
    }

    #[test]
    fn only_what_is_between_the_marks_changes() {
        let page = format!("one\n{BEGIN}old\n{END}two\n");
        assert_eq!(replaced(&page, "new\n"), Some(format!("one\n{BEGIN}new\n{END}two\n")));
        assert_eq!(replaced("no marks", "new"), None);
    }
}
