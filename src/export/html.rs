//! An HTML page with one table; all text escaped.

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;

use super::value::{Floats, is_number, value};
use super::visible::escape;
use super::{Output, Result, Sink, Written};

const HEAD: &str = "<!doctype html>
<html>
<head>
<meta charset=\"utf-8\">
<title>runlake</title>
<style>
body { font: 14px/1.4 system-ui, sans-serif; color-scheme: light dark; }
table { border-collapse: collapse; }
th, td { padding: 0.2em 0.8em; border-bottom: 1px solid #8884; text-align: left; vertical-align: top; }
td { white-space: pre-wrap; }
.n { text-align: right; font-variant-numeric: tabular-nums; }
.null { opacity: 0.4; }
</style>
</head>
<body>
<table>
";

pub(super) struct HtmlSink<'w> {
    out: Output<'w>,
    numbers: Vec<bool>,
    rows: usize,
}

impl<'w> HtmlSink<'w> {
    pub(super) fn new(out: Output<'w>) -> Self {
        HtmlSink { out, numbers: Vec::new(), rows: 0 }
    }
}

/// Text as HTML, in content and in quoted attributes; what would disturb a page is shown as an escape.
pub(crate) fn escape_html(text: &str) -> String {
    let mut html = String::with_capacity(text.len() + 8);
    push(&mut html, text);
    html
}

fn push(html: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            '\n' | '\t' => html.push(c),
            c => html.push_str(&escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
}

impl Sink for HtmlSink<'_> {
    fn schema(&mut self, schema: &Schema) -> Result<()> {
        self.numbers = schema.fields().iter().map(|field| is_number(field.data_type())).collect();
        let mut html = String::from(HEAD);
        html.push_str("<thead><tr>");
        for (field, number) in std::iter::zip(schema.fields(), &self.numbers) {
            html.push_str(if *number { "<th class=\"n\">" } else { "<th>" });
            push(&mut html, field.name());
            html.push_str("</th>");
        }
        html.push_str("</tr></thead>\n<tbody>\n");
        Ok(self.out.write_all(html.as_bytes())?)
    }

    fn batch(&mut self, batch: &RecordBatch) -> Result<()> {
        let mut html = String::new();
        let mut text = String::new();
        for row in 0..batch.num_rows() {
            html.push_str("<tr>");
            for (column, number) in std::iter::zip(batch.columns(), &self.numbers) {
                text.clear();
                if value(column.as_ref(), row).write_text(Floats::Exact, &mut text) {
                    html.push_str(if *number { "<td class=\"n\">" } else { "<td>" });
                    push(&mut html, &text);
                } else {
                    html.push_str("<td class=\"null\">NULL");
                }
                html.push_str("</td>");
            }
            html.push_str("</tr>\n");
        }
        self.rows += batch.num_rows();
        Ok(self.out.write_all(html.as_bytes())?)
    }

    fn finish(self: Box<Self>) -> Result<Written> {
        self.out.write_all(b"</tbody>\n</table>\n</body>\n</html>\n")?;
        Ok(Written { rows: self.rows, ..Default::default() })
    }
}
