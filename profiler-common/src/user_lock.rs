//! Who holds a lock of user space, as the memory around its futex word tells.
//!
//! In: what a thread asks `futex` for, the words at its address. Out: the owner's thread id in the owner's own pid namespace,
//! or why there is none. Only layouts are believed that keep the owner: glibc's and musl's mutexes, priority inheritance.

/// What is known of a lock's holder. Four of them name a thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "user", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "user", serde(rename_all = "kebab-case"))]
#[repr(u32)]
pub enum Told {
    /// Nobody read the lock: the wait began before the recording, or this kernel's types are not known.
    #[default]
    Unread,
    /// By the layout of glibc's mutex.
    Glibc,
    /// By the layout of glibc's robust mutex.
    GlibcRobust,
    /// By musl's mutex that counts, checks, or is robust.
    Musl,
    /// By the kernel's rules for priority inheritance.
    Priority,
    /// The lock keeps no owner.
    NoOwner,
    /// It was being taken or released.
    Changing,
    /// Its memory could not be read.
    Unreadable,
    /// No thread has the owner's number any more.
    Ended,
    /// The owner's number belongs to a thread that cannot be the owner.
    Stranger,
    /// The program has 32 bits: its locks have other layouts.
    Narrow,
}

impl Told {
    /// All of them, by index.
    pub const ALL: [Self; 11] = [
        Self::Unread,
        Self::Glibc,
        Self::GlibcRobust,
        Self::Musl,
        Self::Priority,
        Self::NoOwner,
        Self::Changing,
        Self::Unreadable,
        Self::Ended,
        Self::Stranger,
        Self::Narrow,
    ];

    /// Why nobody is named; none where somebody is.
    pub const fn unknown(self) -> Option<&'static str> {
        match self {
            Self::Glibc | Self::GlibcRobust | Self::Musl | Self::Priority => None,
            Self::NoOwner => Some("lock keeps no owner"),
            Self::Changing => Some("it was changing hands"),
            Self::Unreadable => Some("its memory was not readable"),
            Self::Ended => Some("its owner has ended"),
            Self::Stranger => Some("its owner is not in sight of the waiter"),
            Self::Narrow => Some("32-bit program"),
            Self::Unread => Some("not read when the wait began"),
        }
    }
}

/// Whether an index of [`Told`] names a thread.
#[inline(always)]
pub const fn names_thread(told: u32) -> bool {
    told >= Told::Glibc as u32 && told <= Told::Priority as u32
}

/// Bits of a packed owner that hold the thread's number.
const TID_BITS: u32 = 22;
const TID_ALL: u32 = (1 << TID_BITS) - 1;
/// In a packed owner: the lock may be shared by processes.
pub const SHARED: u32 = 1 << 31;
/// In a packed owner: set in every packed owner, so that none is 0.
const IS: u32 = 1 << 30;

/// Packs an owner and how it is known: never 0.
#[inline(always)]
pub const fn pack(told: u32, tid: u32) -> u32 {
    IS | told << TID_BITS | tid & TID_ALL
}

/// The index of [`Told`] of a packed owner, and its thread's number.
#[inline(always)]
pub const fn unpack(owner: u32) -> (u32, u32) {
    (owner >> TID_BITS & 0xff, owner & TID_ALL)
}

/// What a thread asks `futex` for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// The operation with its flags.
    pub operation: u32,
    /// The word's expected value.
    pub value: u32,
    /// 1: with a time limit.
    pub timed: u32,
}

/// Words that are read from the futex on: the word, then what glibc calls count, owner, users and kind.
pub const WORDS: usize = 5;

/// Of an operation (include/uapi/linux/futex.h), what is no flag.
pub const COMMAND: u32 = 0x7f;
/// `FUTEX_WAIT`.
pub const WAIT: u32 = 0;
/// `FUTEX_LOCK_PI`.
pub const LOCK_PI: u32 = 6;
/// `FUTEX_WAIT_BITSET`.
pub const WAIT_BITSET: u32 = 9;
/// `FUTEX_LOCK_PI2`.
pub const LOCK_PI2: u32 = 13;
const PRIVATE: u32 = 128;

/// Bits of a word whose owner the kernel knows: the owner (`FUTEX_TID_MASK`).
const TID_MASK: u32 = 0x3fff_ffff;
/// And that threads wait for it (`FUTEX_WAITERS`).
pub const WAITERS: u32 = 1 << 31;
/// The word of a plain mutex that threads wait for.
pub const CONTENDED: u32 = 2;

/// Bits of glibc's kind of a mutex: what it checks, and [`ROBUST`], priority inheritance, [`PROCESS_SHARED`], elision.
const CHECKS: u32 = 3;
const RECURSIVE: u32 = 1;
const ROBUST: u32 = 16;
const PROCESS_SHARED: u32 = 128;
const ELISION: u32 = 256 | 512;
/// Threads that use a mutex at most. The upper half of a pointer in that place is more.
const USERS_MOST: u32 = 4096;

