//! Points of a plane, and the front among them.

use super::Reading;
use super::names::{Series, grouped};
use crate::report::chart::columns::ChartError;
use crate::report::chart::palette::SERIES;
use crate::report::chart::{Axis, Chart, Cloud, CloudLook, Marks, Steps};

/// Both axes, the points between them, and which of those have a place there.
struct Plane {
    x: Axis,
    y: Axis,
    points: Vec<(f64, f64)>,
    placed: Vec<bool>,
}

impl Reading<'_> {
    pub(super) fn scatter(mut self) -> Result<Chart, ChartError> {
        let series = self.named_series()?;
        let Plane { x, y, points, placed } = self.plane()?;
        let mut clouds: Vec<Cloud> = Vec::new();
        for (name, rows) in self.series(series) {
            let points: Vec<_> = rows.into_iter().filter(|row| placed[*row]).map(|row| points[row]).collect();
            if !points.is_empty() {
                clouds.push(Cloud { name, points, look: CloudLook::Series(clouds.len()), steps: None });
            }
        }
        if clouds.is_empty() {
            return Err(ChartError::Empty("no row has two finite numbers".to_string()));
        }
        self.at_most(&mut clouds, SERIES.len(), "series");
        Ok(self.chart(x, y, Marks::Points(clouds)))
    }

    pub(super) fn pareto(mut self) -> Result<Chart, ChartError> {
        const COUNTS: [&str; 6] = ["rank", "n_runs", "n_configs", "n_blocks", "n_compared", "n_left_out"];
        let rank = self.columns.find("rank");
        self.taken.extend(COUNTS.iter().filter_map(|name| self.columns.find(name)));
        let Plane { x, y, points, placed } = self.plane()?;
        let ranks = match rank {
            Some(rank) => self.columns.numbers(rank, "a front")?,
            None => return Err(self.missing("a column rank, which pareto(scope, objectives, rank) gives")),
        };
        let blocks = self.blocks()?;
        let only = blocks.len() == 1;
        let (mut fronts, mut beaten) = (Vec::new(), Vec::new());
        for (name, rows) in blocks {
            let part = |front: bool| {
                let rows = rows.iter().filter(|row| placed[**row] && (ranks[**row] == 1.0) == front);
                let mut part: Vec<_> = rows.map(|row| points[*row]).collect();
                part.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
                part
            };
            let (front, rest) = (part(true), part(false));
            if !front.is_empty() {
                let steps = steps(&front, &rest);
                // Beside one colour of fronts the grey of all the others is seen best if it is warm.
                let (name, look) = match only {
                    true => (Some("front".to_string()), CloudLook::Series(1)),
                    false => (name, CloudLook::Series(fronts.len())),
                };
                fronts.push((Cloud { name, points: front, look, steps }, rest));
            }
        }
        if fronts.is_empty() {
            return Err(ChartError::Empty("no row of rank 1 has two finite numbers".to_string()));
        }
        self.at_most(&mut fronts, SERIES.len(), "fronts");
        let mut clouds = Vec::new();
        for (front, rest) in fronts {
            beaten.extend(rest);
            clouds.push(front);
        }
        if !beaten.is_empty() {
            let name = Some("beaten".to_string());
            clouds.insert(0, Cloud { name, points: beaten, look: CloudLook::Beaten, steps: None });
        }
        Ok(self.chart(x, y, Marks::Points(clouds)))
    }

    /// The rows that were compared with each other: those of one experiment and the data trained on.
    fn blocks(&self) -> Result<Vec<Series>, ChartError> {
        if let Some(series) = self.named_series()? {
            return Ok(self.series(Some(series)));
        }
        let mut names = vec![String::new(); self.columns.len()];
        let distinct = |names: &[String]| names.iter().collect::<std::collections::HashSet<_>>().len();
        for column in ["experiment", "dataset", "data_version", "digest"] {
            let Some(at) = self.columns.find(column) else { continue };
            let labels = self.columns.labels(at);
            let both: Vec<String> = names
                .iter()
                .zip(&labels)
                .map(|(name, label)| if name.is_empty() { label.clone() } else { format!("{name} · {label}") })
                .collect();
            // A column that tells nothing more apart says nothing.
            if distinct(&both) > distinct(&names) {
                names = both;
            }
        }
        Ok(grouped(names))
    }

    /// Two columns of numbers, as points that have a place on the axes.
    fn plane(&mut self) -> Result<Plane, ChartError> {
        let options = self.options;
        let x = self.pick(options.x.as_deref(), &[], |c, at| c.is_number(at) || c.is_time(at))?;
        let named = options.y.first().map(String::as_str);
        let y = self.pick(named, &[], |c, at| c.is_number(at))?;
        let (Some(x), Some(y)) = (x, y) else { return Err(self.missing("two columns of numbers")) };
        let (xs, ys) = (self.columns.numbers(x, "a point")?, self.columns.numbers(y, "a point")?);
        let points: Vec<(f64, f64)> = xs.into_iter().zip(ys).collect();
        let finite = |(x, y): &(f64, f64)| x.is_finite() && y.is_finite();
        let low = |(x, y): &(f64, f64)| (options.log_x && *x <= 0.0) || (options.log_y && *y <= 0.0);
        let placed: Vec<bool> = points.iter().map(|point| finite(point) && !low(point)).collect();
        self.left_out(points.iter().filter(|point| !finite(point)).count());
        self.below(points.iter().filter(|point| finite(point) && low(point)).count(), "row");
        let x = self.axis(&[x], options.x_label.as_ref(), options.log_x)?;
        let y = self.axis(&[y], options.y_label.as_ref(), options.log_y)?;
        Ok(Plane { x, y, points, placed })
    }
}

/// How a front goes on from point to point, as far as the points say: each that is beaten has to lie behind it, and no point
/// of the front behind another. With a third objective that does not hold, and a line would claim what is not so.
fn steps(front: &[(f64, f64)], beaten: &[(f64, f64)]) -> Option<Steps> {
    let better = |along: f64, up: f64| {
        let turned = |points: &[(f64, f64)]| points.iter().map(|(x, y)| (x * along, y * up)).collect::<Vec<_>>();
        let mut edge = turned(front);
        edge.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
        edge.dedup();
        let falls = edge.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 > pair[1].1);
        falls
            && turned(beaten).iter().all(|(x, y)| {
                let next = edge.partition_point(|point| point.0 < *x);
                edge.get(next).is_some_and(|point| point.1 >= *y)
            })
    };
    let less = better(-1.0, 1.0) || better(-1.0, -1.0);
    let more = better(1.0, 1.0) || better(1.0, -1.0);
    match (front.len() > 1, less, more) {
        (true, true, false) => Some(Steps::AcrossFirst),
        (true, false, true) => Some(Steps::UpFirst),
        _ => None,
    }
}
