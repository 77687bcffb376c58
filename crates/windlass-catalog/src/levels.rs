//! What the levels of a key say: partitions, artefacts, the folder that is a table's root.

use std::collections::BTreeSet;

/// Segments that no table has files in (reference section 5.6), and `excludePaths` if it is not said.
pub const EXCLUDED: [&str; 5] = ["_delta_log", "_temporary", "_spark_metadata", ".tmp", "_SUCCESS"];

/// Storage classes whose objects cannot be read at once, or only at a price.
pub const COLD: [&str; 3] = ["GLACIER", "DEEP_ARCHIVE", "GLACIER_IR"];

/// Whether a key is an artefact of a writer rather than data (section 5.6).
pub fn is_artefact(key: &str) -> bool {
    let name = key.rsplit('/').next().unwrap_or(key);
    key.split('/').any(|level| EXCLUDED.contains(&level))
        || name.starts_with("_SUCCESS.")
        || name.starts_with("_committed_")
        || name.starts_with("_started_")
        || name.rsplit_once('.').is_some_and(|(_, end)| end == "crc")
}

/// Name and value of a level `name=value`.
pub fn pair(level: &str) -> Option<(&str, &str)> {
    let (name, value) = level.split_once('=')?;
    let mut letters = name.bytes();
    let first = letters.next()?;
    let good = (first.is_ascii_alphabetic() || first == b'_')
        && letters.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    good.then_some((name, value))
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a level is a date by itself: `20240131`, `2024-01-31`, with a time behind `T` and `Z`, or
/// eight digits or more. `2024` and `2024-01` are none (section 5.4).
pub fn is_date(level: &str) -> bool {
    if level.len() >= 8 && digits(level) {
        return true;
    }
    let level = level.strip_suffix('Z').unwrap_or(level);
    let (day, time) = match level.split_once('T') {
        Some((day, time)) => (day, Some(time)),
        None => (level, None),
    };
    let day = match day.len() {
        8 => digits(day),
        10 => {
            let parts: Vec<&str> = day.split('-').collect();
            matches!(parts[..], [y, m, d] if y.len() == 4 && m.len() == 2 && d.len() == 2 && digits(y) && digits(m) && digits(d))
        }
        9 => {
            // Their pattern has each hyphen for itself.
            let bare = day.replacen('-', "", 1);
            bare.len() == 8 && digits(&bare) && matches!(day.find('-'), Some(4 | 6))
        }
        _ => false,
    };
    day && time.is_none_or(digits)
}

/// Whether a level is a partition in the eyes of a manifest's glob (section 5.4).
pub fn is_partition(level: &str) -> bool {
    pair(level).is_some() || is_date(level)
}

/// The folder of a key without `/` at its end; empty at the top.
pub fn folder(key: &str) -> &str {
    key.rfind('/').map_or("", |at| &key[..at])
}

/// The root of the table that a key belongs to, in the eyes of a manifest's glob: the folder before
/// the first level that looks like a partition (section 5.4).
pub fn table_root(key: &str) -> &str {
    let folder = folder(key);
    let mut at = 0;
    for level in folder.split('/') {
        if is_partition(level) {
            return folder[..at].trim_end_matches('/');
        }
        at += level.len() + 1;
    }
    folder
}

/// How a level divides a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Division {
    /// `name=value`.
    Hive,
    /// A date by itself.
    Date,
    /// Year, month, day or hour, as numbers one below the other.
    Calendar,
}

fn number(level: &str, digits_: std::ops::RangeInclusive<usize>, most: u32) -> bool {
    digits_.contains(&level.len()) && digits(level) && level.parse::<u32>().is_ok_and(|n| n <= most)
}

fn is_year(level: &str) -> bool {
    level.len() == 4 && level.parse::<u32>().is_ok_and(|year| (1900..=2199).contains(&year))
}

fn is_month_of_year(level: &str) -> bool {
    level.len() == 7
        && level
            .split_once('-')
            .is_some_and(|(year, month)| is_year(year) && number(month, 2..=2, 12))
}

