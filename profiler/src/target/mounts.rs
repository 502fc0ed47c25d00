//! Where directories of filesystems are mounted.
//!
//! In: a mount table. Out: the path by which a directory of a filesystem can be reached.

use super::hierarchy::below;
use crate::machine::mounts::Mount;

/// Where directory `root` of filesystem `device` can be reached according to `mounts`: the deepest
/// mount that shows it.
pub(super) fn reach(mounts: &[Mount], device: &str, root: &str) -> Option<String> {
    mounts
        .iter()
        .filter(|mount| mount.device == device)
        .filter_map(|mount| Some((mount, below(root, &mount.root)?)))
        .max_by_key(|(mount, _)| mount.root.len())
        .map(|(mount, rest)| format!("{}{rest}", mount.point.trim_end_matches('/')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::mounts::parse;

    #[test]
    fn a_directory_is_reached_through_the_deepest_mount_of_its_filesystem() {
        let text = "1 0 8:1 / / rw - ext4 d rw\n2 1 8:2 / /var/lib/docker rw - xfs d rw\n";
        let mounts = parse(text);
        assert_eq!(reach(&mounts, "8:2", "/containers/x").as_deref(), Some("/var/lib/docker/containers/x"));
        assert_eq!(reach(&mounts, "8:1", "/var/lib").as_deref(), Some("/var/lib"));
        assert_eq!(reach(&mounts, "8:3", "/"), None);
    }
}
