//! What may be called gone. Only what lies below a place that was listed to its end, and was not
//! found; all else stays (reference section 10 lists what is lost otherwise).

use crate::model::Listed;
use std::collections::HashMap;

/// Of how many in a hundred a crawl may say they are gone, unless it is allowed more.
pub const MASS: u64 = 30;

/// What becomes of a container that a crawl did not find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It is gone: the place where it was has been listed to the end.
    Gone,
    /// It may be there; the place could not be listed to the end.
    NotSeen(String),
    /// Nobody looked there.
    Untouched,
}

/// What the listings of a crawl allow to say.
#[derive(Debug)]
pub struct Ground<'a> {
    buckets: HashMap<&'a str, Vec<&'a Listed>>,
}

impl<'a> Ground<'a> {
    /// From every place that was to be listed.
    pub fn new(listed: &'a [Listed]) -> Self {
        let mut buckets: HashMap<&str, Vec<&Listed>> = HashMap::new();
        for one in listed {
            buckets.entry(&one.bucket).or_default().push(one);
        }
        Self { buckets }
    }

    fn of(&self, bucket: &str) -> &[&'a Listed] {
        self.buckets.get(bucket).map_or(&[], Vec::as_slice)
    }

    /// What becomes of a bucket that was not found.
    pub fn bucket(&self, name: &str) -> Fate {
        let why = |listed: &[&Listed]| listed.iter().find_map(|one| one.incomplete.clone());
        if let Some(reason) = why(self.of(name)).or_else(|| why(self.of(""))) {
            return Fate::NotSeen(reason);
        }
        // Whoever lists the keys of a bucket has seen the bucket.
        if self.of(name).is_empty() && !self.of("").is_empty() {
            return Fate::Gone;
        }
        Fate::Untouched
    }

    /// What becomes of a container in a bucket, not found either, though its bucket is there or
    /// nobody knows.
    pub fn container(&self, bucket: &str, path: &str) -> Fate {
        let listed = self.of(bucket);
        let folder = format!("{path}/");
        let covers = |one: &Listed| folder.starts_with(&one.prefix);
        let touches = |one: &Listed| covers(one) || one.prefix.starts_with(&folder);
        if let Some(reason) =
            listed.iter().filter(|one| touches(one)).find_map(|one| one.incomplete.clone())
        {
            return Fate::NotSeen(reason);
        }
        if listed.iter().any(|one| covers(one)) { Fate::Gone } else { Fate::Untouched }
    }
}

/// Whether so many are too many to be called gone without being allowed.
pub fn is_mass(gone: u64, of: u64) -> bool {
    gone.saturating_mul(100) > of.saturating_mul(MASS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(bucket: &str, prefix: &str, incomplete: Option<&str>) -> Listed {
        Listed {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            incomplete: incomplete.map(str::to_owned),
        }
    }

    #[test]
    fn only_what_was_listed_to_its_end_is_gone() {
        let listed = [
            listed("lake", "raw/", None),
            listed("lake", "photos", None),
            listed("lake", "slow/", Some("timed out")),
            listed("denied", "", Some("access denied")),
        ];
        let ground = Ground::new(&listed);
        assert_eq!(ground.container("lake", "raw/orders"), Fate::Gone);
        assert_eq!(ground.container("lake", "raw"), Fate::Gone);
        assert_eq!(ground.container("lake", "photos_extra/2024"), Fate::Gone);
        let slow = Fate::NotSeen("timed out".to_owned());
        assert_eq!(ground.container("lake", "slow/x"), slow);
        for path in ["curated", "rawest", "ra"] {
            assert_eq!(ground.container("lake", path), Fate::Untouched, "{path}");
        }
        let denied = Fate::NotSeen("access denied".to_owned());
        assert_eq!(ground.container("denied", "any"), denied);
        assert_eq!(ground.container("elsewhere", "any"), Fate::Untouched);
    }

    #[test]
    fn one_listing_that_broke_off_keeps_what_another_would_give_up() {
        // The whole bucket was listed, but the part of the container was read again and failed.
        let listed = [listed("lake", "", None), listed("lake", "raw/orders/2024/", Some("reset"))];
        let ground = Ground::new(&listed);
        assert_eq!(ground.container("lake", "raw/orders"), Fate::NotSeen("reset".to_owned()));
        assert_eq!(ground.container("lake", "raw/customers"), Fate::Gone);
    }

    #[test]
    fn a_bucket_is_gone_only_when_the_list_of_buckets_says_so() {
        let named = [listed("lake", "", None)];
        assert_eq!(Ground::new(&named).bucket("other"), Fate::Untouched);
        let all = [listed("", "", None), listed("lake", "", None)];
        assert_eq!(Ground::new(&all).bucket("other"), Fate::Gone);
        assert_eq!(Ground::new(&all).bucket("lake"), Fate::Untouched);
        let broken = [listed("", "", Some("throttled"))];
        assert_eq!(Ground::new(&broken).bucket("other"), Fate::NotSeen("throttled".to_owned()));
    }

    #[test]
    fn over_thirty_of_a_hundred_are_many() {
        assert!(!is_mass(0, 0) && !is_mass(30, 100) && !is_mass(3, 10));
        assert!(is_mass(31, 100) && is_mass(1, 3) && is_mass(1, 1));
        assert!(is_mass(u64::MAX, 10));
    }
}
