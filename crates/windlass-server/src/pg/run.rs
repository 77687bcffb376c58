//! What each message of a client does: the simple protocol, and the extended one.

use super::client::{Begun, Client, Done, Fault, Portal, Statement};
use super::encode::Rows;
use super::literals;
use super::said;
use super::types::{Column, parameter};
use super::words::{self, CopyFormat, Words};
use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use futures::SinkExt as _;
use pgwire::api::Type;
use pgwire::messages::PgWireBackendMessage as Out;
use pgwire::messages::copy::{CopyDone, CopyOutResponse};
use pgwire::messages::data::{NoData, ParameterDescription};
use pgwire::messages::extendedquery::{
    Bind, BindComplete, Close, CloseComplete, Describe, Execute, Parse, ParseComplete,
    PortalSuspended, TARGET_TYPE_BYTE_STATEMENT,
};
use pgwire::messages::response::{EmptyQueryResponse, TransactionStatus};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use windlass_core::engine::Shape;
use windlass_core::sql::Placeholder;
use windlass_types::{Error, ErrorCode, Result};

/// Advice for values that a statement does not take.
const NO_PARAMETERS: &str =
    "queries, and what keeps the rows of one, have parameters; write other values out";

/// An error with a state of PostgreSQL's that no code of ours has.
fn protocol(state: &str, message: String, hint: Option<&str>) -> Fault {
    let info = said::plain("ERROR", state, message, hint);
    Fault::Told(Box::new(Out::ErrorResponse(info.into())))
}

/// Statements of a text. PostgreSQL lets a text be empty.
fn split(text: &str) -> Result<Vec<String>> {
    let pieces = windlass_core::sql::split(text)?;
    Ok(pieces.into_iter().map(|(_, text)| text).collect())
}

/// Types of parameters, as far as the client or their places say them.
fn parameter_types(oids: &[u32], places: &[Placeholder]) -> Vec<Option<DataType>> {
    let mut types: Vec<_> = oids.iter().map(|oid| parameter(*oid)).collect();
    for at in places.iter().filter(|place| place.list).map(|place| place.number - 1) {
        if types.len() <= at {
            types.resize(at + 1, None);
        }
        if oids.get(at).is_none_or(|oid| *oid == 0) {
            // The engine would take it for text, which holds nothing.
            types[at] = parameter(Type::TEXT_ARRAY.oid());
        }
    }
    types
}

impl Client {
    /// A text with any number of statements; the first that fails ends it.
    pub(crate) async fn simple(&mut self, text: &str) -> Done {
        let cancel = self.ticket.begin();
        let statements = split(text)?;
        if statements.is_empty() {
            self.wire.feed(Out::EmptyQueryResponse(EmptyQueryResponse::new())).await?;
        }
        for text in statements {
            if let Some(words) = words::read(&text)? {
                self.words(words, Vec::new(), None, &cancel).await?;
                continue;
            }
            self.not_failed()?;
            match self.begin(&text, Vec::new(), &cancel).await? {
                Begun::Rows(mut cursor) => {
                    let rows = Rows::new(&cursor.schema, &[]);
                    self.wire.feed(Out::RowDescription(rows.description())).await?;
                    let (sent, _) = self.send_rows(&mut cursor, &rows, None, &cancel).await?;
                    self.wire.feed(said::complete(format!("SELECT {sent}"))).await?;
                }
                Begun::Done(tag, notices) => self.finish(&tag, notices).await?,
            }
        }
        self.ready().await
    }

    /// The end of a statement without rows.
    async fn finish(&mut self, tag: &str, notices: Vec<Out>) -> Done {
        for notice in notices {
            self.wire.feed(notice).await?;
        }
        Ok(self.wire.feed(said::complete(tag)).await?)
    }

