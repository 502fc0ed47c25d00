//! Mount tables.
//!
//! In: the text of `/proc/PID/mountinfo`. Out: the mounts that can be read, in order; other lines are skipped.

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Its number, by which `/proc/PID/fdinfo` names it.
    pub id: u64,
    /// `major:minor` of the filesystem.
    pub device: String,
    /// Which directory of the filesystem is mounted.
    pub root: String,
    /// Where it is mounted, as its owner sees it.
    pub point: String,
    /// Filesystem type.
    pub kind: String,
    /// What is mounted: a device, `SERVER:/PATH`, whatever its program says.
    pub source: String,
    /// Options of the filesystem, comma separated (v1: the controllers).
    pub options: String,
}

/// Reads a mount table.
pub fn parse(text: &str) -> Vec<Mount> {
    text.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Mount> {
    let (before, after) = line.split_once(" - ")?;
    let mut before = before.split(' ');
    let id = before.next()?.parse().ok()?;
    let mut before = before.skip(1);
    let (device, root, point) = (before.next()?, before.next()?, before.next()?);
    let mut after = after.split(' ');
    let (kind, source, options) = (after.next()?, after.next()?, after.next()?);
    Some(Mount {
        id,
        device: device.to_owned(),
        root: unescape(root),
        point: unescape(point),
        kind: kind.to_owned(),
        source: unescape(source),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_with_optional_fields_and_escapes() {
        let line = "35 31 0:32 /a\\040b /sys/fs/cgroup/memory rw shared:9 master:1 - cgroup cgroup rw,memory";
        let mounts = parse(&format!("garbage\n{line}\n1 2 3 - x\n"));
        assert_eq!(mounts.len(), 1);
        let mount = &mounts[0];
        assert_eq!((mount.id, mount.root.as_str(), mount.options.as_str()), (35, "/a b", "rw,memory"));
        assert_eq!((mount.kind.as_str(), mount.source.as_str()), ("cgroup", "cgroup"));
        assert_eq!(unescape("x\\0"), "x\\0");
        assert_eq!(unescape("é\\377é"), "é\\377é");
    }
}
