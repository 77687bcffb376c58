//! Printing a statement and parsing it again gives the same statement.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use windlass_sql::{
    Calendar, CatalogStatement, Change, CrawlStatement, CreateJob, DescribeTarget, Direction,
    FilesPlace, FilesStatement, FilesVerb, JobChange, LineageAs, Look, OptionSetting, ParseMode,
    Period, SecretInput, SecretText, Statement, TableName, Trigger, WriteStatement, WriteTo, parse,
    parse_with, print_connection, split,
};
use windlass_types::name::RESERVED;
use windlass_types::options::{
    ARRIVAL_OPTIONS, COLUMN_OPTIONS, CONTAINER_OPTIONS, CRAWL_OPTIONS, CREATE_TABLE_AS_OPTIONS,
    FILE_TABLE_OPTIONS, JOB_OPTIONS, MASK, OptionDef, OptionType, WRITE_OPTIONS,
};
use windlass_types::{ConnectionKind, Name, OptionMap, OptionValue, RunId};

const CANARY: &str = "CANARY-7f3a'\"x";

/// Text with everything that could go wrong between quotes.
fn text() -> BoxedStrategy<String> {
    prop_oneof![
        "[ -~]{0,20}",
        "\\PC{0,12}",
        vec(
            prop::sample::select(vec![
                "'", "''", "\"", "\\", "\n", "\r\n", ";", "--", "/*", "*/", "$$", "ü", "\u{0}", "x"
            ]),
            0..8
        )
        .prop_map(|parts| parts.concat()),
    ]
    .boxed()
}

fn name() -> BoxedStrategy<Name> {
    prop_oneof![
        "[a-z_][a-z0-9_]{0,8}",
        "[^\\p{Cc}]{1,10}",
        prop::sample::select(windlass_sql::KEYWORDS).prop_map(str::to_lowercase),
        prop::sample::select(vec![
            "Upper", "a\"b", "a.b", "from", "region", "e", "n", "u", "_", "9"
        ])
        .prop_map(str::to_owned),
    ]
    .prop_map(|text| Name::new(text).unwrap())
    .boxed()
}

fn new_name() -> BoxedStrategy<Name> {
    name().prop_filter("reserved", |name| !RESERVED.contains(&name.as_str())).boxed()
}

fn value(def: &'static OptionDef) -> BoxedStrategy<OptionValue> {
    let plain = match def.kind {
        OptionType::Text => text()
            .prop_filter("the mask, and nothing", |text| text != MASK && !text.is_empty())
            .prop_map(OptionValue::Text)
            .boxed(),
        OptionType::Integer(min, max) => (min..=max).prop_map(OptionValue::Integer).boxed(),
        OptionType::Bool => any::<bool>().prop_map(OptionValue::Bool).boxed(),
        OptionType::Seconds(min, max) => (min..=max).prop_map(OptionValue::Interval).boxed(),
        OptionType::TextList => {
            vec(text().prop_map(OptionValue::Text), 0..4).prop_map(OptionValue::List).boxed()
        }
        OptionType::Choice(words) => {
            prop::sample::select(words).prop_map(|word| OptionValue::Text(word.to_owned())).boxed()
        }
        OptionType::Size => (0..=i64::MAX).prop_map(OptionValue::Integer).boxed(),
        OptionType::Bound => prop_oneof![
            (0..=i64::MAX).prop_map(OptionValue::Integer),
            (0..=100).prop_map(|share| OptionValue::Text(format!("{share}%"))),
        ]
        .boxed(),
        OptionType::Moment => prop_oneof![
            (0..u64::from(u32::MAX)).prop_map(OptionValue::Interval),
            prop::sample::select(vec!["2026-01-31", "2026-01-31T06:00:00+02:00"])
                .prop_map(|text| OptionValue::Text(text.to_owned())),
        ]
        .boxed(),
        OptionType::Choices(words) => prop::sample::subsequence(words.to_vec(), 0..=words.len())
            .prop_shuffle()
            .prop_map(|words| {
                let words = words.into_iter().map(|word| OptionValue::Text(word.to_owned()));
                OptionValue::List(words.collect())
            })
            .boxed(),
        OptionType::Group(defs) => settings(defs)
            .prop_map(|settings| {
                OptionValue::Group(settings.into_iter().map(|s| (s.name, s.value)).collect())
            })
            .boxed(),
    };
    if def.secret {
        prop_oneof![plain, name().prop_map(OptionValue::Secret)].boxed()
    } else {
        plain
    }
}

