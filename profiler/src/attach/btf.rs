//! Field offsets from the kernel's own type information, in one linear scan.
//!
//! In: the bytes of `/sys/kernel/btf/vmlinux`. Out: offsets of the few fields the programs read. Parsing all
//! of BTF would take most of the time that a loader needs to start; this scan reads only the names of a
//! handful of types (format: Documentation/bpf/btf.rst of the kernel).

use std::collections::{HashMap, HashSet};

/// Kinds whose record is followed by members of 12 bytes.
const STRUCT: u32 = 4;
const UNION: u32 = 5;
const ENUM: u32 = 6;
const ENUM64: u32 = 19;
const TYPEDEF: u32 = 8;
const FUNCTION: u32 = 12;

/// The kernel's types, as far as they were asked for.
pub struct Types<'a> {
    types: &'a [u8],
    strings: &'a [u8],
    /// Start of each type's record; id 0 is void.
    starts: Vec<u32>,
    /// Wanted structs and enums by name.
    named: HashMap<&'a str, u32>,
}

/// One record's head.
struct Head {
    kind: u32,
    count: u32,
    kind_flag: bool,
}

impl<'a> Types<'a> {
    /// Scans for the types in `wanted`; `None` when the bytes are no BTF we can read.
    pub fn scan(bytes: &'a [u8], wanted: &[&'a str]) -> Option<Self> {
        if word16(bytes, 0)? != 0xeb9f {
            return None;
        }
        let head = word(bytes, 4)? as usize;
        let section = |at: usize| -> Option<&'a [u8]> {
            let start = head.checked_add(word(bytes, at)? as usize)?;
            bytes.get(start..start.checked_add(word(bytes, at + 4)? as usize)?)
        };
        let mut types =
            Self { types: section(8)?, strings: section(16)?, starts: vec![0], named: HashMap::new() };
        types.index(wanted)?;
        Some(types)
    }

    fn index(&mut self, wanted: &[&'a str]) -> Option<()> {
        let mut at = 0;
        while at < self.types.len() {
            let head = self.head(at)?;
            self.starts.push(at as u32);
            if matches!(head.kind, STRUCT | ENUM | ENUM64 | TYPEDEF) {
                let name = word(self.types, at)? as usize;
                let fits = |wanted: &&&str| (head.kind == TYPEDEF) == wanted.starts_with(TRACEPOINT);
                if let Some(wanted) = wanted.iter().filter(fits).find(|wanted| self.is_name(name, wanted)) {
                    self.named.entry(wanted).or_insert(self.starts.len() as u32 - 1);
                }
            }
            at += 12 + Self::tail(&head)?;
        }
        Some(())
    }

    /// Bytes that follow a record's head.
    fn tail(head: &Head) -> Option<usize> {
        let count = head.count as usize;
        Some(match head.kind {
            1 | 14 | 17 => 4,
            STRUCT | UNION | ENUM64 => count * 12,
            3 => 12,
            ENUM | 13 => count * 8,
            15 => count * 12,
            2 | 7..=12 | 16 | 18 => 0,
            _ => return None,
        })
    }

    fn head(&self, at: usize) -> Option<Head> {
        let info = word(self.types, at + 4)?;
        Some(Head { kind: info >> 24 & 0x1f, count: info & 0xffff, kind_flag: info >> 31 != 0 })
    }

    fn is_name(&self, at: usize, name: &str) -> bool {
        self.strings.get(at..at + name.len()) == Some(name.as_bytes())
            && self.strings.get(at + name.len()) == Some(&0)
    }

    /// Byte offset of `member` in struct `name`, through anonymous structs and unions.
    pub fn offset(&self, name: &str, member: &str) -> Option<u32> {
        self.member(*self.named.get(name)?, member, 8).map(|(bits, _)| bits / 8)
    }

    /// The same of a member of `member`, whose type need not have a name of its own.
    pub fn offset_inside(&self, name: &str, member: &str, inner: &str) -> Option<u32> {
        let (bits, mut id) = self.member(*self.named.get(name)?, member, 8)?;
        for _ in 0..8 {
            if self.head(*self.starts.get(id as usize)? as usize)?.kind != TYPEDEF {
                break;
            }
            id = self.behind(id)?;
        }
        self.member(id, inner, 8).map(|(inner, _)| (bits + inner) / 8)
    }

    /// Place of a member in bits, and its type.
    fn member(&self, id: u32, member: &str, depth: u32) -> Option<(u32, u32)> {
        let at = *self.starts.get(id as usize)? as usize;
        let head = self.head(at)?;
        if depth == 0 || !matches!(head.kind, STRUCT | UNION) {
            return None;
        }
        for index in 0..head.count as usize {
            let entry = at + 12 + index * 12;
            let bits = word(self.types, entry + 8)?;
            let bits = if head.kind_flag { bits & 0x00ff_ffff } else { bits };
            let (name, own) = (word(self.types, entry)? as usize, word(self.types, entry + 4)?);
            if self.is_name(name, member) {
                return Some((bits, own));
            }
            if name == 0
                && let Some((inner, own)) = self.member(own, member, depth - 1)
            {
                return Some((bits + inner, own));
            }
        }
        None
    }

    /// How many arguments a tracepoint hands out, by the name of its type, `btf_trace_…`.
    pub fn arguments(&self, name: &str) -> Option<u32> {
        let pointer = self.behind(*self.named.get(name)?)?;
        let function = self.behind(pointer)?;
        let head = self.head(*self.starts.get(function as usize)? as usize)?;
        // The first is the tracepoint's own.
        head.count.checked_sub(1)
    }

    /// The type that a type definition or a pointer is of.
    fn behind(&self, id: u32) -> Option<u32> {
        word(self.types, *self.starts.get(id as usize)? as usize + 8)
    }

    /// Value of a variant of the enum `name`.
    pub fn variant(&self, name: &str, variant: &str) -> Option<u32> {
        self.variant_at(*self.starts.get(*self.named.get(name)? as usize)? as usize, variant)
    }

    /// Value of a variant of an enum that has no name.
    pub fn nameless_variant(&self, variant: &str) -> Option<u32> {
        let nameless = |at: &usize| {
            let is_enum = self.head(*at).is_some_and(|head| matches!(head.kind, ENUM | ENUM64));
            is_enum && word(self.types, *at) == Some(0)
        };
        let mut enums = self.starts.iter().skip(1).map(|at| *at as usize).filter(nameless);
        enums.find_map(|at| self.variant_at(at, variant))
    }

    /// The same of the enum whose record is there.
    fn variant_at(&self, at: usize, variant: &str) -> Option<u32> {
        let head = self.head(at)?;
        let size = if head.kind == ENUM { 8 } else { 12 };
        (0..head.count as usize).map(|index| at + 12 + index * size).find_map(|entry| {
            let name = word(self.types, entry)? as usize;
            self.is_name(name, variant).then(|| word(self.types, entry + 4))?
        })
    }
}

