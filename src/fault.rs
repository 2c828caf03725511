//! Everything that can go wrong, as a decision and a remedy.
//!
//! [`Fault::decision`] is the one `match`: retry, stop one table, or stop the service and say why.
//! It has no wildcard, and what is unknown stops.

mod ask;

use std::fmt;

use crate::model::sqlstate;
use crate::wire::{ServerError, WireError};

/// One of the two databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The office's database.
    Desktop,
    /// Supabase.
    Cloud,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Side::Desktop => "desktop",
            Side::Cloud => "cloud",
        })
    }
}

/// What went wrong.
#[derive(Debug)]
pub enum Kind {
    /// A connection was lost, couldn't be made, or the server said something that passes.
    Transient(Side),
    /// A statement took longer than it may; it gets more time.
    Slow(Side),
    /// Nothing is wrong: the session ends on purpose, and the next one takes up what is new.
    Planned,
    /// This computer has no room for what the desktop sent.
    NoRoom,
    /// The server doesn't let us in, or can't do what tandem needs: a person has to act.
    Refused(Side),
    /// Settings and databases don't fit.
    Input,
    /// The slot is lost, is ahead of the checkpoint, or belongs to another database.
    Lineage,
    /// Another program has the lease.
    LeaseHeld,
    /// Another program took the lease while we ran.
    LeaseLost,
    /// The server sent what can't be.
    Damaged,
    /// The cloud refused something that no table is to blame for.
    Unknown,
    /// A mistake of ours.
    Internal,
    /// A second signal: stop at once.
    Interrupted,
}

/// What to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Connect again after a pause, without end.
    Retry,
    /// Begin another session: this one has ended on purpose.
    Again,
    /// End with this exit code.
    Stop(Exit),
}

/// Exit codes; source: the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Fine.
    Fine = 0,
    /// The answer is bad news.
    BadNews = 1,
    /// The input needs mending.
    Input = 2,
    /// The service isn't running.
    NotRunning = 3,
    /// A side could not be reached.
    CannotTell = 4,
    /// Stopped to protect data.
    Protected = 5,
    /// Interrupted before it was done.
    Interrupted = 130,
}

/// A fault with what a person needs to know.
#[derive(Debug)]
pub struct Fault {
    /// What it is.
    pub kind: Kind,
    /// What is wrong, in plain words.
    pub what: String,
    /// The original text, with its SQLSTATE.
    pub cause: Option<String>,
    /// What to do.
    pub hint: Option<String>,
    /// The next command.
    pub next: Option<String>,
}

impl Fault {
    /// A fault in plain words.
    pub fn new(kind: Kind, what: impl Into<String>) -> Fault {
        Fault {
            kind,
            what: what.into(),
            cause: None,
            hint: None,
            next: None,
        }
    }

    /// With the original text.
    #[must_use]
    pub fn cause(mut self, cause: impl fmt::Display) -> Fault {
        self.cause = Some(cause.to_string());
        self
    }

