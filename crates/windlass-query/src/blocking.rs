//! Between the engine's streams and formats that read by blocking: threads of their own, joined by
//! short queues, so that nothing is read ahead by more than a few pieces.

use crate::error::from_io;
use crate::files::SourceFile;
use crate::format::TextOptions;
use crate::read::{arrange, unsampled};
use crate::text::{Bytewise, Part, TextScan, open, unreadable};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use bytes::{Buf as _, Bytes};
use datafusion::common::runtime::SpawnedTask;
use futures::stream::{BoxStream, StreamExt as _};
use std::io::{self, BufRead, Read, Seek, SeekFrom};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use windlass_formats::compress::{self, Codec};
use windlass_formats::conform::conform;
use windlass_formats::source::Seekable;
use windlass_formats::{Failure, Format, Limits, NUMBER, OnError, Reading, Rows, Source};
use windlass_types::{Error, ErrorCode, Result};

/// The first failure of the bytes of a file, which is more than what a format makes of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Failed(Arc<Mutex<Option<Error>>>);

impl Failed {
    /// Notes it; answers one that says the same.
    fn note(&self, error: Error) -> io::Error {
        let text = error.to_string();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        io::Error::other(text)
    }

    pub(crate) fn take(&self) -> Option<Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A stream as a reader that blocks.
struct Reader {
    stream: Bytewise,
    chunk: Bytes,
    handle: Handle,
    file: Option<Arc<SourceFile>>,
    failed: Failed,
    stopped: Arc<AtomicBool>,
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let chunk = self.fill_buf()?;
        let taken = chunk.len().min(buffer.len());
        buffer[..taken].copy_from_slice(&chunk[..taken]);
        self.consume(taken);
        Ok(taken)
    }
}

impl BufRead for Reader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.chunk.is_empty() {
            if self.stopped.load(Ordering::Relaxed) {
                return Err(io::Error::other("the query has ended"));
            }
            match self.handle.block_on(self.stream.next()) {
                None => break,
                Some(Ok(chunk)) => self.chunk = chunk,
                Some(Err(error)) => {
                    return Err(match &self.file {
                        Some(file) => self.failed.note(from_io(error, file)),
                        None => error,
                    });
                }
            }
        }
        Ok(&self.chunk)
    }

    fn consume(&mut self, amount: usize) {
        self.chunk.advance(amount);
    }
}

/// Bytes of a range that are fetched at once.
const BLOCK: u64 = 1 << 20;
/// Blocks that are kept.
const BLOCKS: usize = 4;

/// The file at any place, in blocks.
pub(crate) struct Ranged {
    file: Arc<SourceFile>,
    handle: Handle,
    place: u64,
    /// Where each begins; the one used last is at the end.
    blocks: Vec<(u64, Bytes)>,
    failed: Failed,
}

impl Ranged {
    pub(crate) fn new(file: Arc<SourceFile>) -> Self {
        let handle = Handle::current();
        Self { file, handle, place: 0, blocks: Vec::new(), failed: Failed::default() }
    }

    pub(crate) fn failure(&self) -> Failed {
        self.failed.clone()
    }

    pub(crate) fn boxed(self) -> Box<dyn Seekable> {
        Box::new(self)
    }

    /// The rest of the block of the present place.
    fn here(&mut self) -> io::Result<Bytes> {
        if self.place >= self.file.size {
            return Ok(Bytes::new());
        }
        let start = self.place / BLOCK * BLOCK;
        let known = self.blocks.iter().position(|(at, _)| *at == start);
        let block = if let Some(at) = known {
            self.blocks.remove(at)
        } else {
            let length = BLOCK.min(self.file.size - start);
            let file = Arc::clone(&self.file);
            let fetch = async { file.bytes_at(start, length).await.map(Bytes::from) };
            let bytes: Bytes =
                self.handle.block_on(fetch).map_err(|error: Error| self.failed.note(error))?;
            if self.blocks.len() == BLOCKS {
                self.blocks.remove(0);
            }
            (start, bytes)
        };
        self.blocks.push(block.clone());
        let from = usize::try_from(self.place - start).unwrap_or(usize::MAX);
        Ok(block.1.slice(from.min(block.1.len())..))
    }
}

impl Read for Ranged {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let here = self.here()?;
        let taken = here.len().min(buffer.len());
        buffer[..taken].copy_from_slice(&here[..taken]);
        self.place += taken as u64;
        Ok(taken)
    }
}

