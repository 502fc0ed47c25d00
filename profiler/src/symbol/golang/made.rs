//! Small Go programs that nobody compiled, to be damaged at a chosen place.
//!
//! In: a layout of the table. Out: an ELF file with three functions, two calls inlined into the last of them, and where its
//! parts are.

use super::table::Layout;

pub const TEXT: u64 = 0x40_1000;
const TABLE: u64 = 0x40_2000;
const DATA: u64 = 0x40_4000;
pub const OUTER: u64 = TEXT + 0x80;
pub const END: u64 = TEXT + 0x100;
const NAMES: [&str; 5] = ["main.main", "main.(*T).Method", "main.outer[...]", "main.inner", "main.innermost"];
/// No call for 16 bytes, the first for 16, the second for 16, and none again.
const LIST: [u8; 9] = [0, 0x10, 2, 0x10, 2, 0x10, 3, 0x50, 0];

/// A program, and where its parts are in the file.
pub struct Made {
    pub bytes: Vec<u8>,
    pub table: usize,
    pub names: usize,
    pub values: usize,
    pub list: usize,
    /// The record of the last function.
    pub record: usize,
    pub calls: usize,
    pub module: usize,
    pub relocations: usize,
}

impl Made {
    pub fn put(&mut self, at: usize, bytes: &[u8]) {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn word(&mut self, at: usize, value: u64) {
        self.put(at, &value.to_le_bytes());
    }

    fn half(&mut self, at: usize, value: u32) {
        self.put(at, &value.to_le_bytes());
    }

    /// Without section headers.
    pub fn without_sections(mut self) -> Self {
        self.put(40, &[0; 8]);
        self.put(60, &[0; 4]);
        self
    }

    /// As another linker links it: addresses are filled in by the loader. They are in relocations, not in their places.
    pub fn filled_by_the_loader(mut self) -> Self {
        let words: Vec<(u64, u64)> = (0..48)
            .map(|index| {
                let at = self.module + index * 8;
                let value = u64::from_le_bytes(self.bytes[at..at + 8].try_into().unwrap());
                (DATA + (at - 0x4000) as u64, value)
            })
            .filter(|(_, value)| *value > 0x1000)
            .collect();
        for (at, (address, value)) in words.iter().enumerate() {
            let entry = self.relocations + at * 24;
            self.word(entry, *address);
            self.word(entry + 8, 8);
            self.word(entry + 16, *value);
            self.word((address - DATA) as usize + 0x4000, 0);
        }
        self.word(self.table + 24, 0);
        self.word(self.relocations - 32, words.len() as u64 * 24);
        self
    }
}

pub fn program(layout: Layout) -> Made {
    let mut made = Made {
        bytes: vec![0; 0x6000],
        table: 0x2000,
        names: 0x2100,
        values: 0x2200,
        list: 0x2300,
        record: 0x2480,
        calls: 0x2600,
        module: 0x4100,
        relocations: 0x5040,
    };
    if layout == Layout::Go2 {
        made.list = made.table + 16;
    }
    head(&mut made);
    let (table, list, names, values) = (made.table, made.list, made.names, made.values);
    let magic: u32 = match layout {
        Layout::Go2 => 0xffff_fffb,
        Layout::Go16 => 0xffff_fffa,
        Layout::Go18 => 0xffff_fff0,
        Layout::Go20 => 0xffff_fff1,
    };
    made.half(table, magic);
    made.put(table + 6, &[1, 8]);
    made.word(table + 8, 3);
    let offset = |part: usize| (part - table) as u64;
    match layout {
        Layout::Go2 => {}
        Layout::Go16 => {
            for (at, part) in [(24, names), (48, values), (56, list)] {
                made.word(table + at, offset(part));
            }
        }
        Layout::Go18 | Layout::Go20 => {
            made.word(table + 24, TEXT);
            for (at, part) in [(32, names), (56, values), (64, list)] {
                made.word(table + at, offset(part));
            }
        }
    }
    let mut at = names + 1;
    let told: Vec<u32> = NAMES
        .iter()
        .map(|name| {
            made.put(at, name.as_bytes());
            at += name.len() + 1;
            let start = if layout == Layout::Go2 { table } else { names };
            (at - name.len() - 1 - start) as u32
        })
        .collect();
    made.put(values + 1, &LIST);
    functions(&mut made, layout, &told);
    module(&mut made, layout);
    made
}

/// The list of functions, their records, what is inlined.
fn functions(made: &mut Made, layout: Layout, names: &[u32]) {
    let start = if layout == Layout::Go2 { made.table } else { made.list };
    for (index, entry) in [TEXT, TEXT + 0x40, OUTER, END].into_iter().enumerate() {
        let record = made.record - (2 - index.min(2)) * 0x60;
        let told = if index == 3 { 0 } else { (record - start) as u64 };
        if layout.has_offsets() {
            made.half(made.list + index * 8, (entry - TEXT) as u32);
            made.half(made.list + index * 8 + 4, told as u32);
        } else {
            made.word(made.list + index * 16, entry);
            if index < 3 {
                made.word(made.list + index * 16 + 8, told);
            }
        }
        if index == 3 {
            break;
        }
        if layout.has_offsets() {
            made.half(record, (entry - TEXT) as u32);
            made.half(record + 4, names[index]);
            let late = if layout == Layout::Go20 { 4 } else { 0 };
            made.half(record + 28, 3);
            made.put(record + 39 + late, &[4]);
            made.half(record + 40 + late + 8, if index == 2 { 1 } else { 0 });
            made.half(record + 40 + late + 12 + 12, if index == 2 { 0x100 } else { u32::MAX });
        } else {
            made.word(record, entry);
            made.half(record + 8, names[index]);
        }
    }
    let (bytes, name, parent) = if layout == Layout::Go20 { (16, 4, 8) } else { (20, 12, 16) };
    // The second was made from where the first is.
    for (index, (function, from)) in [(3, 0), (4, 0x10)].into_iter().enumerate() {
        made.half(made.calls + index * bytes + name, names[function]);
        made.half(made.calls + index * bytes + parent, from);
    }
}

/// What the runtime knows.
fn module(made: &mut Made, layout: Layout) {
    let linked = |part: usize| TABLE + (part - 0x2000) as u64;
    let (module, functions) = (made.module, linked(made.calls) - 0x100);
    let late = if layout == Layout::Go20 { 2 } else { 0 };
    for (index, value) in [
        (0, TABLE),
        (1, linked(made.names)),
        (10, linked(made.values)),
        (13, linked(made.list)),
        (16, linked(made.list)),
        (17, 4),
        (20, TEXT),
        (22, TEXT),
        (35 + late, TABLE),
        (36 + late, TABLE + 8),
        (38 + late, functions),
    ] {
        made.word(module + index * 8, value);
    }
}

/// Headers of the file, of what is loaded, of sections.
fn head(made: &mut Made) {
    made.put(0, b"\x7fELF\x02\x01\x01");
    made.put(16, &[2, 0, 62, 0, 1]);
    made.word(32, 64);
    made.word(40, 0x400);
    for (at, value) in [(52, 64), (54, 56), (56, 5), (58, 64), (60, 5), (62, 4)] {
        made.put(at, &[value, 0]);
    }
    let loads = [
        (1, 5, 0x1000, TEXT, 0x1000),
        (1, 4, 0x2000, TABLE, 0x1000),
        (1, 6, 0x4000, DATA, 0x1000),
        (1, 4, 0x5000, 0x40_5000, 0x1000),
        (2, 4, 0x5008, 0x40_5008, 0x20),
    ];
    for (index, (kind, flags, offset, address, bytes)) in loads.into_iter().enumerate() {
        let at = 64 + index * 56;
        made.half(at, kind);
        made.half(at + 4, flags);
        for (place, value) in [(8, offset), (16, address), (32, bytes)] {
            made.word(at + place, value);
        }
    }
    // Where relocations are, and their length.
    for (at, value) in [(0x5008, 7), (0x5010, 0x40_5040), (0x5018, 8)] {
        made.word(at, value);
    }
    made.word(0x5020, 0);
    let names = b"\0.text\0.gopclntab\0.noptrdata\0.shstrtab\0";
    made.put(0x600, names);
    let sections = [
        (0, 0, 0, 0, 0),
        (1, 1, 0x1000, TEXT, 0x1000),
        (7, 1, 0x2000, TABLE, 0x1000),
        (18, 1, 0x4000, DATA, 0x1000),
        (29, 3, 0x600, 0, names.len() as u64),
    ];
    for (index, (name, kind, offset, address, bytes)) in sections.into_iter().enumerate() {
        let at = 0x400 + index * 64;
        made.half(at, name);
        made.half(at + 4, kind);
        for (place, value) in [(16, address), (24, offset), (32, bytes)] {
            made.word(at + place, value);
        }
    }
}
