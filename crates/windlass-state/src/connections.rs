//! Connections: what was written about them, and the values sealed with them.

use crate::dialect::Intent;
use crate::error::{
    failed, is_reference, row_json, row_name, row_parse, row_text, row_time, to_json,
};
use crate::fabrics::{release_name, take_name};
use crate::vault::{option_owner, secret_owner};
use crate::{Store, Tx};
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::any::AnyRow;
use std::collections::BTreeMap;
use windlass_types::{
    ConnectionId, ConnectionKind, Error, ErrorCode, FabricId, Name, OptionMap, OptionValue, Result,
};

/// Values typed into options, to be sealed, by upper-case option name.
pub type Sealed = BTreeMap<String, SecretString>;

/// A stored connection. Secret options are references here; [`Store::connection_values`] opens them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionRow {
    /// Id; kept by OR REPLACE and ALTER.
    pub id: ConnectionId,
    /// Fabric.
    pub fabric: FabricId,
    /// Name.
    pub name: Name,
    /// Kind.
    pub kind: ConnectionKind,
    /// Options as they were checked.
    pub options: OptionMap,
    /// When it was made.
    pub created: DateTime<Utc>,
    /// When it last changed.
    pub updated: DateTime<Utc>,
}

impl ConnectionRow {
    fn read(row: &AnyRow) -> Result<Self> {
        let kind = row_text(row, "kind")?.unwrap_or_default();
        Ok(Self {
            id: row_parse(row, "id")?,
            fabric: row_parse(row, "fabric_id")?,
            name: row_name(row, "name")?,
            kind: [ConnectionKind::S3, ConnectionKind::Local]
                .into_iter()
                .find(|known| known.as_str() == kind)
                .ok_or_else(|| {
                    Error::new(
                        ErrorCode::StateNewer,
                        format!("the state holds a connection of unknown kind `{kind}`"),
                    )
                })?,
            options: row_json(row, "options")?,
            created: row_time(row, "created_at")?,
            updated: row_time(row, "updated_at")?,
        })
    }
}

/// A connection to be stored. Options marked [`OptionValue::Sealed`] have their value in `sealed`.
#[derive(Debug)]
pub struct NewConnection {
    /// Name.
    pub name: Name,
    /// Kind.
    pub kind: ConnectionKind,
    /// Options as they were checked.
    pub options: OptionMap,
    /// Values of the options marked sealed.
    pub sealed: Sealed,
}

impl Store {
    /// Finds a connection by name.
    pub async fn find_connection(
        &self,
        fabric: FabricId,
        name: &Name,
    ) -> Result<Option<ConnectionRow>> {
        let row = sqlx::query("SELECT * FROM connections WHERE fabric_id = $1 AND name = $2")
            .bind(fabric.to_string())
            .bind(name.as_str())
            .fetch_optional(&self.pool)
            .await
            .map_err(failed("read connections"))?;
        row.as_ref().map(ConnectionRow::read).transpose()
    }

    /// Finds a connection by name; none is an error.
    pub async fn connection(&self, fabric: FabricId, name: &Name) -> Result<ConnectionRow> {
        self.find_connection(fabric, name).await?.ok_or_else(|| no_connection(name))
    }

