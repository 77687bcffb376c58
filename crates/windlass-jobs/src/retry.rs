//! When a failed attempt is made again.

use std::time::Duration;
use windlass_types::JobPolicy;

/// Longest wait between two attempts.
const LONGEST: u64 = 3_600;

/// Decides how long to wait after `attempt` (from 1) failed: twice as long each time, a quarter
/// more or less by `random`, so that many that failed together do not come back together.
pub(crate) fn delay(policy: &JobPolicy, attempt: u32, random: u64) -> Duration {
    let doublings = attempt.saturating_sub(1).min(20);
    let seconds = policy.retry_delay.saturating_mul(1 << doublings).min(LONGEST);
    let millis = seconds * 1_000;
    Duration::from_millis(millis - millis / 4 + random % (millis / 2 + 1))
}

/// A number that looks random and is the same for the same arguments (splitmix64).
pub(crate) fn scatter(seed: u64, values: &[u64]) -> u64 {
    values.iter().fold(seed, |state, value| {
        let mut mixed = (state ^ value).wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    })
}

/// How long a wait is: whole seconds, and not less than it is.
pub(crate) fn in_words(wait: Duration) -> String {
    match wait.as_millis().div_ceil(1000) {
        1 => "1 second".to_owned(),
        seconds => format!("{seconds} seconds"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_not_said_to_be_shorter_than_it_is() {
        let said = |millis| in_words(Duration::from_millis(millis));
        assert_eq!(
            [0, 750, 1000, 1001].map(said),
            ["0 seconds", "1 second", "1 second", "2 seconds"]
        );
    }

    #[test]
    fn waits_double_up_to_an_hour_and_scatter_by_a_quarter() {
        let policy = JobPolicy { retry_delay: 30, ..JobPolicy::default() };
        let range = |attempt| {
            let all: Vec<u64> = (0..200)
                .map(|seed| delay(&policy, attempt, scatter(seed, &[7, 1])).as_secs())
                .collect();
            (*all.iter().min().unwrap(), *all.iter().max().unwrap())
        };
        let near = |found: (u64, u64), middle: u64| {
            assert!(found.0 >= middle * 3 / 4 && found.1 <= middle * 5 / 4, "{found:?}");
            assert!(found.1 - found.0 > middle / 3, "{found:?}");
        };
        near(range(1), 30);
        near(range(2), 60);
        near(range(4), 240);
        near(range(40), 3_600);
        let none = JobPolicy { retry_delay: 0, ..policy };
        assert_eq!(delay(&none, 1, 99), Duration::ZERO);
    }
}
