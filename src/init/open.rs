//! Both sides by their URLs, before there are settings.

use crate::catalog::facts;
use crate::config::{self, Settings, Sources, quoted};
use crate::fault::{Fault, Kind, Side};
use crate::wire::WireError;
use crate::wire::control::{self, Control};

/// What the environment says, and a client of each side; they are two databases.
pub(super) async fn opened(
    desktop_url: &str,
    cloud_url: &str,
    sources: &Sources,
) -> Result<(Settings, Control, Control), Fault> {
    let urls = format!(
        "[desktop]\nurl = {}\n[cloud]\nurl = {}\n",
        quoted(desktop_url),
        quoted(cloud_url)
    );
    let settings = read(&urls, sources)?.map_err(wrong_url)?;
    let (desktop, cloud) = connected(&settings, no_way_in).await?;
    Ok((settings, desktop, cloud))
}

/// A client of each side; they are two databases. `no_way_in` says why there is none.
pub(super) async fn connected(
    settings: &Settings,
    no_way_in: fn(Side, &WireError) -> Fault,
) -> Result<(Control, Control), Fault> {
    let desktop = control::connect(&settings.desktop.endpoint).await;
    let desktop = desktop.map_err(|error| no_way_in(Side::Desktop, &error))?;
    let cloud = control::connect(&settings.cloud.endpoint).await;
    let cloud = cloud.map_err(|error| no_way_in(Side::Cloud, &error))?;
    let one = facts(&desktop.client, Side::Desktop).await;
    let other = facts(&cloud.client, Side::Cloud).await;
    if let (Ok(one), Ok(other)) = (one, other) {
        one.is_not(&other)?;
    }
    Ok((desktop, cloud))
}

/// A URL that can't be read is an argument here, not a line of a file.
fn wrong_url(problems: config::Problems) -> Fault {
    let said = problems.items().first();
    let flag = match said.map_or(0, |problem| problem.line) {
        1 | 2 => "--desktop",
        3 | 4 => "--cloud",
        _ => "in the environment",
    };
    let said = said.map_or_else(String::new, |problem| problem.message.clone());
    Fault::new(Kind::Input, format!("{flag}: {said}"))
        .hint("it looks like postgres://USER@HOST:PORT/DATABASE; nothing was written")
}

/// No settings are there yet that a hint could name.
fn no_way_in(side: Side, error: &WireError) -> Fault {
    let fault = Fault::wire(side, error);
    match matches!(error, WireError::Authentication(_)) {
        true => fault.hint(format!(
            "put the password into the environment as TANDEM_{}_PASSWORD, or into the URL of --{side}; it is written nowhere",
            side.to_string().to_uppercase()
        )),
        false => fault,
    }
}

/// The settings that a text makes, as if it were the file.
pub(super) fn read(
    text: &str,
    sources: &Sources,
) -> Result<Result<Settings, config::Problems>, Fault> {
    let folder = tempfile::tempdir().map_err(|error| broken(&error))?;
    let file = folder.path().join("tandem.toml");
    std::fs::write(&file, text).map_err(|error| broken(&error))?;
    let sources = Sources {
        file: Some(file),
        ..sources.clone()
    };
    Ok(config::load(&sources))
}

pub(super) fn broken(error: &(impl std::fmt::Display + ?Sized)) -> Fault {
    Fault::new(
        Kind::Internal,
        "internal check failed: the proposed settings can't be read",
    )
    .cause(error)
}
