//! Reading what FTP servers list: facts (MLSD), or lines made for people (LIST).

use crate::tree::Item;
use chrono::{DateTime, NaiveDateTime, Utc};

/// One line of MLSD or MLST: `type=file;size=5;modify=20260102030405; name`.
pub(super) fn facts(line: &str) -> Option<Item> {
    let (facts, name) = line.trim_start().split_once(' ')?;
    let (mut kind, mut size, mut modified, mut unique) = (None, 0, None, "");
    for fact in facts.split(';').filter(|fact| !fact.is_empty()) {
        let (key, value) = fact.split_once('=')?;
        match key.to_ascii_lowercase().as_str() {
            "type" => kind = Some(value.to_ascii_lowercase()),
            "size" => size = value.parse().unwrap_or(0),
            "modify" => modified = time(value),
            "unique" => unique = value,
            _ => {}
        }
    }
    let folder = match kind?.as_str() {
        "file" => false,
        "dir" => true,
        // The folder itself, the one above, links and other things.
        _ => return None,
    };
    let seconds = modified.map_or(0, |time| time.timestamp_millis());
    Some(Item {
        name: name.to_owned(),
        folder,
        size: if folder { 0 } else { size },
        modified,
        etag: (!folder).then(|| format!("{size:x}-{seconds:x}-{unique}")),
        real: None,
        content_type: None,
    })
}

/// `YYYYMMDDHHMMSS[.sss]`, in UTC.
pub(super) fn time(text: &str) -> Option<DateTime<Utc>> {
    NaiveDateTime::parse_from_str(text, "%Y%m%d%H%M%S%.f").ok().map(|time| time.and_utc())
}

/// What a line of LIST is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Listed {
    /// A file or folder. Times are left out: they are rounded, and in the server's zone.
    Item(Item),
    /// A link: what it leads to must be asked.
    Link(String),
}

/// One line of LIST as Unix or Windows servers write it.
pub(super) fn line(line: &str) -> Option<Listed> {
    let line = line.trim_end_matches('\r');
    if line.starts_with(|c: char| c.is_ascii_digit()) {
        return windows(line).map(Listed::Item);
    }
    let kind = line.chars().next()?;
    if !matches!(kind, '-' | 'd' | 'l') {
        return None;
    }
    // Rights, links, owner, group, size, month, day, time: the name is all that follows.
    let mut rest = line;
    let mut words = Vec::new();
    for _ in 0..8 {
        let trimmed = rest.trim_start();
        let end = trimmed.find(char::is_whitespace)?;
        words.push(&trimmed[..end]);
        rest = &trimmed[end..];
    }
    let name = rest.strip_prefix(' ')?;
    if kind == 'l' {
        return Some(Listed::Link(
            name.split_once(" -> ").map_or(name, |(name, _)| name).to_owned(),
        ));
    }
    (!matches!(name, "" | "." | "..")).then_some(())?;
    Some(Listed::Item(plain(name, kind == 'd', words[4].parse().ok()?)))
}

fn windows(line: &str) -> Option<Item> {
    let mut rest = line;
    let mut words = Vec::new();
    for _ in 0..3 {
        let trimmed = rest.trim_start();
        let end = trimmed.find(char::is_whitespace)?;
        words.push(&trimmed[..end]);
        rest = &trimmed[end..];
    }
    let folder = words[2] == "<DIR>";
    let name = rest.trim_start();
    let size = if folder { 0 } else { words[2].parse().ok()? };
    (!name.is_empty()).then(|| plain(name, folder, size))
}

/// A file of which the server says little: its size is its state.
pub(super) fn plain(name: &str, folder: bool, size: u64) -> Item {
    Item {
        name: name.to_owned(),
        folder,
        size: if folder { 0 } else { size },
        modified: None,
        etag: (!folder).then(|| format!("{size:x}")),
        real: None,
        content_type: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_read_and_the_folder_itself_is_left_out() {
        let item =
            facts("modify=20260102030405;perm=r;size=5;type=file;unique=1g2; a b.txt").unwrap();
        assert_eq!((item.name.as_str(), item.size, item.folder), ("a b.txt", 5, false));
        assert_eq!(item.modified.unwrap().to_rfc3339(), "2026-01-02T03:04:05+00:00");
        assert!(facts("type=dir; sub").unwrap().folder);
        assert!(facts("type=cdir; .").is_none() && facts("nonsense").is_none());
    }

    #[test]
    fn lines_for_people_are_read_in_both_styles() {
        let name = |text: &str| match line(text) {
            Some(Listed::Item(item)) => format!("{}:{}:{}", item.name, item.size, item.folder),
            Some(Listed::Link(name)) => format!("link {name}"),
            None => "nothing".to_owned(),
        };
        assert_eq!(
            name("-rw-r--r--    1 1000 1000       12 Jan 02 10:00 a  b.txt\r"),
            "a  b.txt:12:false"
        );
        assert_eq!(name("drwxr-xr-x 2 u g 4096 Feb 3 2025 sub"), "sub:0:true");
        assert_eq!(name("lrwxrwxrwx 1 u g 3 Feb 3 2025 l -> a"), "link l");
        assert_eq!(name("01-02-26  10:00AM       <DIR>          My Files"), "My Files:0:true");
        assert_eq!(name("01-02-26  10:00AM                 77 x.csv"), "x.csv:77:false");
        assert_eq!(name("total 8"), "nothing");
    }
}
