//! Stop rules put to a store, about one run.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use arrow::array::{Array, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use datafusion::common::ScalarValue;
use datafusion::error::DataFusionError;
use serde_json::json;

use super::history::{Point, behind_median, best_so_far, since_improved};
use super::rules::Rule;
use super::when::When;
use crate::error::Result;
use crate::export::value::{Floats, float};
use crate::gate::absent;
use crate::gate::doubt::{Doubt, Side};
use crate::gate::numbers::plain;
use crate::gate::rows::{Rows, ask, texts};
use crate::gate::scalar::Scalar;
use crate::model::{Goal, RunId};
use crate::query::{QueryError, Session, near, quoted, within};

/// Greater doubles are infinite or NaN.
const GREATEST: &str = "1.7976931348623157e308";

/// What a rule says of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It may go on.
    Continue,
    /// It should stop.
    Stop,
    /// Nobody can say.
    Undecided,
}

impl Decision {
    /// In a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Decision::Continue => "continue",
            Decision::Stop => "stop",
            Decision::Undecided => "undecided",
        }
    }
}

/// What one rule says of a run, and why.
#[derive(Debug)]
pub struct RuleResult {
    /// Its name.
    pub name: String,
    /// What it says.
    pub decision: Decision,
    /// Why, in a sentence.
    pub reason: String,
    /// The step that it looked at.
    pub step: Option<f64>,
    /// Why it cannot say.
    pub doubt: Option<Doubt>,
}

/// What all rules say of a run.
#[derive(Debug)]
pub struct StopAnswer {
    /// The run.
    pub run_id: String,
    /// Rule by rule.
    pub rules: Vec<RuleResult>,
}

impl StopAnswer {
    /// Puts rules to a store about a run; each may take so long. `$run` in their statements is the run's id, beside other params.
    ///
    /// # Errors
    /// Where the run itself cannot be looked up. What goes wrong with a rule is its result.
    pub async fn ask(
        session: &Session,
        run: &RunId,
        rules: &[Rule],
        params: &[(String, ScalarValue)],
        timeout: Option<Duration>,
    ) -> Result<StopAnswer> {
        let run = About::look(session, run, rules, params).await?;
        let mut results = Vec::new();
        for rule in rules {
            let found = within(timeout, run.put(rule)).await;
            let mut result = RuleResult {
                name: rule.name.clone(),
                decision: Decision::Undecided,
                reason: String::new(),
                step: rule.metric.as_ref().and_then(|metric| Some(run.points.get(metric)?.last()?.step)),
                doubt: None,
            };
            match found.map_err(Doubt::from).and_then(|found| found) {
                Ok(found) => {
                    result.decision = if found.stop { Decision::Stop } else { Decision::Continue };
                    result.reason = found.reason;
                    if let (true, Some(message)) = (found.stop, &rule.message) {
                        let cell = |name: &str| {
                            let rows = found.rows.as_ref().filter(|rows| rows.batch.num_rows() > 0)?;
                            Some(rows.text(rows.find(name)?, 0))
                        };
                        let figure = |name: &str| match name {
                            "value" => found.value.map(|x| float(x, Floats::Readable)),
                            "step" => result.step.map(plain),
                            _ => None,
                        };
                        result.reason = message.fill(|name| cell(name).or_else(|| figure(name)));
                    }
                }
                Err(doubt) => {
                    result.reason = doubt.to_string();
                    result.doubt = Some(doubt);
                }
            }
            results.push(result);
        }
        Ok(StopAnswer { run_id: run.id, rules: results })
    }

    /// The decision of all: stop when any rule says so, else undecided when any cannot say, or there is none.
    pub fn decision(&self) -> Decision {
        let any = |decision| self.rules.iter().any(|rule| rule.decision == decision);
        match () {
            () if any(Decision::Stop) => Decision::Stop,
            () if any(Decision::Undecided) || self.rules.is_empty() => Decision::Undecided,
            () => Decision::Continue,
        }
    }

    /// The first rule that the decision comes from; none to go on.
    pub fn deciding(&self) -> Option<&RuleResult> {
        let decision = self.decision();
        self.rules.iter().find(|rule| rule.decision == decision && decision != Decision::Continue)
    }

