//! Somebody turns pages with SQL in them into reports.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use runlake::report::{Form, Rendered, Report, ReportOptions};
use runlake::{Metrics, RunOptions, Status, Store};
use tempfile::TempDir;

use crate::program::{done, runlake, text};

/// The demo store, made once.
pub fn demo() -> &'static Path {
    static DEMO: OnceLock<TempDir> = OnceLock::new();
    let dir = DEMO.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_runlake"));
        done(command.arg("demo").arg(dir.path().join("demo")).stdin(Stdio::null()));
        dir
    });
    // Under one name, whatever the folder is called.
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| dir.path().join("demo"))
}

fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("sample_data/reports/{name}.md"));
    std::fs::read_to_string(path).unwrap()
}

async fn rendered(store: &Store, source: &str, options: &ReportOptions) -> Rendered {
    Report::new("page.md", source).render(store, options).await.unwrap()
}

pub fn command(dir: &Path, store: &Path, args: &[&str]) -> Output {
    runlake(store).arg("report").args(args).current_dir(dir).output().unwrap()
}

/// All that a report is, as one text.
pub fn whole(report: &Rendered) -> String {
    let mut text = report.page.clone();
    for file in &report.files {
        text += &format!("\n==> {}\n{}", file.name, String::from_utf8_lossy(&file.content));
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sample_reports_stay_what_they_are_to_the_byte() {
    let store = Store::open(demo()).unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reports");
    for name in ["leaderboard", "features", "candidate"] {
        for (form, ending) in [(Form::Html, "html"), (Form::Markdown, "md")] {
            let options = ReportOptions { form, ..ReportOptions::default() };
            let report = rendered(&store, &page(name), &options).await;
            assert_eq!(whole(&report), whole(&rendered(&store, &page(name), &options).await), "{name} {ending}");
            let pictures: &[(&str, &str)] = match (name, form) {
                ("features", Form::Markdown) => &[("files/3.svg", "effects")],
                ("leaderboard", Form::Markdown) => &[("files/4.svg", "pareto")],
                ("candidate", Form::Markdown) => &[("files/3.svg", "heat")],
                _ => &[],
            };
            for (file, picture) in pictures {
                let found = report.files.iter().find(|found| found.name == *file).expect("it is there");
                let shown = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/images/{picture}.svg"));
                if std::env::var_os("UPDATE_REPORTS").is_some() {
                    std::fs::write(&shown, &found.content).unwrap();
                }
                assert_eq!(std::fs::read(&shown).unwrap_or_default(), found.content, "{}", shown.display());
            }
            // One file holds the page and, of Markdown, its pictures; CSV is proved elsewhere.
            let file = folder.join(format!("{name}.{ending}"));
            let found = match form {
                Form::Html => report.page.clone(),
                Form::Markdown => whole(&report),
            };
            if std::env::var_os("UPDATE_REPORTS").is_some() {
                std::fs::write(&file, &found).unwrap();
                continue;
            }
            let expected = std::fs::read_to_string(&file).unwrap_or_default();
            if let Some((line, (was, is))) =
                expected.lines().zip(found.lines()).enumerate().find(|(_, (was, is))| was != is)
            {
                panic!("{}:{}: was\n{was}\nis\n{is}\nUPDATE_REPORTS=1 writes it anew", file.display(), line + 1);
            }
            assert_eq!(expected.len(), found.len(), "{}: UPDATE_REPORTS=1 writes it anew", file.display());
        }
    }
}

pub fn log_run(store: &Store, experiment: &str, name: &str, auc: f64) {
    let run = store.start_run(RunOptions::new(experiment).name(name)).unwrap();
    run.log_param("model", name).unwrap();
    for step in 0..3 {
        run.log_metrics(Metrics::new().value("auc", auc + step as f64 / 100.0).step(step)).unwrap();
    }
    run.finish(Status::Finished).unwrap();
}

const CURVES: &str = "# Curves\n\nMean {{ value(\"SELECT avg(value) FROM metrics\") }}\n\n\
    ```sql chart=line\nSELECT name, step, value FROM metrics JOIN runs USING (run_id) ORDER BY name, step\n```\n\n\
    ```sql\nSELECT name, avg(value) AS mean, stddev(value) AS std FROM metrics JOIN runs USING (run_id) GROUP BY name ORDER BY name\n```\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_state_gives_the_same_bytes_before_and_after_compaction() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path().join("store")).unwrap();
    for batch in 0..12 {
        for i in 0..5 {
            log_run(&store, "e", &format!("run-{batch}-{i}"), 0.1 + f64::from(batch * 5 + i) / 97.0);
        }
        store.seal().await.unwrap();
    }
    for form in [Form::Html, Form::Markdown] {
        let options = ReportOptions { form, as_of: Some("12".parse().unwrap()), ..ReportOptions::default() };
        let before = whole(&rendered(&store, CURVES, &options).await);
        assert!(before.contains("As of state 12"));
        assert!(store.compact(2).await.unwrap().files_before > 0 || form == Form::Markdown);
        log_run(&store, "e", "later", 0.9);
        let after = whole(&rendered(&store, CURVES, &options).await);
        assert_eq!(before, after);
        let now = ReportOptions { as_of: None, ..options };
        assert!(whole(&rendered(&store, CURVES, &now).await).contains("later"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_runs_are_markup_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path().join("store")).unwrap();
    let names = [
        "<script>alert(1)</script>",
        "a | b",
        "two\nlines\n# heading",
        "\u{202e}reversed",
        "שלום",
        "![x](http://example.org/x.png)",
        "`code` *bold* [link](javascript:alert(1))",
        "\" onload=\"alert(1)",
        "```\nsql",
        "$x$",
        "1. first",
        "{{ value('SELECT 1') }}",
        "'; DROP TABLE runs; --",
    ];
    for (i, name) in names.iter().enumerate() {
        log_run(&store, "e", name, 0.5 + i as f64 / 100.0);
    }
    let source = "# {{ rows('SELECT name FROM runs ORDER BY start_time, run_id')[0].name }}\n\n\
        {% for run in rows('SELECT name FROM runs ORDER BY name') %}\n- {{ run.name }} in `{{ run.name }}`, \
        [there](https://example.org/{{ run.name }}), [here]({{ run.name }}) <b title=\"{{ run.name }}\">x</b>\n\n{{ run.name }}\n\n\
        ```sql title=\"{{ run.name }}\"\nSELECT name, metrics.auc FROM runs WHERE name = {{ run.name }}\n```\n{% endfor %}\n\n\
        ```sql chart=bar\nSELECT name, metrics.auc FROM runs ORDER BY name\n```\n";
    let html = rendered(&store, source, &ReportOptions::default()).await.page;
    let body = html.split_once("</style>").unwrap().1.to_lowercase();
    for bad in ["<script", "<img", "href=\"javascript:", "\u{202e}"] {
        assert!(!body.contains(bad), "{bad}: {}", &body[body.find(bad).unwrap().saturating_sub(200)..]);
    }
    let tags = body.split('<').skip(1).map(|tag| tag.split('>').next().unwrap());
    assert!(tags.clone().count() > 100 && tags.clone().all(|tag| !tag.contains("onload=\"")), "{body}");
    assert_eq!(body.matches("<h1").count(), 1);
    assert_eq!(body.matches("<figure>").count(), names.len(), "each name was found by its query");
    assert!(!body.contains("no rows"), "{body}");
    assert!(body.contains("<li>&lt;script&gt;alert(1)&lt;/script&gt; in ") && body.contains("<bdi>שלום</bdi>"));

    let options = ReportOptions { form: Form::Markdown, ..ReportOptions::default() };
    let markdown = rendered(&store, source, &options).await;
    assert!(!markdown.page.contains('\u{202e}'), "{}", markdown.page);
    // What reads Markdown sees no markup beyond the page's own.
    let (mut headings, mut images, mut breaks) = (Vec::new(), Vec::new(), 0);
    let parser = pulldown_cmark::Parser::new_ext(&markdown.page, pulldown_cmark::Options::ENABLE_TABLES);
    for (event, range) in parser.into_offset_iter() {
        use pulldown_cmark::{Event, Tag};
        match event {
            Event::Start(Tag::Heading { .. }) => headings.push(&markdown.page[range]),
            Event::Start(Tag::Image { .. }) => images.push(&markdown.page[range]),
            Event::Start(Tag::CodeBlock(_)) => panic!("there is no code in {}", markdown.page),
            Event::Start(Tag::Link { dest_url, .. }) => {
                assert!(!dest_url.to_lowercase().starts_with("javascript:"), "{dest_url}");
            }
            Event::Html(html) | Event::InlineHtml(html) => {
                let known = ["<br>", "<b", "</b>"].iter().any(|tag| html.starts_with(tag));
                assert!(known && !html.contains("onload=\""), "{html}");
                breaks += 1;
            }
            _ => {}
        }
    }
    assert_eq!((headings.len(), images.len()), (1, 1), "{headings:?} {images:?}");
    assert!(breaks > 0);
}

#[test]
fn a_block_that_fails_is_named_with_its_line_and_its_query() {
    let dir = tempfile::tempdir().unwrap();
    let source = "# A page\n\nText {{ value(\"SELECT count(*) FROM runs\") }}\n\n{% for i in [1, 2] %}\nLoop {{ i }}\n\n\
        ```sql name=first\nSELECT {{ i }} AS i\n```\n{% endfor %}\n\n> ```sql chart=line\n> SELECT nothing\n> FROM runs\n> ```\n\n\
        ```sql\nSELECT 'after' AS it\n```\n";
    std::fs::write(dir.path().join("page.md"), source).unwrap();
    let out = command(dir.path(), demo(), &["page.md"]);
    let told = text(&out.stderr);
    assert_eq!(out.status.code(), Some(1), "{told}");
    assert!(told.contains("error: page.md:13: ") && told.contains("nothing"), "{told}");
    assert!(told.contains("  | SELECT nothing") && told.contains("  | FROM runs"), "{told}");
    assert!(!dir.path().join("page.html").exists());

    let out = command(dir.path(), demo(), &["page.md", "--keep-going"]);
    assert_eq!(out.status.code(), Some(1), "{}", text(&out.stderr));
    assert!(text(&out.stderr).contains("page.md:13: "));
    let html = std::fs::read_to_string(dir.path().join("page.html")).unwrap();
    assert!(html.contains("class=\"failed\">page.md:13: ") && html.contains("<td>after</td>"), "{html}");

    for (source, line, why) in [
        ("x\n\n{{ value('SELECT 1 / 0') }}", 3, "Divide by zero"),
        ("{{ value('SELECT 1, 2') }}", 1, "one row of one column"),
        ("a\n{{ nobody }}", 2, "`nobody`"),
        ("a\n\n{% if %}", 3, "no template"),
        ("```sql chart=pie\nSELECT 1\n```", 1, "no chart 'pie'"),
        ("\n\n```sql chart=line y=b\nSELECT 1 AS a, 2 AS step\n```", 3, "no column 'b'"),
        ("```sql\nDELETE FROM runs\n```", 1, "only"),
        ("```sql\n```", 1, "no statement"),
    ] {
        std::fs::write(dir.path().join("bad.md"), source).unwrap();
        let out = command(dir.path(), demo(), &["bad.md"]);
        let told = text(&out.stderr);
        assert_eq!(out.status.code(), Some(1), "{source}: {told}");
        assert!(told.contains(&format!("error: bad.md:{line}: ")) && told.contains(why), "{source}: {told}");
        let out = command(dir.path(), demo(), &["bad.md", "--keep-going"]);
        assert_eq!(out.status.code(), Some(1), "{source}: {}", text(&out.stderr));
    }
}

#[test]
fn parameters_reach_the_text_and_the_queries() {
    let dir = tempfile::tempdir().unwrap();
    let source = "# {{ experiment | default('none') }}\n\n{% if n > 3 %}many{% else %}few{% endif %}\n\n\
        ```sql\nSELECT $experiment AS experiment, $n + 1 AS n, {{ experiment }} AS again\n```\n";
    std::fs::write(dir.path().join("page.md"), source).unwrap();
    let args = ["page.md", "--out", "out.md", "--param", "experiment=it's <b>", "--param", "n=5"];
    let out = command(dir.path(), demo(), &args);
    assert!(out.status.success(), "{}", text(&out.stderr));
    let markdown = std::fs::read_to_string(dir.path().join("out.md")).unwrap();
    assert!(markdown.starts_with("# it's &lt;b&gt;\n\nmany\n"), "{markdown}");
    assert!(markdown.contains("| it's &lt;b&gt; | 6 | it's &lt;b&gt; |"), "{markdown}");
    let out = command(dir.path(), demo(), &["page.md", "--param", "n=1"]);
    assert_eq!(out.status.code(), Some(1));
    assert!(text(&out.stderr).contains("there are values for n;"), "{}", text(&out.stderr));
}

#[test]
fn long_tables_are_cut_and_all_of_them_is_beside() {
    let dir = tempfile::tempdir().unwrap();
    let sql = "SELECT run_id, metrics.cv_auc FROM runs WHERE experiment = 'wine' ORDER BY run_id";
    std::fs::write(dir.path().join("page.md"), format!("```sql rows=3 name=all\n{sql}\n```\n")).unwrap();
    for (out, link) in [("my page.html", "href=\"my%20page_files/all.csv\""), ("page2.md", "](page2_files/all.csv)")] {
        let done = command(dir.path(), demo(), &["page.md", "--out", out]);
        assert!(done.status.success(), "{}", text(&done.stderr));
        let page = std::fs::read_to_string(dir.path().join(out)).unwrap();
        assert!(page.contains("3 of 620 rows; ") && page.contains(link), "{page}");
    }
    let csv = std::fs::read_to_string(dir.path().join("my page_files/all.csv")).unwrap();
    assert_eq!(csv, done(runlake(demo()).args(["sql", "--format", "csv", "-c", sql])));
}

#[test]
fn a_page_to_begin_with_renders_and_nothing_is_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    assert!(command(dir.path(), demo(), &["--init", "weekly.md"]).status.success());
    let again = command(dir.path(), demo(), &["--init", "weekly.md"]);
    assert_eq!(again.status.code(), Some(2));
    assert!(text(&again.stderr).contains("exists already"));
    let out = command(dir.path(), demo(), &["weekly.md"]);
    assert!(out.status.success(), "{}", text(&out.stderr));
    assert!(std::fs::read_to_string(dir.path().join("weekly.html")).unwrap().contains("2756 runs"));
    for args in
        [["weekly.md", "--out", "weekly.md"], ["weekly.md", "--out", "./weekly.md"], ["weekly.md", "--out", "x.pdf"]]
    {
        let out = command(dir.path(), demo(), &args);
        assert_eq!(out.status.code(), Some(2), "{args:?}: {}", text(&out.stderr));
    }
    let out = command(dir.path(), demo(), &["missing.md"]);
    assert_eq!(out.status.code(), Some(2));
    assert!(text(&out.stderr).contains("--init"));
    let out = command(dir.path(), demo(), &["weekly.md", "--out", "-"]);
    assert!(out.status.success() && text(&out.stdout).starts_with("<!doctype html>"));
    // An empty store is no reason to fail.
    let empty = dir.path().join("empty");
    Store::create(&empty).unwrap();
    let out = command(dir.path(), &empty, &["weekly.md"]);
    assert!(out.status.success(), "{}", text(&out.stderr));
    let html = std::fs::read_to_string(dir.path().join("weekly.html")).unwrap();
    assert!(html.contains("<figcaption>Runs per day</figcaption>\n<p class=\"note\">no rows</p>"), "{html}");
}

#[test]
fn checks_in_a_page_decide_how_the_command_ends() {
    let dir = tempfile::tempdir().unwrap();
    for (claim, code, shown) in [("value >= 0.5", 0, "✓"), ("value >= 2", 3, "✗"), ("value >= $missing", 1, "?")] {
        let source = format!(
            "```sql checks\n-- check: good\n-- expect: {claim}\nSELECT max(metrics.cv_auc) FROM runs WHERE experiment = 'wine';\n```\n"
        );
        std::fs::write(dir.path().join("gate.md"), source).unwrap();
        let out = command(dir.path(), demo(), &["gate.md", "--out", "-"]);
        assert_eq!(out.status.code(), Some(code), "{claim}: {}", text(&out.stderr));
        assert!(text(&out.stdout).contains(&format!("<td>{shown}\u{a0}")), "{claim}: {}", text(&out.stdout));
        // What does not hold is told where the command is run, too.
        assert_eq!(text(&out.stderr).matches("check 'good' ").count(), usize::from(code != 0), "{}", text(&out.stderr));
    }
}

/// Waits until a file says so.
fn waited(file: &Path, wanted: &str) {
    let begun = Instant::now();
    while !std::fs::read_to_string(file).is_ok_and(|text| text.contains(wanted)) {
        assert!(begun.elapsed() < Duration::from_secs(60), "{} does not say '{wanted}'", file.display());
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_watched_page_follows_the_page_and_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("store");
    let store = Store::create(&home).unwrap();
    let page = |text: &str| {
        let source = format!("{text} {{{{ value('SELECT count(*) FROM runs') }}}} runs");
        std::fs::write(dir.path().join("page.md"), source).unwrap();
    };
    page("first");
    let mut watch = runlake(&home);
    let told = dir.path().join("told");
    watch.args(["report", "page.md", "--watch"]).current_dir(dir.path());
    watch.stderr(std::fs::File::create(&told).unwrap());
    let mut watching = watch.spawn().unwrap();
    let html = dir.path().join("page.html");
    waited(&html, "first 0 runs");
    page("second");
    waited(&html, "second 0 runs");
    log_run(&store, "e", "gbm", 0.5);
    waited(&html, "second 1 runs");
    // A slip is told, and mended without a new start.
    std::fs::write(dir.path().join("page.md"), "{{ nobody }}").unwrap();
    waited(&told, "page.md:1: a name here is not known");
    page("third");
    waited(&html, "third 1 runs");
    // Neither the page nor the store is there for a moment.
    std::fs::remove_file(dir.path().join("page.md")).unwrap();
    waited(&told, "cannot read 'page.md'");
    page("fourth");
    waited(&html, "fourth 1 runs");
    std::fs::rename(&home, dir.path().join("away")).unwrap();
    page("fifth");
    waited(&told, "is not a runlake store");
    std::thread::sleep(Duration::from_millis(1200));
    std::fs::rename(dir.path().join("away"), &home).unwrap();
    waited(&html, "fifth 1 runs");
    let told = std::fs::read_to_string(&told).unwrap();
    assert_eq!(told.matches("error: ").count(), 3, "{told}");
    watching.kill().unwrap();
    watching.wait().unwrap();
}

#[test]
fn answers_of_other_commands_are_drawn_the_same_way() {
    let dir = tempfile::tempdir().unwrap();
    let first = done(
        runlake(demo())
            .args(["sql", "--format", "csv", "-c"])
            .arg("SELECT run_id FROM metric_stats WHERE key = 'val_loss' AND count > 5 ORDER BY run_id LIMIT 2"),
    );
    let runs: Vec<&str> = first.lines().skip(1).collect();
    for (args, shown) in [
        (vec!["curve", "val_loss", runs[0], runs[1]], "val_loss"),
        (vec!["curve", "val_loss", runs[0], "--x", "time", "--log"], "time since the first point (s)"),
        (vec!["top", "cv_auc", "-e", "wine"], "Best by cv_auc"),
        (vec!["top", "cv_auc", "-e", "wine", "--by", "config"], "Best by cv_auc"),
        (vec!["top", "cv_auc", "-e", "wine", "--by", "feature_set"], "Best by cv_auc"),
        (vec!["top", "cv_auc", "-e", "wine", "--by", "param", "model"], "svm"),
        // What is ranked within a block is drawn within it.
        (vec!["top", "cv_auc", "-e", "wine", "--by", "config"], ">v2-clean</text>"),
        (vec!["top", "cv_auc", "-e", "%", "--by", "param", "model"], ">wine · v3-noisy</text>"),
        (vec!["top", "auc", "-e", "breast-cancer", "--by", "feature_set"], ">v4-balanced</text>"),
        (vec!["pareto", "cv_auc max", "fit_time_s min", "-e", "wine"], ">v3-noisy</text>"),
        (vec!["pareto", "cv_auc max", "fit_time_s min", "-e", "wine"], "fit_time_s (s)"),
    ] {
        let file = dir.path().join("picture.svg");
        let out = runlake(demo()).args(&args).arg("--svg").arg(&file).output().unwrap();
        assert!(out.status.success() && out.stdout.is_empty(), "{args:?}: {}", text(&out.stderr));
        let svg = std::fs::read_to_string(&file).unwrap();
        assert!(svg.starts_with("<svg ") && svg.contains(shown), "{args:?}");
        std::fs::remove_file(&file).unwrap();
    }
}
