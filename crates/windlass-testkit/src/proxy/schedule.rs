//! Which request meets which fault. Pure.
//!
//! Decided by the seed, by what is asked and by how often it was asked before: the same requests
//! meet the same faults, in whatever order they come.

use crate::dice::Dice;
use http::{HeaderMap, Method};
use std::collections::HashMap;
use std::time::Duration;

/// What goes wrong between a client and a service that is well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProxyFault {
    /// `503 SlowDown`; the request is not carried out.
    SlowDown,
    /// `500 InternalError`; the request is not carried out.
    Before,
    /// `500 InternalError`, although the request was carried out.
    After,
    /// The connection ends before an answer; the request is not carried out.
    DropBefore,
    /// The connection ends before an answer, although the request was carried out.
    DropAfter,
    /// The connection ends within the body of the answer: less comes than Content-Length says.
    CutOff,
    /// The body of the answer is shorter than it was, and Content-Length says so too.
    Shortened,
    /// The body comes in pieces with pauses between.
    SlowBody,
    /// The answer to a write names an `ETag` that is not the one of what was written.
    WrongEtag,
    /// One bit of the bytes that are read is another one.
    FlippedByte,
    /// A page of a listing begins with the last key of the page before.
    Repeated,
    /// The Date of the answer is an hour late.
    SkewedDate,
    /// `403 RequestTimeTooSkewed`, as of a machine whose clock is wrong; not carried out.
    TooSkewed,
}

impl ProxyFault {
    /// All that a client can get over, if they do not come too often.
    pub const PASSING: [Self; 11] = [
        Self::SlowDown,
        Self::Before,
        Self::After,
        Self::DropBefore,
        Self::DropAfter,
        Self::CutOff,
        Self::Shortened,
        Self::SlowBody,
        Self::WrongEtag,
        Self::FlippedByte,
        Self::Repeated,
    ];

    /// Whether such a request can meet it.
    fn suits(self, call: Call) -> bool {
        match self {
            Self::CutOff | Self::Shortened | Self::SlowBody => {
                matches!(call, Call::Get | Call::List)
            }
            Self::WrongEtag => matches!(call, Call::Write),
            Self::FlippedByte => call == Call::Get,
            Self::Repeated => call == Call::List,
            _ => true,
        }
    }
}

/// What a request asks for, as far as faults care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    /// A page of a listing.
    List,
    /// Bytes of an object.
    Get,
    /// Bytes of an object or a part, or a copy.
    Write,
    /// Anything else.
    Other,
}

impl Call {
    pub(super) fn of(method: &Method, path: &str, query: &str, headers: &HeaderMap) -> Self {
        let has = |name: &str| {
            query.split('&').any(|part| part.split('=').next().is_some_and(|it| it == name))
        };
        let has_key =
            path.trim_start_matches('/').split_once('/').is_some_and(|it| !it.1.is_empty());
        let part = has("partNumber");
        let plain = query.is_empty() || part || has("versionId") || has("x-id");
        if method == Method::GET && !has_key && has("list-type") {
            Self::List
        } else if method == Method::GET && has_key && plain {
            Self::Get
        } else if method == Method::PUT
            && has_key
            && (plain || headers.contains_key("x-amz-copy-source"))
        {
            Self::Write
        } else {
            Self::Other
        }
    }
}

/// Which faults come, and how often.
#[derive(Debug, Clone, Default)]
pub struct Schedule {
    seed: u64,
    rates: Vec<(ProxyFault, u16)>,
    pause: Duration,
    asked: HashMap<u64, u64>,
}

impl Schedule {
    /// No fault, until there are some by [`Schedule::with`].
    pub fn new(seed: u64) -> Self {
        Self { seed, pause: Duration::from_millis(20), ..Self::default() }
    }

