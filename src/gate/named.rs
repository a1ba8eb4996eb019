//! Constants that a statement compares columns with, and whether any row has them.
//!
//! `status = 'FAILD'` and `tags.candidate = 'no such'` fit no rows, and `no rows` would hold for ever. What is looked at
//! are columns that name things; free text (`error LIKE '%memory%'`) is often searched in the hope to find nothing.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::common::ScalarValue;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Statement as Sql, Value, Visit, Visitor};

use super::doubt::Doubt;
use super::rows::{Params, ask, texts};
use crate::model::Status;
use crate::query::{Session, near, quoted};

/// Tables whose keys stand in another one too, where they are cheaper to find.
const HOMES: [(&str, &str); 1] = [("metrics", "metric_stats")];

/// Columns of tables that name things.
pub const NAMES: [&str; 10] = [
    "key",
    "dataset",
    "data_version",
    "digest",
    "role",
    "run_id",
    "config_id",
    "feature_set",
    "git_commit",
    "git_branch",
];

/// Tables of keys whose values name things as well: `key = 'candidate' AND value = 'v9'`.
const VALUED: [&str; 3] = ["tags", "params", "environment"];

/// Columns of functions that do so too: their rows are what was found, so that a name without a row is a misspelt one.
const NAMES_OF_FUNCTIONS: [&str; 4] = ["feature", "param", "section", "name"];

/// Groups of `runs` whose keys are columns of text.
const GROUPS: [&str; 4] = ["tags", "params", "params_text", "data"];

/// A comparison of a column with a constant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Compared {
    /// The column as it is written, without the name of a table.
    column: String,
    /// Whether it is a key of `runs`: `tags.owner`.
    is_key: bool,
    /// `=`, `LIKE`, ...
    op: String,
    /// The constant, as SQL.
    constant: String,
    /// The text itself.
    text: String,
}

impl Compared {
    fn condition(&self) -> String {
        format!("{} {} {}", self.column, self.op, self.constant)
    }

    /// As people are told.
    fn told(&self) -> String {
        format!("{} {} {}", self.column, self.op, quoted(&self.text))
    }
}

/// What a statement reads.
pub struct Read<'a> {
    /// Tables by their names in SQL.
    pub tables: &'a BTreeSet<String>,
    /// Calls of table functions.
    pub calls: &'a BTreeSet<String>,
}

/// Refuses constants that nothing has.
pub async fn look(session: &Session, statement: &Statement, params: &Params, read: Read<'_>) -> Result<(), Doubt> {
    let mut found = Constants { params, tables: read.tables, compared: BTreeSet::new(), nulls: Vec::new() };
    if let Statement::Statement(sql) = statement {
        let _: ControlFlow<()> = Sql::visit(sql, &mut found);
    }
    if let Some(what) = found.nulls.pop() {
        return Err(Doubt::EqualsNull { what });
    }
    for compared in &found.compared {
        match compared.column.as_str() {
            _ if compared.is_key => {
                if read.tables.contains("runs") {
                    in_rows(session, compared, params, &["runs".to_string()]).await?;
                }
            }
            "experiment" => experiment(session, compared, params).await?,
            "status" => status(session, compared, params, &read).await?,
            // Patterns of values are searched in the hope to find nothing, as free text is.
            "value" => {
                let valued = read.tables.iter().filter(|table| VALUED.contains(&table.as_str())).cloned();
                let relations: Vec<String> = valued.collect();
                if compared.op == "=" {
                    in_rows(session, compared, params, &relations).await?;
                }
            }
            column => {
                let of_table = NAMES.contains(&column);
                let tables = read.tables.iter().filter(|_| of_table).map(|table| home(table));
                // Calls last, since they cost the most.
                let relations: Vec<String> = tables.chain(read.calls.iter().cloned()).collect();
                in_rows(session, compared, params, &relations).await?;
            }
        }
    }
    Ok(())
}

fn home(table: &str) -> String {
    HOMES.iter().find(|(of, _)| *of == table).map_or(table, |(_, home)| home).to_string()
}

/// Refuses a constant that none of these relations has, of those that have the column.
async fn in_rows(session: &Session, compared: &Compared, params: &Params, relations: &[String]) -> Result<(), Doubt> {
    let mut without = Vec::new();
    for relation in relations {
        let sql = format!("SELECT 1 FROM {relation} WHERE {} LIMIT 1", compared.condition());
        // A relation without such a column is none that the constant was meant for.
        match ask(session, &sql, params, 0).await {
            Ok(rows) if rows.n > 0 => return Ok(()),
            Ok(_) => without.push(relation),
            Err(_) => {}
        }
    }
    if without.is_empty() {
        return Ok(());
    }
    let mut names = Vec::new();
    for relation in without {
        let sql = format!(
            "SELECT DISTINCT CAST({column} AS VARCHAR) FROM {relation} WHERE {column} IS NOT NULL LIMIT 10000",
            column = compared.column
        );
        names.extend(texts(session, &sql).await.unwrap_or_default());
    }
    let near = nearest(&names, compared);
    Err(match compared.column == "key" && compared.op == "=" {
        true => Doubt::NoKey { key: compared.text.clone(), near },
        false => Doubt::NothingHas { what: compared.told(), near },
    })
}

async fn experiment(session: &Session, compared: &Compared, params: &Params) -> Result<(), Doubt> {
    let sql = format!("SELECT 1 FROM experiments WHERE {} LIMIT 1", compared.condition());
    if ask(session, &sql, params, 0).await?.n > 0 {
        return Ok(());
    }
    let near = nearest(&texts(session, "SELECT experiment FROM experiments").await?, compared);
    Err(match compared.op.as_str() {
        "=" => Doubt::NoExperiment { name: compared.text.clone(), near },
        _ => Doubt::NothingHas { what: compared.told(), near },
    })
}

