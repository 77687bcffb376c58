//! Where to cut a range of keys that nobody has seen yet. Guesses only: a bad cut costs a request,
//! never a key.
//!
//! Names are read as numbers: the digits of a position are what was seen at it and near it, rounded
//! up to a class (decimal, hexadecimal, letters). Where folders are known, cuts fall between them.

use crate::order::ListingOrder;
use std::collections::BTreeSet;

/// Positions that a name is read as a number by.
const DIGITS: usize = 10;

/// With more pages in a range by its numbers, the numbers are taken for holes.
const FAR: f64 = 2000.0;

/// What is known of the rest of a range.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rest<'a> {
    pub(super) order: ListingOrder,
    /// Only cuts that both orders see alike.
    pub(super) neutral: bool,
    /// Of the whole listing.
    pub(super) prefix: &'a str,
    /// What the range began behind, if it is one that was cut off.
    pub(super) after: Option<&'a str>,
    /// The last key read.
    pub(super) last: &'a str,
    /// The last text that belongs to it; None: it ends with the prefix.
    pub(super) until: Option<&'a str>,
    /// Some keys of the last page, in order, with its first and its last.
    pub(super) sample: &'a [String],
    /// Keys on the page that the sample is of.
    pub(super) sampled: usize,
    /// Pages read so far.
    pub(super) pages: usize,
    /// Keys read so far.
    pub(super) keys: usize,
    /// Even cuts had nothing behind them: keys lie close to the last one.
    pub(super) sparse: bool,
    /// Pages in a row that ended in the folder of the last key.
    pub(super) steady: usize,
}

/// How to cut.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pieces {
    /// How many at most, with what stays.
    pub(super) most: usize,
    /// Pages in each at most, but for the last; for a reader who wants the next rows first.
    pub(super) pages: Option<f64>,
}

impl Pieces {
    /// The share of `pages` that each piece has, and how many there are; None where cutting would
    /// not pay.
    fn step(self, pages: f64) -> Option<(f64, usize)> {
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "small counts"
        )]
        let count = (self.most as f64).min(pages / 2.0).floor() as usize;
        if count < 2 || self.pages.is_some_and(|most| pages < 1.5 * most) {
            return None;
        }
        #[allow(clippy::cast_precision_loss, reason = "small counts")]
        let even = 1.0 / count as f64;
        Some((self.pages.map_or(even, |most| even.min(most / pages)), count))
    }
}

