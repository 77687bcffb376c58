//! Choosing what a listing gives: a filter from elsewhere, and folders that need not be listed.
//!
//! An exclude leaves out a folder when it matches the folder itself, or all below it (`FOLDER/**`). How
//! that saves requests depends on the storage: where a listing goes from folder to folder anyway, an
//! excluded one is not entered; in an object store the listing jumps over folders that are named
//! outright, and goes level by level only where wildcards leave no other way. Neither may cost
//! many more requests than a plain listing does, so excluded folders may come all the same.

mod levels;

use crate::diff::in_byte_order;
use crate::options::named;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use levels::{Piece, Purse, by_levels};
use std::sync::Arc;
use windlass_s3::{ListOptions, Storage};
use windlass_types::{Entry, Error, ErrorCode, KeyPattern, Location, Result};

/// A condition on rows of a listing that this room cannot evaluate: the expression of `--where`.
pub trait EntryFilter: Send + Sync + std::fmt::Debug {
    /// Whether each entry is wanted, in their order; `base` is what their keys have before their path
    /// below the source. An error says that the condition cannot be evaluated on them; it ends the run.
    fn takes(&self, base: &str, entries: &[Entry]) -> Result<Vec<bool>>;
}

/// A folder that an exclude leaves out, or many.
#[derive(Debug)]
struct Folder {
    pattern: KeyPattern,
    /// A pattern without `/` also matches the name of a folder alone.
    by_name: bool,
    /// One pattern for each level; None if it may lie at any depth.
    levels: Option<Vec<KeyPattern>>,
}

impl Folder {
    /// The folders that an exclude leaves out whole.
    fn of(exclude: &str) -> Option<Self> {
        let anchored = KeyPattern::anchored(exclude);
        let exclude = anchored.unwrap_or(exclude);
        let (text, all_below) = match exclude.strip_suffix("/**") {
            Some(folder) => (folder, true),
            None => (exclude.strip_suffix('/').unwrap_or(exclude), false),
        };
        if text.is_empty() || text.ends_with('/') {
            return None;
        }
        let by_name = !all_below && anchored.is_none() && !text.contains('/');
        // A `/` within `{}` or `[]` parts no levels.
        let nested = text.contains("**") || (text.contains(['{', '[']) && text.contains('/'));
        let levels = if by_name || nested {
            None
        } else {
            text.split('/').map(|level| KeyPattern::parse(level).ok()).collect()
        };
        Some(Self { pattern: KeyPattern::parse(text).ok()?, by_name, levels })
    }

    /// The folder's name with its `/`, if it is one and has no wildcard.
    fn literal(&self) -> Option<String> {
        let text = self.pattern.as_str();
        (self.levels.is_some() && !KeyPattern::is_pattern(text)).then(|| format!("{text}/"))
    }

    /// Whether it is, or one of them is, this folder (without its last `/`).
    fn is(&self, path: &str) -> bool {
        self.pattern.matches(path)
            || (self.by_name && self.pattern.matches(path.rsplit('/').next().unwrap_or_default()))
    }

    /// Whether it is known to lie at a certain depth below this folder, empty or with its last `/`.
    fn lies_below(&self, path: &str) -> bool {
        let Some(levels) = &self.levels else { return false };
        let above: Vec<&str> = path.split_terminator('/').collect();
        above.len() < levels.len()
            && above.iter().zip(levels).all(|(name, level)| level.matches(name))
    }
}

/// How a listing is to be made.
enum Way {
    /// In one go.
    Whole,
    /// In one go but for these folders, which are jumped over; in byte order.
    Jumping(Vec<String>),
    /// Folder by folder.
    Levels,
}

