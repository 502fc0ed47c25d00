//! In: for how long. Out: children whose command names attack whoever prints them, and a function whose
//! symbol does. Each makes slow calls and burns CPU, one waits for a lock, so that the names reach every table.

use std::{hint::black_box, io};

use crate::{burn, report::Report, stall, system, timed};

/// Names as the kernel keeps them: 15 bytes, anything but NUL.
const NAMES: [&[u8]; 8] = [
    b"a;b;c;d",
    b"x\ny 5\nz 7",
    b"\x1b[31mred\x1b]0;t",
    b"<script>alert()",
    b"\"'&]]>--><!--",
    b"\xe2\x80\xaertl\xc2\x9b31m",
    b"# note\r\t 12",
    b"\xff\xfe\x80bad",
];

/// A child for each name, for so much CPU time; one more that waits for a mutex under such a name.
pub fn names(ms: u64) -> io::Result<Report> {
    let mut children = Vec::new();
    for name in NAMES {
        children.push(under_name(name, || attacking_symbol(ms))?);
    }
    children.push(under_name(b"l;o\x1b[2Jc<k>", || drop(stall::pipe(3, 20)))?);
    for child in children {
        system::reap(child);
    }
    Ok(Report::new().with("names", NAMES.len() as u64 + 1))
}

/// Runs `work` in a process that has had its name since it began.
fn under_name(name: &[u8], work: impl FnOnce()) -> io::Result<i32> {
    system::fork(|| {
        rename(name);
        if let Ok(named) = system::fork(work) {
            system::reap(named);
        }
    })
}

fn rename(name: &[u8]) {
    let mut bytes = [0_u8; 16];
    bytes[..name.len()].copy_from_slice(name);
    // SAFETY: the kernel reads at most 16 bytes, the last of which is NUL.
    unsafe { libc::prctl(libc::PR_SET_NAME, bytes.as_ptr()) };
}

/// Its symbol is no Rust name: what an attacker's linker may write into an ELF file.
// SAFETY: no other symbol has this name.
#[unsafe(export_name = "sym;bol\x1b[2J<script>\"&\n 99")]
#[inline(never)]
fn attacking_symbol(ms: u64) {
    black_box(timed::pipe_reads(3, 20).is_ok());
    black_box(burn::seventy_thirty(ms).with("after", black_box(ms)));
}
