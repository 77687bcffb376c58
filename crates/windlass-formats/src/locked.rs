//! Workbooks that a password locks: an OLE container with the workbook encrypted inside (MS-OFFCRYPTO).

use crate::format::Failure;
use crate::quietly::quietly;
use crate::source::Source;
use secrecy::{ExposeSecret as _, SecretString};
use std::io::Read as _;
use std::sync::Arc;

/// How OLE containers begin.
const MAGIC: [u8; 8] = [0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1];

/// Bytes of a locked workbook; it is in memory twice while it is unlocked.
const MOST: u64 = 256 << 20;

/// The workbook inside, unlocked; None: it is not locked.
pub(crate) fn unlock(
    source: &dyn Source,
    password: Option<&SecretString>,
) -> Result<Option<Arc<[u8]>>, Failure> {
    let mut file = source.ranges()?;
    let mut start = [0; MAGIC.len()];
    if file.read_exact(&mut start).is_err() || start != MAGIC {
        return Ok(None);
    }
    let Some(password) = password else {
        return Err(Failure::new("it is protected by a password, or of Excel before 2007").hint(
            "CREATE SECRET book = '...', and say CONTENT_TYPE = (TYPE = XLSX, PASSWORD_SECRET = 'book'); save an .xls file as .xlsx",
        ));
    };
    if source.size() > MOST {
        let limit = MOST >> 20;
        return Err(Failure::new(format!("it is locked and has more than {limit} MiB")));
    }
    let mut bytes = start.to_vec();
    file.read_to_end(&mut bytes)?;
    let unlocked = quietly(|| office_crypto::decrypt_from_bytes(bytes, password.expose_secret()));
    match unlocked {
        // Without a check of its own, a wrong password gives bytes that are no archive.
        Some(Ok(bytes)) if bytes.starts_with(b"PK") => Ok(Some(bytes.into())),
        Some(Err(office_crypto::DecryptError::Unimplemented(what))) => {
            Err(Failure::new(format!("it is locked in a way that is not known: {what}")))
        }
        _ => Err(Failure::new("the password does not open it").hint(
            "the secret that PASSWORD_SECRET names has another password; ALTER SECRET changes it",
        )),
    }
}
