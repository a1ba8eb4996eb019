use proptest::prelude::*;

use super::super::configs::ScoredRun;
use super::super::repeats::Folds;
use super::*;

/// Numbers that look random and are the same each time.
struct Draw(u64);

impl Draw {
    fn uniform(&mut self) -> f64 {
        // SplitMix64 (Steele, Lea, Flood 2014).
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (((z ^ (z >> 31)) >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

fn run(config: usize, seed: usize, score: f64) -> ScoredRun {
    ScoredRun {
        run_id: format!("{config}-{seed}"),
        config_id: format!("c{config:03}"),
        feature_set: None,
        n_features: None,
        block: 0,
        score,
        of: super::super::scores::ScoreOf::Last,
        repeat: format!("seed {seed}"),
        seed: format!("seed {seed}"),
        fold: None,
        folds: BTreeMap::new(),
    }
}

fn side(runs: impl IntoIterator<Item = ScoredRun>) -> BTreeMap<String, Repeats> {
    let mut side: BTreeMap<String, Repeats> = BTreeMap::new();
    runs.into_iter().for_each(|run| side.entry(run.config_id.clone()).or_default().add(&run));
    side
}

/// How often groups that do not differ are called different at 5 %.
fn false_alarms(mut compare: impl FnMut(&mut Draw) -> Comparison) -> f64 {
    let mut draw = Draw(7);
    let times = 2000;
    let found = (0..times).filter(|_| compare(&mut draw).p.expect("there is enough") < 0.05).count();
    found as f64 / times as f64
}

// 5 % of 2,000 is 100, with a standard deviation of 10.
const AT_MOST: f64 = 0.065;

#[test]
fn groups_that_do_not_differ_are_called_different_at_most_five_times_in_a_hundred() {
    // Configs that both sides hold, of very different worth, five seeds each.
    let shared = false_alarms(|draw| {
        let worth: Vec<f64> = (0..8).map(|_| draw.normal()).collect();
        let mut side_of = || {
            side(
                (0..8)
                    .flat_map(|c| (0..5).map(move |s| (c, s)))
                    .map(|(c, s)| run(c, s, worth[c] + 0.1 * draw.normal())),
            )
        };
        of_groups(&[Sides { dataset: 0, a: side_of(), b: side_of() }])
    });
    // Other configs on each side. As runs they are 30 against 30, of which five each are one thing measured five times.
    let apart = false_alarms(|draw| {
        let mut side_of = |first: usize| {
            let mut runs = Vec::new();
            for config in first..first + 6 {
                let worth = draw.normal();
                runs.extend((0..5).map(|seed| run(config, seed, worth + 0.1 * draw.normal())));
            }
            side(runs)
        };
        of_groups(&[Sides { dataset: 0, a: side_of(0), b: side_of(6) }])
    });
    // Data sets that disagree about which side is better, many configs in each.
    let datasets = false_alarms(|draw| {
        let blocks: Vec<Sides> = (0..8)
            .map(|dataset| {
                let (level, lean) = (draw.normal(), 0.1 * draw.normal());
                let mut side_of =
                    |lean: f64| side((0..20).map(|config| run(config, 0, level + lean + 0.02 * draw.normal())));
                Sides { dataset, a: side_of(lean), b: side_of(0.0) }
            })
            .collect();
        of_groups(&blocks)
    });
    // Ten folds of one data set. Models share nine tenths of their rows, so their differences lean together, by as much as
    // Nadeau and Bengio assume: correlation 1/k.
    let folds = false_alarms(|draw| {
        let lean = draw.normal();
        let mut fold_of = |lean: f64| {
            let values =
                (0..10).map(|fold| (fold.to_string(), (0.1f64).sqrt() * lean + (0.9f64).sqrt() * draw.normal()));
            let folds: BTreeMap<String, f64> = values.collect();
            let score = folds.values().sum::<f64>() / 10.0;
            Repeats { scores: vec![score], seeds: BTreeMap::from([(String::new(), each(folds))]) }
        };
        let other: BTreeMap<String, f64> = (0..10).map(|fold| (fold.to_string(), 0.0)).collect();
        let other = Repeats { scores: vec![0.0], seeds: BTreeMap::from([(String::new(), each(other))]) };
        of_configs(&[(&fold_of(lean), &other)])
    });
    for (what, rate) in [("shared", shared), ("apart", apart), ("data sets", datasets), ("folds", folds)] {
        assert!((0.03..=AT_MOST).contains(&rate), "{what}: {rate}");
    }
}

fn each(folds: BTreeMap<String, f64>) -> Folds {
    folds.into_iter().map(|(fold, value)| (fold, vec![value])).collect()
}

#[test]
fn a_true_difference_of_a_hundredth_over_five_seeds_is_found() {
    let mut found = 0;
    for seed in 0..200 {
        let mut draw = Draw(seed);
        // What a seed does to both sides is larger than what they differ by.
        let shift: Vec<f64> = (0..5).map(|_| 0.02 * draw.normal()).collect();
        let mut side_of = |config: usize, gain: f64| {
            side((0..5).map(|seed| run(config, seed, 0.9 + gain + shift[seed] + 0.002 * draw.normal())))
        };
        let (a, b) = (side_of(0, 0.01), side_of(1, 0.0));
        let compared = of_groups(&[Sides { dataset: 0, a, b }]);
        assert_eq!((compared.paired_by, compared.pairs, compared.test), (Some(PairedBy::Seed), 5, Some("paired t")));
        assert!((compared.difference.unwrap() - 0.01).abs() < 0.006, "{compared:?}");
        found += usize::from(compared.p.unwrap() < 0.05 && compared.is_better(Goal::Max) == Some(true));
    }
    assert!(found >= 195, "{found} of 200");
}

#[test]
fn a_reversal_across_data_sets_comes_out_right() {
    // On every data set a is better by 0.02, but most of its runs are on the hard one.
    let mut draw = Draw(1);
    let mut blocks = Vec::new();
    let (mut all_a, mut all_b) = (Vec::new(), Vec::new());
    for (dataset, (level, n_a, n_b)) in [(0.6, 40, 10), (0.75, 20, 20), (0.9, 10, 40)].into_iter().enumerate() {
        let mut side_of = |first: usize, n: usize, gain: f64, all: &mut Vec<f64>| {
            let runs: Vec<ScoredRun> =
                (first..first + n).map(|config| run(config, 0, level + gain + 0.005 * draw.normal())).collect();
            all.extend(runs.iter().map(|run| run.score));
            side(runs)
        };
        let (a, b) = (side_of(0, n_a, 0.02, &mut all_a), side_of(500, n_b, 0.0, &mut all_b));
        blocks.push(Sides { dataset, a, b });
    }
    let pooled = welch(&[(all_a, all_b)], LEVEL).unwrap();
    assert!(pooled.mean < -0.05 && pooled.p.unwrap() < 1e-6, "pooled, b is better and sure of it: {pooled:?}");
    let found = of_groups(&blocks);
    assert!((found.difference.unwrap() - 0.02).abs() < 0.005 && found.p.unwrap() < 0.05, "{found:?}");
    assert_eq!((found.wins(Goal::Max), found.wins(Goal::Min)), ((3, 0, 0), (0, 3, 0)));
    assert_eq!((found.paired_by, found.datasets, found.runs), (Some(PairedBy::DataSet), 3, (70, 70)));
}

#[test]
fn what_pairs_decides_the_test() {
    let a = |configs: std::ops::Range<usize>, seeds: std::ops::Range<usize>| {
        side(configs.flat_map(|c| seeds.clone().map(move |s| run(c, s, (c * 10 + s * s) as f64))))
    };
    let of = |a, b| {
        let found = of_groups(&[Sides { dataset: 0, a, b }]);
        (found.paired_by, found.pairs, found.test, found.configs, found.runs)
    };
    assert_eq!(of(a(0..4, 0..2), a(2..6, 0..3)), (Some(PairedBy::Config), 2, None, (2, 2), (4, 6)).with("paired t"));
    assert_eq!(of(a(0..1, 0..3), a(0..1, 1..4)), (Some(PairedBy::Seed), 2, None, (1, 1), (3, 3)).with("paired t"));
    assert_eq!(of(a(0..1, 0..3), a(7..8, 1..4)), (Some(PairedBy::Seed), 2, None, (1, 1), (3, 3)).with("paired t"));
    assert_eq!(of(a(0..2, 0..3), a(7..9, 0..3)), (None, 0, None, (2, 2), (6, 6)).with("Welch t"));
    assert_eq!(of(a(0..2, 0..3), a(7..8, 0..3)), (None, 0, None, (2, 1), (6, 3)));
}

trait With {
    fn with(self, test: &'static str) -> Self;
}

impl<A, B, C, D> With for (A, B, Option<&'static str>, C, D) {
    fn with(self, test: &'static str) -> Self {
        (self.0, self.1, Some(test), self.3, self.4)
    }
}

#[test]
fn too_little_has_a_difference_and_a_reason() {
    let one = |config, score| side([run(config, 0, score)]);
    let found = of_groups(&[Sides { dataset: 0, a: one(0, 2.0), b: one(1, 1.0) }]);
    assert_eq!((found.difference, found.p, found.interval, found.test), (Some(1.0), None, None, None));
    assert_eq!(found.reason, Some("one run on each side"));
    let found = of_groups(&[Sides { dataset: 0, a: one(0, 2.0), b: BTreeMap::new() }]);
    assert_eq!((found.difference, found.reason), (None, Some("no block holds runs of both groups")));
    // The same each time: neither certain nor nothing.
    let same = |gain: f64| side((0..4).map(|seed| run(0, seed, 0.9 + gain)));
    let found = of_groups(&[Sides { dataset: 0, a: same(0.01), b: same(0.0) }]);
    assert_eq!((found.p, found.interval, found.greater), (None, None, 4));
    assert!(found.reason.is_some());
    let found = of_groups(&[Sides { dataset: 0, a: same(0.0), b: same(0.0) }]);
    assert_eq!((found.p, found.interval, found.pairs, found.greater), (Some(1.0), None, 4, 0));
}

/// Up to four data sets, few configs and seeds, so that all sorts of pairing come up.
fn measurements() -> impl Strategy<Value = Vec<(usize, bool, usize, usize, f64)>> {
    let score = prop_oneof![3 => -1.0..1.0f64, 1 => Just(0.5), 1 => Just(0.0)];
    proptest::collection::vec((0..4usize, any::<bool>(), 0..5usize, 0..3usize, score), 1..60)
}

fn blocks(measured: &[(usize, bool, usize, usize, f64)], turned: bool) -> Vec<Sides> {
    let mut blocks: BTreeMap<usize, Sides> = BTreeMap::new();
    for (dataset, first, config, seed, score) in measured {
        let sides = blocks.entry(*dataset).or_default();
        // Two blocks of one data set now and then.
        sides.dataset = dataset / 2 + dataset % 2;
        let side = if *first != turned { &mut sides.a } else { &mut sides.b };
        let run = run(*config, *seed, *score);
        side.entry(run.config_id.clone()).or_default().add(&run);
    }
    blocks.into_values().collect()
}

proptest! {
    #[test]
    fn exchanging_the_groups_turns_the_sign_and_nothing_else(measured in measurements()) {
        let (there, back) = (of_groups(&blocks(&measured, false)), of_groups(&blocks(&measured, true)));
        let near = |a: Option<f64>, b: Option<f64>| match (a, b) {
            (Some(a), Some(b)) => (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1e-3),
            (a, b) => a == b,
        };
        prop_assert!(near(there.difference, back.difference.map(|d| -d)), "{there:?} {back:?}");
        prop_assert!(near(there.interval.map(|i| i.0), back.interval.map(|i| -i.1)), "{there:?} {back:?}");
        prop_assert!(near(there.interval.map(|i| i.1), back.interval.map(|i| -i.0)), "{there:?} {back:?}");
        prop_assert!(near(there.mean_a, back.mean_b) && near(there.mean_b, back.mean_a), "{there:?} {back:?}");
        prop_assert!(near(there.p, back.p) && near(there.std_error, back.std_error), "{there:?} {back:?}");
        if there.paired_by.is_some() {
            prop_assert_eq!(there.difference, back.difference.map(|d| -d));
            prop_assert_eq!(there.p, back.p);
        }
        prop_assert_eq!(there.test, back.test);
        prop_assert_eq!((there.greater, there.smaller, there.pairs), (back.smaller, back.greater, back.pairs));
        prop_assert_eq!((there.paired_by, there.reason), (back.paired_by, back.reason));
        prop_assert_eq!((there.blocks, there.datasets), (back.blocks, back.datasets));
        prop_assert_eq!((there.runs, there.configs), ((back.runs.1, back.runs.0), (back.configs.1, back.configs.0)));
        for number in [there.difference, there.std_error, there.p].into_iter().flatten() {
            prop_assert!(number.is_finite());
        }
        if let Some((low, high)) = there.interval {
            prop_assert!(low <= there.difference.unwrap() && there.difference.unwrap() <= high);
        }
        prop_assert!(there.reason.is_some() || there.interval.is_some());
    }
}
