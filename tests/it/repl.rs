//! Somebody at the SQL shell, on a terminal; and `sql` and `repl` fed by other programs.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use rexpect::session::{PtySession, spawn_command};
use runlake::{Metrics, RunOptions, Status, Store};
use tempfile::TempDir;

/// What the line editor sends once as it begins to read (it turns bracketed paste on).
const PROMPT: &str = "\u{1b}[?2004h";
const PATIENCE_MS: u64 = 60_000;

/// A store with five runs, one of them named to do harm.
fn store() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path().join("store")).unwrap();
    for i in 0..5 {
        let name = if i == 4 { "evil\u{1b}[2J\u{202e}".to_string() } else { format!("gbm-{i}") };
        let run = store.start_run(RunOptions::new("churn").name(name)).unwrap();
        run.log_param("lr", 0.1 * (i + 1) as f64).unwrap();
        run.log_param("train loss (v2)", i).unwrap();
        run.log_metrics(Metrics::new().value("auc", 0.9 + 0.01 * i as f64).step(0)).unwrap();
        run.finish(Status::Finished).unwrap();
    }
    dir
}

fn command(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_runlake"));
    command.arg("--store").arg(dir.join("store"));
    command.env("XDG_STATE_HOME", dir.join("state")).env_remove("NO_COLOR").env_remove("RUNLAKE_STORE");
    command.env("TERM", "xterm-256color").env("PAGER", "cat").current_dir(dir);
    command
}

/// A shell on a terminal without colours, so that what it shows can be compared.
fn shell(dir: &Path) -> PtySession {
    let mut command = command(dir);
    command.arg("repl").env("NO_COLOR", "1");
    let mut shell = spawn_command(command, Some(PATIENCE_MS)).unwrap();
    shell.exp_string("Ctrl-D leaves").unwrap();
    shell
}

/// Types a line once the shell is ready for it: what is typed while it is busy may be lost.
fn type_line(shell: &mut PtySession, line: &str) {
    shell.exp_string(PROMPT).unwrap();
    shell.send_line(line).unwrap();
}

