//! `tandem man`

use std::path::PathBuf;

use clap::Args;
use clap_mangen::Man;

use super::show;
use crate::fault::{Exit, Fault, Kind};

/// Writes the manual pages of tandem and its commands into a folder, a file each.
#[derive(Args)]
#[command(after_help = "Examples:
  tandem man /usr/local/share/man/man1")]
pub(super) struct Options {
    /// The folder; it is made where it isn't there
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// `command` is the whole command line.
pub(super) fn man(options: &Options, command: clap::Command) -> Result<Exit, Fault> {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let written = std::fs::create_dir_all(&options.folder).and_then(|()| write(command, options));
    let pages = written.map_err(|error| {
        let what = format!("can't write to {}: {error}", options.folder.display());
        Fault::new(Kind::Input, what)
    })?;
    show::progress(&format!("{pages} pages in {}", options.folder.display()));
    Ok(Exit::Fine)
}

/// The page of a command, and those of the commands below it; says how many.
fn write(command: clap::Command, options: &Options) -> std::io::Result<usize> {
    let mut pages = 1;
    for inner in command
        .get_subcommands()
        .filter(|inner| !inner.is_hide_set())
    {
        pages += write(inner.clone(), options)?;
    }
    let page = Man::new(command)
        .manual("tandem")
        .source(concat!("tandem ", env!("CARGO_PKG_VERSION")));
    page.generate_to(&options.folder)?;
    Ok(pages)
}
