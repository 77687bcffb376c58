//! Reading the page that a web server makes of a folder.
//!
//! Such a page links to each thing in the folder by its name, to folders with a slash behind. Its
//! title tells it from other pages: `Index of …`, `Directory listing for …`, or a `<pre>`/`<table>`
//! after a heading of that kind.

use percent_encoding::percent_decode_str;
use std::collections::BTreeSet;

/// Names in a folder and whether they are folders; None if the page is no index. `base` is the
/// path of the page.
pub(super) fn read(page: &str, base: &str) -> Option<Vec<(String, bool)>> {
    let lower = page.to_ascii_lowercase();
    if !["index of", "directory listing", "directory of"].iter().any(|title| {
        ["<title>", "<h1>", "<h2>"].iter().any(|tag| {
            lower
                .match_indices(tag)
                .any(|(at, _)| lower[at + tag.len()..].trim_start().starts_with(title))
        })
    }) {
        return None;
    }
    let mut names = BTreeSet::new();
    for (at, _) in lower.match_indices("<a ") {
        let tag = &page[at..at + lower[at..].find('>').unwrap_or(0)];
        if let Some(link) = link(tag)
            && let Some(found) = name(&link, base)
        {
            names.insert(found);
        }
    }
    Some(names.into_iter().collect())
}

/// The `href` of a tag, with entities decoded.
fn link(tag: &str) -> Option<String> {
    let at = tag.to_ascii_lowercase().find("href")? + 4;
    let rest = tag.get(at..)?.trim_start().strip_prefix('=')?.trim_start();
    let value = match rest.chars().next()? {
        quote @ ('"' | '\'') => rest[1..].split(quote).next()?,
        _ => rest.split_ascii_whitespace().next()?,
    };
    Some(
        value
            .replace("&quot;", "\"")
            .replace("&#39;", "'")
            .replace("&#x27;", "'")
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&amp;", "&"),
    )
}

/// The name a link gives, if it leads one level down from the page.
fn name(link: &str, base: &str) -> Option<(String, bool)> {
    // Columns of the page are sorted by links with a query.
    if link.starts_with(['?', '#']) || link.contains("://") || link.starts_with("//") {
        return None;
    }
    let path = link.split(['?', '#']).next()?;
    let decode = |text: &str| percent_decode_str(text).decode_utf8().map(String::from).ok();
    let path = decode(path)?;
    let path = match path.strip_prefix('/') {
        Some(_) => path.strip_prefix(&decode(base)?)?.to_owned(),
        None => path.strip_prefix("./").unwrap_or(&path).to_owned(),
    };
    let (plain, folder) = match path.strip_suffix('/') {
        Some(plain) => (plain, true),
        None => (path.as_str(), false),
    };
    let good = !plain.is_empty() && !plain.contains('/') && plain != "." && plain != "..";
    // `mailto:` and the like; a name with a colon is written with `./` before it or encoded.
    let scheme = link.split_once(':').is_some_and(|(scheme, _)| {
        !scheme.is_empty() && scheme.bytes().all(|b| b.is_ascii_alphabetic())
    });
    (good && !scheme).then(|| (plain.to_owned(), folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(page: &str) -> String {
        let found = read(page, "/pub/").expect("an index");
        let shown = found
            .iter()
            .map(|(name, folder)| if *folder { format!("{name}/") } else { name.clone() });
        shown.collect::<Vec<_>>().join(" | ")
    }

    #[test]
    fn the_pages_of_common_servers_are_read() {
        let apache = r#"<html><head><title>Index of /pub</title></head><body><h1>Index of /pub</h1><table>
            <tr><th><a href="?C=N;O=D">Name</a></th></tr><tr><td><a href="/">Parent Directory</a></td></tr>
            <tr><td><a href="a%20b.csv">a b.csv</a></td><td>2026-01-02 10:00  </td><td>1.2K</td></tr>
            <tr><td><a href="sub/">sub/</a></td></tr></table></body></html>"#;
        assert_eq!(names(apache), "a b.csv | sub/");
        let nginx = "<html><head><title>Index of /pub/</title></head><body><h1>Index of /pub/</h1><hr><pre><a href=\"../\">../</a>\n<a href=\"x&amp;y.txt\">x&amp;y.txt</a> 01-Jan-2026 5\n</pre></body></html>";
        assert_eq!(names(nginx), "x&y.txt");
        let python = "<title>Directory listing for /pub/</title><ul><li><a href='z.txt'>z.txt</a></li><li><a href=\"/pub/abs/\">abs/</a></li><li><a href=\"/other/x\">x</a></li></ul>";
        assert_eq!(names(python), "abs/ | z.txt");
    }

    #[test]
    fn another_page_is_no_index_and_odd_links_are_no_names() {
        assert_eq!(read("<title>Welcome</title><a href='x'>x</a>", "/"), None);
        let page = "<title>Index of /</title><a href='mailto:a@b'>m</a><a href='http://h/x'>h</a><a href='a/b'>deep</a><a>none</a><a href='%2e%2e/'>up</a>";
        assert_eq!(names(page), "");
    }
}