    /// With what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Fault {
        self.hint = Some(hint.into());
        self
    }

    /// With the next command.
    #[must_use]
    pub fn next(mut self, next: impl Into<String>) -> Fault {
        self.next = Some(next.into());
        self
    }

    /// For `map_err`: an error of either client on one side.
    pub fn at<E: Into<WireError>>(side: Side) -> impl Fn(E) -> Fault {
        move |error| Fault::wire(side, &error.into())
    }

    /// A connection's error on one side.
    pub fn wire(side: Side, error: &WireError) -> Fault {
        match error {
            WireError::Server(server) => Fault::server(side, server),
            WireError::Io(_) | WireError::Timeout(_) | WireError::Closed => {
                let away = Fault::new(
                    Kind::Transient(side),
                    format!("the {side} cannot be reached"),
                )
                .cause(error)
                .next("tandem doctor");
                match has_no_route(error) {
                    true => away.hint("that address is IPv6, and this network has no way there; Supabase's session pooler has IPv4 (its host is in the dashboard under Connect)"),
                    false => away,
                }
            }
            WireError::Tls(_) => Fault::new(
                Kind::Refused(side),
                format!("no encrypted connection to the {side}"),
            )
            .cause(error)
            .hint(format!("check sslmode and sslrootcert in {side}.url")),
            WireError::Authentication(_) => Fault::new(
                Kind::Refused(side),
                format!("the {side} does not let us in"),
            )
            .cause(error)
            .hint(format!("check the user in {side}.url and {side}.password")),
            WireError::Protocol(_) => Fault::new(
                Kind::Damaged,
                format!("the {side} sent something that PostgreSQL does not send"),
            )
            .cause(error),
        }
    }

    /// An error that a server reported.
    pub fn server(side: Side, error: &ServerError) -> Fault {
        let fault = |kind, what: String| Fault::new(kind, what).cause(error);
        match (error.class(), error.code.as_str()) {
            (_, sqlstate::READ_ONLY_SQL_TRANSACTION) => {
                fault(Kind::Transient(side), format!("the {side} is read-only"))
            }
            (_, sqlstate::DISK_FULL) => {
                fault(Kind::Transient(side), format!("the {side}'s disk is full"))
            }
            // The desktop's statements have limits of their own.
            (_, sqlstate::QUERY_CANCELED)
                if side == Side::Cloud && error.message.contains("statement timeout") =>
            {
                let what = "a statement took longer than cloud.statement_timeout allows";
                fault(Kind::Slow(side), what.to_owned())
            }
            _ if is_paused(error) => fault(
                Kind::Transient(side),
                format!("the {side}'s project is paused or away"),
            )
            .hint("a paused Supabase project is resumed in its dashboard; its pooler says so"),
            _ if is_crowded(error) => fault(
                Kind::Transient(side),
                format!("the {side} has no connection left for us"),
            ),
            (_, sqlstate::CANNOT_CONNECT_NOW) => fault(
                Kind::Transient(side),
                format!("the {side} is starting or stopping"),
            ),
            (_, sqlstate::LEASE_LOST) => {
                fault(Kind::LeaseLost, "another tandem has taken over".to_owned())
                    .hint("nothing of ours was written after that; run one tandem per replicator")
            }
            (_, sqlstate::STAGING_EMPTIED) => fault(
                Kind::Transient(side),
                "the copy has to be made again".to_owned(),
            ),
            ("28", _) => fault(
                Kind::Refused(side),
                format!("the {side} does not let us in"),
            )
            .hint(format!("check the user in {side}.url and {side}.password")),
            ("3D", _) => fault(
                Kind::Refused(side),
                format!("the {side} has no such database"),
            ),
            (_, sqlstate::INSUFFICIENT_PRIVILEGE) => fault(
                Kind::Refused(side),
                format!("the {side} does not allow this to our user"),
            ),
            _ if is_transient(error) => {
                fault(Kind::Transient(side), format!("the {side} is busy or away"))
            }
            _ => fault(
                Kind::Unknown,
                format!("the {side} refused something that tandem needs"),
            ),
        }
    }

    /// What to do about it.
    pub fn decision(&self) -> Decision {
        match self.kind {
            Kind::Transient(_) | Kind::Slow(_) | Kind::NoRoom => Decision::Retry,
            Kind::Planned => Decision::Again,
            Kind::Refused(_) | Kind::Input => Decision::Stop(Exit::Input),
            Kind::Interrupted => Decision::Stop(Exit::Interrupted),
            Kind::Lineage
            | Kind::LeaseHeld
            | Kind::LeaseLost
            | Kind::Damaged
            | Kind::Unknown
            | Kind::Internal => Decision::Stop(Exit::Protected),
        }
    }
}

/// A host that has IPv6 addresses only, seen from a network without.
fn has_no_route(error: &WireError) -> bool {
    let WireError::Io(error) = error else {
        return false;
    };
    let text = error.to_string();
    let far = matches!(
        error.kind(),
        std::io::ErrorKind::NetworkUnreachable
            | std::io::ErrorKind::HostUnreachable
            | std::io::ErrorKind::AddrNotAvailable
    );
    (far || text.contains("unreachable") || text.contains("No route")) && text.contains('[')
}

/// The words of Supabase's pooler for a project that sleeps, or that it doesn't know yet after it woke.
fn is_paused(error: &ServerError) -> bool {
    let text = error.message.to_lowercase();
    let words = [
        "tenant or user not found",
        "eaddrnotavail",
        "nxdomain",
        "enotfound",
    ];
    words.iter().any(|words| text.contains(words))
}

