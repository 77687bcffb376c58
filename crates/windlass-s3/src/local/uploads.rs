//! Uploads in parts into a folder: a hidden folder beside the target, renamed when it is complete.
//!
//! Parts lie in one file where they will end up, when they have the size of the first one seen. What
//! lies there is noted beside it, so that a process can go on with what one before it left.

use super::blocks::{self, Blocks};
use super::keys::{Root, UPLOAD, disk};
use super::stale;
use super::write::{parent, publish, unfinished};
use crate::access::{Part, PartRange, PutOptions, PutResult, See, StoredPart};
use bytes::Bytes;
use futures::TryStreamExt as _;
use futures::stream::BoxStream;
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tempfile::TempPath;
use tokio_util::sync::CancellationToken;
use windlass_types::{Error, ErrorCode, Result};

/// Uploads that were begun and neither completed nor given up.
#[derive(Debug, Default)]
pub(super) struct Uploads(Mutex<HashMap<String, Begun>>);

/// A hidden folder, removed when it is dropped.
#[derive(Debug)]
struct Hidden(PathBuf);

impl Drop for Hidden {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::debug!(path = %self.0.display(), %error, "an unfinished upload stays");
        }
    }
}

#[derive(Debug)]
struct Begun {
    folder: Hidden,
    target: PathBuf,
    data: Arc<File>,
    /// Whose turn it is to write to `data`.
    turn: Arc<Mutex<()>>,
    /// Where it is noted which parts lie in `data`.
    notes: File,
    /// Size of the first part that came; parts not larger lie in `data` at their multiple of it.
    unit: Option<u64>,
    parts: HashMap<i32, Placed>,
}

#[derive(Debug, Clone, Copy)]
struct Placed {
    /// None: in a file of its own.
    offset: Option<u64>,
    length: u64,
}

const DATA: &str = "data";

/// A line for each part that lies in the data: number, first byte, bytes.
const NOTES: &str = "parts";

/// What the name of an upload's folder ends in: for which target, made of what.
fn ending(target: &Path, token: &str) -> (String, String) {
    let hash = |text: &[u8]| {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    };
    (hash(target.as_os_str().as_bytes()), hash(token.as_bytes()))
}

/// Takes over what a process that is gone left of the same upload; removes what it left of others
/// to the same target.
fn left_by_others(place: &Path, own: &Path, target: &str, made_of: &str) -> Result<bool> {
    for entry in fs::read_dir(place).map_err(|error| disk("read", place, error))?.flatten() {
        let name = entry.file_name();
        let Some(of) = name.to_str().and_then(|name| name.strip_prefix(UPLOAD)) else { continue };
        let Some((process, token)) = stale::parsed(of) else { continue };
        let Some((to, from)) = token.split_once('-') else { continue };
        if to != target || !process.is_gone() {
            continue;
        }
        if from == made_of {
            // Another process may be faster.
            if fs::rename(entry.path(), own).is_ok() {
                return Ok(true);
            }
        } else {
            drop(Hidden(entry.path()));
        }
    }
    Ok(false)
}

/// Reads which parts lie in the data. The last line may have been cut.
fn noted(notes: &Path) -> HashMap<i32, Placed> {
    let text = fs::read_to_string(notes).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ');
            let number = fields.next()?.parse().ok()?;
            let (offset, length) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
            Some((number, Placed { offset: Some(offset), length }))
        })
        .collect()
}