    /// Each of [`ProxyFault::PASSING`] in so many of a thousand requests that can meet it.
    pub fn stormy(seed: u64, per_mille: u16) -> Self {
        ProxyFault::PASSING
            .into_iter()
            .fold(Self::new(seed), |schedule, fault| schedule.with(fault, per_mille))
    }

    /// A fault in so many of a thousand requests that can meet it.
    #[must_use]
    pub fn with(mut self, fault: ProxyFault, per_mille: u16) -> Self {
        self.rates.retain(|(other, _)| *other != fault);
        self.rates.push((fault, per_mille.min(1000)));
        self
    }

    /// How long a slow body pauses between its pieces.
    #[must_use]
    pub fn pausing(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    pub(super) fn pause(&self) -> Duration {
        self.pause
    }

    /// The fault that a request meets, and the dice for its details.
    pub(super) fn next(
        &mut self,
        call: Call,
        method: &Method,
        path: &str,
        query: &str,
    ) -> (Option<ProxyFault>, Dice) {
        let mut sum = fnv(0xcbf2_9ce4_8422_2325, method.as_str());
        sum = fnv(sum, path);
        // The id of an upload is another one in every run.
        for part in query.split('&').filter(|part| !part.starts_with("uploadId=")) {
            sum = fnv(sum, part);
        }
        let times = self.asked.entry(sum).or_default();
        *times += 1;
        let mut dice = Dice::new(self.seed ^ sum.wrapping_add(*times));
        let hit = self
            .rates
            .iter()
            .filter(|(fault, _)| fault.suits(call))
            .find(|(_, rate)| dice.chance(*rate));
        (hit.map(|(fault, _)| *fault), dice)
    }
}

/// Goes on with a sum (FNV-1a) of texts.
fn fnv(sum: u64, text: &str) -> u64 {
    text.bytes()
        .chain([0xff])
        .fold(sum, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(method: &Method, target: &str) -> Call {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Call::of(method, path, query, &HeaderMap::new())
    }

    #[test]
    fn requests_are_told_apart() {
        assert_eq!(call(&Method::GET, "/b?list-type=2&prefix=x"), Call::List);
        assert_eq!(call(&Method::GET, "/b/?list-type=2"), Call::List);
        assert_eq!(call(&Method::GET, "/b/k"), Call::Get);
        assert_eq!(call(&Method::GET, "/b/k?tagging"), Call::Other);
        assert_eq!(call(&Method::HEAD, "/b/k"), Call::Other);
        assert_eq!(call(&Method::PUT, "/b/k"), Call::Write);
        assert_eq!(call(&Method::PUT, "/b/k?partNumber=1&uploadId=u"), Call::Write);
        assert_eq!(call(&Method::PUT, "/b"), Call::Other);
        assert_eq!(call(&Method::POST, "/b/k?uploadId=u"), Call::Other);
    }

    #[test]
    fn the_same_requests_meet_the_same_faults_in_any_order() {
        let met = |order: &[u32]| {
            let mut schedule = Schedule::stormy(3, 60);
            let mut faults: Vec<_> = order
                .iter()
                .map(|n| {
                    let path = format!("/b/{}", n % 100);
                    (path.clone(), schedule.next(Call::Get, &Method::GET, &path, "uploadId=x").0)
                })
                .collect();
            faults.sort();
            faults
        };
        let forward: Vec<u32> = (0..300).collect();
        let backward: Vec<u32> = (0..300).rev().collect();
        assert_eq!(met(&forward), met(&backward));
        let hits = met(&forward).iter().filter(|(_, fault)| fault.is_some()).count();
        assert!((60..220).contains(&hits), "{hits}");
        let quiet = Schedule::new(1).next(Call::Get, &Method::GET, "/b/k", "").0;
        assert_eq!(quiet, None);
        let list = Schedule::new(1).with(ProxyFault::FlippedByte, 1000);
        assert_eq!(list.clone().next(Call::List, &Method::GET, "/b", "").0, None);
    }
}
