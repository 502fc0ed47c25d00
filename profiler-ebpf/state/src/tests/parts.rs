//! Parts that are made to add up, against what must hold of them.

use profiler_common::part::{PARTS, Part};
use profiler_common::wait::Wait;

use super::{Random, new_thread};

#[test]
fn settled_parts_add_up_to_the_wall_time() {
    let (mut implausible, mut late) = (0, 0);
    for seed in 0..20_000 {
        let (mut random, thread) = (Random::new(seed), new_thread());
        let parts = &thread.parts;
        let given: [u64; PARTS] =
            core::array::from_fn(
                |part| if part == Part::Unaccounted as usize { 0 } else { random.below(100) },
            );
        given.iter().zip(&parts.ns).for_each(|(ns, part)| part.set(*ns));
        let wall_ns = random.below(1_000);
        let plausible = parts.settle(wall_ns);
        let found: [u64; PARTS] = core::array::from_fn(|part| parts.ns[part].get());
        assert_eq!(found.iter().sum::<u64>(), wall_ns, "seed {seed}: {given:?} in {wall_ns}");
        let of = |parts: &[u64; PARTS], part: Part| parts[part as usize];
        if plausible {
            let others = of(&given, Part::Spin) + of(&given, Part::Irq);
            assert_eq!(of(&found, Part::OnCpu), of(&given, Part::OnCpu).saturating_sub(others));
            for part in Part::ALL {
                let changed = matches!(part, Part::OnCpu | Part::Irq | Part::Unaccounted);
                assert!(changed || of(&found, part) == of(&given, part), "seed {seed}: {part:?}");
            }
            late += u32::from(of(&found, Part::Irq) != of(&given, Part::Irq));
        } else {
            assert_eq!(of(&found, Part::Unaccounted), wall_ns, "seed {seed}");
            implausible += 1;
        }
    }
    assert!(implausible > 1_000 && late > 100, "only {implausible} implausible, {late} late");
}

#[test]
fn every_wait_is_a_part_of_its_own_name() {
    for wait in Wait::ALL {
        let thread = new_thread();
        thread.parts.add_wait(wait as u32, 5);
        let part = match wait {
            Wait::Sleep | Wait::Uninterruptible | Wait::Stopped => Part::Sleep,
            Wait::Lock => Part::LockSleep,
            Wait::Woken => Part::Woken,
            Wait::Preempted => Part::Preempted,
            Wait::Throttled => Part::Throttled,
        };
        for other in Part::ALL {
            let expected = if other == part { 5 } else { 0 };
            assert_eq!(thread.parts.ns[other as usize].get(), expected, "{wait:?}: {other:?}");
        }
    }
}