/// Bits of musl's type of a mutex: what it checks, robust, priority inheritance, shared.
const MUSL_KEEPS_OWNER: u32 = 7;
const MUSL_TYPES: u32 = 15 | PROCESS_SHARED;

/// Whether the word before the futex, musl's type, must be read, too.
#[inline(always)]
pub const fn needs_word_before(asked: &Asked) -> bool {
    asked.value & WAITERS != 0
}

/// The packed owner of the lock that a thread waits for: `words` from its address on, `before` the word in front.
#[inline(always)]
pub const fn owner(asked: &Asked, words: &[u32; WORDS], before: u32) -> u32 {
    let command = asked.operation & COMMAND;
    let shared = if asked.operation & PRIVATE == 0 { SHARED } else { 0 };
    let waits = command == WAIT || command == WAIT_BITSET;
    let owner = if command == LOCK_PI || command == LOCK_PI2 {
        named(Told::Priority as u32, words[0] & TID_MASK)
    } else if waits && asked.value == CONTENDED {
        // With a bit set but no time limit these are Rust's locks.
        if command == WAIT || asked.timed != 0 {
            of_glibc(words, shared != 0)
        } else {
            pack(Told::NoOwner as u32, 0)
        }
    } else if waits && asked.value & WAITERS != 0 {
        of_word(words, before, shared != 0)
    } else {
        pack(Told::NoOwner as u32, 0)
    };
    owner | shared
}

/// A thread, unless there is none by that number.
#[inline(always)]
const fn named(told: u32, tid: u32) -> u32 {
    if tid == 0 {
        pack(Told::Changing as u32, 0)
    } else if tid > TID_ALL {
        pack(Told::NoOwner as u32, 0)
    } else {
        pack(told, tid)
    }
}

/// glibc's mutex: plain, recursive, checking or adaptive.
#[inline(always)]
const fn of_glibc(words: &[u32; WORDS], shared: bool) -> u32 {
    let [word, count, owner, users, kind] = *words;
    let known = kind & !(CHECKS | PROCESS_SHARED | ELISION) == 0;
    let counted = kind & CHECKS == RECURSIVE || count == 0;
    if !known || (kind & PROCESS_SHARED != 0) != shared || !counted || users > USERS_MOST {
        return pack(Told::NoOwner as u32, 0);
    }
    if word != CONTENDED || owner == 0 || users == 0 {
        return pack(Told::Changing as u32, 0);
    }
    named(Told::Glibc as u32, owner)
}

/// A mutex with its owner in the word: glibc's robust one, or musl's. musl's plain one has a constant there.
#[inline(always)]
const fn of_word(words: &[u32; WORDS], before: u32, shared: bool) -> u32 {
    let [word, next, owner, users, kind] = *words;
    let tid = word & TID_MASK;
    if kind & ROBUST != 0
        && kind & !(CHECKS | ROBUST | PROCESS_SHARED | ELISION) == 0
        && owner == tid
        && users <= USERS_MOST
    {
        return named(Told::GlibcRobust as u32, tid);
    }
    let musl = before & MUSL_KEEPS_OWNER != 0 && before & !MUSL_TYPES == 0;
    // There, `next` is how many wait.
    if musl
        && (before & PROCESS_SHARED != 0) == shared
        && next >= 1
        && next <= USERS_MOST
        && word & WAITERS != 0
    {
        return named(Told::Musl as u32, tid);
    }
    pack(Told::NoOwner as u32, 0)
}

/// Who holds a lock.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Holder {
    /// Process; 0: nobody is named.
    pub tgid: u32,
    /// Thread; where nobody is named, the number that the lock keeps, in a pid namespace of its own.
    pub tid: u32,
    /// Index of [`Told`].
    pub told: u32,
    /// 1: it was ending.
    pub ending: u32,
    /// The thread's name, NUL padded, as two words.
    pub comm: [u64; 2],
}
crate::shared_record!(Holder, 32);

/// Key of the long waits of a process for one lock and holder.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HeldKey {
    /// Process that waited.
    pub tgid: u32,
    /// The one writer of this row, see [`crate::writer`].
    pub writer: u32,
    /// Address of the lock's futex; 0 where that could not be read, and where nobody is named.
    pub lock: u64,
    /// Who held it when the wait began.
    pub holder: Holder,
}
crate::shared_record!(HeldKey, 48);

/// Long waits for one lock and holder.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct HeldRow {
    /// Waits.
    pub waits: u64,
    /// Sum of waits, ns.
    pub total_ns: u64,
    /// Longest wait, ns.
    pub max_ns: u64,
    /// Waits that the holder ended.
    pub ended_by_holder: u64,
}
crate::shared_record!(HeldRow, 32);

#[cfg(test)]
mod tests {
    use super::*;

    const fn asked(operation: u32, value: u32, timed: u32) -> Asked {
        Asked { operation, value, timed }
    }

