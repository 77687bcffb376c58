//! The reference of the command line, from the same definitions that read it.

use crate::args::Cli;
use clap::CommandFactory as _;
use std::fmt::Write as _;

/// `docs/reference/cli.md`: every command with its options and examples.
pub fn reference_markdown() -> String {
    let mut text = String::from(
        "# Command line\n\nGenerated from the program; `windlass COMMAND --help` prints the same.\n",
    );
    let mut root = Cli::command();
    root.build();
    write_command(&mut text, &mut root, "windlass");
    text
}

fn write_command(text: &mut String, command: &mut clap::Command, name: &str) {
    let help = command.render_help().to_string();
    // Writing to a text cannot fail.
    let _ = write!(text, "\n## `{name}`\n\n```text\n{}\n```\n", help.trim_end());
    let names: Vec<String> =
        command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    for sub in names {
        if let Some(sub_command) = command.find_subcommand_mut(&sub) {
            write_command(text, sub_command, &format!("{name} {sub}"));
        }
    }
}
