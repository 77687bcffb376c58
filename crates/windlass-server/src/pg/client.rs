//! One client: its session, its prepared statements, and the statements it runs.
//!
//! Messages are taken one by one. While a statement runs the wire is still read, so that a client
//! that goes ends its statement; what it sends meanwhile waits. Rows are sent as they come: a client
//! that does not read stops the query, not the memory.

use super::cancel::Ticket;
use super::encode::{Prepared as Batch, Rows};
use super::said;
use super::wire::Wire;
use super::words::{self, Words};
use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use chrono_tz::Tz;
use futures::stream::BoxStream;
use futures::{FutureExt as _, SinkExt as _, StreamExt as _};
use pgwire::messages::response::{ReadyForQuery, TransactionStatus};
use pgwire::messages::startup::ParameterStatus;
use pgwire::messages::{PgWireBackendMessage as Out, PgWireFrontendMessage as In};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use windlass_core::engine::{Answer, Ctx, Engine, Shape, Verdict};
use windlass_core::sql::Placeholder;
use windlass_types::{Error, ErrorCode, Result};

/// Messages that may wait while a statement runs; more are left on the wire.
const WAITING: usize = 256;
/// Parameters whose changes a client is told.
const TOLD: &[&str] = &[
    "server_version",
    "server_encoding",
    "client_encoding",
    "application_name",
    "DateStyle",
    "IntervalStyle",
    "TimeZone",
    "integer_datetimes",
    "standard_conforming_strings",
    "is_superuser",
    "session_authorization",
    "default_transaction_read_only",
];

/// Why a message was not answered.
pub(crate) enum Fault {
    /// The client is told.
    Told(Box<Out>),
    /// There is nobody to tell.
    Gone,
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Told(Box::new(said::error(&error, false)))
    }
}

impl From<std::io::Error> for Fault {
    fn from(_: std::io::Error) -> Self {
        Self::Gone
    }
}

pub(crate) type Done<T = ()> = std::result::Result<T, Fault>;

/// A statement that a client has prepared.
pub(crate) struct Statement {
    pub(crate) text: String,
    /// Types of its parameters that the client has said.
    pub(crate) types: Vec<Option<DataType>>,
    /// Object ids as the client said them.
    pub(crate) oids: Vec<u32>,
    /// Where its parameters stand, if their values are written into its text.
    pub(crate) places: Option<Vec<Placeholder>>,
}

impl Statement {
    /// Types of the parameters of a statement into whose text their values are written: what the
    /// client does not say is text.
    pub(crate) fn written_types(&self) -> Option<Vec<DataType>> {
        let most = self.places.as_ref()?.iter().map(|place| place.number).max();
        let count = most.unwrap_or_default().max(self.types.len());
        let said = |at: usize| self.types.get(at).cloned().flatten();
        Some((0..count).map(|at| said(at).unwrap_or(DataType::Utf8)).collect())
    }
}

/// A statement with its parameters, perhaps already running.
pub(crate) struct Portal {
    pub(crate) statement: Arc<Statement>,
    pub(crate) parameters: Vec<ArrayRef>,
    /// Its text with the values in it, if that is how it takes them.
    pub(crate) written: Option<String>,
    pub(crate) formats: Vec<i16>,
    /// What it answers, once it was begun.
    pub(crate) begun: Option<Begun>,
    pub(crate) ended: bool,
}

/// The answer of a statement, as far as it is sent.
pub(crate) enum Begun {
    /// Rows.
    Rows(Box<Cursor>),
    /// A tag, and what there is to say.
    Done(String, Vec<Out>),
}

/// Rows that are sent little by little.
pub(crate) struct Cursor {
    pub(crate) schema: SchemaRef,
    batches: BoxStream<'static, Result<RecordBatch>>,
    /// The batch that is being sent, and its next row.
    current: Option<(RecordBatch, usize)>,
    /// What is to be said of the rows once they are sent; None: it was said.
    verdict: Option<Arc<Verdict>>,
}

/// One client.
pub(crate) struct Client {
    pub(crate) wire: Wire,
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) ctx: Ctx,
    pub(crate) ticket: Ticket,
    waiting: VecDeque<In>,
    pub(crate) statements: HashMap<String, Option<Arc<Statement>>>,
    pub(crate) portals: HashMap<String, Option<Portal>>,
    pub(crate) cursors: HashMap<String, Cursor>,
    pub(crate) status: TransactionStatus,
    /// Something was changed within the transaction: rolling it back does not undo it.
    pub(crate) changed: bool,
    told: BTreeMap<&'static str, String>,
}

impl Client {
    /// A client that has come in.
    pub(crate) fn new(wire: Wire, engine: Arc<dyn Engine>, ctx: Ctx, ticket: Ticket) -> Self {
        Self {
            wire,
            engine,
            ctx,
            ticket,
            waiting: VecDeque::new(),
            statements: HashMap::new(),
            portals: HashMap::new(),
            cursors: HashMap::new(),
            status: TransactionStatus::Idle,
            changed: false,
            told: BTreeMap::new(),
        }
    }

