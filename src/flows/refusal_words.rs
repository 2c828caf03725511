//! A table that the cloud refuses, in words.

use crate::model::sqlstate;
use crate::wire::ServerError;

/// One sentence for `why`.
pub(super) fn words(error: &ServerError) -> String {
    let mut error = error.clone();
    if matches!(
        error.code.as_str(),
        sqlstate::NOT_NULL_VIOLATION | sqlstate::CHECK_VIOLATION
    ) {
        // The detail would be the whole row, with whatever personal data is in it (P16).
        error.detail = None;
    }
    match error.code.as_str() {
        sqlstate::SHRINKS => format!(
            "{}; nothing of it was deleted. If that is right, raise max_shrink for this table and start again",
            error.message
        ),
        sqlstate::TOO_MANY_REFUSED | sqlstate::NO_TIME => {
            format!("the cloud refuses it: {}", error.message)
        }
        sqlstate::AMBIGUOUS_KEY => format!(
            "{}; choose a longer key, or key = [] to count equal rows",
            error.message
        ),
        _ => format!("the cloud refuses it: {error}"),
    }
}

/// Whether an error lies in single rows, so that the others can go on without them.
pub(super) fn lies_in_rows(error: &ServerError) -> bool {
    !matches!(error.class(), "42" | "0A")
        && !matches!(
            error.code.as_str(),
            sqlstate::SHRINKS
                | sqlstate::TOO_MANY_REFUSED
                | sqlstate::NO_TIME
                | sqlstate::AMBIGUOUS_KEY
        )
}

/// Row by row it may be written all the same: a rule is not allowed in a CTE, which only whole steps have.
pub(super) fn is_of_rule(error: &ServerError) -> bool {
    error.code == sqlstate::FEATURE_NOT_SUPPORTED
}

/// The same for a swap, which leaves the table as it is.
pub(super) fn swap_words(error: &ServerError, table: &str) -> String {
    match error.code.as_str() {
        sqlstate::SHRINKS => format!(
            "{}; nothing of it was changed. If that is right: tandem swap {table} --allow-shrink",
            error.message
        ),
        _ => words(error),
    }
}
