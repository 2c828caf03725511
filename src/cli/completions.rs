//! `tandem completions`

use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};

use super::{Arguments, show};
use crate::fault::Exit;

/// What a shell needs to complete tandem's commands and options, on standard output.
#[derive(Args)]
#[command(after_help = "Examples:
  tandem completions bash            for ~/.local/share/bash-completion/completions/tandem")]
pub(super) struct Options {
    /// bash, zsh, fish, powershell or elvish
    shell: Shell,
}

pub(super) fn completions(options: &Options) -> Exit {
    let mut script = Vec::new();
    generate(
        options.shell,
        &mut Arguments::command(),
        "tandem",
        &mut script,
    );
    show::script(&script);
    Exit::Fine
}
