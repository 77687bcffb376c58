//! Arguments become a [`Cli`], or an error like every other error of ours.

use crate::commands::Command;
use crate::failure::{plain_text, structured_text};
use crate::render::Format;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser};
use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use windlass_types::{Error, ErrorCode};

/// Everything that can be typed.
#[derive(Debug, Parser)]
#[command(
    name = "windlass",
    bin_name = "windlass",
    version,
    about = "Draws what is in your S3 buckets: connect once, then browse, query, copy",
    after_help = "Examples:
  1. See everything work, on sample data:     windlass demo
  2. Connect:   windlass sql -c \"CREATE S3 CONNECTION landing REGION = 'eu-west-1'\"
  3. Test it:   windlass connection test landing
  4. Browse:    windlass ls landing:
  5. Query:     windlass sql -c 'SELECT * FROM landing.\"bucket/orders/*.parquet\" LIMIT 10'
  6. Copy:      windlass cp landing:bucket/orders/ ./orders/",
    disable_help_subcommand = true
)]
pub struct Cli {
    /// For every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// Whether it runs queries, which may keep as many threads busy as there are processors.
    pub fn queries(&self) -> bool {
        matches!(self.command, Command::Sql(_) | Command::Serve(_) | Command::Demo(_))
    }
}

/// Options of every command.
#[derive(Debug, Clone, Default, Args)]
pub struct Global {
    /// Folder of connections, secrets and state [default: the XDG data folder]
    #[arg(long, global = true, value_name = "DIR", env = "WINDLASS_HOME", hide_env_values = true)]
    pub home: Option<PathBuf>,
    /// Let a Windlass server do it
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "WINDLASS_SERVER",
        hide_env_values = true
    )]
    pub server: Option<String>,
    /// How the answer is written
    #[arg(short, long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: Format,
    /// Fabric that names belong to
    #[arg(
        long,
        global = true,
        value_name = "NAME",
        env = "WINDLASS_FABRIC",
        hide_env_values = true
    )]
    pub fabric: Option<String>,
    /// Only the answer, warnings and errors
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// No progress bar or progress lines
    #[arg(long, global = true)]
    pub no_progress: bool,
}

/// Reads the arguments (the first is the program). On failure says why, or shows the help that was
/// asked for; answers the exit code then.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Cli, u8> {
    parse_to(args, &mut std::io::stdout(), &mut std::io::stderr())
}

/// [`parse`] with given streams.
pub(crate) fn parse_to(
    args: impl IntoIterator<Item = OsString>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Cli, u8> {
    let args: Vec<OsString> = args.into_iter().collect();
    let refused = |error: &Error, err: &mut dyn Write| {
        let text = if wants_json(&args) { structured_text(error) } else { plain_text(error) };
        let _ = writeln!(err, "{text}");
        error.class().exit_code()
    };
    let matches = match Cli::command().try_get_matches_from(&args) {
        Ok(matches) => matches,
        Err(error) => match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                let _ = write!(out, "{}", error.render()).and_then(|()| out.flush());
                return Err(0);
            }
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
                if !wants_json(&args) {
                    let _ = writeln!(err, "{}", error.render());
                }
                let error = Error::new(ErrorCode::UsageInvalid, "no command was given")
                    .hint("choose one of the commands; `windlass demo` shows what they do");
                return Err(refused(&error, err));
            }
            _ => return Err(refused(&usage(&error), err)),
        },
    };
    let mut cli = Cli::from_arg_matches(&matches).map_err(|error| refused(&usage(&error), err))?;
    // A flag wins over the other's environment variable; both at once contradict each other.
    let typed = |name| matches.value_source(name) == Some(ValueSource::CommandLine);
    match (typed("home"), typed("server")) {
        (true, true) => {
            let error =
                Error::new(ErrorCode::UsageInvalid, "`--home` and `--server` cannot be together")
                    .hint("a server has its own home; leave one of them out");
            return Err(refused(&error, err));
        }
        (true, false) => cli.global.server = None,
        (false, false) if cli.command.is_local() => cli.global.server = None,
        (false, _) => {}
    }
    cli.global.server = cli.global.server.filter(|url| !url.is_empty());
    cli.global.home = cli.global.home.filter(|home| !home.as_os_str().is_empty());
    if cli.global.server.is_some() && cli.command.is_local() {
        let error = Error::new(
            ErrorCode::UsageInvalid,
            format!("`{}` works in this process, not on a server", cli.command.name()),
        )
        .hint("leave `--server` out");
        return Err(refused(&error, err));
    }
    Ok(cli)
}

/// Whether the answer was wanted as JSON, for errors found before parsing is done.
fn wants_json(args: &[OsString]) -> bool {
    let texts: Vec<&str> = args.iter().filter_map(|arg| arg.to_str()).collect();
    texts.iter().enumerate().any(|(at, text)| {
        let next = || texts.get(at + 1).copied().unwrap_or_default();
        let value = match *text {
            "-o" | "--output" => next(),
            text => text
                .strip_prefix("--output=")
                .or_else(|| text.strip_prefix("-o"))
                .map_or("", |value| value.trim_start_matches('=')),
        };
        value == "json" || value == "jsonl"
    })
}