impl Rest<'_> {
    /// How many of `marks`, which are in order, lie before the range's start, up to the last key and
    /// up to its end.
    fn places(&self, marks: &[String]) -> (usize, usize, usize) {
        let behind =
            |text: &str| marks.partition_point(|mark| self.order.compare(mark, text).is_le());
        let start = self.after.map_or(0, |after| {
            marks.partition_point(|mark| self.order.compare(mark, after).is_lt())
        });
        (start, behind(self.last), self.until.map_or(marks.len(), behind))
    }

    /// Cuts between `marks`, which are folders and keys in order, as far as there are any.
    pub(super) fn by_marks(&self, marks: &[String], pieces: Pieces) -> Vec<String> {
        let (start, from, to) = self.places(marks);
        if to <= from {
            return Vec::new();
        }
        #[allow(clippy::cast_precision_loss, reason = "small counts")]
        let (ahead, passed) = ((to - from) as f64, from.saturating_sub(start).max(1) as f64);
        #[allow(clippy::cast_precision_loss, reason = "small counts")]
        let Some((step, count)) = pieces.step(ahead * self.pages as f64 / passed) else {
            return Vec::new();
        };
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "small counts"
        )]
        let texts = (1..count).filter_map(|n| {
            let at = from + (n as f64 * step * ahead).ceil() as usize;
            // The mark is the first of the next piece, so the cut is just before; for a folder its
            // own text is, since everything in it comes later.
            marks.get(at.min(to) - 1).cloned()
        });
        self.valid(texts.collect())
    }

    /// Whether `marks` tell all that is worth knowing of the rest: they go on to its end, some were
    /// passed, and no folder among them was a large one.
    pub(super) fn is_marked(&self, marks: &[String]) -> bool {
        // What begins behind a folder's name begins with that folder.
        let (start, from, _) = self.places(marks);
        let behind = self.until.unwrap_or(self.last);
        let goes_on = marks.last().is_some_and(|mark| self.order.compare(behind, mark).is_le());
        self.steady <= 2 && goes_on && start < from
    }

    /// Keys that seem to be left, where something tells.
    pub(super) fn left(&self, marks: &[String]) -> Option<f64> {
        let until = self.until?;
        if self.is_marked(marks) {
            // Full folders behind it, the end of its own unseen: that is as full as the others.
            let (start, from, _) = self.places(marks);
            let end = marks.partition_point(|mark| self.order.compare(mark, until).is_lt());
            #[allow(clippy::cast_precision_loss, reason = "small counts")]
            return Some(
                self.keys as f64 * end.saturating_sub(from) as f64 / (from - start) as f64,
            );
        }
        let first: Vec<char> = self.sample.first()?.chars().collect();
        let last: Vec<char> = self.last.chars().collect();
        let until: Vec<char> = until.chars().collect();
        let base = common(&last, &until);
        let scale = Scale::new(self, base, &last, Some(&until));
        let (low, high) = (scale.value(&last), scale.value(&until));
        let page = low - scale.value(&first);
        #[allow(clippy::cast_precision_loss, reason = "small counts")]
        let keys = self.sampled as f64;
        (page > 0.0 && common(&first, &last) >= base).then(|| (high - low) / page * keys)
    }

    /// Cuts by reading names as numbers.
    pub(super) fn by_number(&self, pieces: Pieces) -> Vec<String> {
        let last: Vec<char> = self.last.chars().collect();
        let Some(first) = self.sample.first() else { return Vec::new() };
        let first: Vec<char> = first.chars().collect();
        let until: Option<Vec<char>> = self.until.map(|text| text.chars().collect());
        let prefix = self.prefix.chars().count();
        let base = match (&until, self.after) {
            (Some(until), _) => common(&last, until),
            // Something is behind the last cut: then the level of that cut is worth dividing.
            (None, Some(after)) if self.after_was_cut() => {
                let after: Vec<char> = after.trim_end_matches('/').chars().collect();
                common(&last, &after).min(after.len().saturating_sub(1)).max(prefix)
            }
            (None, _) => return self.by_carry(&first, &last, prefix),
        };
        let scale = Scale::new(self, base, &last, until.as_deref());
        let (low, high) =
            (scale.value(&last), until.as_ref().map_or(1.0, |text| scale.value(text)));
        let page = low - scale.value(&first);
        // Where nothing is told by the pages themselves, halving is safe.
        let pages = if page > 0.0 && common(&first, &last) >= base {
            (high - low) / page * self.share()
        } else {
            4.0
        };
        if self.sparse || pages > FAR {
            // In one of many folders there may be no more than this page.
            let stays = until.is_none() || self.steady > 2;
            return if stays { self.by_carry(&first, &last, prefix) } else { Vec::new() };
        }
        let most = if until.is_none() { pieces.most.min(4) } else { pieces.most.min(9) };
        let Some((step, count)) = (Pieces { most, ..pieces }).step(pages) else {
            return Vec::new();
        };
        #[allow(clippy::cast_precision_loss, reason = "small counts")]
        let texts = (1..count).map(|n| {
            let value = low + n as f64 * step * (high - low);
            last[..base].iter().copied().chain(scale.text(value, step * (high - low))).collect()
        });
        self.valid(texts.collect())
    }

    /// Cuts where the name as a number carries: behind `0000999` at `0001`, `001`, `01` and `1`.
    fn by_carry(&self, first: &[char], last: &[char], prefix: usize) -> Vec<String> {
        let scale = Scale::new(self, prefix, last, None);
        let varies = common(first, last).min(last.len().saturating_sub(1));
        let mut cuts: Vec<String> = Vec::new();
        for at in (prefix..=varies).rev() {
            let seen = scale.alphabet(at);
            let rank = |c: char| scale.rank(c);
            let Some(next) = seen.iter().find(|c| rank(**c) > rank(last[at])) else { continue };
            cuts.push(last[..at].iter().chain([next]).collect());
        }
        if cuts.len() > 5 {
            // The farthest one bounds the rest, the nearest ones have something in them.
            let farthest = cuts.pop();
            cuts.truncate(4);
            cuts.extend(farthest);
        }
        self.valid(cuts)
    }

    /// What the page that the sample is of has of a whole one.
    #[allow(clippy::cast_precision_loss, reason = "small counts")]
    fn share(&self) -> f64 {
        (self.sampled as f64 / super::PAGE as f64).min(1.0)
    }

    fn after_was_cut(&self) -> bool {
        self.after
            .is_some_and(|after| after.len() > self.prefix.len() && after.starts_with(self.prefix))
    }

    /// Those that are cuts, in order, in the form that the order needs.
    fn valid(&self, texts: Vec<String>) -> Vec<String> {
        let mut cuts: Vec<String> = texts
            .into_iter()
            .map(|mut text| {
                // `start-after` that is exactly a folder's name leaves the whole folder out, there.
                if self.order == ListingOrder::Segments && !text.ends_with('/') {
                    text.push('/');
                }
                text
            })
            .filter(|text| {
                let below = text.strip_prefix(self.prefix);
                below.is_some_and(|below| {
                    !below.is_empty() && (!self.neutral || below.bytes().all(|byte| byte > b'/'))
                }) && text.len() <= 1024
                    && self.order.compare(self.last, text).is_lt()
                    && self.until.is_none_or(|until| self.order.compare(text, until).is_lt())
            })
            .collect();
        cuts.sort_by(|a, b| self.order.compare(a, b));
        cuts.dedup();
        cuts
    }
}

