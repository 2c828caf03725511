//! What happened to a row transaction by transaction, where that decides what is written: in tables with columns that are
//! the cloud's own.
//!
//! A batch's first and last image say what its rows look like in the end, and nothing of what lies in between: a row that went and
//! came again is another row, which has what it was inserted with; and what the desktop made of the cloud's own columns, or we
//! did for it, is undone if the cloud doesn't agree, also where a later change hides it. Each of these is decided at
//! the end of a transaction, so that it doesn't matter which of them a batch gathers (P17).

use super::classify::Effect;
use crate::model::{ChangeOrigin, Layout, Tuple};

/// One change's place in the batch.
#[derive(Clone, Copy)]
pub(super) struct Moment {
    transaction: u32,
    hand: ChangeOrigin,
}

/// A row of a table with columns of the cloud's own.
pub(super) struct Track {
    transaction: u32,
    /// Whether the row was there when the transaction at hand began, and how it looked, as far as that was sent.
    was_there: bool,
    before: Option<Tuple>,
    /// The transaction at hand may have changed what the cloud owns: it is the office's, or gave the row what the cloud had.
    may_differ: bool,
    /// How ends of transactions left it, in columns of the cloud's own, as the cloud may not have it.
    compared: Vec<Tuple>,
    /// A transaction left no such row.
    died: bool,
    /// How the transaction that made it left it, where that is one of this batch.
    born: Option<Tuple>,
}

/// What has become of a row in the end.
pub(super) struct Tracked {
    /// Looks in columns of the cloud's own that the cloud may not have.
    pub(super) compared: Vec<Tuple>,
    /// It is not the row that was there before the batch.
    pub(super) reborn: bool,
    /// How it was inserted.
    pub(super) born: Option<Tuple>,
}

impl Moment {
    /// Of a change whose table has columns of the cloud's own; none where nobody asks.
    pub(super) fn of(effect: &Effect) -> Option<Moment> {
        let asked = effect.layout.looks() && !effect.mobile;
        asked.then_some(Moment {
            transaction: effect.transaction,
            hand: effect.hand,
        })
    }
}

impl Track {
    /// Begins with the batch's first change of the row.
    pub(super) fn new(moment: Moment, was_there: bool, before: Option<Tuple>) -> Track {
        Track {
            transaction: moment.transaction,
            was_there,
            before,
            may_differ: false,
            compared: Vec::new(),
            died: false,
            born: None,
        }
    }

    /// The next change of the row, which is `now`. `existed` and `image` are what the change says of the row before it.
    pub(super) fn enter(
        &mut self,
        moment: Moment,
        now: Option<&Tuple>,
        (existed, image): (bool, Option<Tuple>),
        layout: &Layout,
    ) {
        if moment.transaction != self.transaction {
            self.close(now, layout);
            self.transaction = moment.transaction;
            self.was_there = existed || now.is_some();
            self.before = image.or_else(|| now.cloned());
            self.may_differ = false;
        }
        self.may_differ |= matches!(moment.hand, ChangeOrigin::Desktop | ChangeOrigin::Leveled);
    }

    /// A change says that the row was there all the time: what came first was a new version of it.
    pub(super) fn was_there(&mut self, before: &Tuple) {
        self.was_there = true;
        self.before = Some(before.clone());
    }

    /// The transaction at hand leaves the row as it is `now`.
    fn close(&mut self, now: Option<&Tuple>, layout: &Layout) {
        match (self.was_there, now) {
            (true, Some(now)) => {
                let before = self.before.as_ref();
                let same = before.is_some_and(|before| layout.look(before) == layout.look(now));
                let known = { self.compared.iter() }
                    .any(|compared| layout.look(compared) == layout.look(now));
                if self.may_differ && !same && !known {
                    self.compared.push(now.clone());
                }
            }
            (false, Some(now)) => self.born = Some(now.clone()),
            (true, None) => {
                self.died = true;
                self.born = None;
                // Of a row that is gone there is nothing to be undone.
                self.compared.clear();
            }
            (false, None) => {}
        }
    }

    /// The batch ends, and leaves the row as it is `now`. `existed`: it was there before the batch.
    pub(super) fn finish(mut self, now: Option<&Tuple>, existed: bool, layout: &Layout) -> Tracked {
        self.close(now, layout);
        Tracked {
            compared: self.compared,
            reborn: existed && self.died && now.is_some(),
            born: self.born,
        }
    }

    /// The table was altered: all images get the new layout.
    pub(super) fn lay_out(&mut self, again: &dyn Fn(&mut Tuple)) {
        { self.before.iter_mut() }
            .chain(&mut self.compared)
            .chain(&mut self.born)
            .for_each(again);
    }
}