    /// A statement of the session. Without `formats` its rows are described first, as the simple
    /// protocol has it.
    async fn words(
        &mut self,
        words: Words,
        parameters: Vec<ArrayRef>,
        formats: Option<&[i16]>,
        cancel: &CancellationToken,
    ) -> Done {
        if !matches!(words, Words::Commit | Words::Rollback) {
            self.not_failed()?;
        }
        let mut notices = Vec::new();
        let tag = match words {
            Words::Begin => {
                if self.status == TransactionStatus::Idle {
                    self.changed = false;
                } else {
                    notices.push(said::notice("there is already a transaction in progress", true));
                }
                self.status = TransactionStatus::Transaction;
                "BEGIN".to_owned()
            }
            Words::Commit | Words::Rollback => {
                let failed = self.status == TransactionStatus::Error;
                let undo = failed || words == Words::Rollback;
                if self.status == TransactionStatus::Idle {
                    notices.push(said::notice("there is no transaction in progress", true));
                } else if undo && self.changed {
                    notices.push(said::notice(
                        "what was changed in the transaction stays: Windlass does each statement at once",
                        true,
                    ));
                }
                self.status = TransactionStatus::Idle;
                self.changed = false;
                self.cursors.clear();
                self.portals.clear();
                if undo { "ROLLBACK" } else { "COMMIT" }.to_owned()
            }
            Words::Quiet(tag) => tag.to_owned(),
            Words::DiscardAll => {
                self.statements.clear();
                self.portals.clear();
                self.cursors.clear();
                self.ctx.session.reset_all();
                "DISCARD ALL".to_owned()
            }
            Words::Deallocate(None) => {
                self.statements.clear();
                "DEALLOCATE ALL".to_owned()
            }
            Words::Deallocate(Some(name)) => {
                self.statements.remove(&name);
                "DEALLOCATE".to_owned()
            }
            Words::Declare { name, query } => {
                match self.begin(&query, parameters, cancel).await? {
                    Begun::Rows(cursor) => self.cursors.insert(name, *cursor),
                    Begun::Done(..) => {
                        return Err(Error::new(
                            ErrorCode::StatementUnsupported,
                            "a cursor is for a statement that gives rows",
                        )
                        .into());
                    }
                };
                "DECLARE CURSOR".to_owned()
            }
            Words::Fetch { name, count, skip } => {
                return self.fetch(&name, count, skip, formats, cancel).await;
            }
            Words::Close(None) => {
                self.cursors.clear();
                "CLOSE CURSOR ALL".to_owned()
            }
            Words::Close(Some(name)) => {
                if self.cursors.remove(&name).is_none() {
                    return Err(protocol("34000", format!("no cursor \"{name}\""), None));
                }
                "CLOSE CURSOR".to_owned()
            }
            Words::CopyOut { query, format } => {
                return self.copy_out(&query, parameters, &format, cancel).await;
            }
            Words::CopyIn => {
                return Err(Error::new(
                    ErrorCode::StatementUnsupported,
                    "COPY FROM STDIN is not possible",
                )
                .hint("write files with `windlass cp`, then read them")
                .into());
            }
        };
        self.finish(&tag, notices).await
    }

    async fn fetch(
        &mut self,
        name: &str,
        count: Option<u64>,
        skip: bool,
        formats: Option<&[i16]>,
        cancel: &CancellationToken,
    ) -> Done {
        let Some(mut cursor) = self.cursors.remove(name) else {
            return Err(protocol(
                "34000",
                format!("no cursor \"{name}\""),
                Some("DECLARE it first; a cursor ends with its transaction"),
            ));
        };
        let tag = if skip {
            format!("MOVE {}", self.skip_rows(&mut cursor, count, cancel).await?)
        } else {
            let rows = Rows::new(&cursor.schema, formats.unwrap_or_default());
            if formats.is_none() {
                self.wire.feed(Out::RowDescription(rows.description())).await?;
            }
            format!("FETCH {}", self.send_rows(&mut cursor, &rows, count, cancel).await?.0)
        };
        self.cursors.insert(name.to_owned(), cursor);
        Ok(self.wire.feed(said::complete(tag)).await?)
    }

    async fn copy_out(
        &mut self,
        query: &str,
        parameters: Vec<ArrayRef>,
        format: &CopyFormat,
        cancel: &CancellationToken,
    ) -> Done {
        let Begun::Rows(cursor) = self.begin(query, parameters, cancel).await? else {
            return Err(Error::new(
                ErrorCode::StatementUnsupported,
                "COPY TO STDOUT is for a query",
            )
            .into());
        };
        let rows = Rows::new(&cursor.schema, &[]);
        let names: Vec<Option<String>> =
            cursor.schema.fields().iter().map(|field| Some(field.name().clone())).collect();
        let columns = i16::try_from(names.len()).unwrap_or(i16::MAX);
        let formats = vec![0; names.len()];
        self.wire.feed(Out::CopyOutResponse(CopyOutResponse::new(0, columns, formats))).await?;
        if format.header {
            let mut line = Vec::new();
            format.row(names.into_iter(), &mut line);
            let data = pgwire::messages::copy::CopyData::new(line.into());
            self.wire.feed(Out::CopyData(data)).await?;
        }
        let sent = self
            .send_lines(*cursor, &rows, cancel, |batch, row, zone| {
                let mut out = Vec::new();
                let cells = (0..batch.width()).map(|at| Rows::text(batch, row, at, zone));
                format.row(cells, &mut out);
                out
            })
            .await?;
        self.wire.feed(Out::CopyDone(CopyDone::new())).await?;
        Ok(self.wire.feed(said::complete(format!("COPY {sent}"))).await?)
    }

