//! Delta commits that say their own digest.
//!
//! It stands as the first field of the commit's provenance, `{"commitInfo":{"runlake.digest":"<blake3>",...`, which every engine
//! may write into and none rests on. It is that of the file without this field.

use std::borrow::Cow;

use super::Mismatch;

const BEFORE: &[u8] = b"{\"commitInfo\":{";
const FIELD: &[u8] = b"\"runlake.digest\":\"";
const DIGEST: usize = 2 * blake3::OUT_LEN;
const AFTER: &[u8] = b"\",";

/// The commit with its digest; as it is when it says nothing of its provenance.
pub fn stamped(content: &[u8]) -> Cow<'_, [u8]> {
    match provenance(content) {
        // In an empty object the comma would be one too many.
        Some(at) if content.get(at) == Some(&b'"') => {
            let digest = blake3::hash(content).to_hex();
            let parts = [&content[..at], FIELD, digest.as_bytes(), AFTER, &content[at..]];
            Cow::Owned(parts.concat())
        }
        _ => Cow::Borrowed(content),
    }
}

/// Whether the commit is what its digest was made of, where it has one.
pub fn check(content: &[u8]) -> Result<(), Mismatch> {
    if content.is_empty() {
        return Err(Mismatch::Empty);
    }
    let Some((at, rest)) = provenance(content).map(|at| (at, &content[at..])) else { return Ok(()) };
    let Some((stored, rest)) = rest.strip_prefix(FIELD).and_then(|rest| rest.split_at_checked(DIGEST)) else {
        return Ok(());
    };
    let rest = rest.strip_prefix(AFTER).ok_or(Mismatch::Digest)?;
    let computed = blake3::Hasher::new().update(&content[..at]).update(rest).finalize().to_hex();
    if computed.as_bytes() == stored { Ok(()) } else { Err(Mismatch::Digest) }
}

/// Where the fields of the commit's provenance begin.
fn provenance(content: &[u8]) -> Option<usize> {
    let mut begin = 0;
    for line in content.split_inclusive(|&b| b == b'\n') {
        if line.starts_with(BEFORE) {
            return Some(begin + BEFORE.len());
        }
        begin += line.len();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "{\"txn\":{\"appId\":\"runlake\",\"version\":7}}\n\
        {\"commitInfo\":{\"timestamp\":1,\"operation\":\"WRITE\"}}\n{\"add\":{\"path\":\"a.parquet\",\"size\":12}}";

    #[test]
    fn every_flipped_bit_of_a_commit_is_found_or_means_nothing() {
        let stamped = stamped(COMMIT.as_bytes());
        // What a table rests on; a line that is no action of these means nothing.
        let actions = |content: &[u8]| -> Option<Vec<serde_json::Value>> {
            let lines = content.split(|&b| b == b'\n').map(serde_json::from_slice::<serde_json::Value>);
            let lines = lines.collect::<Result<Vec<_>, _>>().ok()?;
            Some(
                lines
                    .into_iter()
                    .filter(|line| ["txn", "add"].iter().any(|action| line.get(action).is_some()))
                    .collect(),
            )
        };
        assert_eq!(check(&stamped), Ok(()));
        assert_eq!(actions(&stamped), actions(COMMIT.as_bytes()), "other engines read what they read before");
        for bit in 0..stamped.len() * 8 {
            let mut flipped = stamped.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let harmless = || actions(&flipped).is_none_or(|found| Some(found) == actions(COMMIT.as_bytes()));
            assert!(check(&flipped).is_err() || harmless(), "bit {bit}: {}", String::from_utf8_lossy(&flipped));
        }
        for len in 0..stamped.len() {
            let cut = &stamped[..len];
            assert!(check(cut).is_err() || actions(cut).is_none_or(|found| found.len() < 2), "cut at {len}");
        }
    }

    #[test]
    fn commits_of_other_engines_are_left_alone() {
        for other in
            ["{\"add\":{}}", "{\"commitInfo\":{}}\n{\"add\":{}}", "{\"add\":{}}\n{\"commitInfo\":{\"timestamp\":1}}"]
        {
            assert_eq!(check(other.as_bytes()), Ok(()));
            assert_eq!(check(&stamped(other.as_bytes())), Ok(()));
        }
        assert_eq!(stamped(b"{\"commitInfo\":{}}"), Cow::Borrowed(b"{\"commitInfo\":{}}"));
        assert_eq!(check(b""), Err(Mismatch::Empty));
    }
}
