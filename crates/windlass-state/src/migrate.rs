//! Bringing the schema to this version: numbered SQL, the same names for both databases.

use crate::dialect::{Dialect, Intent};
use sqlx::AnyPool;
use windlass_types::{Error, ErrorCode, FabricId, Result};

struct Migration {
    version: i64,
    name: &'static str,
    sqlite: &'static str,
    postgres: &'static str,
}

macro_rules! migrations {
    ($($version:literal $name:literal),+ $(,)?) => {
        /// In order, without gaps; a released one never changes.
        const MIGRATIONS: &[Migration] = &[$(Migration {
            version: $version,
            name: $name,
            sqlite: include_str!(concat!("../migrations/sqlite/", $name, ".sql")),
            postgres: include_str!(concat!("../migrations/postgres/", $name, ".sql")),
        }),+];
    };
}

migrations! {
    1 "0001_first",
    2 "0002_jobs",
    3 "0003_item_errors",
    4 "0004_tables",
    5 "0005_catalog",
}

/// The version this program writes.
fn newest() -> i64 {
    MIGRATIONS.last().map_or(0, |migration| migration.version)
}

/// Applies what is missing, in one transaction; others who open meanwhile wait.
pub(crate) async fn migrate(pool: &AnyPool, dialect: Dialect, now: i64) -> Result<()> {
    const VERSION: &str = "SELECT CAST(COALESCE(MAX(version), 0) AS BIGINT) FROM schema_version";
    // The usual case: one read. An error means that there is no table yet, or worse; the
    // transaction below finds out which.
    if let Ok(version) = sqlx::query_scalar::<_, i64>(VERSION).fetch_one(pool).await
        && version >= newest()
    {
        return check_not_newer(version);
    }
    let failed = |error: sqlx::Error| {
        Error::new(ErrorCode::StateFailed, "the state cannot be brought to this version")
            .source(error)
            .hint("nothing was changed; check that the state is one of Windlass and can be written")
    };
    let mut transaction = dialect.begin(pool, Intent::Migrate).await.map_err(failed)?;
    sqlx::raw_sql(
        "CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL, applied_at BIGINT NOT NULL)",
    )
    .execute(&mut *transaction)
    .await
    .map_err(failed)?;
    let version =
        sqlx::query_scalar::<_, i64>(VERSION).fetch_one(&mut *transaction).await.map_err(failed)?;
    check_not_newer(version)?;
    for migration in MIGRATIONS.iter().filter(|migration| migration.version > version) {
        let sql = match dialect {
            Dialect::Sqlite => migration.sqlite,
            Dialect::Postgres => migration.postgres,
        };
        sqlx::raw_sql(sql).execute(&mut *transaction).await.map_err(failed)?;
        sqlx::query("INSERT INTO schema_version (version, name, applied_at) VALUES ($1, $2, $3)")
            .bind(migration.version)
            .bind(migration.name)
            .bind(now)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
    }
    if version == 0 {
        crate::fabrics::insert(&mut transaction, FabricId::new(), crate::DEFAULT_FABRIC, now)
            .await
            .map_err(failed)?;
    }
    transaction.commit().await.map_err(failed)
}

fn check_not_newer(version: i64) -> Result<()> {
    if version <= newest() {
        return Ok(());
    }
    Err(Error::new(
        ErrorCode::StateNewer,
        format!(
            "the state was made by a newer Windlass: its version is {version}, this one knows {}",
            newest()
        ),
    )
    .hint("use the newer Windlass, or another home; nothing was changed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_folders_hold_exactly_the_listed_migrations() {
        let listed: Vec<String> =
            MIGRATIONS.iter().map(|migration| format!("{}.sql", migration.name)).collect();
        for folder in ["sqlite", "postgres"] {
            let path = format!("{}/migrations/{folder}", env!("CARGO_MANIFEST_DIR"));
            let mut found: Vec<String> = std::fs::read_dir(path)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            found.sort();
            assert_eq!(found, listed, "{folder}");
        }
        for (index, migration) in MIGRATIONS.iter().enumerate() {
            assert_eq!(migration.version, i64::try_from(index).unwrap() + 1);
            assert!(migration.name.starts_with(&format!("{:04}_", migration.version)));
        }
    }
}
