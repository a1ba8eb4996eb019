//! JSON that is followed by its digest: two lines, the second of which is the blake3 of the first in hex.

use serde::Serialize;

use super::Mismatch;

/// A value as JSON, and the digest of that.
pub fn signed<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(value).expect("plain data is JSON");
    let digest = blake3::hash(&bytes).to_hex();
    bytes.extend_from_slice(format!("\n{digest}\n").as_bytes());
    bytes
}

/// Like [`content`], of what may be from before it had a digest: then it is one line.
pub fn old_content(bytes: &[u8]) -> Result<&[u8], Mismatch> {
    if bytes.contains(&b'\n') { content(bytes) } else { Ok(bytes) }
}

/// The JSON, when it is what the digest was made of.
pub fn content(bytes: &[u8]) -> Result<&[u8], Mismatch> {
    let mut lines = bytes.split(|&b| b == b'\n');
    let (json, digest) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    if blake3::hash(json).to_hex().as_bytes() == digest { Ok(json) } else { Err(Mismatch::Digest) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_is_found_or_the_content_is_no_json() {
        let signed = signed(&[1, 22, 333]);
        assert_eq!(content(&signed), Ok(&b"[1,22,333]"[..]));
        assert_eq!((old_content(&signed), old_content(b"[1]")), (content(&signed), Ok(&b"[1]"[..])));
        assert_eq!(content(b"[1]"), Err(Mismatch::Digest));
        for bit in 0..(signed.len() - 1) * 8 {
            let mut flipped = signed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(content(&flipped), Err(Mismatch::Digest), "bit {bit}");
            let read = old_content(&flipped).ok().map(serde_json::from_slice::<Vec<u64>>);
            assert!(read.is_none_or(|read| read.is_err()), "bit {bit}");
        }
    }
}