    /// Answers until the client goes.
    pub(crate) async fn serve(&mut self) {
        let mut skipping = false;
        loop {
            let message = match self.waiting.pop_front() {
                Some(message) => message,
                None => match self.wire.next().await {
                    Some(Ok(message)) => message,
                    Some(Err(error)) => {
                        let text = format!("the message cannot be read: {error}");
                        let info = said::plain("FATAL", "08P01", text, None);
                        let _ = self.wire.send(Out::ErrorResponse(info.into())).await;
                        return;
                    }
                    None => return,
                },
            };
            let (answered, extended) = match message {
                In::Terminate(_) => return,
                In::Sync(_) => {
                    skipping = false;
                    (self.sync().await, false)
                }
                _ if skipping => continue,
                In::Query(query) => (self.simple(&query.query).await, false),
                In::Flush(_) => (self.wire.flush().await.map_err(Fault::from), true),
                In::Parse(parse) => (self.parse(parse).await, true),
                In::Bind(bind) => (self.bind(bind).await, true),
                In::Describe(describe) => (self.describe(describe).await, true),
                In::Execute(execute) => (self.execute(execute).await, true),
                In::Close(close) => (self.close(close).await, true),
                // What is left of a copy that was refused.
                _ => continue,
            };
            self.ticket.end();
            let told = match answered {
                Ok(()) => continue,
                Err(Fault::Gone) => return,
                Err(Fault::Told(error)) => self.tell(*error, extended).await,
            };
            skipping = extended;
            if told.is_err() {
                return;
            }
        }
    }

    /// Tells an error; after one of the simple protocol the client may go on at once.
    async fn tell(&mut self, error: Out, extended: bool) -> Done {
        if self.status == TransactionStatus::Transaction {
            self.status = TransactionStatus::Error;
        }
        self.wire.feed(error).await?;
        if extended {
            self.wire.flush().await?;
        } else {
            self.ready().await?;
        }
        Ok(())
    }

    async fn sync(&mut self) -> Done {
        if self.status == TransactionStatus::Idle {
            self.portals.clear();
        } else {
            self.portals.remove("");
        }
        self.ready().await
    }

    /// Says that the client may go on, and what has changed of its parameters.
    pub(crate) async fn ready(&mut self) -> Done {
        self.tell_parameters().await?;
        let message = Out::ReadyForQuery(ReadyForQuery::new(self.status));
        Ok(self.wire.send(message).await?)
    }

    /// Tells the parameters that are not as the client was told.
    pub(crate) async fn tell_parameters(&mut self) -> Done {
        for name in TOLD {
            let value = self.ctx.session.get(name).unwrap_or_default();
            if self.told.get(name) != Some(&value) {
                let status = ParameterStatus::new((*name).to_owned(), value.clone());
                self.wire.feed(Out::ParameterStatus(status)).await?;
                self.told.insert(name, value);
            }
        }
        Ok(())
    }

    /// The zone in which times are written as text.
    pub(crate) fn zone(&self) -> Tz {
        let name = self.ctx.session.get("timezone").unwrap_or_default();
        name.parse().unwrap_or(Tz::UTC)
    }

