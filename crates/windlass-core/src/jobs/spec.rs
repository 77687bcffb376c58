//! `CREATE JOB` as the scheduler wants it: trigger, policy, alerts. Pure.

use chrono::{NaiveDate, NaiveTime};
use windlass_jobs::{Alert, AlertTarget, Arrival, Calendar, Occasion, Period, Trigger, Value};
use windlass_sql::{self as sql, CreateJob, FilesPlace, OptionSetting};
use windlass_types::{Error, ErrorCode, JobPolicy, Name, OptionValue, Result};

/// Seconds between two looks for arrived files, unless said otherwise.
const POLL: u64 = 60;

fn option<'a>(options: &'a [OptionSetting], name: &str) -> Option<&'a OptionValue> {
    options.iter().find(|setting| setting.name == name).map(|setting| &setting.value)
}

fn text(options: &[OptionSetting], name: &str) -> Option<String> {
    match option(options, name) {
        Some(OptionValue::Text(text)) => Some(text.clone()),
        _ => None,
    }
}

fn seconds(options: &[OptionSetting], name: &str) -> Option<u64> {
    match option(options, name) {
        Some(OptionValue::Interval(seconds)) => Some(*seconds),
        _ => None,
    }
}

fn texts(options: &[OptionSetting], name: &str) -> Vec<String> {
    let Some(OptionValue::List(items)) = option(options, name) else { return Vec::new() };
    let texts = items.iter().filter_map(|item| match item {
        OptionValue::Text(text) => Some(text.clone()),
        _ => None,
    });
    texts.collect()
}

/// The trigger; an arrival without a place looks at `source`.
pub(crate) fn trigger(
    trigger: Option<&sql::Trigger>,
    source: Option<&FilesPlace>,
) -> Result<Trigger> {
    let Some(trigger) = trigger else { return Ok(Trigger::Manual) };
    let trigger = match trigger {
        sql::Trigger::Every(seconds) => Trigger::Every { seconds: *seconds },
        sql::Trigger::Cron { expression, zone } => {
            Trigger::Cron { expression: expression.clone(), zone: in_zone(zone.as_deref())? }
        }
        sql::Trigger::Calendar(rule) => {
            let rule = Calendar {
                period: period(rule.period),
                on: rule.days.clone(),
                at: rule.times.iter().map(|text| time(text)).collect::<Result<_>>()?,
                zone: in_zone(rule.zone.as_deref())?,
                except: rule.except.iter().map(|text| date(text)).collect::<Result<_>>()?,
            };
            Trigger::Calendar(rule.tidied())
        }
        sql::Trigger::Arrival { place, options } => {
            let place = place.as_ref().or(source).ok_or_else(|| {
                Error::new(ErrorCode::ScheduleInvalid, "ON ARRIVAL does not say where")
                    .hint("write ON ARRIVAL IN connection LOCATION = 'path'")
            })?;
            Trigger::Arrival(Arrival {
                connection: place.connection.clone(),
                location: place.location.clone(),
                pattern: text(options, "PATTERN"),
                poll: seconds(options, "POLL").unwrap_or(POLL),
                settle: seconds(options, "SETTLE").unwrap_or_default(),
                existing: option(options, "EXISTING") != Some(&OptionValue::Bool(false)),
            })
        }
    };
    trigger.check()?;
    Ok(trigger)
}

/// The zone of this name, of whatever type the scheduler has for zones.
fn in_zone<Z: std::str::FromStr>(zone: Option<&str>) -> Result<Z> {
    let zone = zone.unwrap_or("UTC");
    zone.parse().map_err(|_| {
        Error::new(ErrorCode::ScheduleInvalid, format!("no time zone `{zone}`"))
            .hint("zones are named as in `Europe/Paris`, `America/New_York`, `UTC`")
    })
}

