//! Random trees: names that have made trouble somewhere, and bytes of sizes near every limit.

use std::collections::BTreeMap;
use windlass_testkit::Dice;

/// Names below a folder, and their bytes.
pub(crate) type Tree = BTreeMap<String, Vec<u8>>;

/// From here on an object goes in parts.
pub(crate) const THRESHOLD: usize = 32 << 10;
/// Bytes of a part.
pub(crate) const PART: usize = 12 << 10;
/// Larger ones are copied inside a service in parts.
pub(crate) const COPY_LIMIT: usize = 48 << 10;
/// Bytes of such a part.
pub(crate) const COPY_PART: usize = 20 << 10;

/// Room for names where keys end at 1,024 bytes and the folder takes some.
const LONGEST: usize = 1024 - 4;

/// Levels that can be names everywhere.
const PLAIN: [&str; 18] = [
    "a", "b", "A", "a-b", "a.txt", "a0", "x y", "\u{fc}", "u\u{308}", "日本", "%41", "a+b", "~",
    "...", "#", "q?", "con", "*[x]",
];

/// Levels that only an object store has.
const NASTY: [&str; 9] = ["", "..", ".", "a\\b", "'\"", "&<b>;", "l\nf", "\u{1}", "c\r"];

/// What names there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Names {
    /// Those that a folder of a machine can have.
    OfFiles,
    /// All that S3 takes.
    OfKeys,
}

impl Names {
    /// A random name.
    pub(crate) fn roll(self, dice: &mut Dice) -> String {
        if dice.chance(30) {
            return self.long(dice);
        }
        let levels: Vec<&str> = (0..=dice.below(4))
            .map(|_| match self {
                Self::OfKeys if dice.chance(250) => *dice.pick(&NASTY),
                _ => *dice.pick(&PLAIN),
            })
            .collect();
        let mut name = levels.join("/");
        if self == Self::OfKeys && dice.chance(100) {
            name.push('/');
        }
        if name.is_empty() && self == Self::OfFiles { "empty".to_owned() } else { name }
    }

    fn long(self, dice: &mut Dice) -> String {
        let letter = *dice.pick(&["l", "\u{e9}"]);
        match self {
            Self::OfKeys => letter.repeat(LONGEST / letter.len()),
            Self::OfFiles => {
                let level = letter.repeat(255 / letter.len());
                [level.as_str(); 3].join("/")
            }
        }
    }

    /// Whether a tree with this name can be.
    fn fits(self, tree: &Tree, name: &str) -> bool {
        // No file is a folder too.
        self == Self::OfKeys
            || !tree.keys().any(|other| {
                let (short, long) = if other.len() < name.len() {
                    (other.as_str(), name)
                } else {
                    (name, other.as_str())
                };
                long.strip_prefix(short).is_some_and(|rest| rest.starts_with('/'))
            })
    }
}

/// Random bytes of a size that matters.
fn bytes(dice: &mut Dice, name: &str) -> Vec<u8> {
    // The answer to the begin of an upload in parts names the key in XML, which cannot hold these.
    if name.contains(|c: char| c < ' ' && c != '\n' && c != '\r') {
        let size = dice.below(400);
        return dice.bytes(size);
    }
    let near = |dice: &mut Dice, size: usize| size - 1 + dice.below(3);
    let size = match dice.below(20) {
        0..3 => 0,
        3 => near(dice, THRESHOLD),
        4 => near(dice, COPY_LIMIT),
        5 => near(dice, 3 * PART),
        6 => near(dice, 3 * COPY_PART),
        7 => THRESHOLD + dice.below(THRESHOLD * 2),
        _ => 1 + dice.below(400),
    };
    dice.bytes(size)
}

/// A random tree with about so many names.
pub(crate) fn tree(dice: &mut Dice, names: Names, count: usize) -> Tree {
    let mut tree = Tree::new();
    for _ in 0..count {
        let name = names.roll(dice);
        if names.fits(&tree, &name) {
            let bytes = bytes(dice, &name);
            tree.insert(name, bytes);
        }
    }
    tree
}

/// What happens to a side between two runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// These bytes are there now.
    Write(String, Vec<u8>),
    /// The name is gone.
    Remove(String),
}

/// Random changes of a side. `beside`: the names of the other side, of which some come here too.
/// `same_size`: whether what is edited may keep its size.
pub(crate) fn changes(
    dice: &mut Dice,
    names: Names,
    tree: &Tree,
    beside: &Tree,
    same_size: bool,
) -> Vec<Change> {
    let mut now = tree.clone();
    let mut all = Vec::new();
    for _ in 0..dice.below(8) {
        let there: Vec<String> = now.keys().cloned().collect();
        let others: Vec<&String> = beside.keys().collect();
        let change = match dice.below(6) {
            0 if !there.is_empty() => Change::Remove(dice.pick(&there).clone()),
            1 | 2 if !there.is_empty() => {
                let name = dice.pick(&there).clone();
                let size = now[&name].len();
                Change::Write(name, dice.bytes(if same_size { size } else { size + 1 }))
            }
            3 if !others.is_empty() => {
                let name = (*dice.pick(&others)).clone();
                let mut bytes = bytes(dice, &name);
                // Another size than either side has.
                if !same_size && beside[&name].len() == bytes.len() {
                    bytes.push(1);
                }
                Change::Write(name, bytes)
            }
            _ => {
                let name = names.roll(dice);
                let bytes = bytes(dice, &name);
                Change::Write(name, bytes)
            }
        };
        match &change {
            Change::Remove(name) => drop(now.remove(name)),
            Change::Write(name, bytes) => {
                let known = now.contains_key(name);
                let both: Tree =
                    now.iter().chain(beside).map(|(n, _)| (n.clone(), Vec::new())).collect();
                if !known && !names.fits(&both, name) {
                    continue;
                }
                if known && !same_size && now[name].len() == bytes.len() {
                    continue;
                }
                now.insert(name.clone(), bytes.clone());
            }
        }
        all.push(change);
    }
    all
}
