//! Naming a process so that others can tell whether it is gone.
//!
//! A process number says nothing on another machine, in another container or after a restart, so the
//! name holds a word for this boot and process namespace too.

use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;
use std::str::FromStr;
use std::sync::LazyLock;

/// This boot and process namespace in eight letters; None where the system does not say.
static HERE: LazyLock<Option<String>> = LazyLock::new(|| {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let space = std::fs::read_link("/proc/self/ns/pid").ok()?;
    let mut hasher = DefaultHasher::new();
    (boot.trim(), space).hash(&mut hasher);
    Some(format!("{:08x}", hasher.finish() & 0xffff_ffff))
});

/// A process: `HERE-NUMBER`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessName {
    here: String,
    number: u32,
}

impl ProcessName {
    /// This process.
    #[must_use]
    pub fn current() -> Self {
        let here = HERE.clone().unwrap_or_else(|| "00000000".to_owned());
        Self { here, number: std::process::id() }
    }

    /// Whether it runs on this machine since its last start and in this process namespace: only
    /// then [`Self::is_gone`] can say anything.
    #[must_use]
    pub fn is_here(&self) -> bool {
        HERE.as_deref() == Some(&self.here)
    }

    /// Whether it certainly runs no more. False when in doubt.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.is_here() && !Path::new("/proc").join(self.number.to_string()).exists()
    }
}

impl fmt::Display for ProcessName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.here, self.number)
    }
}

impl FromStr for ProcessName {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (here, number) = text.split_once('-').ok_or(())?;
        Ok(Self { here: here.to_owned(), number: number.parse().map_err(|_| ())? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_process_of_this_place_can_be_told_to_be_gone() {
        let current = ProcessName::current();
        assert_eq!(current.to_string().parse(), Ok(current.clone()));
        assert!(current.is_here() && !current.is_gone());
        // No process has the highest number there can be.
        let gone = ProcessName { number: 4_194_304, ..current };
        assert!(gone.is_gone());
        let elsewhere = ProcessName { here: "ffffffff".to_owned(), ..gone };
        assert!(!elsewhere.is_here() && !elsewhere.is_gone());
        assert!("12".parse::<ProcessName>().is_err());
    }
}
