//! What a run must do, written from the guide and not from the code: a folder is a map from names
//! to bytes.

use super::trees::Tree;
use windlass_testkit::Dice;
use windlass_transfer::CopyOptions;

/// A command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Copy,
    Move,
    Sync,
    SyncDelete,
}

impl Verb {
    pub(crate) fn roll(dice: &mut Dice) -> Self {
        *dice.pick(&[
            Self::Copy,
            Self::Move,
            Self::Sync,
            Self::Sync,
            Self::SyncDelete,
            Self::SyncDelete,
        ])
    }

    pub(crate) fn syncs(self) -> bool {
        matches!(self, Self::Sync | Self::SyncDelete)
    }

    pub(crate) fn options(self) -> CopyOptions {
        CopyOptions {
            delete_source: self == Self::Move,
            sync: self.syncs(),
            delete: self == Self::SyncDelete,
            ..CopyOptions::default()
        }
    }

    /// Source and destination after a run in which all went well.
    pub(crate) fn after(self, source: &Tree, destination: &Tree) -> (Tree, Tree) {
        let mut after = destination.clone();
        if self == Self::SyncDelete {
            // The object that stands for the folder itself stays.
            after.retain(|name, _| name.is_empty() || source.contains_key(name));
        }
        after.extend(source.iter().map(|(name, bytes)| (name.clone(), bytes.clone())));
        let left = if self == Self::Move { Tree::new() } else { source.clone() };
        (left, after)
    }
}