/// Characters that two texts begin with alike.
fn common(a: &[char], b: &[char]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// Texts as numbers from 0 to 1, from one position on.
struct Scale {
    segments: bool,
    base: usize,
    /// By position from `base`, in the order of the listing.
    alphabets: Vec<Vec<char>>,
}

impl Scale {
    fn new(rest: &Rest<'_>, base: usize, last: &[char], until: Option<&[char]>) -> Self {
        let mut scale =
            Self { segments: rest.order == ListingOrder::Segments, base, alphabets: Vec::new() };
        let sample: Vec<Vec<char>> = rest.sample.iter().map(|key| key.chars().collect()).collect();
        let length = last.len().max(base + DIGITS).min(base + 64);
        for at in base..length {
            let mut seen = BTreeSet::new();
            // Near positions tell the class: in `00af` the first is hexadecimal too.
            for key in sample.iter().map(Vec::as_slice).chain([last]) {
                let near = key.get(at..(at + 4).min(key.len())).unwrap_or_default();
                seen.extend(near.iter().take(1));
                seen.extend(near.iter().skip(1).take_while(|c| c.is_ascii_alphanumeric()));
            }
            seen.extend(until.and_then(|text| text.get(at)));
            let mut alphabet: Vec<char> = closure(&seen).into_iter().collect();
            if rest.neutral {
                alphabet.retain(|c| *c > '/' || until.and_then(|text| text.get(at)) == Some(c));
            }
            alphabet.sort_by_key(|c| scale.rank(*c));
            scale.alphabets.push(alphabet);
        }
        scale
    }

    fn rank(&self, c: char) -> u32 {
        if self.segments && c == '/' { 0 } else { u32::from(c) + 1 }
    }

    fn alphabet(&self, at: usize) -> &[char] {
        self.alphabets.get(at - self.base).map_or(&[], Vec::as_slice)
    }

    #[allow(clippy::cast_precision_loss, reason = "alphabets are small")]
    fn value(&self, text: &[char]) -> f64 {
        let (mut value, mut weight) = (0.0, 1.0);
        for (alphabet, c) in self.alphabets.iter().zip(text.get(self.base..).unwrap_or_default()) {
            weight /= (alphabet.len() + 1) as f64;
            let digit = alphabet.partition_point(|other| self.rank(*other) <= self.rank(*c));
            value += digit as f64 * weight;
        }
        value
    }

    /// The text of a number, no longer than tells it from others that are `apart`.
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "alphabets are small and numbers lie between 0 and 1"
    )]
    fn text(&self, mut value: f64, apart: f64) -> Vec<char> {
        let (mut text, mut weight) = (Vec::new(), 1.0);
        for alphabet in &self.alphabets {
            weight /= (alphabet.len() + 1) as f64;
            let digit = ((value / weight) as usize).min(alphabet.len());
            value -= digit as f64 * weight;
            // 0 is the end of a text; another text would end here too early.
            let Some(c) = digit.checked_sub(1).and_then(|at| alphabet.get(at)) else { break };
            text.push(*c);
            if weight < apart / 8.0 {
                break;
            }
        }
        text
    }
}

