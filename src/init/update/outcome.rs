//! What became of a settings file.

/// What became of a settings file.
#[derive(Default)]
pub struct Update {
    /// What was added.
    pub added: Vec<String>,
    /// What was added as a remark, since it needs a decision first.
    pub set_aside: Vec<String>,
    /// What the file names and is not there any more; it stays.
    pub gone: Vec<String>,
    /// What doesn't fit, and what no addition mends.
    pub misfits: Vec<String>,
    /// What a new proposal would say otherwise; the file counts.
    pub otherwise: Vec<String>,
    /// Tables that one side only has, and the file doesn't mention.
    pub alone: Vec<String>,
    /// Decisions that were needed.
    pub decisions: usize,
    /// The file is another now.
    pub written: bool,
}