impl Uploads {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Begun>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins; answers the id. With a token, goes on where a process that is gone has left an
    /// upload to the same key with the same token.
    pub(super) fn create(&self, root: &Root, key: &str, token: Option<&str>) -> Result<String> {
        let target = root.target(key)?;
        if key.ends_with('/') {
            return Err(Error::new(ErrorCode::PathInvalid, format!("`{key}` names a folder")));
        }
        let place = parent(&target)?;
        let prefix = stale::upload_prefix();
        let of_its_own = || {
            tempfile::Builder::new()
                .prefix(&prefix)
                .rand_bytes(12)
                .tempdir_in(place)
                .map(tempfile::TempDir::keep)
                .map_err(|error| disk("write into", place, error))
        };
        let mut resumed = false;
        let folder = match token.map(|token| ending(&target, token)) {
            Some((to, from)) => {
                let path = place.join(format!("{prefix}{to}-{from}"));
                resumed = left_by_others(place, &path, &to, &from)?;
                match if resumed { Ok(()) } else { fs::create_dir(&path) } {
                    Ok(()) => path,
                    // Another run of this process writes the same.
                    Err(error) if error.kind() == ErrorKind::AlreadyExists => of_its_own()?,
                    Err(error) => return Err(disk("write into", place, error)),
                }
            }
            None => of_its_own()?,
        };
        let folder = Hidden(folder);
        let failed = |error| disk("write into", &folder.0, error);
        let id = folder.0.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut options = File::options();
        options.read(true).write(true).truncate(false).create(true);
        let data = options.open(folder.0.join(DATA)).map_err(failed)?;
        let notes = folder.0.join(NOTES);
        let parts = if resumed { noted(&notes) } else { HashMap::new() };
        let notes = File::options().append(true).create(true).open(notes).map_err(failed)?;
        let begun = Begun {
            folder,
            target,
            data: Arc::new(data),
            turn: Arc::default(),
            notes,
            unit: None,
            parts,
        };
        self.lock().insert(id.clone(), begun);
        Ok(id)
    }

    /// The parts that are there.
    pub(super) fn parts(&self, id: &str) -> Vec<StoredPart> {
        let uploads = self.lock();
        let parts = uploads.get(id).into_iter().flat_map(|begun| &begun.parts);
        parts
            .map(|(number, placed)| StoredPart {
                part: part_of(*number, placed.length),
                size: placed.length,
            })
            .collect()
    }

    /// Where the parts of an upload lie.
    pub(super) fn data(&self, id: &str) -> Option<Arc<File>> {
        self.lock().get(id).map(|begun| Arc::clone(&begun.data))
    }

    /// Writes the bytes of a part where they belong, as they come. One thread receives and writes
    /// them, so that they are still in its cache, and one thread at a time writes to a file: the
    /// system lets no more of them in, and the rest would wait busily.
    pub(super) async fn receive(
        &self,
        id: &str,
        key: &str,
        range: PartRange,
        mut bytes: BoxStream<'static, Result<Bytes>>,
        mut see: See,
    ) -> Result<()> {
        let PartRange { number, offset, length } = range;
        let (data, turn) = {
            let uploads = self.lock();
            let begun = uploads.get(id).ok_or_else(|| unknown(id))?;
            (Arc::clone(&begun.data), Arc::clone(&begun.turn))
        };
        let (id, key) = (id.to_owned(), key.to_owned());
        let runtime = tokio::runtime::Handle::current();
        let given_up = CancellationToken::new();
        let _guard = given_up.clone().drop_guard();
        let receiving = async move {
            let failed = |error| disk("write", id.as_ref(), error);
            blocks::set_aside(&data, offset, length).map_err(failed)?;
            let (mut done, mut blocks) = (0, Blocks::from(offset));
            while let Some(piece) = bytes.try_next().await? {
                done += piece.len() as u64;
                if done > length {
                    break;
                }
                blocks.push(piece);
                let Some((at, pieces)) = blocks.take(done == length) else { continue };
                {
                    let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
                    blocks::write_all_at(&data, &pieces, at).map_err(failed)?;
                }
                for piece in &pieces {
                    see(piece);
                }
            }
            if done == length { Ok(()) } else { Err(wrong_length(&key, number, done, length)) }
        };
        let received = tokio::task::spawn_blocking(move || {
            runtime.block_on(async {
                tokio::select! {
                    // Nobody waits for it any more.
                    () = given_up.cancelled() => Ok(()),
                    received = receiving => received,
                }
            })
        });
        received.await.map_err(super::stopped)?
    }

