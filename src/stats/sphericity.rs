//! How evenly levels differ from each other over units, which F over repeated measurements supposes.

/// Epsilon of Greenhouse and Geisser (1959), from one row for each unit with a value for each level: 1 where the differences
/// of any two levels have the same variance over the units, down to 1 / (levels - 1) where all variance lies in one contrast.
/// F is judged with both of its degrees of freedom times this. The lower bound where there is nothing to estimate it from.
pub fn epsilon(rows: &[Vec<f64>]) -> f64 {
    let levels = rows.first().map_or(0, Vec::len);
    let lowest = 1.0 / levels.saturating_sub(1).max(1) as f64;
    // What is left of each row when row means and level means are taken off.
    let of_rows: Vec<f64> = rows.iter().map(|row| mean(row.iter().copied())).collect();
    let of_levels: Vec<f64> = (0..levels).map(|level| mean(rows.iter().map(|row| row[level]))).collect();
    let all = mean(of_rows.iter().copied());
    let left: Vec<Vec<f64>> = rows
        .iter()
        .zip(&of_rows)
        .map(|(row, of_row)| {
            row.iter().zip(&of_levels).map(|(value, of_level)| value - of_row - of_level + all).collect()
        })
        .collect();
    // The covariance of the levels but for a factor, which cancels. Products of rows have the same trace and squares.
    let of_columns = |i: usize, j: usize| left.iter().map(|row| row[i] * row[j]).sum::<f64>();
    let across_rows = |i: usize, j: usize| left[i].iter().zip(&left[j]).map(|(a, b)| a * b).sum::<f64>();
    let product: &dyn Fn(usize, usize) -> f64 = if rows.len() < levels { &across_rows } else { &of_columns };
    let (mut trace, mut squares) = (0.0, 0.0);
    for i in 0..levels.min(rows.len()) {
        for j in 0..levels.min(rows.len()) {
            let product = product(i, j);
            squares += product * product;
            trace += if i == j { product } else { 0.0 };
        }
    }
    match squares > 0.0 {
        true => (trace * trace / ((levels - 1) as f64 * squares)).clamp(lowest, 1.0),
        false => lowest,
    }
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let n = values.len() as f64;
    values.sum::<f64>() / n
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_that_of_the_eigenvalues() {
        let rows = vec![
            vec![8.0, 7.0, 1.0, 6.0],
            vec![9.0, 5.0, 2.0, 5.0],
            vec![6.0, 2.0, 3.0, 8.0],
            vec![5.0, 3.0, 1.0, 9.0],
            vec![8.0, 4.0, 5.0, 8.0],
        ];
        // numpy: eigenvalues l of the covariance of three orthonormal contrasts, sum(l)^2 / (3 sum(l^2)).
        assert!((epsilon(&rows) - 0.5501928057947808).abs() < 1e-12, "{}", epsilon(&rows));
    }

    #[test]
    fn it_lies_between_its_bounds() {
        let two = vec![vec![1.0, 2.0], vec![2.0, 5.0], vec![3.0, 1.0]];
        assert!((epsilon(&two) - 1.0).abs() < 1e-12);
        // Two units differ in one way only.
        let one = vec![vec![1.0, 2.0, 4.0], vec![2.0, 5.0, 1.0]];
        assert!((epsilon(&one) - 0.5).abs() < 1e-12);
        assert_eq!(epsilon(&[vec![1.0, 1.0, 1.0], vec![2.0, 2.0, 2.0]]), 0.5);
        assert_eq!(epsilon(&[]), 1.0);
    }
}
