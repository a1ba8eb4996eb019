//! Numbers in sentences.

/// A number with all its digits: rounded, 0.8999999999999999 would be "not >= 0.9" as 0.9. Whole ones have no point.
pub fn plain(x: f64) -> String {
    match x.abs() {
        size if size == 0.0 || (1e-5..1e17).contains(&size) || !x.is_finite() => format!("{x}"),
        _ => format!("{x:e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn numbers_are_exact_and_short() {
        let texts = [0.1 + 0.2, 12.0, -1e300, 1e-7, f64::NAN, 0.0, 9007199254740992.0].map(plain);
        assert_eq!(texts, ["0.30000000000000004", "12", "-1e300", "1e-7", "NaN", "0", "9007199254740992"]);
    }
}
