//! Fabrics, and the one namespace that connections and schemas of a fabric share.

use crate::dialect::Intent;
use crate::error::{failed, is_reference, row_name, row_parse, row_time};
use crate::{MAIN_SCHEMA, Store, Tx};
use chrono::{DateTime, Utc};
use sqlx::any::AnyRow;
use windlass_types::{Error, ErrorCode, FabricId, Name, Result};

/// A stored fabric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FabricRow {
    /// Id.
    pub id: FabricId,
    /// Name.
    pub name: Name,
    /// When it was made.
    pub created: DateTime<Utc>,
}

impl FabricRow {
    fn read(row: &AnyRow) -> Result<Self> {
        Ok(Self {
            id: row_parse(row, "id")?,
            name: row_name(row, "name")?,
            created: row_time(row, "created_at")?,
        })
    }
}

impl Store {
    /// Finds a fabric by name.
    pub async fn fabric(&self, name: &Name) -> Result<FabricRow> {
        let row = sqlx::query("SELECT id, name, created_at FROM fabrics WHERE name = $1")
            .bind(name.as_str())
            .fetch_optional(&self.pool)
            .await
            .map_err(failed("read fabrics"))?;
        row.as_ref().map(FabricRow::read).transpose()?.ok_or_else(|| {
            Error::new(ErrorCode::FabricNotFound, format!("no fabric `{}`", name.as_str()))
                .hint("`SHOW FABRICS` lists them")
        })
    }

    /// Lists all fabrics by name.
    pub async fn fabrics(&self) -> Result<Vec<FabricRow>> {
        sqlx::query("SELECT id, name, created_at FROM fabrics ORDER BY name")
            .fetch_all(&self.pool)
            .await
            .map_err(failed("read fabrics"))?
            .iter()
            .map(FabricRow::read)
            .collect()
    }

    /// Creates a fabric.
    pub async fn create_fabric(&self, name: &Name, now: DateTime<Utc>) -> Result<FabricRow> {
        let mut tx = self.begin(Intent::Write).await?;
        let id = FabricId::new();
        match insert(&mut tx, id, name.as_str(), now.timestamp_micros()).await {
            Ok(true) => {}
            Ok(false) => {
                return Err(Error::new(
                    ErrorCode::FabricExists,
                    format!("fabric `{}` exists", name.as_str()),
                ));
            }
            Err(error) => return Err(failed("create a fabric")(error)),
        }
        tx.commit().await.map_err(failed("create a fabric"))?;
        self.fabric(name).await
    }

    /// Removes a fabric that holds nothing; the fabric `default` always is there.
    pub async fn drop_fabric(&self, name: &Name) -> Result<()> {
        let fabric = self.fabric(name).await?;
        if name.as_str() == DEFAULT_FABRIC {
            return Err(Error::new(
                ErrorCode::FabricInUse,
                "the fabric `default` cannot be dropped",
            )
            .hint("it is where names belong that no other fabric is named for"));
        }
        let id = fabric.id.to_string();
        let mut tx = self.begin(Intent::Write).await?;
        let mut held = Vec::new();
        for (query, one, many) in HELD {
            let count: i64 = sqlx::query_scalar(query)
                .bind(&id)
                .fetch_one(&mut *tx)
                .await
                .map_err(failed("look into a fabric"))?;
            if count > 0 {
                held.push(format!("{count} {}", if count == 1 { one } else { many }));
            }
        }
        let in_use = |what: &str| {
            Error::new(
                ErrorCode::FabricInUse,
                format!("the fabric `{}` still has {what}", name.as_str()),
            )
            .hint(format!("`USE FABRIC {name}`, drop what is in it, and drop it from another one"))
        };
        if !held.is_empty() {
            return Err(in_use(&held.join(" and ")));
        }
        for query in [
            "DELETE FROM schemas WHERE fabric_id = $1",
            "DELETE FROM names WHERE fabric_id = $1",
            "DELETE FROM fabrics WHERE id = $1",
        ] {
            sqlx::query(query).bind(&id).execute(&mut *tx).await.map_err(|error| {
                if is_reference(&error) {
                    in_use("something")
                } else {
                    failed("drop a fabric")(error)
                }
            })?;
        }
        tx.commit().await.map_err(failed("drop a fabric"))
    }
}

