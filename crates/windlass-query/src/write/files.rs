//! The files of a write: which are open, when one is followed by another, what is on its way.

use super::folders::Folders;
use super::numbers::first;
use super::overflow::Overflow;
use super::upload::{Body, Piece, Sender, WrittenFile, broken, give_up, part_size};
use super::{ENDING, HELD, OPEN, PART, Prepared, UploadNotes, Watch, WriteRequest, of_arrow};
use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::SchemaRef;
use bytes::{Bytes, BytesMut};
use datafusion::execution::TaskContext;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use windlass_formats::write::FileEncoder;
use windlass_types::{Error, ErrorCode, ObjectPath, Result};

/// Rows that are encoded before the size of a file is looked at again, where that is small.
const SLICE: usize = 512;

/// A file that rows go to.
struct Open {
    encoder: FileEncoder,
    object: ObjectPath,
    folder: String,
    rows: u64,
    /// Encoded, and less than a part.
    pending: BytesMut,
    /// Parts that were handed on.
    parts: usize,
    to: Option<mpsc::Sender<Piece>>,
}

/// A small file that is encoded and stays here as long as it is the only one.
struct Small {
    object: ObjectPath,
    folder: String,
    rows: u64,
    bytes: Bytes,
}

/// All files of a write.
pub(super) struct Files {
    sender: Sender,
    folders: Folders,
    open: HashMap<String, Open>,
    /// The number that the next file of each folder has.
    numbers: BTreeMap<String, usize>,
    overflow: Option<Overflow>,
    small: Option<Small>,
    /// Files that are being sent, some of them still open.
    sending: JoinSet<Result<WrittenFile>>,
    rows_of: HashMap<String, u64>,
    done: Vec<WrittenFile>,
    rows: u64,
    bytes: u64,
    watch: Watch,
}

impl Files {
    /// Begins with files of these columns. May ask which numbers their names have already.
    pub(super) async fn new(
        schema: &SchemaRef,
        request: Arc<WriteRequest>,
        notes: Arc<dyn UploadNotes>,
        watch: Watch,
    ) -> Result<Self> {
        let folders = Folders::new(schema, &request.layout)?;
        // What the format cannot hold is said before the query begins.
        FileEncoder::new(&request.format, &folders.schema)?;
        let mut files = Self {
            sender: Sender::new(request, notes),
            folders,
            open: HashMap::new(),
            numbers: BTreeMap::new(),
            overflow: None,
            small: None,
            sending: JoinSet::new(),
            rows_of: HashMap::new(),
            done: Vec::new(),
            rows: 0,
            bytes: 0,
            watch,
        };
        // A query without rows leaves a file with its columns, unless its rows would choose the folder.
        if files.folders.is_one() {
            let folder = files.folders.only();
            files.begin(&folder).await?;
        }
        Ok(files)
    }

    async fn begin(&mut self, folder: &str) -> Result<()> {
        let request = &self.sender.request;
        let number = match self.numbers.get(folder) {
            Some(number) => *number,
            None => first(request, folder).await?,
        };
        let open = Open {
            encoder: FileEncoder::new(&request.format, &self.folders.schema)?,
            object: request.object(folder, number),
            folder: folder.to_owned(),
            rows: 0,
            pending: BytesMut::new(),
            parts: 0,
            to: None,
        };
        self.numbers.insert(folder.to_owned(), number + 1);
        self.open.insert(folder.to_owned(), open);
        Ok(())
    }

    /// Writes rows, each to the file of its folder.
    pub(super) async fn write(
        &mut self,
        batch: RecordBatch,
        task: &Arc<TaskContext>,
    ) -> Result<()> {
        self.look()?;
        self.rows += batch.num_rows() as u64;
        if self.folders.is_one() {
            let folder = self.folders.only();
            let rows = self.folders.stays(&batch)?;
            self.encode(vec![(folder, rows)]).await?;
        } else {
            let folders = self.folders.of(&batch)?;
            let rows = self.folders.stays(&batch)?;
            let mut groups: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
            let mut rest: Vec<u32> = Vec::new();
            for (row, folder) in (0..).zip(&folders) {
                if let Some(group) = groups.get_mut(folder.as_str()) {
                    group.push(row);
                } else if self.open.contains_key(folder) {
                    groups.insert(folder, vec![row]);
                } else if self.overflow.is_none() && self.open.len() < OPEN {
                    self.begin(folder).await?;
                    groups.insert(folder, vec![row]);
                } else {
                    rest.push(row);
                }
            }
            let take = |at: &[u32]| {
                take_record_batch(&rows, &UInt32Array::from(at.to_vec())).map_err(of_arrow)
            };
            let mut work = Vec::with_capacity(groups.len());
            for (folder, at) in groups {
                work.push((folder.to_owned(), take(&at)?));
            }
            if !rest.is_empty() {
                let overflow = match &mut self.overflow {
                    Some(overflow) => overflow,
                    none => none.insert(Overflow::new(&self.folders.schema, task)?),
                };
                let names = rest.iter().map(|row| folders[*row as usize].as_str()).collect();
                overflow.push(names, &take(&rest)?).await?;
            }
            self.encode(work).await?;
        }
        (self.watch)(self.bytes);
        Ok(())
    }