fn settings(defs: &'static [OptionDef]) -> BoxedStrategy<Vec<OptionSetting>> {
    prop::sample::subsequence(defs.iter().collect::<Vec<_>>(), 0..=defs.len().min(6))
        .prop_shuffle()
        .prop_flat_map(|defs| {
            defs.into_iter()
                .map(|def| {
                    value(def).prop_map(|value| OptionSetting { name: def.name.to_owned(), value })
                })
                .collect::<Vec<_>>()
        })
        .boxed()
}

fn kind() -> impl Strategy<Value = ConnectionKind> {
    prop::sample::select(ConnectionKind::ALL.to_vec())
}

fn secret_input() -> BoxedStrategy<SecretInput> {
    prop_oneof![
        text()
            .prop_filter("empty or masked", |text| !text.is_empty() && text != MASK)
            .prop_map(|text| SecretInput::Literal(SecretText::new(text))),
        text().prop_map(SecretInput::Env),
        text().prop_map(SecretInput::File),
    ]
    .boxed()
}

fn table_name() -> impl Strategy<Value = TableName> {
    (option::of(new_name()), new_name()).prop_map(|(schema, table)| TableName { schema, table })
}

fn place() -> impl Strategy<Value = FilesPlace> {
    (name(), text()).prop_map(|(connection, location)| FilesPlace { connection, location })
}

fn files() -> BoxedStrategy<Statement> {
    prop::sample::select(vec![FilesVerb::Copy, FilesVerb::Move, FilesVerb::Sync])
        .prop_flat_map(|verb| {
            (place(), place(), settings(verb.options())).prop_map(
                move |(source, destination, options)| {
                    Statement::Files(FilesStatement { verb, source, destination, options })
                },
            )
        })
        .boxed()
}

fn days(period: Period) -> BoxedStrategy<Vec<u16>> {
    match period.longest() {
        0 => Just(Vec::new()).boxed(),
        longest => vec(1..=longest, 0..4).boxed(),
    }
}

fn trigger() -> BoxedStrategy<Trigger> {
    let zone = || option::of(text());
    let times = || vec((0..24, 0..60).prop_map(|(h, m)| format!("{h:02}:{m:02}")), 0..3);
    let date = || {
        (1000..9999, 1..=12, 1..=31)
            .prop_map(|(year, month, day)| format!("{year}-{month:02}-{day:02}"))
    };
    let seconds = || 1..=366 * 86_400_u64;
    prop_oneof![
        (text(), zone()).prop_map(|(expression, zone)| Trigger::Cron { expression, zone }),
        seconds().prop_map(Trigger::Every),
        prop::sample::select(Period::ALL.to_vec()).prop_flat_map(move |period| {
            (days(period), times(), zone(), vec(date(), 0..3)).prop_map(
                move |(days, times, zone, except)| {
                    Trigger::Calendar(Calendar { period, days, times, zone, except })
                },
            )
        }),
        (option::of(place()), settings(ARRIVAL_OPTIONS))
            .prop_map(|(place, options)| Trigger::Arrival { place, options }),
    ]
    .boxed()
}

fn job() -> BoxedStrategy<Statement> {
    (0..3_u8, name(), option::of(trigger()), settings(JOB_OPTIONS), files())
        .prop_map(|(said, name, trigger, options, work)| {
            Statement::CreateJob(CreateJob {
                or_replace: said == 1,
                if_not_exists: said == 2,
                name,
                trigger,
                options,
                work: Box::new(work),
            })
        })
        .boxed()
}

