//! Many comparisons at once.

/// Adjusted p-values after Benjamini and Hochberg (1995): the smallest false discovery rate at which each would count as
/// found. What has no p-value has none here and does not count as a comparison.
pub fn benjamini_hochberg(p: &[Option<f64>]) -> Vec<Option<f64>> {
    let mut order: Vec<(usize, f64)> = p.iter().enumerate().filter_map(|(i, p)| Some((i, (*p)?))).collect();
    order.sort_by(|a, b| b.1.total_cmp(&a.1));
    let m = order.len() as f64;
    let mut q = vec![None; p.len()];
    let mut least = 1.0f64;
    // From the largest p down, so that q never falls while p grows.
    for (position, (i, p)) in order.iter().enumerate() {
        let rank = m - position as f64;
        least = least.min(p * m / rank);
        q[*i] = Some(least);
    }
    q
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn q_is_that_of_scipy() {
        // scipy.stats.false_discovery_control([0.01, 0.04, 0.03, 0.005, 0.5]).
        let p = [Some(0.01), None, Some(0.04), Some(0.03), Some(0.005), Some(0.5)];
        let q = benjamini_hochberg(&p);
        let expected = [Some(0.025), None, Some(0.05), Some(0.05), Some(0.025), Some(0.5)];
        for (q, expected) in q.iter().zip(expected) {
            assert_eq!(q.is_some(), expected.is_some());
            assert!((q.unwrap_or(0.0) - expected.unwrap_or(0.0)).abs() < 1e-12, "{q:?}");
        }
    }
}
