//! Values given on the command line: params of statements, sizes, durations.

use std::path::{Path, PathBuf};
use std::time::Duration;

use datafusion::common::ScalarValue;

/// Reads `k=v`, a value for `$k`: an integer, a float, true, false or null, else text; `'...'` is text whatever it holds.
pub fn param(text: &str) -> Result<(String, ScalarValue), String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE")?;
    let name = name.strip_prefix('$').unwrap_or(name);
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err("a name is made of letters, digits and '_'".to_string());
    }
    Ok((name.to_string(), scalar(value)))
}

fn scalar(text: &str) -> ScalarValue {
    if let Some(quoted) = text.strip_prefix('\'').and_then(|t| t.strip_suffix('\'')) {
        return ScalarValue::from(quoted);
    }
    match text.to_ascii_lowercase().as_str() {
        "true" => return ScalarValue::from(true),
        "false" => return ScalarValue::from(false),
        "null" => return ScalarValue::Null,
        _ => {}
    }
    let digits = text.trim_start_matches(['-', '+']);
    let number = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    // A run id may be all digits, or look like 0199e5: what begins with a superfluous 0 or is too long is no number.
    let padded = digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.") && !digits.starts_with("0e");
    if number && !padded && digits.len() < 25 {
        if let Ok(integer) = text.parse::<i64>() {
            return ScalarValue::from(integer);
        }
        let whole = digits.chars().all(|c| c.is_ascii_digit());
        if let (Ok(float), false) = (text.parse::<f64>(), whole) {
            return ScalarValue::from(float);
        }
    }
    ScalarValue::from(text)
}

/// Reads a size in bytes: `512MB`, `1.5GiB`, `1000000`.
pub fn size(text: &str) -> Result<usize, String> {
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = (text[..split].trim(), text[split..].to_ascii_lowercase());
    let factor: f64 = match unit.as_str() {
        "" | "b" => 1.0,
        "k" | "kb" => 1e3,
        "m" | "mb" => 1e6,
        "g" | "gb" => 1e9,
        "t" | "tb" => 1e12,
        "kib" => 1024.0,
        "mib" => 1024.0 * 1024.0,
        "gib" => 1024.0 * 1024.0 * 1024.0,
        "tib" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return Err("units are B, KB, MB, GB, TB, KiB, MiB, GiB, TiB".to_string()),
    };
    match number.parse::<f64>() {
        Ok(number) if number * factor >= 1.0 && number.is_finite() => Ok((number * factor) as usize),
        _ => Err("write it like 512MB or 2GiB".to_string()),
    }
}

/// Reads a time span in seconds.
pub fn seconds(text: &str) -> Result<Duration, String> {
    let number = text.strip_suffix('s').unwrap_or(text).trim().parse::<f64>().ok().filter(|s| *s > 0.0);
    number
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| "write a number of seconds above 0, such as 30 or 0.5".to_string())
}

/// A file for a picture, which is SVG whatever its name says.
pub fn svg_file(text: &str) -> Result<PathBuf, String> {
    match Path::new(text).extension() {
        Some(other) if !other.eq_ignore_ascii_case("svg") => {
            Err("pictures are SVG: the name ends with .svg".to_string())
        }
        _ => Ok(PathBuf::from(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn params_have_the_type_that_they_look_like() {
        let value = |text: &str| param(&format!("k={text}")).unwrap().1;
        assert_eq!(value("10"), ScalarValue::from(10i64));
        assert_eq!(value("-0.5"), ScalarValue::from(-0.5));
        assert_eq!(value("1e-3"), ScalarValue::from(1e-3));
        assert_eq!(value("TRUE"), ScalarValue::from(true));
        assert_eq!(value("null"), ScalarValue::Null);
        for text in ["gbm", "", "nan", "inf", "1.2.3", "0199e5", "007", "12345678901234567890123456789012", "a=b"] {
            assert_eq!(value(text), ScalarValue::from(text));
        }
        assert_eq!(value("'10'"), ScalarValue::from("10"));
        assert_eq!(param("$lr=1").unwrap().0, "lr");
        assert!(param("lr").is_err() && param("=1").is_err() && param("a-b=1").is_err());
    }

    #[test]
    fn pictures_are_named_for_what_they_are() {
        assert_eq!(svg_file("a/b.SVG"), Ok(PathBuf::from("a/b.SVG")));
        assert_eq!(svg_file("picture"), Ok(PathBuf::from("picture")));
        assert!(svg_file("picture.png").is_err());
    }

    #[test]
    fn sizes_and_seconds_have_units() {
        assert_eq!(size("512MB"), Ok(512_000_000));
        assert_eq!(size("1.5 GiB"), Ok(1_610_612_736));
        assert!(size("many").is_err() && size("0").is_err() && size("3 parsecs").is_err());
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        assert!(seconds("0").is_err() && seconds("-1").is_err() && seconds("NaN").is_err());
    }
}
