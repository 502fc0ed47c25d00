//! Programs that nobody compiled: as they should be, and damaged.
//!
//! In: [`super::made`]. Out: right names from whole tables; no name, no panic and no long search from others.

use super::GoNames;
use super::made::{END, Made, OUTER, TEXT, program};
use super::table::Layout;
use crate::harness::{fuzz_one_in, mutate};
use crate::hostile::acts;
use crate::symbol::names::NAME_BYTES;

const LAYOUTS: [Layout; 4] = [Layout::Go2, Layout::Go16, Layout::Go18, Layout::Go20];
const NEW: [Layout; 2] = [Layout::Go18, Layout::Go20];

impl super::Bytes for Vec<u8> {
    fn length(&self) -> u64 {
        self.as_slice().length()
    }

    fn part(&self, at: u64, length: u64) -> Option<Vec<u8>> {
        self.as_slice().part(at, length)
    }
}

fn open(made: Made) -> Option<GoNames<Vec<u8>>> {
    GoNames::open(made.bytes)
}

/// The names at an address of a program; none if it is no Go program.
fn names(made: Made, address: u64) -> Vec<String> {
    open(made).map(|mut names| names.names(address)).unwrap_or_default()
}

fn assert_whole(names: &mut GoNames<Vec<u8>>, inlined: bool) {
    let mut at = |address| names.names(address).join(" < ");
    assert_eq!([at(TEXT - 1), at(END), at(0), at(u64::MAX)], [""; 4]);
    assert_eq!([at(TEXT), at(TEXT + 0x3f)], ["main.main"; 2]);
    assert_eq!(at(TEXT + 0x40), "main.(*T).Method");
    assert_eq!([at(OUTER), at(OUTER + 0xf), at(END - 1)], ["main.outer[...]"; 3]);
    let (first, second) = if inlined {
        ("main.inner < main.outer[...]", "main.innermost < main.inner < main.outer[...]")
    } else {
        ("main.outer[...]", "main.outer[...]")
    };
    assert_eq!([at(OUTER + 0x10), at(OUTER + 0x1f)], [first; 2]);
    assert_eq!([at(OUTER + 0x20), at(OUTER + 0x2f)], [second; 2]);
}

#[test]
fn every_layout_names_functions_and_newer_ones_what_is_inlined() {
    for layout in LAYOUTS {
        assert_whole(&mut open(program(layout)).unwrap(), layout.has_offsets());
        assert_whole(&mut open(program(layout).without_sections()).unwrap(), layout.has_offsets());
    }
}

#[test]
fn a_section_of_another_name_is_found_if_the_program_is_one_of_go() {
    for layout in LAYOUTS {
        let renamed = |name: &[u8]| {
            let mut made = program(layout);
            made.put(0x600 + 7, name);
            open(made)
        };
        assert!(renamed(b".something").is_none(), "any program would be searched");
        // The names of sections may overlap.
        let mut made = program(layout);
        made.put(0x600 + 7, b".something\0");
        made.put(0x600 + 64, b".note.go.buildid\0");
        made.put(0x400 + 4 * 64 + 32, &[128]);
        made.put(0x400 + 64, &[64]);
        assert_whole(&mut open(made).unwrap(), layout.has_offsets());
    }
}

#[test]
fn addresses_that_the_loader_fills_in_are_found_in_relocations() {
    for layout in NEW {
        assert_whole(&mut open(program(layout).filled_by_the_loader()).unwrap(), true);
        assert_whole(&mut open(program(layout).filled_by_the_loader().without_sections()).unwrap(), true);
    }
}

/// Since Go 1.26 the table does not say where code begins; since 1.27 the words before the data of functions are others.
#[test]
fn newer_programs_say_elsewhere_where_code_begins() {
    let mut made = program(Layout::Go20);
    made.put(made.table + 24, &[0; 8]);
    assert_whole(&mut open(made).unwrap(), true);
    let mut made = program(Layout::Go20);
    made.put(made.module + 38 * 8, &0x40_u64.to_le_bytes());
    let (from, to) = (made.module + 40 * 8, made.module + 43 * 8);
    made.bytes.copy_within(from..from + 8, to);
    made.put(from, &[0; 8]);
    assert_whole(&mut open(made).unwrap(), true);
}

#[test]
fn what_the_runtime_knows_may_be_missing() {
    for layout in NEW {
        let mut made = program(layout);
        made.put(made.module, &[0; 8]);
        assert_whole(&mut open(made).unwrap(), false);
        let mut made = program(layout);
        made.put(made.module, &[0; 8]);
        made.put(made.table + 24, &[0; 8]);
        assert!(open(made).is_none(), "where code begins is not known");
    }
}

