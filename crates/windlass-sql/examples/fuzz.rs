//! Bounded, deterministic fuzzing of the parser: `fuzz [ITERATIONS] [SECONDS] [SEED]`.
//!
//! Mutates a corpus of statements and asserts: nothing panics, what parses prints and parses back
//! to the same, and a secret shows neither in the masked text nor in an error.

use std::time::{Duration, Instant};
use windlass_sql::{KEYWORDS, ParseMode, Statement, complete, masked, parse, parse_with, split};
use windlass_types::options::{ARRIVAL_OPTIONS, FILES_OPTIONS, JOB_OPTIONS, OptionDef, S3_OPTIONS};

const CANARY: &str = "wJalr7Canary7xUtnFEMI";

const CORPUS: &[&str] = &[
    "CREATE S3 CONNECTION c REGION = 'eu' AWS_ACCESS_KEY_ID = 'AKIA' AWS_SECRET_ACCESS_KEY = 'wJalr7Canary7xUtnFEMI' LABEL = 'l'",
    "CREATE OR REPLACE S3 CONNECTION \"Strange \"\"one\"\"\" HEADERS = ('a: b', 'x: wJalr7Canary7xUtnFEMI'), TIMEOUT = 5 MINUTES",
    "ALTER S3 CONNECTION c SET PROXY = 'http://u:wJalr7Canary7xUtnFEMI@h', SET LABEL = 'x' RESET COMMENT",
    "CREATE SECRET IF NOT EXISTS n = 'wJalr7Canary7xUtnFEMI'",
    "ALTER SECRET n = 'wJalr7Canary7xUtnFEMI'; SHOW SECRETS",
    "CREATE SECRET n FROM ENV X; CREATE SECRET m FROM FILE '/x'",
    "CREATE LOCAL CONNECTION d ROOT = '/srv' READ_ONLY = TRUE",
    "CREATE FILE TABLE main.t ON c LOCATION = 's3://b/x/*.csv' CONTENT_TYPE = (TYPE = CSV, DELIMITER = ';', HEADER = TRUE)",
    "LIST c.\"a/b\" RECURSIVE LIMIT 5; DESCRIBE c.\"x\"; DESCRIBE TABLE a.b; TEST CONNECTION c WITH WRITE",
    "SHOW FILE TABLES LIKE 'a%'; SHOW CREATE CONNECTION c; DROP FILE TABLE IF EXISTS s.t; USE FABRIC f",
    "COPY FILES FROM a LOCATION = 's3://b/x/*.csv' TO d LOCATION = 'x/' INCLUDE = ('a', 'b') METADATA = (CONTENT_TYPE = 'x', SET = ('a: b')) MIN_SIZE = '1MB' NEWER_THAN = 2 DAYS",
    "MOVE FILES FROM a LOCATION = '' TO b LOCATION = '' IF_EXISTS = KEEP_BOTH, REMOVE_EMPTY_FOLDERS = TRUE; SYNC FILES FROM a LOCATION = 'x' TO b LOCATION = 'y' DELETE = TRUE BACKUP_TO = 'z'",
    "CREATE OR REPLACE JOB j SCHEDULE '0 6 * * 1-5' TIME ZONE 'Europe/Paris' OVERLAP = QUEUE ALERT_WEBHOOK_SECRET = 'wJalr7Canary7xUtnFEMI' ALERT_ON = (FAILED, PARTIAL) AS SYNC FILES FROM a LOCATION = 'x' TO b LOCATION = 'y'",
    "CREATE JOB j EVERY MONTH ON (1, 15) AT ('06:00', '18:30') TIME ZONE 'UTC' EXCEPT ('2026-12-25') ALERT_WEBHOOK = 'https://h/wJalr7Canary7xUtnFEMI' AS COPY FILES FROM a LOCATION = 'x' TO b LOCATION = 'y'",
    "CREATE JOB j ON ARRIVAL IN a LOCATION = 'x' PATTERN = '*.csv', POLL = 30 SECONDS RETRIES = 1 AS MOVE FILES FROM a LOCATION = 'x' TO b LOCATION = 'y'",
    "ALTER JOB j SET EVERY WEEK ON (MONDAY, FRIDAY) AT '06:00', RETRIES = 3 SET ALERT_WEBHOOK = 'wJalr7Canary7xUtnFEMI' RESET COMMENT, SCHEDULE",
    "DROP JOB IF EXISTS j; PAUSE JOB j; RESUME JOB j; RUN JOB j; CANCEL JOB j; CANCEL RUN 'rn_01997e6d0000700080000000000000a1'; DESCRIBE JOB j; SHOW CREATE JOB j",
    "SELECT '--', $$ ; $$, E'\\'' /* ; /* x */ */ FROM c.\"a\" -- end",
];

const FRAGMENTS: &[&str] = &[
    "'",
    "''",
    "\"",
    ";",
    ",",
    "(",
    ")",
    "=",
    ".",
    "--",
    "/*",
    "*/",
    "$$",
    "\\",
    "\n",
    " ",
    "-1",
    "1e9",
    "5 MINUTES",
    "ü",
    "\0",
    "E'",
    "N'",
    "x'",
    "'x'",
    "\"x\"",
    "((((((((((",
    "SELECT ",
];