/// Feeds a program and waits for it.
fn feed(mut command: Command, stdin: &str) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn sql(dir: &Path, args: &[&str]) -> Output {
    let mut command = command(dir);
    command.arg("sql").args(args);
    feed(command, "")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn statements_may_take_several_lines_and_each_sees_the_newest_runs() {
    let dir = store();
    let mut shell = shell(dir.path());
    type_line(&mut shell, "SELECT count(*) AS n -- no end;");
    shell.send_line("FROM runs").unwrap();
    shell.send_line("WHERE name <> ';';").unwrap();
    shell.exp_regex(r"n\r\n[^\r]+\r\n5\r\n1 row").unwrap();
    let other = Store::open(dir.path().join("store")).unwrap();
    let run = other.start_run(RunOptions::new("churn").name("late")).unwrap();
    run.finish(Status::Finished).unwrap();
    type_line(&mut shell, "SELECT count(*) AS n FROM runs;");
    shell.exp_regex(r"n\r\n[^\r]+\r\n6\r\n1 row").unwrap();
    shell.exp_string(PROMPT).unwrap();
    shell.send_control('d').unwrap();
    shell.exp_eof().unwrap();
}

#[test]
fn tab_completes_keywords_tables_and_keys() {
    let dir = store();
    let mut shell = shell(dir.path());
    shell.exp_string(PROMPT).unwrap();
    shell.send("SEL\t params.l\t AS x FROM runs ORD\t BY x LIM\t 1;\n").unwrap();
    shell.exp_string("SELECT params.lr AS x FROM runs ORDER BY x LIMIT").unwrap();
    shell.exp_regex(r"x\r\n[^\r]+\r\n0\.1\r\n1 row").unwrap();
    shell.exp_string(PROMPT).unwrap();
    shell.send("SELECT max(params.tra\t) AS y FROM runs;\n").unwrap();
    shell.exp_string("params['train loss (v2)']").unwrap();
    shell.exp_regex(r"y\r\n[^\r]+\r\n4\r\n1 row").unwrap();
    shell.exp_string(PROMPT).unwrap();
    shell.send(".ti\toff\n").unwrap();
    shell.exp_string(".timing ").unwrap();
    shell.exp_string(PROMPT).unwrap();
    shell.send(".q\t\n").unwrap();
    shell.exp_eof().unwrap();
}

#[test]
fn ctrl_c_cancels_the_statement_and_keeps_the_shell() {
    let dir = store();
    let mut shell = shell(dir.path());
    // Held threads included: this join gives its thread back to nobody for minutes.
    for _ in 0..2 {
        type_line(
            &mut shell,
            "SELECT count(*) FROM generate_series(1,1000000) a(x), generate_series(1,1000000) b(y) WHERE x*y=7;",
        );
        shell.exp_string("Ctrl-C cancels").unwrap();
        shell.send_control('c').unwrap();
        shell.exp_string("cancelled").unwrap();
    }
    type_line(&mut shell, "SELECT 40 + 2 AS n;");
    shell.exp_regex(r"42\r\n1 row").unwrap();
    // While nothing runs it only clears the line.
    shell.exp_string(PROMPT).unwrap();
    shell.send("SELECT nonsense").unwrap();
    shell.send_control('c').unwrap();
    type_line(&mut shell, "SELECT 40 + 3 AS n;");
    shell.exp_regex(r"43\r\n1 row").unwrap();
    type_line(&mut shell, "\\q");
    shell.exp_eof().unwrap();
}

#[test]
fn commands_work_in_both_spellings() {
    let dir = store();
    let mut shell = shell(dir.path());
    type_line(&mut shell, ".tables");
    shell.exp_regex(r"\r\nruns +one row per run").unwrap();
    type_line(&mut shell, "\\dt");
    shell.exp_regex(r"\r\nmetrics +").unwrap();
    type_line(&mut shell, "\\d runs");
    shell.exp_regex(r"params\.lr +double +5").unwrap();
    type_line(&mut shell, ".mode line");
    type_line(&mut shell, "SELECT 1 AS one, NULL AS two;");
    shell.exp_regex(r"one = 1\r\ntwo = NULL\r\n").unwrap();
    type_line(&mut shell, ".output runs.csv");
    type_line(&mut shell, "SELECT name FROM runs WHERE params.lr < 0.15;");
    shell.exp_string("1 row written to runs.csv as csv").unwrap();
    type_line(&mut shell, "\\o");
    std::fs::write(dir.path().join("script.sql"), ".mode csv\nSELECT 1\n  AS a;\nSELECT 'x;y' AS b;").unwrap();
    type_line(&mut shell, "\\i script.sql");
    shell.exp_regex(r"a\r\n1\r\n").unwrap();
    shell.exp_regex(r"b\r\nx;y\r\n").unwrap();
    type_line(&mut shell, ".nope");
    shell.exp_string("error: no command '.nope'").unwrap();
    type_line(&mut shell, "SELECT params.lrr FROM runs;");
    shell.exp_string("closest is 'params.lr'; `.describe runs`").unwrap();
    type_line(&mut shell, ".help");
    shell.exp_regex(r"\.pager on\|off").unwrap();
    type_line(&mut shell, "exit");
    shell.exp_eof().unwrap();
    assert_eq!(std::fs::read_to_string(dir.path().join("runs.csv")).unwrap(), "name\ngbm-0\n");
}

#[test]
fn the_editor_gives_the_statement_back_for_a_last_look() {
    let dir = store();
    let mut command = command(dir.path());
    command.arg("repl").env("NO_COLOR", "1").env_remove("VISUAL").env("EDITOR", "sed -i s/17/18/");
    let mut shell = spawn_command(command, Some(PATIENCE_MS)).unwrap();
    type_line(&mut shell, "SELECT 17 * 100 AS n;");
    shell.exp_string("1700").unwrap();
    type_line(&mut shell, "\\e");
    shell.exp_string("SELECT 18 * 100 AS n;").unwrap();
    shell.send("\n").unwrap();
    shell.exp_string("1800").unwrap();
}

#[test]
fn the_history_outlives_the_shell() {
    let dir = store();
    let mut first = shell(dir.path());
    type_line(&mut first, "SELECT 6 *\n7 AS n;");
    first.exp_regex(r"42\r\n1 row").unwrap();
    first.exp_string(PROMPT).unwrap();
    first.send_control('d').unwrap();
    first.exp_eof().unwrap();
    assert!(dir.path().join("state/runlake/history").is_file());
    let mut second = shell(dir.path());
    // Up, then Enter.
    second.exp_string(PROMPT).unwrap();
    second.send("\u{1b}[A\n").unwrap();
    second.exp_regex(r"42\r\n1 row").unwrap();
}

#[test]
fn a_terminal_sees_colours_unless_told_otherwise_and_never_those_of_a_name() {
    let dir = store();
    let ask = "SELECT name, status FROM runs ORDER BY name;";
    for (no_color, format) in [(false, "table"), (true, "table"), (false, "csv"), (false, "line"), (true, "json")] {
        let mut command = command(dir.path());
        command.args(["sql", "-c", ask, "--format", format]);
        if no_color {
            command.env("NO_COLOR", "1");
        }
        let mut session = spawn_command(command, Some(PATIENCE_MS)).unwrap();
        let shown = session.exp_eof().unwrap();
        assert!(shown.contains("evil"), "{shown}");
        // The pty's bytes arrive as a character each.
        let bidi: String = "\u{202e}".bytes().map(char::from).collect();
        assert!(!shown.contains("\u{1b}[2J") && !shown.contains(&bidi), "{format}: {shown:?}");
        assert_eq!(shown.contains('\u{1b}'), !no_color && format == "table", "{format}: {shown:?}");
    }
}

#[test]
fn a_terminal_is_told_what_was_cut_and_how_to_see_it() {
    let dir = store();
    let mut shell = shell(dir.path());
    type_line(&mut shell, "SELECT value AS v FROM generate_series(1, 250);");
    shell.exp_string("100 of 250 rows shown").unwrap();
    shell.exp_string("`.rows all` shows all rows").unwrap();
    type_line(&mut shell, ".rows all");
    type_line(&mut shell, "SELECT value AS v FROM generate_series(1, 250);");
    shell.exp_regex(r"249\r\n250\r\n250 rows").unwrap();
    type_line(&mut shell, ".pager on");
    type_line(&mut shell, ".rows 10");
    type_line(&mut shell, "SELECT value AS v FROM generate_series(1, 130);");
    shell.exp_regex(r"129\r\n130\r\n").unwrap();
}

#[test]
fn without_a_terminal_the_shell_runs_what_it_reads() {
    let dir = store();
    let mut shell = command(dir.path());
    shell.arg("repl");
    let output = feed(shell, ".mode csv\nSELECT name, params.lr\nFROM runs ORDER BY name LIMIT 2;\n\\q\nSELECT never;");
    assert_eq!(text(&output.stderr), "");
    assert_eq!(text(&output.stdout).lines().next_back(), Some("gbm-0,0.1"));
    assert!(output.status.success());
    let mut shell = command(dir.path());
    shell.arg("repl");
    let output = feed(shell, "SELECT nope FROM runs; SELECT 1;");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stdout), "");
}

