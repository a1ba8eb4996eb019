//! `runlake curve`.

use std::collections::{BTreeMap, HashMap};
use std::io::{IsTerminal, stdout};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use clap::ValueEnum;
use runlake::RunId;
use runlake::export::escape;
use runlake::report::chart::{ChartKind, ChartOptions};

use crate::cli::chart::{self, Look, Series, Style};
use crate::cli::output::{put, say};
use crate::cli::question::{AskArgs, Question, collect, quoted, quoted_all, texts, until_interrupted};
use crate::cli::select::Selection;
use crate::cli::shell::word;
use crate::cli::svg::{self, SvgArgs};
use crate::cli::{Exit, Failure, Outcome, Place, terminal};

/// Draw the series of a metric, of one run or several
///
/// Values that are NaN or infinite break the line and are marked on the axis. With --format the points are written instead.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  runlake curve loss 0192f0c4
  runlake curve loss 0192f0c4 0192f0d8 --log
  runlake curve loss --where \"tags.sweep = 'lr' AND params.seed = 0\"
  runlake curve loss 0192f0c4 --x time
  runlake curve loss 0192f0c4 --format csv > loss.csv")]
pub struct CurveArgs {
    /// The metric
    #[arg(value_name = "METRIC")]
    pub metric: String,
    #[command(flatten)]
    pub runs: Selection,
    /// A logarithmic axis of values
    #[arg(long)]
    pub log: bool,
    /// What runs along the other axis
    #[arg(long, value_name = "AXIS", default_value = "step")]
    pub x: Axis,
    /// Lines of the plot [default: 16, or what the terminal has room for]
    #[arg(long, value_name = "LINES", value_parser = clap::value_parser!(u16).range(2..200))]
    pub height: Option<u16>,
    /// ASCII without colours, as elsewhere than on a terminal
    #[arg(long)]
    pub plain: bool,
    /// Points of each series, thinned such that every extreme survives [default: what can be seen, all with --format or --sql]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(4..))]
    pub points: Option<u32>,
    #[command(flatten)]
    pub svg: SvgArgs,
    #[command(flatten)]
    pub ask: AskArgs,
}

/// What a curve runs along.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Axis {
    /// The step, as logged.
    Step,
    /// Seconds since the first point of the series.
    Time,
}

/// More than a picture has pixels across.
const SVG_POINTS: usize = 1600;
const HEIGHT: usize = 16;
const ELSEWHERE: usize = 80;

pub async fn run(place: &Place, args: CurveArgs) -> Outcome {
    until_interrupted(answer(place, args)).await
}

async fn answer(place: &Place, args: CurveArgs) -> Outcome {
    args.runs.needed(&format!("curve {}", word(&args.metric)))?;
    let question = Question::open(place, &args.ask).await?;
    let runs = args.runs.resolve(&question.session).await?;
    let scope = match runs.as_slice() {
        [] => {
            let condition = args.runs.condition.as_deref().unwrap_or_default();
            return Err(Failure::new(format!("no run fits the condition: {condition}")).hint(
                "`runlake runs` lists the latest runs, `runlake sql -c 'DESCRIBE runs'` what a condition may name",
            ));
        }
        [only] => only.to_string(),
        several => {
            let ids = quoted_all(&several.iter().map(RunId::to_string).collect::<Vec<_>>());
            format!("SELECT run_id FROM runs WHERE run_id IN ({ids})")
        }
    };
    let drawn = args.ask.asked_format().is_none() && args.ask.file().is_none();
    let width = terminal::size().map_or(ELSEWHERE, |(width, _)| width);
    // A cell of fine dots is two points wide and shows the least and the greatest value of each.
    let width_of_svg = args.svg.svg.as_ref().map(|_| SVG_POINTS);
    let points = args.points.map(|n| n as usize).or(width_of_svg).or((drawn && !args.ask.sql).then_some(4 * width));
    let points = points.map(|n| format!(", {n}")).unwrap_or_default();
    let sql = format!(
        "SELECT run_id, context, step, x, time, value\nFROM metric_history({}, {}{points})",
        quoted(&scope),
        quoted(&args.metric)
    );
    if !drawn || args.ask.sql {
        if question.show(&sql).await? == Some(0) {
            say(format!("no points of metric '{}'", args.metric));
        }
        return Ok(Exit::Done);
    }
    let names = names(&question, &runs).await?;
    let mut series = read(&collect(&question.session, &sql).await?, &names, args.x)?;
    if series.is_empty() {
        return Err(Failure::new(format!("these runs have no points of metric '{}'", args.metric))
            .hint("`runlake show RUN` lists the metrics of a run"));
    }
    if let Some(file) = &args.svg.svg {
        let rows = points_of(&series, &args.metric);
        return svg::write(&question, &rows, file, picture(&args)).await;
    }
    let total = series.len();
    series.truncate(chart::MOST);
    let title = match args.x {
        Axis::Step => "step",
        Axis::Time => "seconds",
    };
    let text = chart::draw(&series, title, &look(&args, width, series.len()));
    if text.is_empty() {
        let what = if args.log { "above 0 and finite" } else { "finite" };
        say(format!("no point of metric '{}' is {what}: nothing to draw", args.metric));
        return Ok(Exit::Done);
    }
    put(format!("{}{}\n", escape(&args.metric), if args.log { " (logarithmic)" } else { "" }))?;
    put(text)?;
    if total > series.len() {
        say(format!("note: the first {} of {total} series are drawn; --format csv writes all", series.len()));
    }
    Ok(Exit::Done)
}

