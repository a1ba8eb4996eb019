//! What users wrote is in a page: it acts on nothing, whatever it is, and stands where it can.

use datafusion::common::ScalarValue;
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
use runlake::Store;
use runlake::report::{Form, Report, ReportOptions};
use tempfile::TempDir;

fn store() -> (TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path().join("store")).unwrap();
    (dir, store)
}

/// A page with a parameter `x`; the text of its error where it has one.
async fn rendered(store: &Store, form: Form, source: &str, x: &str) -> Result<String, String> {
    let params = vec![("x".to_string(), ScalarValue::from(x))];
    let options = ReportOptions { form, params, ..ReportOptions::default() };
    Report::new("page.md", source).render(store, &options).await.map(|done| done.page).map_err(|e| e.to_string())
}

/// Values that would like to be something else.
const HOSTILE: [&str; 58] = [
    "<script>alert(1)</script>",
    "javascript:alert(1)",
    "&#106;avascript:alert(3)",
    "javascript&colon;alert(4)",
    " # big",
    "# big",
    "   - item",
    "    code",
    "- item",
    "+ item",
    "* item",
    "1. one",
    "1) one",
    "7",
    "-",
    "---",
    "===",
    "***",
    "a|b",
    "| a | b |",
    "\" onmouseover=\"alert(1)",
    "' onmouseover='alert(1)",
    "\") [l](javascript:alert(1) \"",
    "`",
    "``",
    "```",
    "~~~",
    "```\ncode\n```",
    "a\n\nb",
    "\n",
    "\r\n# x",
    "",
    " ",
    "  ",
    "$x$",
    "**bold**",
    "_it_",
    "~~gone~~",
    "[l](javascript:alert(1))",
    "![i](http://a.org/i.png)",
    "[r]",
    "[^1]",
    "<http://a.org>",
    "(javascript:alert(1))",
    ": javascript:alert(1)",
    "> quote",
    "\\",
    "a\\",
    "!",
    "a!",
    "x",
    "^1",
    "[ ]",
    "b onclick=alert(1)",
    "onclick=alert(1)",
    "\u{202e}reversed",
    "a\u{ffff}b",
    "&lt;b&gt;",
];

/// What a page is made of: all but its texts.
fn shape(page: &str) -> Vec<String> {
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_GFM;
    let mut shape = Vec::new();
    for event in Parser::new_ext(page, options) {
        match event {
            Event::Text(_) | Event::SoftBreak => {}
            Event::Code(_) => shape.push("code".to_string()),
            // Text between tags, and a line end of a value.
            Event::Html(html) if !html.starts_with('<') => {}
            Event::InlineHtml(html) if &*html == "<br>" => {}
            Event::Html(html) | Event::InlineHtml(html) => {
                let tag = html.split(|c: char| c.is_whitespace() || c == '>').next().unwrap_or_default();
                shape.push(format!("html {tag}"));
                assert!(!html.contains("href=\"javascript:") && !html.contains(" onmouseover=\""), "{html}");
            }
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                assert!(!dest_url.trim().to_lowercase().starts_with("javascript:"), "{dest_url}");
                shape.push("link".to_string());
            }
            Event::Start(Tag::CodeBlock(_)) => shape.push("code block".to_string()),
            Event::Start(tag) => shape.push(format!("{tag:?}")),
            Event::End(TagEnd::CodeBlock) => {}
            other => shape.push(format!("{other:?}")),
        }
    }
    shape
}

