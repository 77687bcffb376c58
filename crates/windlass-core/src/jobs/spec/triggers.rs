//! When triggers fire, above all where the clock changes.

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use proptest::prelude::*;
use windlass_jobs::Trigger;
use windlass_types::{Error, JobPolicy, Missed, Overlap, Result};

/// The trigger of a job that is made with this clause.
fn read(clause: &str) -> Result<Trigger> {
    let text =
        format!("CREATE JOB j {clause} AS COPY FILES FROM a LOCATION = 'x/' TO b LOCATION = 'y/'");
    let mut statements = windlass_sql::parse(&text)?;
    let Some(windlass_sql::Statement::CreateJob(job)) = statements.pop().map(|one| one.statement)
    else {
        return Err(Error::new(windlass_types::ErrorCode::Internal, "this makes no job"));
    };
    let source = windlass_sql::FilesPlace {
        connection: windlass_types::Name::new("a")?,
        location: "x/".to_owned(),
    };
    super::trigger(job.trigger.as_ref(), Some(&source))
}

fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().with_timezone(&Utc)
}

/// The next firings after `from`, in the zone's local time.
fn fires(clause: &str, zone: &str, from: &str, count: usize) -> String {
    let trigger = read(clause).unwrap();
    let zone: Tz = zone.parse().unwrap();
    let mut now = at(from);
    let mut lines = Vec::new();
    for _ in 0..count {
        let Some(next) = trigger.next_after(now, at("2026-01-01T00:00:00Z")) else {
            lines.push("never".to_owned());
            break;
        };
        assert!(next > now);
        lines.push(next.with_timezone(&zone).format("%a %Y-%m-%d %H:%M:%S %Z").to_string());
        now = next;
    }
    lines.join("\n")
}

#[test]
fn a_local_time_that_the_clock_jumps_over_fires_right_after_the_jump() {
    // Berlin, 29 March 2026: 02:00 becomes 03:00.
    let clause = "SCHEDULE '30 2 * * *' TIME ZONE 'Europe/Berlin'";
    insta::assert_snapshot!(fires(clause, "Europe/Berlin", "2026-03-27T12:00:00Z", 4));
    // Several of them are one.
    let clause = "SCHEDULE '0,20,40 2,3 * * *' TIME ZONE 'Europe/Berlin'";
    insta::assert_snapshot!(fires(clause, "Europe/Berlin", "2026-03-29T00:00:00Z", 4));
}

#[test]
fn a_local_time_that_comes_twice_fires_once() {
    // Berlin, 25 October 2026: 03:00 becomes 02:00.
    let clause = "SCHEDULE '30 2 * * *' TIME ZONE 'Europe/Berlin'";
    insta::assert_snapshot!(fires(clause, "Europe/Berlin", "2026-10-24T12:00:00Z", 2));
    // Asked within the second 02:xx, the first has fired.
    insta::assert_snapshot!(fires(clause, "Europe/Berlin", "2026-10-25T01:10:00Z", 1));
    let clause = "SCHEDULE '*/30 1-3 * * *' TIME ZONE 'Europe/Berlin'";
    insta::assert_snapshot!(fires(clause, "Europe/Berlin", "2026-10-24T22:59:00Z", 7));
}

#[test]
fn an_expression_of_every_hour_is_about_elapsed_time() {
    let clause = "SCHEDULE '30 * * * *' TIME ZONE 'America/New_York'";
    // 1 November 2026: 02:00 becomes 01:00; both hours count.
    insta::assert_snapshot!(fires(clause, "America/New_York", "2026-11-01T04:00:00Z", 4));
    // 8 March 2026: 02:00 becomes 03:00.
    insta::assert_snapshot!(fires(clause, "America/New_York", "2026-03-08T06:00:00Z", 3));
    // Half an hour, and another half of the world.
    let clause = "SCHEDULE '*/15 * * * *' TIME ZONE 'Australia/Lord_Howe'";
    insta::assert_snapshot!(fires(clause, "Australia/Lord_Howe", "2026-04-04T14:20:00Z", 5));
}

