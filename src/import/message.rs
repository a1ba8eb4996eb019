//! What the JSON reader says, in the words of this project.

/// Rewrites a message of `serde_json`: quotes as elsewhere, and the place only where the text is no JSON at all.
pub fn of(e: &serde_json::Error) -> String {
    let text = e.to_string();
    let (text, place) = match text.rfind(" at line 1 column ") {
        Some(at) => (&text[..at], Some(e.column())),
        None => (text.as_str(), None),
    };
    let text = text.replace('`', "'");
    match place {
        Some(column) if e.is_syntax() || e.is_eof() => {
            // What Python writes for them by default. A line that is wrong from its start on is something else.
            let hint = match column > 1 && (text.contains("expected value") || text.contains("out of range")) {
                true => {
                    r#"; NaN and infinities are the texts "NaN", "Infinity" and "-Infinity" (in params {"$float":"NaN"})"#
                }
                false => "",
            };
            format!("not JSON: {text} at column {column}{hint}")
        }
        _ => text,
    }
}