fn way(storage: &Storage, location: &Location, base: &str, folders: &[Folder]) -> Way {
    let within = location.key.strip_prefix(base).unwrap_or_default();
    let within = &within[..within.rfind('/').map_or(0, |at| at + 1)];
    if storage.walks_folders() {
        return if folders.is_empty() { Way::Whole } else { Way::Levels };
    }
    let met: Vec<&Folder> = folders.iter().filter(|folder| folder.lies_below(within)).collect();
    if met.is_empty() {
        return Way::Whole;
    }
    // An order that was only found out may prove wrong, and then a jump would lose keys.
    let bytes = in_byte_order(storage, location);
    let literal: Option<Vec<String>> = met.iter().map(|folder| folder.literal()).collect();
    match literal {
        Some(names) if bytes => {
            let mut names: Vec<String> = names
                .into_iter()
                .map(|name| format!("{base}{name}"))
                .filter(|name| name.starts_with(&location.key))
                .collect();
            names.sort_unstable();
            // What lies within another is jumped over with it.
            names.dedup_by(|one, before| one.starts_with(before.as_str()));
            if names.is_empty() { Way::Whole } else { Way::Jumping(names) }
        }
        _ => Way::Levels,
    }
}

/// Lists all objects below a place but those of excluded folders, as far as it saves anything: they may
/// come all the same, and whoever asked filters. `ordered` asks for the order of the service
/// ([`ListOptions::ordered`]).
pub(crate) fn listed(
    storage: &Storage,
    location: Location,
    base: &str,
    exclude: &[String],
    ordered: bool,
) -> BoxStream<'static, Result<Entry>> {
    let whole = ListOptions { recursive: true, ordered, ..ListOptions::default() };
    let folders: Vec<Folder> = exclude.iter().filter_map(|text| Folder::of(text)).collect();
    let rows = match way(storage, &location, base, &folders) {
        Way::Whole => storage.list(&location, whole),
        Way::Jumping(names) => jumping(Arc::clone(storage), location, names),
        Way::Levels => by_levels(Arc::clone(storage), location, base.to_owned(), folders, whole),
    };
    rows.map_err(unreadable).boxed()
}

/// Says of a folder that may not be read what can be done about it.
fn unreadable(error: Error) -> Error {
    if error.code() == ErrorCode::LocalDenied && error.hint_text().is_none() {
        let option = named("exclude");
        return error.hint(format!("{option} leaves a folder out, which is then not read"));
    }
    error
}