/// How the types of tracepoints' programs begin; types of fields never do.
const TRACEPOINT: &str = "btf_trace_";

/// The type ids of functions, by name, of those in `wanted` that the kernel describes.
pub fn functions(bytes: &[u8], wanted: &HashSet<&str>) -> Option<HashMap<String, u32>> {
    let types = Types::scan(bytes, &[])?;
    let mut found = HashMap::new();
    for (id, start) in types.starts.iter().enumerate().skip(1) {
        let at = *start as usize;
        if types.head(at)?.kind != FUNCTION {
            continue;
        }
        let name = types.strings.get(word(types.types, at)? as usize..)?;
        let end = name.iter().take(LONGEST_NAME).position(|byte| *byte == 0);
        let name = end.and_then(|end| std::str::from_utf8(name.get(..end)?).ok());
        if let Some(name) = name.filter(|name| wanted.contains(name)) {
            found.insert(name.to_owned(), id as u32);
        }
    }
    Some(found)
}

/// Kernel symbols are not longer (`KSYM_NAME_LEN`), with the NUL.
const LONGEST_NAME: usize = 512;

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn word16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_aya_finds_on_this_kernel() {
        let Ok(bytes) = std::fs::read("/sys/kernel/btf/vmlinux") else {
            eprintln!("SKIPPED: /sys/kernel/btf/vmlinux is not readable here");
            return;
        };
        let types =
            Types::scan(&bytes, &["task_struct", "cgroup_subsys_id", "sock", "btf_trace_sched_switch"])
                .unwrap();
        // Independent witness: /proc/self/task and the pid's own neighbours cannot tell offsets, but
        // order can: tgid follows pid, and comm lies inside the struct.
        let pid = types.offset("task_struct", "pid").unwrap();
        assert_eq!(types.offset("task_struct", "tgid").unwrap(), pid + 4);
        assert!(types.offset("task_struct", "comm").unwrap() > 0);
        assert!(types.offset("task_struct", "no_such_member").is_none());
        assert!(
            types.arguments("btf_trace_sched_switch").is_some_and(|arguments| (3..=4).contains(&arguments))
        );
        assert!(types.arguments("btf_trace_no_such").is_none());
        assert!(types.variant("cgroup_subsys_id", "cpu_cgrp_id").is_some());
        let lock = types.offset("sock", "sk_lock").unwrap();
        assert!(types.offset_inside("sock", "sk_lock", "owned").unwrap() > lock);
        assert!(types.offset_inside("sock", "sk_lock", "no_such_member").is_none());
    }

    #[test]
    fn garbage_is_refused_without_panic() {
        assert!(Types::scan(b"", &[]).is_none());
        assert!(Types::scan(&[0xff; 64], &[]).is_none());
        let mut bytes = vec![0x9f, 0xeb, 1, 0, 24, 0, 0, 0];
        bytes.extend([0xff; 40]);
        assert!(Types::scan(&bytes, &["x"]).is_none());
    }
}
