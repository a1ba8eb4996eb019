use super::*;

fn bits(rows: &[u8]) -> Bits {
    let mut bits = Bits::zeros(rows.len());
    rows.iter().enumerate().filter(|(_, one)| **one == 1).for_each(|(row, _)| bits.set(row));
    bits
}

const VALUES: [f64; 12] = [0.61, 0.72, 0.65, 0.80, 0.77, 0.58, 0.31, 0.45, 0.52, 0.40, 0.38, 0.49];
const A: [u8; 12] = [0, 1, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1];
const B: [u8; 12] = [0, 0, 1, 1, 0, 1, 1, 0, 1, 1, 0, 0];
const C: [u8; 12] = [1, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 1];

fn known(column: &Column) -> Coefficient {
    match column {
        Column::Known(coefficient) => *coefficient,
        other => panic!("{other:?}"),
    }
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-12
}

#[test]
fn coefficients_are_those_of_statsmodels() {
    // OLS(y, [two dummies of blocks, a, b, c]).fit(cov_type="HC3", use_t=True).
    let fit = least_squares(&VALUES, &[6, 6], &[bits(&A), bits(&B), bits(&C)], 0.95);
    let expected = [
        (0.12857142857142875, 0.03340496095274147, 0.006301643019710368),
        (0.016190476190476102, 0.03304292878026277, 0.6391283593065394),
        (0.04047619047619058, 0.027021532049208118, 0.17782353974320456),
    ];
    for (column, (effect, error, p)) in fit.iter().zip(expected) {
        let found = known(column);
        let certainty = found.certainty.unwrap();
        assert!(near(found.effect, effect) && near(certainty.std_error, error), "{found:?}");
        assert!((certainty.p - p).abs() < 1e-10, "{found:?}");
    }
    let (low, high) = known(&fit[0]).certainty.unwrap().interval;
    assert!((low - 0.04958125).abs() < 1e-8 && (high - 0.20756161).abs() < 1e-8, "{low} {high}");
}

#[test]
fn a_column_twice_leaves_the_others_as_they_were() {
    let plain = least_squares(&VALUES, &[6, 6], &[bits(&A), bits(&B), bits(&C)], 0.95);
    let not_b: Vec<u8> = B.iter().map(|b| 1 - b).collect();
    let fit = least_squares(&VALUES, &[6, 6], &[bits(&A), bits(&B), bits(&C), bits(&not_b), bits(&[1; 12])], 0.95);
    assert_eq!(fit[1], Column::Aliased(vec![3]));
    assert_eq!(fit[3], Column::Aliased(vec![1]));
    assert_eq!(fit[4], Column::Constant);
    for i in [0, 2] {
        let (found, plain) = (known(&fit[i]), known(&plain[i]));
        assert!(near(found.effect, plain.effect), "{found:?} {plain:?}");
        assert!(near(found.certainty.unwrap().std_error, plain.certainty.unwrap().std_error));
    }
}

#[test]
fn a_row_that_stands_alone_decides_its_column_and_no_other() {
    let mut alone = [0; 12];
    alone[3] = 1;
    let fit = least_squares(&VALUES, &[6, 6], &[bits(&A), bits(&alone)], 0.95);
    assert_eq!(known(&fit[1]).certainty, Err(Unsure::OneRow));
    // The same without that row and that column.
    let rows = (0..12).filter(|row| *row != 3);
    let (values, a): (Vec<f64>, Vec<u8>) = rows.map(|row| (VALUES[row], A[row])).unzip();
    let without = known(&least_squares(&values, &[5, 6], &[bits(&a)], 0.95)[0]);
    let found = known(&fit[0]);
    assert!(near(found.effect, without.effect), "{found:?} {without:?}");
    let (found, without) = (found.certainty.unwrap(), without.certainty.unwrap());
    assert!(near(found.std_error, without.std_error) && near(found.p, without.p));
}

