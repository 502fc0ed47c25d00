//! In: a generated text and its name. Out: `docs/performance.md`, or another page, with that text between its
//! markers; the rest of the page stays as people wrote it.

use std::{fs, io};

use anyhow::{Context, Result};

use super::place::Place;

/// Rounds that make a median.
const ENOUGH: usize = 7;

/// Prints the text; writes it down, too, if there were rounds enough: fewer are for trying things out.
///
/// # Errors
/// When the page cannot be read or written.
pub fn write_block(place: &Place<'_>, name: &str, text: &str) -> Result<()> {
    if place.rounds < ENOUGH {
        println!("\n{text}");
        println!("xtask: {} rounds are not written down, {ENOUGH} are", place.rounds);
        return Ok(());
    }
    replace_block(place, "docs/performance.md", name, text)
}

/// Prints the text, and writes it into a page, by the page's path in the checkout.
///
/// # Errors
/// When the page cannot be read or written.
pub fn replace_block(place: &Place<'_>, page: &str, name: &str, text: &str) -> Result<()> {
    println!("\n{text}");
    let path = place.workspace.root().join(page);
    let before = match fs::read_to_string(&path) {
        Ok(page) => page,
        Err(error) if error.kind() == io::ErrorKind::NotFound => "# Performance\n".to_owned(),
        Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
    };
    fs::write(&path, with_block(&before, name, text))
        .with_context(|| format!("writing {}", path.display()))?;
    println!("xtask: wrote the block `{name}` of {}", path.display());
    Ok(())
}

fn with_block(page: &str, name: &str, text: &str) -> String {
    let (open, close) = (format!("<!-- bench {name}: generated -->"), format!("<!-- bench {name}: end -->"));
    let block = format!("{open}\n{}\n{close}", text.trim_end());
    let Some((head, rest)) = page.split_once(&open) else {
        return format!("{}\n\n{block}\n", page.trim_end());
    };
    match rest.split_once(&close) {
        Some((_, tail)) => format!("{head}{block}{tail}"),
        // A lost end marker: what follows is kept rather than swallowed.
        None => format!("{head}{block}\n{rest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_added_once_and_replaced_after() {
        let first = with_block("# Page\n\nBy hand.\n", "a", "one\n");
        let open = "<!-- bench a: generated -->";
        assert_eq!(first, format!("# Page\n\nBy hand.\n\n{open}\none\n<!-- bench a: end -->\n"));
        let second = with_block(&first, "b", "two");
        assert_eq!(with_block(&second, "a", "three"), second.replace("one", "three"));
    }
}