/// An error of the argument parser as one of ours: its first paragraph is what happened, its tips
/// are the hint.
fn usage(error: &clap::Error) -> Error {
    let rendered = error.render().to_string();
    let mut happened = String::new();
    let mut tips: Vec<String> = Vec::new();
    let mut first = true;
    for line in rendered.lines() {
        let line = line.trim();
        if line.is_empty() {
            first = false;
        } else if let Some(tip) = line.strip_prefix("tip: ") {
            tips.push(tip.to_owned());
        } else if first {
            let line = line.strip_prefix("error: ").unwrap_or(line);
            if !happened.is_empty() {
                happened.push_str(if happened.ends_with(':') { " " } else { ", " });
            }
            happened.push_str(line);
        } else if let Some(values) = line.strip_prefix("[possible values: ") {
            tips.push(format!("possible are {}", values.trim_end_matches(']')));
        }
    }
    let ticks = |text: &str| quotes_to_ticks(text);
    let program = rendered
        .lines()
        .find_map(|line| line.trim().strip_prefix("Usage: "))
        .map(|usage| {
            usage
                .split([' '])
                .take_while(|word| is_command_word(word))
                .collect::<Vec<_>>()
                .join(" ")
        })
        .filter(|words| !words.is_empty())
        .unwrap_or_else(|| "windlass".to_owned());
    if program == "windlass sql" && happened.contains("unexpected argument") && tips.is_empty() {
        tips.push("give statements by `-c`, by `--file`, or on standard input".to_owned());
    }
    tips.push(format!("see `{program} --help`"));
    let tips: Vec<String> = tips.iter().map(|tip| ticks(tip)).collect();
    Error::new(ErrorCode::UsageInvalid, ticks(&happened)).hint(tips.join("; "))
}

fn is_command_word(word: &str) -> bool {
    word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-') && !word.starts_with('-')
}

/// `'--flag'` becomes `` `--flag` ``; an apostrophe inside a word stays.
fn quotes_to_ticks(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut open = false;
    let mut before = ' ';
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let after = rest.peek().copied().unwrap_or(' ');
        let opens = !open && !before.is_alphanumeric() && after != ' ';
        let closes = open && !after.is_alphanumeric();
        if c == '\'' && (opens || closes) {
            open = !open;
            out.push('`');
        } else {
            out.push(c);
        }
        before = c;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> (Result<Cli, u8>, String, String) {
        let args = line.split_whitespace().map(OsString::from);
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let result = parse_to(args, &mut out, &mut err);
        (result, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    fn refusal(line: &str) -> String {
        let (result, out, err) = parsed(line);
        assert_eq!(result.err(), Some(1), "{line}");
        assert!(out.is_empty());
        err
    }

    #[test]
    fn the_command_tree_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_and_version_are_answers() {
        let (result, out, err) = parsed("windlass --version");
        assert_eq!((result.err(), err.as_str()), (Some(0), ""));
        assert_eq!(out, format!("windlass {}\n", env!("CARGO_PKG_VERSION")));
        for command in Cli::command().get_subcommands() {
            let (result, out, _) = parsed(&format!("windlass {} --help", command.get_name()));
            assert_eq!(result.err(), Some(0));
            let nested = command.get_subcommands().next().is_some();
            assert!(nested || out.contains("  1. "), "{} has no examples", command.get_name());
        }
    }

    #[test]
    fn wrong_usage_is_one_line_with_the_nearest_suggestion() {
        insta::assert_snapshot!(refusal("windlass ls --recursiv landing:"), @r"
        error[usage.invalid]: unexpected argument `--recursiv` found
        hint: a similar argument exists: `--recursive`; see `windlass ls --help`
        ");
        insta::assert_snapshot!(refusal("windlass conection list"), @r"
        error[usage.invalid]: unrecognized subcommand `conection`
        hint: some similar subcommands exist: `completion`, `connection`; see `windlass --help`
        ");
        insta::assert_snapshot!(refusal("windlass sql SHOW"), @r"
        error[usage.invalid]: unexpected argument `SHOW` found
        hint: give statements by `-c`, by `--file`, or on standard input; see `windlass sql --help`
        ");
        insta::assert_snapshot!(refusal("windlass cat"), @r"
        error[usage.invalid]: the following required arguments were not provided: <PATH>...
        hint: see `windlass cat --help`
        ");
        insta::assert_snapshot!(refusal("windlass cat --range 9-5 a:b/c"), @r"
        error[usage.invalid]: invalid value `9-5` for `--range <RANGE>`: `9-5` is not a range; write `0-99`, `100-` or `-50` for the last 50 bytes
        hint: see `windlass --help`
        ");
        insta::assert_snapshot!(refusal("windlass ls -o yaml a:"), @r"
        error[usage.invalid]: invalid value `yaml` for `--output <FORMAT>`, [possible values: table, json, jsonl, csv]
        hint: see `windlass --help`
        ");
        insta::assert_snapshot!(refusal("windlass ls --home /a --server http://x a:"), @r"
        error[usage.invalid]: `--home` and `--server` cannot be together
        hint: a server has its own home; leave one of them out
        ");
    }

    #[test]
    fn wrong_usage_is_json_when_json_was_asked_for() {
        for line in ["windlass -o json lss", "windlass lss --output=json", "windlass -ojsonl lss"] {
            let value: serde_json::Value = serde_json::from_str(&refusal(line)).unwrap();
            assert_eq!(value["error"]["code"], "usage.invalid");
        }
    }

    #[test]
    fn no_command_shows_the_help_and_fails() {
        let text = refusal("windlass");
        assert!(
            text.contains("Usage: windlass") && text.contains("error[usage.invalid]"),
            "{text}"
        );
    }

    #[test]
    fn options_of_every_command_stand_before_or_after_it() {
        for line in ["windlass -o csv -q ls a:b", "windlass ls a:b -o csv -q"] {
            let cli = parsed(line).0.unwrap();
            assert_eq!((cli.global.output, cli.global.quiet), (Format::Csv, true));
        }
    }
}