/// A status that there is may well have no runs: that is what many checks are for.
async fn status(session: &Session, compared: &Compared, params: &Params, read: &Read<'_>) -> Result<(), Doubt> {
    if !read.tables.contains("runs") && read.calls.is_empty() {
        return Ok(());
    }
    let words = Status::ALL.map(Status::as_str);
    let rows = words.map(|word| format!("({})", quoted(word))).join(", ");
    let sql = format!("SELECT 1 FROM (VALUES {rows}) AS known(status) WHERE {} LIMIT 1", compared.condition());
    if ask(session, &sql, params, 0).await?.n > 0 {
        return Ok(());
    }
    let mut near = near(&words, &compared.text);
    if near.is_empty() {
        near = words.map(str::to_string).into();
    }
    Err(Doubt::NoStatus { what: compared.told(), near })
}

fn nearest(names: &[String], compared: &Compared) -> Vec<String> {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    near(&names, compared.text.trim_matches('%'))
}

/// Gathers the comparisons of a statement.
struct Constants<'a> {
    params: &'a Params,
    tables: &'a BTreeSet<String>,
    compared: BTreeSet<Compared>,
    /// Comparisons with NULL.
    nulls: Vec<String>,
}

impl Visitor for Constants<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::BinaryOp { left, op: BinaryOperator::Eq, right } => {
                self.add(left, "=", right);
                self.add(right, "=", left);
            }
            // Leaving out what nothing has leaves out nothing; only a word that is no status can be told as wrong.
            Expr::BinaryOp { left, op: BinaryOperator::NotEq, right } => {
                self.add_status(left, right);
                self.add_status(right, left);
            }
            Expr::BinaryOp { left, op: op @ (BinaryOperator::PGRegexMatch | BinaryOperator::PGRegexIMatch), right } => {
                self.add(left, &op.to_string(), right);
            }
            Expr::InList { expr, list, negated: false } => list.iter().for_each(|item| self.add(expr, "=", item)),
            Expr::InList { expr, list, negated: true } => list.iter().for_each(|item| self.add_status(expr, item)),
            Expr::Like { negated: false, any: false, expr, pattern, escape_char: None } => {
                self.add(expr, "LIKE", pattern);
            }
            Expr::ILike { negated: false, any: false, expr, pattern, escape_char: None } => {
                self.add(expr, "ILIKE", pattern);
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

impl Constants<'_> {
    fn add(&mut self, column: &Expr, op: &str, constant: &Expr) {
        let Some((column, is_key)) = self.column(column) else { return };
        if self.param(constant).is_some_and(ScalarValue::is_null) {
            self.nulls.push(format!("{column} {op} {constant}"));
        }
        let Some(text) = self.text(constant, &column, is_key) else { return };
        self.compared.insert(Compared { column, is_key, op: op.to_string(), constant: constant.to_string(), text });
    }

    fn add_status(&mut self, column: &Expr, constant: &Expr) {
        if matches!(self.column(column), Some((name, false)) if name == "status") {
            self.add(column, "=", constant);
        }
    }

    /// A column that names things, and whether it is a key of `runs`.
    fn column(&self, expr: &Expr) -> Option<(String, bool)> {
        let parts = match expr {
            Expr::Identifier(name) => std::slice::from_ref(name),
            Expr::CompoundIdentifier(parts) => parts.as_slice(),
            // `params['batch size']`
            Expr::CompoundFieldAccess { root, .. } => {
                let Expr::Identifier(root) = root.as_ref() else { return None };
                let group = root.value.to_ascii_lowercase();
                return GROUPS.contains(&group.as_str()).then(|| (expr.to_string(), true));
            }
            _ => return None,
        };
        let group = parts.iter().take(2).position(|part| GROUPS.contains(&part.value.to_ascii_lowercase().as_str()));
        if let Some(at) = group
            && parts.len() > at + 1
        {
            let name = parts[at].value.to_ascii_lowercase();
            // `tags.key` is a column of the table tags where that is read.
            let of_table = at == 0 && parts.len() == 2 && self.tables.contains(&name);
            if !of_table {
                let key = parts[at..].iter().map(ToString::to_string).collect::<Vec<_>>().join(".");
                return Some((key, true));
            }
        }
        if parts.len() > 2 {
            return None;
        }
        let name = parts.last()?.value.to_ascii_lowercase();
        let known = ["experiment", "status", "value"].contains(&name.as_str())
            || NAMES.contains(&name.as_str())
            || NAMES_OF_FUNCTIONS.contains(&name.as_str());
        known.then_some((name, false))
    }

    fn param(&self, constant: &Expr) -> Option<&ScalarValue> {
        let Expr::Value(value) = constant else { return None };
        let Value::Placeholder(name) = &value.value else { return None };
        let name = name.trim_start_matches('$');
        Some(&self.params.iter().find(|(param, _)| param == name)?.1)
    }

    /// The text of a constant. Numbers name things where they are given from outside, or are what a tag says: a build, a ticket.
    fn text(&self, constant: &Expr, column: &str, is_key: bool) -> Option<String> {
        match self.param(constant) {
            Some(ScalarValue::Utf8(text)) => return text.clone(),
            Some(number) if is_key && number.data_type().is_numeric() => return Some(number.to_string()),
            Some(_) => return None,
            None => {}
        }
        let Expr::Value(value) = constant else { return None };
        match &value.value {
            Value::SingleQuotedString(text) => Some(text.clone()),
            Value::Number(number, _) if is_key && column.to_ascii_lowercase().starts_with("tags") => {
                Some(number.to_string())
            }
            _ => None,
        }
    }
}
