//! Names of unfinished writes, and how keys stand in URLs.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Begins the name of everything that is not finished. A LOCAL connection uses the same.
const UNFINISHED: &str = ".windlass-";

/// Ends it.
const PART: &str = ".part";

/// What may stand as it is in a segment of a URL's path.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Whether a name belongs to an unfinished write: listings do not show it.
pub(crate) fn is_unfinished(name: &str) -> bool {
    name.starts_with(UNFINISHED) && name.ends_with(PART)
}

/// 128 random bits in hexadecimal.
pub(crate) fn random() -> String {
    let mut bytes = [0_u8; 16];
    // Where the machine has no randomness, names repeat and creating a file twice fails: no harm.
    let _ = getrandom::fill(&mut bytes);
    format!("{:032x}", u128::from_le_bytes(bytes))
}

/// A name beside `key` for what will become it.
pub(crate) fn unfinished(key: &str) -> String {
    let (folder, _) = split(key);
    join(folder, &format!("{UNFINISHED}{}{PART}", random()))
}

/// Folder (without its slash) and name.
pub(crate) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// A path below a folder; either may be empty.
pub(crate) fn join(folder: &str, name: &str) -> String {
    match (folder, name) {
        ("", name) => name.to_owned(),
        (folder, "") => folder.to_owned(),
        ("/", name) => format!("/{name}"),
        (folder, name) => format!("{folder}/{name}"),
    }
}

/// One segment of a URL's path: `/` is encoded too.
pub(crate) fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// A path of a URL: `/` stays.
pub(crate) fn segments(path: &str) -> String {
    path.split('/').map(segment).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unfinished_name_is_beside_its_target_and_known_as_such() {
        let name = unfinished("a/b/c.txt");
        assert!(name.starts_with("a/b/.windlass-"), "{name}");
        assert!(is_unfinished(split(&name).1));
        assert!(!is_unfinished("c.txt") && !is_unfinished(".windlass"));
        assert_ne!(unfinished("x"), unfinished("x"));
    }

    #[test]
    fn paths_join_without_doubled_slashes() {
        assert_eq!(join("", "a"), "a");
        assert_eq!(join("/", "a"), "/a");
        assert_eq!(join("r", ""), "r");
        assert_eq!(join("r", "a/b"), "r/a/b");
        assert_eq!(segments("a b/ü?#%"), "a%20b/%C3%BC%3F%23%25");
        assert_eq!(segment("a/b"), "a%2Fb");
    }
}
