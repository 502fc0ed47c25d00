//! Mount tables.
//!
//! In: the text of `/proc/PID/mountinfo`. Out: the mounts that can be read, in order; other lines are skipped.

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    /// `major:minor` of the filesystem.
    pub device: String,
    /// Which directory of the filesystem is mounted.
    pub root: String,
    /// Where it is mounted, as its owner sees it.
    pub point: String,
    /// Filesystem type.
    pub kind: String,
    /// Options of the filesystem, comma separated (v1: the controllers).
    pub options: String,
}

/// Reads a mount table.
pub(super) fn parse(text: &str) -> Vec<Mount> {
    text.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Mount> {
    let (before, after) = line.split_once(" - ")?;
    let mut before = before.split(' ').skip(2);
    let (device, root, point) = (before.next()?, before.next()?, before.next()?);
    let mut after = after.split(' ');
    let (kind, _source, options) = (after.next()?, after.next()?, after.next()?);
    Some(Mount {
        device: device.to_owned(),
        root: unescape(root),
        point: unescape(point),
        kind: kind.to_owned(),
        options: options.to_owned(),
    })
}

/// The kernel writes space, tab, newline and backslash as three octal digits.
fn unescape(field: &str) -> String {
    let mut out = String::with_capacity(field.len());
    let mut rest = field;
    while let Some((plain, tail)) = rest.split_once('\\') {
        out.push_str(plain);
        let octal = tail.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match octal {
            Some(byte) if byte.is_ascii() => {
                out.push(char::from(byte));
                rest = tail.get(3..).unwrap_or("");
            }
            _ => {
                out.push('\\');
                rest = tail;
            }
        }
    }
    out + rest
}

/// Where directory `root` of filesystem `device` can be reached according to `mounts`: the deepest
/// mount that shows it.
pub(super) fn reach(mounts: &[Mount], device: &str, root: &str) -> Option<String> {
    mounts
        .iter()
        .filter(|mount| mount.device == device)
        .filter_map(|mount| Some((mount, super::hierarchy::below(root, &mount.root)?)))
        .max_by_key(|(mount, _)| mount.root.len())
        .map(|(mount, rest)| format!("{}{rest}", mount.point.trim_end_matches('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_with_optional_fields_and_escapes() {
        let line = "35 31 0:32 /a\\040b /sys/fs/cgroup/memory rw shared:9 master:1 - cgroup cgroup rw,memory";
        let mounts = parse(&format!("garbage\n{line}\n1 2 3 - x\n"));
        assert_eq!(mounts.len(), 1);
        assert_eq!((mounts[0].root.as_str(), mounts[0].options.as_str()), ("/a b", "rw,memory"));
        assert_eq!(unescape("x\\0"), "x\\0");
        assert_eq!(unescape("é\\377é"), "é\\377é");
    }

    #[test]
    fn a_directory_is_reached_through_the_deepest_mount_of_its_filesystem() {
        let text = "1 0 8:1 / / rw - ext4 d rw\n2 1 8:2 / /var/lib/docker rw - xfs d rw\n";
        let mounts = parse(text);
        assert_eq!(reach(&mounts, "8:2", "/containers/x").as_deref(), Some("/var/lib/docker/containers/x"));
        assert_eq!(reach(&mounts, "8:1", "/var/lib").as_deref(), Some("/var/lib"));
        assert_eq!(reach(&mounts, "8:3", "/"), None);
    }
}
