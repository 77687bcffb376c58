//! Deciding whether an object that is at both ends is written again: the truth table of
//! `docs/guide/move.md`, as one pure function over what the two listings say.

use crate::digest::{is_md5, is_multipart};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use windlass_types::Entry;

/// What counts as changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeTest {
    /// Size, then `ETag`s where both are MD5s, then times; files of this machine are read where the
    /// times leave it open and the other end has an MD5.
    #[default]
    Default,
    /// Size alone.
    SizeOnly,
    /// Size, then content: `ETag`s or stored checksums, and reading where they do not tell.
    Checksum,
    /// What is newer at the source.
    Update,
    /// Everything.
    Always,
}

/// The reason of what is not written because something is there.
pub(crate) const EXISTS: &str = "exists at the destination";

/// What to do where the destination has something else.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IfExists {
    /// Write over it.
    #[default]
    Overwrite,
    /// Leave it.
    Skip,
    /// Report the item as failed.
    Fail,
    /// Write over it only if the source is newer.
    KeepNewer,
    /// Write the source under another name beside it.
    KeepBoth,
}

/// What is known beside the two rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// The source is a folder of this machine: reading it costs no request.
    pub source_here: bool,
    /// The destination is a folder of this machine: it keeps the times of what it is given.
    pub destination_here: bool,
    /// `ETag`s that look like MD5s are MD5s, on both sides.
    pub etags_tell: bool,
}