fn job_changes() -> BoxedStrategy<Vec<JobChange>> {
    let schedule = option::of(option::of(trigger()).prop_map(|trigger| match trigger {
        Some(trigger) => JobChange::Trigger(trigger),
        None => JobChange::NoTrigger,
    }));
    (schedule, settings(JOB_OPTIONS), any::<prop::sample::Index>())
        .prop_map(|(schedule, options, at)| {
            let mut changes: Vec<JobChange> = options
                .into_iter()
                .enumerate()
                .map(|(index, setting)| {
                    JobChange::Option(if index % 3 == 1 {
                        Change::Reset(setting.name)
                    } else {
                        Change::Set(setting)
                    })
                })
                .collect();
            if let Some(schedule) = schedule {
                changes.insert(at.index(changes.len() + 1), schedule);
            }
            changes
        })
        .prop_filter("no change", |changes| !changes.is_empty())
        .boxed()
}

fn query() -> BoxedStrategy<String> {
    prop::sample::select(vec![
        "SELECT 1",
        "WITH x AS (SELECT ')' AS y) SELECT * FROM x",
        "VALUES (1, 'a;b')",
        "SELECT a AS b FROM c.\"d/)\" -- )\n WHERE e = 'OPTIONS ('",
        "(SELECT 1) UNION ALL SELECT 2 LIMIT 3",
    ])
    .prop_map(str::to_owned)
    .boxed()
}

/// Writing files: to a path, to a name, to a table that is made.
fn write() -> BoxedStrategy<Statement> {
    let place = || {
        ("[a-z_][a-z0-9_]{0,8}", text()).prop_map(|(connection, location)| FilesPlace {
            connection: Name::new(connection).unwrap(),
            location: if location.starts_with("//") { String::new() } else { location },
        })
    };
    let to = prop_oneof![
        place().prop_map(WriteTo::Place),
        (
            option::of(name()),
            text().prop_filter("a name", |text| !text.is_empty()),
            vec("[a-z][a-z0-9_ ]{0,8}", 0..3),
        )
            .prop_map(|(first, last, columns)| WriteTo::Named {
                first: first.map(|n| n.as_str().to_owned()),
                last,
                columns,
            }),
    ];
    let table = (any::<bool>(), table_name(), place())
        .prop_map(|(if_not_exists, name, place)| WriteTo::Table { if_not_exists, name, place });
    prop_oneof![
        (to, settings(WRITE_OPTIONS), query()),
        (table, settings(CREATE_TABLE_AS_OPTIONS), query())
    ]
    .prop_map(|(to, options, query)| Statement::Write(WriteStatement { to, options, query }))
    .boxed()
}