    /// As an object in one line.
    pub fn json(&self) -> String {
        let rule = |rule: &RuleResult| {
            let (decision, reason) = (rule.decision.as_str(), &rule.reason);
            json!({"rule": rule.name, "decision": decision, "reason": reason, "step": rule.step.map(number)})
        };
        let deciding = self.deciding();
        json!({
            "run_id": self.run_id,
            "decision": self.decision().as_str(),
            "rule": deciding.map(|rule| &rule.name),
            "reason": deciding.map(|rule| &rule.reason),
            "rules": self.rules.iter().map(rule).collect::<Vec<_>>(),
        })
        .to_string()
    }
}

/// Whole where it can be: 12, not 12.0.
fn number(x: f64) -> serde_json::Value {
    if x.fract() == 0.0 && x.abs() < 9e15 { json!(x as i64) } else { json!(x) }
}

/// What one rule found.
struct Found {
    stop: bool,
    reason: String,
    value: Option<f64>,
    rows: Option<Rows>,
}

fn found(stop: bool, reason: String, value: Option<f64>) -> Result<Found, Doubt> {
    Ok(Found { stop, reason, value, rows: None })
}

/// The run that rules are put about.
struct About<'a> {
    session: &'a Session,
    id: String,
    experiment_id: String,
    experiment: String,
    /// Of the metrics that rules look at, by step.
    points: BTreeMap<String, Vec<Point>>,
    params: Vec<(String, ScalarValue)>,
}

