//! A factor after fixed block effects: least squares over blocks and levels that need not be balanced.

use std::collections::{BTreeMap, BTreeSet};

use nalgebra::{DMatrix, DVector};
use statrs::distribution::{ContinuousCDF, FisherSnedecor};

/// One value, with its block and its level of the factor, both counted from 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cell {
    /// Its block.
    pub block: usize,
    /// Its level.
    pub level: usize,
    /// The value, finite.
    pub value: f64,
}

/// What a factor explains beyond the blocks.
#[derive(Debug, Clone, PartialEq)]
pub struct Factor {
    /// Sum of squares of the factor, after the blocks.
    pub squares: f64,
    /// Its degrees of freedom.
    pub freedom: usize,
    /// Sum of squares within blocks: what the factor could explain.
    pub within: f64,
    /// Sum of squares that is left.
    pub residual: f64,
    /// Degrees of freedom that are left.
    pub residual_freedom: usize,
    /// Mean of each level, block effects taken off, so that all together have the mean of the values. `None` where blocks do
    /// not connect the levels, so that they cannot be compared.
    pub levels: Option<Vec<f64>>,
}

/// The larger side is eliminated; this many equations are left at most, half a second's work.
const LARGEST: usize = 1000;

/// Fits value = block + level. `None` for no cells, and where there are too many blocks and levels at once.
pub fn factor(cells: &[Cell]) -> Option<Factor> {
    let blocks = cells.iter().map(|cell| cell.block).max()? + 1;
    let levels = cells.iter().map(|cell| cell.level).max()? + 1;
    let centred = centre(cells, blocks, |cell| cell.block);
    let within: f64 = centred.iter().map(|y| y * y).sum();
    let islands = Islands::of(cells, blocks, levels);
    // Each island of blocks and levels that no value connects with others has a mean of its own.
    let rank = islands.n_blocks + islands.n_levels - islands.count;
    let freedom = rank - islands.n_blocks;
    let (squares, residual, means) = if levels <= blocks {
        let effects = effects(cells, &centred, (blocks, |c| c.block), (levels, |c| c.level), &islands.of_level)?;
        let totals = totals(cells, &centred, levels, |cell| cell.level);
        let squares = totals.iter().zip(&effects).map(|(t, e)| t * e).sum::<f64>();
        (squares, within - squares, effects)
    } else {
        // The blocks are fewer: what they explain after the levels gives what is left, and that what the levels do.
        let by_level = centre(cells, levels, |cell| cell.level);
        let effects = effects(cells, &by_level, (levels, |c| c.level), (blocks, |c| c.block), &islands.of_block)?;
        let totals = totals(cells, &by_level, blocks, |cell| cell.block);
        let all: f64 = by_level.iter().map(|y| y * y).sum();
        let residual = all - totals.iter().zip(&effects).map(|(t, e)| t * e).sum::<f64>();
        let rest: Vec<f64> = cells.iter().map(|cell| cell.value - effects[cell.block]).collect();
        let means = means(cells, &rest, levels, |cell| cell.level);
        (within - residual, residual, means)
    };
    let middle = |of: &dyn Fn(&Cell) -> f64| cells.iter().map(of).sum::<f64>() / cells.len() as f64;
    let shift = middle(&|cell| cell.value) - middle(&|cell| means[cell.level]);
    let means = means.into_iter().map(|mean| mean + shift).collect();
    Some(Factor {
        squares: squares.max(0.0),
        freedom,
        within,
        // What is left of rounding alone is nothing.
        residual: if residual <= 1e-12 * within { 0.0 } else { residual },
        residual_freedom: cells.len() - rank,
        levels: (islands.count == 1).then_some(means),
    })
}