    /// Finds a connection by id.
    pub async fn connection_by_id(&self, id: ConnectionId) -> Result<ConnectionRow> {
        let row = sqlx::query("SELECT * FROM connections WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional(&self.pool)
            .await
            .map_err(failed("read connections"))?;
        row.as_ref().map(ConnectionRow::read).transpose()?.ok_or_else(|| {
            Error::new(ErrorCode::ConnectionNotFound, format!("no connection `{id}`"))
        })
    }

    /// Lists the connections of a fabric by name.
    pub async fn connections(&self, fabric: FabricId) -> Result<Vec<ConnectionRow>> {
        sqlx::query("SELECT * FROM connections WHERE fabric_id = $1 ORDER BY name")
            .bind(fabric.to_string())
            .fetch_all(&self.pool)
            .await
            .map_err(failed("read connections"))?
            .iter()
            .map(ConnectionRow::read)
            .collect()
    }

    /// Stores a new connection with its sealed values.
    pub async fn insert_connection(
        &self,
        fabric: FabricId,
        new: NewConnection,
        now: DateTime<Utc>,
    ) -> Result<ConnectionRow> {
        let doing = "create a connection";
        let mut tx = self.begin(intent(&new.sealed)).await?;
        take_name(&mut tx, fabric, &new.name, "connection").await?;
        let row = ConnectionRow {
            id: ConnectionId::new(),
            fabric,
            name: new.name,
            kind: new.kind,
            options: new.options,
            created: stored(now),
            updated: stored(now),
        };
        sqlx::query(
            "INSERT INTO connections (id, fabric_id, name, kind, options, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $6)",
        )
        .bind(row.id.to_string())
        .bind(fabric.to_string())
        .bind(row.name.as_str())
        .bind(row.kind.as_str())
        .bind(to_json(&row.options)?)
        .bind(now.timestamp_micros())
        .execute(&mut *tx)
        .await
        .map_err(failed(doing))?;
        self.write_secrets(&mut tx, &row, &new.sealed).await?;
        tx.commit().await.map_err(failed(doing))?;
        Ok(row)
    }

    /// Changes a connection that was read as `seen`: kind and options become those given, id and
    /// name stay. Options marked sealed whose value is not in `sealed` keep the one they have.
    /// Refused when somebody else changed the connection after `seen`.
    pub async fn update_connection(
        &self,
        seen: &ConnectionRow,
        kind: ConnectionKind,
        options: OptionMap,
        sealed: Sealed,
        now: DateTime<Utc>,
    ) -> Result<ConnectionRow> {
        let doing = "change a connection";
        // Later than what was seen, whatever the clock says: it tells two changes apart.
        let updated = stored(now).max(seen.updated + TimeDelta::microseconds(1));
        let row = ConnectionRow { kind, options, updated, ..seen.clone() };
        let mut tx = self.begin(intent(&sealed)).await?;
        let done = sqlx::query(
            "UPDATE connections SET kind = $1, options = $2, updated_at = $3 WHERE id = $4 AND updated_at = $5",
        )
        .bind(row.kind.as_str())
        .bind(to_json(&row.options)?)
        .bind(updated.timestamp_micros())
        .bind(row.id.to_string())
        .bind(seen.updated.timestamp_micros())
        .execute(&mut *tx)
        .await
        .map_err(failed(doing))?;
        if done.rows_affected() == 0 {
            return Err(Error::new(
                ErrorCode::ConnectionChanged,
                format!("connection {} was changed or dropped meanwhile", row.name),
            )
            .hint("look at it again, then repeat the change"));
        }
        self.write_secrets(&mut tx, &row, &sealed).await?;
        // What is remembered about buckets may belong to another service now.
        sqlx::query("DELETE FROM bucket_regions WHERE connection_id = $1")
            .bind(row.id.to_string())
            .execute(&mut *tx)
            .await
            .map_err(failed(doing))?;
        tx.commit().await.map_err(failed(doing))?;
        Ok(row)
    }

    /// Deletes a connection with its sealed values; refused while anything depends on it.
    pub async fn delete_connection(&self, fabric: FabricId, name: &Name) -> Result<()> {
        let doing = "drop a connection";
        let mut tx = self.begin(Intent::Write).await?;
        let id: Option<String> =
            sqlx::query_scalar("SELECT id FROM connections WHERE fabric_id = $1 AND name = $2")
                .bind(fabric.to_string())
                .bind(name.as_str())
                .fetch_optional(&mut *tx)
                .await
                .map_err(failed(doing))?;
        let id = id.ok_or_else(|| no_connection(name))?;
        let dependents = dependents(&mut tx, &id).await?;
        if !dependents.is_empty() {
            return Err(Error::new(
                ErrorCode::ConnectionInUse,
                format!("connection {name} is used by {}", dependents.join(", ")),
            )
            .hint("drop what uses it first"));
        }
        let done =
            sqlx::query("DELETE FROM connections WHERE id = $1").bind(&id).execute(&mut *tx).await;
        match done {
            // Something began to use it between our look and here.
            Err(error) if is_reference(&error) => {
                return Err(Error::new(
                    ErrorCode::ConnectionInUse,
                    format!("connection {name} is used"),
                )
                .hint("drop what uses it first"));
            }
            other => other.map_err(failed(doing))?,
        };
        release_name(&mut tx, fabric, name).await?;
        tx.commit().await.map_err(failed(doing))
    }

    /// Lists what depends on a connection, as `file table main.orders`.
    pub async fn dependents(&self, id: ConnectionId) -> Result<Vec<String>> {
        let mut tx = self.pool.begin().await.map_err(failed("read dependents"))?;
        dependents(&mut tx, &id.to_string()).await
    }

    /// Opens every secret value of a connection, typed or named, by option. Needs the key only
    /// where there is one.
    pub async fn connection_values(&self, row: &ConnectionRow) -> Result<Sealed> {
        let doing = "read sealed values";
        let mut values = Sealed::new();
        if !row.options.values().any(|value| is_sealed(value) || named(value).is_some()) {
            return Ok(values);
        }
        let typed = sqlx::query(
            "SELECT c.option_name, c.sealed, m.value AS key_check FROM connection_secrets c LEFT JOIN meta m ON m.key = 'vault.check' WHERE c.connection_id = $1",
        )
        .bind(row.id.to_string())
        .fetch_all(&self.pool)
        .await
        .map_err(failed(doing))?;
        for sealed in &typed {
            let option = row_text(sealed, "option_name")?.unwrap_or_default();
            // Only what the row that was read still means; it may have changed since.
            if row.options.get(&option).is_some_and(is_sealed) {
                let value = self.unseal(sealed, &option_owner(row.id, &option))?;
                values.insert(option, value);
            }
        }
        let named_values = sqlx::query(
            "SELECT u.option_name, s.id, s.name, s.sealed, m.value AS key_check FROM secret_uses u JOIN secrets s ON s.id = u.secret_id LEFT JOIN meta m ON m.key = 'vault.check' WHERE u.connection_id = $1",
        )
        .bind(row.id.to_string())
        .fetch_all(&self.pool)
        .await
        .map_err(failed(doing))?;
        for sealed in &named_values {
            let option = row_text(sealed, "option_name")?.unwrap_or_default();
            let name = row_name(sealed, "name")?;
            if row.options.get(&option).and_then(named) == Some(&name) {
                let value = self.unseal(sealed, &secret_owner(row_parse(sealed, "id")?))?;
                values.insert(option, value);
            }
        }
        Ok(values)
    }

    /// Reads the region remembered for a bucket.
    pub async fn region(&self, id: ConnectionId, bucket: &str) -> Result<Option<String>> {
        sqlx::query_scalar(
            "SELECT region FROM bucket_regions WHERE connection_id = $1 AND bucket = $2",
        )
        .bind(id.to_string())
        .bind(bucket)
        .fetch_optional(&self.pool)
        .await
        .map_err(failed("read a region"))
    }

    /// Remembers the region of a bucket; nothing happens where the connection is gone.
    pub async fn remember_region(
        &self,
        id: ConnectionId,
        bucket: &str,
        region: &str,
    ) -> Result<()> {
        let doing = "remember a region";
        let mut tx = self.begin(Intent::Write).await?;
        let done = sqlx::query(
            "INSERT INTO bucket_regions (connection_id, bucket, region) VALUES ($1, $2, $3) ON CONFLICT (connection_id, bucket) DO UPDATE SET region = excluded.region",
        )
        .bind(id.to_string())
        .bind(bucket)
        .bind(region)
        .execute(&mut *tx)
        .await;
        match done {
            Err(error) if is_reference(&error) => Ok(()),
            Err(error) => Err(failed(doing)(error)),
            Ok(_) => tx.commit().await.map_err(failed(doing)),
        }
    }

    /// Makes the sealed values and the named secrets of a connection those its options speak of.
    async fn write_secrets(&self, tx: &mut Tx, row: &ConnectionRow, sealed: &Sealed) -> Result<()> {
        let doing = "write sealed values";
        let id = row.id.to_string();
        sqlx::query("DELETE FROM secret_uses WHERE connection_id = $1")
            .bind(&id)
            .execute(&mut **tx)
            .await
            .map_err(failed(doing))?;
        let kept: Vec<String> = sqlx::query_scalar(
            "SELECT option_name FROM connection_secrets WHERE connection_id = $1",
        )
        .bind(&id)
        .fetch_all(&mut **tx)
        .await
        .map_err(failed(doing))?;
        for option in &kept {
            if sealed.contains_key(option) || !row.options.get(option).is_some_and(is_sealed) {
                sqlx::query(
                    "DELETE FROM connection_secrets WHERE connection_id = $1 AND option_name = $2",
                )
                .bind(&id)
                .bind(option)
                .execute(&mut **tx)
                .await
                .map_err(failed(doing))?;
            }
        }
        let key = if sealed.is_empty() { None } else { Some(self.sealing_key(tx).await?) };
        for (option, value) in &row.options {
            if let Some(name) = named(value) {
                let done = sqlx::query(
                    "INSERT INTO secret_uses (connection_id, option_name, secret_id) SELECT CAST($1 AS TEXT), CAST($2 AS TEXT), id FROM secrets WHERE fabric_id = $3 AND name = $4",
                )
                .bind(&id)
                .bind(option)
                .bind(row.fabric.to_string())
                .bind(name.as_str())
                .execute(&mut **tx)
                .await
                .map_err(failed(doing))?;
                if done.rows_affected() == 0 {
                    return Err(crate::secrets::no_secret(name));
                }
            } else if is_sealed(value) {
                match (sealed.get(option), &key) {
                    (Some(value), Some(key)) => {
                        let owner = option_owner(row.id, option);
                        sqlx::query(
                            "INSERT INTO connection_secrets (connection_id, option_name, sealed) VALUES ($1, $2, $3)",
                        )
                        .bind(&id)
                        .bind(option)
                        .bind(key.seal(&owner, value.expose_secret())?)
                        .execute(&mut **tx)
                        .await
                        .map_err(failed(doing))?;
                    }
                    _ if kept.contains(option) => {}
                    _ => {
                        return Err(Error::new(
                            ErrorCode::Internal,
                            format!("option {option} is marked sealed but has no value"),
                        ));
                    }
                }
            }
        }
        if let Some(option) =
            sealed.keys().find(|option| !row.options.get(*option).is_some_and(is_sealed))
        {
            return Err(Error::new(
                ErrorCode::Internal,
                format!("option {option} has a value to seal but is not marked sealed"),
            ));
        }
        Ok(())
    }
}

async fn dependents(tx: &mut Tx, id: &str) -> Result<Vec<String>> {
    let rows = sqlx::query(
        "SELECT schema_name, name FROM file_tables WHERE connection_id = $1 ORDER BY schema_name, name",
    )
    .bind(id)
    .fetch_all(&mut **tx)
    .await
    .map_err(failed("read dependents"))?;
    let mut found = rows
        .iter()
        .map(|row| {
            Ok(format!("file table {}.{}", row_name(row, "schema_name")?, row_name(row, "name")?))
        })
        .collect::<Result<Vec<String>>>()?;
    let rows = sqlx::query(
        "SELECT j.name FROM jobs j JOIN job_connections c ON c.job_id = j.id WHERE c.connection_id = $1 ORDER BY j.name",
    )
    .bind(id)
    .fetch_all(&mut **tx)
    .await
    .map_err(failed("read dependents"))?;
    for row in &rows {
        found.push(format!("job {}", row_name(row, "name")?));
    }
    Ok(found)
}

fn intent(sealed: &Sealed) -> Intent {
    if sealed.is_empty() { Intent::Write } else { Intent::Seal }
}

/// The time as it will be read back.
pub(crate) fn stored(time: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(time.timestamp_micros()).unwrap_or(time)
}

fn is_sealed(value: &OptionValue) -> bool {
    matches!(value, OptionValue::Sealed)
}

fn named(value: &OptionValue) -> Option<&Name> {
    match value {
        OptionValue::Secret(name) => Some(name),
        _ => None,
    }
}

pub(crate) fn no_connection(name: &Name) -> Error {
    Error::new(ErrorCode::ConnectionNotFound, format!("no connection {name}"))
        .hint("`SHOW CONNECTIONS` lists them")
}
