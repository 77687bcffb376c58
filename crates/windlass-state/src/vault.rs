//! Sealed values: which key opens them, and changing it without ever losing one.
//!
//! The store keeps a check row sealed with the master key; it tells a wrong key from a damaged
//! value. The key file is read only when something sealed is read or written.

use crate::dialect::Intent;
use crate::error::{failed, row_text};
use crate::key::{KeySource, MasterKey, key_error, permission_warning, rename};
use crate::{Store, Tx};
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::any::AnyRow;
use std::fs::{File, TryLockError};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use windlass_types::{ConnectionId, Error, ErrorCode, Result, SecretId};

/// Key of the check row in `meta`.
const CHECK: &str = "vault.check";
/// What the check row seals, and its owner.
const CHECK_TEXT: &str = "windlass";
const CHECK_OWNER: &str = "vault/check";

const SELECT_CHECK: &str = "SELECT value FROM meta WHERE key = 'vault.check'";

/// Owner of a named secret's value.
pub(crate) fn secret_owner(id: SecretId) -> String {
    format!("secret/{id}")
}

/// Owner of a value typed into a connection.
pub(crate) fn option_owner(id: ConnectionId, option: &str) -> String {
    format!("connection/{id}/{option}")
}

/// How the key stands, found without changing anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyReport {
    /// The key file.
    pub path: PathBuf,
    /// How it stands.
    pub status: KeyStatus,
    /// Where others can use the file.
    pub warning: Option<String>,
}

/// How the key stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyStatus {
    /// Nothing was ever sealed, so no key is needed yet.
    Unused,
    /// The key opens this store.
    Ready,
    /// It does not; the text says why.
    Unusable(String),
}

/// The key that opens the store, once it is known, and the check row it opened.
pub(crate) struct Vault {
    source: KeySource,
    known: Mutex<Option<(String, Arc<MasterKey>)>>,
}

impl Vault {
    pub(crate) fn new(source: KeySource) -> Self {
        Self { source, known: Mutex::new(None) }
    }

    fn known(&self, check: &str) -> Option<Arc<MasterKey>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().filter(|(text, _)| text == check).map(|(_, key)| Arc::clone(key))
    }

    fn remember(&self, check: &str, key: MasterKey) -> Arc<MasterKey> {
        let key = Arc::new(key);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        *known = Some((check.to_owned(), Arc::clone(&key)));
        key
    }

    /// The key that made this check row: from the key file, or from the file a rotation left that
    /// was stopped before its last step, which is then done. `guard` is held by a rotation.
    fn key_of(&self, check: &str, guard: Option<&File>) -> Result<Arc<MasterKey>> {
        if let Some(key) = self.known(check) {
            return Ok(key);
        }
        // Twice, since another process may rename `next` between our two reads.
        let mut missing = false;
        for _ in 0..2 {
            match MasterKey::read(&self.source.path)? {
                Some(key) if fits(&key, check) => return Ok(self.remember(check, key)),
                found => missing = found.is_none(),
            }
            match MasterKey::read(&self.source.next())? {
                Some(key) if fits(&key, check) => {
                    self.finish_rotation(check, guard)?;
                    return Ok(self.remember(check, key));
                }
                _ => {}
            }
        }
        Err(if missing {
            key_error(&self.source.path, "is missing, and this store holds values sealed with it").hint(
                "put the key file back, or name it with WINDLASS_KEY_FILE; nothing was changed and no new key was made",
            )
        } else {
            key_error(&self.source.path, "holds another key than this store was sealed with").hint(
                "put the right key file in its place, or name it with WINDLASS_KEY_FILE; nothing was changed",
            )
        })
    }

    /// Puts `next` in the place of the key. Left undone while another process rotates: that one
    /// does it.
    fn finish_rotation(&self, check: &str, guard: Option<&File>) -> Result<()> {
        let own;
        if guard.is_none() {
            own = File::open(self.source.folder()).ok();
            if own.as_ref().is_none_or(|folder| folder.try_lock().is_err()) {
                return Ok(());
            }
        }
        // Read again now that nobody else may change it: it may be the start of a later rotation.
        match MasterKey::read(&self.source.next())? {
            Some(key) if fits(&key, check) => {
                rename(&self.source.next(), &self.source.path, self.source.folder())
            }
            _ => Ok(()),
        }
    }

    /// The key file, for a store that was never sealed; makes it where that is allowed.
    fn first_key(&self) -> Result<MasterKey> {
        if let Some(key) = MasterKey::read(&self.source.path)? {
            return Ok(key);
        }
        if !self.source.create {
            return Err(key_error(&self.source.path, "is missing")
                .hint("make one with `head -c 32 /dev/urandom | base64 > FILE; chmod 600 FILE`"));
        }
        // Another process may have been faster; then its key counts.
        MasterKey::generate()?.write(&self.source.path, self.source.folder())?;
        MasterKey::read(&self.source.path)?
            .ok_or_else(|| key_error(&self.source.path, "was made and is gone again"))
    }

    /// Waits until no other process on this machine rotates, and keeps others from it.
    async fn guard(&self) -> Result<File> {
        let failed = |error: std::io::Error| {
            key_error(&self.source.path, "cannot be changed")
                .source(error)
                .hint("check that its folder exists and can be written")
        };
        let folder = File::open(self.source.folder()).map_err(failed)?;
        let begun = Instant::now();
        loop {
            match folder.try_lock() {
                Ok(()) => return Ok(folder),
                Err(TryLockError::WouldBlock) if begun.elapsed() < Duration::from_secs(10) => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(error) => return Err(failed(error.into())),
            }
        }
    }
}