#[test]
fn what_cannot_be_judged_says_why() {
    let exact: Vec<f64> = A.iter().map(|a| 0.5 + 0.25 * f64::from(*a)).collect();
    let fit = known(&least_squares(&exact, &[12], &[bits(&A)], 0.95)[0]);
    assert!(near(fit.effect, 0.25));
    assert_eq!(fit.certainty, Err(Unsure::NoSpread));
    let two = known(&least_squares(&[0.5, 0.7], &[2], &[bits(&[0, 1])], 0.95)[0]);
    assert!(near(two.effect, 0.2));
    assert_eq!(two.certainty, Err(Unsure::NoFreedom));
    assert_eq!(least_squares(&[0.5, 0.7], &[1, 1], &[bits(&[0, 1])], 0.95), [Column::Constant]);
    assert_eq!(least_squares(&[], &[], &[], 0.95), []);
}

#[test]
fn many_rows_give_the_same_on_any_number_of_threads() {
    // 12 rows, 1,000 times, in one block a time: beyond the size where threads are used with 100 columns.
    let values: Vec<f64> = (0..12_000).map(|i| VALUES[i % 12] + (i / 12 % 7) as f64 * 1e-3).collect();
    let mut state = 7u64;
    let mut column = |_| {
        let mut column = Bits::zeros(values.len());
        for row in 0..values.len() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            if state >> 63 == 1 {
                column.set(row);
            }
        }
        column
    };
    let columns: Vec<Bits> = (0..100).map(&mut column).collect();
    let design = Design::new(&values, &[12_000], columns.iter().collect());
    let solved = design.factor();
    let residuals = design.centred.clone();
    let threaded = design.spread(&solved.kept, &solved.inverse, &residuals);
    let mut sums = vec![Some(0.0); solved.kept.len()];
    for chunk in 0..12_000usize.div_ceil(CHUNK) {
        let part = design.spread_of(chunk, &solved.kept, &solved.inverse, &residuals);
        sums.iter_mut()
            .zip(part)
            .for_each(|(sum, part): (&mut Option<f64>, _)| *sum = sum.zip(part).map(|(a, b)| a + b));
    }
    assert!(solved.kept.len() > 90, "{}", solved.kept.len());
    assert_eq!(threaded, sums);
}

/// Columns without an effect beside columns with one, all of them more often where there are more of them: 5 % of their
/// p-values are below 5 %.
#[test]
fn noise_is_called_an_effect_as_rarely_as_it_says() {
    let mut state = 1u64;
    let mut unit = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    let (mut noise, mut called, mut held) = (0, 0, 0);
    for _ in 0..200 {
        let mut columns = vec![Bits::zeros(120); 10];
        let mut values = Vec::new();
        for row in 0..120 {
            let presence = unit();
            let used: Vec<usize> = (0..10).filter(|_| unit() < presence).collect();
            used.iter().for_each(|column| columns[*column].set(row));
            let helping = used.iter().filter(|column| **column < 5).count() as f64;
            // More spread where more is used.
            let error = (0..12).map(|_| unit()).sum::<f64>() - 6.0;
            values.push(0.02 * helping + 0.01 * (1.0 + used.len() as f64 / 5.0) * error);
        }
        for (i, column) in least_squares(&values, &[60, 60], &columns, 0.95).iter().enumerate() {
            let certainty = known(column).certainty.unwrap();
            let truth = if i < 5 { 0.02 } else { 0.0 };
            held += usize::from(certainty.interval.0 <= truth && truth <= certainty.interval.1);
            noise += usize::from(i >= 5);
            called += usize::from(i >= 5 && certainty.p < 0.05);
        }
    }
    let rate = f64::from(called as u32) / f64::from(noise as u32);
    assert!((0.03..0.07).contains(&rate), "{called} of {noise}");
    assert!((1860..=1940).contains(&held), "{held} of 2000 intervals hold the truth");
}
