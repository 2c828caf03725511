//! Statements that the server was told under a name, and need not be told again: parsing is a third of what a lone row costs
//! the cloud. Only where nobody stands between us and the server: behind a pooler the next transaction has another session.
//!
//! The plan of a statement that writes one row from plain parameters is kept with it: that is most of what such a row costs. One that
//! reads arrays would be kept for as many rows as nobody knows, and has none.
//!
//! A name is made of the statement's text and types, so whatever happens to a session, it never stands for something else.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;

use crate::limits;
use crate::model::{Oid, Statement, sqlstate};
use crate::wire::{Naming, ServerError};

/// Something in the cloud makes sessions forget statements: names are not used again while this program runs.
static FORGETFUL: AtomicBool = AtomicBool::new(false);

/// What one session was told.
#[derive(Default)]
pub(super) struct Told {
    /// Nobody stands between us and the server.
    is_direct: bool,
    texts: HashMap<u64, Text>,
    /// Counts statements.
    clock: u64,
    /// Bytes that were sent for rows which don't come alone.
    sent: u64,
}

/// One text that was sent before.
struct Text {
    sql: Arc<str>,
    types: Vec<Oid>,
    name: String,
    /// How often it may still be run before it is told anew; 0 before it was told.
    runs: u32,
    /// [`Told::sent`] when it was told.
    sent: u64,
    last: u64,
}

/// How a statement goes out.
pub(super) struct Way {
    /// What is forgotten for it.
    pub(super) forget: Option<String>,
    /// Its name, if it has one, and whether the server knows it already.
    name: Option<(String, bool)>,
}

/// How it is decided how a statement goes out.
pub(super) type Telling = fn(&mut Told, &Statement) -> Way;

impl Way {
    const NAMELESS: Way = Way {
        forget: None,
        name: None,
    };

    /// For the wire.
    pub(super) fn naming(&self) -> Naming<'_> {
        match &self.name {
            None => Naming::None,
            Some((name, true)) => Naming::Known(name),
            Some((name, false)) => Naming::Anew(name),
        }
    }

    /// The server isn't told its text.
    pub(super) fn is_known(&self) -> bool {
        matches!(self.name, Some((_, true)))
    }
}

impl Told {
    /// Notes whether the server at the other end is the one that let us in.
    pub(super) fn note_direct(&mut self, direct: bool) {
        self.is_direct = direct;
    }

    /// Whether it is, as far as is known.
    pub(super) fn is_direct(&self) -> bool {
        self.is_direct
    }

    /// How this statement goes out. What comes for the first time may be the last of its kind and gets no name.
    pub(super) fn way(&mut self, statement: &Statement) -> Way {
        let mut way = Way::NAMELESS;
        self.counts(statement);
        let short = statement.sql.len() <= limits::TOLD_BYTES_MAX;
        if !self.is_direct || !short || FORGETFUL.load(Ordering::Relaxed) {
            return way;
        }
        let types = || statement.params.iter().map(|param| param.type_oid);
        let mut hasher = DefaultHasher::new();
        statement.sql.hash(&mut hasher);
        types().for_each(|of| of.hash(&mut hasher));
        let hash = hasher.finish();
        self.clock += 1;
        let Some(text) = self.texts.get_mut(&hash) else {
            way.forget = self.make_room();
            let text = Text {
                sql: statement.sql.clone(),
                types: types().collect(),
                name: format!("tandem {hash:016x}"),
                runs: 0,
                sent: 0,
                last: self.clock,
            };
            self.texts.insert(hash, text);
            return way;
        };
        if text.sql != statement.sql || !types().eq(text.types.iter().copied()) {
            return way;
        }
        text.last = self.clock;
        let outgrown = statement.is_lone && self.sent - text.sent > limits::GROWN_BYTES_MAX;
        let is_known = text.runs > 0 && !outgrown;
        if !is_known {
            // A plan that the server keeps was made for a table as large, and for as many rows, as there were then. It makes
            // one for each of the first runs; our own calls have no plans worth a thought.
            text.runs = match statement.table {
                Some(_) if statement.is_lone => limits::RUNS_WITH_KEPT_PLAN,
                Some(_) => limits::RUNS_WITH_OWN_PLANS,
                None => u32::MAX,
            };
            text.sent = self.sent;
        }
        text.runs -= 1;
        way.name = Some((text.name.clone(), is_known));
        way
    }

    /// A statement that has no name, whatever came before.
    pub(super) fn keeps_nothing(&mut self, statement: &Statement) -> Way {
        self.counts(statement);
        Way::NAMELESS
    }

    /// Many rows make another table of one that was read whole because it was small: the row's own, or one that its statement asks
    /// for parents or children. How many come out of the staging table nobody here knows.
    fn counts(&mut self, statement: &Statement) {
        if statement.table.is_none() || statement.is_lone {
            return;
        }
        let arrays = statement.params.iter().filter(|param| param.binary);
        let bytes = arrays.map(|param| param.value.as_ref().map_or(0, Bytes::len));
        let bytes = bytes.reduce(|sum, bytes| sum + bytes);
        self.sent += bytes.map_or(limits::GROWN_BYTES_MAX + 1, |bytes| bytes as u64);
    }

    /// Gives up the text that was not used for longest, where there are as many as may be. Answers what the server is to forget.
    fn make_room(&mut self) -> Option<String> {
        if self.texts.len() < limits::TOLD_MAX {
            return None;
        }
        let (oldest, _) = self.texts.iter().min_by_key(|(_, text)| text.last)?;
        let oldest = *oldest;
        self.texts.remove(&oldest).map(|text| text.name)
    }

