//! Whole numbers beyond 64 bits, which `serde_json` would turn into doubles without a word.

/// Key of the object that stands for such a number while a line is read.
pub const MARK: &str = "$runlake.int";

/// Writes the integers of 19 digits and more within the values of a `params` line as marked text. `None`: there are none.
///
/// The values stand at depth 2 of the line and, in lists and dicts, below; `line` has been read as JSON before.
pub fn mark_integers(line: &str) -> Option<String> {
    const SHORTEST: usize = 19;
    let bytes = line.as_bytes();
    let mut out = String::new();
    let (mut copied, mut depth, mut i) = (0, 0_u32, 0);
    while i < bytes.len() {
        match bytes[i] {
            b'"' => {
                i += 1;
                while i < bytes.len() && bytes[i] != b'"' {
                    i += if bytes[i] == b'\\' { 2 } else { 1 };
                }
                i += 1;
            }
            b'{' | b'[' => {
                depth += 1;
                i += 1;
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                i += 1;
            }
            b'-' | b'0'..=b'9' => {
                let start = i;
                while i < bytes.len() && matches!(bytes[i], b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9') {
                    i += 1;
                }
                let token = &line[start..i];
                if depth >= 2 && token.len() >= SHORTEST && !token.contains(['.', 'e', 'E']) {
                    out.push_str(&line[copied..start]);
                    out.push_str(&format!("{{\"{MARK}\":\"{token}\"}}"));
                    copied = i;
                }
            }
            _ => i += 1,
        }
    }
    if copied == 0 {
        return None;
    }
    out.push_str(&line[copied..]);
    Some(out)
}

/// Writes marked integers in the JSON text of a list or dict as the digits that they were.
pub fn unmark_integers(json: String) -> String {
    // Within a string the quotes would be escaped, so this can only be an object.
    let head = format!("{{\"{MARK}\":\"");
    if !json.contains(&head) {
        return json;
    }
    let mut parts = json.split(head.as_str());
    let mut out = parts.next().unwrap_or_default().to_string();
    for part in parts {
        let digits = part.find("\"}").filter(|&end| is_integer(&part[..end]));
        match digits {
            Some(end) => {
                out.push_str(&part[..end]);
                out.push_str(&part[end + 2..]);
            }
            None => {
                out.push_str(&head);
                out.push_str(part);
            }
        }
    }
    out
}

fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_long_integers_among_the_values_are_marked() {
        let line = r#"{"type":"params","values":{"a":18446744073709551616,"b":"18446744073709551616","c":1e300,"d":[18446744073709551616]}}"#;
        let marked = mark_integers(line).unwrap();
        assert_eq!(marked.matches(MARK).count(), 2);
        assert_eq!(unmark_integers(marked.clone()), line);
        let odd = r#"{"$runlake.int":"x"}, {"a":"{\"$runlake.int\":\"1\"}"}"#;
        assert_eq!(unmark_integers(odd.to_string()), odd);
        assert!(marked.contains(r#""a":{"$runlake.int":"18446744073709551616"},"b":"1844"#));
        assert_eq!(mark_integers(r#"{"values":{"a":12345}}"#), None);
    }
}
