//! Kernel symbols.
//!
//! In: the bytes of `/proc/kallsyms`. Out: names for kernel addresses (built in, modules, BPF
//! programs) and for static locks. Compiler suffixes (`.isra.0`, `.cold`) are kept.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

/// kallsyms is read up to here; the largest seen is below 20 MB.
const BYTES: u64 = 128 << 20;
/// A function's last byte is at most this far from its symbol.
const TEXT_SPAN: u64 = 1 << 20;
/// A lock inside a static object is at most this far from its symbol.
const DATA_SPAN: u64 = 64 << 10;
/// `module` of a symbol that is built in.
const BUILT_IN: u16 = u16::MAX;

/// A position in kernel code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelSymbol<'a> {
    /// The function.
    pub name: &'a str,
    /// Its module, `bpf` for BPF programs; `None` when built in.
    pub module: Option<&'a str>,
    /// Bytes from the function's start.
    pub offset: u64,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    address: u64,
    name: u32,
    length: u16,
    module: u16,
    /// Of several symbols at one address the lowest rank names it.
    rank: u8,
}

/// The parsed symbol table.
#[derive(Debug, Default)]
pub struct KernelSymbols {
    names: String,
    modules: Vec<Box<str>>,
    text: Vec<Entry>,
    data: Vec<Entry>,
    visible: bool,
}

impl KernelSymbols {
    /// Reads `/proc/kallsyms`.
    ///
    /// # Errors
    /// The file cannot be opened or read (no procfs, hardened kernel).
    pub fn read() -> io::Result<Self> {
        let mut bytes = Vec::with_capacity(16 << 20);
        File::open("/proc/kallsyms")?.take(BYTES).read_to_end(&mut bytes)?;
        Ok(Self::parse(&bytes))
    }

    /// Parses what [`Self::read`] reads; lines that make no sense are skipped.
    pub fn parse(bytes: &[u8]) -> Self {
        let mut table = Self { names: String::with_capacity(bytes.len() / 2), ..Self::default() };
        let mut modules = HashMap::new();
        // The kernel writes ASCII: checked once for all lines, bad bytes cost only their own line.
        let text = String::from_utf8_lossy(bytes);
        for line in text.split('\n') {
            if let Some(line) = Line::parse(line) {
                table.add(&line, &mut modules);
            }
        }
        for entries in [&mut table.text, &mut table.data] {
            entries.sort_by_key(|entry| (entry.address, entry.rank));
            entries.dedup_by_key(|entry| entry.address);
            entries.shrink_to_fit();
        }
        table.names.shrink_to_fit();
        table
    }

    fn add<'a>(&mut self, line: &Line<'a>, modules: &mut HashMap<&'a str, u16>) {
        self.visible |= line.address != 0;
        let entries = match line.kind {
            b't' | b'T' | b'w' | b'W' => &mut self.text,
            b'd' | b'D' | b'b' | b'B' | b'r' | b'R' | b'v' | b'V' => &mut self.data,
            _ => return,
        };
        let (Ok(name), Ok(length)) = (u32::try_from(self.names.len()), u16::try_from(line.name.len())) else {
            return;
        };
        if line.address == 0 {
            return;
        }
        let module = line.module.map_or(BUILT_IN, |module| {
            *modules.entry(module).or_insert_with(|| {
                self.modules.push(module.into());
                u16::try_from(self.modules.len() - 1).unwrap_or(BUILT_IN)
            })
        });
        self.names.push_str(line.name);
        entries.push(Entry { address: line.address, name, length, module, rank: line.rank() });
    }

    /// The kernel shows this user no addresses: no name can be found.
    pub fn hidden(&self) -> bool {
        !self.visible
    }

    /// The function that contains an address.
    pub fn resolve(&self, address: u64) -> Option<KernelSymbol<'_>> {
        let (entry, offset) = nearest(&self.text, address, TEXT_SPAN)?;
        let name = self.name(entry);
        let module = self.modules.get(usize::from(entry.module)).map(|module| &**module);
        (!is_end(name)).then_some(KernelSymbol { name, module, offset })
    }

    /// The static object at an address, or the one that contains it. What follows a section's marker is not
    /// named after it: a kernel without data symbols has nothing but markers.
    pub fn data_symbol(&self, address: u64) -> Option<&str> {
        let (entry, _) = nearest(&self.data, address, DATA_SPAN)?;
        Some(self.name(entry)).filter(|name| !is_marker(name))
    }

    /// Names of static locks among `addresses`, for `Symbols::locks`.
    pub fn locks(&self, addresses: impl IntoIterator<Item = u64>) -> Vec<(u64, Arc<str>)> {
        let name = |address| Some((address, Arc::from(self.data_symbol(address)?)));
        addresses.into_iter().filter_map(name).collect()
    }

    /// The address of a symbol, text before data; walks the whole table.
    pub fn lookup(&self, name: &str) -> Option<u64> {
        let mut entries = self.text.iter().chain(&self.data);
        entries.find(|entry| self.name(entry) == name).map(|entry| entry.address)
    }

    /// How many addresses have a name.
    pub fn len(&self) -> usize {
        self.text.len() + self.data.len()
    }

    /// No address has a name.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn name(&self, entry: &Entry) -> &str {
        let start = entry.name as usize;
        self.names.get(start..start + usize::from(entry.length)).unwrap_or_default()
    }
}

