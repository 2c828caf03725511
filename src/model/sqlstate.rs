//! SQLSTATEs by name: those that tandem's own functions raise (`docs/errors.md`), and those of PostgreSQL's (appendix A of its
//! documentation) on which something depends.

/// The checkpoint or the lease is another's.
pub const LEASE_LOST: &str = "TD001";
/// The staging table doesn't hold what was sent.
pub const STAGING_EMPTIED: &str = "TD002";
/// A value doesn't fit into a narrower column.
pub const DOES_NOT_FIT: &str = "TD003";
/// More of a table's owned rows would go than may.
pub const SHRINKS: &str = "TD004";
/// A foreign key's action would change rows that aren't ours.
pub const REACHES_OTHERS: &str = "TD005";
/// More rows are refused than may wait.
pub const TOO_MANY_REFUSED: &str = "TD006";
/// A row is too large to be kept.
pub const TOO_LARGE: &str = "TD007";
/// A row has no parent of this tenant.
pub const NO_PARENT: &str = "TD008";
/// A table that was to be filled has rows.
pub const NOT_EMPTY: &str = "TD009";
/// A key names more than one row.
pub const AMBIGUOUS_KEY: &str = "TD010";
/// The desktop has a row of its own with a phone's key.
pub const KEY_TAKEN: &str = "TD011";
/// A key comes again whose row was kept.
pub const KEY_REUSED: &str = "TD012";
/// Something keeps a row out without an error.
pub const KEPT_OUT: &str = "TD014";
/// There was no time to find the rows that are refused.
pub const NO_TIME: &str = "TD015";
/// The schema `tandem` isn't at the version to which the step belongs.
pub const STEP_TAKEN: &str = "TD020";
/// Programs are at work that couldn't work with what a step makes.
pub const OLDER_AT_WORK: &str = "TD021";

/// `invalid_sql_statement_name`: a prepared statement isn't there.
pub const NO_SUCH_STATEMENT: &str = "26000";
/// `duplicate_prepared_statement`
pub const DUPLICATE_STATEMENT: &str = "42P05";
/// `feature_not_supported`
pub const FEATURE_NOT_SUPPORTED: &str = "0A000";
/// `character_not_in_repertoire`: also what tandem says of bytes without a meaning.
pub const CHARACTER_NOT_IN_REPERTOIRE: &str = "22021";
/// `invalid_parameter_value`
pub const INVALID_PARAMETER_VALUE: &str = "22023";
/// `restrict_violation`
pub const RESTRICT_VIOLATION: &str = "23001";
/// `not_null_violation`
pub const NOT_NULL_VIOLATION: &str = "23502";
/// `foreign_key_violation`
pub const FOREIGN_KEY_VIOLATION: &str = "23503";
/// `unique_violation`
pub const UNIQUE_VIOLATION: &str = "23505";
/// `check_violation`
pub const CHECK_VIOLATION: &str = "23514";
/// `exclusion_violation`
pub const EXCLUSION_VIOLATION: &str = "23P01";
/// `read_only_sql_transaction`
pub const READ_ONLY_SQL_TRANSACTION: &str = "25006";
/// `idle_in_transaction_session_timeout`
pub const IDLE_IN_TRANSACTION_SESSION_TIMEOUT: &str = "25P03";
/// `transaction_timeout`
pub const TRANSACTION_TIMEOUT: &str = "25P04";
/// `invalid_authorization_specification`
pub const INVALID_AUTHORIZATION_SPECIFICATION: &str = "28000";
/// `invalid_schema_name`
pub const INVALID_SCHEMA_NAME: &str = "3F000";
/// `active_sql_transaction`: the statement can't run inside of a transaction
pub const ACTIVE_SQL_TRANSACTION: &str = "25001";
/// `invalid_transaction_termination`: a procedure ends a transaction that isn't its own
pub const INVALID_TRANSACTION_TERMINATION: &str = "2D000";
/// `serialization_failure`
pub const SERIALIZATION_FAILURE: &str = "40001";
/// `deadlock_detected`
pub const DEADLOCK_DETECTED: &str = "40P01";
/// `insufficient_privilege`
pub const INSUFFICIENT_PRIVILEGE: &str = "42501";
/// `syntax_error`
pub const SYNTAX_ERROR: &str = "42601";
/// `undefined_column`
pub const UNDEFINED_COLUMN: &str = "42703";
/// `undefined_object`
pub const UNDEFINED_OBJECT: &str = "42704";
/// `duplicate_object`
pub const DUPLICATE_OBJECT: &str = "42710";
/// `datatype_mismatch`
pub const DATATYPE_MISMATCH: &str = "42804";
/// `cannot_coerce`
pub const CANNOT_COERCE: &str = "42846";
/// `undefined_function`
pub const UNDEFINED_FUNCTION: &str = "42883";
/// `undefined_table`
pub const UNDEFINED_TABLE: &str = "42P01";
/// `duplicate_schema`
pub const DUPLICATE_SCHEMA: &str = "42P06";
/// `invalid_object_definition`
pub const INVALID_OBJECT_DEFINITION: &str = "42P17";
/// `disk_full`
pub const DISK_FULL: &str = "53100";
/// `too_many_connections`
pub const TOO_MANY_CONNECTIONS: &str = "53300";
/// `object_in_use`
pub const OBJECT_IN_USE: &str = "55006";
/// `lock_not_available`
pub const LOCK_NOT_AVAILABLE: &str = "55P03";
/// `query_canceled`
pub const QUERY_CANCELED: &str = "57014";
/// `admin_shutdown`
pub const ADMIN_SHUTDOWN: &str = "57P01";
/// `crash_shutdown`
pub const CRASH_SHUTDOWN: &str = "57P02";
/// `cannot_connect_now`
pub const CANNOT_CONNECT_NOW: &str = "57P03";
/// `idle_session_timeout`
pub const IDLE_SESSION_TIMEOUT: &str = "57P05";
