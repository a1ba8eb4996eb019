//! What a statement may be: one that only reads, and not so deep that planning it could overflow the stack.

use std::ops::ControlFlow;

use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::ast::{Query, Select, Statement as Sql, Visit, Visitor};
use datafusion::sql::sqlparser::dialect::{Dialect, GenericDialect};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use super::error::QueryError;

/// The dialect that statements are read in.
pub const DIALECT: &dyn Dialect = &GenericDialect;

/// Operators that stand on each other, as in `1 + 1 + 1`: planning and answering recurse over them, on a stack of 2 MiB.
const MAX_OPERATORS: usize = 400;
/// Operators of sets, joins and branches in the whole statement.
const MAX_PARTS: usize = 1_000;
/// Tables that a `WITH` names: each may be made of the one before it.
const MAX_NAMED: usize = 200;
/// Relations that one `SELECT` joins.
const MAX_RELATIONS: usize = 100;
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
        1 => {
            let statement = statements.pop_front().expect("there is one");
            check_joins(&statement)?;
            Ok(statement)
        }
        0 => Err(QueryError::Syntax { message: "there is no statement".to_string() }),
        n => Err(QueryError::Syntax { message: format!("there are {n} statements where one is expected") }),
    }
}

/// Whether a text is one expression and nothing else, so that it stays within the brackets that are put around it.
///
/// # Errors
/// [`QueryError::Syntax`], and [`QueryError::TooDeep`] beyond the limits.
pub fn check_condition(sql: &str) -> Result<(), QueryError> {
    let syntax = |e: &dyn std::fmt::Display| QueryError::Syntax { message: e.to_string() };
    check_depth(&Tokenizer::new(DIALECT, sql).tokenize().map_err(|e| syntax(&e))?)?;
    let mut parser = DFParserBuilder::new(sql).with_dialect(DIALECT).with_recursion_limit(PARSER_DEPTH).build()?;
    parser.parse_into_expr()?;
    Ok(())
}

/// Whether a text is one statement that only reads, within the limits.
pub fn check_sql(sql: &str) -> Result<(), QueryError> {
    check_reads_only(&parse(sql)?)
}

// Tokens come as a list, whatever they nest to, so counting them is safe where parsing is not.
fn check_depth(tokens: &[Token]) -> Result<(), QueryError> {
    // Operators so far in the item of a list that is at hand, of each bracket that is open.
    let mut levels = vec![0usize];
    let (mut standing, mut parts) = (0, 0);
    let (mut most, mut deepest) = (0, 0);
    for token in tokens {
        let here = levels.last_mut().expect("the outermost stays");
        let added = match token {
            Token::Word(word) => {
                parts += usize::from(is_part(word.keyword));
                if begins_part(word.keyword) {
                    standing -= std::mem::take(here);
                }
                weight(word.keyword)
            }
            Token::Comma => {
                standing -= std::mem::take(here);
                0
            }
            Token::LParen
            | Token::RParen
            | Token::LBrace
            | Token::RBrace
            | Token::RBracket
            | Token::Number(..)
            | Token::SingleQuotedString(_)
            | Token::DoubleQuotedString(_)
            | Token::EscapedStringLiteral(_)
            | Token::HexStringLiteral(_)
            | Token::Placeholder(_)
            | Token::Whitespace(_)
            | Token::Period
            | Token::SemiColon
            | Token::EOF => 0,
            // Whatever else there is stands between two operands, or before or after one. So does `[`: what follows one
            // takes from what the one before it gave.
            _ => 1,
        };
        *here += added;
        standing += added;
        match token {
            Token::LParen | Token::LBracket | Token::LBrace => levels.push(0),
            Token::RParen | Token::RBracket | Token::RBrace if levels.len() > 1 => {
                standing -= levels.pop().unwrap_or_default();
            }
            _ => {}
        }
        most = most.max(standing);
        deepest = deepest.max(levels.len() - 1);
    }
    let too_deep = |what, found, limit| Err(QueryError::TooDeep { what, found, limit });
    if most > MAX_OPERATORS {
        return too_deep("chains operators", most, MAX_OPERATORS);
    }
    if parts > MAX_PARTS {
        return too_deep("chains queries, joins and branches", parts, MAX_PARTS);
    }
    if deepest > MAX_NESTING {
        return too_deep("nests brackets", deepest, MAX_NESTING);
    }
    Ok(())
}