    /// Keeps a statement under a name.
    pub(crate) async fn parse(&mut self, message: Parse) -> Done {
        let name = message.name.unwrap_or_default();
        let mut statements = split(&message.query)?;
        let statement = match (statements.pop(), statements.is_empty()) {
            (None, _) => None,
            (Some(text), true) => {
                let places = windlass_core::sql::placeholders(&text)?;
                let mut kept = false;
                // What cannot be read is refused here, as PostgreSQL does.
                if words::read(&text)?.is_none() {
                    let parsed = windlass_core::sql::parse(&text)?;
                    kept = parsed.iter().any(|parsed| literals::is_kept(&parsed.statement));
                    let fixed = parsed.iter().any(|parsed| literals::is_fixed(&parsed.statement));
                    if fixed && !places.is_empty() {
                        let message = "this statement has no parameters".to_owned();
                        return Err(protocol("42P02", message, Some(NO_PARAMETERS)));
                    }
                }
                let oids = message.type_oids;
                let types = parameter_types(&oids, &places);
                let places = kept.then_some(places);
                Some(Arc::new(Statement { text, types, oids, places }))
            }
            (Some(_), false) => {
                return Err(protocol(
                    "42601",
                    "a prepared statement holds one statement".to_owned(),
                    Some("send several with the simple protocol"),
                ));
            }
        };
        self.statements.insert(name, statement);
        Ok(self.wire.feed(Out::ParseComplete(ParseComplete::new())).await?)
    }

    /// Gives a statement its parameters.
    pub(crate) async fn bind(&mut self, message: Bind) -> Done {
        let name = message.statement_name.unwrap_or_default();
        let Some(statement) = self.statements.get(&name).cloned() else {
            return Err(protocol("26000", format!("no prepared statement \"{name}\""), None));
        };
        let portal = match statement {
            None => None,
            Some(statement) => {
                let given = &message.parameters;
                let unsaid =
                    (0..given.len()).any(|at| statement.types.get(at).is_none_or(Option::is_none));
                let types = if let Some(types) = statement.written_types() {
                    types
                } else if unsaid {
                    let cancel = self.ticket.begin();
                    match self.shape(&statement, &cancel).await? {
                        Shape::Rows { parameters, .. } => parameters,
                        Shape::Done | Shape::Unknown => Vec::new(),
                    }
                } else {
                    statement.types.iter().flatten().cloned().collect()
                };
                if types.len() != given.len() {
                    return Err(protocol(
                        "08P01",
                        format!("{} values for {} parameters", given.len(), types.len()),
                        types.is_empty().then_some(NO_PARAMETERS),
                    ));
                }
                let formats = &message.parameter_format_codes;
                let binary = |at: usize| match formats.as_slice() {
                    [] => false,
                    [all] => *all == 1,
                    each => each.get(at) == Some(&1),
                };
                let parameters = given
                    .iter()
                    .zip(&types)
                    .enumerate()
                    .map(|(at, (bytes, kind))| {
                        let oid = statement.oids.get(at).copied().unwrap_or_default();
                        super::params::read_as(at, bytes.as_deref(), binary(at), kind, oid)
                    })
                    .collect::<Result<Vec<_>>>()?;
                let written = match &statement.places {
                    Some(places) => Some(literals::write(&statement.text, places, &parameters)?),
                    None => None,
                };
                let formats = message.result_column_format_codes;
                Some(Portal { statement, parameters, written, formats, begun: None, ended: false })
            }
        };
        self.portals.insert(message.portal_name.unwrap_or_default(), portal);
        Ok(self.wire.feed(Out::BindComplete(BindComplete::new())).await?)
    }

    /// Says what a statement or portal gives.
    pub(crate) async fn describe(&mut self, message: Describe) -> Done {
        let name = message.name.unwrap_or_default();
        let cancel = self.ticket.begin();
        if message.target_type == TARGET_TYPE_BYTE_STATEMENT {
            let Some(statement) = self.statements.get(&name).cloned() else {
                return Err(protocol("26000", format!("no prepared statement \"{name}\""), None));
            };
            return self.describe_statement(statement.as_deref(), &cancel).await;
        }
        let rows =
            |schema, formats: &[i16]| Out::RowDescription(Rows::new(schema, formats).description());
        let Some(portal) = self.portals.remove(&name) else {
            // A cursor is a portal too.
            let Some(cursor) = self.cursors.get(&name) else {
                return Err(protocol("34000", format!("no portal \"{name}\""), None));
            };
            let described = rows(&cursor.schema, &[]);
            return Ok(self.wire.feed(described).await?);
        };
        let Some(mut portal) = portal else {
            self.portals.insert(name, None);
            return Ok(self.wire.feed(Out::NoData(NoData::new())).await?);
        };
        self.start(&mut portal, &cancel).await?;
        let fetched = match words::read(&portal.statement.text)? {
            Some(Words::Fetch { name, skip: false, .. }) => self.cursors.get(&name),
            _ => None,
        };
        let described = match (&portal.begun, fetched) {
            (Some(Begun::Rows(cursor)), _) => rows(&cursor.schema, &portal.formats),
            (None, Some(cursor)) => rows(&cursor.schema, &portal.formats),
            _ => Out::NoData(NoData::new()),
        };
        self.portals.insert(name, Some(portal));
        Ok(self.wire.feed(described).await?)
    }

