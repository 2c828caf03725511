//! Where a table's columns stand in the rows that the desktop sends.

use super::{Cell, Tuple};

/// Where a table's arriving columns stand in the tuples of one RELATION message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// For each attribute of the tuple: the arriving column that it is.
    pub slots: Vec<Option<u16>>,
    /// For each arriving column: its attribute.
    pub(super) attributes: Vec<usize>,
    /// Attributes that the key is made of.
    pub(super) key: Vec<usize>,
    /// Attributes by which a row is told from others.
    pub(super) naming: Vec<usize>,
    pub(super) owner: Option<usize>,
    pub(super) mobile: String,
    pub(super) tenant: Vec<(usize, String)>,
    /// Attributes of which only columns of the cloud's own are made, where these come home.
    pub(super) owned: Vec<usize>,
}

impl Layout {
    /// The attribute of an arriving column.
    pub fn attribute(&self, arriving: usize) -> Option<usize> {
        self.attributes.get(arriving).copied()
    }

    /// The attributes that the key is made of, in the key's order.
    pub fn key(&self) -> &[usize] {
        &self.key
    }

    /// The cells by which a row is told from others.
    pub fn naming<'a>(&self, tuple: &'a Tuple) -> Vec<Cell<'a>> {
        pick(tuple, &self.naming)
    }

    /// Whether a row is ours to send: it didn't come from a phone and belongs to the tenant.
    pub fn admits(&self, tuple: &Tuple) -> bool {
        !self.is_from_phone(tuple) && self.is_of_tenant(tuple)
    }

    /// Whether a row came from a phone, of this tenant.
    pub fn is_mobile(&self, tuple: &Tuple) -> bool {
        self.is_from_phone(tuple) && self.is_of_tenant(tuple)
    }

    fn is_from_phone(&self, tuple: &Tuple) -> bool {
        self.owner.is_some_and(|at| is(tuple, at, &self.mobile))
    }

    fn is_of_tenant(&self, tuple: &Tuple) -> bool {
        let mut tenant = self.tenant.iter();
        tenant.all(|(at, value)| is(tuple, *at, value))
    }

    /// Whether it has columns of the cloud's own that come home.
    pub fn looks(&self) -> bool {
        !self.owned.is_empty()
    }

    /// How a row looks in the columns of the cloud's own, where these come home; empty where none does.
    pub fn look<'a>(&self, tuple: &'a Tuple) -> Vec<Cell<'a>> {
        pick(tuple, &self.owned)
    }

    /// The row with the columns of the cloud's own as `other` has them.
    pub fn with_look_of(&self, tuple: Tuple, other: &Tuple) -> Tuple {
        if self.look(&tuple) == self.look(other) {
            return tuple;
        }
        let cells = tuple.cells().zip(other.cells()).enumerate();
        let cells = cells.map(|(at, (own, other))| match self.owned.contains(&at) {
            true => other,
            false => own,
        });
        Tuple::from_cells(cells)
    }

    /// Whether a row of which only the identity is known may have been ours: not if it says otherwise.
    pub fn may_admit(&self, identity: &Tuple) -> bool {
        let unsaid = |at: usize| !matches!(identity.cells().nth(at), Some(Cell::Text(_)));
        let mut tenant = self.tenant.iter();
        !self.is_from_phone(identity)
            && tenant.all(|(at, value)| unsaid(*at) || is(identity, *at, value))
    }

    /// Whether a value that travels can't be read.
    pub fn is_unreadable(&self, tuple: &Tuple) -> bool {
        let mut cells = self.slots.iter().zip(tuple.cells());
        cells.any(|(slot, cell)| slot.is_some() && cell.is_unreadable())
    }

    /// The arriving columns of a tuple, in their order.
    pub fn arriving<'a>(&self, tuple: &'a Tuple) -> Vec<Cell<'a>> {
        pick(tuple, &self.attributes)
    }

    /// A tuple of another layout of the same table, in this one; columns that don't travel become NULL.
    pub fn adopt(&self, tuple: &Tuple, layout: &Layout) -> Tuple {
        let known = layout.arriving(tuple);
        let cell = |slot: &Option<u16>| slot.map_or(Cell::Null, |slot| known[usize::from(slot)]);
        Tuple::from_cells(self.slots.iter().map(cell))
    }

    /// `over` with each column that was not sent taken from `under`, an earlier image of the same row in
    /// its own layout. Columns that `under` doesn't have stay unsent.
    pub fn merge(&self, over: Tuple, under: &Tuple, layout: &Layout) -> Tuple {
        if !over.has_unchanged() {
            return over;
        }
        if self == layout {
            return over.over(under);
        }
        let known = layout.arriving(under);
        let merged = over
            .cells()
            .zip(&self.slots)
            .map(|(cell, slot)| match (cell, slot) {
                (Cell::Unchanged, Some(slot)) => known[usize::from(*slot)],
                _ => cell,
            });
        Tuple::from_cells(merged)
    }
}

/// Whether the tuple says so there.
fn is(tuple: &Tuple, at: usize, value: &str) -> bool {
    tuple.cells().nth(at) == Some(Cell::Text(value.as_bytes()))
}

/// The tuple's cells at these attributes.
fn pick<'a>(tuple: &'a Tuple, attributes: &[usize]) -> Vec<Cell<'a>> {
    if attributes.is_empty() {
        return Vec::new();
    }
    let cells: Vec<_> = tuple.cells().collect();
    let cell = |at: &usize| cells.get(*at).copied().unwrap_or(Cell::Null);
    attributes.iter().map(cell).collect()
}