    /// A group failed: what it told behind the failure nobody has heard.
    pub(super) fn is_in_doubt(&mut self) {
        self.texts.values_mut().for_each(|text| text.runs = 0);
    }

    /// The server doesn't have a statement as it was told, `known` before this run or not. Says so once, and then names are
    /// not used again.
    pub(super) fn gives_up(&mut self, known: bool, error: &ServerError) -> bool {
        let forgot = match error.code.as_str() {
            sqlstate::NO_SUCH_STATEMENT | sqlstate::DUPLICATE_STATEMENT => true,
            // Its answer has other types now.
            sqlstate::FEATURE_NOT_SUPPORTED => known,
            _ => false,
        };
        let ends = self.is_direct && forgot && !FORGETFUL.load(Ordering::Relaxed);
        if ends {
            tracing::warn!(
                "the cloud did not keep a statement that it had prepared ({error}): each is sent whole from now on; nothing is lost"
            );
            FORGETFUL.store(true, Ordering::Relaxed);
        }
        ends
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Param, TableId, oid};

    fn direct() -> Told {
        let mut told = Told::default();
        told.note_direct(true);
        told
    }

    fn row(sql: &str) -> Statement {
        Statement {
            table: Some(TableId(0)),
            ..Statement::bookkeeping(sql, vec![Param::int8(1)])
        }
    }

    fn lone(sql: &str) -> Statement {
        Statement {
            is_lone: true,
            ..row(sql)
        }
    }

    fn known(told: &mut Told, statement: &Statement) -> Option<bool> {
        told.way(statement).name.map(|(_, known)| known)
    }

    #[test]
    fn what_comes_again_gets_a_name_and_no_plan_that_lasts() {
        let mut told = direct();
        let ways: Vec<_> = (0..8).map(|_| known(&mut told, &row("r"))).collect();
        let (anew, known_again) = (Some(false), Some(true));
        let five = [anew, known_again, known_again, known_again, known_again];
        assert_eq!(ways[0], None);
        assert_eq!(ways[1..6], five);
        assert_eq!(ways[6], anew);
        let own = Statement::bookkeeping("o", Vec::new());
        let ways: Vec<_> = (0..20).map(|_| known(&mut told, &own)).collect();
        assert!(ways[2..].iter().all(|way| *way == known_again));
    }

    #[test]
    fn what_writes_one_row_has_a_plan_that_lasts_for_many_runs_but_not_forever() {
        let mut told = direct();
        let ways: Vec<_> = (0..450).map(|_| known(&mut told, &lone("r"))).collect();
        let anew: Vec<_> = (0..ways.len())
            .filter(|at| ways[*at] == Some(false))
            .collect();
        let again = limits::RUNS_WITH_KEPT_PLAN as usize;
        assert_eq!(ways[0], None);
        assert_eq!(anew, [1, 1 + again, 1 + 2 * again]);
    }

    #[test]
    fn many_rows_end_the_plans_for_one_row() {
        let few = Statement {
            params: vec![Param {
                type_oid: oid::TEXT_ARRAY,
                value: Some(vec![0; limits::GROWN_BYTES_MAX as usize / 2 + 1].into()),
                binary: true,
            }],
            ..row("few")
        };
        let staged = Statement {
            params: vec![Param::string("office")],
            ..row("staged")
        };
        let mut told = direct();
        let after = |told: &mut Told, between: &Statement| {
            told.way(between);
            known(told, &lone("r"))
        };
        let (anew, again) = (Some(false), Some(true));
        assert_eq!(after(&mut told, &lone("q")), None);
        assert_eq!(after(&mut told, &lone("q")), anew);
        assert_eq!(after(&mut told, &few), again);
        assert_eq!(after(&mut told, &few), anew, "they add up");
        assert_eq!(after(&mut told, &few), again);
        assert_eq!(after(&mut told, &staged), anew);
        assert_eq!(after(&mut told, &lone("q")), again);
        told.keeps_nothing(&staged);
        assert_eq!(after(&mut told, &lone("q")), anew);
    }

    #[test]
    fn behind_a_pooler_nothing_gets_a_name() {
        let mut told = Told::default();
        assert!((0..3).all(|_| known(&mut told, &row("r")).is_none()));
    }

    #[test]
    fn other_types_are_another_statement() {
        let mut told = direct();
        let text = Statement {
            params: vec![Param::string("1")],
            ..row("r")
        };
        known(&mut told, &row("r"));
        known(&mut told, &row("r"));
        assert_eq!(known(&mut told, &text), None);
    }

    #[test]
    fn after_a_failure_all_are_told_anew() {
        let mut told = direct();
        assert!((0..3).any(|_| known(&mut told, &row("r")) == Some(true)));
        told.is_in_doubt();
        assert_eq!(known(&mut told, &row("r")), Some(false));
    }

    #[test]
    fn the_server_keeps_a_bounded_number() {
        let mut told = direct();
        let mut forgotten = 0;
        for n in 0..3 * limits::TOLD_MAX {
            let way = told.way(&row(&n.to_string()));
            forgotten += usize::from(way.forget.is_some());
            told.way(&row("often"));
        }
        assert!(told.texts.len() <= limits::TOLD_MAX);
        assert_eq!(forgotten, 2 * limits::TOLD_MAX + 1);
        assert!(known(&mut told, &row("often")).is_some());
    }
}
