//! What the sections inside `[alert]` have in common.

use super::super::check::filled;
use super::super::complaint::{Checked, Complaint};
use super::super::layers::Reader;
use super::super::section::Section;

/// A section inside `[alert]`, for which the environment and flags can speak as well.
pub(super) fn inside<'r, 'd>(
    reader: &'r mut Reader<'d>,
    name: &str,
    kind: &'static str,
) -> Section<'r, 'd> {
    let outer = { reader.document.root.iter() }
        .find(|(key, _)| key.get_ref() == "alert")
        .and_then(|(_, value)| value.get_ref().as_table());
    let found = outer.and_then(|outer| outer.iter().find(|(key, _)| key.get_ref() == name));
    let table = found.and_then(|(_, value)| value.get_ref().as_table());
    if let (Some((key, _)), None) = (found, table) {
        let says = format!("{kind} is a section, written [{kind}]");
        let problem = reader.document.problem(&key.span(), says);
        reader.problems.push(problem);
    }
    Section {
        reader,
        path: kind.to_owned(),
        kind,
        table,
        layered: true,
        asked: Vec::new(),
    }
}

/// The name of this computer, or an address of its own.
pub(super) fn is_near(host: &str) -> bool {
    let address = host.parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// A server's name or address alone. What else people write here may hold a password.
pub(super) fn host_name(text: &str) -> Checked<String> {
    let text = filled(text)?;
    let address = text.parse::<std::net::IpAddr>().is_ok();
    let plain = |letter: char| letter.is_alphanumeric() || ".-_".contains(letter);
    match address || text.chars().all(plain) {
        true => Ok(text),
        false => Err(Complaint::new("isn't the name of a server")
            .hint("only the name stands here: port, user and password have settings of their own")),
    }
}
