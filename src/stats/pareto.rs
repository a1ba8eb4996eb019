//! Fronts of points that no other point dominates.

/// The front of each point, from 1 on; `None` beyond the last front that is asked for.
///
/// A point has `dims` coordinates, all finite, and greater is better in each. One point dominates another when it is at
/// least as good in every coordinate and better in one; equal points do not dominate each other. Front 1 is what nothing
/// dominates, front k what nothing dominates once the fronts before it are taken away.
///
/// Efficient non-dominated sort of Zhang, Tian, Cheng and Jin (2015): in falling order of their coordinates points can only
/// be dominated by earlier ones, and whoever is not dominated within one front is not within any later front.
pub fn fronts(points: &[f64], dims: usize, last: usize) -> Vec<Option<usize>> {
    if dims == 0 {
        return Vec::new();
    }
    let at = |i: usize| &points[i * dims..(i + 1) * dims];
    let compare = |a: &usize, b: &usize| {
        let pairs = at(*a).iter().zip(at(*b));
        pairs.map(|(a, b)| b.partial_cmp(a).expect("coordinates are finite")).find(|o| o.is_ne()).unwrap_or(a.cmp(b))
    };
    let n = points.len() / dims;
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_unstable_by(compare);
    let mut front_of = vec![None; n];
    let mut fronts: Vec<Vec<usize>> = Vec::new();
    for equal in order.chunk_by(|a, b| at(*a) == at(*b)) {
        let point = at(equal[0]);
        let beats = |other: &usize| at(*other).iter().zip(point).all(|(theirs, ours)| theirs >= ours);
        let dominated = |front: &Vec<usize>| match dims {
            // Within a front of two coordinates the second one rises while the first falls, so the last one decides.
            1 | 2 => front.last().is_some_and(beats),
            _ => front.iter().rev().any(beats),
        };
        let front = fronts.partition_point(dominated);
        if front == last {
            continue;
        }
        if front == fronts.len() {
            fronts.push(Vec::new());
        }
        fronts[front].push(equal[0]);
        equal.iter().for_each(|i| front_of[*i] = Some(front + 1));
    }
    front_of
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, word by word.
    fn by_definition(points: &[f64], dims: usize, last: usize) -> Vec<Option<usize>> {
        let points: Vec<&[f64]> = points.chunks(dims).collect();
        let dominates =
            |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| a >= b) && a.iter().zip(b).any(|(a, b)| a > b);
        let mut fronts = vec![None; points.len()];
        for front in 1..=last {
            let left: Vec<usize> = (0..points.len()).filter(|i| fronts[*i].is_none()).collect();
            let free = left.iter().filter(|i| !left.iter().any(|j| dominates(points[*j], points[**i])));
            free.copied().collect::<Vec<_>>().into_iter().for_each(|i| fronts[i] = Some(front));
        }
        fronts
    }

    proptest! {
        #[test]
        fn fronts_are_those_of_the_definition(
            // Few values, so that there are ties.
            (dims, points) in (1usize..5).prop_flat_map(|dims| {
                (Just(dims), prop::collection::vec(-3i8..4, 0..40 * dims).prop_map(move |values| {
                    let whole = values.len() / dims * dims;
                    values[..whole].iter().map(|v| f64::from(*v)).collect::<Vec<_>>()
                }))
            }),
            last in 1usize..5,
        ) {
            prop_assert_eq!(fronts(&points, dims, last), by_definition(&points, dims, last));
        }
    }

    #[test]
    fn equal_points_all_stay() {
        let points = [1.0, 2.0, 1.0, 2.0, 2.0, 1.0, 1.0, 1.0, 0.0, 0.0];
        assert_eq!(fronts(&points, 2, 2), [Some(1), Some(1), Some(1), Some(2), None]);
        // Zeros of both signs are equal.
        assert_eq!(fronts(&[0.0, -0.0], 1, 3), [Some(1), Some(1)]);
    }
}