/// Lists in byte order, from behind one folder to the beginning of the next; as a whole from where no
/// more requests may be spent on jumps.
fn jumping(
    storage: Storage,
    location: Location,
    names: Vec<String>,
) -> BoxStream<'static, Result<Entry>> {
    async_stream::try_stream! {
        let mut purse = Purse::default();
        let mut names = names.into_iter();
        let mut after: Option<String> = None;
        loop {
            let name = if purse.left() > 0 { names.next() } else { None };
            purse.take(usize::from(name.is_some()));
            let how = ListOptions {
                recursive: true,
                ordered: true,
                start_after: after.take(),
                until: name.clone(),
                ..ListOptions::default()
            };
            let mut piece = Piece::new(&storage, &location, how, &purse);
            while let Some(entry) = piece.row().await? {
                if name.as_ref().is_some_and(|name| entry.key >= *name) {
                    break;
                }
                yield entry;
            }
            purse.ended(&piece);
            let Some(name) = name else { break };
            // Behind every key that begins so.
            after = Some(format!("{name}{}", char::MAX));
        }
    }
    .boxed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;
    use crate::options::CopyOptions;
    use crate::plan::Filter;
    use proptest::prelude::*;

    const KEYS: [&str; 9] = [
        "s/a",
        "s/in/x/1",
        "s/in/y",
        "s/tmp-not",
        "s/tmp/1",
        "s/tmp/d/2",
        "s/x/in/x/3",
        "s/z/1",
        "s/z/tmp/1",
    ];

    async fn keys(fake: &Arc<Fake>, exclude: &[&str]) -> Vec<String> {
        for key in KEYS {
            fake.set(key, "1");
        }
        let exclude: Vec<String> = exclude.iter().map(|text| (*text).to_owned()).collect();
        let storage: Storage = fake.clone();
        let location = Location { bucket: Some("b".into()), key: "s/".into() };
        let rows = listed(&storage, location, "s/", &exclude, true);
        rows.map_ok(|entry| entry.key).try_collect().await.unwrap()
    }

    #[test]
    fn a_folder_that_may_not_be_read_can_be_left_out() {
        let hint = |code| unreadable(Error::new(code, "x")).hint_text().map(str::to_owned);
        assert!(hint(ErrorCode::LocalDenied).is_some_and(|hint| hint.contains("--exclude")));
        assert_eq!(hint(ErrorCode::LocalFailed), None);
    }

    #[tokio::test]
    async fn excluded_folders_are_not_listed() {
        let fake = Arc::new(Fake::new("one"));
        let found = keys(&fake, &["tmp/**", "in/x/**", "*.bak"]).await;
        assert_eq!(found, ["s/a", "s/in/y", "s/tmp-not", "s/x/in/x/3", "s/z/1", "s/z/tmp/1"]);
        assert_eq!(fake.count("list s/tmp/"), 0);
        assert_eq!(fake.count("list s/in/x/"), 0);
        assert_eq!(fake.count("list s/z/"), 1);
    }

    #[tokio::test]
    async fn an_anchored_folder_is_not_listed_but_its_namesakes_are() {
        for exclude in ["/tmp", "/tmp/", "./tmp/**"] {
            for walks in [false, true] {
                let fake = Fake::with("one", |fake| fake.walks = walks);
                let found = keys(&fake, &[exclude]).await;
                assert!(!found.contains(&"s/tmp/1".to_owned()), "{exclude} {found:?}");
                assert!(found.contains(&"s/z/tmp/1".to_owned()), "{exclude} {found:?}");
                assert_eq!(fake.count("list s/tmp/"), 0, "{exclude}");
            }
        }
    }

    #[tokio::test]
    async fn a_wildcard_for_a_level_leaves_out_what_it_matches() {
        let fake = Arc::new(Fake::new("one"));
        let found = keys(&fake, &["*/in/**", "t?p/"]).await;
        assert!(!found.contains(&"s/x/in/x/3".to_owned()), "{found:?}");
        assert_eq!(fake.count("list s/x/in/"), 0);
        assert_eq!(fake.count("list s/x/"), 1);
    }

    #[tokio::test]
    async fn where_order_is_promised_a_listing_jumps_over_named_folders() {
        let fake = Fake::with("one", |fake| fake.promised = true);
        let found = keys(&fake, &["tmp/**", "in/x/**", "in/x/deeper/**"]).await;
        assert_eq!(found, ["s/a", "s/in/y", "s/tmp-not", "s/x/in/x/3", "s/z/1", "s/z/tmp/1"]);
        assert_eq!(fake.count("list"), 3, "one for each part, however many folders there are");
    }

    #[tokio::test]
    async fn folders_at_any_depth_are_not_worth_a_request_each_in_an_object_store() {
        let fake = Arc::new(Fake::new("one"));
        assert_eq!(keys(&fake, &["**/tmp/**", "tmp"]).await.len(), KEYS.len());
        assert_eq!(fake.count("list"), 1);
    }

    #[tokio::test]
    async fn a_storage_that_walks_enters_no_excluded_folder() {
        let fake = Fake::with("one", |fake| fake.walks = true);
        let found = keys(&fake, &["**/tmp/**", "x"]).await;
        assert_eq!(found, ["s/a", "s/in/y", "s/tmp-not", "s/z/1"]);
        for folder in ["s/tmp/", "s/z/tmp/", "s/in/x/", "s/x/"] {
            assert_eq!(fake.count(&format!("list {folder}")), 0, "{folder}");
        }
    }

    /// What is listed under one list of excludes and chosen by another, in its order.
    async fn chosen(
        fake: &Arc<Fake>,
        listing: &[String],
        exclude: &[String],
        ordered: bool,
    ) -> Vec<String> {
        let exclude = CopyOptions::patterns(exclude).unwrap();
        let filter = Filter { include: Vec::new(), exclude };
        let storage: Storage = fake.clone();
        let location = Location { bucket: Some("b".into()), key: "s/".into() };
        let rows = listed(&storage, location, "s/", listing, ordered);
        let keys: Vec<String> = rows.map_ok(|entry| entry.key).try_collect().await.unwrap();
        keys.into_iter().filter(|key| filter.takes(&key[2..])).collect()
    }

    /// Whether an object of this folder, in its `tmp` or not, is not excluded.
    type Takes = fn(usize, bool) -> bool;

    #[tokio::test]
    async fn excluded_folders_cost_no_more_than_a_few_requests() {
        let named = |from: usize| (from..from + 60).map(|n| format!("users/{n:04}/**")).collect();
        let cases: [(Vec<String>, Takes); 4] = [
            (vec!["users/*/tmp".to_owned()], |_, is_tmp| !is_tmp),
            (vec!["*/*/tmp/**".to_owned()], |_, is_tmp| !is_tmp),
            (named(0), |n, _| n >= 60),
            (named(200), |n, _| !(200..260).contains(&n)),
        ];
        for (folders, promised) in [(300, false), (300, true), (3000, false), (3000, true)] {
            let fake = Fake::with("one", |fake| fake.promised = promised);
            for n in 0..folders {
                fake.set(&format!("s/users/{n:04}/a"), "1");
                fake.set(&format!("s/users/{n:04}/tmp/b"), "1");
            }
            for (exclude, takes) in &cases {
                let wanted = |key: &String| takes(key[8..12].parse().unwrap(), key.len() > 14);
                for ordered in [false, true] {
                    let before = fake.count("list");
                    let storage: Storage = fake.clone();
                    let location = Location { bucket: Some("b".into()), key: "s/".into() };
                    let rows = listed(&storage, location, "s/", exclude, ordered);
                    let mut found: Vec<String> =
                        rows.map_ok(|entry| entry.key).try_collect().await.unwrap();
                    let lists = fake.count("list") - before;
                    assert!(lists <= 40, "{lists} of {folders}, {promised}: {}", exclude[0]);
                    found.retain(wanted);
                    let expected: Vec<String> = fake.keys().into_iter().filter(wanted).collect();
                    assert!(found == expected, "{} of {}", found.len(), expected.len());
                }
            }
        }
    }

    #[tokio::test]
    async fn folders_within_folders_share_what_may_be_spent() {
        let fake = Arc::new(Fake::new("one"));
        for n in 0..20 * 40 {
            fake.set(&format!("s/{:02}/{:02}/tmp/{n}", n / 40, n % 40), "1");
        }
        let exclude = ["*/*/tmp/**".to_owned()];
        assert!(chosen(&fake, &exclude, &exclude, true).await.is_empty());
        let lists = fake.count("list");
        assert!((21..=40).contains(&lists), "{lists}");
    }

    #[tokio::test]
    async fn where_order_is_promised_a_long_level_goes_on_whole_where_nothing_is_left_to_spend() {
        let fake = Fake::with("one", |fake| fake.promised = true);
        for n in 0..100 {
            fake.set(&format!("s/a{n:03}"), "1");
            for end in ["/", "/1", "/tmp/1", ".x", "0", "/\u{10FFFF}", ".\u{10FFFF}z"] {
                fake.set(&format!("s/f{n:03}{end}"), "1");
            }
        }
        let exclude = ["*/tmp".to_owned()];
        let expected = chosen(&fake, &[], &exclude, true).await;
        let before = fake.count("list");
        assert_eq!(chosen(&fake, &exclude, &exclude, true).await, expected);
        let lists = fake.count("list") - before;
        assert!((20..=40).contains(&lists), "{lists}");
        assert_eq!(fake.count("list s/f000/tmp/"), 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_is_not_excluded_is_listed_once_and_in_the_order_of_the_service(
            keys in proptest::collection::btree_set(
                "[ab]?[0-9]{1,2}[.!]?(/([0-9]|tmp|x)){0,2}(/tmp/[0-9])?",
                0..200,
            ),
            exclude in proptest::sample::subsequence(
                vec!["*/tmp", "*/tmp/**", "tmp", "/1", "a1/**", "a*/x/**", "*/*/tmp/**", "b[0-4]/", "2?/"],
                1..4,
            ),
            promised: bool,
            segments: bool,
            ordered: bool,
        ) {
            let fake = Fake::with("one", |fake| {
                fake.promised = promised;
                fake.by_segments = segments && !promised;
            });
            for key in keys {
                fake.set(&format!("s/{key}"), "1");
            }
            let exclude: Vec<String> = exclude.into_iter().map(str::to_owned).collect();
            let (expected, before, found) = tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap()
                .block_on(async {
                    let expected = chosen(&fake, &[], &exclude, ordered).await;
                    let before = fake.count("list");
                    (expected, before, chosen(&fake, &exclude, &exclude, ordered).await)
                });
            prop_assert_eq!(found, expected);
            prop_assert!(fake.count("list") - before <= 40);
        }
    }
}