/// The last entry at or below `address`, when it is less than `span` away.
fn nearest(entries: &[Entry], address: u64, span: u64) -> Option<(&Entry, u64)> {
    let after = entries.partition_point(|entry| entry.address <= address);
    let entry = entries.get(after.checked_sub(1)?)?;
    let offset = address - entry.address;
    (offset < span).then_some((entry, offset))
}

/// Markers where a section ends: what follows is no function of that name.
fn is_end(name: &str) -> bool {
    matches!(name, "_etext" | "_einittext" | "__entry_text_end" | "__irqentry_text_end")
}

/// Names that the linker gives to a place and not to an object.
fn is_marker(name: &str) -> bool {
    is_end(name)
        || matches!(name, "_text" | "_stext" | "_sinittext" | "_sdata")
        || name.starts_with("__start_")
        || name.starts_with("__stop_")
        || name.ends_with("_text_start")
        || name.ends_with("_begin")
}

struct Line<'a> {
    address: u64,
    kind: u8,
    name: &'a str,
    module: Option<&'a str>,
}

impl<'a> Line<'a> {
    /// `ffffffff81000000 T name` or `ffffffffc0201000 t name\t[module]`.
    fn parse(line: &'a str) -> Option<Self> {
        let space = line.bytes().take(17).position(|byte| byte == b' ')?;
        let address = hex(line.get(..space)?)?;
        let kind = *line.as_bytes().get(space + 1)?;
        let rest = line.get(space + 3..)?;
        let (name, module) = match rest.ends_with(']').then(|| rest.split_once('\t')).flatten() {
            Some((name, module)) => (name, Some(module.trim_matches(['[', ']']))),
            None => (rest, None),
        };
        (!name.is_empty()).then_some(Self { address, kind, name, module })
    }

    /// Section markers last, then weak symbols, then those with more leading underscores.
    fn rank(&self) -> u8 {
        let underscores = self.name.bytes().take_while(|byte| *byte == b'_').count().min(15);
        let weak = matches!(self.kind, b'w' | b'W');
        u8::from(is_marker(self.name)) << 6 | u8::from(weak) << 5 | underscores as u8
    }
}

fn hex(digits: &str) -> Option<u64> {
    if digits.is_empty() || digits.len() > 16 {
        return None;
    }
    digits.bytes().try_fold(0, |value: u64, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            b'A'..=b'F' => digit - b'A' + 10,
            _ => return None,
        };
        Some(value << 4 | u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[u8] = b"0000000000000000 A fixed_percpu_data\n\
        ffffffff81000000 T _stext\nffffffff81000000 T startup_64\nffffffff81000100 t do_it.isra.0\n\
        ffffffff81000200 T _etext\nffffffff82000000 D some_lock\nffffffff82000010 d table\n\
        ffffffffc0201000 t answer\t[testmod]\nffffffffc0100000 t bpf_prog_12ab_x\t[bpf]\nrubbish\n\xff\xff\n";

    #[test]
    fn names_functions_modules_and_programs() {
        let table = KernelSymbols::parse(TABLE);
        let name = |address| table.resolve(address).map(|symbol| (symbol.name, symbol.module, symbol.offset));
        assert_eq!(name(0xffff_ffff_8100_0004), Some(("startup_64", None, 4)));
        assert_eq!(name(0xffff_ffff_8100_01ff), Some(("do_it.isra.0", None, 0xff)));
        assert_eq!(name(0xffff_ffff_c020_1002), Some(("answer", Some("testmod"), 2)));
        assert_eq!(name(0xffff_ffff_c010_0000), Some(("bpf_prog_12ab_x", Some("bpf"), 0)));
        assert!(!table.hidden());
    }

    #[test]
    fn does_not_stretch_the_last_symbol() {
        let table = KernelSymbols::parse(TABLE);
        assert_eq!(table.resolve(0xffff_ffff_8100_0200), None);
        assert_eq!(table.resolve(0xffff_ffff_c020_1000 + TEXT_SPAN), None);
        assert_eq!(table.resolve(0xffff_ffff_ffff_ffff), None);
        assert_eq!(table.resolve(0x1000), None);
    }

    #[test]
    fn names_locks_within_bounds() {
        let table = KernelSymbols::parse(TABLE);
        assert_eq!(table.data_symbol(0xffff_ffff_8200_0000), Some("some_lock"));
        assert_eq!(table.data_symbol(0xffff_ffff_8200_0018), Some("table"));
        assert_eq!(table.data_symbol(0xffff_ffff_8200_0010 + DATA_SPAN), None);
        assert_eq!(table.lookup("some_lock"), Some(0xffff_ffff_8200_0000));
        assert_eq!(table.lookup("absent"), None);
    }

    #[test]
    fn names_no_lock_after_a_section() {
        let table = KernelSymbols::parse(
            b"ffffffff83000000 D __start_init_stack\nffffffff83229888 D __start_once\n\
              ffffffff83229890 D some_lock\nffffffff8324f568 D __stop___dyndbg\n",
        );
        assert_eq!(table.data_symbol(0xffff_ffff_8300_8040), None);
        assert_eq!(table.data_symbol(0xffff_ffff_8322_9894), Some("some_lock"));
        assert_eq!(table.data_symbol(0xffff_ffff_8324_f570), None);
    }

    #[test]
    fn recognises_hidden_addresses() {
        let hidden = KernelSymbols::parse(b"0000000000000000 T _text\n0000000000000000 t do_it\n");
        assert!(hidden.hidden());
        assert!(hidden.is_empty());
    }
}
