//! One statement at a time: what each does.

use crate::connections::Create;
use crate::engine::{Answer, Ctx, Grade, Verdict};
use crate::rows::{done, like, of_query};
use crate::tables::CreateFileTable;
use crate::views::{CreateTemporary, CreateView};
use crate::windlass::Windlass;
use arrow::array::{Array as _, AsArray as _, BooleanArray};
use arrow::compute::filter_record_batch;
use chrono::Utc;
use futures::FutureExt as _;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use windlass_sql::{DescribeTarget, Statement};
use windlass_types::{Error, ErrorCode, Result};

impl Windlass {
    /// Runs one statement. Boxed: the futures below are deep.
    pub(crate) fn run<'a>(
        &'a self,
        ctx: &'a mut Ctx,
        statement: Statement,
    ) -> BoxFuture<'a, Result<Answer>> {
        Box::pin(self.run_one(ctx, statement))
    }

    async fn run_one(&self, ctx: &mut Ctx, statement: Statement) -> Result<Answer> {
        let fabric = self.fabric(&ctx.fabric).await?;
        match statement {
            Statement::CreateConnection { or_replace, if_not_exists, kind, name, options } => {
                self.create_connection(
                    &fabric,
                    Create { or_replace, if_not_exists, kind, name, options },
                )
                .boxed()
                .await
            }
            Statement::AlterConnection { kind, name, changes } => {
                self.alter_connection(&fabric, kind, &name, changes).boxed().await
            }
            Statement::DropConnection { if_exists, name } => {
                self.drop_connection(&fabric, &name, if_exists).boxed().await
            }
            Statement::Describe { target: DescribeTarget::Connection(name) } => {
                self.describe_connection(&fabric, &name).boxed().await
            }
            Statement::Describe { target: DescribeTarget::Container(name) } => {
                self.describe_container(&fabric, &name).boxed().await
            }
            Statement::Crawl(crawl) => self.run_crawl(&fabric, ctx, crawl).boxed().await,
            Statement::ExplainCrawl(crawl) => self.explain(&fabric, crawl).boxed().await,
            Statement::ShowManifest { connection } => {
                self.show_manifest(&fabric, connection).boxed().await
            }
            Statement::Catalog(statement) => {
                self.catalog_statement(&fabric, statement).boxed().await
            }
            Statement::Describe { target: DescribeTarget::Table(parts) } => {
                let engine = self.query().await?;
                let name = fabric.name.as_str().to_owned();
                let scope = self.session_scope(fabric, ctx);
                Ok(of_query(engine.describe(&parts, &name, scope).boxed().await?))
            }
            Statement::Describe { target: DescribeTarget::Call(call) } => {
                let engine = self.query().await?;
                let name = fabric.name.as_str().to_owned();
                let scope = self.session_scope(fabric, ctx);
                Ok(of_query(engine.describe_call(&call, &name, scope).boxed().await?))
            }
            Statement::Show { what, like: None } if crate::system::is_none(&what) => {
                match crate::session::read(&format!("SHOW {what}"))? {
                    Some(shown) => ctx.session.run(shown),
                    None => self.show(fabric, &what, None).boxed().await,
                }
            }
            Statement::Show { what, like } => {
                self.show(fabric, &what, like.as_deref()).boxed().await
            }
            Statement::ShowSchemaChanges { table } => {
                let rows = self.schema_changes(&fabric, table.as_ref()).boxed().await?;
                Ok(Answer::Rows {
                    schema: rows.schema(),
                    batches: futures::stream::iter([Ok(rows)]).boxed(),
                    verdict: Verdict::new(Grade::Good),
                })
            }
            Statement::ShowCreate { name } => {
                self.show_create_connection(&fabric, &name).boxed().await
            }
            Statement::Test { name, write } => {
                self.test_connection(&fabric, &name, write).boxed().await
            }
            Statement::CreateSecret { if_not_exists, name, source } => {
                self.create_secret(&fabric, name, if_not_exists, source, ctx.remote).boxed().await
            }
            Statement::AlterSecret { name, source } => {
                self.alter_secret(&fabric, &name, source, ctx.remote).boxed().await
            }
            Statement::DropSecret { if_exists, name } => {
                self.drop_secret(&fabric, &name, if_exists).boxed().await
            }
            Statement::CreateFileTable {
                if_not_exists,
                name,
                connection,
                location,
                options,
                columns,
            } => {
                let create =
                    CreateFileTable { if_not_exists, name, connection, location, options, columns };
                self.create_file_table(&fabric, create).boxed().await
            }
            Statement::CreateView {
                or_replace,
                temporary,
                if_not_exists,
                name,
                columns,
                query,
            } => {
                let create =
                    CreateView { or_replace, temporary, if_not_exists, name, columns, query };
                self.create_view(&fabric, ctx, create).boxed().await
            }
            Statement::DropView { if_exists, name } => {
                self.drop_view(&fabric, ctx, &name, if_exists).boxed().await
            }
            Statement::CreateTemporaryTable { or_replace, if_not_exists, name, query } => {
                let create = CreateTemporary { or_replace, if_not_exists, name, query };
                self.create_temporary(&fabric, ctx, create).boxed().await
            }
            Statement::Preview { of, limit } => self.preview(&fabric, ctx, of, limit).boxed().await,
            Statement::Profile { of, full } => self.profile(&fabric, ctx, of, full).boxed().await,
            Statement::DropTable { if_exists, name } => {
                if name.schema.is_none() && ctx.temporaries.remove(name.table.as_str()) {
                    let text = format!("temporary table `{}` dropped", name.table.as_str());
                    return Ok(done(text, vec![]));
                }
                self.drop_table(&fabric, &name, if_exists).boxed().await
            }
            Statement::List { connection, path, recursive, limit } => {
                let row = self.connection(&fabric, &connection).await?;
                let storage = self.open_row(&row).await?.storage();
                let location = storage.binding().resolve_any(&path)?;
                Ok(crate::list::list(&storage, &location, recursive, limit))
            }
            Statement::CreateSchema { if_not_exists, name } => {
                self.create_schema(&fabric, name, if_not_exists).boxed().await
            }
            Statement::DropSchema { if_exists, name } => {
                self.drop_schema(&fabric, &name, if_exists).boxed().await
            }
            Statement::CreateFabric { if_not_exists, name } => {
                if self.inner.store.fabrics().await?.iter().any(|row| row.name == name) {
                    if if_not_exists {
                        return Ok(done(
                            format!("fabric `{}` exists; nothing changed", name.as_str()),
                            vec![],
                        ));
                    }
                    return Err(Error::new(
                        ErrorCode::FabricExists,
                        format!("fabric `{}` exists", name.as_str()),
                    )
                    .hint("add `IF NOT EXISTS`, or choose another name"));
                }
                self.inner.store.create_fabric(&name, Utc::now()).await?;
                Ok(done(format!("fabric `{}` created", name.as_str()), vec![]))
            }
            Statement::DropFabric { if_exists, name } => {
                let known = self.inner.store.fabrics().await?.iter().any(|row| row.name == name);
                if !known && if_exists {
                    return Ok(done(
                        format!("no fabric `{}`; nothing changed", name.as_str()),
                        vec![],
                    ));
                }
                if known && name == fabric.name && name.as_str() != "default" {
                    return Err(Error::new(
                        ErrorCode::FabricInUse,
                        format!("the fabric `{}` is the one in use", name.as_str()),
                    )
                    .hint("first `USE FABRIC default`"));
                }
                self.inner.store.drop_fabric(&name).await?;
                Ok(done(format!("fabric `{}` dropped", name.as_str()), vec![]))
            }
            Statement::UseFabric { name } => {
                let fabric = self.fabric(name.as_str()).await?;
                fabric.name.as_str().clone_into(&mut ctx.fabric);
                Ok(done(format!("using fabric `{}`", fabric.name.as_str()), vec![]))
            }
            Statement::Describe { target: DescribeTarget::Job(name) } => {
                self.describe_job(&fabric, &name).boxed().await
            }
            statement @ (Statement::Files(_)
            | Statement::CreateJob(_)
            | Statement::AlterJob { .. }
            | Statement::DropJob { .. }
            | Statement::PauseJob { .. }
            | Statement::RunJob { .. }
            | Statement::CancelJob { .. }
            | Statement::CancelRun { .. }
            | Statement::ShowCreateJob { .. }) => {
                self.job_statement(&fabric, ctx, statement).boxed().await
            }
            Statement::Write(write) => {
                self.end_dead_writes_once(&fabric).await;
                self.run_write(&fabric, write, &ctx.temporaries).boxed().await
            }
            Statement::Engine(text) => {
                if let Some(set) = crate::session::read(&text)? {
                    return ctx.session.run(set);
                }
                self.end_dead_writes_once(&fabric).await;
                let engine = self.query().await?;
                let name = fabric.name.as_str().to_owned();
                let given = ctx.given();
                let rows = engine
                    .query_with(&text, &name, self.session_scope(fabric, ctx), &given)
                    .boxed()
                    .await?;
                Ok(of_query(rows))
            }
        }
    }

    /// SHOW x [LIKE p] without the query engine: it is what scripts call most, and starts at once.
    /// LIKE matches the column `name`, else the first.
    async fn show(
        &self,
        fabric: windlass_state::FabricRow,
        what: &str,
        pattern: Option<&str>,
    ) -> Result<Answer> {
        let Some(mut batch) = self.system_table(&fabric, what).await? else {
            let known: Vec<&str> = crate::system::TABLES.iter().map(|table| table.name).collect();
            let near = windlass_types::options::nearest(what, &known)
                .map_or_else(String::new, |near| format!("did you mean `{near}`? "));
            return Err(Error::new(ErrorCode::TableNotFound, format!("no system table `{what}`"))
                .hint(format!("{near}known are {}", known.join(", "))));
        };
        if let Some(pattern) = pattern {
            let column = batch.column_by_name("name").unwrap_or_else(|| batch.column(0));
            let names = column.as_string::<i32>();
            let keep: BooleanArray = (0..names.len())
                .map(|row| Some(!names.is_null(row) && like(pattern, names.value(row))))
                .collect();
            batch = filter_record_batch(&batch, &keep).map_err(|error| {
                Error::new(ErrorCode::Internal, "LIKE could not be applied").source(error)
            })?;
        }
        Ok(Answer::Rows {
            schema: batch.schema(),
            batches: futures::stream::iter([Ok(batch)]).boxed(),
            verdict: Verdict::new(Grade::Good),
        })
    }
}