#[test]
fn what_only_begins_like_a_table_is_none() {
    for layout in LAYOUTS {
        let changed = |at: usize, bytes: &[u8]| {
            let mut made = program(layout);
            made.put(made.table + at, bytes);
            open(made)
        };
        for (at, bytes) in [
            (0, &[0xff; 4][..]),
            (4, &[1]),
            (6, &[3]),
            (7, &[4]),
            (8, &[0]),
            (8, &[0xff; 8]),
            (8, &[0, 0, 0, 4]),
            (15, &[1]),
        ] {
            assert!(changed(at, bytes).is_none(), "{layout:?} {at}");
        }
    }
    // Offsets that lead anywhere.
    for (layout, parts) in [(Layout::Go16, 24..64), (Layout::Go18, 32..72), (Layout::Go20, 32..72)] {
        for at in parts.step_by(8) {
            for value in [u64::MAX, 1 << 63, 1 << 40, 0x5000, 0] {
                let mut made = program(layout);
                made.put(made.table + at, &value.to_le_bytes());
                let Some(mut names) = open(made) else { continue };
                (TEXT - 1..END + 1).for_each(|address| drop(names.names(address)));
            }
        }
    }
}

#[test]
fn the_search_in_a_list_that_is_not_sorted_ends() {
    for layout in LAYOUTS {
        let bytes = if layout.has_offsets() { 8 } else { 16 };
        for (index, value) in [(0, END), (1, TEXT - 8), (1, u64::MAX), (2, TEXT), (2, 0), (3, OUTER), (3, 0)]
        {
            let mut made = program(layout);
            let value = if layout.has_offsets() { value.wrapping_sub(TEXT) } else { value };
            made.put(made.list + index * bytes, &value.to_le_bytes()[..bytes / 2]);
            let Some(mut names) = open(made) else { continue };
            let all = (TEXT..END).step_by(8).map(|address| names.names(address));
            let told: Vec<_> = all.filter_map(|names| names.last().cloned()).collect();
            let own = ["main.main", "main.(*T).Method", "main.outer[...]"];
            assert!(told.iter().all(|name| own.contains(&name.as_str())), "{layout:?} {index}: {told:?}");
            assert_eq!(names.names(END + 8), [""; 0]);
        }
    }
}

#[test]
fn a_gap_between_functions_has_no_name() {
    for layout in NEW {
        let mut made = program(layout);
        made.put(made.list + 8 + 4, &[0; 4]);
        assert_eq!(names(made, TEXT + 0x40), [""; 0]);
    }
}

#[test]
fn a_record_is_that_of_its_function_or_none() {
    for layout in LAYOUTS {
        for value in [[1, 0, 0, 0], [0xff; 4]] {
            let mut made = program(layout);
            made.put(made.record, &value);
            assert_eq!(names(made, OUTER), [""; 0]);
            let mut made = program(layout);
            let at = if layout.has_offsets() { 16 + 4 } else { 32 + 8 };
            made.put(made.list + at, &value);
            assert_eq!(names(made, OUTER), [""; 0]);
        }
    }
}

#[test]
fn names_are_bounded_clean_and_inside_the_file() {
    for layout in LAYOUTS {
        let at = if layout.has_offsets() { 4 } else { 8 };
        for offset in [0x5000_u32, 0x7fff_ffff, 0x8000_0000, u32::MAX] {
            let mut made = program(layout);
            made.put(made.record + at, &offset.to_le_bytes());
            assert_eq!(names(made, OUTER), [""; 0], "{offset:x}");
        }
        // Without an end: cut, or the file ends before.
        let mut made = program(layout);
        let (here, from) = (made.record + at, if layout == Layout::Go2 { made.table } else { made.names });
        made.bytes.resize(0x8000, b'n');
        made.put(here, &(0x6100 - from as u32).to_le_bytes());
        assert_eq!(names(made, OUTER), ["n".repeat(NAME_BYTES)]);
        let mut made = program(layout);
        made.bytes.resize(0x8000, b'n');
        made.put(here, &(0x7f00 - from as u32).to_le_bytes());
        assert_eq!(names(made, OUTER), [""; 0]);
        let mut made = program(layout);
        made.put(made.names + 1, b"a\x1b[\xff\n");
        assert_eq!(names(made, TEXT), ["a\u{fffd}[\u{fffd}\u{fffd}main"]);
    }
}