fn statement() -> BoxedStrategy<Statement> {
    let yes = any::<bool>;
    prop_oneof![
        (0..3_u8, kind(), new_name()).prop_flat_map(|(said, kind, name)| {
            settings(kind.options()).prop_map(move |options| Statement::CreateConnection {
                or_replace: said == 1,
                if_not_exists: said == 2,
                kind,
                name: name.clone(),
                options,
            })
        }),
        (kind(), name()).prop_flat_map(|(kind, name)| {
            settings(kind.options())
                .prop_filter("no change", |options| !options.is_empty())
                .prop_map(move |options| {
                    let change = |(index, setting): (usize, OptionSetting)| {
                        if index % 3 == 1 {
                            Change::Reset(setting.name)
                        } else {
                            Change::Set(setting)
                        }
                    };
                    let changes = options.into_iter().enumerate().map(change).collect();
                    Statement::AlterConnection { kind, name: name.clone(), changes }
                })
        }),
        (yes(), name()).prop_map(|(if_exists, name)| Statement::DropConnection { if_exists, name }),
        name().prop_map(|name| Statement::Describe { target: DescribeTarget::Connection(name) }),
        text().prop_map(|text| Statement::Describe { target: DescribeTarget::Container(text) }),
        vec(text(), 1..4)
            .prop_map(|parts| Statement::Describe { target: DescribeTarget::Table(parts) }),
        Just(Statement::Describe {
            target: DescribeTarget::Call("read_csv('c', 'p', delimiter => ';')".to_owned()),
        }),
        (
            prop::sample::select(vec![
                "connections",
                "file_tables",
                "errors",
                "like",
                "secrets",
                "a__b"
            ]),
            option::of(text())
        )
            .prop_map(|(what, like)| Statement::Show { what: what.to_owned(), like }),
        name().prop_map(|name| Statement::ShowCreate { name }),
        name().prop_map(|connection| Statement::ShowManifest { connection }),
        (name(), settings(CRAWL_OPTIONS), yes()).prop_map(|(connection, options, explained)| {
            let crawl = CrawlStatement { connection, options };
            if explained { Statement::ExplainCrawl(crawl) } else { Statement::Crawl(crawl) }
        }),
        (name(), yes()).prop_map(|(name, write)| Statement::Test { name, write }),
        (yes(), name(), secret_input()).prop_map(|(if_not_exists, name, source)| {
            Statement::CreateSecret { if_not_exists, name, source }
        }),
        (name(), secret_input()).prop_map(|(name, source)| Statement::AlterSecret { name, source }),
        (yes(), name()).prop_map(|(if_exists, name)| Statement::DropSecret { if_exists, name }),
        (yes(), table_name(), name(), text(), settings(FILE_TABLE_OPTIONS), columns()).prop_map(
            |(if_not_exists, name, connection, location, options, columns)| {
                Statement::CreateFileTable {
                    if_not_exists,
                    name,
                    connection,
                    location,
                    options,
                    columns,
                }
            }
        ),
        proptest::option::of(table_name()).prop_map(|table| Statement::ShowSchemaChanges { table }),
        (0..3_u8, yes(), table_name(), query()).prop_map(|(how, temporary, name, query)| {
            let name = if temporary { TableName { schema: None, table: name.table } } else { name };
            Statement::CreateView {
                or_replace: how == 1,
                temporary,
                if_not_exists: how == 2,
                name,
                columns: if how == 0 { vec![] } else { vec!["a".to_owned(), "B c".to_owned()] },
                query,
            }
        }),
        (yes(), table_name()).prop_map(|(if_exists, name)| Statement::DropView { if_exists, name }),
        (0..3_u8, new_name(), query()).prop_map(|(how, name, query)| {
            Statement::CreateTemporaryTable {
                or_replace: how == 1,
                if_not_exists: how == 2,
                name,
                query,
            }
        }),
        (look(), proptest::option::of(0..1000_u64))
            .prop_map(|(of, limit)| Statement::Preview { of, limit }),
        (look(), yes()).prop_map(|(of, full)| Statement::Profile { of, full }),
        (yes(), table_name())
            .prop_map(|(if_exists, name)| Statement::DropTable { if_exists, name }),
        (yes(), new_name())
            .prop_map(|(if_not_exists, name)| Statement::CreateSchema { if_not_exists, name }),
        (yes(), name()).prop_map(|(if_exists, name)| Statement::DropSchema { if_exists, name }),
        (yes(), new_name())
            .prop_map(|(if_not_exists, name)| Statement::CreateFabric { if_not_exists, name }),
        (yes(), name()).prop_map(|(if_exists, name)| Statement::DropFabric { if_exists, name }),
        name().prop_map(|name| Statement::UseFabric { name }),
        files(),
        write(),
        catalog(),
        job(),
        (name(), job_changes()).prop_map(|(name, changes)| Statement::AlterJob { name, changes }),
        (yes(), name()).prop_map(|(if_exists, name)| Statement::DropJob { if_exists, name }),
        (name(), yes()).prop_map(|(name, pause)| Statement::PauseJob { name, pause }),
        (0..5_u8, name()).prop_map(|(what, name)| match what {
            0 => Statement::RunJob { name },
            1 => Statement::CancelJob { name },
            2 => Statement::CancelRun { run: RunId::new() },
            3 => Statement::ShowCreateJob { name },
            _ => Statement::Describe { target: DescribeTarget::Job(name) },
        }),
        (name(), text(), yes(), option::of(any::<u64>())).prop_map(
            |(connection, path, recursive, limit)| {
                Statement::List { connection, path, recursive, limit }
            }
        ),
    ]
    .boxed()
}