    /// Ends what is open, and writes the rows of folders that could not be.
    pub(super) async fn sorted(&mut self) -> Result<()> {
        let Some(overflow) = self.overflow.take() else { return Ok(()) };
        self.end_all().await?;
        let mut sorted = overflow.sorted();
        while let Some(runs) = sorted.next().await? {
            self.look()?;
            for (folder, rows) in runs {
                if !self.open.contains_key(&folder) {
                    self.end_all().await?;
                    self.begin(&folder).await?;
                }
                self.encode(vec![(folder, rows)]).await?;
            }
            (self.watch)(self.bytes);
        }
        Ok(())
    }

    /// Encodes rows for files that are open, off the threads that do the requests.
    async fn encode(&mut self, work: Vec<(String, RecordBatch)>) -> Result<()> {
        let max = self.sender.request.layout.max_file_size;
        let max = max.filter(|_| self.sender.request.format.can_be_cut());
        let Some(max) = max else { return self.encode_whole(work).await };
        // A file may be full after any slice.
        for (folder, rows) in work {
            let step = if max < 32 << 20 { SLICE } else { rows.num_rows().max(1) };
            let mut at = 0;
            while at < rows.num_rows() {
                let slice = rows.slice(at, step.min(rows.num_rows() - at));
                at += slice.num_rows();
                if !self.open.contains_key(&folder) {
                    self.begin(&folder).await?;
                }
                self.encode_whole(vec![(folder.clone(), slice)]).await?;
                let full = self.open.get(&folder).is_some_and(|open| open.encoder.size() >= max);
                if full {
                    self.end(&folder).await?;
                }
            }
        }
        Ok(())
    }

    async fn encode_whole(&mut self, work: Vec<(String, RecordBatch)>) -> Result<()> {
        let mut taken = Vec::with_capacity(work.len());
        for (folder, rows) in work {
            if !self.open.contains_key(&folder) {
                self.begin(&folder).await?;
            }
            if let Some(open) = self.open.remove(&folder) {
                taken.push((folder, open, rows));
            }
        }
        let encoded = tokio::task::spawn_blocking(move || {
            let mut failure = None;
            for (_, open, rows) in &mut taken {
                if let Err(error) = open.encoder.write(rows) {
                    failure.get_or_insert(error);
                    break;
                }
                open.rows += rows.num_rows() as u64;
            }
            (taken, failure)
        });
        let (taken, failure) = encoded.await.map_err(broken)?;
        let mut folders = Vec::with_capacity(taken.len());
        for (folder, open, _) in taken {
            folders.push(folder.clone());
            self.open.insert(folder, open);
        }
        if let Some(error) = failure {
            return Err(error);
        }
        for folder in folders {
            self.drain(&folder).await?;
        }
        self.relieve().await
    }

    /// Sends the parts of a file that are full.
    async fn drain(&mut self, folder: &str) -> Result<()> {
        let Some(mut open) = self.open.remove(folder) else { return Ok(()) };
        // A large part is gathered here: what encoders hold counts as what makes them let go.
        let lacking = part_size(open.parts).saturating_sub(open.pending.len());
        if let Some(bytes) = open.encoder.take(lacking.min(PART)) {
            open.pending.extend_from_slice(&bytes);
        }
        while open.pending.len() >= part_size(open.parts) {
            let part = open.pending.split_to(part_size(open.parts)).freeze();
            open.parts += 1;
            self.hand_on(&mut open, part).await?;
        }
        self.open.insert(folder.to_owned(), open);
        Ok(())
    }

    async fn hand_on(&mut self, open: &mut Open, bytes: Bytes) -> Result<()> {
        self.bytes += bytes.len() as u64;
        let to = if let Some(to) = &open.to {
            to
        } else {
            let to = self.start(open.object.clone(), open.folder.clone());
            open.to.insert(to)
        };
        let piece = self.sender.room(bytes).await?;
        if to.send(piece).await.is_err() {
            self.settle().await?;
        }
        Ok(())
    }

    /// Begins to send a file.
    fn start(&mut self, object: ObjectPath, folder: String) -> mpsc::Sender<Piece> {
        let (to, pieces) = mpsc::channel(1);
        self.sending.spawn(self.sender.clone().send(object, folder, pieces));
        to
    }

    /// Lets the largest encoders let go of what they hold, if all together hold too much.
    async fn relieve(&mut self) -> Result<()> {
        let held: usize = self.open.values().map(|open| open.encoder.held()).sum();
        if held <= HELD {
            return Ok(());
        }
        let largest = self.open.iter().max_by_key(|(_, open)| open.encoder.held());
        let Some(folder) = largest.map(|(folder, _)| folder.clone()) else { return Ok(()) };
        if let Some(open) = self.open.get_mut(&folder) {
            open.encoder.relieve()?;
        }
        self.drain(&folder).await
    }

    async fn end_all(&mut self) -> Result<()> {
        let mut folders: Vec<String> = self.open.keys().cloned().collect();
        folders.sort();
        for folder in folders {
            self.end(&folder).await?;
        }
        Ok(())
    }

