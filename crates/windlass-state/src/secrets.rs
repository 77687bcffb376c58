//! Named secrets: values that can be used but never read back.

use crate::Store;
use crate::connections::stored;
use crate::dialect::Intent;
use crate::error::{
    failed, is_duplicate, is_reference, row_name, row_parse, row_string, row_text, row_time,
};
use crate::fabrics::no_fabric;
use crate::vault::secret_owner;
use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use std::collections::{BTreeMap, BTreeSet};
use windlass_types::{Error, ErrorCode, FabricId, Name, Result, SecretId};

/// Where the value of a secret came from; the value itself is sealed all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretOrigin {
    /// Typed.
    Value,
    /// An environment variable.
    Env,
    /// A file.
    File,
}

impl SecretOrigin {
    /// Every origin.
    pub const ALL: [Self; 3] = [Self::Value, Self::Env, Self::File];

    /// `value`, `env` or `file`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Value => "value",
            Self::Env => "env",
            Self::File => "file",
        }
    }
}

/// What may be told of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretRow {
    /// Id.
    pub id: SecretId,
    /// Name.
    pub name: Name,
    /// Where its value came from.
    pub origin: SecretOrigin,
    /// When it was made.
    pub created: DateTime<Utc>,
    /// When its value last changed.
    pub updated: DateTime<Utc>,
    /// Connections and jobs that use it, by name.
    pub used_by: Vec<Name>,
}

impl Store {
    /// Seals a new secret.
    pub async fn create_secret(
        &self,
        fabric: FabricId,
        name: &Name,
        value: &SecretString,
        origin: SecretOrigin,
        now: DateTime<Utc>,
    ) -> Result<SecretRow> {
        let doing = "create a secret";
        let id = SecretId::new();
        let mut tx = self.begin(Intent::Seal).await?;
        let sealed =
            self.sealing_key(&mut tx).await?.seal(&secret_owner(id), value.expose_secret())?;
        sqlx::query(
            "INSERT INTO secrets (id, fabric_id, name, sealed, origin, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $6)",
        )
        .bind(id.to_string())
        .bind(fabric.to_string())
        .bind(name.as_str())
        .bind(sealed)
        .bind(origin.as_str())
        .bind(now.timestamp_micros())
        .execute(&mut *tx)
        .await
        .map_err(|error| {
            if is_duplicate(&error) {
                Error::new(ErrorCode::SecretExists, format!("secret {name} exists"))
                    .hint("ALTER SECRET changes its value")
            } else if is_reference(&error) {
                no_fabric(fabric)
            } else {
                failed(doing)(error)
            }
        })?;
        tx.commit().await.map_err(failed(doing))?;
        let now = stored(now);
        Ok(SecretRow {
            id,
            name: name.clone(),
            origin,
            created: now,
            updated: now,
            used_by: Vec::new(),
        })
    }

    /// Seals another value for a secret.
    pub async fn alter_secret(
        &self,
        fabric: FabricId,
        name: &Name,
        value: &SecretString,
        origin: SecretOrigin,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let doing = "change a secret";
        let mut tx = self.begin(Intent::Seal).await?;
        let id: Option<String> =
            sqlx::query_scalar("SELECT id FROM secrets WHERE fabric_id = $1 AND name = $2")
                .bind(fabric.to_string())
                .bind(name.as_str())
                .fetch_optional(&mut *tx)
                .await
                .map_err(failed(doing))?;
        let id = id.ok_or_else(|| no_secret(name))?;
        let key = self.sealing_key(&mut tx).await?;
        let sealed = key.seal(&format!("secret/{id}"), value.expose_secret())?;
        sqlx::query("UPDATE secrets SET sealed = $1, origin = $2, updated_at = $3 WHERE id = $4")
            .bind(sealed)
            .bind(origin.as_str())
            .bind(now.timestamp_micros())
            .bind(id)
            .execute(&mut *tx)
            .await
            .map_err(failed(doing))?;
        tx.commit().await.map_err(failed(doing))
    }

