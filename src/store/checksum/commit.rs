//! Delta commits that say their own digest.
//!
//! It stands as the first field of the commit's provenance, with which our commits begin, `{"commitInfo":{"runlake.digest":"<blake3>",...`.
//! Every engine may write into that, and none rests on it. It is the digest of the file without this field.

use std::borrow::Cow;

use super::Mismatch;

const BEFORE: &[u8] = b"{\"commitInfo\":{";
const FIELD: &[u8] = b"\"runlake.digest\":\"";
const DIGEST: usize = 2 * blake3::OUT_LEN;
const AFTER: &[u8] = b"\",";

/// The commit with its digest; as it is when it does not begin with its provenance.
pub fn stamped(content: &[u8]) -> Cow<'_, [u8]> {
    match content.strip_prefix(BEFORE) {
        // In an empty object the comma would be one too many.
        Some(rest) if rest.first() == Some(&b'"') => {
            let digest = blake3::hash(content).to_hex();
            Cow::Owned([BEFORE, FIELD, digest.as_bytes(), AFTER, rest].concat())
        }
        _ => Cow::Borrowed(content),
    }
}

/// Whether the commit is what its digest was made of, where it has one.
pub fn check(content: &[u8]) -> Result<(), Mismatch> {
    if content.is_empty() {
        return Err(Mismatch::Empty);
    }
    // One byte beside is a hit on one of ours; those of other engines go on otherwise.
    let beside = content.iter().zip(BEFORE.iter().chain(FIELD)).filter(|(found, ours)| found != ours).count();
    let rest = match beside {
        0 => content.get(BEFORE.len() + FIELD.len()..).ok_or(Mismatch::Digest)?,
        1 if content.len() > BEFORE.len() + FIELD.len() => return Err(Mismatch::Digest),
        _ => return Ok(()),
    };
    let (stored, rest) = rest.split_at_checked(DIGEST).ok_or(Mismatch::Digest)?;
    let rest = rest.strip_prefix(AFTER).ok_or(Mismatch::Digest)?;
    let computed = blake3::Hasher::new().update(BEFORE).update(rest).finalize().to_hex();
    if computed.as_bytes() == stored { Ok(()) } else { Err(Mismatch::Digest) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "{\"commitInfo\":{\"timestamp\":1,\"operation\":\"WRITE\"}}\n\
        {\"add\":{\"path\":\"a.parquet\",\"size\":12}}\n{\"txn\":{\"appId\":\"runlake\",\"version\":7}}";

    #[test]
    fn every_flipped_bit_of_a_commit_is_found_and_every_cut() {
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
            assert!(check(&flipped).is_err(), "bit {bit}: {}", String::from_utf8_lossy(&flipped));
        }
        for len in 0..stamped.len() {
            assert!(check(&stamped[..len]).is_err(), "cut at {len}");
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
        let empty = &b"{\"commitInfo\":{}}"[..];
        assert_eq!((stamped(empty), check(empty)), (Cow::Borrowed(empty), Ok(())));
        assert_eq!(check(b""), Err(Mismatch::Empty));
    }
}
