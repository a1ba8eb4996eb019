//! Least squares on columns of zeros and ones with fixed block effects, and what its coefficients are worth.
//!
//! Blocks are taken out by subtracting their means from the values and from every column, which gives the coefficients of a
//! design with a dummy for each block (Frisch and Waugh 1933; Lovell 1963). Standard errors are HC3 (MacKinnon and White
//! 1985; Long and Ervin 2000). A coefficient that the design does not determine is named with the columns that it cannot be
//! told from; that of the others is what every solution of the normal equations gives them.

use nalgebra::{DMatrix, DVector};

use super::bits::Bits;
use super::summary::{t_critical, t_two_sided};

/// What least squares says of one column.
#[derive(Debug, Clone, PartialEq)]
pub enum Column {
    /// It is the same over all rows of each block.
    Constant,
    /// It cannot be told from these columns: a sum of them and itself is the same over all rows of each block.
    Aliased(Vec<usize>),
    /// Its coefficient.
    Known(Coefficient),
}

/// A coefficient of least squares.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Coefficient {
    /// Change of the value from 0 to 1.
    pub effect: f64,
    /// How sure it is.
    pub certainty: Result<Certainty, Unsure>,
}

/// How sure a coefficient is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Certainty {
    /// HC3 standard error.
    pub std_error: f64,
    /// Student's interval at the level asked for.
    pub interval: (f64, f64),
    /// Two-sided p-value of Student's t.
    pub p: f64,
}

/// Why nobody knows how sure a coefficient is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsure {
    /// There are no more rows than blocks and coefficients.
    NoFreedom,
    /// A row that the others say nothing about decides it alone.
    OneRow,
    /// The values follow the columns exactly, so nothing is left to judge by.
    NoSpread,
}

/// A pivot of the scaled normal equations below this is zero: what a column holds beyond the columns before it, as a share
/// of its variance. Among 100,000 rows of zeros and ones a single different row makes more than 1e-5.
const NO_PIVOT: f64 = 1e-9;
/// A weight below this in a sum of columns that are scaled to the same length is zero.
const NO_WEIGHT: f64 = 1e-6;
/// A row whose leverage is this close to one is fitted exactly.
const ALL_LEVERAGE: f64 = 1e-9;
/// An error of this part of the values is rounding.
const ROUNDING: f64 = 1e-12;
/// Rows that are multiplied at a time: a chunk with a hundred columns fits into the cache of a core.
const CHUNK: usize = 512;

/// Fits values on columns with a fixed effect for each block. The rows of a block stand together, `blocks` says how many
/// there are in each, and values are finite.
pub fn least_squares(values: &[f64], blocks: &[usize], columns: &[Bits], level: f64) -> Vec<Column> {
    let mut found = vec![Column::Constant; columns.len()];
    let varied: Vec<usize> = (0..columns.len()).filter(|c| varies(&columns[*c], blocks)).collect();
    let design = Design::new(values, blocks, varied.iter().map(|c| &columns[*c]).collect());
    let solved = design.factor();
    for sum in &solved.sums {
        for column in sum {
            let others = sum.iter().filter(|other| *other != column).map(|other| varied[*other]);
            match &mut found[varied[*column]] {
                Column::Aliased(with) => with.extend(others),
                other => *other = Column::Aliased(others.collect()),
            }
        }
    }
    for column in &mut found {
        if let Column::Aliased(with) = column {
            with.sort_unstable();
            with.dedup();
        }
    }
    for (column, coefficient) in solved.kept.iter().zip(design.coefficients(&solved, level)) {
        let found = &mut found[varied[*column]];
        if *found == Column::Constant {
            *found = Column::Known(coefficient);
        }
    }
    found
}

fn varies(column: &Bits, blocks: &[usize]) -> bool {
    let mut from = 0;
    blocks.iter().any(|rows| {
        let ones = column.ones_in(from, from + rows);
        from += rows;
        ones > 0 && ones < *rows
    })
}

/// Columns that vary within blocks, with what their normal equations are made of.
struct Design<'a> {
    columns: Vec<&'a Bits>,
    /// Values less the mean of their block.
    centred: Vec<f64>,
    /// The greatest absolute value.
    greatest: f64,
    /// The block of each row.
    block_of: Vec<usize>,
    /// Rows of each block.
    blocks: &'a [usize],
    /// Mean of each column in each block, a column of this for each column of the design.
    means: DMatrix<f64>,
    /// Length of each column after centring, by which it is scaled to one.
    lengths: Vec<f64>,
    /// Products of the centred and scaled columns.
    products: DMatrix<f64>,
}

