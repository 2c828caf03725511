//! What a batch does to one key.

use std::sync::Arc;

use super::names::{same_content, unsent};
use super::quarantine::QuarantinedRow;
use super::steps::shape;
use super::track::{Moment, Track, Tracked};
use crate::model::{Layout, Old, Row, StepKind, StepShape, Table, Tuple};

/// The net effect on one key.
pub(super) struct Net {
    /// Whether the row existed before the batch, and how it looked, where that was sent.
    pub(super) existed: bool,
    pub(super) image: Option<Tuple>,
    /// The rows that have the key now: at most one once the batch is whole.
    pub(super) live: Live,
    /// A tuple that holds the key's values.
    pub(super) witness: Tuple,
    /// Where the columns of all these tuples are.
    pub(super) layout: Arc<Layout>,
    pub(super) messages: u64,
    /// The row went because it was deleted, not because it has another key now.
    pub(super) deleted: bool,
    /// A version of it was too large to be kept.
    pub(super) too_large: Option<u64>,
    /// What happened to it transaction by transaction, where that is asked.
    track: Option<Box<Track>>,
}

/// One row image of the batch.
pub(super) struct Version {
    pub(super) tuple: Tuple,
    /// The row under the key that it had before the batch, where a column was not sent since.
    pub(super) origin: Option<Box<Tuple>>,
}

impl Net {
    pub(super) fn new(
        existed: bool,
        image: Option<Tuple>,
        witness: Tuple,
        layout: Arc<Layout>,
    ) -> Net {
        let one = image.clone().map(Version::from);
        Net {
            existed,
            image,
            live: Live {
                one,
                more: Vec::new(),
            },
            witness,
            layout,
            messages: 0,
            deleted: false,
            too_large: None,
            track: None,
        }
    }

    /// The next change begins. `existed` and `image` are what it says of the row before it.
    pub(super) fn enter(&mut self, moment: Moment, existed: bool, image: Option<Tuple>) {
        let now = self.live.one.as_ref().map(|version| &version.tuple);
        let track = self
            .track
            .get_or_insert_with(|| Box::new(Track::new(moment, existed, image.clone())));
        track.enter(moment, now, (existed, image), &self.layout);
    }

    /// What happened to the row transaction by transaction.
    pub(super) fn tracked(&mut self) -> Option<Tracked> {
        let now = self.live.one.as_ref().map(|version| &version.tuple);
        let track = self.track.take()?;
        Some(track.finish(now, self.existed, &self.layout))
    }

    /// The table was altered in the middle of the batch: all images get the new layout.
    pub(super) fn lay_out(&mut self, layout: &Arc<Layout>) {
        let old = std::mem::replace(&mut self.layout, layout.clone());
        if *old == **layout {
            return;
        }
        let again = |tuple: &mut Tuple| *tuple = layout.adopt(tuple, &old);
        again(&mut self.witness);
        self.image.iter_mut().for_each(again);
        for version in self.live.one.iter_mut().chain(&mut self.live.more) {
            again(&mut version.tuple);
            version.origin.as_deref_mut().map(again);
        }
        if let Some(track) = &mut self.track {
            track.lay_out(&again);
        }
    }

    pub(super) fn remove(&mut self, old: &Old) -> Option<Version> {
        let at = self.position(Some(old))?;
        self.live.remove(at)
    }

    /// Which of the live rows a change means: the one that looks like its old image, else the first.
    /// An old image that was never inserted in this batch is the row that was there before: a new
    /// version may be inserted before the old one is deleted.
    pub(super) fn position(&mut self, old: Option<&Old>) -> Option<usize> {
        if let Some(old) = old.filter(|old| old.whole) {
            let same = |row: &Version| same_content(&self.layout, &row.tuple, &old.tuple);
            let equal = self.live.iter().position(same);
            if equal.is_none() && !self.existed {
                self.existed = true;
                self.image = Some(old.tuple.clone());
                if let Some(track) = &mut self.track {
                    track.was_there(&old.tuple);
                }
                return None;
            }
            if equal.is_some() {
                return equal;
            }
        }
        self.live.one.as_ref().map(|_| 0)
    }