/// What is said of the catalogue.
fn catalog() -> BoxedStrategy<Statement> {
    let changes = |defs| {
        settings(defs).prop_filter("no change", |all| !all.is_empty()).prop_map(|all| {
            let change = |(index, setting): (usize, OptionSetting)| {
                if index == 1 { Change::Reset(setting.name) } else { Change::Set(setting) }
            };
            all.into_iter().enumerate().map(change).collect::<Vec<_>>()
        })
    };
    let direction = option::of(prop::sample::select(Direction::ALL.to_vec()));
    let shown = prop::sample::select(vec![LineageAs::Tree, LineageAs::Dot, LineageAs::OpenLineage]);
    let alter = |container, column, changes| CatalogStatement::Alter { container, column, changes };
    prop_oneof![
        (text(), changes(CONTAINER_OPTIONS))
            .prop_map(move |(container, changes)| alter(container, None, changes)),
        (text(), text(), changes(COLUMN_OPTIONS))
            .prop_map(move |(container, column, changes)| alter(container, Some(column), changes)),
        (text(), option::of(any::<u64>()))
            .prop_map(|(question, limit)| CatalogStatement::Search { question, limit }),
        (text(), direction, option::of(any::<u64>()), shown).prop_map(
            |(of, direction, depth, shown)| CatalogStatement::Lineage {
                of,
                direction,
                depth,
                shown
            }
        ),
    ]
    .prop_map(Statement::Catalog)
    .boxed()
}

/// Columns of a file table as they are written.
fn columns() -> impl Strategy<Value = Vec<String>> {
    let one = prop_oneof![
        Just("id BIGINT"),
        Just("\"a b\" DECIMAL(10, 2)"),
        Just("t TIMESTAMP WITH TIME ZONE")
    ];
    proptest::collection::vec(one.prop_map(str::to_owned), 0..3)
}

