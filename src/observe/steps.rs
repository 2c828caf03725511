//! What to do next, as commands that can be copied, one by one. Pure.

use super::status::{Status, TableStatus, Verdict};
use crate::model::TableState;

/// A command, and what it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The command.
    pub command: String,
    /// What it does.
    pub what: &'static str,
}

impl TableStatus {
    /// Rows of it that tandem wrote in the cloud: those that were copied, and the changes since.
    pub fn written(&self) -> i64 {
        self.copied.saturating_add(self.applied)
    }
}

impl Status {
    /// The tables, those with trouble first: what stopped, then what has rows in quarantine, then the rest, each by name.
    pub fn trouble_first(&self) -> Vec<&TableStatus> {
        let mut tables: Vec<_> = self.tables.iter().collect();
        tables.sort_by_key(|table| (!table.waits_for_person(), !table.needs_you(), &table.table));
        tables
    }

    /// What to do next; nothing where nothing has to be done.
    pub fn steps(&self) -> Vec<Step> {
        let step = |command: String, what| Step { command, what };
        let plain = |command: &str, what| step(command.to_owned(), what);
        match self.verdict {
            Verdict::CaughtUp | Verdict::CatchingUp => return Vec::new(),
            Verdict::Stalled => {
                return vec![
                    plain("tandem lag", "shows where the delay is"),
                    plain("tandem doctor", "checks both sides, changes nothing"),
                ];
            }
            Verdict::Down if self.forward.cloud_lsn.is_none() => {
                return vec![
                    plain("tandem doctor", "checks both sides, changes nothing"),
                    plain("tandem bootstrap", "copies all tables once"),
                ];
            }
            // Its last words say what to do; to start it again may be the wrong thing.
            Verdict::Stopped
                if { self.service.last_words.as_ref() }
                    .is_some_and(|words| words.contains("next: ")) =>
            {
                return Vec::new();
            }
            Verdict::Stopped | Verdict::Down => return vec![plain("tandem run", "starts it")],
            Verdict::NeedsYou => {}
        }
        let mut steps = Vec::new();
        let of = |state: TableState| self.tables.iter().filter(move |table| table.state == state);
        if of(TableState::Stopped).next().is_some() {
            steps.push(plain("tandem doctor", "shows what mends a table"));
        }
        for table in of(TableState::SwapRefused) {
            let command = format!("tandem swap {} --plan", pasted(&table.table));
            steps.push(step(command, "shows what the refused swap would do"));
        }
        for table in of(TableState::Held) {
            let command = format!("tandem bootstrap --table {} --plan", pasted(&table.table));
            steps.push(step(command, "shows what a new copy would do"));
        }
        if self.tables.iter().any(|table| table.parked > 0) {
            steps.push(plain(
                "tandem quarantine list",
                "shows each row and its reason",
            ));
            steps.push(plain(
                "tandem quarantine retry",
                "tries them again once it is mended",
            ));
        }
        if { self.verified.as_ref() }.is_some_and(|last| !last.equal) {
            steps.push(plain(
                "tandem repair",
                "shows the statements that make both sides equal",
            ));
        }
        if self.has_bad_settings() {
            steps.push(plain("tandem config check", "shows the mistakes"));
            steps.push(plain("tandem reload", "takes the mended file up"));
        }
        if { self.alert.as_ref() }.is_some_and(|alert| alert.broken().next().is_some()) {
            steps.push(plain("tandem alert test", "sends a message by every way"));
        }
        steps.dedup();
        if steps.is_empty() {
            steps.push(plain("tandem status", "says what the statement failed of"));
        }
        steps
    }
}

/// A table's name where it can stand in a command on any shell as it is; what a database calls its tables must not become a
/// command.
fn pasted(name: &str) -> &str {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '.';
    match name.chars().all(plain) && !name.is_empty() {
        true => name,
        false => "TABLE",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p16_a_name_never_becomes_a_command() {
        assert_eq!(pasted("public.visits_2"), "public.visits_2");
        for name in [
            "", "a;b", "$(x)", "`x`", "a b", "-rf", "a\nb", "größe", "a|b",
        ] {
            assert_eq!(pasted(name), "TABLE", "{name}");
        }
    }
}
