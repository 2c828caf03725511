//! What a connection can say when it fails.

use std::fmt;
use std::io;

use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::ErrorFields;

/// An error that the server reported, field by field.
/// Source: PostgreSQL documentation, "Error and Notice Message Fields".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerError {
    /// ERROR, FATAL or PANIC, never translated.
    pub severity: String,
    /// The SQLSTATE.
    pub code: String,
    /// The server's sentence.
    pub message: String,
    /// More about it: for constraint errors the key.
    pub detail: Option<String>,
    /// What the server suggests.
    pub hint: Option<String>,
    /// The table's schema.
    pub schema: Option<String>,
    /// The table.
    pub table: Option<String>,
    /// The column.
    pub column: Option<String>,
    /// The constraint.
    pub constraint: Option<String>,
    /// The letter of the statement where it is wrong, from 1.
    pub position: Option<usize>,
    /// What the server was doing; for COPY the line.
    pub context: Option<String>,
}

impl ServerError {
    /// Reads the fields of an ErrorResponse or NoticeResponse.
    pub(super) fn read(mut fields: ErrorFields<'_>) -> io::Result<ServerError> {
        let mut error = ServerError::default();
        while let Some(field) = fields.next()? {
            let value = String::from_utf8_lossy(field.value_bytes()).into_owned();
            match field.type_() {
                b'V' => error.severity = value,
                b'S' if error.severity.is_empty() => error.severity = value,
                b'C' => error.code = value,
                b'M' => error.message = value,
                b'D' => error.detail = Some(value),
                b'H' => error.hint = Some(value),
                b's' => error.schema = Some(value),
                b't' => error.table = Some(value),
                b'c' => error.column = Some(value),
                b'n' => error.constraint = Some(value),
                b'P' => error.position = value.parse().ok(),
                b'W' => error.context = Some(value),
                _ => {}
            }
        }
        Ok(error)
    }

    /// The SQLSTATE's class, its first two characters.
    pub fn class(&self) -> &str {
        self.code.get(..2).unwrap_or_default()
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.message)?;
        if let Some(detail) = &self.detail {
            write!(f, ": {detail}")?;
        }
        Ok(())
    }
}

impl From<&tokio_postgres::error::DbError> for ServerError {
    fn from(error: &tokio_postgres::error::DbError) -> Self {
        let own = |text: Option<&str>| text.map(str::to_owned);
        ServerError {
            severity: error.severity().to_owned(),
            code: error.code().code().to_owned(),
            message: error.message().to_owned(),
            detail: own(error.detail()),
            hint: own(error.hint()),
            schema: own(error.schema()),
            table: own(error.table()),
            column: own(error.column()),
            constraint: own(error.constraint()),
            position: match error.position() {
                Some(tokio_postgres::error::ErrorPosition::Original(at)) => Some(*at as usize),
                _ => None,
            },
            context: own(error.where_()),
        }
    }
}

/// Why a connection could not be made or did not last.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The socket failed, or the name could not be resolved.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Nothing came in time.
    #[error("no answer within {0} s")]
    Timeout(u64),
    /// The server closed the connection.
    #[error("the server closed the connection")]
    Closed,
    /// TLS was asked for and can't be had, or the certificate doesn't hold.
    #[error("TLS: {0}")]
    Tls(String),
    /// The server wants to know us in a way that we can't or mustn't use.
    #[error("authentication: {0}")]
    Authentication(String),
    /// The server reported an error.
    #[error("{0}")]
    Server(Box<ServerError>),
    /// The server sent what the protocol doesn't allow here.
    #[error("protocol: {0}")]
    Protocol(String),
}

impl WireError {
    /// The server's error, if it was one.
    pub fn server(&self) -> Option<&ServerError> {
        match self {
            WireError::Server(error) => Some(error),
            _ => None,
        }
    }
}

impl From<tokio_postgres::Error> for WireError {
    fn from(error: tokio_postgres::Error) -> Self {
        if let Some(server) = error.as_db_error() {
            return WireError::Server(Box::new(server.into()));
        }
        if error.is_closed() {
            return WireError::Closed;
        }
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        WireError::Io(io::Error::other(cause.unwrap_or_else(|| error.to_string())))
    }
}
