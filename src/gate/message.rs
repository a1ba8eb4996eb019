//! What a check says of a row: text with `{column}` in it.

/// A text with places for columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Column(String),
}

impl Message {
    /// Reads one; `{{` and `}}` are brackets.
    ///
    /// # Errors
    /// A bracket without its pair, or with nothing in it.
    pub fn parse(text: &str) -> Result<Message, String> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            plain.push_str(&rest[..at]);
            let bracket = &rest[at..=at];
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix(bracket) {
                plain.push_str(bracket);
                rest = after;
                continue;
            }
            if bracket == "}" {
                return Err("a '}' has no '{' before it; `}}` is a bracket".to_string());
            }
            let end = rest.find('}').ok_or("a '{' is not closed; `{{` is a bracket")?;
            let column = rest[..end].trim();
            if column.is_empty() || column.contains('{') {
                return Err("the name of a column is expected between '{' and '}'".to_string());
            }
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(Piece::Column(column.to_string()));
            rest = &rest[end + 1..];
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        match pieces.is_empty() {
            true => Err("there is no text".to_string()),
            false => Ok(Message(pieces)),
        }
    }

    /// The text, with what each column holds. A column that there is not stays as it is written: a check that fails does
    /// so whatever its message.
    pub fn fill(&self, value: impl Fn(&str) -> Option<String>) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Column(name) => value(name).unwrap_or_else(|| format!("{{{name}}}")),
        };
        self.0.iter().map(piece).collect()
    }

    /// The columns that it names.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Column(name) => Some(name.as_str()),
            Piece::Text(_) => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_filled_in() {
        let message = Message::parse("{{x}} of {run name}: { auc }").unwrap();
        assert_eq!(message.columns().collect::<Vec<_>>(), ["run name", "auc"]);
        let filled = message.fill(|column| (column == "auc").then(|| "0.5 {".to_string()));
        assert_eq!(filled, "{x} of {run name}: 0.5 {");
        for text in ["", "{", "a }", "{}", "{a", "{ }", "{a{b}"] {
            assert!(Message::parse(text).is_err(), "{text}");
        }
    }
}