/// Series as rows again, their values under the metric's name.
fn points_of(series: &[Series], metric: &str) -> RecordBatch {
    let points = || series.iter().flat_map(|series| series.points.iter().map(move |point| (&series.name, point)));
    let names: ArrayRef = Arc::new(points().map(|(name, _)| Some(name.as_str())).collect::<StringArray>());
    let x: ArrayRef = Arc::new(points().map(|(_, point)| point.0).collect::<Float64Array>());
    let y: ArrayRef = Arc::new(points().map(|(_, point)| point.1).collect::<Float64Array>());
    RecordBatch::try_from_iter([("series", names), ("x", x), (metric, y)]).expect("the columns are of one length")
}

fn picture(args: &CurveArgs) -> ChartOptions {
    ChartOptions {
        x: Some("x".to_string()),
        y: vec![args.metric.clone()],
        series: Some("series".to_string()),
        log_y: args.log,
        x_label: Some(match args.x {
            Axis::Step => "step".to_string(),
            Axis::Time => "time since the first point (s)".to_string(),
        }),
        title: Some(args.metric.clone()),
        ..ChartOptions::new(ChartKind::Line)
    }
}

fn look(args: &CurveArgs, width: usize, series: usize) -> Look {
    let plain = args.plain || !stdout().is_terminal();
    let color = !plain && terminal::has_color(&stdout());
    // Lines of dots cannot be told apart without colours.
    let style = match (plain, color || series == 1) {
        (true, _) => Style::Plain,
        (false, true) => Style::Dots,
        (false, false) => Style::Marks,
    };
    // Title, axis, its labels, legend, and the next prompt.
    let room = terminal::size().map_or(HEIGHT, |(_, lines)| lines.saturating_sub(series + 4));
    let height = args.height.map_or(HEIGHT.min(room), usize::from);
    Look { width, height, style, color, log: args.log }
}

/// Names of runs in a legend: the name with as much of the id as tells runs apart.
async fn names(question: &Question<'_>, runs: &[RunId]) -> Result<HashMap<String, String>, Failure> {
    let ids: Vec<String> = runs.iter().map(RunId::to_string).collect();
    let sql = format!("SELECT run_id, name FROM runs WHERE run_id IN ({})", quoted_all(&ids));
    let rows = collect(&question.session, &sql).await?;
    let named: HashMap<_, _> = texts(&rows, 0).into_iter().flatten().zip(texts(&rows, 1)).collect();
    let short = |id: &str| {
        let common = |other: &String| id.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
        let needed = ids.iter().filter(|other| *other != id).map(common).max().unwrap_or(0) + 1;
        id[..needed.max(8).min(id.len())].to_string()
    };
    let of = |id: &String| {
        let name = named.get(id).cloned().flatten();
        let shown = name.map_or_else(|| short(id), |name| format!("{} {}", short(id), escape(&name)));
        (id.clone(), shown)
    };
    Ok(ids.iter().map(of).collect())
}

/// Places and values.
type Points = Vec<(f64, f64)>;
/// Run and context.
type Key = (String, Option<String>);

/// The series of rows, by run and context.
fn read(rows: &[RecordBatch], names: &HashMap<String, String>, axis: Axis) -> Result<Vec<Series>, Failure> {
    let mut found: BTreeMap<Key, Points> = BTreeMap::new();
    for batch in rows {
        let number = |i: usize| cast(batch.column(i), &DataType::Float64).map_err(Failure::new);
        let time = cast(batch.column(4), &DataType::Int64).and_then(|time| cast(&time, &DataType::Float64));
        let (step, x, time, value) = (number(2)?, number(3)?, time.map_err(Failure::new)?, number(5)?);
        let number = |array: &dyn Array, row: usize| {
            let array = array.as_primitive::<Float64Type>();
            (!array.is_null(row)).then(|| array.value(row))
        };
        let (runs, contexts) = (texts(std::slice::from_ref(batch), 0), texts(std::slice::from_ref(batch), 1));
        for (row, (run, context)) in runs.into_iter().zip(contexts).enumerate() {
            let points = found.entry((run.unwrap_or_default(), context)).or_default();
            let place = match axis {
                Axis::Step => number(&step, row).or_else(|| number(&x, row)).unwrap_or(points.len() as f64),
                // Microseconds.
                Axis::Time => number(&time, row).unwrap_or(0.0) / 1e6,
            };
            points.push((place, number(&value, row).unwrap_or(f64::NAN)));
        }
    }
    let series = |((run, context), mut points): (Key, Points)| {
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        if axis == Axis::Time {
            let first = points.first().map_or(0.0, |point| point.0);
            points.iter_mut().for_each(|point| point.0 -= first);
        }
        let name = names.get(&run).cloned().unwrap_or(run);
        let name = context.map_or_else(|| name.clone(), |context| format!("{name} {}", escape(&context)));
        Series { name, points }
    };
    Ok(found.into_iter().map(series).collect())
}
