//! What a statement may be: one that only reads, and not so deep that planning it could overflow the stack.

use std::ops::ControlFlow;

use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::ast::{Select, Statement as Sql, Visit, Visitor};
use datafusion::sql::sqlparser::dialect::{Dialect, GenericDialect};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use super::error::QueryError;

/// The dialect that statements are read in.
pub const DIALECT: &dyn Dialect = &GenericDialect;

/// Operators in one statement: planning recurses over a chain of them.
const MAX_OPERATORS: usize = 2_000;
/// Brackets within brackets.
const MAX_NESTING: usize = 100;
/// Levels of the parser's recursion.
const PARSER_DEPTH: usize = 150;

/// Reads one statement.
pub fn parse(sql: &str) -> Result<Statement, QueryError> {
    let syntax = |e: &dyn std::fmt::Display| QueryError::Syntax { message: e.to_string() };
    let tokens = Tokenizer::new(DIALECT, sql).tokenize().map_err(|e| syntax(&e))?;
    check_depth(&tokens)?;
    let mut statements = DFParserBuilder::new(sql)
        .with_dialect(DIALECT)
        .with_recursion_limit(PARSER_DEPTH)
        .build()?
        .parse_statements()?;
    match statements.len() {
        1 => Ok(statements.pop_front().expect("there is one")),
        0 => Err(QueryError::Syntax { message: "there is no statement".to_string() }),
        n => Err(QueryError::Syntax { message: format!("there are {n} statements where one is expected") }),
    }
}

// Tokens come as a list, whatever they nest to, so counting them is safe where parsing is not.
fn check_depth(tokens: &[Token]) -> Result<(), QueryError> {
    let (mut operators, mut nesting, mut deepest) = (0, 0usize, 0);
    for token in tokens {
        match token {
            Token::LParen | Token::LBracket | Token::LBrace => {
                nesting += 1;
                deepest = deepest.max(nesting);
            }
            Token::RParen | Token::RBracket | Token::RBrace => nesting = nesting.saturating_sub(1),
            Token::Plus
            | Token::Minus
            | Token::Mul
            | Token::Div
            | Token::Mod
            | Token::StringConcat
            | Token::Eq
            | Token::Neq
            | Token::Lt
            | Token::LtEq
            | Token::Gt
            | Token::GtEq
            | Token::Ampersand
            | Token::Pipe
            | Token::Caret
            | Token::DoubleColon => operators += 1,
            Token::Word(word) => {
                use Keyword::*;
                if matches!(
                    word.keyword,
                    AND | OR | NOT | UNION | EXCEPT | INTERSECT | CASE | JOIN | LIKE | IS | SELECT
                ) {
                    operators += 1;
                }
            }
            _ => {}
        }
    }
    if operators > MAX_OPERATORS {
        return Err(QueryError::TooDeep { what: "chains operators", found: operators, limit: MAX_OPERATORS });
    }
    if deepest > MAX_NESTING {
        return Err(QueryError::TooDeep { what: "nests brackets", found: deepest, limit: MAX_NESTING });
    }
    Ok(())
}

/// Refuses statements that change something.
pub fn check_reads_only(statement: &Statement) -> Result<(), QueryError> {
    let refuse = |statement: &str| Err(QueryError::ReadOnly { statement: statement.to_string() });
    match statement {
        Statement::Statement(sql) => match sql.as_ref() {
            Sql::Query(query) => match query.body.as_ref() {
                datafusion::sql::sqlparser::ast::SetExpr::Insert(_) => refuse("INSERT"),
                datafusion::sql::sqlparser::ast::SetExpr::Update(_) => refuse("UPDATE"),
                datafusion::sql::sqlparser::ast::SetExpr::Delete(_) => refuse("DELETE"),
                _ if makes_a_table(sql) => refuse("SELECT ... INTO"),
                _ => Ok(()),
            },
            Sql::ExplainTable { .. }
            | Sql::ShowTables { .. }
            | Sql::ShowColumns { .. }
            | Sql::ShowFunctions { .. }
            | Sql::ShowVariable { .. } => Ok(()),
            Sql::Explain { statement, .. } => match statement.as_ref() {
                Sql::Query(_) => Ok(()),
                other => refuse(&first_word(&other.to_string())),
            },
            other => refuse(&first_word(&other.to_string())),
        },
        Statement::Explain(explain) => check_reads_only(&explain.statement),
        Statement::CopyTo(_) => refuse("COPY"),
        Statement::CreateExternalTable(_) => refuse("CREATE EXTERNAL TABLE"),
        Statement::Reset(_) => refuse("RESET"),
    }
}

/// Whether some `SELECT` in a statement writes its rows into a new table.
fn makes_a_table(sql: &Sql) -> bool {
    struct Into;
    impl Visitor for Into {
        type Break = ();
        fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
            if select.into.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
    }
    sql.visit(&mut Into).is_break()
}

fn first_word(text: &str) -> String {
    text.split_whitespace().next().unwrap_or("this").to_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_statements_that_read_pass() {
        for sql in
            ["SELECT 1", "EXPLAIN SELECT 1", "DESCRIBE runs", "SHOW TABLES", "WITH a AS (SELECT 1) SELECT * FROM a"]
        {
            check_reads_only(&parse(sql).unwrap()).unwrap();
        }
        for sql in [
            "CREATE TABLE t AS SELECT 1",
            "CREATE VIEW v AS SELECT 1",
            "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
            "COPY runs TO 'x.csv'",
            "INSERT INTO runs VALUES (1)",
            "DELETE FROM runs",
            "UPDATE runs SET name = 'x'",
            "DROP TABLE runs",
            "SET datafusion.execution.batch_size = 1",
            "EXPLAIN INSERT INTO runs VALUES (1)",
            "SELECT 1 AS a INTO t",
            "SELECT * FROM (SELECT 1 AS a INTO t) AS x",
        ] {
            let statement = parse(sql).unwrap();
            assert!(matches!(check_reads_only(&statement), Err(QueryError::ReadOnly { .. })), "{sql}");
        }
    }

    #[test]
    fn deep_statements_are_refused_before_they_are_parsed() {
        let chain = format!("SELECT 1{}", " + 1".repeat(20_000));
        let nested = format!("SELECT {}1{}", "(".repeat(5_000), ")".repeat(5_000));
        for sql in [chain, nested] {
            assert!(matches!(parse(&sql), Err(QueryError::TooDeep { .. })));
        }
        parse(&format!("SELECT run_id IN ({})", vec!["'x'"; 50_000].join(","))).unwrap();
    }
}
