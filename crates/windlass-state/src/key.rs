//! The master key: its file, and sealing with it. Knows nothing of the store.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use secrecy::{ExposeSecret as _, SecretBox, SecretString};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use windlass_types::{Error, ErrorCode, Result};

/// Where the master key is, and whether it may be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySource {
    /// The file: one line, base64 of 32 bytes.
    pub path: PathBuf,
    /// Make it where there is none and nothing was sealed yet.
    pub create: bool,
}

impl KeySource {
    /// A key file in the place of our own choice: made when first needed.
    pub fn own(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), create: true }
    }

    /// A key file given by the person: never made by us.
    pub fn given(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), create: false }
    }

    /// Where a rotation keeps the new key until it is sure of it.
    pub(crate) fn next(&self) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(".next");
        PathBuf::from(name)
    }

    pub(crate) fn folder(&self) -> &Path {
        match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        }
    }
}

/// A key of 256 bits for XChaCha20-Poly1305. Prints as nothing.
pub struct MasterKey(SecretBox<[u8; 32]>);

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKey(********)")
    }
}

/// Prefix of sealed texts: the format, so that it can change.
const FORMAT: &str = "x1:";
const NONCE: usize = 24;

impl MasterKey {
    /// A key from these bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(SecretBox::new(Box::new(bytes)))
    }

    /// A fresh key from the system's randomness.
    pub fn generate() -> Result<Self> {
        random().map(Self::new)
    }

    /// Seals `plain`; it opens only under the same `owner`, so a sealed text cannot be moved to
    /// another row.
    pub(crate) fn seal(&self, owner: &str, plain: &str) -> Result<String> {
        let nonce: [u8; NONCE] = random()?;
        let payload = Payload { msg: plain.as_bytes(), aad: owner.as_bytes() };
        let sealed = self
            .cipher()
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|_| Error::new(ErrorCode::Internal, format!("cannot seal `{owner}`")))?;
        Ok(format!("{FORMAT}{}", BASE64.encode([&nonce[..], &sealed].concat())))
    }

    /// Opens what [`Self::seal`] made; None with another key or owner, or when it was changed.
    pub(crate) fn open(&self, owner: &str, sealed: &str) -> Option<SecretString> {
        let bytes = BASE64.decode(sealed.strip_prefix(FORMAT)?).ok()?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE)?;
        let nonce: [u8; NONCE] = nonce.try_into().ok()?;
        let payload = Payload { msg: sealed, aad: owner.as_bytes() };
        let plain = self.cipher().decrypt(&XNonce::from(nonce), payload).ok()?;
        String::from_utf8(plain).ok().map(SecretString::from)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&Key::from(*self.0.expose_secret()))
    }

    /// Reads a key file; None where there is none.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>> {
        let mut text = String::new();
        let read = File::open(path).and_then(|file| file.take(1024).read_to_string(&mut text));
        let text = SecretString::from(text);
        match read {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() != ErrorKind::InvalidData => {
                return Err(key_error(path, "cannot be read").source(error).hint(
                    "make it readable for the user that runs Windlass, and for nobody else",
                ));
            }
            // Bytes that are no text are no key either.
            _ => {}
        }
        let bytes = SecretBox::new(Box::new(
            BASE64.decode(text.expose_secret().trim()).unwrap_or_default(),
        ));
        match <[u8; 32]>::try_from(bytes.expose_secret().as_slice()) {
            Ok(bytes) => Ok(Some(Self::new(bytes))),
            Err(_) => Err(key_error(path, "does not hold a key")
                .hint("a key file is one line: base64 of 32 bytes; nothing was changed")),
        }
    }

    /// Writes a new key file that only its owner can read; false where one is there already.
    pub(crate) fn write(&self, path: &Path, folder: &Path) -> Result<bool> {
        let failed = |error: std::io::Error| {
            key_error(path, "cannot be written")
                .source(error)
                .hint("check that its folder can be written")
        };
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
        // Under a name of its own first: whoever sees the file sees a whole key.
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}", u64::from_ne_bytes(random()?)));
        let whole = PathBuf::from(name);
        let line = SecretString::from(format!("{}\n", BASE64.encode(self.0.expose_secret())));
        let written = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&whole)
            .and_then(|mut file| {
                file.write_all(line.expose_secret().as_bytes())?;
                file.sync_all()
            })
            .and_then(|()| match std::fs::hard_link(&whole, path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
                other => other.map(|()| true),
            });
        // Nothing depends on this name any more, whatever happened.
        let _ = std::fs::remove_file(&whole);
        let written = written.map_err(failed)?;
        sync(folder);
        Ok(written)
    }
}

/// Renames a key file, durably.
pub(crate) fn rename(from: &Path, to: &Path, folder: &Path) -> Result<()> {
    std::fs::rename(from, to).map_err(|error| {
        key_error(from, "cannot be renamed")
            .source(error)
            .hint(format!("it holds the key of the store: rename it to `{}`", to.display()))
    })?;
    sync(folder);
    Ok(())
}

/// Makes a rename or a new file of the folder durable, where the file system can.
fn sync(folder: &Path) {
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
}

/// A warning where others than the owner can use the file.
pub(crate) fn permission_warning(path: &Path) -> Option<String> {
    let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o777;
    (mode & 0o077 != 0).then(|| {
        format!(
            "the key file `{0}` can be used by others (mode {mode:04o}); run `chmod 600 {0}`",
            path.display()
        )
    })
}

pub(crate) fn key_error(path: &Path, what: &str) -> Error {
    Error::new(ErrorCode::VaultKey, format!("the key file `{}` {what}", path.display()))
}

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::new(ErrorCode::Internal, "no randomness").source(error))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_text_opens_only_whole_for_its_owner_and_with_its_key() {
        let key = MasterKey::new([7; 32]);
        let sealed = key.seal("secret/1", "hunter22").unwrap();
        assert_eq!(key.open("secret/1", &sealed).unwrap().expose_secret(), "hunter22");
        assert!(key.open("secret/2", &sealed).is_none());
        assert!(MasterKey::new([8; 32]).open("secret/1", &sealed).is_none());
        assert!(key.open("secret/1", &sealed[..sealed.len() - 4]).is_none());
        assert!(key.open("secret/1", "").is_none() && key.open("secret/1", "x1:AAAA").is_none());
        assert_ne!(key.seal("secret/1", "hunter22").unwrap(), sealed);
    }

    #[test]
    fn a_key_is_not_shown() {
        insta::assert_snapshot!(format!("{:?}", MasterKey::new([7; 32])), @"MasterKey(********)");
    }

    #[test]
    fn a_key_file_is_private_and_never_overwritten() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("a");
        let path = folder.join("key");
        assert!(MasterKey::read(&path).unwrap().is_none());
        assert!(MasterKey::new([1; 32]).write(&path, &folder).unwrap());
        assert!(!MasterKey::new([2; 32]).write(&path, &folder).unwrap());
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&folder)), (0o600, 0o700));
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
        let read = MasterKey::read(&path).unwrap().unwrap();
        assert_eq!(read.0.expose_secret(), &[1; 32]);
        assert!(permission_warning(&path).is_none());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(permission_warning(&path).unwrap().contains("mode 0640"));
        std::fs::write(&path, "c2hvcnQ=").unwrap();
        assert_eq!(MasterKey::read(&path).unwrap_err().code(), ErrorCode::VaultKey);
        std::fs::write(&path, [0xff; 32]).unwrap();
        assert_eq!(MasterKey::read(&path).unwrap_err().code(), ErrorCode::VaultKey);
    }
}
