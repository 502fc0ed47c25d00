//! What kind of fault it was.
//!
//! In: signal, code, address, registers, mappings. Out: the kind, and a phrase for people.

use super::rows::{Area, Fault, Kind, Place};

/// Addresses below are those of fields of a null pointer.
const NULL: u64 = 0x1_0000;
/// What a frame may step over below the stack pointer at once, bytes; more is probed page by page.
const BELOW_STACK: u64 = 64 << 10;
/// What an instruction may touch above it where it pushes.
const ABOVE_STACK: u64 = 4096;
/// `SI_KERNEL`, `SI_TKILL` (include/uapi/asm-generic/siginfo.h).
const BY_KERNEL: i32 = 0x80;
/// A protection key, and memory that failed.
const KEY: i32 = 4;
/// `PAGE_SIZE`.
const PAGE: u64 = 4096;

impl Kind {
    /// What happened to a thread, by all that is known of it.
    pub fn of(fault: &Fault) -> Self {
        if fault.raised {
            return Self::Raised;
        }
        if fault.code <= 0 {
            return Self::Sent;
        }
        match i32::from(fault.signal) {
            libc::SIGSEGV => segment(fault),
            libc::SIGBUS => bus(fault),
            libc::SIGILL => Self::Instruction,
            libc::SIGFPE => Self::Arithmetic,
            libc::SIGTRAP => Self::Breakpoint,
            libc::SIGSYS => Self::Refused,
            _ => Self::Sent,
        }
    }

    /// For people.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Null => "null pointer",
            Self::StackOverflow => "stack overflow (guard page)",
            Self::Unmapped => "unmapped address",
            Self::NoPermission => "no permission",
            Self::NoCode => "jump to what is no code",
            Self::NoAddress => "impossible address",
            Self::FileTruncated => "file truncated under its mapping",
            Self::NotReadable => "mapped file or memory not readable",
            Self::Unaligned => "unaligned address",
            Self::BrokenMemory => "broken memory",
            Self::Instruction => "invalid instruction",
            Self::Arithmetic => "arithmetic (division by zero, overflow)",
            Self::Breakpoint => "breakpoint",
            Self::Refused => "system call refused by seccomp",
            Self::Raised => "raised by itself (abort)",
            Self::Sent => "sent",
        }
    }
}

/// Instruction and stack pointer; 0 where they are left out.
fn pointers(fault: &Fault) -> (u64, u64) {
    (fault.registers.get(16).copied().unwrap_or(0), fault.registers.get(7).copied().unwrap_or(0))
}

fn segment(fault: &Fault) -> Kind {
    if fault.code == BY_KERNEL {
        return Kind::NoAddress;
    }
    let (ip, sp) = pointers(fault);
    match fault.address {
        Some(address) if address < NULL => Kind::Null,
        Some(address) if address == ip => Kind::NoCode,
        Some(address)
            if address.saturating_add(BELOW_STACK) >= sp && address <= sp.saturating_add(ABOVE_STACK) =>
        {
            Kind::StackOverflow
        }
        _ if fault.code == 1 => Kind::Unmapped,
        _ => Kind::NoPermission,
    }
}

fn bus(fault: &Fault) -> Kind {
    match (fault.code, &fault.address_in) {
        (1, _) => Kind::Unaligned,
        (code, _) if code >= KEY => Kind::BrokenMemory,
        (_, Place::In(area)) if is_behind_end(area, fault.address) => Kind::FileTruncated,
        _ => Kind::NotReadable,
    }
}

/// Whether an address is on a page behind the last one of a mapped file.
fn is_behind_end(area: &Area, address: Option<u64>) -> bool {
    let Some(within) = address.and_then(|address| address.checked_sub(area.start)) else { return false };
    area.inode != 0
        && within.saturating_add(area.offset)
            >= area.file_bytes.checked_next_multiple_of(PAGE).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(signal: i32, code: i32, address: u64) -> Fault {
        let mut registers = vec![0; 17];
        (registers[16], registers[7]) = (0x40_1000, 0x7fff_0000_1000);
        Fault { signal: signal as u8, code, address: Some(address), registers, ..Fault::default() }
    }

    #[test]
    fn each_kind_is_told_by_code_and_address() {
        let of = |signal, code, address| Kind::of(&fault(signal, code, address));
        assert_eq!(of(libc::SIGSEGV, 1, 0x10), Kind::Null);
        assert_eq!(of(libc::SIGSEGV, 1, 0x7fff_0000_0ff8), Kind::StackOverflow);
        assert_eq!(of(libc::SIGSEGV, 2, 0x7ffe_ffff_8000), Kind::StackOverflow);
        assert_eq!(of(libc::SIGSEGV, 1, 0x40_1000), Kind::NoCode);
        assert_eq!(of(libc::SIGSEGV, 1, 0xdead_0000), Kind::Unmapped);
        assert_eq!(of(libc::SIGSEGV, 2, 0xdead_0000), Kind::NoPermission);
        assert_eq!(of(libc::SIGSEGV, BY_KERNEL, 0), Kind::NoAddress);
        assert_eq!(of(libc::SIGSEGV, -6, 0), Kind::Sent);
        assert_eq!(of(libc::SIGBUS, 1, 1), Kind::Unaligned);
        assert_eq!(of(libc::SIGBUS, 2, 1), Kind::NotReadable);
        assert_eq!(of(libc::SIGBUS, 4, 1), Kind::BrokenMemory);
        assert_eq!(of(libc::SIGILL, 2, 1), Kind::Instruction);
        assert_eq!(of(libc::SIGFPE, 1, 1), Kind::Arithmetic);
        assert_eq!(of(libc::SIGSYS, 1, 1), Kind::Refused);
        let raised = Fault { raised: true, ..fault(libc::SIGABRT, -6, 1) };
        assert_eq!(Kind::of(&raised), Kind::Raised);
    }

    #[test]
    fn a_file_is_truncated_where_the_page_is_behind_its_end() {
        let area = Area { start: 0x10_0000, end: 0x20_0000, offset: 0x1000, inode: 7, ..Area::default() };
        let at = |address, file_bytes| {
            let place = Place::In(Area { file_bytes, ..area.clone() });
            Kind::of(&Fault { address_in: place, ..fault(libc::SIGBUS, 2, address) })
        };
        assert_eq!(at(0x10_0000, 0x1000), Kind::FileTruncated);
        assert_eq!(at(0x10_0000, 0x1001), Kind::NotReadable, "the rest of the last page is there");
        assert_eq!(at(0x10_1000, 0x1001), Kind::FileTruncated);
        assert_eq!(at(0x10_0000, 0), Kind::FileTruncated);
    }
}
