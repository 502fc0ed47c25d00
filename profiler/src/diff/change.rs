//! What moved.
//!
//! In: two sides, whose slices were read for the same subjects. Out: for each subject and quantity what it
//! was, what it is, and a verdict: a difference, or a change too small to be seen.

use std::collections::BTreeMap;

use super::measure::{Quantity, Scale, events, value};
use super::side::Side;
use super::statistics::{Test, chance, significant};
use super::subject::{Amount, Kind, Subject};

/// Subjects of one kind that are compared; the others are counted.
const PER_KIND: usize = 200;

/// What became of a quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is more than before.
    More,
    /// It is less than before.
    Less,
    /// It is there only after.
    New,
    /// It was there only before.
    Gone,
    /// No difference that would have been seen.
    Same,
    /// Too few slices have it.
    TooFew,
}

impl Verdict {
    /// Its name in outputs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::More => "more",
            Self::Less => "less",
            Self::New => "new",
            Self::Gone => "gone",
            Self::Same => "no difference",
            Self::TooFew => "too few to tell",
        }
    }

    /// Whether something moved.
    pub const fn is_change(self) -> bool {
        !matches!(self, Self::Same | Self::TooFew)
    }
}

/// One quantity of one subject.
#[derive(Clone, Debug)]
pub struct Change {
    /// Of what.
    pub subject: Subject,
    /// Which.
    pub quantity: Quantity,
    /// Before, in ns for times of an event, else a second; none without an event.
    pub before: Option<f64>,
    /// After.
    pub after: Option<f64>,
    /// What became of it.
    pub verdict: Verdict,
    /// The smallest change that would have been seen, as a part of what was before; none where that cannot be said.
    pub floor: Option<f64>,
    /// What it weighs, for the order: time or events a second, the larger of both sides.
    pub weight: f64,
}

impl Change {
    /// The change as a part of what was before; none if nothing was.
    pub fn part(&self) -> Option<f64> {
        let (before, after) = (self.before?, self.after?);
        (before > 0.0).then(|| after / before - 1.0)
    }
}

/// The difference of two sides.
#[derive(Debug)]
pub struct Difference {
    /// The side before.
    pub before: Side,
    /// The side after.
    pub after: Side,
    /// All changes, the heaviest first.
    pub changes: Vec<Change>,
    /// Subjects by kind that were too light to be compared.
    pub left_out: BTreeMap<Kind, usize>,
    /// Comparisons that were made.
    pub comparisons: usize,
    rows: BTreeMap<Subject, usize>,
}

/// The subjects of both sides that are compared, with their rows, and how many of each kind are not.
pub fn subjects(before: &Side, after: &Side) -> (BTreeMap<Subject, usize>, BTreeMap<Kind, usize>) {
    let mut weights: BTreeMap<&Subject, u64> = BTreeMap::new();
    for (subject, amount) in before.sums.iter().chain(&after.sums) {
        let weight = weights.entry(subject).or_default();
        *weight = weight.saturating_add(weigh(subject.kind, amount));
    }
    let mut order: Vec<_> = weights.into_iter().collect();
    order.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
    let (mut taken, mut rows, mut left_out) =
        (BTreeMap::<Kind, usize>::new(), BTreeMap::new(), BTreeMap::new());
    for (subject, _) in order {
        let of_kind = taken.entry(subject.kind).or_default();
        if *of_kind < PER_KIND {
            *of_kind += 1;
            rows.insert(subject.clone(), rows.len());
        } else {
            *left_out.entry(subject.kind).or_default() += 1;
        }
    }
    (rows, left_out)
}

fn weigh(kind: Kind, amount: &Amount) -> u64 {
    if kind.has_times() { amount.times.total_ns } else { amount.events }
}

/// The quantities that are compared of a kind.
const fn quantities(kind: Kind) -> &'static [Quantity] {
    match kind {
        Kind::Call => &[Quantity::Usual, Quantity::Rate, Quantity::SlowRate],
        Kind::Lock | Kind::Hook | Kind::Queue => &[Quantity::Usual, Quantity::Rate],
        Kind::Cpu | Kind::Counter => &[Quantity::Rate],
    }
}