    fn told(asked: &Asked, words: [u32; WORDS], before: u32) -> (Told, u32) {
        let (told, tid) = unpack(owner(asked, &words, before) & !SHARED);
        (Told::ALL[told as usize], tid)
    }

    #[test]
    fn a_reason_is_its_position_in_the_list() {
        for (index, told) in Told::ALL.iter().enumerate() {
            assert_eq!(*told as usize, index);
            assert_eq!(names_thread(index as u32), told.unknown().is_none());
            assert_eq!(unpack(pack(index as u32, 4_194_303)), (index as u32, 4_194_303));
        }
    }

    #[test]
    fn each_mutex_of_glibc_names_its_owner() {
        let plain = asked(WAIT | PRIVATE, 2, 0);
        for kind in [0, 2, 3, 256, 512] {
            assert_eq!(told(&plain, [2, 0, 77, 1, kind], 0), (Told::Glibc, 77));
        }
        assert_eq!(told(&plain, [2, 3, 77, 1, RECURSIVE], 0), (Told::Glibc, 77));
        assert_eq!(told(&asked(WAIT, 2, 0), [2, 0, 77, 1, PROCESS_SHARED], 0), (Told::Glibc, 77));
        let timed = asked(WAIT_BITSET | PRIVATE | 256, 2, 1);
        assert_eq!(told(&timed, [2, 0, 77, 1, 0], 0), (Told::Glibc, 77));
        let robust = asked(WAIT, WAITERS | 77, 0);
        assert_eq!(told(&robust, [WAITERS | 77, 0, 77, 1, ROBUST], 0), (Told::GlibcRobust, 77));
        assert_eq!(told(&robust, [WAITERS | 77, 0, 77, 1, ROBUST | 512], 0), (Told::GlibcRobust, 77));
        // The word's value when the wait began may be another owner's.
        assert_eq!(told(&robust, [WAITERS | 78, 0, 78, 1, ROBUST], 0), (Told::GlibcRobust, 78));
        let inherits = asked(LOCK_PI | PRIVATE, 0, 0);
        assert_eq!(told(&inherits, [WAITERS | 77, 0, 0, 0, 0], 0), (Told::Priority, 77));
    }

    #[test]
    fn musl_keeps_the_owner_of_all_but_plain_mutexes() {
        let wait = asked(WAIT | PRIVATE, WAITERS | 77, 0);
        for kind in [1, 2, 4, 5, 6] {
            assert_eq!(told(&wait, [WAITERS | 77, 1, 0, 0, 0], kind), (Told::Musl, 77), "{kind}");
        }
        let shared = asked(WAIT, WAITERS | 77, 0);
        assert_eq!(told(&shared, [WAITERS | 77, 1, 0, 0, 0], PROCESS_SHARED | 2), (Told::Musl, 77));
        // EBUSY, no owner.
        let plain = asked(WAIT | PRIVATE, WAITERS | 16, 0);
        assert_eq!(told(&plain, [WAITERS | 16, 1, 0, 0, 0], 0).0, Told::NoOwner);
    }

    #[test]
    fn what_keeps_no_owner_names_none() {
        let none = [
            // Rust's mutex, a semaphore, Go's lock with a pointer behind it, stdio's lock, a lock shared otherwise than its kind.
            (asked(WAIT_BITSET | PRIVATE, 2, 0), [2, 0, 77, 1, 0]),
            (asked(WAIT_BITSET | PRIVATE | 256, 0, 1), [0, 0, 77, 1, 0]),
            (asked(WAIT | PRIVATE, 2, 0), [2, 0xc000, 77, 1, 0]),
            (asked(WAIT | PRIVATE, 2, 0), [2, 0, 0x4a00, 0x7f12, 0]),
            (asked(WAIT | PRIVATE, 2, 0), [2, 0, 77, 1, PROCESS_SHARED]),
            (asked(WAIT | PRIVATE, 2, 0), [2, 0, 77, 1, 4096]),
            (asked(WAIT | PRIVATE, 2, 0), [2, 0, 1 << 22, 1, 0]),
            // A reader-writer lock of Rust: one reader, and writers that wait.
            (asked(WAIT_BITSET | PRIVATE, WAITERS | 1, 0), [WAITERS | 1, 5, 0, 0, 0]),
            // A condition, requeued.
            (asked(11 | PRIVATE, 77, 0), [77, 0, 77, 1, 0]),
        ];
        for (asked, words) in none {
            assert_eq!(told(&asked, words, 0).0, Told::NoOwner, "{asked:?} {words:?}");
        }
        let changing = asked(WAIT | PRIVATE, 2, 0);
        for words in [[0, 0, 0, 0, 0], [2, 0, 0, 0, 0], [1, 0, 77, 1, 0]] {
            assert_eq!(told(&changing, words, 0).0, Told::Changing, "{words:?}");
        }
        assert_eq!(told(&asked(LOCK_PI, 0, 0), [0; WORDS], 0).0, Told::Changing);
    }
}
