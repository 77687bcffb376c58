//! One page of a listing out of an ordered map, without walking what the page does not show.
//!
//! Keys are ordered by their UTF-8 bytes, which is what `String` does too; a common prefix is
//! jumped over with one range query.

use std::collections::BTreeMap;
use std::ops::Bound;

/// What is asked for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Query<'a> {
    pub(crate) prefix: &'a str,
    /// Empty means none.
    pub(crate) delimiter: &'a str,
    /// The last item seen, a key or a common prefix; the page begins behind it.
    pub(crate) after: Option<&'a str>,
    pub(crate) limit: usize,
}

/// One line of a page.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Item<'a, V> {
    Object(&'a str, &'a V),
    Prefix(&'a str),
}

impl<'a, V> Item<'a, V> {
    /// What the next page begins behind.
    pub(crate) fn text(&self) -> &'a str {
        match self {
            Self::Object(text, _) | Self::Prefix(text) => text,
        }
    }
}

/// A page, and whether there is more.
#[derive(Debug)]
pub(crate) struct Page<'a, V> {
    pub(crate) items: Vec<Item<'a, V>>,
    pub(crate) truncated: bool,
}

/// The page of `map` that `query` asks for; entries that are not `shown` do not exist.
pub(crate) fn page<'a, V>(
    map: &'a BTreeMap<String, V>,
    query: Query<'_>,
    shown: impl Fn(&V) -> bool,
) -> Page<'a, V> {
    let mut page = Page { items: Vec::new(), truncated: false };
    if query.limit == 0 {
        return page;
    }
    let mut from = match query.after {
        Some(after) if after >= query.prefix => Bound::Excluded(after.to_owned()),
        _ => Bound::Included(query.prefix.to_owned()),
    };
    'jump: loop {
        let range = map.range::<str, _>((from.as_ref().map(String::as_str), Bound::Unbounded));
        for (key, value) in range {
            let Some(rest) = key.strip_prefix(query.prefix) else { return page };
            if !shown(value) {
                continue;
            }
            let cut = if query.delimiter.is_empty() { None } else { rest.find(query.delimiter) };
            let item = match cut {
                None => Item::Object(key, value),
                Some(at) => Item::Prefix(&key[..query.prefix.len() + at + query.delimiter.len()]),
            };
            let jump = match &item {
                Item::Prefix(common) => Some(*common),
                Item::Object(..) => None,
            };
            // A prefix at or before the last item seen was shown on an earlier page.
            if jump.is_none_or(|common| query.after.is_none_or(|after| common > after)) {
                if page.items.len() == query.limit {
                    page.truncated = true;
                    return page;
                }
                page.items.push(item);
            }
            if let Some(common) = jump {
                match behind(common) {
                    Some(next) => from = Bound::Included(next),
                    None => return page,
                }
                continue 'jump;
            }
        }
        return page;
    }
}

/// The page of a service that walks folders. Only for small buckets: it looks at every key.
pub(crate) fn page_by_segments<'a, V>(
    map: &'a BTreeMap<String, V>,
    query: Query<'_>,
    resumed: bool,
    shown: impl Fn(&V) -> bool,
) -> Page<'a, V> {
    let mut keys: Vec<(&String, &V)> = map
        .iter()
        .filter(|(key, value)| key.starts_with(query.prefix) && shown(value))
        .filter(|(key, _)| {
            let Some(after) = query.after else { return true };
            // What a page ended with is a key, or a folder whose rows were all shown as one; what a
            // client names may be a folder too.
            let inside = if resumed {
                after.ends_with('/') && !query.delimiter.is_empty() && key.starts_with(after)
            } else {
                !after.ends_with('/')
                    && key.strip_prefix(after).is_some_and(|rest| rest.starts_with('/'))
            };
            key.split('/').gt(after.split('/')) && !inside
        })
        .collect();
    keys.sort_by(|(a, _), (b, _)| a.split('/').cmp(b.split('/')));
    let mut page = Page { items: Vec::new(), truncated: false };
    for (key, value) in keys {
        let rest = &key[query.prefix.len()..];
        let cut = if query.delimiter.is_empty() { None } else { rest.find(query.delimiter) };
        let item = match cut {
            None => Item::Object(key, value),
            Some(at) => Item::Prefix(&key[..query.prefix.len() + at + query.delimiter.len()]),
        };
        if page.items.last().is_some_and(|last| last.text() == item.text()) {
            continue;
        }
        if page.items.len() == query.limit {
            page.truncated = query.limit > 0;
            break;
        }
        page.items.push(item);
    }
    page
}

/// The least text greater than every text that begins with `prefix`.
pub(crate) fn behind(prefix: &str) -> Option<String> {
    let mut text = prefix.to_owned();
    while let Some(last) = text.pop() {
        let next = match last {
            // The surrogates are no characters.
            '\u{D7FF}' => Some('\u{E000}'),
            other => char::from_u32(u32::from(other) + 1),
        };
        if let Some(next) = next {
            text.push(next);
            return Some(text);
        }
    }
    None
}

