//! A cloud by its URL alone, for who looks at it without settings.

use super::document::Document;
use super::expand::Names;
use super::layers::Reader;
use super::problem::Problems;
use super::sections::{self, Side};
use super::show::quoted;
use super::side::Surroundings;
use super::{Sources, dotenv, os_user};

/// Reads the cloud that `url` names, as `cloud.url` would be read: `${NAME}` is put in, a password may also stand in
/// `TANDEM_CLOUD_PASSWORD`, or in the PGPASSFILE. What doesn't stop anything but should be said comes second.
///
/// Fails with everything that is wrong with it; where the URL is to blame, the problem says `--cloud`.
pub fn cloud_at(url: &str, sources: &Sources) -> Result<(Side, Vec<String>), Problems> {
    // The URL of the flag beats the environment's.
    let mut env = sources.env.clone();
    env.remove("TANDEM_CLOUD_URL");
    let text = format!("[cloud]\nurl = {}\n", quoted(url));
    let (document, broken) = Document::parse("--cloud".to_owned(), &text);
    let names = Names {
        env: &env,
        dotenv: dotenv(&sources.cwd),
    };
    let mut reader = Reader::new(&document, names, &[]);
    let around = Surroundings {
        folder: &sources.cwd,
        home: sources.home.as_deref(),
        os_user: os_user(&env),
    };
    let mut warnings = Vec::new();
    let side = sections::cloud(&mut reader, &around, &mut warnings);
    let mut problems = reader.problems;
    problems.extend(broken);
    match side {
        Some(side) if problems.is_empty() => Ok((side, warnings)),
        _ => Err(Problems::new(problems)),
    }
}
