//! Options of `CREATE JOB`.

use super::Alter::Free;
use super::OptionType::{Bool, Choice, Choices, Integer, Seconds, Text, TextList};
use super::{OptionDef, def};

/// Options of a job, whatever it does.
pub const JOB_OPTIONS: &[OptionDef] = &[
    def(
        "OVERLAP",
        Choice(&["SKIP", "QUEUE", "ALLOW"]),
        false,
        Free,
        "SKIP",
        "What happens when a time comes while a run is still going: leave it out, run after it, or run beside it.",
    ),
    def(
        "RETRIES",
        Integer(0, 100),
        false,
        Free,
        "2",
        "How often a run that failed is tried again, where that can help, with growing pauses (M-J14).",
    ),
    def(
        "RETRY_DELAY",
        Seconds(1, 86_400),
        false,
        Free,
        "30",
        "Pause before the first retry; doubles, up to an hour.",
    ),
    def(
        "TIME_LIMIT",
        Seconds(1, 31_536_000),
        false,
        Free,
        "no limit",
        "Longest a run may take; it is then stopped, and the next goes on (M-J15).",
    ),
    def(
        "MISSED",
        Choice(&["RUN_ONCE", "SKIP"]),
        false,
        Free,
        "RUN_ONCE",
        "What happens with times that passed while no server was there.",
    ),
    def(
        "ALERT_WEBHOOK",
        Text,
        true,
        Free,
        "",
        "URL that gets a JSON message; since it may hold a token, it is kept as a secret.",
    ),
    def(
        "ALERT_WEBHOOK_SECRET",
        Text,
        true,
        Free,
        "",
        "Key that signs the message (HMAC-SHA-256); kept as a secret.",
    ),
    def("ALERT_EMAIL", TextList, false, Free, "", "Addresses that get a message (M-L3)."),
    def(
        "ALERT_ON",
        Choices(&["FAILED", "PARTIAL", "SUCCESS", "RECOVERED"]),
        false,
        Free,
        "FAILED, PARTIAL",
        "Ends of a run that are told; RECOVERED is a success after an end that was none.",
    ),
    def("COMMENT", Text, false, Free, "", "A description."),
];

/// Options of `ON ARRIVAL`.
pub const ARRIVAL_OPTIONS: &[OptionDef] = &[
    def(
        "PATTERN",
        Text,
        false,
        Free,
        "everything",
        "Pattern of names below the location that count.",
    ),
    def("POLL", Seconds(1, 86_400), false, Free, "60", "Time between two looks."),
    def(
        "SETTLE",
        Seconds(0, 86_400),
        false,
        Free,
        "0",
        "How long a file must not have changed before it counts (M-J5).",
    ),
    def(
        "EXISTING",
        Bool,
        false,
        Free,
        "TRUE",
        "Whether files count that are there when the job is made.",
    ),
];
