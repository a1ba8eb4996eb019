//! Ranks, and the correlation of ranks within blocks.

use super::summary::t_two_sided;

/// Values that differ by less than this part of themselves are equal but for rounding, and so are tied.
const SAME: f64 = 1e-12;

/// Ranks from 1 on; equal values share the mean of the ranks that they take.
pub fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut begin = 0;
    let same = |a: f64, b: f64| a == b || (a - b).abs() <= SAME * a.abs().max(b.abs()).min(f64::MAX);
    for tied in order.chunk_by(|a, b| same(values[*a], values[*b])) {
        let mean = begin as f64 + (tied.len() + 1) as f64 / 2.0;
        tied.iter().for_each(|i| ranks[*i] = mean);
        begin += tied.len();
    }
    ranks
}

/// Spearman's correlation: Pearson's over average ranks. `None` where a side has one value only.
pub fn spearman(x: &[f64], y: &[f64]) -> Option<f64> {
    let (x, y) = (ranks(x), ranks(y));
    let middle = (x.len() + 1) as f64 / 2.0;
    // Ranks are halves of whole numbers, so these sums are exact, in any order.
    let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
    for (x, y) in x.iter().zip(&y) {
        let (x, y) = (x - middle, y - middle);
        xx += x * x;
        yy += y * y;
        xy += x * y;
    }
    (xx > 0.0 && yy > 0.0).then(|| (xy / (xx * yy).sqrt()).clamp(-1.0, 1.0))
}

/// A rank correlation over blocks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RankCorrelation {
    /// Mean of the correlations within blocks, each weighted by its size less one.
    pub rho: f64,
    /// Number of values.
    pub n: usize,
    /// Number of blocks.
    pub blocks: usize,
    /// Two-sided p-value; `None` where there are too few values for it.
    pub p: Option<f64>,
}

/// Degrees of freedom from which on Student's t stands for the exact distribution of a rank correlation.
const FREEDOM: usize = 8;

/// Joins correlations within blocks, given with the sizes of the blocks; `None` when there are none.
pub fn pooled_correlation(blocks: &[(f64, usize)]) -> Option<RankCorrelation> {
    let n: usize = blocks.iter().map(|(_, n)| n).sum();
    let weights = n.checked_sub(blocks.len()).filter(|weights| *weights > 0)?;
    let rho = blocks.iter().map(|(rho, n)| rho * (n - 1) as f64).sum::<f64>() / weights as f64;
    let rho = rho.clamp(-1.0, 1.0);
    // One less for the correlation itself: n - 2 in one block.
    let p = weights.checked_sub(1).filter(|freedom| *freedom >= FREEDOM).and_then(|freedom| {
        let freedom = freedom as f64;
        t_two_sided(rho * (freedom / (1.0 - rho * rho)).sqrt(), freedom)
    });
    Some(RankCorrelation { rho, n, blocks: blocks.len(), p })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_share_their_mean_rank() {
        assert_eq!(ranks(&[3.0, 1.0, 3.0, 2.0, 3.0]), [4.0, 1.0, 4.0, 2.0, 4.0]);
        assert_eq!(ranks(&[0.0, -0.0, f64::INFINITY]), [1.5, 1.5, 3.0]);
        assert_eq!(ranks(&[0.1 + 0.2, 0.3, 0.3 + 1e-11]), [1.5, 1.5, 3.0]);
        assert_eq!(ranks(&[]), [0.0; 0]);
    }

    #[test]
    fn the_correlation_is_that_of_scipy() {
        let x = [1.0, 2.0, 2.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0];
        let y = [2.1, 1.0, 3.3, 3.2, 5.1, 4.0, 7.5, 7.5, 6.0, 9.9, 12.0, 8.0];
        // scipy.stats.spearmanr(x, y).
        let rho = spearman(&x, &y).unwrap();
        let found = pooled_correlation(&[(rho, x.len())]).unwrap();
        assert!((found.rho - 0.9263157894736842).abs() < 1e-14, "{found:?}");
        assert!((found.p.unwrap() - 1.5101755898505834e-05).abs() < 1e-14, "{found:?}");
    }

    #[test]
    fn one_value_has_no_correlation_and_few_have_no_p() {
        assert_eq!(spearman(&[1.0, 1.0, 1.0], &[1.0, 2.0, 3.0]), None);
        assert_eq!(spearman(&[], &[]), None);
        let few = pooled_correlation(&[(1.0, 5), (1.0, 5)]).unwrap();
        assert_eq!((few.rho, few.p), (1.0, None));
        assert_eq!(pooled_correlation(&[]), None);
    }

    #[test]
    fn blocks_of_opposite_trends_cancel() {
        let found = pooled_correlation(&[(0.5, 11), (-0.5, 11)]).unwrap();
        assert_eq!((found.rho, found.p, found.blocks), (0.0, Some(1.0), 2));
    }
}
