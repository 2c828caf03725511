//! How a table stands, as the cloud remembers it.

use std::fmt;

/// A table's state. A word that isn't one of these is another version's, and nobody guesses what it means. What stands in the
/// cloud is written and read by `plan::table_state` alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableState {
    /// It is to be copied. Set when a session begins: for a table that is new, that comes back into the settings or that goes on
    /// after it had stopped, and for one whose copy can't be relied on any more ([`super::Recovery::Recopy`]). The next state
    /// is [`TableState::Copying`].
    Waiting,
    /// It is being copied, or its copy is whole and what changed meanwhile is still to be written. Set when its reading begins.
    /// The next state is [`TableState::Streaming`] or [`TableState::SwapOnly`] when all of it is there, [`TableState::Stopped`] or
    /// [`TableState::Held`] when the cloud refuses it, and [`TableState::Waiting`] again where the session ends before that.
    Copying,
    /// Its changes arrive. Set with the transaction that makes its copy whole, or with the one that writes what had changed
    /// since; of a table that only comes home, when a session begins. It stays until the table has to be copied anew, is
    /// refused, or leaves the settings.
    Streaming,
    /// It waits for a person who says that so many rows may go ([`super::Recovery::WhenAllowed`]). Set in place of
    /// [`TableState::Stopped`] where a copy or a batch would take more rows than it may; left as that one is.
    Held,
    /// It can't go on before somebody mends something. Set when it is refused, can't be sent, or doesn't fit its other side. It
    /// goes on as [`TableState::Waiting`]: by itself when both sides fit again ([`super::Recovery::is_fitting`]; its fingerprint is
    /// empty then), otherwise when a person asks for a copy or changes its settings.
    Stopped,
    /// Only swaps keep it equal. Set, in place of [`TableState::Streaming`], when its copy is whole.
    SwapOnly,
    /// Its last swap was refused, and it goes on as it is. Shown in place of [`TableState::Streaming`] and
    /// [`TableState::SwapOnly`] while the reason stands beside them; never written.
    SwapRefused,
    /// It has left the settings: its rows stay. Set when a session begins; if it comes back it is [`TableState::Waiting`].
    Removed,
}

impl TableState {
    /// All of them.
    pub const ALL: [TableState; 8] = [
        TableState::Waiting,
        TableState::Copying,
        TableState::Streaming,
        TableState::Held,
        TableState::Stopped,
        TableState::SwapOnly,
        TableState::SwapRefused,
        TableState::Removed,
    ];

    /// The word for it, in the cloud and in documents.
    pub fn word(self) -> &'static str {
        match self {
            TableState::Waiting => "waiting",
            TableState::Copying => "copying",
            TableState::Streaming => "streaming",
            TableState::Held => "held",
            TableState::Stopped => "stopped",
            TableState::SwapOnly => "swap_only",
            TableState::SwapRefused => "swap_refused",
            TableState::Removed => "removed",
        }
    }

    /// Reads the word for it; none where there is no such state.
    pub fn read(word: &str) -> Option<TableState> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }

    /// The state of a table whose copy is whole: it streams, or is kept equal by swaps alone.
    pub fn whole(streams: bool) -> TableState {
        if streams {
            TableState::Streaming
        } else {
            TableState::SwapOnly
        }
    }

    /// Whether its copy is whole, and nothing keeps it from going on.
    pub fn is_whole(self) -> bool {
        matches!(self, TableState::Streaming | TableState::SwapOnly)
    }

    /// Whether its changes arrive, or its swaps keep it equal; that the last one was refused says nothing of the others.
    pub fn is_live(self) -> bool {
        self.is_whole() || self == TableState::SwapRefused
    }

    /// Whether its copy is still to come.
    pub fn is_filling(self) -> bool {
        matches!(self, TableState::Waiting | TableState::Copying)
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

impl fmt::Display for TableState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// A state as it stands in the cloud, for whoever only shows it. Another version's word is shown as it is, and somebody has to
/// look at that table; whoever decides by a state reads it with [`TableState::read`], and doesn't go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateWord {
    /// One of ours.
    Known(TableState),
    /// Another version's.
    Unknown(String),
}

impl StateWord {
    /// Reads the word.
    pub fn read(word: &str) -> StateWord {
        match TableState::read(word) {
            Some(state) => StateWord::Known(state),
            None => StateWord::Unknown(word.to_owned()),
        }
    }

    /// Whether it is one of ours for which `is` holds.
    pub fn is(&self, is: impl FnOnce(TableState) -> bool) -> bool {
        matches!(self, StateWord::Known(state) if is(*state))
    }

    /// Whether the table doesn't go on before a person has done something. A word that nobody knows is nothing to be at ease
    /// about.
    pub fn waits_for_person(&self) -> bool {
        match self {
            StateWord::Known(state) => state.waits_for_person(),
            StateWord::Unknown(_) => true,
        }
    }
}

impl PartialEq<TableState> for StateWord {
    fn eq(&self, state: &TableState) -> bool {
        *self == StateWord::Known(*state)
    }
}

impl fmt::Display for StateWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StateWord::Known(state) => state.fmt(f),
            StateWord::Unknown(word) => f.pad(word),
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
        assert_eq!(words, TableState::ALL.map(TableState::word));
        for state in TableState::ALL {
            assert_eq!(TableState::read(state.word()), Some(state));
        }
        assert_eq!(TableState::read("paused"), None);
        let newer = StateWord::read("paused");
        assert!(newer.waits_for_person() && !newer.is(|_| true));
        assert_eq!(
            format!("{newer:<7}|{:<6}|", TableState::Held),
            "paused |held  |"
        );
    }
}