    /// Runs `work` until it is done, the statement is cancelled, or the client goes.
    async fn watch<T>(
        wire: &mut Wire,
        waiting: &mut VecDeque<In>,
        cancel: &CancellationToken,
        work: impl Future<Output = T>,
    ) -> Done<T> {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                biased;
                () = cancel.cancelled() => return Err(Fault::Told(Box::new(cancelled()))),
                done = &mut work => return Ok(done),
                message = wire.next(), if waiting.len() < WAITING => match message {
                    Some(Ok(message)) => waiting.push_back(message),
                    Some(Err(_)) | None => return Err(Fault::Gone),
                },
            }
        }
    }

    /// Begins a statement of Windlass: up to its first rows.
    pub(crate) async fn begin(
        &mut self,
        text: &str,
        parameters: Vec<ArrayRef>,
        cancel: &CancellationToken,
    ) -> Done<Begun> {
        self.ctx.parameters = parameters;
        let (engine, ctx) = (Arc::clone(&self.engine), &mut self.ctx);
        let work = async move { engine.sql(ctx, text).next().await };
        let answer = Self::watch(&mut self.wire, &mut self.waiting, cancel, work.boxed()).await;
        self.ctx.parameters = Vec::new();
        match answer?.transpose()? {
            None => Ok(Begun::Done(String::new(), Vec::new())),
            Some(Answer::Rows { schema, batches, verdict }) => {
                let verdict = Some(verdict);
                Ok(Begun::Rows(Box::new(Cursor { schema, batches, current: None, verdict })))
            }
            Some(Answer::Done { message, warnings }) => {
                let tag = said::tag(text);
                let mut notices = Vec::new();
                if tag != "SET" && tag != "RESET" {
                    self.changed = true;
                    notices.push(said::notice(&message, false));
                }
                notices.extend(warnings.iter().map(|text| said::notice(text, true)));
                Ok(Begun::Done(tag, notices))
            }
        }
    }

    /// What a statement takes and gives.
    pub(crate) async fn shape(
        &mut self,
        statement: &Statement,
        cancel: &CancellationToken,
    ) -> Done<Shape> {
        // Of a cursor or a copy it is the query within that has parameters.
        let text = match words::read(&statement.text)? {
            None => statement.text.clone(),
            Some(Words::Declare { query, .. } | Words::CopyOut { query, .. }) => query,
            Some(_) => return Ok(Shape::Done),
        };
        let (engine, ctx) = (Arc::clone(&self.engine), &self.ctx);
        let work = engine.shape(ctx, &text, &statement.types);
        Ok(Self::watch(&mut self.wire, &mut self.waiting, cancel, work).await??)
    }

    /// The next batch of a cursor that has rows, with the row to go on at.
    async fn fill(&mut self, cursor: &mut Cursor, cancel: &CancellationToken) -> Done<bool> {
        while cursor.current.as_ref().is_none_or(|(batch, row)| *row >= batch.num_rows()) {
            cursor.current = None;
            let next = cursor.batches.next();
            let next = Self::watch(&mut self.wire, &mut self.waiting, cancel, next).await?;
            let Some(batch) = next else {
                let verdict = cursor.verdict.take();
                let warnings = verdict.map(|verdict| verdict.warnings()).unwrap_or_default();
                for text in warnings {
                    self.wire.feed(said::notice(&text, false)).await?;
                }
                // A stream that has ended must not be asked again, but a cursor may be.
                cursor.batches = futures::stream::empty().boxed();
                return Ok(false);
            };
            cursor.current = Some((batch?, 0));
        }
        Ok(true)
    }

    /// Sends up to `most` rows; answers how many, and whether there may be more.
    pub(crate) async fn send_rows(
        &mut self,
        cursor: &mut Cursor,
        rows: &Rows,
        most: Option<u64>,
        cancel: &CancellationToken,
    ) -> Done<(u64, bool)> {
        let zone = self.zone();
        let mut sent = 0;
        while most.is_none_or(|most| sent < most) {
            if !self.fill(cursor, cancel).await? {
                return Ok((sent, false));
            }
            let Some((batch, row)) = &mut cursor.current else { continue };
            let ready = rows.prepare(batch)?;
            while *row < ready.rows && most.is_none_or(|most| sent < most) {
                let message = Out::DataRow(rows.row(&ready, *row, zone)?);
                self.feed(message, cancel).await?;
                *row += 1;
                sent += 1;
            }
        }
        Ok((sent, true))
    }

    /// Passes over up to `most` rows.
    pub(crate) async fn skip_rows(
        &mut self,
        cursor: &mut Cursor,
        most: Option<u64>,
        cancel: &CancellationToken,
    ) -> Done<u64> {
        let mut passed = 0;
        while most.is_none_or(|most| passed < most) && self.fill(cursor, cancel).await? {
            let Some((batch, row)) = &mut cursor.current else { continue };
            let there = u64::try_from(batch.num_rows() - *row).unwrap_or_default();
            let step = most.map_or(there, |most| there.min(most - passed));
            *row += usize::try_from(step).unwrap_or(usize::MAX);
            passed += step;
        }
        Ok(passed)
    }

    /// Hands every row to `take`, and sends what it makes of it: one message a row, as clients expect.
    pub(crate) async fn send_lines(
        &mut self,
        mut cursor: Cursor,
        rows: &Rows,
        cancel: &CancellationToken,
        take: impl Fn(&Batch, usize, Tz) -> Vec<u8>,
    ) -> Done<u64> {
        let zone = self.zone();
        let mut sent = 0;
        while self.fill(&mut cursor, cancel).await? {
            let Some((batch, _)) = cursor.current.take() else { continue };
            let ready = rows.prepare(&batch)?;
            for row in 0..ready.rows {
                let bytes = Bytes::from(take(&ready, row, zone));
                let data = pgwire::messages::copy::CopyData::new(bytes);
                self.feed(Out::CopyData(data), cancel).await?;
            }
            sent += u64::try_from(batch.num_rows()).unwrap_or_default();
        }
        Ok(sent)
    }

    /// Sends a message; waits while the client does not read, but not for ever if it is cancelled.
    pub(crate) async fn feed(&mut self, message: Out, cancel: &CancellationToken) -> Done {
        tokio::select! {
            biased;
            fed = self.wire.feed(message) => Ok(fed?),
            () = cancel.cancelled() => Err(Fault::Told(Box::new(cancelled()))),
        }
    }

    /// Refuses statements in a transaction that has failed.
    pub(crate) fn not_failed(&self) -> Done {
        if self.status != TransactionStatus::Error {
            return Ok(());
        }
        let info = said::plain(
            "ERROR",
            "25P02",
            "the transaction has failed: statements are refused until it ends",
            Some("send ROLLBACK"),
        );
        Err(Fault::Told(Box::new(Out::ErrorResponse(info.into()))))
    }
}

fn cancelled() -> Out {
    said::error(
        &Error::new(ErrorCode::Interrupted, "the statement was cancelled by the user"),
        false,
    )
}
