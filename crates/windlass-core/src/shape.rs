//! What a statement takes and gives, without running it.

use crate::engine::{Ctx, Shape};
use crate::windlass::Windlass;
use arrow::datatypes::DataType;
use windlass_query::Given;
use windlass_sql::Statement;
use windlass_types::{Error, ErrorCode, Result};

impl Ctx {
    /// What a query is given besides its text.
    pub(crate) fn given(&self) -> Given {
        Given {
            parameters: self.parameters.clone(),
            user: self.user.clone(),
            settings: self.session.all(),
        }
    }
}

impl Windlass {
    pub(crate) async fn shape_of(
        &self,
        ctx: &Ctx,
        text: &str,
        types: &[Option<DataType>],
    ) -> Result<Shape> {
        let mut statements = windlass_sql::parse(text)?;
        let statement = match (statements.pop(), statements.is_empty()) {
            (Some(parsed), true) => parsed.statement,
            _ => {
                return Err(Error::new(ErrorCode::SqlSyntax, "one statement can be prepared")
                    .hint("send them one by one"));
            }
        };
        match statement {
            Statement::Engine(text) => {
                if let Some(set) = crate::session::read(&text)? {
                    return Ok(match set {
                        crate::session::SetStatement::Show(_)
                        | crate::session::SetStatement::ShowAll => Shape::Unknown,
                        _ => Shape::Done,
                    });
                }
                let fabric = self.fabric(&ctx.fabric).await?;
                let name = fabric.name.as_str().to_owned();
                let engine = self.query().await?;
                let shape = Box::pin(engine.shape(
                    &text,
                    &name,
                    self.session_scope(fabric, ctx),
                    types,
                    &ctx.given(),
                ))
                .await?;
                Ok(shape.map_or(Shape::Unknown, |shape| Shape::Rows {
                    parameters: shape.parameters,
                    columns: shape.columns,
                }))
            }
            // Whether these can be done is seen when they are.
            Statement::CreateConnection { .. }
            | Statement::AlterConnection { .. }
            | Statement::DropConnection { .. }
            | Statement::CreateSecret { .. }
            | Statement::AlterSecret { .. }
            | Statement::DropSecret { .. }
            | Statement::CreateFileTable { .. }
            | Statement::DropTable { .. }
            | Statement::CreateSchema { .. }
            | Statement::DropSchema { .. }
            | Statement::CreateFabric { .. }
            | Statement::DropFabric { .. }
            | Statement::UseFabric { .. }
            | Statement::CreateJob(_)
            | Statement::AlterJob { .. }
            | Statement::DropJob { .. }
            | Statement::PauseJob { .. }
            | Statement::CancelJob { .. }
            | Statement::CancelRun { .. } => Ok(Shape::Done),
            _ => Ok(Shape::Unknown),
        }
    }
}
