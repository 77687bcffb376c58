//! Views, temporary tables, and looks into tables.

use crate::engine::{Answer, Ctx};
use crate::rows::{done, of_query};
use crate::tables::DEFAULT_SCHEMA;
use crate::windlass::Windlass;
use chrono::Utc;
use windlass_query::{LookAt, View};
use windlass_sql::{Look, TableName};
use windlass_state::{FabricRow as Fabric, ViewRow};
use windlass_types::{Error, ErrorCode, Name, Result};

/// Rows of a PREVIEW that says no number.
const FIRST: u64 = 100;

/// What `CREATE VIEW` was asked.
pub(crate) struct CreateView {
    pub(crate) or_replace: bool,
    pub(crate) temporary: bool,
    pub(crate) if_not_exists: bool,
    pub(crate) name: TableName,
    pub(crate) columns: Vec<String>,
    pub(crate) query: String,
}

/// What `CREATE TEMPORARY TABLE` was asked.
pub(crate) struct CreateTemporary {
    pub(crate) or_replace: bool,
    pub(crate) if_not_exists: bool,
    pub(crate) name: Name,
    pub(crate) query: String,
}

fn looked_at(of: Look) -> LookAt {
    match of {
        Look::Table(parts) => LookAt::Table(parts),
        Look::Query(query) => LookAt::Query(query),
    }
}

fn exists(what: &str, name: &str) -> Error {
    Error::new(ErrorCode::TableExists, format!("{what} `{name}` exists"))
        .hint("add `OR REPLACE` or `IF NOT EXISTS`, or choose another name")
}

impl Windlass {
    pub(crate) async fn create_view(
        &self,
        fabric: &Fabric,
        ctx: &Ctx,
        create: CreateView,
    ) -> Result<Answer> {
        let table = create.name.table.as_str().to_owned();
        if create.temporary {
            if ctx.temporaries.get(&table).is_some() && !create.or_replace {
                if create.if_not_exists {
                    return Ok(done(format!("view `{table}` exists; nothing changed"), vec![]));
                }
                return Err(exists("temporary table or view", &table));
            }
            self.checked(fabric, ctx, &create).await?;
            let view = View { query: create.query, columns: create.columns };
            ctx.temporaries.add_view(table.clone(), view);
            return Ok(done(format!("temporary view `{table}` created"), vec![]));
        }
        let schema = self.schema_of(fabric, &create.name).await?;
        let shown = format!("{}.{table}", schema.as_str());
        let name = create.name.table.clone();
        if self.inner.store.file_table(fabric.id, &schema, &name).await?.is_some() {
            return Err(Error::new(ErrorCode::TableExists, format!("`{shown}` is a file table"))
                .hint("drop it first, or choose another name"));
        }
        if self.inner.store.view(fabric.id, &schema, &name).await?.is_some() && !create.or_replace {
            if create.if_not_exists {
                return Ok(done(format!("view `{shown}` exists; nothing changed"), vec![]));
            }
            return Err(exists("view", &shown));
        }
        self.checked(fabric, ctx, &create).await?;
        let row = ViewRow {
            schema,
            name,
            query: create.query,
            columns: create.columns,
            created: Utc::now(),
        };
        self.inner.store.create_view(fabric.id, &row, create.or_replace).await?;
        Ok(done(format!("view `{shown}` created"), vec![]))
    }

    /// An error unless the query of a view can be planned; of one that stays, without what is
    /// temporary.
    async fn checked(&self, fabric: &Fabric, ctx: &Ctx, create: &CreateView) -> Result<()> {
        let scope = if create.temporary {
            self.session_scope(fabric.clone(), ctx)
        } else {
            self.scope(fabric.clone())
        };
        let engine = self.query().await?;
        let found = engine.columns(&create.query, fabric.name.as_str(), scope).await?;
        let (given, has) = (create.columns.len(), found.fields().len());
        if given > 0 && given != has {
            return Err(Error::new(
                ErrorCode::SqlPlan,
                format!("the view names {given} columns, but its query has {has}"),
            ));
        }
        Ok(())
    }

    pub(crate) async fn drop_view(
        &self,
        fabric: &Fabric,
        ctx: &Ctx,
        name: &TableName,
        if_exists: bool,
    ) -> Result<Answer> {
        let table = name.table.as_str();
        if name.schema.is_none()
            && matches!(ctx.temporaries.get(table), Some(windlass_query::Temporary::View(_)))
            && ctx.temporaries.remove(table)
        {
            return Ok(done(format!("temporary view `{table}` dropped"), vec![]));
        }
        let schema = match &name.schema {
            Some(schema) => schema.clone(),
            None => Name::new(DEFAULT_SCHEMA)?,
        };
        let shown = format!("{}.{table}", schema.as_str());
        if self.inner.store.drop_view(fabric.id, &schema, &name.table).await? {
            return Ok(done(format!("view `{shown}` dropped"), vec![]));
        }
        if if_exists {
            return Ok(done(format!("no view `{shown}`; nothing changed"), vec![]));
        }
        Err(Error::new(ErrorCode::TableNotFound, format!("no view `{shown}`"))
            .hint("`SHOW VIEWS` lists them; `DROP TABLE` drops tables"))
    }

    pub(crate) async fn create_temporary(
        &self,
        fabric: &Fabric,
        ctx: &Ctx,
        create: CreateTemporary,
    ) -> Result<Answer> {
        let name = create.name.as_str().to_owned();
        if ctx.temporaries.get(&name).is_some() && !create.or_replace {
            if create.if_not_exists {
                return Ok(done(format!("table `{name}` exists; nothing changed"), vec![]));
            }
            return Err(exists("temporary table or view", &name));
        }
        let engine = self.query().await?;
        let scope = self.session_scope(fabric.clone(), ctx);
        let into = &ctx.temporaries;
        let rows = engine.hold(&create.query, &name, into, fabric.name.as_str(), scope).await?;
        Ok(done(format!("temporary table `{name}` created: {rows} rows"), vec![]))
    }

    pub(crate) async fn preview(
        &self,
        fabric: &Fabric,
        ctx: &Ctx,
        of: Look,
        limit: Option<u64>,
    ) -> Result<Answer> {
        let engine = self.query().await?;
        let limit = usize::try_from(limit.unwrap_or(FIRST)).unwrap_or(usize::MAX);
        let scope = self.session_scope(fabric.clone(), ctx);
        engine.preview(&looked_at(of), limit, fabric.name.as_str(), scope).await.map(of_query)
    }

    pub(crate) async fn profile(
        &self,
        fabric: &Fabric,
        ctx: &Ctx,
        of: Look,
        full: bool,
    ) -> Result<Answer> {
        let engine = self.query().await?;
        let scope = self.session_scope(fabric.clone(), ctx);
        engine.profile(&looked_at(of), full, fabric.name.as_str(), scope).await.map(of_query)
    }
}