impl Store {
    /// Asks how the key stands, for `doctor`; changes nothing.
    pub async fn key_report(&self) -> Result<KeyReport> {
        let check: Option<String> = sqlx::query_scalar(SELECT_CHECK)
            .fetch_optional(&self.pool)
            .await
            .map_err(failed("read the key check"))?;
        let status = match check {
            None => KeyStatus::Unused,
            Some(check) => match self.vault.key_of(&check, None) {
                Ok(_) => KeyStatus::Ready,
                Err(error) => KeyStatus::Unusable(error.chain()),
            },
        };
        let path = self.vault.source.path.clone();
        let warning = permission_warning(&path);
        Ok(KeyReport { path, status, warning })
    }

    /// The key to seal with, inside the transaction that writes what it seals; at the very first
    /// time, makes the key file and the check row.
    pub(crate) async fn sealing_key(&self, tx: &mut Tx) -> Result<Arc<MasterKey>> {
        if let Some(check) = key_check(tx).await? {
            return self.vault.key_of(&check, None);
        }
        self.dialect.wait_to_seal_first(tx).await.map_err(failed("write the key check"))?;
        if let Some(check) = key_check(tx).await? {
            return self.vault.key_of(&check, None);
        }
        if any_sealed(tx).await? {
            return Err(check_missing());
        }
        let key = self.vault.first_key()?;
        let check = key.seal(CHECK_OWNER, CHECK_TEXT)?;
        sqlx::query("INSERT INTO meta (key, value) VALUES ($1, $2)")
            .bind(CHECK)
            .bind(&check)
            .execute(&mut **tx)
            .await
            .map_err(failed("write the key check"))?;
        Ok(self.vault.remember(&check, key))
    }

    /// Opens the sealed value of a row that was selected together with the check row, so that both
    /// are of one moment even while another process rotates.
    pub(crate) fn unseal(&self, row: &AnyRow, owner: &str) -> Result<SecretString> {
        let check: String = row_text(row, "key_check")?.ok_or_else(check_missing)?;
        let sealed: String = row_text(row, "sealed")?.unwrap_or_default();
        let key = self.vault.key_of(&check, None)?;
        key.open(owner, &sealed).ok_or_else(|| corrupt(owner))
    }