/// The columns that determine the others.
struct Factored {
    /// Their places, rising.
    kept: Vec<usize>,
    /// Inverse of their normal equations.
    inverse: DMatrix<f64>,
    /// Columns of which a sum is nothing, for each column that was not kept.
    sums: Vec<Vec<usize>>,
}

impl<'a> Design<'a> {
    fn new(values: &[f64], blocks: &'a [usize], columns: Vec<&'a Bits>) -> Design<'a> {
        let mut centred = Vec::with_capacity(values.len());
        let mut block_of = Vec::with_capacity(values.len());
        let mut means = DMatrix::zeros(blocks.len(), columns.len());
        let width = columns.len();
        let mut shared = DMatrix::<f64>::zeros(width, width);
        let mut from = 0;
        for (b, rows) in blocks.iter().enumerate() {
            let of_block = &values[from..from + rows];
            let mean = of_block.iter().sum::<f64>() / *rows as f64;
            centred.extend(of_block.iter().map(|v| v - mean));
            block_of.extend(std::iter::repeat_n(b, *rows));
            let ones: Vec<f64> = columns.iter().map(|c| c.ones_in(from, from + rows) as f64).collect();
            for j in 0..width {
                means[(b, j)] = ones[j] / *rows as f64;
                for i in 0..=j {
                    shared[(i, j)] += ones[i] * means[(b, j)];
                }
            }
            from += rows;
        }
        let mut products = DMatrix::<f64>::zeros(width, width);
        for j in 0..width {
            for i in 0..=j {
                let product = columns[i].both(columns[j]) as f64 - shared[(i, j)];
                products[(i, j)] = product;
                products[(j, i)] = product;
            }
        }
        let lengths: Vec<f64> = (0..width).map(|j| products[(j, j)].sqrt()).collect();
        for j in 0..width {
            for i in 0..width {
                products[(i, j)] /= lengths[i] * lengths[j];
            }
        }
        let greatest = values.iter().fold(0.0f64, |greatest, v| greatest.max(v.abs()));
        Design { columns, centred, greatest, block_of, blocks, means, lengths, products }
    }

    /// Cholesky's factor, column by column; a column that adds nothing to those before it is left out.
    fn factor(&self) -> Factored {
        let mut kept: Vec<usize> = Vec::new();
        // Rows of the lower factor.
        let mut factor: Vec<Vec<f64>> = Vec::new();
        let mut sums = Vec::new();
        for column in 0..self.columns.len() {
            let mut row: Vec<f64> = Vec::with_capacity(kept.len() + 1);
            for (i, of_kept) in factor.iter().enumerate() {
                let known: f64 = of_kept.iter().zip(&row).map(|(a, b)| a * b).sum();
                row.push((self.products[(kept[i], column)] - known) / of_kept[i]);
            }
            let pivot = self.products[(column, column)] - row.iter().map(|v| v * v).sum::<f64>();
            if pivot > NO_PIVOT {
                row.push(pivot.sqrt());
                factor.push(row);
                kept.push(column);
                continue;
            }
            // The column as a sum of those kept: the transposed factor, solved from below.
            for i in (0..row.len()).rev() {
                let known: f64 = (i + 1..row.len()).map(|k| factor[k][i] * row[k]).sum();
                row[i] = (row[i] - known) / factor[i][i];
            }
            let mut sum: Vec<usize> =
                row.iter().zip(&kept).filter(|(weight, _)| weight.abs() > NO_WEIGHT).map(|(_, kept)| *kept).collect();
            sum.push(column);
            sums.push(sum);
        }
        let lower = DMatrix::from_fn(kept.len(), kept.len(), |i, j| if j <= i { factor[i][j] } else { 0.0 });
        let identity = DMatrix::identity(kept.len(), kept.len());
        let inverse = lower.solve_lower_triangular(&identity).expect("pivots are positive");
        Factored { kept, inverse: inverse.transpose() * inverse, sums }
    }

    /// What the kept columns have in common with something over the rows, scaled.
    fn against(&self, kept: &[usize], rows: &[f64]) -> DVector<f64> {
        let sums = kept.iter().map(|c| self.columns[*c].ones().map(|row| rows[row]).sum::<f64>() / self.lengths[*c]);
        DVector::from_iterator(kept.len(), sums)
    }

    /// What is left of the values.
    fn residuals(&self, kept: &[usize], weights: &DVector<f64>) -> Vec<f64> {
        let mut fitted = vec![0.0; self.centred.len()];
        let mut means = vec![0.0; self.blocks.len()];
        for (i, c) in kept.iter().enumerate() {
            let weight = weights[i] / self.lengths[*c];
            self.columns[*c].ones().for_each(|row| fitted[row] += weight);
            means.iter_mut().enumerate().for_each(|(b, mean)| *mean += weight * self.means[(b, *c)]);
        }
        let rows = self.centred.iter().zip(&fitted).zip(&self.block_of);
        rows.map(|((value, fitted), block)| value - (fitted - means[*block])).collect()
    }

    fn coefficients(&self, solved: &Factored, level: f64) -> Vec<Coefficient> {
        let Factored { kept, inverse, .. } = solved;
        let mut weights = inverse * self.against(kept, &self.centred);
        // Once more on what is left, for the digits that normal equations lose.
        weights += inverse * self.against(kept, &self.residuals(kept, &weights));
        let residuals = self.residuals(kept, &weights);
        let taken = self.blocks.len() + kept.len();
        let freedom = self.centred.len().saturating_sub(taken) as f64;
        let critical = t_critical(level, freedom);
        let spread = self.spread(kept, inverse, &residuals);
        let mut found = Vec::with_capacity(kept.len());
        for (i, c) in kept.iter().enumerate() {
            let effect = weights[i] / self.lengths[*c];
            let certainty = match (critical, spread[i]) {
                (None, _) => Err(Unsure::NoFreedom),
                (_, None) => Err(Unsure::OneRow),
                (Some(critical), Some(variance)) => {
                    let std_error = variance.sqrt() / self.lengths[*c];
                    // Before the division: nothing by nothing would be no number.
                    let p = (std_error > ROUNDING * self.greatest).then(|| t_two_sided(effect / std_error, freedom));
                    let interval = (effect - critical * std_error, effect + critical * std_error);
                    p.flatten().map(|p| Certainty { std_error, interval, p }).ok_or(Unsure::NoSpread)
                }
            };
            found.push(Coefficient { effect, certainty });
        }
        found
    }

    /// HC3 variance of each weight: the sum over rows of (z e / (1 - h))², where z is what the row adds to the weight, e its
    /// residual and h its leverage. `None` where a row with leverage one adds to it.
    fn spread(&self, kept: &[usize], inverse: &DMatrix<f64>, residuals: &[f64]) -> Vec<Option<f64>> {
        let rows = residuals.len();
        let chunks = rows.div_ceil(CHUNK);
        let threads = match rows * kept.len() {
            // Not worth a thread.
            0..1_000_000 => 1,
            _ => std::thread::available_parallelism().map_or(1, |n| n.get()).min(4),
        };
        let share = chunks.div_ceil(threads).max(1);
        let parts: Vec<Vec<Option<f64>>> = std::thread::scope(|scope| {
            let work = |first: usize| {
                let chunks = first..(first + share).min(chunks);
                chunks.map(|chunk| self.spread_of(chunk, kept, inverse, residuals)).collect::<Vec<_>>()
            };
            let mut others = Vec::new();
            for first in (share..chunks).step_by(share) {
                others.push(scope.spawn(move || work(first)));
            }
            let mut parts = work(0);
            others.into_iter().for_each(|other| parts.extend(other.join().expect("no chunk panics")));
            parts
        });
        // Chunk by chunk in their order, so that the sum does not depend on the number of threads.
        let mut sums = vec![Some(0.0); kept.len()];
        for part in parts {
            for (sum, part) in sums.iter_mut().zip(part) {
                *sum = sum.zip(part).map(|(sum, part)| sum + part);
            }
        }
        sums
    }

    fn spread_of(&self, chunk: usize, kept: &[usize], inverse: &DMatrix<f64>, residuals: &[f64]) -> Vec<Option<f64>> {
        let begin = chunk * CHUNK;
        let rows = CHUNK.min(residuals.len() - begin);
        let centred = DMatrix::from_fn(rows, kept.len(), |row, i| {
            let (column, block) = (kept[i], self.block_of[begin + row]);
            let one = f64::from(u8::from(self.columns[column].get(begin + row)));
            (one - self.means[(block, column)]) / self.lengths[column]
        });
        let adds = &centred * inverse;
        let mut leverage: Vec<f64> =
            (0..rows).map(|row| 1.0 / self.blocks[self.block_of[begin + row]] as f64).collect();
        for i in 0..kept.len() {
            for row in 0..rows {
                leverage[row] += centred[(row, i)] * adds[(row, i)];
            }
        }
        let mut sums = Vec::with_capacity(kept.len());
        for i in 0..kept.len() {
            let mut sum = Some(0.0);
            for row in 0..rows {
                let add = adds[(row, i)];
                if 1.0 - leverage[row] > ALL_LEVERAGE {
                    let term = add * residuals[begin + row] / (1.0 - leverage[row]);
                    sum = sum.map(|sum: f64| sum + term * term);
                } else if add.abs() > NO_WEIGHT {
                    sum = None;
                }
            }
            sums.push(sum);
        }
        sums
    }
}

#[cfg(test)]
mod tests;
