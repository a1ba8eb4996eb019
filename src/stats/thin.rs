//! Fewer points of a series, with the look of all of them.

/// Indices of at most `most` points of a series, in order: its first and its last, and the least and the greatest of each
/// of equal stretches between them, so that no peak is lost however short it is. NaN is no extreme; a stretch of nothing
/// else keeps one, so that the gap shows. All of them where there are no more; `most` is at least 4.
///
/// After the min-max part of M4 (Jugel et al., 2014, "M4: A Visualization-Oriented Time Series Data Aggregation").
pub fn thin(values: &[f64], most: usize) -> Vec<usize> {
    let n = values.len();
    if n <= most {
        return (0..n).collect();
    }
    let inner = n - 2;
    let stretches = (most.max(4) - 2) / 2;
    let mut kept = vec![0];
    for i in 0..stretches {
        let (begin, end) = (1 + inner * i / stretches, 1 + inner * (i + 1) / stretches);
        let numbers = || (begin..end).filter(|at| !values[*at].is_nan());
        // The first of equal ones, on both sides.
        let least = numbers().min_by(|a, b| values[*a].total_cmp(&values[*b]));
        let greatest = numbers().rev().max_by(|a, b| values[*a].total_cmp(&values[*b]));
        match (least, greatest) {
            (Some(a), Some(b)) => {
                kept.push(a.min(b));
                if a != b {
                    kept.push(a.max(b));
                }
            }
            _ if begin < end => kept.push(begin),
            _ => {}
        }
    }
    kept.push(n - 1);
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_peak_of_one_point_stays() {
        let mut values = vec![0.0; 10_000];
        values[7_777] = 1.0;
        values[5] = -1.0;
        let kept = thin(&values, 10);
        assert!(kept.len() <= 10 && kept.contains(&7_777) && kept.contains(&5), "{kept:?}");
    }

    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![8 => -1e3..1e3f64, 1 => Just(f64::NAN), 1 => Just(f64::INFINITY), 1 => Just(f64::NEG_INFINITY)]
    }

    proptest! {
        #[test]
        fn extremes_and_ends_stay(values in prop::collection::vec(value(), 0..300), most in 4usize..60) {
            let kept = thin(&values, most);
            prop_assert!(kept.len() <= most.max(4));
            prop_assert!(kept.is_sorted() && kept.windows(2).all(|two| two[0] < two[1]));
            let thinned: Vec<f64> = kept.iter().map(|i| values[*i]).collect();
            let least = |v: &[f64]| v.iter().copied().filter(|v| !v.is_nan()).min_by(f64::total_cmp);
            let greatest = |v: &[f64]| v.iter().copied().filter(|v| !v.is_nan()).max_by(f64::total_cmp);
            prop_assert_eq!(least(&values), least(&thinned));
            prop_assert_eq!(greatest(&values), greatest(&thinned));
            prop_assert_eq!(kept.first().copied(), (!values.is_empty()).then_some(0));
            prop_assert_eq!(kept.last().copied(), values.len().checked_sub(1));
        }
    }
}
