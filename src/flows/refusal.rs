//! A table that the cloud refuses: in words, with constraint, key and count.

use bytes::Bytes;

use crate::model::Table;
use crate::plan::key_names;
use crate::wire::ServerError;

/// What a probe found out.
pub(super) struct Refusal {
    pub(super) error: ServerError,
    /// The key of the first refused row.
    pub(super) key: Option<String>,
    /// How many rows are refused.
    pub(super) rows: Option<u64>,
    /// All rows were tried; else there may be more.
    pub(super) whole: bool,
}

impl Refusal {
    /// Only what the cloud said itself.
    pub(super) fn of(error: &ServerError) -> Refusal {
        Refusal {
            error: error.clone(),
            key: None,
            rows: None,
            whole: true,
        }
    }

    /// With a probe's answer: rows, all tried, SQLSTATE, message, detail, key.
    pub(super) fn probed(self, answer: Option<&Vec<Option<Bytes>>>) -> Refusal {
        let cell = |at: usize| {
            let cell = answer.and_then(|cells| cells.get(at)).cloned().flatten();
            cell.map(|text| String::from_utf8_lossy(&text).into_owned())
        };
        let rows = cell(0)
            .and_then(|count| count.parse().ok())
            .filter(|count| *count > 0);
        match (rows, cell(2), cell(3)) {
            (Some(rows), Some(code), Some(message)) => {
                let error = ServerError {
                    code,
                    message,
                    detail: cell(4).filter(|detail| !detail.is_empty()),
                    ..ServerError::default()
                };
                Refusal {
                    error,
                    key: cell(5),
                    rows: Some(rows),
                    whole: cell(1).as_deref() == Some("true"),
                }
            }
            _ => self,
        }
    }

    /// One sentence for `why`.
    pub(super) fn words(&self, table: &Table) -> String {
        let mut error = self.error.clone();
        if matches!(error.code.as_str(), "23502" | "23514") {
            // The detail would be the whole row, with whatever personal data is in it (P16).
            error.detail = None;
        }
        let mut words = format!("the cloud refuses it: {error}");
        if let Some(key) = &self.key {
            words.push_str(&format!("; first row ({}) = ({key})", key_names(table)));
        }
        match self.rows {
            Some(rows) if !self.whole => {
                words.push_str(&format!("; at least {rows} rows are refused"))
            }
            Some(1) => words.push_str("; 1 row is refused"),
            Some(rows) => words.push_str(&format!("; {rows} rows are refused")),
            None => {}
        }
        words
    }
}