/// A set of characters, rounded up to the classes they are of.
fn closure(seen: &BTreeSet<char>) -> BTreeSet<char> {
    let mut all = seen.clone();
    if seen.iter().any(char::is_ascii_digit) {
        all.extend('0'..='9');
    }
    for (from, hex, to) in [('a', 'f', 'z'), ('A', 'F', 'Z')] {
        let most = seen.range(from..=to).next_back();
        if let Some(most) = most {
            all.extend(from..=if *most <= hex { hex } else { to });
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(keys: impl Iterator<Item = String>) -> Vec<String> {
        keys.collect()
    }

    fn rest<'a>(prefix: &'a str, sample: &'a [String], until: Option<&'a str>) -> Rest<'a> {
        Rest {
            order: ListingOrder::Bytes,
            neutral: false,
            prefix,
            after: None,
            last: sample.last().unwrap(),
            until,
            sample,
            sampled: super::super::PAGE,
            pages: 1,
            keys: super::super::PAGE,
            sparse: false,
            steady: 3,
        }
    }

    const ANY: Pieces = Pieces { most: 4, pages: None };

    #[test]
    fn a_counter_is_cut_where_it_carries_then_evenly() {
        let keys = sample((0..1000).step_by(37).chain([999]).map(|n| format!("flat/{n:07}.txt")));
        assert_eq!(
            rest("flat/", &keys, None).by_number(ANY),
            ["flat/0001", "flat/001", "flat/01", "flat/1"]
        );
        let keys = sample((10_000..11_000).step_by(333).map(|n| format!("flat/{n:07}.txt")));
        let cuts = rest("flat/", &keys, Some("flat/01")).by_number(ANY);
        assert_eq!(cuts.len(), 3);
        assert!(cuts[0].starts_with("flat/003") && cuts[2].starts_with("flat/007"), "{cuts:?}");
        let near = Pieces { most: 4, pages: Some(4.0) };
        let cuts = rest("flat/", &keys, Some("flat/01")).by_number(near);
        assert!(cuts[0].starts_with("flat/0014") && cuts.len() == 3, "{cuts:?}");
    }

    #[test]
    fn nothing_is_cut_where_little_is_left() {
        let keys = sample((10_000..11_000).step_by(333).map(|n| format!("flat/{n:07}.txt")));
        assert!(rest("flat/", &keys, Some("flat/0012")).by_number(ANY).is_empty());
    }

    #[test]
    fn hexadecimal_names_are_seen_as_such() {
        let keys =
            sample((0_u32..0x500).step_by(77).map(|n| format!("00{n:04x}{:08x}", n * 77_777)));
        let cuts = rest("", &keys, Some("f")).by_number(ANY);
        assert_eq!(cuts, ["0005", "001", "01", "1"]);
        let keys = sample((0_u32..0x500).map(|n| format!("{:04x}", 0x1000 + n)));
        let cuts = rest("", &keys, Some("f")).by_number(ANY);
        assert!(cuts.len() == 3 && cuts[2].starts_with('b'), "{cuts:?}");
    }

    #[test]
    fn folders_are_cut_between() {
        let marks: Vec<String> = (0..200).map(|n| format!("d{n:03}/")).collect();
        let keys = sample((0..1000).step_by(333).map(|n| format!("d000/{n:03}")));
        let cuts = rest("", &keys, None).by_marks(&marks, ANY);
        assert_eq!(cuts, ["d050/", "d100/", "d150/"]);
        // Where 500 folders went by on one page, 199 are too few to be cut.
        let many: Vec<String> = (0..700).map(|n| format!("d{n:03}/")).collect();
        let keys = vec!["d000/1".to_owned(), "d500/2".to_owned()];
        assert!(rest("", &keys, None).by_marks(&many, ANY).is_empty());
    }

    #[test]
    fn a_cut_by_segments_never_is_a_folders_name() {
        let keys = sample((0..1000).step_by(333).map(|n| format!("a/{n:07}")));
        let by_segments =
            Rest { order: ListingOrder::Segments, ..rest("a/", &keys, None) }.by_number(ANY);
        assert!(!by_segments.is_empty() && by_segments.iter().all(|cut| cut.ends_with('/')));
        let neutral = Rest { neutral: true, ..rest("", &keys, None) }.by_number(ANY);
        assert!(neutral.iter().all(|cut| !cut.contains('/')), "{neutral:?}");
    }
}
