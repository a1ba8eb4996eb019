//! Ids for runs of sources that have none, or none that can be one here.

use crate::model::RunId;

/// An id that is the same whenever it is derived from the same parts.
pub fn derived(source: &str, parts: &[&str]) -> RunId {
    let mut hash = blake3::Hasher::new();
    for part in [source].iter().chain(parts) {
        // With its length: 'ab' and 'c' are not 'a' and 'bc'.
        hash.update(&(part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    RunId::parse(&hash.finalize().to_hex()[..32]).expect("hex digits are an id")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_tell_parts_apart() {
        assert_eq!(derived("table", &["ab", "c"]), derived("table", &["ab", "c"]));
        assert_ne!(derived("table", &["ab", "c"]), derived("table", &["a", "bc"]));
    }
}