/// The levels with what is left of their values when block effects are taken off: one value for each level, however many
/// blocks it was measured in. Levels that no block connects cannot be compared and come apart, in the order of their first
/// value. `None` where there are too many blocks and levels at once.
pub fn level_values(cells: &[Cell]) -> Option<Vec<Vec<(usize, f64)>>> {
    let (all, levels) = renumbered(cells);
    let islands = Islands::of(&all, cells.len(), levels.len());
    let mut order: Vec<usize> = Vec::new();
    let mut of_island: BTreeMap<usize, Vec<Cell>> = BTreeMap::new();
    for cell in all {
        let island = islands.of_block[cell.block];
        let of = of_island.entry(island).or_default();
        if of.is_empty() {
            order.push(island);
        }
        of.push(Cell { level: levels[cell.level], ..cell });
    }
    order.iter().map(|island| values_of_island(&of_island[island])).collect()
}

fn values_of_island(cells: &[Cell]) -> Option<Vec<(usize, f64)>> {
    let (cells, levels) = renumbered(cells);
    let values = match cells.iter().all(|cell| cell.block == 0) {
        // Nothing to take off, so nothing to round.
        true => means(&cells, &cells.iter().map(|c| c.value).collect::<Vec<_>>(), levels.len(), |c| c.level),
        false => factor(&cells)?.levels.expect("an island is connected"),
    };
    Some(levels.into_iter().zip(values).collect())
}

/// The cells with blocks and levels counted from 0 without gaps, and the names that the levels had.
fn renumbered(cells: &[Cell]) -> (Vec<Cell>, Vec<usize>) {
    let names = |of: fn(&Cell) -> usize| {
        let names: BTreeSet<usize> = cells.iter().map(of).collect();
        names.into_iter().collect::<Vec<_>>()
    };
    let (blocks, levels) = (names(|cell| cell.block), names(|cell| cell.level));
    let place = |names: &[usize], name| names.binary_search(&name).expect("it is among them");
    let renumber =
        |cell: &Cell| Cell { block: place(&blocks, cell.block), level: place(&levels, cell.level), value: cell.value };
    (cells.iter().map(renumber).collect(), levels)
}

impl Factor {
    fn mean_square(&self) -> Option<f64> {
        (self.residual_freedom > 0 && self.freedom > 0).then(|| self.residual / self.residual_freedom as f64)
    }

    /// Omega squared after Hays (1963), of the variation within blocks: the share of it that the factor explains, corrected
    /// for what chance explains. Below zero where chance would explain more. `None` without degrees of freedom or variation.
    pub fn omega_squared(&self) -> Option<f64> {
        let error = self.mean_square()?;
        (self.within > 0.0).then(|| (self.squares - self.freedom as f64 * error) / (self.within + error))
    }

    /// The p-value of F with both degrees of freedom times epsilon, which is 1 save where blocks repeat a measurement. `None`
    /// where nothing is left to judge by.
    pub fn p(&self, epsilon: f64) -> Option<f64> {
        let error = self.mean_square().filter(|error| *error > 0.0)?;
        let (d1, d2) = (self.freedom as f64, self.residual_freedom as f64);
        let f = self.squares / d1 / error;
        if !f.is_finite() {
            return None;
        }
        Some(FisherSnedecor::new(epsilon * d1, epsilon * d2).ok()?.sf(f))
    }
}

fn totals(cells: &[Cell], values: &[f64], groups: usize, of: impl Fn(&Cell) -> usize) -> Vec<f64> {
    let mut totals = vec![0.0; groups];
    cells.iter().zip(values).for_each(|(cell, value)| totals[of(cell)] += value);
    totals
}

fn means(cells: &[Cell], values: &[f64], groups: usize, of: impl Fn(&Cell) -> usize) -> Vec<f64> {
    let mut n = vec![0usize; groups];
    cells.iter().for_each(|cell| n[of(cell)] += 1);
    totals(cells, values, groups, of).into_iter().zip(n).map(|(total, n)| total / n.max(1) as f64).collect()
}

/// The values less the mean of their group.
fn centre(cells: &[Cell], groups: usize, of: impl Fn(&Cell) -> usize) -> Vec<f64> {
    let values: Vec<f64> = cells.iter().map(|cell| cell.value).collect();
    let means = means(cells, &values, groups, &of);
    cells.iter().zip(values).map(|(cell, value)| value - means[of(cell)]).collect()
}