fn period(period: sql::Period) -> Period {
    match period {
        sql::Period::Day => Period::Day,
        sql::Period::Week => Period::Week,
        sql::Period::WeekEnd => Period::WeekEnd,
        sql::Period::Month => Period::Month,
        sql::Period::MonthEnd => Period::MonthEnd,
        sql::Period::Quarter => Period::Quarter,
        sql::Period::QuarterEnd => Period::QuarterEnd,
        sql::Period::Year => Period::Year,
        sql::Period::YearEnd => Period::YearEnd,
    }
}

fn time(text: &str) -> Result<NaiveTime> {
    NaiveTime::parse_from_str(text, "%H:%M").map_err(|error| {
        Error::new(ErrorCode::ScheduleInvalid, format!("`{text}` is not a time of day"))
            .source(error)
            .hint("write `'06:00'`")
    })
}

fn date(text: &str) -> Result<NaiveDate> {
    NaiveDate::parse_from_str(text, "%Y-%m-%d").map_err(|error| {
        Error::new(ErrorCode::ScheduleInvalid, format!("`{text}` is not a date"))
            .source(error)
            .hint("write `'2026-12-25'`")
    })
}

/// How runs behave.
pub(crate) fn policy(job: &CreateJob) -> Result<JobPolicy> {
    let usual = JobPolicy::default();
    let options = &job.options;
    Ok(JobPolicy {
        overlap: text(options, "OVERLAP").map_or(Ok(usual.overlap), |word| word.parse())?,
        missed: text(options, "MISSED").map_or(Ok(usual.missed), |word| word.parse())?,
        retries: match option(options, "RETRIES") {
            Some(OptionValue::Integer(number)) => u32::try_from(*number).unwrap_or(usual.retries),
            _ => usual.retries,
        },
        retry_delay: seconds(options, "RETRY_DELAY").unwrap_or(usual.retry_delay),
        time_limit: seconds(options, "TIME_LIMIT"),
    })
}

/// Who is told. Secrets are names by now.
pub(crate) fn alerts(job: &CreateJob) -> Result<Vec<Alert>> {
    let options = &job.options;
    let on: Vec<Occasion> = match option(options, "ALERT_ON") {
        None => vec![Occasion::Failed, Occasion::Partial],
        Some(_) => texts(options, "ALERT_ON").iter().filter_map(|word| occasion(word)).collect(),
    };
    let named = |name| match option(options, name) {
        Some(OptionValue::Secret(name)) => Some(name.clone()),
        _ => None,
    };
    let (url, secret): (Option<Name>, Option<Name>) =
        (named("ALERT_WEBHOOK"), named("ALERT_WEBHOOK_SECRET"));
    let recipients = texts(options, "ALERT_EMAIL");
    let mut alerts = Vec::new();
    match url {
        Some(url) => {
            let target = AlertTarget::Webhook { url: Value::Secret(url), secret };
            alerts.push(Alert { on: on.clone(), target });
        }
        None if secret.is_some() => {
            return Err(Error::new(
                ErrorCode::OptionInvalid,
                "ALERT_WEBHOOK_SECRET signs messages to ALERT_WEBHOOK, which is not given",
            )
            .hint("add ALERT_WEBHOOK, or leave it out"));
        }
        None => {}
    }
    if !recipients.is_empty() {
        alerts.push(Alert { on, target: AlertTarget::Email { recipients } });
    }
    if alerts.is_empty() && option(options, "ALERT_ON").is_some() {
        return Err(Error::new(ErrorCode::OptionInvalid, "ALERT_ON tells nobody")
            .hint("add ALERT_WEBHOOK or ALERT_EMAIL, or leave it out"));
    }
    Ok(alerts)
}

fn occasion(word: &str) -> Option<Occasion> {
    match word {
        "FAILED" => Some(Occasion::Failed),
        "PARTIAL" => Some(Occasion::Partial),
        "SUCCESS" => Some(Occasion::Success),
        "RECOVERED" => Some(Occasion::Recovered),
        _ => None,
    }
}

#[cfg(test)]
mod triggers;
