//! The longest calls or requests one by one: a table of fixed size, in which a longer one takes the place of
//! the shortest.
//!
//! In: such a table. Out: the place of the shortest in it.

use aya_ebpf::macros::map;
use aya_ebpf::maps::Array;

/// What is kept if it is long.
pub trait Long {
    /// How long it is, ns.
    fn ns(&self) -> u64;
}

/// Zero. Nobody writes it, but user space could: so the verifier cannot tell.
#[map]
static ZERO: Array<u32> = Array::with_max_entries(1, 0);

/// The place of the shortest. `N` is a power of two.
#[inline(always)]
pub fn shortest<T: Long, const N: usize>(kept: &[T; N]) -> usize {
    let mut place = 0;
    for index in 1..N as u32 {
        place = shorter(kept, place, index);
    }
    unknown(place) as usize & (N - 1)
}

/// The place of the shorter of two. A function of its own: the compiler makes a copy of each on the stack of what it can see
/// through.
#[inline(never)]
fn shorter<T: Long, const N: usize>(kept: &[T; N], one: u32, other: u32) -> u32 {
    let ns = |place: u32| kept[place as usize & (N - 1)].ns();
    if ns(other) < ns(one) { other } else { one }
}

/// The same number, which the verifier does not know any more: it would walk what follows once for each place.
#[inline(always)]
fn unknown(number: u32) -> u32 {
    let Some(zero) = ZERO.get_ptr(0) else { return 0 };
    // SAFETY: a word of a map that lives as long as the program.
    number.wrapping_add(unsafe { zero.read_volatile() })
}