impl<'a> About<'a> {
    async fn look(
        session: &'a Session,
        run: &RunId,
        rules: &[Rule],
        params: &[(String, ScalarValue)],
    ) -> Result<About<'a>> {
        let id = run.as_str().to_string();
        let of = |column: &str| format!("SELECT {column} FROM runs WHERE run_id = {}", quoted(&id));
        let facts = ask(session, &of("experiment_id, experiment"), &[], 1).await?;
        if facts.n == 0 {
            return Err(crate::store::StoreError::RunNotFound { run: id }.into());
        }
        let (experiment_id, experiment) = (facts.text(0, 0), facts.text(1, 0));
        let mut params = params.to_vec();
        params.retain(|(name, _)| name != "run");
        params.push(("run".to_string(), ScalarValue::from(id.as_str())));
        let mut about = About { session, id, experiment_id, experiment, points: BTreeMap::new(), params };
        about.read_points(rules).await?;
        Ok(about)
    }

    async fn read_points(&mut self, rules: &[Rule]) -> Result<()> {
        let metrics: HashSet<&String> = rules.iter().filter_map(|rule| rule.metric.as_ref()).collect();
        if metrics.is_empty() {
            return Ok(());
        }
        let keys = metrics.iter().map(|metric| quoted(metric)).collect::<Vec<_>>().join(", ");
        let sql = format!(
            "SELECT key, coalesce(CAST(step AS DOUBLE), x) AS step, value FROM metrics
             WHERE run_id = {} AND experiment_id = {} AND key IN ({keys}) AND context IS NULL
             ORDER BY key, step, time, value",
            quoted(&self.id),
            quoted(&self.experiment_id)
        );
        let rows = ask(self.session, &sql, &[], usize::MAX).await?;
        let keys = column(&rows, 0, &DataType::Utf8)?;
        let (steps, values) = (column(&rows, 1, &DataType::Float64)?, column(&rows, 2, &DataType::Float64)?);
        let (steps, values) = (steps.as_primitive::<Float64Type>(), values.as_primitive::<Float64Type>());
        let keys = keys.as_string::<i32>();
        // A series that has steps leaves out the points without.
        let with_steps: HashSet<&str> =
            (0..rows.n).filter(|row| !steps.is_null(*row)).map(|row| keys.value(row)).collect();
        for row in 0..rows.n {
            let key = keys.value(row);
            let points = self.points.entry(key.to_string()).or_default();
            let step = match (steps.is_null(row), with_steps.contains(key)) {
                (false, _) => steps.value(row),
                (true, true) => continue,
                // Logged without steps: the n-th point is that of step n, from 0 on.
                (true, false) => points.len() as f64,
            };
            points.push(Point { step, value: values.value(row) });
        }
        Ok(())
    }

    async fn put(&self, rule: &Rule) -> Result<Found, Doubt> {
        match (&rule.sql, &rule.metric) {
            (Some(sql), _) => self.put_sql(rule, sql).await,
            (None, Some(metric)) => match self.points.get(metric).map(Vec::as_slice) {
                Some(points @ [.., last]) => self.put_metric(rule, metric, points, *last).await,
                _ => self.no_point_yet(metric).await,
            },
            (None, None) => unreachable!("a rule has a metric or a statement"),
        }
    }

    /// A run that has logged nothing goes on, as long as others show that the metric exists.
    async fn no_point_yet(&self, metric: &str) -> Result<Found, Doubt> {
        let of = format!("FROM metric_stats WHERE experiment_id = {} AND context IS NULL", quoted(&self.experiment_id));
        let contexts = format!(
            "SELECT context FROM metric_stats WHERE run_id = {} AND key = {} AND context IS NOT NULL ORDER BY context LIMIT 1",
            quoted(&self.id),
            quoted(metric)
        );
        if let Some(context) = texts(self.session, &contexts).await?.pop() {
            return Err(Doubt::OnlyContexts { metric: metric.to_string(), context });
        }
        if ask(self.session, &format!("SELECT 1 {of} AND key = {} LIMIT 1", quoted(metric)), &[], 0).await?.n > 0 {
            return found(false, format!("no value of '{metric}' yet"), None);
        }
        let keys = texts(self.session, &format!("SELECT DISTINCT key {of}")).await?;
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let near = near(&keys, metric);
        Err(Doubt::NoMetric { metric: metric.to_string(), experiment: self.experiment.clone(), near })
    }

    async fn put_metric(&self, rule: &Rule, metric: &str, points: &[Point], last: Point) -> Result<Found, Doubt> {
        let step = plain(last.step);
        if let Some(after) = rule.when.after()
            && last.step <= after as f64
        {
            return found(false, format!("at step {step}, asked after step {after}"), None);
        }
        match rule.when {
            When::NotANumber => {
                let reason = format!("'{metric}' is {} at step {step}", plain(last.value));
                found(!last.value.is_finite(), reason, Some(last.value))
            }
            When::Value { op, than, .. } => {
                if !last.value.is_finite() {
                    return Err(Doubt::LatestNotFinite { metric: metric.to_string(), value: last.value });
                }
                let stop = op.holds(last.value, than);
                let not = if stop { "" } else { "not " };
                let (value, than) = (plain(last.value), plain(than));
                found(
                    stop,
                    format!("'{metric}' is {value} at step {step}, {not}{} {than}", op.as_str()),
                    Some(last.value),
                )
            }
            When::NoImprovement { steps, min_delta, .. } => {
                let goal = self.goal(rule, metric).await?;
                let Some((at, best)) = since_improved(goal, points, min_delta) else {
                    return found(false, format!("'{metric}' has no finite value yet"), None);
                };
                let since = last.step - at;
                let (at, value, ago) = (plain(at), plain(best), plain(since));
                let reason =
                    format!("'{metric}' was best at step {at} ({value}), {ago} steps ago; {steps} are allowed");
                found(since >= steps as f64, reason, Some(best))
            }
            When::Median { min_runs, .. } => {
                let goal = self.goal(rule, metric).await?;
                let Some(best) = best_so_far(goal, points) else {
                    return found(false, format!("'{metric}' has no finite value yet"), None);
                };
                let mut averages = self.averages(rule, metric, last.step).await?;
                let n = averages.len();
                if (n as u64) < min_runs {
                    let reason = format!("{n} other runs have '{metric}' up to step {step}; {min_runs} are needed");
                    return found(false, reason, Some(best));
                }
                let Some(behind) = behind_median(goal, best, &mut averages) else {
                    return found(false, "there are no other runs".to_string(), Some(best));
                };
                let how = if behind.stop { "worse" } else { "not worse" };
                let (value, median) = (plain(best), plain(behind.median));
                let reason = format!(
                    "best '{metric}' {value} is {how} than the median {median} of {n} other runs at step {step}"
                );
                found(behind.stop, reason, Some(best))
            }
            When::SomeRows | When::NoRows => unreachable!("such a rule has a statement"),
        }
    }

    /// The averages of the others' values up to a step, of those that came so far.
    async fn averages(&self, rule: &Rule, metric: &str, step: f64) -> Result<Vec<f64>, Doubt> {
        // One pass over the rows of one key of one experiment, which lie side by side in the files.
        let at = "coalesce(CAST(step AS DOUBLE), x)";
        let sql = format!(
            "SELECT run_id, avg(CASE WHEN {at} <= {step:?} AND abs(value) <= {GREATEST} THEN value END) AS average
             FROM metrics WHERE experiment_id = {} AND key = {} AND context IS NULL AND run_id <> {}
             GROUP BY run_id HAVING max({at}) >= {step:?}",
            quoted(&self.experiment_id),
            quoted(metric),
            quoted(&self.id)
        );
        let rows = ask(self.session, &sql, &[], usize::MAX).await?;
        let averages = column(&rows, 1, &DataType::Float64)?;
        let averages = averages.as_primitive::<Float64Type>();
        let wanted = match &rule.others {
            Some(sql) => Some(self.others(sql).await?),
            None => None,
        };
        let runs = column(&rows, 0, &DataType::Utf8)?;
        let runs = runs.as_string::<i32>();
        let is_wanted = |row: usize| wanted.as_ref().is_none_or(|wanted| wanted.contains(runs.value(row)));
        let found = (0..rows.batch.num_rows()).filter(|row| averages.is_valid(*row) && is_wanted(*row));
        // An average of finite values may still overflow.
        Ok(found.map(|row| averages.value(row)).filter(|average| average.is_finite()).collect())
    }

    async fn others(&self, sql: &str) -> Result<HashSet<String>, Doubt> {
        let rows = ask(self.session, sql, &self.params, usize::MAX).await?;
        if rows.n == 0 {
            absent::look(self.session, sql, &self.params).await?;
        }
        let at = rows.find("run_id").ok_or_else(|| Doubt::NoRunIds { columns: rows.columns() })?;
        let ids = column(&rows, at, &DataType::Utf8)?;
        Ok(ids.as_string::<i32>().iter().flatten().map(str::to_string).collect())
    }

    /// What the rule says, else what was declared in the run's experiment.
    async fn goal(&self, rule: &Rule, metric: &str) -> Result<Goal, Doubt> {
        if let Some(goal) = rule.goal {
            return Ok(goal);
        }
        let (experiment, key) = (quoted(&self.experiment_id), quoted(metric));
        let sql = format!("SELECT goal FROM metric_defs WHERE experiment_id = {experiment} AND key = {key}");
        let goals = texts(self.session, &sql).await?;
        let declared = goals.first().and_then(|goal| goal.parse().ok());
        declared.ok_or_else(|| Doubt::UndeclaredGoal { metric: metric.to_string() })
    }

    async fn put_sql(&self, rule: &Rule, sql: &str) -> Result<Found, Doubt> {
        if !rule.allow_empty {
            absent::look(self.session, sql, &self.params).await?;
        }
        let rows = ask(self.session, sql, &self.params, 1).await?;
        let n = if rows.n == 1 { "1 row".to_string() } else { format!("{} rows", rows.n) };
        let (stop, reason, value) = match rule.when {
            When::SomeRows => (rows.n > 0, format!("the statement returned {n}"), None),
            When::NoRows => (rows.n == 0, format!("the statement returned {n}"), None),
            When::Value { op, than, .. } => match rows.one_scalar(Side::Statement)? {
                None if rule.allow_empty => {
                    (false, "the statement returned no rows, which is allowed".to_string(), None)
                }
                None => return Err(Doubt::NoRows { of: Side::Statement, allowed: false }),
                Some(value) => {
                    let Some(stop) = value.compares(op, &Scalar::Number(than)) else {
                        rows.numbers(rows.value_column(Side::Statement)?, Side::Statement)?;
                        unreachable!("what is a number compares with one");
                    };
                    let not = if stop { "" } else { "not " };
                    (stop, format!("{value} is {not}{} {}", op.as_str(), plain(than)), value.number())
                }
            },
            _ => unreachable!("other rules have no statement"),
        };
        Ok(Found { stop, reason, value, rows: Some(rows) })
    }
}

fn column(rows: &Rows, at: usize, data_type: &DataType) -> Result<arrow::array::ArrayRef> {
    Ok(cast(rows.batch.column(at), data_type).map_err(|e| QueryError::from(DataFusionError::from(e)))?)
}
