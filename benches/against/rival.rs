//! Who drains a backlog.

/// A consumer of the desktop's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rival {
    /// `tandem run`.
    Tandem,
    /// A subscription.
    Native,
    /// Reads each message as it comes and throws it away.
    Eager,
    /// Lets the socket fill for a millisecond, and throws everything away: what the server can send.
    Lazy,
}

impl Rival {
    pub const ALL: [Rival; 4] = [Rival::Tandem, Rival::Native, Rival::Eager, Rival::Lazy];

    pub fn name(self) -> &'static str {
        match self {
            Rival::Tandem => "tandem",
            Rival::Native => "native",
            Rival::Eager => "reader, eager",
            Rival::Lazy => "reader, lazy",
        }
    }
}