fn look() -> impl Strategy<Value = Look> {
    prop_oneof![
        Just(Look::Table(vec!["landing".to_owned(), "a b/*.csv".to_owned()])),
        Just(Look::Table(vec!["t".to_owned()])),
        Just(Look::Query("SELECT * FROM read_csv('c', 'p', delimiter => ';')".to_owned())),
        Just(Look::Query("SELECT a FROM t LIMIT 3".to_owned())),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_statement_prints_and_parses_back(statement in statement()) {
        let text = statement.to_sql();
        let parsed = parse(&text).map_err(|error| TestCaseError::fail(format!("{text}: {error:?}")))?;
        prop_assert_eq!(parsed.len(), 1);
        prop_assert_eq!(&parsed[0].statement, &statement, "{}", text);
        prop_assert_eq!(&parsed[0].text, &text);
    }

    #[test]
    fn what_is_displayed_parses_with_masks_allowed(statement in statement()) {
        let text = statement.to_string();
        let parsed = parse_with(&text, ParseMode::AllowMask)
            .map_err(|error| TestCaseError::fail(format!("{text}: {error:?}")))?;
        prop_assert_eq!(parsed[0].statement.to_string(), text);
    }

    #[test]
    fn statements_split_where_they_were_joined(statements in vec(statement(), 1..4)) {
        let texts: Vec<String> = statements.iter().map(Statement::to_sql).collect();
        let text = texts.join(" ;-- next;\n");
        let split = split(&text).unwrap();
        prop_assert_eq!(split.iter().map(|(_, text)| text.clone()).collect::<Vec<_>>(), texts);
        for (offset, part) in split {
            prop_assert!(text[offset..].starts_with(&part));
        }
    }

    #[test]
    fn a_masked_text_holds_no_secret_and_parses_with_masks_allowed(statement in statement(), canary_in in any::<u8>()) {
        let statement = with_canary(statement, canary_in);
        let text = statement.to_sql();
        let masked = windlass_sql::masked(&text);
        for shown in [&masked, &statement.to_string(), &format!("{statement:?}")] {
            prop_assert!(!shown.contains("7f3a"), "{}", shown);
        }
        prop_assert!(parse_with(&masked, ParseMode::AllowMask).is_ok(), "{}", masked);
    }

    #[test]
    fn show_create_masks_and_parses_back(
        (kind, seed) in kind().prop_flat_map(|kind| (Just(kind), settings(kind.options()))),
        name in new_name(),
    ) {
        let known = |setting: &OptionSetting| kind.options().iter().any(|def| def.name == setting.name);
        let options: OptionMap = seed.into_iter().filter(known).map(|s| (s.name, s.value)).collect();
        let text = print_connection(kind, &name, &options);
        let parsed = parse_with(&text, ParseMode::AllowMask).unwrap();
        let sealed: Vec<OptionSetting> = options
            .into_iter()
            .map(|(name, value)| OptionSetting { name, value })
            .map(|setting| if setting.is_secret() { OptionSetting { value: OptionValue::Sealed, ..setting } } else { setting })
            .collect();
        prop_assert_eq!(
            &parsed[0].statement,
            &Statement::CreateConnection { or_replace: false, if_not_exists: false, kind, name, options: sealed }
        );
    }

    #[test]
    fn a_job_that_is_shown_parses_back(job in job()) {
        let Statement::CreateJob(job) = job else { unreachable!() };
        let text = windlass_sql::print_job(&job);
        let parsed = parse_with(&text, ParseMode::AllowMask)
            .map_err(|error| TestCaseError::fail(format!("{text}: {error:?}")))?;
        let shown = CreateJob { or_replace: false, if_not_exists: false, ..job };
        prop_assert_eq!(parsed[0].statement.to_string(), Statement::CreateJob(shown).to_string());
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,60}") {
        let _ = parse(&text);
        let _ = windlass_sql::masked(&text);
        let _ = windlass_sql::complete(&text, text.len() / 2);
    }
}

/// The same statement with the canary in every secret place.
fn with_canary(statement: Statement, salt: u8) -> Statement {
    let canary = format!("{CANARY}{salt}");
    let put = |settings: Vec<OptionSetting>| -> Vec<OptionSetting> {
        settings
            .into_iter()
            .map(|setting| match setting.is_secret() {
                true if setting.name == "HEADERS" => OptionSetting {
                    value: OptionValue::List(vec![OptionValue::Text(canary.clone())]),
                    ..setting
                },
                true => OptionSetting { value: OptionValue::Text(canary.clone()), ..setting },
                false => setting,
            })
            .collect()
    };
    let change = |change| match change {
        Change::Set(setting) => Change::Set(put(vec![setting]).remove(0)),
        reset @ Change::Reset(_) => reset,
    };
    let secret = || SecretInput::Literal(SecretText::new(canary.clone()));
    match statement {
        Statement::CreateConnection { or_replace, if_not_exists, kind, name, options } => {
            Statement::CreateConnection {
                or_replace,
                if_not_exists,
                kind,
                name,
                options: put(options),
            }
        }
        Statement::AlterConnection { kind, name, changes } => {
            let changes = changes.into_iter().map(change).collect();
            Statement::AlterConnection { kind, name, changes }
        }
        Statement::CreateJob(job) => {
            Statement::CreateJob(CreateJob { options: put(job.options), ..job })
        }
        Statement::AlterJob { name, changes } => {
            let changes = changes
                .into_iter()
                .map(|one| match one {
                    JobChange::Option(option) => JobChange::Option(change(option)),
                    other => other,
                })
                .collect();
            Statement::AlterJob { name, changes }
        }
        Statement::CreateSecret { if_not_exists, name, .. } => {
            Statement::CreateSecret { if_not_exists, name, source: secret() }
        }
        Statement::AlterSecret { name, .. } => Statement::AlterSecret { name, source: secret() },
        other => other,
    }
}