impl Seek for Ranged {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = match to {
            SeekFrom::Start(place) => Some(place),
            SeekFrom::End(back) => self.file.size.checked_add_signed(back),
            SeekFrom::Current(by) => self.place.checked_add_signed(by),
        };
        self.place = place.ok_or_else(|| io::Error::other("a place before the file"))?;
        Ok(self.place)
    }
}

/// One file as formats see it.
struct FileSource {
    file: Arc<SourceFile>,
    options: TextOptions,
    handle: Handle,
    failed: Failed,
    stopped: Arc<AtomicBool>,
}

impl FileSource {
    fn new(file: &Arc<SourceFile>, options: &TextOptions) -> Self {
        Self {
            file: Arc::clone(file),
            options: options.clone(),
            handle: Handle::current(),
            failed: Failed::default(),
            stopped: Arc::default(),
        }
    }

    /// What happened, in our words; the storage's own failure comes first.
    fn explain(&self, label: &str, failure: Failure) -> Error {
        if let Some(error) = self.failed.take() {
            return error;
        }
        if let Some(name) = &failure.unknown {
            return unsampled(&format!("`{}`", self.file.address()), name);
        }
        let error = unreadable(&self.file, label, io::Error::other(failure.to_string()));
        match failure.hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

impl Source for FileSource {
    fn size(&self) -> u64 {
        self.file.size
    }

    fn stream(&self) -> io::Result<Box<dyn BufRead + Send>> {
        let opened = self.handle.block_on(open(Arc::clone(&self.file), &self.options, false));
        let (stream, _) = opened.map_err(|error| self.failed.note(error))?;
        Ok(Box::new(Reader {
            stream,
            chunk: Bytes::new(),
            handle: self.handle.clone(),
            file: Some(Arc::clone(&self.file)),
            failed: self.failed.clone(),
            stopped: Arc::clone(&self.stopped),
        }))
    }

    fn ranges(&self) -> io::Result<Box<dyn Seekable>> {
        if self.file.member.is_some() {
            return Err(io::Error::other(
                "it is inside of an archive, and can only be read where it is a file of its own",
            ));
        }
        let ranged = Ranged {
            file: Arc::clone(&self.file),
            handle: self.handle.clone(),
            place: 0,
            blocks: Vec::new(),
            failed: self.failed.clone(),
        };
        Ok(Box::new(ranged))
    }
}

/// The error of a reader that panicked: libraries of formats do so on some broken files.
fn lost(file: &SourceFile, label: &str, error: impl std::fmt::Display) -> Error {
    unreadable(file, label, io::Error::other(format!("its reader gave up: {error}")))
}

/// The columns of a file.
pub(crate) async fn infer(
    format: Arc<dyn Format>,
    file: &Arc<SourceFile>,
    options: &TextOptions,
    limits: Limits,
    on_error: OnError,
) -> Result<Schema> {
    let source = FileSource::new(file, options);
    let label = format.label();
    let task = SpawnedTask::spawn_blocking(move || {
        let learnt = match on_error {
            OnError::Fail => format.infer(&source, &limits),
            OnError::Skip | OnError::Null => format.infer_broken(&source, &limits),
        };
        learnt.map_err(|failure| source.explain(format.label(), failure))
    });
    task.join().await.map_err(|error| lost(file, label, error))?
}

/// What of a file its format leaves unread, as the options say; None: nothing.
pub(crate) async fn unread(
    format: Arc<dyn Rows>,
    file: &Arc<SourceFile>,
    options: &TextOptions,
) -> Result<Option<String>> {
    let source = FileSource::new(file, options);
    let label = format.label();
    let task = SpawnedTask::spawn_blocking(move || {
        format.unread(&source).map_err(|failure| source.explain(label, failure))
    });
    task.join().await.map_err(|error| lost(file, label, error))?
}

/// The columns a format must bring, of which there is at least one.
fn wanted(scan: &TextScan) -> SchemaRef {
    // Which rows are bad must not depend on what a query asks of them.
    if scan.on_error != OnError::Fail {
        if scan.number.is_none() {
            return Arc::clone(&scan.file_schema);
        }
        // Of rows that may be left out only who reads them knows the numbers.
        let number = Arc::new(Field::new(NUMBER, DataType::Int64, true));
        let fields = scan.file_schema.fields().iter().cloned().chain([number]);
        return Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    }
    let known = scan.file_schema.fields();
    let mut fields: Vec<Field> = scan
        .projection
        .iter()
        .filter_map(|index| known.get(*index))
        .map(|field| field.as_ref().clone())
        .collect();
    if fields.is_empty() {
        fields.extend(known.first().map(|field| field.as_ref().clone()));
    }
    Arc::new(Schema::new(fields))
}

/// All columns a file may have, if one that no file read for the schema has is an error.
fn strict(scan: &TextScan) -> Option<SchemaRef> {
    let known = scan.file_schema.fields();
    let wanted = scan.projection.iter().filter(|index| **index < known.len()).count();
    (wanted == known.len()).then(|| {
        let hidden = scan.hidden.iter().map(|name| Field::new(name, DataType::Utf8, true));
        let all: Vec<Field> =
            known.iter().map(|field| field.as_ref().clone()).chain(hidden).collect();
        Arc::new(Schema::new(all))
    })
}

/// Ends the reading when the stream is dropped.
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The wanted columns of a file, read on a thread of its own.
pub(crate) fn rows(
    scan: Arc<TextScan>,
    part: Part,
    rows: usize,
) -> impl futures::Stream<Item = Result<RecordBatch>> + Send {
    async_stream::try_stream! {
        let Some(format) = scan.format.clone() else { return };
        let (send, mut receive) = mpsc::channel::<RecordBatch>(2);
        if scan.on_error == OnError::Null {
            scan.told.in_part();
        }
        let source = FileSource::new(&part.file, &scan.options);
        let _stop = Stop(Arc::clone(&source.stopped));
        let schema = wanted(&scan);
        let reader = Arc::clone(&scan);
        let wide = Arc::clone(&schema);
        let task = SpawnedTask::spawn_blocking(move || {
            let mut failed = None;
            let read = format.read(&source, &mut Reading {
                strict: strict(&reader),
                schema: Arc::clone(&wide),
                rows,
                longest: reader.options.longest,
                on_error: reader.on_error,
                bad: &mut |line, why| reader.told.add(&source.file, line, why),
                out: &mut |batch| match conform(&batch, &wide) {
                    Ok(batch) => send.blocking_send(batch).is_ok(),
                    Err(error) => {
                        failed = Some(Failure::from(error));
                        false
                    }
                },
            });
            let Some(failure) = failed.or(read.err()) else { return Ok(()) };
            if source.stopped.load(Ordering::Relaxed) {
                return Ok(());
            }
            // A column that was not learnt is no fault of the file.
            let skips = reader.on_error != OnError::Fail && failure.unknown.is_none();
            let error = source.explain(format.label(), failure);
            // A bad file ends where it is bad; what was read of it stays.
            if skips && error.code() == ErrorCode::FormatInvalid {
                reader.told.add_file(&source.file, &error);
                return Ok(());
            }
            Err(error)
        });
        while let Some(batch) = receive.recv().await {
            let label = scan.kind.to_string();
            yield arrange(&scan, &part, &batch)
                .map_err(|error| unreadable(&part.file, &label, error))?;
        }
        let ended = task.join().await;
        let ended = ended.map_err(|error| lost(&part.file, &scan.kind.to_string(), error));
        match ended {
            Err(error) if scan.on_error != OnError::Fail => scan.told.add_file(&part.file, &error),
            ended => ended??,
        }
    }
}

/// Pieces of bytes made by a thread that blocks: `work` hands them to its argument as long as that
/// says yes.
pub(crate) fn bridge(
    work: impl FnOnce(&mut dyn FnMut(io::Result<Bytes>) -> bool) + Send + 'static,
) -> BoxStream<'static, io::Result<Bytes>> {
    let (send, mut receive) = mpsc::channel(4);
    let task = SpawnedTask::spawn_blocking(move || {
        work(&mut |piece| send.blocking_send(piece).is_ok());
    });
    async_stream::stream! {
        while let Some(piece) = receive.recv().await {
            yield piece;
        }
        if let Err(error) = task.join().await {
            yield Err(io::Error::other(error.to_string()));
        }
    }
    .boxed()
}

/// Decompresses by a reader that blocks.
pub(crate) fn decompress(codec: Codec, stream: Bytewise) -> Bytewise {
    let handle = Handle::current();
    bridge(move |send| {
        let reader = Reader {
            stream,
            chunk: Bytes::new(),
            handle,
            file: None,
            failed: Failed::default(),
            stopped: Arc::default(),
        };
        let mut reader = match compress::decompress(codec, Box::new(reader)) {
            Ok(reader) => reader,
            Err(error) => {
                send(Err(error));
                return;
            }
        };
        let mut buffer = vec![0; 64 << 10];
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => return,
                Ok(read) => {
                    if !send(Ok(Bytes::copy_from_slice(&buffer[..read]))) {
                        return;
                    }
                }
                Err(error) => {
                    send(Err(error));
                    return;
                }
            }
        }
    })
}