    /// Ends a file.
    async fn end(&mut self, folder: &str) -> Result<()> {
        let Some(open) = self.open.remove(folder) else { return Ok(()) };
        let Open { encoder, object, folder, rows, mut pending, parts, to } = open;
        let rest = tokio::task::spawn_blocking(move || encoder.finish());
        pending.extend_from_slice(&rest.await.map_err(broken)??);
        self.rows_of.insert(object.key.clone(), rows);
        let first = self.done.is_empty() && self.sending.is_empty() && self.small.is_none();
        if to.is_none() && first && pending.len() <= PART {
            self.small = Some(Small { object, folder, rows, bytes: pending.freeze() });
            return Ok(());
        }
        if let Some(small) = self.small.take() {
            self.send_small(small).await?;
        }
        let to = to.unwrap_or_else(|| self.start(object, folder));
        self.send_rest(to, pending, parts).await?;
        while self.sending.len() > ENDING + self.open.len() {
            self.join().await?;
        }
        Ok(())
    }

    async fn send_small(&mut self, small: Small) -> Result<()> {
        let to = self.start(small.object, small.folder);
        self.send_rest(to, BytesMut::from(small.bytes), 0).await
    }

    /// Sends the last bytes of a file, of which so many parts were sent.
    async fn send_rest(
        &mut self,
        to: mpsc::Sender<Piece>,
        mut rest: BytesMut,
        mut parts: usize,
    ) -> Result<()> {
        loop {
            let part = rest.split_to(rest.len().min(part_size(parts))).freeze();
            parts += 1;
            self.bytes += part.len() as u64;
            let piece = self.sender.room(part).await?;
            if to.send(piece).await.is_err() {
                self.settle().await?;
            }
            if rest.is_empty() {
                return Ok(());
            }
        }
    }

    /// Notes files that are sent, and fails with one that is not.
    fn look(&mut self) -> Result<()> {
        while let Some(done) = self.sending.try_join_next() {
            self.note(done)?;
        }
        Ok(())
    }

    async fn join(&mut self) -> Result<bool> {
        match self.sending.join_next().await {
            Some(done) => self.note(done).map(|()| true),
            None => Ok(false),
        }
    }

    fn note(
        &mut self,
        done: std::result::Result<Result<WrittenFile>, tokio::task::JoinError>,
    ) -> Result<()> {
        self.done.push(done.map_err(broken)??);
        Ok(())
    }

    /// Somebody has stopped to listen: for the reason, which is the failure of all.
    async fn settle(&mut self) -> Result<()> {
        let mut failure = None;
        // Open files never end by themselves; without their ends they do.
        self.open.clear();
        while let Some(done) = self.sending.join_next().await {
            if let Err(error) = self.note(done) {
                failure.get_or_insert(error);
            }
        }
        Err(failure.unwrap_or_else(|| {
            Error::new(ErrorCode::Internal, "a file has stopped to be sent without a word")
        }))
    }

    /// Ends all files; they are sent, and not seen.
    pub(super) async fn finish(mut self, cancel: &CancellationToken) -> Result<Prepared> {
        let ended = async {
            self.end_all().await?;
            if let Some(small) = self.small.take() {
                let alone = self.done.is_empty() && self.sending.is_empty();
                if alone && self.sender.request.may_hold {
                    let size = small.bytes.len() as u64;
                    self.bytes += size;
                    self.done.push(WrittenFile {
                        token: self.sender.token(&small.object),
                        object: small.object,
                        body: Body::Held(small.bytes),
                        size,
                        rows: small.rows,
                        folder: small.folder,
                        content_type: self.sender.request.format.content_type().to_owned(),
                    });
                } else {
                    self.send_small(small).await?;
                }
            }
            while self.join().await? {}
            Ok(())
        };
        let ended = tokio::select! {
            biased;
            () = cancel.cancelled() => Err(Error::new(ErrorCode::Interrupted, "asked to stop")),
            ended = ended => ended,
        };
        if let Err(error) = ended {
            self.give_up().await;
            return Err(error);
        }
        for file in &mut self.done {
            if let Some(rows) = self.rows_of.get(&file.object.key) {
                file.rows = *rows;
            }
        }
        self.done.sort_by(|a, b| a.object.key.cmp(&b.object.key));
        (self.watch)(self.bytes);
        Ok(Prepared { files: self.done, rows: self.rows, bytes: self.bytes })
    }

    /// Gives up all that was begun.
    pub(super) async fn give_up(&mut self) {
        self.open.clear();
        self.overflow = None;
        self.small = None;
        // A file whose end has come is sent to its end, and given up then: so none is forgotten.
        while let Some(done) = self.sending.join_next().await {
            if let Err(error) = self.note(done) {
                tracing::debug!(error = error.chain(), "a file was not sent");
            }
        }
        for file in std::mem::take(&mut self.done) {
            if let Err(error) =
                give_up(&self.sender.request.storage, self.sender.notes.as_ref(), &file).await
            {
                let error = error.chain();
                tracing::warn!(key = file.object.key, error, "an upload could not be given up");
            }
        }
    }
}