/// The root of the table that a key belongs to where no manifest says it, and how the levels
/// below divide the table. Besides what [`table_root`] knows, `2024/01/31/23` and `2024-01` divide.
pub fn own_root(key: &str) -> (&str, Vec<Division>) {
    let folder = folder(key);
    let levels: Vec<&str> = if folder.is_empty() { vec![] } else { folder.split('/').collect() };
    let mut at = 0;
    for (index, level) in levels.iter().enumerate() {
        let below = &levels[index..];
        let division = if pair(level).is_some() {
            Some(Division::Hive)
        } else if is_date(level) || is_month_of_year(level) {
            Some(Division::Date)
        } else if is_year(level) && below.get(1).is_none_or(|next| number(next, 1..=2, 12)) {
            Some(Division::Calendar)
        } else {
            None
        };
        if let Some(first) = division {
            return (folder[..at].trim_end_matches('/'), divisions(first, below));
        }
        at += level.len() + 1;
    }
    (folder, Vec::new())
}

/// Of the levels from the first dividing one, those that go on dividing.
fn divisions(first: Division, levels: &[&str]) -> Vec<Division> {
    let mut found = vec![first];
    for (index, level) in levels.iter().enumerate().skip(1) {
        let calendar = first == Division::Calendar
            && match index {
                1 => number(level, 1..=2, 12),
                2 => number(level, 1..=2, 31),
                3 => number(level, 1..=2, 23),
                _ => number(level, 1..=2, 59) && index == 4,
            }
            && found.len() == index;
        if calendar {
            found.push(Division::Calendar);
        } else if pair(level).is_some() {
            found.push(Division::Hive);
        } else if is_date(level) || is_month_of_year(level) {
            found.push(Division::Date);
        } else {
            break;
        }
    }
    found
}

/// What the values of a partition have in common (section 5.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Values {
    whole: bool,
    dates: bool,
}

impl Values {
    fn of(value: &str) -> Self {
        let sign = value.strip_prefix(['-', '+']).unwrap_or(value);
        let date = value.len() == 10 && is_date(value) && value.as_bytes()[4] == b'-';
        Self { whole: digits(sign) && sign.len() <= 18, dates: date }
    }

    /// OpenMetadata's word and the type as SQL writes it.
    fn words(self) -> (&'static str, &'static str) {
        if self.whole {
            ("INT", "BIGINT")
        } else if self.dates {
            ("DATE", "DATE")
        } else {
            ("VARCHAR", "TEXT")
        }
    }
}

/// A partition column that the keys show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Its name.
    pub name: String,
    /// OpenMetadata's word: `INT`, `DATE`, `VARCHAR` (section 5.5).
    pub data_type: &'static str,
    /// The type as Windlass's SQL writes it.
    pub display: &'static str,
}

/// What the levels below a root say of its partitions, gathered key by key in any order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Partitions {
    names: Option<Vec<String>>,
    values: Vec<Option<(bool, bool)>>,
    /// Names of other keys' levels, for saying what does not fit; at most a few.
    others: BTreeSet<Vec<String>>,
    /// Some file lies in folders below the root that are a date, and further ones below.
    pub deep_dates: bool,
    /// Some file lies in a folder that is a date or a number of the calendar.
    pub dated: bool,
}

impl Partitions {
    /// Adds a key of the table with this root.
    pub fn add(&mut self, root: &str, key: &str) {
        let below = key.get(root.len()..).unwrap_or_default().trim_start_matches('/');
        let levels: Vec<&str> = below.split('/').collect();
        let levels = &levels[..levels.len().saturating_sub(1)];
        let pairs: Vec<(&str, &str)> = levels.iter().map_while(|level| pair(level)).collect();
        if pairs.is_empty() && levels.first().is_some_and(|level| is_date(level)) {
            self.dated = true;
            self.deep_dates |= levels.len() > 1;
        }
        let values = pairs.iter().map(|(_, value)| Values::of(value));
        match &self.names {
            None => {
                self.names = Some(pairs.iter().map(|(name, _)| (*name).to_owned()).collect());
                self.values = values.map(|v| Some((v.whole, v.dates))).collect();
            }
            Some(known)
                if known.iter().map(String::as_str).eq(pairs.iter().map(|(name, _)| *name)) =>
            {
                for (slot, value) in self.values.iter_mut().zip(values) {
                    let (whole, dates) = slot.unwrap_or((true, true));
                    *slot = Some((whole && value.whole, dates && value.dates));
                }
            }
            Some(_) if self.others.len() < 4 => {
                self.others.insert(pairs.iter().map(|(name, _)| (*name).to_owned()).collect());
            }
            Some(_) => {}
        }
    }