/// A key as `encoding-type=url` writes it: as a form does, but `/` stays.
pub(crate) fn url_encoded(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'*' | b'/' => {
                out.push(char::from(byte));
            }
            b' ' => out.push('+'),
            other => {
                let _ = write!(out, "%{other:02X}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(keys: &[&str]) -> BTreeMap<String, bool> {
        keys.iter().map(|it| ((*it).to_owned(), true)).collect()
    }

    /// All pages joined, with the number of pages.
    fn all(
        map: &BTreeMap<String, bool>,
        prefix: &str,
        delimiter: &str,
        limit: usize,
    ) -> (Vec<String>, usize) {
        let (mut out, mut pages, mut after) = (Vec::<String>::new(), 0, None::<String>);
        loop {
            let query = Query { prefix, delimiter, after: after.as_deref(), limit };
            let page = page(map, query, |shown| *shown);
            pages += 1;
            out.extend(page.items.iter().map(|it| it.text().to_owned()));
            after = out.last().cloned();
            if !page.truncated {
                return (out, pages);
            }
        }
    }

    #[test]
    fn pages_of_any_size_show_the_same() {
        let map = map(&[
            "",
            "/",
            "//",
            "a",
            "a/",
            "a/b",
            "a//",
            "a//c",
            "a-b",
            "a.b",
            "a0",
            "b/c/d",
            "é/1",
            "\u{10FFFF}/1",
            "\u{10FFFF}\u{10FFFF}",
            "z\u{1}",
            "z\n",
        ]);
        for delimiter in ["", "/", "//", "b"] {
            for prefix in ["", "a", "a/", "\u{10FFFF}", "zz"] {
                let (whole, pages) = all(&map, prefix, delimiter, 1000);
                assert_eq!(pages, 1);
                for limit in 1..6 {
                    let (parts, _) = all(&map, prefix, delimiter, limit);
                    assert_eq!(parts, whole, "{prefix:?} {delimiter:?} {limit}");
                }
                let mut sorted = whole.clone();
                sorted.sort();
                assert_eq!(sorted, whole);
            }
        }
    }

    #[test]
    fn a_key_beside_its_folder_and_empty_names_are_told_apart() {
        let map = map(&["a", "a/", "a/b", "a//c"]);
        assert_eq!(all(&map, "", "/", 10).0, ["a", "a/"]);
        assert_eq!(all(&map, "a/", "/", 10).0, ["a/", "a//", "a/b"]);
    }

    #[test]
    fn what_is_not_shown_makes_no_prefix_and_no_next_page() {
        let mut map = map(&["a/1", "b/1", "c"]);
        map.insert("a/1".to_owned(), false);
        map.insert("d".to_owned(), false);
        let page = page(&map, Query { delimiter: "/", limit: 2, ..Query::default() }, |it| *it);
        assert_eq!(page.items.iter().map(Item::text).collect::<Vec<_>>(), ["b/", "c"]);
        assert!(!page.truncated);
    }

    #[test]
    fn a_marker_within_a_prefix_hides_the_prefix() {
        let map = map(&["a/1", "a/2", "b"]);
        let query = Query { delimiter: "/", after: Some("a/1"), limit: 9, ..Query::default() };
        let page = page(&map, query, |_| true);
        assert_eq!(page.items.iter().map(Item::text).collect::<Vec<_>>(), ["b"]);
    }

    #[test]
    fn a_walk_over_folders_has_their_names_among_those_of_files() {
        let keys = ["x/B", "x/a/b!", "x/a/c", "x/a-b", "x/a.txt", "x/a0"];
        let map = map(&keys);
        let list = |after, resumed, delimiter| -> Vec<&str> {
            let query = Query { prefix: "x/", after, limit: 9, delimiter };
            page_by_segments(&map, query, resumed, |_| true).items.iter().map(Item::text).collect()
        };
        assert_eq!(list(None, false, ""), keys);
        assert_eq!(list(Some("x/a-b"), false, ""), ["x/a.txt", "x/a0"]);
        assert_eq!(list(Some("x/a"), false, ""), ["x/a-b", "x/a.txt", "x/a0"]);
        assert_eq!(list(Some("x/a"), true, ""), &keys[1..]);
        assert_eq!(list(None, false, "/"), ["x/B", "x/a/", "x/a-b", "x/a.txt", "x/a0"]);
        assert_eq!(list(Some("x/a/"), true, "/"), ["x/a-b", "x/a.txt", "x/a0"]);
    }

    #[test]
    fn behind_a_prefix_comes_the_next_text() {
        assert_eq!(behind("a/").as_deref(), Some("a0"));
        assert_eq!(behind("a\u{D7FF}").as_deref(), Some("a\u{E000}"));
        assert_eq!(behind("a\u{10FFFF}").as_deref(), Some("b"));
        assert_eq!(behind("\u{10FFFF}"), None);
        assert_eq!(behind(""), None);
    }

    #[test]
    fn keys_are_url_encoded_as_aws_does() {
        assert_eq!(url_encoded("a b+c/é\n*~"), "a+b%2Bc/%C3%A9%0A*%7E");
    }
}
