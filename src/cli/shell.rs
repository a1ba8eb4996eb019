//! Texts as they are typed into a shell.

/// A text as one word of the shell.
pub fn word(text: &str) -> String {
    match !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "._/-:@%+=,".contains(c)) {
        true => text.to_string(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_needs_quotes_has_them() {
        assert_eq!(word("churn-2"), "churn-2");
        assert_eq!(word("my exp"), "'my exp'");
        assert_eq!(word("it's"), r"'it'\''s'");
        assert_eq!(word(""), "''");
        assert_eq!(word("$(reboot)"), "'$(reboot)'");
    }
}
