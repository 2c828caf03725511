//! `tandem completions`

use clap::Args;
use clap_complete::{Shell, generate};

use super::show;
use crate::fault::Exit;

/// What a shell needs to complete tandem's commands and options, on standard output.
#[derive(Args)]
#[command(after_help = "Examples:
  tandem completions bash            for ~/.local/share/bash-completion/completions/tandem")]
pub(super) struct Options {
    /// bash, zsh, fish, powershell or elvish
    shell: Shell,
}

/// `command` is the whole command line.
pub(super) fn completions(options: &Options, mut command: clap::Command) -> Exit {
    let mut script = Vec::new();
    generate(options.shell, &mut command, "tandem", &mut script);
    show::script(&script);
    Exit::Fine
}