#[test]
fn a_day_that_a_zone_left_out_fires_on_the_next() {
    // Samoa had no 30 December 2011.
    let clause = "SCHEDULE '0 6 * * *' TIME ZONE 'Pacific/Apia'";
    insta::assert_snapshot!(fires(clause, "Pacific/Apia", "2011-12-29T00:00:00Z", 4));
    let clause = "EVERY DAY AT '00:00' TIME ZONE 'America/Havana'";
    insta::assert_snapshot!(fires(clause, "America/Havana", "2026-03-07T12:00:00Z", 3));
}

#[test]
fn calendar_rules_pick_days_of_their_period() {
    let fires = |clause: &str, count| fires(clause, "UTC", "2027-12-25T00:00:00Z", count);
    // M-J18.
    insta::assert_snapshot!(fires("EVERY DAY ON (MON, WED, SUN) AT ('18:00', '06:00')", 5));
    insta::assert_snapshot!(fires("EVERY WEEK", 2));
    insta::assert_snapshot!(fires("EVERY WEEK_END ON (1, 2)", 3));
    insta::assert_snapshot!(fires("EVERY MONTH ON (1, 31)", 4));
    insta::assert_snapshot!(fires("EVERY MONTH_END AT '23:59'", 3));
    insta::assert_snapshot!(fires("EVERY QUARTER ON (1, 91)", 4));
    insta::assert_snapshot!(fires("EVERY QUARTER_END", 2));
    insta::assert_snapshot!(fires("EVERY YEAR ON 366", 2));
    insta::assert_snapshot!(fires("EVERY YEAR_END ON (1, 2) EXCEPT ('2027-12-31')", 3));
}

#[test]
fn intervals_count_from_when_the_job_was_made() {
    insta::assert_snapshot!(fires("EVERY 7 HOURS", "UTC", "2026-01-01T00:00:00Z", 3));
    let trigger = read("EVERY 5 MINUTES").unwrap();
    let anchor = at("2026-01-01T00:00:17.5Z");
    assert_eq!(trigger.next_after(anchor, anchor), Some(anchor + TimeDelta::minutes(5)));
    let late = anchor + TimeDelta::minutes(12);
    assert_eq!(trigger.next_after(late, anchor), Some(anchor + TimeDelta::minutes(15)));
    // A clock that went back does not fire in the past.
    let early = anchor - TimeDelta::days(1);
    assert_eq!(trigger.next_after(early, anchor), Some(anchor + TimeDelta::minutes(5)));
}

#[test]
fn options_of_a_job_are_its_policy() {
    let policy = |options: &str| {
        let text = format!(
            "CREATE JOB j {options} AS COPY FILES FROM a LOCATION = 'x/' TO b LOCATION = 'y/'"
        );
        match windlass_sql::parse(&text).unwrap().remove(0).statement {
            windlass_sql::Statement::CreateJob(job) => super::policy(&job).unwrap(),
            other => panic!("{other}"),
        }
    };
    assert_eq!(policy(""), JobPolicy::default());
    let given =
        "OVERLAP = QUEUE MISSED = SKIP RETRIES = 0 RETRY_DELAY = 2 MINUTES TIME_LIMIT = 1 HOUR";
    let expected = JobPolicy {
        overlap: Overlap::Queue,
        missed: Missed::Skip,
        retries: 0,
        retry_delay: 120,
        time_limit: Some(3600),
    };
    assert_eq!(policy(given), expected);
}

#[test]
fn a_clause_prints_and_reads_back() {
    for clause in [
        "",
        "EVERY 90 SECONDS",
        "EVERY 1 DAY",
        "SCHEDULE '0 6 * * *'",
        "SCHEDULE '0 6 * * MON-FRI' TIME ZONE 'Europe/Berlin'",
        "SCHEDULE '@daily'",
        "EVERY DAY ON (MON, SUN) AT ('06:00', '18:30') TIME ZONE 'Europe/Berlin' EXCEPT ('2026-12-25')",
        "EVERY MONTH ON (1, 15)",
        "ON ARRIVAL IN landing LOCATION = 's3://lake/it''s/' PATTERN = '*.csv' POLL = 1 MINUTE SETTLE = 30 SECONDS EXISTING = FALSE",
        "ON ARRIVAL IN \"Landing Zone\" LOCATION = 'in/' POLL = 5 MINUTES",
    ] {
        let trigger = read(clause).unwrap();
        assert_eq!(trigger.to_string(), clause);
        let json = serde_json::to_string(&trigger).unwrap();
        assert_eq!(serde_json::from_str::<Trigger>(&json).unwrap(), trigger, "{json}");
    }
    let loose =
        read("every day on (friday, mon, fri) at '06:00'  time zone 'Europe/Berlin'").unwrap();
    insta::assert_snapshot!(loose);
}

