//! What stands behind ```` ```sql ````: how the answer of a block is shown.

use super::chart::{ChartKind, ChartOptions};

/// How a block is shown.
#[derive(Debug, Clone, PartialEq)]
pub enum Show {
    /// The rows, at most so many.
    Table {
        /// Rows that are shown.
        rows: usize,
        /// Written above.
        title: Option<String>,
    },
    /// A picture.
    Chart(Box<ChartOptions>),
    /// The verdicts of the checks that the block holds.
    Checks,
    /// The text itself, which is not asked.
    Code,
}

/// A block's options.
#[derive(Debug, Clone, PartialEq)]
pub struct BlockOptions {
    /// Names the files that belong to it.
    pub name: Option<String>,
    /// How it is shown.
    pub show: Show,
}

/// Rows of a table unless told otherwise.
const ROWS: usize = 25;

const KNOWN: &str =
    "chart, x, y, series, low, high, value, log, smooth, title, x_label, y_label, rows, name, checks, code";

impl BlockOptions {
    /// Whether the block is shown as it is.
    pub fn is_code(&self) -> bool {
        self.show == Show::Code
    }

    /// Whether the block holds checks.
    pub fn is_checks(&self) -> bool {
        self.show == Show::Checks
    }

    /// Reads the words behind `sql`.
    pub fn parse(text: &str) -> Result<BlockOptions, String> {
        let mut name = None;
        let mut rows = None;
        let mut kind: Option<ChartKind> = None;
        let mut chart = ChartOptions::new(ChartKind::Line);
        let mut for_charts = None;
        let mut alone = None;
        let mut seen = Vec::new();
        for word in words(text)? {
            let (key, value) = match word.split_once('=') {
                Some((key, value)) => (key.to_string(), Some(value.to_string())),
                None => (word.clone(), None),
            };
            if seen.contains(&key) {
                return Err(format!("{key} is there twice"));
            }
            seen.push(key.clone());
            let Some(value) = value else {
                match key.as_str() {
                    "checks" => alone = Some(Show::Checks),
                    "code" => alone = Some(Show::Code),
                    _ => return Err(format!("'{key}' is no option of a block; write key=value, with one of {KNOWN}")),
                }
                continue;
            };
            let list = || value.split(',').map(|part| part.trim().to_string()).filter(|part| !part.is_empty());
            match key.as_str() {
                "chart" => kind = Some(value.parse()?),
                "name" if value.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)) && !value.is_empty() => {
                    name = Some(value)
                }
                "name" => return Err("name takes letters, digits, - and _: files are named after it".to_string()),
                "rows" => match value.parse() {
                    Ok(count) if count > 0 => rows = Some(count),
                    _ => return Err(format!("rows is a number from 1, not '{value}'")),
                },
                "title" => chart.title = Some(value),
                _ => {
                    match key.as_str() {
                        "x" => chart.x = Some(value),
                        "y" => chart.y = list().collect(),
                        "series" => chart.series = Some(value),
                        "low" => chart.low = Some(value),
                        "high" => chart.high = Some(value),
                        "value" => chart.value = Some(value),
                        "x_label" => chart.x_label = Some(value),
                        "y_label" => chart.y_label = Some(value),
                        "log" if ["x", "y", "xy"].contains(&value.as_str()) => {
                            (chart.log_x, chart.log_y) = (value.contains('x'), value.contains('y'));
                        }
                        "log" => return Err(format!("log is x, y or xy, not '{value}'")),
                        "smooth" => match value.parse() {
                            Ok(alpha) => chart.smooth = Some(alpha),
                            Err(_) => return Err(format!("smooth is a number above 0 and at most 1, not '{value}'")),
                        },
                        _ => return Err(format!("'{key}' is no option of a block; there are {KNOWN}")),
                    }
                    for_charts = Some(key);
                }
            }
        }
        let show = match (alone, kind, for_charts) {
            (Some(_), _, _) if seen.len() > usize::from(name.is_some()) + 1 => {
                return Err("checks and code have no options".to_string());
            }
            (Some(show), ..) => show,
            (None, Some(_), _) if rows.is_some() => {
                return Err("rows is for tables; LIMIT in the query says how much is drawn".to_string());
            }
            (None, Some(kind), _) => Show::Chart(Box::new(ChartOptions { kind, ..chart })),
            (None, None, Some(key)) => return Err(format!("{key} is for charts; chart=KIND says which")),
            (None, None, None) => Show::Table { rows: rows.unwrap_or(ROWS), title: chart.title },
        };
        Ok(BlockOptions { name, show })
    }
}

/// Words apart by spaces; those within double quotes are not.
fn words(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    for c in text.chars() {
        match c {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            c if c.is_whitespace() && !quoted => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    if quoted {
        return Err("a quote is not closed".to_string());
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_behind_the_language_say_how_an_answer_is_shown() {
        let parse = |text: &str| BlockOptions::parse(text);
        assert_eq!(parse("").unwrap().show, Show::Table { rows: 25, title: None });
        assert_eq!(parse("rows=5 title=\"a b\"").unwrap().show, Show::Table { rows: 5, title: Some("a b".into()) });
        let Show::Chart(chart) = parse("chart=line x=step y=a,b log=xy title=\"Loss = 1\" name=loss-1").unwrap().show
        else {
            panic!("it is a chart");
        };
        assert_eq!(
            (chart.x.as_deref(), chart.y, chart.log_x, chart.log_y),
            (Some("step"), vec!["a".into(), "b".into()], true, true)
        );
        assert_eq!(chart.title.as_deref(), Some("Loss = 1"));
        assert_eq!(parse("checks name=gate").unwrap().show, Show::Checks);
        for (text, why) in [
            ("chart=pie", "there is no chart 'pie'"),
            ("x=step", "x is for charts"),
            ("wide", "no option"),
            ("colour=red", "no option"),
            ("rows=0", "from 1"),
            ("chart=line rows=3", "rows is for tables"),
            ("chart=line chart=bar", "twice"),
            ("name=../x", "letters"),
            ("title=\"a", "not closed"),
            ("checks rows=3", "no options"),
            ("chart=line log=z", "x, y or xy"),
        ] {
            let e = parse(text).unwrap_err();
            assert!(e.contains(why), "{text}: {e}");
        }
    }
}
