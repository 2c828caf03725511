//! Why the desktop refused what came home, and what that says about the rows.

use crate::fault::blames_table;
use crate::flows::refusal_words::lies_in_rows;
use crate::model::sqlstate;
use crate::wire::ServerError;

/// An error that lies in single rows.
pub(super) fn is_rows(error: &ServerError) -> bool {
    matches!(
        error.code.as_str(),
        sqlstate::DOES_NOT_FIT | sqlstate::KEPT_OUT
    ) || lies_in_rows(error) && blames_table(error)
}

/// Another row has what this one needs, or a row that it needs isn't there.
pub(super) fn lies_between_rows(error: &ServerError) -> bool {
    matches!(
        error.code.as_str(),
        sqlstate::RESTRICT_VIOLATION
            | sqlstate::FOREIGN_KEY_VIOLATION
            | sqlstate::UNIQUE_VIOLATION
            | sqlstate::EXCLUSION_VIOLATION
    )
}

/// Somebody has a lock.
pub(super) fn is_busy(error: &ServerError) -> bool {
    matches!(
        error.code.as_str(),
        sqlstate::LOCK_NOT_AVAILABLE
            | sqlstate::SERIALIZATION_FAILURE
            | sqlstate::DEADLOCK_DETECTED
            | sqlstate::QUERY_CANCELED
    )
}

/// Why a row was refused. The detail of some errors is the whole row, with whatever personal data is in it (P16).
pub(super) fn words(error: &ServerError) -> String {
    match error.code.as_str() {
        sqlstate::NOT_NULL_VIOLATION | sqlstate::CHECK_VIOLATION => error.message.clone(),
        _ => match &error.detail {
            Some(detail) => format!("{}: {detail}", error.message),
            None => error.message.clone(),
        },
    }
}