#[test]
fn inlined_functions_that_cannot_be_told_leave_the_other() {
    for layout in NEW {
        let outer = ["main.outer[...]"];
        let (late, call, parent) = if layout == Layout::Go20 { (4, 16, 8) } else { (0, 20, 16) };
        let changed = |change: &dyn Fn(&mut Made)| {
            let mut made = program(layout);
            change(&mut made);
            names(made, OUTER + 0x20)
        };
        // Lists without an end: of numbers that go nowhere, of numbers that have no end.
        assert_eq!(changed(&|made| made.bytes[made.values + 1..0x2300].fill(0)), outer);
        assert_eq!(changed(&|made| made.bytes[made.values + 1..0x2300].fill(0xff)), outer);
        // It ends before the place, or outside the file.
        assert_eq!(changed(&|made| made.put(made.values + 3, &[0])), outer);
        assert_eq!(changed(&|made| made.put(made.record + 48 + late, &[0xff; 4])), outer);
        // Calls outside the file; more of them than there are.
        assert_eq!(changed(&|made| made.put(made.record + 64 + late, &[0, 0, 0, 0x7f])), outer);
        assert_eq!(changed(&|made| made.put(made.values + 5, &[0xfe, 0xff, 0xff, 0xff, 0xf])), outer);
        // Names of calls outside the file, or empty.
        let name = call - if layout == Layout::Go20 { 12 } else { 8 };
        assert_eq!(changed(&|made| made.put(made.calls + call + name, &[0xff; 4])), outer);
        assert_eq!(changed(&|made| made.put(made.calls + call + name, &[0; 4])), outer);
        // No lists, no data.
        assert_eq!(changed(&|made| made.put(made.record + 28, &[2])), outer);
        assert_eq!(changed(&|made| made.put(made.record + 28, &[0xff; 4])), outer);
        assert_eq!(changed(&|made| made.put(made.record + 39 + late, &[3])), outer);
        // A call that was made from where it is itself.
        let circle = changed(&|made| made.put(made.calls + call + parent, &[0x20]));
        assert_eq!(circle.len(), crate::profile::stack::FUNCTIONS + 1);
        assert_eq!(circle.last().unwrap(), outer[0]);
    }
}

/// Steps in a list that never ends are bounded for a file, not only for an address.
#[test]
fn a_list_that_goes_nowhere_costs_a_file_no_more_than_it_may() {
    let mut made = program(Layout::Go20);
    let offset = (0x6000 - made.values) as u32;
    made.bytes.resize(4 << 20, 0);
    made.put(made.record + 52, &offset.to_le_bytes());
    let mut names = open(made).unwrap();
    let begin = std::time::Instant::now();
    assert!((0..2_000).all(|_| names.names(OUTER + 0x20).len() == 1));
    assert!(begin.elapsed() < std::time::Duration::from_secs(10), "{:?}", begin.elapsed());
}

#[test]
fn fuzz_go_tables() {
    let programs: Vec<Vec<u8>> = LAYOUTS
        .iter()
        .flat_map(|layout| [program(*layout), program(*layout).filled_by_the_loader()])
        .map(|made| made.bytes)
        .collect();
    let (mut opened, mut named) = (0_u64, 0_u64);
    let make = |random: &mut mutate::Random| {
        // What lies between the parts is empty: damage hits a part nearly always.
        let mut program = programs[random.below(programs.len())].clone();
        for _ in 0..=random.below(6) {
            let (start, length) = [
                (64, 0x118),
                (0x400, 0x140),
                (0x2000, 0x80),
                (0x2100, 0x120),
                (0x2300, 0x400),
                (0x4100, 0x180),
                (0x5000, 0x200),
            ][random.below(7)];
            let at = start + random.below(length);
            program[at] = [0, 1, 0x7f, 0x80, 0xff, random.below(256) as u8][random.below(6)];
        }
        if random.below(8) == 0 { mutate::bytes(&[program], random) } else { program }
    };
    fuzz_one_in(2, "go-table", make, |input| {
        let Some(mut names) = GoNames::open(input.to_vec()) else { return };
        opened += 1;
        for address in (TEXT - 8..END + 8).step_by(8).chain([0, u64::MAX]) {
            let found = names.names(address);
            named += found.len() as u64;
            assert!(found.len() <= crate::profile::stack::FUNCTIONS + 1);
            assert!(
                found.iter().all(|name| name.len() <= NAME_BYTES && !name.chars().any(acts)),
                "{found:?}"
            );
        }
    });
    assert!(opened > 0 && named > 0, "nothing behind the first check was reached");
}
