//! The service as Windows' manager knows it: its names, and what it does.

/// The service's name in the manager, of its event log source, and, behind `NT SERVICE\`, of its account.
pub const NAME: &str = "tandem";

/// The account that only the service has: no password, no rights but those that its folder gives it.
pub const ACCOUNT: &str = r"NT SERVICE\tandem";

/// What the service manager knows of the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// What it does now.
    pub state: State,
    /// The process, while there is one.
    pub process: Option<u32>,
    /// The exit code that it ended with, as `tandem run` has them; none when it ended otherwise or hasn't run.
    pub exit: Option<u32>,
    /// The manager's own words for an end that was none of the service's, such as a program that can't be started.
    pub failure: Option<String>,
    /// Whether it is started with the computer.
    pub is_automatic: bool,
    /// The account that it runs as.
    pub account: String,
    /// The command that the manager starts.
    pub command: String,
}

/// What a registered service does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing.
    Stopped,
    /// It reads its settings.
    Starting,
    /// It replicates, or tries to.
    Running,
    /// It finishes its batch.
    Stopping,
}

/// How grave an entry of the event log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// It was started or stopped.
    Information,
    /// A person has to act.
    Error,
}