#[test]
fn what_is_wrong_with_a_clause_is_said() {
    let errors: Vec<String> = [
        "SOMETIMES",
        "EVERY",
        "EVERY 0 SECONDS",
        "EVERY 400 DAYS",
        "EVERY 99999999999999999999 DAYS",
        "EVERY 18446744073709551615 WEEKS",
        "SCHEDULE '0 6 * *'",
        "SCHEDULE '0 6 30 2 *'",
        "SCHEDULE '0 6 * * *' TIME ZONE 'Europe/Berlino'",
        "SCHEDULE '0 6 * * *",
        "SCHEDULE '0 6 * * *' EVERY",
        "EVERY MONTH ON (0)",
        "EVERY MONTH ON (MON)",
        "EVERY WEEK AT '25:00'",
        "EVERY WEEK EXCEPT ('christmas')",
        "ON ARRIVAL IN landing",
        "ON ARRIVAL IN landing LOCATION = 'a' LOCATION = 'b'",
        "ON ARRIVAL IN landing LOCATION = 'a' PATTERN = '[' POLL = 1 MINUTE",
        "ON ARRIVAL IN landing LOCATION = 'a' POLL = 0 MINUTES",
        "EVERY 5 MINUTES; DROP",
    ]
    .iter()
    .map(|clause| format!("{clause} -> {:?}", read(clause).unwrap_err()))
    .collect();
    insta::assert_snapshot!(errors.join("\n"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Against the definition: every local minute of three days around a change, mapped by hand.
    #[test]
    fn a_schedule_fires_at_the_images_of_its_local_times(
        zone in prop::sample::select(vec!["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Havana", "Asia/Kathmandu"]),
        spring in any::<bool>(),
        minute in 0_u32..60,
        hours in prop::collection::btree_set(0_u32..24, 1..6),
        offset in 0_i64..4_000,
    ) {
        use chrono::{LocalResult, NaiveDate, TimeZone as _};
        let tz: Tz = zone.parse().unwrap();
        let day = match (zone, spring) {
            ("America/New_York" | "America/Havana", true) => (3, 7),
            ("America/New_York" | "America/Havana", false) => (10, 31),
            ("Australia/Lord_Howe", true) => (10, 3),
            ("Australia/Lord_Howe", false) => (4, 4),
            (_, true) => (3, 28),
            (_, false) => (10, 24),
        };
        let first = NaiveDate::from_ymd_opt(2026, day.0, day.1).unwrap();
        let image = |local: chrono::NaiveDateTime| {
            let mut probe = local;
            loop {
                match tz.from_local_datetime(&probe) {
                    LocalResult::Single(t) | LocalResult::Ambiguous(t, _) => return t.with_timezone(&Utc),
                    LocalResult::None => probe += TimeDelta::minutes(1),
                }
            }
        };
        let mut expected: Vec<DateTime<Utc>> = (0..5)
            .flat_map(|days| hours.iter().map(move |hour| (days, *hour)))
            .map(|(days, hour)| image((first + TimeDelta::days(days)).and_hms_opt(hour, minute, 0).unwrap()))
            .collect();
        expected.dedup();
        let list: Vec<String> = hours.iter().map(ToString::to_string).collect();
        let clause = format!("SCHEDULE '{minute} {} * * *' TIME ZONE '{zone}'", list.join(","));
        let trigger = read(&clause).unwrap();
        let times: Vec<String> = hours.iter().map(|hour| format!("'{hour:02}:{minute:02}'")).collect();
        let daily = read(&format!("EVERY DAY AT ({}) TIME ZONE '{zone}'", times.join(", "))).unwrap();
        let now = first.and_hms_opt(12, 0, 0).unwrap().and_utc() + TimeDelta::minutes(offset);
        let wanted = expected.iter().find(|time| **time > now).copied();
        prop_assert_eq!(trigger.next_after(now, now), wanted);
        prop_assert_eq!(daily.next_after(now, now), wanted);
    }
}
