//! How a table stands, as the cloud remembers it.

/// A table's state. A word that isn't one of these is another version's, and nobody guesses what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableState {
    /// It is to be copied.
    Waiting,
    /// It is being copied.
    Copying,
    /// Its changes arrive.
    Streaming,
    /// It waits for a person who says that so many rows may go.
    Held,
    /// It can't go on before somebody mends something.
    Stopped,
    /// Only swaps keep it equal.
    SwapOnly,
    /// Its last swap was refused.
    SwapRefused,
    /// It has left the settings.
    Removed,
}

impl TableState {
    /// Reads the word for it; none where there is no such state.
    pub fn read(word: &str) -> Option<TableState> {
        Some(match word {
            "waiting" => TableState::Waiting,
            "copying" => TableState::Copying,
            "streaming" => TableState::Streaming,
            "held" => TableState::Held,
            "stopped" => TableState::Stopped,
            "swap_only" => TableState::SwapOnly,
            "swap_refused" => TableState::SwapRefused,
            "removed" => TableState::Removed,
            _ => return None,
        })
    }

    /// Whether it doesn't go on before a person has done something.
    pub fn waits_for_person(self) -> bool {
        match self {
            TableState::Held | TableState::Stopped | TableState::SwapRefused => true,
            TableState::Waiting | TableState::Copying | TableState::Streaming => false,
            TableState::SwapOnly | TableState::Removed => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p15_the_words_are_those_of_the_cloud_s_table_and_no_others() {
        let sql = include_str!("../../sql/cloud/001_state.sql");
        let (_, list) = sql.split_once("check (state in").unwrap_or_default();
        let (list, _) = list.split_once("))").unwrap_or_default();
        let words: Vec<_> = list.split('\'').skip(1).step_by(2).collect();
        assert_eq!(words.len(), 8, "{words:?}");
        for word in words {
            assert!(TableState::read(word).is_some(), "{word}");
        }
        assert_eq!(TableState::read("paused"), None);
    }
}