    /// Notes that all bytes of a part are where they belong.
    pub(super) fn placed(&self, id: &str, range: PartRange) -> Result<Part> {
        let PartRange { number, offset, length } = range;
        let mut uploads = self.lock();
        let begun = uploads.get_mut(id).ok_or_else(|| unknown(id))?;
        begun.parts.insert(number, Placed { offset: Some(offset), length });
        // In one write, after the bytes: what is noted lies there.
        begun
            .notes
            .write_all(format!("{number} {offset} {length}\n").as_bytes())
            .map_err(|error| disk("write", &begun.folder.0, error))?;
        Ok(part_of(number, length))
    }

    /// Writes a part.
    pub(super) fn part(&self, id: &str, number: i32, body: &Bytes) -> Result<Part> {
        let index =
            u64::try_from(number).ok().filter(|n| (1..=10_000).contains(n)).ok_or_else(|| {
                Error::new(ErrorCode::UsageInvalid, format!("there is no part number {number}"))
            })?;
        let length = body.len() as u64;
        let (own, data, offset) = {
            let mut uploads = self.lock();
            let begun = uploads.get_mut(id).ok_or_else(|| unknown(id))?;
            let unit = *begun.unit.get_or_insert(length);
            let offset = (length <= unit).then(|| (index - 1) * unit);
            (begun.folder.0.join(number.to_string()), Arc::clone(&begun.data), offset)
        };
        match offset {
            Some(offset) => data.write_all_at(body, offset),
            None => fs::write(&own, body),
        }
        .map_err(|error| disk("write", &own, error))?;
        let mut uploads = self.lock();
        let begun = uploads.get_mut(id).ok_or_else(|| unknown(id))?;
        begun.parts.insert(number, Placed { offset, length });
        Ok(part_of(number, length))
    }

    /// Makes the file from its parts. A failure gives the upload up.
    pub(super) fn complete(
        &self,
        id: &str,
        key: &str,
        parts: &[Part],
        options: &PutOptions,
    ) -> Result<PutResult> {
        let begun = self.lock().remove(id).ok_or_else(|| unknown(id))?;
        let failed = |error| disk("write", &begun.target, error);
        let mut total = 0;
        let mut contiguous = true;
        let mut placed = Vec::with_capacity(parts.len());
        for part in parts {
            let place = begun.parts.get(&part.number).copied().ok_or_else(|| {
                Error::new(ErrorCode::UsageInvalid, format!("part {} was not written", part.number))
            })?;
            contiguous &= place.offset == Some(total);
            total += place.length;
            placed.push((part.number, place));
        }
        if contiguous {
            begun.data.set_len(total).map_err(failed)?;
            let path = TempPath::try_from_path(begun.folder.0.join(DATA)).map_err(failed)?;
            return publish(&begun.data, path, &begun.target, key, options);
        }
        let mut whole = unfinished(&begun.target)?;
        for (number, place) in placed {
            let copied = match place.offset {
                Some(offset) => {
                    let mut data = begun.data.as_ref();
                    data.seek(SeekFrom::Start(offset)).map_err(failed)?;
                    io::copy(&mut data.take(place.length), whole.as_file_mut())
                }
                None => File::open(begun.folder.0.join(number.to_string()))
                    .and_then(|mut own| io::copy(&mut own, whole.as_file_mut())),
            };
            if copied.map_err(failed)? != place.length {
                return Err(Error::new(
                    ErrorCode::LocalFailed,
                    format!("part {number} of `{key}` was cut"),
                ));
            }
        }
        let (file, path) = whole.into_parts();
        publish(&file, path, &begun.target, key, options)
    }

    /// Gives up; an unknown upload is given up already.
    pub(super) fn abort(&self, id: &str) {
        self.lock().remove(id);
    }
}

fn part_of(number: i32, length: u64) -> Part {
    let etag = format!("{number}-{length:x}");
    Part { number, etag, checksums: BTreeMap::new(), proven: true }
}

/// The error of a part that is not as long as it should be.
fn wrong_length(key: &str, number: i32, found: u64, length: u64) -> Error {
    Error::new(
        ErrorCode::ObjectCorrupt,
        format!("{found} bytes came of the {length} of part {number} of `{key}`"),
    )
}

fn unknown(id: &str) -> Error {
    Error::new(ErrorCode::ObjectNotFound, format!("there is no unfinished upload `{id}`"))
}
