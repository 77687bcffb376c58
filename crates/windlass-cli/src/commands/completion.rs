//! `completion`: the script with which a shell completes command lines. What it offers is asked for
//! each time ([`crate::complete`]), so it knows connections and what is behind them.

use crate::commands::Ending;
use crate::complete::VARIABLE;
use crate::failure::Outcome;
use crate::session::Session;
use clap::{Args, ValueEnum};
use clap_complete::env::{Elvish, EnvCompleter, Fish, Powershell};

/// Print a script with which a shell completes commands, connections and paths.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  1. In this bash:              source <(windlass completion bash)
  2. In every bash:             windlass completion bash > ~/.local/share/bash-completion/completions/windlass
  3. In every zsh:              windlass completion zsh > \"${fpath[1]}/_windlass\"
  4. In every fish:             windlass completion fish > ~/.config/fish/completions/windlass.fish")]
pub struct Completion {
    /// The shell
    #[arg(value_enum)]
    pub shell: Shell,
}

/// A shell that can be told how to complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// Bash.
    Bash,
    /// Elvish.
    Elvish,
    /// Fish.
    Fish,
    /// PowerShell.
    Powershell,
    /// Zsh.
    Zsh,
}

/// Bash parts words at `:`, so it hands over the line and its separators instead.
const BASH: &str = r#"_windlass() {
    local IFS=$'\n' open=1
    COMPREPLY=($(VARIABLE=bash windlass -- "${COMP_LINE:0:COMP_POINT}" "$COMP_WORDBREAKS" 2>/dev/null))
    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[:/=] ]] || open=0
    ((open)) && compopt -o nospace 2>/dev/null
    return 0
}
complete -F _windlass windlass
"#;

const ZSH: &str = r#"#compdef windlass
_windlass() {
    local -a found open closed
    local one
    found=("${(@f)$(VARIABLE=zsh windlass -- "${(@Q)words[1,CURRENT]}" 2>/dev/null)}")
    for one in $found; do
        if [[ $one == *[:/=] ]]; then open+=("$one"); else closed+=("$one"); fi
    done
    (( $#open )) && compadd -S '' -- $open
    (( $#closed )) && compadd -- $closed
}
if [[ $funcstack[1] == _windlass ]]; then _windlass "$@"; else compdef _windlass windlass; fi
"#;

/// `completion`.
pub fn run(session: &Session, args: &Completion) -> Ending {
    let theirs: &dyn EnvCompleter = match args.shell {
        Shell::Bash => return script(session, BASH),
        Shell::Zsh => return script(session, ZSH),
        Shell::Elvish => &Elvish,
        Shell::Fish => &Fish,
        Shell::Powershell => &Powershell,
    };
    let mut text = Vec::new();
    theirs.write_registration(VARIABLE, "windlass", "windlass", "windlass", &mut text)?;
    session.console.write(&text)?;
    Ok(Outcome::Done)
}

fn script(session: &Session, text: &str) -> Ending {
    session.console.print(&text.replace("VARIABLE", VARIABLE))?;
    Ok(Outcome::Done)
}