    /// Reseals every value with `new` and makes it the master key; returns how many values there
    /// are. Stopped at any point, the store still opens with the old key or with the new one, and
    /// the next use of the key finishes what is left to do.
    pub async fn rotate_key(&self, new: MasterKey) -> Result<u64> {
        let source = &self.vault.source;
        let guard = self.vault.guard().await?;
        let mut tx = self.begin(Intent::Rotate).await?;
        let check = key_check(&mut tx).await?;
        // Look at the files, not at what is known: `next` may be the only copy of the old key, and
        // must take its place before it is overwritten.
        *self.vault.known.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let old = match &check {
            Some(check) => Some(self.vault.key_of(check, Some(&guard))?),
            None if any_sealed(&mut tx).await? => return Err(check_missing()),
            None => None,
        };
        match std::fs::remove_file(source.next()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(key_error(&source.next(), "cannot be removed").source(error));
            }
            _ => {}
        }
        new.write(&source.next(), source.folder())?;
        let count = match old {
            Some(old) => reseal(&mut tx, &old, &new).await?,
            None => 0,
        };
        let check = new.seal(CHECK_OWNER, CHECK_TEXT)?;
        sqlx::query(
            "INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        )
        .bind(CHECK)
        .bind(&check)
        .execute(&mut *tx)
        .await
        .map_err(failed("write the key check"))?;
        // From here on the store may be sealed with the new key, even where this fails: `next`
        // stays until somebody who has read the check row knows which of the two is right.
        tx.commit().await.map_err(failed("reseal the store"))?;
        rename(&source.next(), &source.path, source.folder())?;
        self.vault.remember(&check, new);
        Ok(count)
    }
}

async fn key_check(tx: &mut Tx) -> Result<Option<String>> {
    sqlx::query_scalar(SELECT_CHECK)
        .fetch_optional(&mut **tx)
        .await
        .map_err(failed("read the key check"))
}

/// Whether the key is the one that made the check row.
fn fits(key: &MasterKey, check: &str) -> bool {
    key.open(CHECK_OWNER, check).is_some_and(|text| text.expose_secret() == CHECK_TEXT)
}

async fn any_sealed(tx: &mut Tx) -> Result<bool> {
    let count: i64 = sqlx::query_scalar(
        "SELECT CAST((SELECT COUNT(*) FROM secrets) + (SELECT COUNT(*) FROM connection_secrets) AS BIGINT)",
    )
    .fetch_one(&mut **tx)
    .await
    .map_err(failed("count sealed values"))?;
    Ok(count > 0)
}

async fn reseal(tx: &mut Tx, old: &MasterKey, new: &MasterKey) -> Result<u64> {
    let doing = "reseal the store";
    let mut count = 0;
    let again = |owner: &str, sealed: &str| {
        let plain = old.open(owner, sealed).ok_or_else(|| corrupt(owner))?;
        new.seal(owner, plain.expose_secret())
    };
    let rows: Vec<(String, String)> = sqlx::query_as("SELECT id, sealed FROM secrets")
        .fetch_all(&mut **tx)
        .await
        .map_err(failed(doing))?;
    for (id, sealed) in rows {
        sqlx::query("UPDATE secrets SET sealed = $1 WHERE id = $2")
            .bind(again(&format!("secret/{id}"), &sealed)?)
            .bind(id)
            .execute(&mut **tx)
            .await
            .map_err(failed(doing))?;
        count += 1;
    }
    let rows: Vec<(String, String, String)> =
        sqlx::query_as("SELECT connection_id, option_name, sealed FROM connection_secrets")
            .fetch_all(&mut **tx)
            .await
            .map_err(failed(doing))?;
    for (id, option, sealed) in rows {
        sqlx::query(
            "UPDATE connection_secrets SET sealed = $1 WHERE connection_id = $2 AND option_name = $3",
        )
        .bind(again(&format!("connection/{id}/{option}"), &sealed)?)
        .bind(id)
        .bind(option)
        .execute(&mut **tx)
        .await
        .map_err(failed(doing))?;
        count += 1;
    }
    Ok(count)
}

fn check_missing() -> Error {
    Error::new(ErrorCode::VaultKey, "the store holds sealed values but no check of their key")
        .hint("the store was changed by hand; restore it from a copy")
}

fn corrupt(owner: &str) -> Error {
    Error::new(ErrorCode::VaultCorrupt, format!("the sealed value `{owner}` does not open"))
        .hint("it was changed or moved in the store; give the value again")
}
