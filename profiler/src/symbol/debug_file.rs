//! Debug files that this machine has of a stripped file.
//!
//! In: the stripped file, the path that it was mapped from. Out: the file that has its symbols: by build-id
//! below the debug directory, or by the name in `.gnu_debuglink` there and beside the path. It is taken only
//! if root owns it, nobody else may write it, and its build-id is that of the stripped file. So a user who
//! makes a container or a directory cannot choose names here.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::ResolveFlags;

use super::build_id::{self, read_build_id};
use super::headers::Elf;
use super::open;
use crate::profile::stack::Segment;

/// Bytes of a section with a link, at most: a name and a checksum.
const LINK_BYTES: u64 = 512;
/// The permissions to write of who is not the owner.
const OTHERS_WRITE: u32 = 0o022;
/// Files that are open at once while one is looked for: the stripped one, a directory, a place, what is there.
pub const OPEN: u64 = 4;

/// The debug file of a stripped one, and where the stripped one's code is linked.
pub fn find(stripped: &File, path: &str, debug: &Path) -> Option<(File, Vec<Segment>)> {
    let elf = Elf::open(stripped)?;
    let id = build_id::of(stripped, &elf)?;
    let segments = elf.code();
    let (first, rest) = id.split_at_checked(2)?;
    let by_id = PathBuf::from(format!(".build-id/{first}/{rest}.debug"));
    let inside = ResolveFlags::BENEATH;
    if let Some(file) = taken(debug, &by_id, inside, &id) {
        return Some((file, segments));
    }
    let name = link(&elf)?;
    let directory = plain_directory(path)?;
    let beside = ResolveFlags::NO_SYMLINKS;
    let found = taken(debug, &directory.join(&name), inside, &id).or_else(|| {
        let places = [directory.join(&name), directory.join(".debug").join(&name)];
        places.iter().find_map(|place| taken(Path::new("/"), place, beside, &id))
    })?;
    Some((found, segments))
}

/// The file below a directory, if it may be believed and has that build-id.
fn taken(directory: &Path, path: &Path, resolve: ResolveFlags, id: &str) -> Option<File> {
    let file = open::regular_below(&open::directory(directory).ok()?, path, resolve).ok()?;
    let metadata = file.metadata().ok()?;
    let trusted = metadata.uid() == 0 && metadata.mode() & OTHERS_WRITE == 0;
    (trusted && read_build_id(&file).is_some_and(|own| own == id)).then_some(file)
}

/// The directory of a path, from the root on; `None` if it leads anywhere but down.
fn plain_directory(path: &str) -> Option<PathBuf> {
    let directory = Path::new(path).strip_prefix("/").ok()?.parent()?;
    directory.components().all(|part| matches!(part, Component::Normal(_))).then(|| directory.to_owned())
}

/// The name of a debug file that a stripped one has in it: a name, and nothing else.
fn link(elf: &Elf<'_, File>) -> Option<String> {
    let sections = elf.sections();
    let section = sections.iter().find(|section| section.name == ".gnu_debuglink")?;
    name(&elf.content(section, LINK_BYTES)?)
}

fn name(content: &[u8]) -> Option<String> {
    let name = content.split(|byte| *byte == 0).next().filter(|name| name.len() < content.len())?;
    let name = std::str::from_utf8(name).ok()?;
    let mut parts = Path::new(name).components();
    let is_name =
        matches!((parts.next(), parts.next()), (Some(Component::Normal(part)), None) if part == name);
    is_name.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_a_name_and_a_directory_leads_down() {
        assert_eq!(name(b"web.debug\0\0\0abcd"), Some("web.debug".to_owned()));
        for hostile in [
            &b""[..],
            b"\0abcd",
            b"web.debug",
            b"../web\0",
            b"/etc/shadow\0",
            b"a/b\0",
            b"..\0",
            b".\0",
            b"\xff\0",
        ] {
            assert_eq!(name(hostile), None, "{hostile:?}");
        }
        assert_eq!(plain_directory("/usr/bin/web"), Some("usr/bin".into()));
        assert_eq!(plain_directory("/web"), Some("".into()));
        for hostile in ["", "web", "/", "/a/../b", "/a/../../etc/web"] {
            assert_eq!(plain_directory(hostile), None, "{hostile}");
        }
    }
}
