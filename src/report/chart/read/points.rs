//! Points of a plane, and the front among them.

use super::Reading;
use crate::report::chart::columns::ChartError;
use crate::report::chart::palette::SERIES;
use crate::report::chart::{Chart, Cloud, CloudLook, Marks};

/// The columns along both axes, and the points that they make.
type Plane = (usize, usize, Vec<(f64, f64)>);

impl Reading<'_> {
    pub(super) fn scatter(mut self) -> Result<Chart, ChartError> {
        let options = self.options;
        let series = match &options.series {
            Some(name) => Some(self.columns.named(name)?),
            None => None,
        };
        self.taken.extend(series);
        let (x, y, points) = self.plane()?;
        let groups = self.series(series);
        let mut clouds: Vec<Cloud> = Vec::new();
        for (name, rows) in groups {
            let points: Vec<_> = rows.into_iter().map(|row| points[row]).filter(|at| self.has_place(*at)).collect();
            if !points.is_empty() {
                clouds.push(Cloud { name, points, look: CloudLook::Series });
            }
        }
        let drawn: usize = clouds.iter().map(|cloud| cloud.points.len()).sum();
        self.left_out(points.len() - drawn);
        if clouds.is_empty() {
            return Err(ChartError::Empty("no row has two finite numbers".to_string()));
        }
        self.at_most(&mut clouds, SERIES.len(), "series");
        let (x, y) = (
            self.axis(&[x], options.x_label.as_ref(), options.log_x),
            self.axis(&[y], options.y_label.as_ref(), options.log_y),
        );
        Ok(self.chart(x, y, Marks::Points(clouds)))
    }

    pub(super) fn pareto(mut self) -> Result<Chart, ChartError> {
        let options = self.options;
        let rank = self.columns.find("rank");
        let usual: Vec<usize> =
            ["rank", "n_runs", "n_configs", "n_blocks"].iter().filter_map(|name| self.columns.find(name)).collect();
        self.taken.extend(usual);
        let (x, y, points) = self.plane()?;
        let placed: Vec<usize> = (0..points.len()).filter(|row| self.has_place(points[*row])).collect();
        self.left_out(points.len() - placed.len());
        let on_front: Vec<bool> = match rank {
            Some(rank) => self.columns.numbers(rank, "a front")?.iter().map(|rank| *rank == 1.0).collect(),
            None => return Err(self.missing("a column rank, which pareto(scope, objectives, rank) gives")),
        };
        let part = |front: bool| {
            let mut part: Vec<_> =
                placed.iter().filter(|row| on_front[**row] == front).map(|row| points[*row]).collect();
            part.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
            part
        };
        let (front, beaten) = (part(true), part(false));
        if front.is_empty() {
            return Err(ChartError::Empty("no row of rank 1 has two finite numbers".to_string()));
        }
        let mut clouds = Vec::new();
        if !beaten.is_empty() {
            clouds.push(Cloud { name: Some("beaten".to_string()), points: beaten, look: CloudLook::Beaten });
        }
        clouds.push(Cloud { name: Some("front".to_string()), points: front, look: CloudLook::Front });
        let (x, y) = (
            self.axis(&[x], options.x_label.as_ref(), options.log_x),
            self.axis(&[y], options.y_label.as_ref(), options.log_y),
        );
        Ok(self.chart(x, y, Marks::Points(clouds)))
    }

    /// Two columns of numbers, as points that have a place on the axes.
    fn plane(&mut self) -> Result<Plane, ChartError> {
        let options = self.options;
        let x = self.pick(options.x.as_deref(), &[], |c, at| c.is_number(at) || c.is_time(at))?;
        let named = options.y.first().map(String::as_str);
        let y = self.pick(named, &[], |c, at| c.is_number(at))?;
        let (Some(x), Some(y)) = (x, y) else { return Err(self.missing("two columns of numbers")) };
        if options.y.len() > 1 {
            return Err(ChartError::Option("one column along each axis".to_string()));
        }
        let (xs, ys) = (self.columns.numbers(x, "a point")?, self.columns.numbers(y, "a point")?);
        Ok((x, y, xs.into_iter().zip(ys).collect()))
    }

    fn has_place(&self, (x, y): (f64, f64)) -> bool {
        let options = self.options;
        x.is_finite() && y.is_finite() && !(options.log_x && x <= 0.0) && !(options.log_y && y <= 0.0)
    }
}