const PLACES: [&str; 54] = [
    "{{ x }}",
    "a {{ x }} b",
    "a\n{{ x }}\nb",
    "- {{ x }}\n- b",
    "> {{ x }}\n> b",
    "# {{ x }}",
    "a `{{ x }}` b",
    "**{{ x }}** and *a{{ x }}b*",
    "| a | b |\n| --- | --- |\n| {{ x }} | `{{ x }}` |\n| <b title=\"{{ x }}\">c</b> | [l](u{{ x }} \"{{ x }}\") |",
    "[l](u \"{{ x }}\") and [l](u '{{ x }}') and [l](u ({{ x }}))",
    "[l](http://a.org/{{ x }})",
    "[l]({{ x }}) b",
    "[l](<{{ x }}>) b",
    "![{{ x }}](u \"{{ x }}\")",
    "[{{ x }}](u)",
    "[l][r]\n\n[r]: {{ x }} \"{{ x }}\"",
    "[l][r]\n\n[r]: http://a.org/{{ x }}",
    "[l]{{ x }} and [{{ x }}] and ![l]{{ x }}",
    "[l]({{ x }} {{ x }})",
    "[l]: {{ x }} {{ x }}",
    "<{{ x }}> and <http://a.org/{{ x }}>",
    "</{{ x }}> and <b{{ x }}> and <b {{ x }}>",
    "<a href=\"{{ x }}\">l</a>",
    "<div title=\"{{ x }}\">\n{{ x }}\n</div>",
    "a ` b {{ x }} c",
    "a \\{{ x }} b",
    "{{ x }}. b",
    "1{{ x }}. b",
    "{{ x }}[l](u)",
    "-{{ x }} b",
    "- [{{ x }}] task",
    "~~~\n{{ x }}\n~~~\nb",
    "```{{ x }}\n{{ x }}\n```\nb",
    "{{ x }}{{ x }}",
    "{{ x }}\n{{ x }}",
    "> - {{ x }}\n> - b",
    "1. {{ x }}\n2. {{ x }}",
    "`{{ x }}{{ x }}` and `` {{ x }} ``",
    "a `b` {{ x }} `{{ x }}`",
    "a {{ x }}\n\n    {{ x }}\n\nb",
    "<b>{{ x }}</b> {{ x }}",
    "[a {{ x }} b](u) {{ x }}",
    "# {{ x }} #",
    "{{ x }}\n===",
    "a {{ x }} | b\n--- | ---\n{{ x }} | {{ x }}",
    "[^a]: {{ x }}\n\nb[^a]",
    "&{{ x }};",
    "*{{ x }}* _{{ x }}_ b",
    "- a\n\n  {{ x }}\n\n  {{ x }}",
    "<!-- {{ x }} --> {{ x }}",
    "> [!NOTE]\n> {{ x }}",
    "{{ x }}  \n{{ x }}",
    "[`{{ x }}` a](u \"a\")",
    "[![{{ x }}](u)]({{ x }})",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_made_of_the_same_parts_whatever_is_inserted() {
    let (_dir, store) = store();
    let mut wrong = Vec::new();
    for source in PLACES {
        let known = shape(&rendered(&store, Form::Markdown, source, "w").await.unwrap());
        for x in HOSTILE {
            let page = rendered(&store, Form::Markdown, source, x).await.unwrap();
            let html = rendered(&store, Form::Html, source, x).await.unwrap();
            let body = html.split_once("<main>").unwrap().1;
            // Outside of quotes.
            let names = |tag: &str| tag.split('>').next().unwrap().split('"').step_by(2).collect::<String>();
            let acts = body.contains("<script")
                || body.contains("href=\"javascript:")
                || body.split('<').skip(1).any(|tag| !tag.starts_with("!--") && names(tag).contains(" on"))
                || [&*page, body].iter().any(|text| text.contains(['\u{202e}', '\u{ffff}', '\u{F5A0C}', '\u{F5A0D}']));
            if acts || shape(&page) != known {
                wrong.push(format!("{source:?} with {x:?} is\n{page}\n{body}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_could_act_is_an_error_with_its_line() {
    let (_dir, store) = store();
    for (source, line, why) in [
        ("a\n\n<b title={{ x }}>b</b>", 3, "within quotes"),
        ("a\n\n<b onclick=\"{{ x }}\">b</b>", 3, "'onclick' of <b>"),
        ("<div>\n<p style=\"{{ x }}\">b</p>\n</div>", 2, "'style' of <p>"),
        ("<script>\nlet a = {{ x }};\n</script>", 2, "<script>"),
        ("a <style>{{ x }}</style>", 1, "<style>"),
        ("<a href=\"{{ x }}:alert(1)\">l</a>", 1, "before ':' or '&'"),
        ("```sql\nSELECT 1,\n  '{{ x }}'\n```", 3, "quotes of its own"),
        ("```sql\n-- {{ x }}\nSELECT 1\n```", 2, "comment"),
        ("a\n{% set q %}SELECT '{{ x }}'{% endset %}", 2, "no `{% set %}` that encloses text"),
        ("a\n{%- filter upper -%}{{ x }}{% endfilter %}", 2, "no `{% filter %}` that encloses text"),
        ("a\n{{ x | e | safe }}", 2, "no need for `| e`"),
        ("a\n\n<div onclick=\"\n\n{{ x }}\n\n\">", 5, "blank line"),
        ("```sql checks\n-- check: a\n-- expect: value = '{{ x }}'\nSELECT 1\n```", 3, "quotes of its own"),
    ] {
        for form in [Form::Html, Form::Markdown] {
            let e = rendered(&store, form, source, "it's").await.unwrap_err();
            assert!(e.starts_with(&format!("page.md:{line}: ")) && e.contains(why), "{source}: {e}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_put_together_in_a_template_is_inserted_as_what_it_is() {
    let (_dir, store) = store();
    for (source, expected) in [
        ("{% set c = 'hello ' ~ x %}{{ c }}", "hello wo\\|rld"),
        ("{{ ('abc ' ~ x) | upper }}", "ABC WO\\|RLD"),
        ("{% set c = x %}{% if c == 'wo|rld' %}{{ c[:2] }}{% endif %}", "wo"),
        ("{{ value('SELECT $c', c='a ' ~ x) }}", "a wo\\|rld"),
        ("{% set q = 'SELECT ' ~ x | sql %}{{ value(q) }}", "wo\\|rld"),
        ("{{ value('SELECT ' ~ x | sql) }}", "wo\\|rld"),
        (
            "```sql code\n{% set c = x | sql ~ \" || 'a'\" %}SELECT {{ c | safe }}\n```",
            "```sql\nSELECT 'wo|rld' || 'a'\n```",
        ),
        ("```sql\nSELECT 10-{{ -3 }} AS n\n```", "| n |\n| ---: |\n| 13 |"),
        ("{{ value('SELECT count(*) FROM runs WHERE name NOT IN ' ~ [] | sql) }}", "0"),
        ("```sql\nSELECT 1 AS `{{ x }}`\n```", "| wo\\|rld |\n| ---: |\n| 1 |"),
        ("```sql\nSELECT 1 AS \"{{ x }}\"\n```", "| wo\\|rld |\n| ---: |\n| 1 |"),
        ("{{ value('SELECT CAST(1.26 AS DECIMAL(5,2))') | round(1) }}", "1.3"),
        ("```sql code\nSELECT '\u{202e}'\n```", "```sql\nSELECT '\\u{202e}'\n```"),
    ] {
        assert_eq!(
            rendered(&store, Form::Markdown, source, "wo|rld").await.as_deref(),
            Ok(&*format!("{expected}\n")),
            "{source}"
        );
    }
    // Marks that somebody wrote are none.
    let forged = rendered(&store, Form::Markdown, "{{ x }}", "a\u{F5A0C}0\u{F5A0D}b").await.unwrap();
    assert_eq!(forged, "a\u{fffd}0\u{fffd}b\n");
    let e = rendered(&store, Form::Html, "{{ value('SELECT $l', l=[1, 2]) }}", "").await.unwrap_err();
    assert!(e.contains("$l takes one value"), "{e}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_address_of_a_reference_is_found_and_not_its_text() {
    let (_dir, store) = store();
    for source in ["[`a`][r]\n\n[r]: a\n", "[a](a)\n", "[a `a` ![a](a \"a\")](a 'a')\n", "[a]\n\n[a]: <a b> (a)\n"] {
        assert_eq!(rendered(&store, Form::Markdown, source, "").await.as_deref(), Ok(source));
    }
    let page = rendered(&store, Form::Markdown, "[l](/s?a=1&b={{ x }})", "1&c=2").await.unwrap();
    assert_eq!(page, "[l](/s?a=1&b=1&amp;c=2)\n");
}
