//! Latency buckets: log-linear, eight to an octave, so a bucket is at most 12.5 % wide.
//!
//! In: a duration in ns. Out: an octave (the map key's part) and a slot inside it.
//! Octave 0 holds 0..8 ns exactly; octave `n` holds `2^(n+2) .. 2^(n+3)` ns in eight equal slots.

/// Slots in an octave.
pub const SLOTS: usize = 8;
/// Number of octaves. The last one has no upper bound: greater values are clamped into it.
pub const OCTAVES: u8 = 42;

/// The octave that `ns` falls in.
#[inline(always)]
pub const fn octave(ns: u64) -> u8 {
    if ns < SLOTS as u64 {
        return 0;
    }
    let octave = log2(ns) - 2;
    if octave >= OCTAVES { OCTAVES - 1 } else { octave }
}

/// Position of the highest bit of a value that is not 0. BPF has no instruction for it, and the
/// compiler makes some thirty instructions of `leading_zeros`. The branches here are mostly the same from call to
/// call, so the processor predicts them.
#[inline(always)]
const fn log2(value: u64) -> u8 {
    let (mut rest, mut bit) = (value, 0);
    if rest >= 1 << 32 {
        rest >>= 32;
        bit += 32;
    }
    if rest >= 1 << 16 {
        rest >>= 16;
        bit += 16;
    }
    if rest >= 1 << 8 {
        rest >>= 8;
        bit += 8;
    }
    if rest >= 1 << 4 {
        rest >>= 4;
        bit += 4;
    }
    if rest >= 1 << 2 {
        rest >>= 2;
        bit += 2;
    }
    if rest >= 2 {
        bit += 1;
    }
    bit
}

/// The slot of `ns` inside its octave, below [`SLOTS`].
#[inline(always)]
pub const fn slot(ns: u64) -> usize {
    slot_in(octave(ns), ns)
}

/// The slot of `ns` inside an octave that is known to be its own, below [`SLOTS`].
#[inline(always)]
pub const fn slot_in(octave: u8, ns: u64) -> usize {
    if octave == 0 {
        return (ns & 7) as usize;
    }
    ((ns >> ((octave - 1) & 63)) & 7) as usize
}

/// Octave and slot as one number.
#[inline(always)]
pub const fn bucket(ns: u64) -> u32 {
    octave(ns) as u32 * SLOTS as u32 + slot(ns) as u32
}

/// The octave and the slot of such a number.
#[inline(always)]
pub const fn bucket_at(bucket: u32) -> (u32, usize) {
    (bucket / SLOTS as u32, bucket as usize % SLOTS)
}

/// Those of the first times. A time that is shifted right by whole octaves, and is not below eight then, has the same slot.
pub const fn bucket_table() -> [u8; 256] {
    let (mut table, mut ns) = ([0; 256], 0);
    while ns < 256 {
        table[ns] = bucket(ns as u64) as u8;
        ns += 1;
    }
    table
}

/// The half-open range of ns `[low, high)` that a slot of an octave covers.
pub const fn range_ns(octave: u8, slot: usize) -> (u64, u64) {
    if octave == 0 {
        return (slot as u64, slot as u64 + 1);
    }
    let width = 1u64 << (octave - 1);
    let low = (SLOTS as u64 + slot as u64) * width;
    (low, low + width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_its_range_and_buckets_are_narrow() {
        let mut ns = 0u64;
        while ns < 1 << 43 {
            let (low, high) = range_ns(octave(ns), slot(ns));
            assert!(low <= ns && ns < high, "{ns} outside {low}..{high}");
            assert!(ns < 8 || (high - low) * 8 <= low, "{ns}: {low}..{high} too wide");
            ns += ns / 97 + 1;
        }
    }

    #[test]
    fn the_table_has_the_buckets_of_longer_times_too() {
        let table = bucket_table();
        for ns in (0..0x2000u64).chain((0x2000..0x4_0000).step_by(7)) {
            let octaves = if ns < 0x100 {
                0
            } else if ns < 0x2000 {
                5
            } else {
                10
            };
            let short = u32::from(table[(ns >> octaves) as usize]);
            assert_eq!(short + octaves * SLOTS as u32, bucket(ns), "{ns}");
            assert_eq!(bucket_at(bucket(ns)), (u32::from(octave(ns)), slot(ns)));
        }
    }

    #[test]
    fn the_highest_bit_is_found() {
        for bit in 0..64 {
            for value in [1u64 << bit, (1 << bit) | (1 << (bit / 2)), u64::MAX >> (63 - bit)] {
                assert_eq!(u32::from(log2(value)), value.ilog2(), "{value:#x}");
            }
        }
    }

    #[test]
    fn what_is_longer_than_the_last_octave_stays_in_it() {
        assert_eq!(octave(u64::MAX), OCTAVES - 1);
        assert!(slot(u64::MAX) < SLOTS);
    }
}