impl Difference {
    /// Compares two sides whose slices were read for `rows`.
    pub fn new(
        before: Side,
        after: Side,
        rows: BTreeMap<Subject, usize>,
        left_out: BTreeMap<Kind, usize>,
    ) -> Self {
        let mut difference = Self { before, after, changes: Vec::new(), left_out, comparisons: 0, rows };
        let mut compared = Vec::new();
        for subject in difference.rows.keys() {
            for quantity in quantities(subject.kind) {
                compared.push(difference.measured(subject, std::slice::from_ref(subject), *quantity));
            }
        }
        let tests: Vec<f64> =
            compared.iter().filter_map(|own| own.test.map(|test| test.probability)).collect();
        difference.comparisons = tests.len();
        let mut counts = significant(&tests).into_iter();
        let mut changes: Vec<Change> = compared
            .into_iter()
            .map(|own| {
                let counts = own.test.is_some() && counts.next().unwrap_or(false);
                own.judged(counts, tests.len())
            })
            .filter(|change| change.before.unwrap_or(0.0) > 0.0 || change.after.unwrap_or(0.0) > 0.0)
            .collect();
        changes.sort_by(|a, b| {
            a.subject
                .kind
                .cmp(&b.subject.kind)
                .then(b.weight.total_cmp(&a.weight))
                .then_with(|| a.subject.cmp(&b.subject))
        });
        difference.changes = changes;
        difference
    }

    /// What became of one quantity of all subjects of a name, of the first kind that has one; none if there is no such name.
    pub fn of_name(&self, name: &str, quantity: Quantity) -> Option<Change> {
        let named: Vec<&Subject> = self.rows.keys().filter(|subject| subject.name == name).collect();
        let kind = named.first()?.kind;
        let subjects: Vec<Subject> =
            named.into_iter().filter(|subject| subject.kind == kind).cloned().collect();
        let of = Subject { kind, who: String::new(), name: name.to_owned(), detail: String::new() };
        let measured = self.measured(&of, &subjects, quantity);
        // One comparison, asked for by name: no other can be the false alarm.
        let counts = measured.test.is_some_and(|test| test.probability <= super::statistics::ALPHA);
        Some(measured.judged(counts, 1))
    }

    fn measured(&self, of: &Subject, subjects: &[Subject], quantity: Quantity) -> Measured {
        let rows: Vec<usize> =
            subjects.iter().filter_map(|subject| self.rows.get(subject).copied()).collect();
        let total = |side: &Side| {
            let mut sum = Amount::default();
            subjects.iter().filter_map(|subject| side.sums.get(subject)).for_each(|amount| sum.add(amount));
            sum
        };
        let (before, after) = (total(&self.before), total(&self.after));
        let slow_ns = self.before.profile.header.slow_ns.max(self.after.profile.header.slow_ns);
        let scale = Scale::new(&before.times, &after.times, slow_ns);
        let series = |side: &Side| -> Vec<f64> {
            let slices = side.slices.of(&rows);
            let values =
                slices.iter().filter_map(|(amount, seconds)| value(quantity, amount, *seconds, scale));
            if quantity.is_time_of_event() {
                values.map(|value| value.max(1.0).ln()).collect()
            } else {
                values.collect()
            }
        };
        let seconds = (self.before.seconds(), self.after.seconds());
        let chance = if quantity.is_time_of_event() {
            0.0
        } else {
            chance(
                (events(quantity, &before, scale), seconds.0),
                (events(quantity, &after, scale), seconds.1),
            )
        };
        let weight =
            |amount: &Amount, seconds: f64| weigh(of.kind, amount) as f64 / seconds.max(f64::MIN_POSITIVE);
        Measured {
            subject: of.clone(),
            quantity,
            before: value(quantity, &before, seconds.0, scale),
            after: value(quantity, &after, seconds.1, scale),
            test: Test::of(&series(&self.before), &series(&self.after)),
            chance: if quantity == Quantity::Time { 0.0 } else { chance },
            weight: weight(&before, seconds.0).max(weight(&after, seconds.1)),
        }
    }
}

/// A quantity before it is judged.
struct Measured {
    subject: Subject,
    quantity: Quantity,
    before: Option<f64>,
    after: Option<f64>,
    test: Option<Test>,
    /// What the number of events may differ by, by chance.
    chance: f64,
    weight: f64,
}

impl Measured {
    fn judged(self, counts: bool, comparisons: usize) -> Change {
        let Self { subject, quantity, before, after, test, chance, weight } = self;
        let (was, is) = (before.unwrap_or(0.0), after.unwrap_or(0.0));
        let verdict = match test {
            None => Verdict::TooFew,
            Some(test) if counts && test.exceeds_drift() && test.difference.abs() > chance => {
                match (was > 0.0, is > 0.0) {
                    (false, true) => Verdict::New,
                    (true, false) => Verdict::Gone,
                    _ if test.difference > 0.0 => Verdict::More,
                    _ => Verdict::Less,
                }
            }
            Some(_) => Verdict::Same,
        };
        let floor = test.and_then(|test| {
            let floor = test.floor(comparisons).max(chance);
            if quantity.is_time_of_event() {
                Some(floor.exp() - 1.0)
            } else {
                (was > 0.0).then(|| floor / was)
            }
        });
        let floor = floor.filter(|floor| floor.is_finite());
        Change { subject, quantity, before, after, verdict, floor, weight }
    }
}