    async fn describe_statement(
        &mut self,
        statement: Option<&Statement>,
        cancel: &CancellationToken,
    ) -> Done {
        let shape = match statement {
            None => Shape::Done,
            Some(statement) if words::read(&statement.text)?.is_some() => Shape::Done,
            Some(statement) => match self.shape(statement, cancel).await? {
                // Only running it tells, and it is not asked to run. Who wants its columns asks
                // for those of the portal.
                Shape::Unknown => Shape::Done,
                shape => shape,
            },
        };
        let (parameters, columns) = match shape {
            Shape::Rows { parameters, columns } => (parameters, Some(columns)),
            Shape::Done | Shape::Unknown => {
                (statement.and_then(Statement::written_types).unwrap_or_default(), None)
            }
        };
        let oids = parameters.iter().enumerate().map(|(at, kind)| {
            let said =
                statement.and_then(|statement| statement.oids.get(at)).filter(|oid| **oid != 0);
            said.copied().unwrap_or_else(|| Column::of_type(kind).kind.oid())
        });
        let oids = oids.collect();
        self.wire.feed(Out::ParameterDescription(ParameterDescription::new(oids))).await?;
        let described = match columns {
            Some(columns) => Out::RowDescription(Rows::new(&columns, &[]).description()),
            None => Out::NoData(NoData::new()),
        };
        Ok(self.wire.feed(described).await?)
    }

    /// Begins the statement of a portal, unless it has begun.
    async fn start(&mut self, portal: &mut Portal, cancel: &CancellationToken) -> Done {
        if portal.begun.is_some() || portal.ended {
            return Ok(());
        }
        let text = &portal.statement.text;
        if words::read(text)?.is_some() {
            return Ok(());
        }
        self.not_failed()?;
        let text = portal.written.as_ref().unwrap_or(text);
        portal.begun =
            Some(self.begin(text, std::mem::take(&mut portal.parameters), cancel).await?);
        Ok(())
    }

    /// Runs a portal, or goes on with it.
    pub(crate) async fn execute(&mut self, message: Execute) -> Done {
        let name = message.name.unwrap_or_default();
        let Some(portal) = self.portals.remove(&name) else {
            return Err(protocol("34000", format!("no portal \"{name}\""), None));
        };
        let Some(mut portal) = portal else {
            self.portals.insert(name, None);
            return Ok(self.wire.feed(Out::EmptyQueryResponse(EmptyQueryResponse::new())).await?);
        };
        let cancel = self.ticket.begin();
        if let Some(words) = words::read(&portal.statement.text)? {
            let parameters = std::mem::take(&mut portal.parameters);
            return self.words(words, parameters, Some(&portal.formats), &cancel).await;
        }
        self.start(&mut portal, &cancel).await?;
        let most = u64::try_from(message.max_rows).ok().filter(|most| *most > 0);
        match portal.begun.take() {
            Some(Begun::Rows(mut cursor)) => {
                let rows = Rows::new(&cursor.schema, &portal.formats);
                let (sent, more) = self.send_rows(&mut cursor, &rows, most, &cancel).await?;
                if more {
                    portal.begun = Some(Begun::Rows(cursor));
                    self.wire.feed(Out::PortalSuspended(PortalSuspended::new())).await?;
                } else {
                    portal.ended = true;
                    self.wire.feed(said::complete(format!("SELECT {sent}"))).await?;
                }
            }
            Some(Begun::Done(tag, notices)) => {
                portal.ended = true;
                self.finish(&tag, notices).await?;
            }
            None => self.wire.feed(said::complete("SELECT 0")).await?,
        }
        self.portals.insert(name, Some(portal));
        Ok(())
    }

    /// Forgets a statement or portal.
    pub(crate) async fn close(&mut self, message: Close) -> Done {
        let name = message.name.unwrap_or_default();
        if message.target_type == TARGET_TYPE_BYTE_STATEMENT {
            self.statements.remove(&name);
        } else {
            self.portals.remove(&name);
        }
        Ok(self.wire.feed(Out::CloseComplete(CloseComplete::new())).await?)
    }
}
