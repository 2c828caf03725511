//! A statement ready for the wire: SQL text and parameters already encoded.

use std::sync::Arc;

use bytes::Bytes;

use super::{Oid, TableId};

/// One statement of a cloud transaction.
#[derive(Clone, Debug)]
pub struct Statement {
    /// The text, with `$1`...
    pub sql: Arc<str>,
    /// Its parameters.
    pub params: Vec<Param>,
    /// The table whose rows it writes; none for our own bookkeeping.
    pub table: Option<TableId>,
    /// The step of the batch that it carries out.
    pub step: Option<usize>,
    /// It writes one row, each of whose values is a parameter: a plan that was made for another row suits this one.
    pub is_lone: bool,
}

/// One parameter.
#[derive(Clone, Debug)]
pub struct Param {
    /// Its type in the cloud.
    pub type_oid: Oid,
    /// Its value; `binary` says how it is encoded.
    pub value: Option<Bytes>,
    /// Binary instead of text format.
    pub binary: bool,
}

/// `text` and what else our own statements use; source: `pg_type.dat`.
pub mod oid {
    use super::Oid;
    /// `bool`
    pub const BOOL: Oid = 16;
    /// `int8`
    pub const INT8: Oid = 20;
    /// `int4`
    pub const INT4: Oid = 23;
    /// `text`
    pub const TEXT: Oid = 25;
    /// `float8`
    pub const FLOAT8: Oid = 701;
    /// `int4[]`
    pub const INT4_ARRAY: Oid = 1007;
    /// `text[]`
    pub const TEXT_ARRAY: Oid = 1009;
    /// `int8[]`
    pub const INT8_ARRAY: Oid = 1016;
    /// `timestamptz`
    pub const TIMESTAMPTZ: Oid = 1184;
    /// `pg_lsn`
    pub const PG_LSN: Oid = 3220;
}

impl Param {
    /// A parameter in text format.
    pub fn text(type_oid: Oid, value: impl Into<String>) -> Param {
        Param {
            type_oid,
            value: Some(Bytes::from(value.into())),
            binary: false,
        }
    }

    /// A `text` parameter.
    pub fn string(value: impl Into<String>) -> Param {
        Param::text(oid::TEXT, value)
    }

    /// An `int8` parameter.
    pub fn int8(value: u64) -> Param {
        Param::text(oid::INT8, value.to_string())
    }

    /// A boolean.
    pub fn boolean(value: bool) -> Param {
        Param::text(oid::BOOL, value.to_string())
    }

    /// SQL NULL.
    pub fn null(type_oid: Oid) -> Param {
        Param {
            type_oid,
            value: None,
            binary: false,
        }
    }
}

impl Statement {
    /// A statement about a table's rows, for a step of the batch or for none.
    pub fn about(
        table: TableId,
        step: impl Into<Option<usize>>,
        sql: impl Into<Arc<str>>,
        params: Vec<Param>,
    ) -> Statement {
        Statement {
            table: Some(table),
            step: step.into(),
            ..Statement::bookkeeping(sql, params)
        }
    }

    /// A statement of our own bookkeeping.
    pub fn bookkeeping(sql: impl Into<Arc<str>>, params: Vec<Param>) -> Statement {
        Statement {
            sql: sql.into(),
            params,
            table: None,
            step: None,
            is_lone: false,
        }
    }
}