/// What to do with an object that is at both ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing: it is the same.
    Same,
    /// Write it, for this reason.
    Write(&'static str),
    /// Only its bytes tell: compare them.
    Read,
    /// Write it under another name.
    Beside,
    /// Leave it, for this reason.
    Leave(&'static str),
    /// It must not be there.
    Refuse(&'static str),
}

/// Decides what to do with an object that both ends have.
pub fn decide(
    test: ChangeTest,
    if_exists: IfExists,
    source: &Entry,
    destination: &Entry,
    facts: Facts,
) -> Verdict {
    match if_exists {
        IfExists::Skip => return Verdict::Leave(EXISTS),
        IfExists::KeepNewer if !is_newer(source, destination) => {
            return Verdict::Leave("not newer than the destination");
        }
        _ => {}
    }
    match (changed(test, source, destination, facts), if_exists) {
        (Verdict::Write(_), IfExists::KeepBoth) => Verdict::Beside,
        (Verdict::Write(_), IfExists::Fail) => Verdict::Refuse(EXISTS),
        (verdict, _) => verdict,
    }
}

fn times(source: &Entry, destination: &Entry) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
    Some((source.last_modified?, destination.last_modified?))
}

fn is_newer(source: &Entry, destination: &Entry) -> bool {
    times(source, destination).is_some_and(|(source, destination)| source > destination)
}

fn changed(test: ChangeTest, source: &Entry, destination: &Entry, facts: Facts) -> Verdict {
    let by_size = source.size != destination.size;
    match test {
        ChangeTest::Always => Verdict::Write("asked for"),
        ChangeTest::Update => match times(source, destination) {
            Some((source, destination)) if source > destination => {
                Verdict::Write("newer at the source")
            }
            Some(_) => Verdict::Leave("not newer than the destination"),
            None if by_size => Verdict::Write("another size"),
            None => Verdict::Same,
        },
        _ if by_size => Verdict::Write("another size"),
        ChangeTest::SizeOnly => Verdict::Same,
        ChangeTest::Checksum => by_etag(source, destination, facts).unwrap_or(Verdict::Read),
        ChangeTest::Default => by_etag(source, destination, facts)
            .unwrap_or_else(|| by_time(source, destination, facts)),
    }
}

/// What the `ETag`s prove; None if nothing.
fn by_etag(source: &Entry, destination: &Entry, facts: Facts) -> Option<Verdict> {
    let (one, two) = (source.etag.as_deref()?, destination.etag.as_deref()?);
    if one.eq_ignore_ascii_case(two) && (is_md5(one) || is_multipart(one)) {
        return Some(Verdict::Same);
    }
    (facts.etags_tell && is_md5(one) && is_md5(two)).then_some(Verdict::Write("another content"))
}

/// What the times say of two objects of one size.
fn by_time(source: &Entry, destination: &Entry, facts: Facts) -> Verdict {
    let Some((from, to)) = times(source, destination) else { return Verdict::Same };
    let sum = |entry: &Entry| facts.etags_tell && entry.etag.as_deref().is_some_and(is_md5);
    let readable = match (facts.source_here, facts.destination_here) {
        (true, true) => true,
        (true, false) => sum(destination),
        (false, true) => sum(source),
        (false, false) => false,
    };
    let open = if readable { Verdict::Read } else { Verdict::Write("another time") };
    if facts.destination_here {
        // A read tells the time in whole seconds, a listing more exactly. Files tell both exactly.
        let rounded = !facts.source_here
            && to.timestamp_subsec_nanos() == 0
            && from.timestamp() == to.timestamp();
        return if from == to || rounded { Verdict::Same } else { open };
    }
    // Written in the same moment as it was copied, it may have been written after that.
    match (from >= to, readable) {
        (true, true) => Verdict::Read,
        (true, false) => Verdict::Write("newer at the source"),
        (false, _) => Verdict::Same,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_types::EntryKind;

    const A: &str = "0cc175b9c0f1b6a831c399e269772661";
    const B: &str = "92eb5ffee6ae2fec3ad71c777531578f";

    fn entry(size: u64, etag: Option<&str>, second: Option<i64>) -> Entry {
        Entry {
            key: "k".to_owned(),
            kind: EntryKind::Object,
            path: "k".to_owned(),
            size: Some(size),
            last_modified: second.and_then(|second| DateTime::from_timestamp(second, 0)),
            etag: etag.map(str::to_owned),
            storage_class: None,
        }
    }

    const REMOTE: Facts = Facts { source_here: false, destination_here: false, etags_tell: true };

    /// An edit of the same size a moment after a copy is not missed (M-J4).
    #[test]
    fn a_moment_counts_between_folders_and_a_rounded_second_does_not() {
        let at = |nanos: u32| {
            let mut entry = entry(1, Some("i-1-1"), None);
            entry.last_modified = DateTime::from_timestamp(5, nanos);
            entry
        };
        let verdict = |source: u32, destination: u32, facts: Facts| {
            decide(ChangeTest::Default, IfExists::Overwrite, &at(source), &at(destination), facts)
        };
        let folders = Facts { source_here: true, destination_here: true, etags_tell: true };
        assert_eq!(verdict(20_000_000, 20_000_000, folders), Verdict::Same);
        assert_eq!(verdict(20_000_000, 0, folders), Verdict::Read);
        assert_eq!(verdict(20_000_000, 10_000_000, folders), Verdict::Read);
        let down = Facts { source_here: false, ..folders };
        assert_eq!(verdict(20_000_000, 0, down), Verdict::Same);
        assert_eq!(verdict(20_000_000, 10_000_000, down), Verdict::Write("another time"));
    }

    #[test]
    fn the_truth_table_of_the_guide() {
        let parts_a = format!("{A}-2");
        let parts_b = format!("{B}-3");
        let rows: [(&str, Entry, Entry, Facts); 15] = [
            ("other size", entry(1, Some(A), Some(1)), entry(2, Some(A), Some(9)), REMOTE),
            ("same MD5, newer", entry(1, Some(A), Some(9)), entry(1, Some(A), Some(1)), REMOTE),
            ("other MD5, older", entry(1, Some(A), Some(1)), entry(1, Some(B), Some(9)), REMOTE),
            (
                "same parts",
                entry(1, Some(&parts_a), Some(9)),
                entry(1, Some(&parts_a), Some(1)),
                REMOTE,
            ),
            (
                "other parts, newer",
                entry(1, Some(&parts_a), Some(9)),
                entry(1, Some(&parts_b), Some(1)),
                REMOTE,
            ),
            (
                "other parts, older",
                entry(1, Some(&parts_a), Some(1)),
                entry(1, Some(&parts_b), Some(9)),
                REMOTE,
            ),
            (
                "MD5 and parts, same time",
                entry(1, Some(A), Some(5)),
                entry(1, Some(&parts_b), Some(5)),
                REMOTE,
            ),
            (
                "no MD5s (KMS), older",
                entry(1, Some(A), Some(1)),
                entry(1, Some(B), Some(9)),
                Facts { etags_tell: false, ..REMOTE },
            ),
            ("no times", entry(1, None, None), entry(1, None, Some(1)), REMOTE),
            (
                "up, file newer, MD5",
                entry(1, Some("i-1-1"), Some(9)),
                entry(1, Some(A), Some(1)),
                Facts { source_here: true, ..REMOTE },
            ),
            (
                "up, file newer, parts",
                entry(1, Some("i-1-1"), Some(9)),
                entry(1, Some(&parts_a), Some(1)),
                Facts { source_here: true, ..REMOTE },
            ),
            (
                "up, file older",
                entry(1, Some("i-1-1"), Some(1)),
                entry(1, Some(A), Some(9)),
                Facts { source_here: true, ..REMOTE },
            ),
            (
                "down, same time",
                entry(1, Some(A), Some(5)),
                entry(1, Some("i-1-1"), Some(5)),
                Facts { destination_here: true, ..REMOTE },
            ),
            (
                "down, other time, MD5",
                entry(1, Some(A), Some(5)),
                entry(1, Some("i-1-1"), Some(9)),
                Facts { destination_here: true, ..REMOTE },
            ),
            (
                "down, other time, parts",
                entry(1, Some(&parts_a), Some(5)),
                entry(1, Some("i-1-1"), Some(9)),
                Facts { destination_here: true, ..REMOTE },
            ),
        ];
        let tests = [
            ChangeTest::Default,
            ChangeTest::SizeOnly,
            ChangeTest::Checksum,
            ChangeTest::Update,
            ChangeTest::Always,
        ];
        let word = |verdict| match verdict {
            Verdict::Same => "same".to_owned(),
            Verdict::Write(_) => "copy".to_owned(),
            Verdict::Read => "read".to_owned(),
            Verdict::Leave(_) => "leave".to_owned(),
            other => format!("{other:?}"),
        };
        let mut text = format!("{:26}default size-only checksum update always\n", "");
        for (name, source, destination, facts) in &rows {
            let words = tests
                .map(|test| word(decide(test, IfExists::Overwrite, source, destination, *facts)));
            let [default, size, sum, update, always] = words;
            text = format!("{text}{name:26}{default:7} {size:9} {sum:8} {update:6} {always}\n");
        }
        insta::assert_snapshot!(text);
    }

    #[test]
    fn what_is_there_is_kept_as_asked() {
        let (old, new) = (entry(1, Some(A), Some(1)), entry(1, Some(B), Some(9)));
        let verdict = |if_exists, source, destination| {
            decide(ChangeTest::Default, if_exists, source, destination, REMOTE)
        };
        assert_eq!(verdict(IfExists::Overwrite, &old, &new), Verdict::Write("another content"));
        assert!(matches!(verdict(IfExists::Skip, &new, &old), Verdict::Leave(_)));
        assert!(matches!(verdict(IfExists::Fail, &new, &old), Verdict::Refuse(_)));
        assert!(matches!(verdict(IfExists::KeepNewer, &old, &new), Verdict::Leave(_)));
        assert!(matches!(verdict(IfExists::KeepNewer, &new, &old), Verdict::Write(_)));
        assert_eq!(verdict(IfExists::KeepBoth, &old, &new), Verdict::Beside);
        assert_eq!(verdict(IfExists::KeepBoth, &old, &old), Verdict::Same);
    }
}