    /// What has to be written; none when the batch left the row as it was. A row whose earlier version
    /// is parked never is what the cloud has.
    pub(super) fn settle(
        mut self,
        table: &Table,
        (parked, tracked): (Option<&QuarantinedRow>, Option<&Tracked>),
        own: &Layout,
    ) -> Option<(StepKind, Row, StepShape)> {
        let version = self.live.one.take();
        let reborn = tracked.is_some_and(|tracked| tracked.reborn);
        let unchanged = match (&self.image, &version) {
            (Some(before), Some(after)) => {
                self.existed && same_content(&self.layout, before, &after.tuple)
            }
            (_, None) => !self.existed,
            (None, Some(_)) => false,
        };
        if unchanged && parked.is_none() && !reborn {
            return None;
        }
        let (work, mut tuple, origin) = match version {
            Some(version) => (StepKind::Upsert, version.tuple, version.origin),
            None => (StepKind::Delete, self.witness, None),
        };
        if let Some(image) = parked.and_then(|parked| parked.tuple.as_ref())
            && self.too_large.is_none()
        {
            tuple = self.layout.merge(tuple, image, own);
        }
        if let Some(born) = tracked.and_then(|tracked| tracked.born.as_ref()) {
            // It is inserted as it was made; what came later of columns that are the cloud's own is undone.
            tuple = self.layout.with_look_of(tuple, born);
        }
        let lacks = work == StepKind::Upsert && unsent(&self.layout, &tuple);
        let parked_for_size = parked
            .is_some_and(QuarantinedRow::lacks_values)
            .then_some(0);
        let too_large = self.too_large.or(parked_for_size).filter(|_| lacks);
        let moved = origin.is_some() && unsent(&self.layout, &tuple);
        let old = match origin.filter(|_| moved) {
            Some(origin) => Some(*origin),
            None => self.image.filter(|_| table.is_looked_up),
        };
        let fresh = work == StepKind::Upsert
            && !self.existed
            && parked.is_none()
            && too_large.is_none()
            && table.indexed
            // Rows that refer to each other are written by one statement.
            && !table.refers_to_itself;
        let row = Row {
            layout: self.layout,
            tuple,
            old,
            count: 1,
            messages: self.messages.min(1),
        };
        let shape = shape(table, &row, work);
        let shape = StepShape {
            fresh: fresh && !moved && !shape.unreadable && shape.null_keys.is_empty(),
            moved: moved && too_large.is_none(),
            parked: parked.is_some(),
            reborn: reborn && work == StepKind::Upsert,
            too_large,
            ..shape
        };
        Some((work, row, shape))
    }
}

impl From<Tuple> for Version {
    fn from(tuple: Tuple) -> Version {
        Version {
            tuple,
            origin: None,
        }
    }
}

/// Rows of one key; nearly always one or none, and then nothing is allocated for them.
#[derive(Default)]
pub(super) struct Live {
    pub(super) one: Option<Version>,
    /// Further rows; empty while there is no first.
    pub(super) more: Vec<Version>,
}

impl Live {
    pub(super) fn rows(&self) -> usize {
        usize::from(self.one.is_some()) + self.more.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Version> {
        self.one.iter().chain(&self.more)
    }

    pub(super) fn push(&mut self, row: Version) {
        match self.one {
            None => self.one = Some(row),
            Some(_) => self.more.push(row),
        }
    }

    /// The row at a place that [`Net::position`] gave.
    pub(super) fn at(&mut self, at: usize) -> Option<&mut Version> {
        match at.checked_sub(1) {
            Some(further) => self.more.get_mut(further),
            None => self.one.as_mut(),
        }
    }

    pub(super) fn remove(&mut self, at: usize) -> Option<Version> {
        match at.checked_sub(1) {
            Some(further) => Some(self.more.remove(further)),
            None => std::mem::replace(&mut self.one, self.more.pop()),
        }
    }
}