/// No connection is left: of the server, or of the pooler before it.
fn is_crowded(error: &ServerError) -> bool {
    let text = error.message.to_lowercase();
    let words = [
        "max client connections reached",
        "maxclientsinsessionmode",
        "no more connections allowed",
        "too many connections",
    ];
    error.code == sqlstate::TOO_MANY_CONNECTIONS || words.iter().any(|words| text.contains(words))
}

/// Whether an error passes by itself: an allow-list. Source: PostgreSQL documentation, appendix A.
pub fn is_transient(error: &ServerError) -> bool {
    match error.code.as_str() {
        // A statement time-out, a lock wait, a serialization failure, a deadlock.
        sqlstate::QUERY_CANCELED
        | sqlstate::LOCK_NOT_AVAILABLE
        | sqlstate::SERIALIZATION_FAILURE
        | sqlstate::DEADLOCK_DETECTED => true,
        // Read-only, and shutdown, crash or start of the server.
        sqlstate::READ_ONLY_SQL_TRANSACTION
        | sqlstate::ADMIN_SHUTDOWN
        | sqlstate::CRASH_SHUTDOWN
        | sqlstate::CANNOT_CONNECT_NOW
        | sqlstate::IDLE_SESSION_TIMEOUT => true,
        // The slot is still active for a session that the server has not noticed to be gone.
        sqlstate::OBJECT_IN_USE => true,
        // Idle-in-transaction and transaction time-outs of the server.
        sqlstate::IDLE_IN_TRANSACTION_SESSION_TIMEOUT | sqlstate::TRANSACTION_TIMEOUT => true,
        // Connections and resources.
        _ => matches!(error.class(), "08" | "53"),
    }
}

/// Whether an error of a statement on a table stops that table: its data, columns, constraints,
/// triggers and rights. Not so what passes, what is wrong with the server or the connection, and
/// our own conditions.
pub fn blames_table(error: &ServerError) -> bool {
    !is_transient(error) && !matches!(error.class(), "25" | "57" | "58" | "F0" | "TD" | "XX")
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match &self.cause {
            Some(cause) => write!(f, ": {cause}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f33_a_host_that_only_ipv6_leads_to_is_told_with_the_way_out() {
        let gone =
            std::io::Error::other("[2001:db8::1]:5432: Network is unreachable (os error 101)");
        let fault = Fault::wire(Side::Cloud, &WireError::Io(gone));
        assert!(fault.hint.is_some_and(|hint| hint.contains("IPv4")));
        assert_eq!(Fault::wire(Side::Cloud, &WireError::Closed).hint, None);
    }

    #[test]
    fn p13_each_kind_of_weather_has_its_own_words() {
        let error = |code: &str, message: &str| ServerError {
            severity: "FATAL".to_owned(),
            code: code.to_owned(),
            message: message.to_owned(),
            ..ServerError::default()
        };
        for (code, message, words) in [
            ("XX000", "Tenant or user not found", "paused"),
            (
                "XX000",
                "Max client connections reached",
                "no connection left",
            ),
            (
                "53300",
                "sorry, too many clients already",
                "no connection left",
            ),
            (
                "08P01",
                "no more connections allowed (max_client_conn)",
                "no connection left",
            ),
            (
                "25006",
                "cannot execute INSERT in a read-only transaction",
                "read-only",
            ),
            ("53100", "could not extend file", "disk is full"),
            (
                "57P03",
                "the database system is starting up",
                "starting or stopping",
            ),
            ("57P01", "terminating connection", "busy or away"),
            (
                "57014",
                "canceling statement due to statement timeout",
                "longer than cloud.statement_timeout",
            ),
        ] {
            let fault = Fault::server(Side::Cloud, &error(code, message));
            assert!(fault.what.contains(words), "{code}: {}", fault.what);
            assert_eq!(fault.decision(), Decision::Retry, "{code}");
        }
        for code in ["28P01", "42501", "3D000"] {
            let decision = Fault::server(Side::Cloud, &error(code, "no")).decision();
            assert_eq!(
                decision,
                Decision::Stop(Exit::Input),
                "{code}: a person has to act"
            );
        }
        let unknown = Fault::server(Side::Cloud, &error("P0001", "something new"));
        assert_eq!(
            unknown.decision(),
            Decision::Stop(Exit::Protected),
            "what is unknown stops"
        );
    }
}