    /// Drops a secret; refused while a connection or a job uses it. Works without the key.
    pub async fn drop_secret(&self, fabric: FabricId, name: &Name) -> Result<()> {
        let doing = "drop a secret";
        let mut tx = self.begin(Intent::Write).await?;
        let users = sqlx::query(
            "SELECT DISTINCT c.name, 'connections' AS kind FROM secret_uses u JOIN secrets s ON s.id = u.secret_id JOIN connections c ON c.id = u.connection_id WHERE s.fabric_id = $1 AND s.name = $2 UNION SELECT DISTINCT j.name, 'jobs' AS kind FROM job_secrets u JOIN secrets s ON s.id = u.secret_id JOIN jobs j ON j.id = u.job_id WHERE s.fabric_id = $1 AND s.name = $2 ORDER BY 1, 2",
        )
        .bind(fabric.to_string())
        .bind(name.as_str())
        .fetch_all(&mut *tx)
        .await
        .map_err(failed(doing))?;
        if !users.is_empty() {
            let mut names = Vec::new();
            let mut kinds = BTreeSet::new();
            for row in &users {
                names.push(row_name(row, "name")?.to_string());
                kinds.insert(row_string(row, "kind")?);
            }
            let kinds: Vec<String> = kinds.into_iter().collect();
            return Err(in_use(name, &names.join(", "), &kinds.join(" and ")));
        }
        let done = sqlx::query("DELETE FROM secrets WHERE fabric_id = $1 AND name = $2")
            .bind(fabric.to_string())
            .bind(name.as_str())
            .execute(&mut *tx)
            .await;
        let done = match done {
            // Something began to use it between our look and here.
            Err(error) if is_reference(&error) => {
                return Err(in_use(name, "something new", "connections or jobs"));
            }
            other => other.map_err(failed(doing))?,
        };
        if done.rows_affected() == 0 {
            return Err(no_secret(name));
        }
        tx.commit().await.map_err(failed(doing))
    }

    /// Lists the secrets of a fabric by name, without their values.
    pub async fn secrets(&self, fabric: FabricId) -> Result<Vec<SecretRow>> {
        let doing = "read secrets";
        let uses = sqlx::query(
            "SELECT u.secret_id, c.name FROM secret_uses u JOIN connections c ON c.id = u.connection_id WHERE c.fabric_id = $1 UNION SELECT u.secret_id, j.name FROM job_secrets u JOIN jobs j ON j.id = u.job_id WHERE j.fabric_id = $1 ORDER BY 2",
        )
        .bind(fabric.to_string())
        .fetch_all(&self.pool)
        .await
        .map_err(failed(doing))?;
        let mut used_by: BTreeMap<SecretId, Vec<Name>> = BTreeMap::new();
        for row in &uses {
            used_by.entry(row_parse(row, "secret_id")?).or_default().push(row_name(row, "name")?);
        }
        let rows = sqlx::query(
            "SELECT id, name, origin, created_at, updated_at FROM secrets WHERE fabric_id = $1 ORDER BY name",
        )
        .bind(fabric.to_string())
        .fetch_all(&self.pool)
        .await
        .map_err(failed(doing))?;
        rows.iter()
            .map(|row| {
                let id = row_parse(row, "id")?;
                let origin = row_text(row, "origin")?.unwrap_or_default();
                Ok(SecretRow {
                    id,
                    name: row_name(row, "name")?,
                    origin: SecretOrigin::ALL
                        .into_iter()
                        .find(|known| known.as_str() == origin)
                        .unwrap_or(SecretOrigin::Value),
                    created: row_time(row, "created_at")?,
                    updated: row_time(row, "updated_at")?,
                    used_by: used_by.remove(&id).unwrap_or_default(),
                })
            })
            .collect()
    }

    /// Opens a secret for use.
    pub async fn open_secret(&self, fabric: FabricId, name: &Name) -> Result<SecretString> {
        let row = sqlx::query(
            "SELECT s.id, s.sealed, m.value AS key_check FROM secrets s LEFT JOIN meta m ON m.key = 'vault.check' WHERE s.fabric_id = $1 AND s.name = $2",
        )
        .bind(fabric.to_string())
        .bind(name.as_str())
        .fetch_optional(&self.pool)
        .await
        .map_err(failed("read a secret"))?
        .ok_or_else(|| no_secret(name))?;
        self.unseal(&row, &secret_owner(row_parse(&row, "id")?))
    }
}

fn in_use(name: &Name, users: &str, kinds: &str) -> Error {
    Error::new(ErrorCode::SecretInUse, format!("secret `{}` is used by {users}", name.as_str()))
        .hint(format!(
            "change or drop those {kinds} first; ALTER SECRET changes the value in place"
        ))
}

pub(crate) fn no_secret(name: &Name) -> Error {
    Error::new(ErrorCode::SecretNotFound, format!("no secret {name}"))
        .hint("`SHOW SECRETS` lists them; CREATE SECRET makes one")
}