    /// What another part of the same table said.
    pub fn join(&mut self, other: &Self) {
        self.deep_dates |= other.deep_dates;
        self.dated |= other.dated;
        self.others.extend(other.others.iter().cloned());
        match (&self.names, &other.names) {
            (_, None) => {}
            (None, Some(_)) => {
                self.names.clone_from(&other.names);
                self.values.clone_from(&other.values);
            }
            (Some(own), Some(names)) if own == names => {
                for (slot, value) in self.values.iter_mut().zip(&other.values) {
                    let (a, b) = (slot.unwrap_or((true, true)), value.unwrap_or((true, true)));
                    *slot = Some((a.0 && b.0, a.1 && b.1));
                }
            }
            (Some(_), Some(names)) => {
                self.others.insert(names.clone());
            }
        }
    }

    /// The columns; an error says why there are none although some levels look like it.
    pub fn columns(&self) -> Result<Vec<Shown>, String> {
        let Some(names) = &self.names else { return Ok(Vec::new()) };
        if !self.others.is_empty() {
            let mut all: Vec<String> = std::iter::once(names)
                .chain(&self.others)
                .map(|names| if names.is_empty() { "none".to_owned() } else { names.join(", ") })
                .collect();
            all.sort();
            return Err(format!("files lie in different partition levels ({})", all.join("; ")));
        }
        Ok(names
            .iter()
            .zip(&self.values)
            .map(|(name, value)| {
                let (whole, dates) = value.unwrap_or((false, false));
                let (data_type, display) = Values { whole, dates }.words();
                Shown { name: name.clone(), data_type, display }
            })
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn artefacts_are_no_data() {
        for key in [
            "a/_delta_log/0.json",
            "a/_SUCCESS",
            "a/_SUCCESS.crc",
            "_committed_1",
            "x/.tmp/a",
            "a/b.crc",
            "a/_started_7",
        ] {
            assert!(is_artefact(key), "{key}");
        }
        for key in ["a/_success", "a/x.csv", "a/delta_log/x", "crc"] {
            assert!(!is_artefact(key), "{key}");
        }
    }

    #[test]
    fn a_root_ends_before_the_first_level_that_looks_like_a_partition() {
        for (key, root) in [
            ("wh/sales/orders/dt=2024-01-01/bucket=1/p.parquet", "wh/sales/orders"),
            ("wh/logs/app/20240101/x.parquet", "wh/logs/app"),
            ("a/2024-01-01T10Z/x", "a"),
            ("a/2024/01/x", "a/2024/01"),
            ("a/2024-01/x", "a/2024-01"),
            ("rootfile.csv", ""),
            ("dt=1/x", ""),
            ("a/1x=2/b", "a/1x=2"),
        ] {
            assert_eq!(table_root(key), root, "{key}");
        }
    }

    #[test]
    fn without_a_manifest_numbers_of_the_calendar_divide_too() {
        use Division::{Calendar as C, Date as D, Hive as H};
        for (key, root, divisions) in [
            ("l/2024/01/31/23/x.json", "l", vec![C, C, C, C]),
            ("l/2024/x.json", "l", vec![C]),
            ("l/2024/orders/x.json", "l/2024/orders", vec![]),
            ("l/2024-01/x", "l", vec![D]),
            ("t/dt=1/h=2/x", "t", vec![H, H]),
            ("t/region=eu/2024/x", "t", vec![H]),
            ("l/9999/01/x", "l/9999/01", vec![]),
            ("l/2024/13/x", "l/2024/13", vec![]),
        ] {
            assert_eq!(own_root(key), (root, divisions), "{key}");
        }
    }

    fn shown(keys: &[&str]) -> Result<Vec<(String, &'static str)>, String> {
        let mut partitions = Partitions::default();
        for key in keys {
            partitions.add("t", key);
        }
        partitions.columns().map(|all| all.into_iter().map(|c| (c.name, c.data_type)).collect())
    }

    #[test]
    fn values_of_partitions_are_whole_numbers_dates_or_text() {
        assert_eq!(
            shown(&["t/dt=2024-01-01/n=1/s=AL/x", "t/dt=2024-01-02/n=-2/s=1/x"]).unwrap(),
            [("dt".to_owned(), "DATE"), ("n".to_owned(), "INT"), ("s".to_owned(), "VARCHAR")]
        );
        assert!(shown(&["t/dt=1/x", "t/x"]).unwrap_err().contains("dt; none"));
        assert!(shown(&["t/dt=1/x", "t/region=eu/x"]).is_err());
        assert_eq!(shown(&["t/x"]).unwrap(), []);
    }
}