/// Effects of the second side after the first, from values that the first one's means are taken off: the normal equations
/// with the first side eliminated. One effect of each island is zero.
fn effects(
    cells: &[Cell],
    centred: &[f64],
    (gone, gone_of): (usize, impl Fn(&Cell) -> usize),
    (kept, kept_of): (usize, impl Fn(&Cell) -> usize),
    island: &[usize],
) -> Option<Vec<f64>> {
    if kept > LARGEST {
        return None;
    }
    let mut counts: Vec<BTreeMap<usize, f64>> = vec![BTreeMap::new(); gone];
    cells.iter().for_each(|cell| *counts[gone_of(cell)].entry(kept_of(cell)).or_default() += 1.0);
    // The first of each island is the one that the others are measured from.
    let mut seen = BTreeSet::new();
    let mut place = vec![None; kept];
    let mut unknowns = 0;
    for (i, place) in place.iter_mut().enumerate() {
        if island[i] != usize::MAX && !seen.insert(island[i]) {
            *place = Some(unknowns);
            unknowns += 1;
        }
    }
    let mut matrix = DMatrix::<f64>::zeros(unknowns, unknowns);
    for of_one in &counts {
        let n: f64 = of_one.values().sum();
        for (i, a) in of_one {
            let Some(row) = place[*i] else { continue };
            matrix[(row, row)] += a;
            for (j, b) in of_one {
                if let Some(column) = place[*j] {
                    matrix[(row, column)] -= a * b / n;
                }
            }
        }
    }
    let totals = totals(cells, centred, kept, kept_of);
    let right = DVector::from_iterator(unknowns, (0..kept).filter(|i| place[*i].is_some()).map(|i| totals[i]));
    let solved = match unknowns {
        0 => right,
        _ => matrix.cholesky()?.solve(&right),
    };
    Some(place.iter().map(|place| place.map_or(0.0, |at| solved[at])).collect())
}

/// Blocks and levels that values connect.
struct Islands {
    of_block: Vec<usize>,
    of_level: Vec<usize>,
    count: usize,
    n_blocks: usize,
    n_levels: usize,
}

