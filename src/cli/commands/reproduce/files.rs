//! Digests of files, in the schemes that data versions are logged with.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use md5::Md5;
use sha2::Sha256;

/// A way to make digests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Sha256,
    Blake3,
    Md5,
}

/// Whether a source may be a file here: `file:///data/x.csv`, `data/x.csv`, but no other URL, and no name of a function.
pub fn local(source: &str, folder: &Path) -> Option<PathBuf> {
    let path = match source.strip_prefix("file://") {
        Some(path) => PathBuf::from(path),
        None if source.contains("://") => return None,
        None => PathBuf::from(source),
    };
    let looks_like_one = source.starts_with("file://") || path.is_absolute() || source.starts_with(['.', '~']);
    let path = folder.join(path);
    (looks_like_one || path.exists()).then_some(path)
}

/// Whether a file has a digest; `None` where nobody can tell how the digest was made.
pub fn fits(path: &Path, digest: &str) -> io::Result<Option<bool>> {
    let Some((schemes, hex)) = schemes(digest) else { return Ok(None) };
    let mut file = File::open(path)?;
    // Two versions of one trait, so both are spelt out.
    let mut sha = <Sha256 as sha2::Digest>::new();
    let mut md5 = <Md5 as md5::Digest>::new();
    let mut blake = blake3::Hasher::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        for scheme in &schemes {
            match scheme {
                Scheme::Sha256 => sha2::Digest::update(&mut sha, &buffer[..n]),
                Scheme::Blake3 => drop(blake.update(&buffer[..n])),
                Scheme::Md5 => md5::Digest::update(&mut md5, &buffer[..n]),
            }
        }
    }
    let of = |scheme: &Scheme| match scheme {
        Scheme::Sha256 => to_hex(&sha2::Digest::finalize(sha.clone())),
        Scheme::Blake3 => blake.finalize().to_hex().to_string(),
        Scheme::Md5 => to_hex(&md5::Digest::finalize(md5.clone())),
    };
    Ok(Some(schemes.iter().any(|scheme| of(scheme) == hex)))
}

/// Schemes that a digest may be of, and its digits: `sha256:aec0...`, or digits whose number tells.
fn schemes(digest: &str) -> Option<(Vec<Scheme>, String)> {
    let (name, hex) = match digest.split_once(':') {
        Some((name, hex)) => (Some(name.to_ascii_lowercase()), hex.to_ascii_lowercase()),
        None => (None, digest.to_ascii_lowercase()),
    };
    let digits = hex.bytes().all(|b| b.is_ascii_hexdigit());
    let schemes = match (name.as_deref(), hex.len()) {
        _ if !digits => return None,
        (Some("sha256" | "sha-256"), 64) => vec![Scheme::Sha256],
        (Some("blake3"), 64) => vec![Scheme::Blake3],
        (Some("md5"), 32) | (None, 32) => vec![Scheme::Md5],
        (None, 64) => vec![Scheme::Sha256, Scheme::Blake3],
        _ => return None,
    };
    Some((schemes, hex))
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_of_known_schemes_are_compared() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("abc");
        std::fs::write(&path, "abc").unwrap();
        let sha = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let blake = blake3::hash(b"abc").to_hex().to_string();
        for digest in [format!("sha256:{sha}"), sha.to_string(), blake.clone(), format!("blake3:{blake}")] {
            assert_eq!(fits(&path, &digest).unwrap(), Some(true), "{digest}");
        }
        assert_eq!(fits(&path, "MD5:900150983CD24FB0D6963F7D28E17F72").unwrap(), Some(true));
        assert_eq!(fits(&path, &format!("sha256:{blake}")).unwrap(), Some(false));
        for digest in ["1a2b3c4d", "v3", "", "sha256:xyz", "md5"] {
            assert_eq!(fits(&path, digest).unwrap(), None, "{digest}");
        }
        assert!(fits(&dir.path().join("none"), sha).is_err());
    }

    #[test]
    fn only_paths_are_files() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("x.csv"), "").unwrap();
        assert_eq!(local("x.csv", dir.path()), Some(dir.path().join("x.csv")));
        assert_eq!(local("file:///data/x.csv", dir.path()), Some("/data/x.csv".into()));
        assert_eq!(local("./gone.csv", dir.path()), Some(dir.path().join("./gone.csv")));
        assert_eq!(local("s3://bucket/x.csv", dir.path()), None);
        assert_eq!(local("sklearn.datasets.load_wine", dir.path()), None);
    }
}