#[test]
fn sql_stops_at_the_first_error_and_names_it() {
    let dir = store();
    let output = sql(dir.path(), &["--format", "csv", "-c", "SELECT 1 AS a; -- ;\nSELECT b;\nSELECT 2 AS c"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stdout), "a\n1\n");
    let error = text(&output.stderr);
    assert!(error.starts_with("error: statement 2 of 3, line 2: "), "{error}");
    assert_eq!(sql(dir.path(), &["-c", " ; -- nothing"]).status.code(), Some(2));
    assert_eq!(sql(dir.path(), &["-c", "SELECT 1", "--format", "xml"]).status.code(), Some(2));
}

#[test]
fn sql_takes_values_from_outside_the_text() {
    let dir = store();
    let ask = "SELECT name, $n AS n, $t AS t FROM runs WHERE params.lr < $lr AND name <> $name ORDER BY name LIMIT $k";
    let mut args = vec!["--format", "ndjson", "-c", ask];
    for param in ["n=null", "t='1'", "lr=0.35", "name=gbm-0'; DROP TABLE runs; --", "k=2"] {
        args.extend(["--param", param]);
    }
    let output = sql(dir.path(), &args);
    assert_eq!(text(&output.stderr), "");
    let expected = "{\"name\":\"gbm-0\",\"n\":null,\"t\":\"1\"}\n{\"name\":\"gbm-1\",\"n\":null,\"t\":\"1\"}\n";
    assert_eq!(text(&output.stdout), expected);
}

#[test]
fn sql_writes_files_whole_or_not_at_all() {
    let dir = store();
    let out = dir.path().join("out.parquet");
    let path = out.to_str().unwrap();
    assert!(sql(dir.path(), &["-c", "SELECT * FROM runs", "--out", path]).status.success());
    assert_eq!(&std::fs::read(&out).unwrap()[..4], b"PAR1");
    let md = dir.path().join("out.md");
    let args = ["-c", "SELECT name FROM runs LIMIT 1; SELECT nope", "--out", md.to_str().unwrap()];
    assert_eq!(sql(dir.path(), &args).status.code(), Some(1));
    assert!(!md.exists());
    let left = std::fs::read_dir(dir.path())
        .unwrap()
        .filter(|e| e.as_ref().unwrap().path().extension() == Some("part".as_ref()));
    assert_eq!(left.count(), 0);
    // Known before the query runs.
    let args = ["-c", "SELECT nope", "--out", "/no/such/folder/x.csv"];
    assert!(text(&sql(dir.path(), &args).stderr).contains("cannot write '/no/such/folder/x.csv'"));
    let args = ["-c", "SELECT 1; SELECT 2", "--out", path];
    assert_eq!(sql(dir.path(), &args).status.code(), Some(2));
}

#[test]
fn sql_ends_quietly_when_its_reader_leaves_in_time_or_is_interrupted() {
    let dir = store();
    let long = "SELECT count(*) FROM generate_series(1,1000000) a(x), generate_series(1,1000000) b(y) WHERE x*y=7";
    let output = sql(dir.path(), &["-c", long, "--timeout", "0.3"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("took longer than 0.3 s"));

    let mut rows = command(dir.path());
    rows.args(["sql", "--format", "csv", "-c", "SELECT value FROM generate_series(1, 3000000)"]);
    let mut child = rows.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(text(&output.stderr), "");
    assert!(output.status.success());

    let mut child = command(dir.path());
    let out = dir.path().join("never.csv");
    child.args(["sql", "-c", long, "--out", out.to_str().unwrap()]);
    let child = child.spawn().unwrap();
    // Its half-made file shows that it has begun to listen to Ctrl-C.
    while !std::fs::read_dir(dir.path()).unwrap().any(|e| e.unwrap().file_name().to_string_lossy().contains(".part")) {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    std::thread::sleep(std::time::Duration::from_millis(500));
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert!(!out.exists());
}
