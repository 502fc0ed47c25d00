//! The text of a story in `docs/stories`, whose figures are made.
//!
//! In: its name. Out: its generated part replaced, its pictures beside it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::workspace::Workspace;

const END: &str = "<!-- /story -->";

/// A text that was read.
pub struct Text {
    directory: PathBuf,
    name: &'static str,
    head: String,
    tail: String,
}

impl Text {
    /// Reads it.
    ///
    /// # Errors
    /// When it is not there, or has no place for figures.
    pub fn open(workspace: &Workspace, name: &'static str) -> Result<Self> {
        let directory = workspace.root().join("docs/stories");
        let page = directory.join(name).with_extension("md");
        let old = fs::read_to_string(&page).with_context(|| format!("reading {}", page.display()))?;
        let begin = begin(name);
        let (head, rest) = old.split_once(&begin).context("the text has no place for figures")?;
        let (_, tail) = rest.split_once(END).context("the text's figures have no end")?;
        Ok(Self { directory, name, head: head.to_owned(), tail: tail.to_owned() })
    }

    /// Keeps a picture, called `name` behind the story's own.
    ///
    /// # Errors
    /// When it cannot be copied.
    pub fn picture(&self, from: &Path, name: &str) -> Result<()> {
        let to = self.directory.join(format!("{}-{name}", self.name));
        fs::copy(from, &to).with_context(|| format!("writing {}", to.display()))?;
        Ok(())
    }

    /// Replaces the figures.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, figures: &str) -> Result<()> {
        let page = self.directory.join(self.name).with_extension("md");
        let text = format!("{}{}\n{figures}\n{END}{}", self.head, begin(self.name), self.tail);
        fs::write(&page, text).with_context(|| format!("writing {}", page.display()))
    }
}

fn begin(name: &str) -> String {
    format!("<!-- written by `cargo xtask story {name} --write` -->\n")
}