/// Words before a text that is no option's and no secret.
const OPEN: &[&str] = &["SCHEDULE", "ZONE", "AT", "LOCATION", "EXCEPT"];

/// Split-mix: all the randomness there is, so that a seed is a run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound.max(1)).unwrap_or(1);
        usize::try_from(self.next() % bound).unwrap_or(0)
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

/// Options that the mutations put in, and that tell what is secret.
fn options() -> impl Iterator<Item = &'static OptionDef> + Clone {
    S3_OPTIONS.iter().chain(JOB_OPTIONS).chain(FILES_OPTIONS).chain(ARRIVAL_OPTIONS)
}

fn boundary(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Changes a text, but never inside the canary: half a secret would pass unseen.
fn mutate(random: &mut Random, text: &mut String) {
    let at = boundary(text, random.below(text.len() + 1));
    let end = boundary(text, (at + random.below(12)).min(text.len()));
    let spared = |start: usize, end: usize, text: &str| {
        text.match_indices(CANARY).all(|(c, _)| end <= c || start >= c + CANARY.len())
    };
    if !spared(at, end, text) {
        return;
    }
    let option =
        options().nth(random.below(options().count())).map_or("REGION", |option| option.name);
    match random.below(6) {
        0 => text.replace_range(at..end, ""),
        1 => text.insert_str(at, random.pick(FRAGMENTS)),
        2 => text.insert_str(at, &format!(" {} ", random.pick(KEYWORDS))),
        3 => text.insert_str(at, &format!(" {option} = ")),
        4 => text.replace_range(at..end, random.pick(FRAGMENTS)),
        _ => {
            let other = random.pick(CORPUS);
            let from = boundary(other, random.below(other.len()));
            let to = boundary(other, (from + random.below(20)).min(other.len()));
            if from <= to && spared(from, to, other) {
                text.insert_str(at, &other[from..to]);
            }
        }
    }
}

/// Whether a mutation moved the canary where no secret belongs: a name, or the value of an open option.
fn in_the_open(text: &str) -> bool {
    let parts = split(text).unwrap_or_default();
    let in_tree = parts
        .iter()
        .filter_map(|(_, part)| parse_with(part, ParseMode::AllowMask).ok())
        .flatten()
        .any(|one| match one.statement {
            Statement::Engine(text) => text.contains(CANARY),
            other => other.to_string().contains(CANARY),
        });
    let after_open_option = text.match_indices(CANARY).any(|(at, _)| {
        let words: Vec<&str> = text[..at]
            .rsplit(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .filter(|word| !word.is_empty())
            .take(4)
            .collect();
        words.iter().any(|word| {
            options().any(|def| !def.secret && def.name.eq_ignore_ascii_case(word))
                || OPEN.iter().any(|open| open.eq_ignore_ascii_case(word))
        })
    });
    in_tree || after_open_option
}

fn check(text: &str, cursor: usize) {
    let parsed = parse(text);
    let cut = masked(text);
    let _ = complete(text, cursor);
    let _ = split(text);
    match &parsed {
        Ok(parsed) => {
            for one in parsed {
                let printed = one.statement.to_sql();
                let again = parse(&printed).unwrap_or_else(|error| panic!("{printed}\n{error:?}"));
                assert_eq!(again.len(), 1, "{printed}");
                assert_eq!(again[0].statement, one.statement, "{printed}");
            }
        }
        Err(error) => {
            let open = in_the_open(text);
            assert!(
                open || !format!("{error:?}").contains(CANARY),
                "the error shows the secret: {error:?}"
            );
        }
    }
    assert!(!cut.contains(CANARY) || in_the_open(text), "masked shows the secret:\n{cut}");
}

fn main() {
    let mut args = std::env::args()
        .skip(1)
        .map(|arg| arg.parse::<u64>().expect("fuzz [ITERATIONS] [SECONDS] [SEED]"));
    let iterations = args.next().unwrap_or(100_000);
    let limit = Duration::from_secs(args.next().unwrap_or(30));
    let seed = args.next().unwrap_or(1);
    let start = Instant::now();
    let mut random = Random(seed);
    let (mut done, mut read) = (0_u64, 0_u64);
    while done < iterations && start.elapsed() < limit {
        let mut text = random.pick(CORPUS).to_owned();
        for _ in 0..=random.below(6) {
            mutate(&mut random, &mut text);
        }
        let cursor = random.below(text.len() + 1);
        if let Err(panic) = std::panic::catch_unwind(|| check(&text, cursor)) {
            eprintln!("seed {seed}, iteration {done}, input:\n{text}\n{text:?}");
            std::panic::resume_unwind(panic);
        }
        read += u64::from(parse(&text).is_ok());
        done += 1;
    }
    println!("{done} texts, {read} of them statements, in {:.1?}; no fault found", start.elapsed());
}