/// Words that begin a part of a statement, where the operators of the part before it no longer count.
fn begins_part(word: Keyword) -> bool {
    use Keyword::*;
    matches!(word, SELECT | FROM | WHERE | GROUP | HAVING | ORDER | LIMIT | ON | WINDOW | WHEN | THEN | ELSE)
}

fn is_part(word: Keyword) -> bool {
    use Keyword::*;
    matches!(word, UNION | EXCEPT | INTERSECT | MINUS | JOIN | APPLY | WHEN | SELECT | VALUES | PIVOT | UNPIVOT)
}

/// How many operators a word is as good as.
fn weight(word: Keyword) -> usize {
    use Keyword::*;
    match word {
        AND | OR | NOT | XOR | DIV | LIKE | ILIKE | RLIKE | REGEXP | SIMILAR | BETWEEN | IN | IS | NOTNULL
        | COLLATE | AT | OVERLAPS | CASE | EXISTS => 1,
        // The parser itself recurses over these.
        EXPLAIN | DESCRIBE | ANALYZE | INTERVAL | PRIOR => 10,
        _ => 0,
    }
}

/// A list of relations is a chain of joins, without an operator between them.
fn check_joins(statement: &Statement) -> Result<(), QueryError> {
    fn refuse(what: &'static str, found: usize, limit: usize) -> ControlFlow<QueryError> {
        if found > limit {
            ControlFlow::Break(QueryError::TooDeep { what, found, limit })
        } else {
            ControlFlow::Continue(())
        }
    }
    struct Relations;
    impl Visitor for Relations {
        type Break = QueryError;
        fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<QueryError> {
            let found: usize = select.from.iter().map(|from| 1 + from.joins.len()).sum();
            refuse("joins relations", found, MAX_RELATIONS)
        }
        fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<QueryError> {
            let found = query.with.as_ref().map_or(0, |with| with.cte_tables.len());
            refuse("chains tables of WITH", found, MAX_NAMED)
        }
    }
    let sql = match statement {
        Statement::Statement(sql) => sql.as_ref(),
        Statement::Explain(explain) => return check_joins(&explain.statement),
        _ => return Ok(()),
    };
    match sql.visit(&mut Relations) {
        ControlFlow::Break(e) => Err(e),
        ControlFlow::Continue(()) => Ok(()),
    }
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
    fn a_condition_stays_within_its_brackets() {
        for sql in ["a = 1", "a = 1 OR b IN (1, 2) -- few", "run_id IN (SELECT run_id FROM metrics)", "params.lr < 0.1"]
        {
            check_condition(sql).unwrap();
        }
        for sql in ["1=1) OR (1=1", "a = 1; DELETE FROM runs", "", "a = 1 ORDER BY b", "(a = 1", "a = 'x"] {
            assert!(matches!(check_condition(sql), Err(QueryError::Syntax { .. })), "{sql}");
        }
        assert!(matches!(check_condition(&"(".repeat(5_000)), Err(QueryError::TooDeep { .. })));
    }

    #[test]
    fn deep_statements_are_refused_before_they_are_parsed() {
        let chain = format!("SELECT 1{}", " + 1".repeat(20_000));
        let nested = format!("SELECT {}1{}", "(".repeat(5_000), ")".repeat(5_000));
        for sql in [chain, nested] {
            assert!(matches!(parse(&sql), Err(QueryError::TooDeep { .. })));
        }
        // What stands side by side is no chain.
        parse(&format!("SELECT {}", vec!["a + b"; 2_000].join(","))).unwrap();
        parse(&format!("SELECT 1 FROM t WHERE {}", vec!["a = 1"; 150].join(" OR "))).unwrap();
        parse(&format!("SELECT run_id IN ({})", vec!["'x'"; 50_000].join(","))).unwrap();
    }
}