impl Islands {
    fn of(cells: &[Cell], blocks: usize, levels: usize) -> Islands {
        let mut parent: Vec<usize> = (0..blocks + levels).collect();
        fn root(parent: &mut [usize], mut at: usize) -> usize {
            while parent[at] != at {
                parent[at] = parent[parent[at]];
                at = parent[at];
            }
            at
        }
        let mut used = vec![false; blocks + levels];
        for cell in cells {
            let (block, level) = (cell.block, blocks + cell.level);
            (used[block], used[level]) = (true, true);
            let (a, b) = (root(&mut parent, block), root(&mut parent, level));
            parent[a.max(b)] = a.min(b);
        }
        let all: Vec<usize> =
            (0..blocks + levels).map(|i| if used[i] { root(&mut parent, i) } else { usize::MAX }).collect();
        let roots: BTreeSet<_> = all.iter().filter(|root| **root != usize::MAX).collect();
        let n = |part: &[bool]| part.iter().filter(|used| **used).count();
        Islands {
            count: roots.len(),
            n_blocks: n(&used[..blocks]),
            n_levels: n(&used[blocks..]),
            of_block: all[..blocks].to_vec(),
            of_level: all[blocks..].to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: [f64; 12] = [1.0, 1.2, 2.0, 3.1, 2.2, 3.0, 3.3, 3.9, 4.2, 0.1, 1.3, 1.9];
    const BLOCKS: [usize; 12] = [0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 2];
    const LEVELS: [usize; 12] = [0, 0, 1, 2, 0, 1, 1, 2, 2, 0, 1, 2];

    fn cells(block: impl Fn(usize) -> usize, level: impl Fn(usize) -> usize) -> Vec<Cell> {
        (0..12).map(|i| Cell { block: block(i), level: level(i), value: VALUES[i] }).collect()
    }

    #[test]
    fn an_unbalanced_factor_is_that_of_statsmodels() {
        // statsmodels: anova of ols("y ~ C(block) + C(level)") against ols("y ~ C(block)").
        let found = factor(&cells(|i| BLOCKS[i], |i| LEVELS[i])).unwrap();
        assert!((found.squares - 6.698101351351352).abs() < 1e-12, "{found:?}");
        assert!((found.residual - 0.17739864864864874).abs() < 1e-12, "{found:?}");
        assert_eq!((found.freedom, found.residual_freedom), (2, 7));
        assert!((found.omega_squared().unwrap() - 0.9632759862436363).abs() < 1e-12);
        assert!((found.p(1.0).unwrap() - 2.759059541893334e-06).abs() < 1e-15);
        let means = found.levels.unwrap();
        assert!((means[1] - means[0] - 1.009797).abs() < 1e-6 && (means[2] - means[0] - 1.884797).abs() < 1e-6);
    }

    #[test]
    fn either_side_may_be_eliminated() {
        // A fourth level that one block alone has makes levels the larger side.
        let more = |i: usize| if i == 11 { 3 } else { LEVELS[i] };
        let wide = factor(&cells(|i| BLOCKS[i], more)).unwrap();
        // As many blocks as levels: one more block, of one value, changes nothing.
        let mut cells = cells(|i| BLOCKS[i], more);
        cells.push(Cell { block: 3, level: 0, value: 9.0 });
        let even = factor(&cells).unwrap();
        assert!((wide.squares - even.squares).abs() < 1e-12, "{wide:?} {even:?}");
        assert_eq!((wide.freedom, wide.residual_freedom), (even.freedom, even.residual_freedom));
        let (a, b) = (wide.levels.unwrap(), even.levels.unwrap());
        for i in 1..4 {
            assert!((a[i] - a[0] - (b[i] - b[0])).abs() < 1e-12);
        }
    }

    #[test]
    fn levels_that_no_block_connects_are_not_compared() {
        let found = factor(&cells(|i| BLOCKS[i], |i| BLOCKS[i])).unwrap();
        assert_eq!((found.freedom, found.omega_squared(), found.p(1.0), found.levels), (0, None, None, None));
        assert_eq!(factor(&[]), None);
    }

    #[test]
    fn a_level_for_each_value_leaves_nothing() {
        let found = factor(&cells(|_| 0, |i| i)).unwrap();
        assert_eq!((found.residual_freedom, found.omega_squared(), found.p(1.0)), (0, None, None));
        // Without any noise there is nothing to judge by, though everything is explained.
        let exact: Vec<Cell> = (0..6).map(|i| Cell { block: 0, level: i % 2, value: (i % 2) as f64 }).collect();
        let found = factor(&exact).unwrap();
        assert_eq!((found.omega_squared(), found.p(1.0)), (Some(1.0), None));
    }

    #[test]
    fn a_level_of_several_blocks_has_one_value() {
        // statsmodels: marginal means of ols("y ~ C(block) + C(level)"), up to a constant.
        let found = level_values(&cells(|i| BLOCKS[i], |i| LEVELS[i])).unwrap();
        assert_eq!(found.len(), 1);
        let of: Vec<f64> = found[0].iter().map(|(_, value)| *value).collect();
        assert!((of[1] - of[0] - 1.009797).abs() < 1e-6 && (of[2] - of[0] - 1.884797).abs() < 1e-6, "{of:?}");
        let back: f64 = LEVELS.iter().map(|level| of[*level]).sum();
        assert!((back - VALUES.iter().sum::<f64>()).abs() < 1e-12, "on the scale of the values: {of:?}");
        // Two islands, each of one block.
        let apart = [(0, 5, 1.0), (0, 7, 2.0), (1, 3, 9.0), (0, 5, 3.0)];
        let apart = apart.map(|(block, level, value)| Cell { block, level, value });
        assert_eq!(level_values(&apart).unwrap(), [vec![(5, 2.0), (7, 2.0)], vec![(3, 9.0)]]);
        assert_eq!(level_values(&[]).unwrap(), [[]; 0]);
    }
}