/// The fabric that every store has.
const DEFAULT_FABRIC: &str = "default";

/// What keeps a fabric from being dropped: how many of it, and its words.
const HELD: [(&str, &str, &str); 5] = [
    ("SELECT COUNT(*) FROM connections WHERE fabric_id = $1", "connection", "connections"),
    ("SELECT COUNT(*) FROM secrets WHERE fabric_id = $1", "secret", "secrets"),
    ("SELECT COUNT(*) FROM file_tables WHERE fabric_id = $1", "file table", "file tables"),
    ("SELECT COUNT(*) FROM views WHERE fabric_id = $1", "view", "views"),
    ("SELECT COUNT(*) FROM schemas WHERE fabric_id = $1 AND name <> 'main'", "schema", "schemas"),
];

/// Inserts a fabric and its schema `main`; false where the name is taken.
pub(crate) async fn insert(tx: &mut Tx, id: FabricId, name: &str, now: i64) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "INSERT INTO fabrics (id, name, created_at) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING",
    )
    .bind(id.to_string())
    .bind(name)
    .bind(now)
    .execute(&mut **tx)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query("INSERT INTO names (fabric_id, name, kind) VALUES ($1, $2, 'schema')")
        .bind(id.to_string())
        .bind(MAIN_SCHEMA)
        .execute(&mut **tx)
        .await?;
    sqlx::query("INSERT INTO schemas (fabric_id, name, created_at) VALUES ($1, $2, $3)")
        .bind(id.to_string())
        .bind(MAIN_SCHEMA)
        .bind(now)
        .execute(&mut **tx)
        .await?;
    Ok(true)
}

/// Takes a name for a `kind` (`connection`, `schema`); or says what has it.
pub(crate) async fn take_name(
    tx: &mut Tx,
    fabric: FabricId,
    name: &Name,
    kind: &'static str,
) -> Result<()> {
    let doing = "take a name";
    let done = sqlx::query(
        "INSERT INTO names (fabric_id, name, kind) VALUES ($1, $2, $3) ON CONFLICT (fabric_id, name) DO NOTHING",
    )
    .bind(fabric.to_string())
    .bind(name.as_str())
    .bind(kind)
    .execute(&mut **tx)
    .await
    .map_err(|error| {
        if is_reference(&error) { no_fabric(fabric) } else { failed(doing)(error) }
    })?;
    if done.rows_affected() == 1 {
        return Ok(());
    }
    let owner: Option<String> =
        sqlx::query_scalar("SELECT kind FROM names WHERE fabric_id = $1 AND name = $2")
            .bind(fabric.to_string())
            .bind(name.as_str())
            .fetch_optional(&mut **tx)
            .await
            .map_err(failed(doing))?;
    let owner = owner.as_deref().unwrap_or(kind);
    let code = match owner {
        "schema" => ErrorCode::SchemaExists,
        _ => ErrorCode::ConnectionExists,
    };
    let error = Error::new(code, format!("{owner} `{}` exists", name.as_str()));
    Err(if owner == kind {
        error
    } else {
        error.hint("connections and schemas of a fabric share one namespace: choose another name")
    })
}

/// Gives a name back.
pub(crate) async fn release_name(tx: &mut Tx, fabric: FabricId, name: &Name) -> Result<()> {
    sqlx::query("DELETE FROM names WHERE fabric_id = $1 AND name = $2")
        .bind(fabric.to_string())
        .bind(name.as_str())
        .execute(&mut **tx)
        .await
        .map_err(failed("release a name"))?;
    Ok(())
}

pub(crate) fn no_fabric(fabric: FabricId) -> Error {
    Error::new(ErrorCode::FabricNotFound, format!("no fabric `{fabric}`"))
}
