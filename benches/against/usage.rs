//! What a process has used, from /proc; nothing where there is none.

/// Processor time and memory of one process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// User and system time, in seconds.
    pub cpu: f64,
    /// The most private memory so far, in kB.
    pub peak_kb: u64,
}

/// The kernel counts in hundredths of a second on every Linux that Rust supports.
const TICKS: f64 = 100.0;

impl Usage {
    pub fn of(process: u32) -> Usage {
        let read = |file: &str| {
            std::fs::read_to_string(format!("/proc/{process}/{file}")).unwrap_or_default()
        };
        let stat = read("stat");
        let fields = stat.rsplit(')').next().unwrap_or_default();
        let ticks = fields.split_whitespace().skip(11).take(2);
        let ticks: f64 = ticks.filter_map(|field| field.parse::<f64>().ok()).sum();
        let status = read("status");
        let kb = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| {
                line.trim_matches([':', '\t', ' ', 'k', 'B'])
                    .parse::<u64>()
                    .ok()
            })
        };
        let shared = kb("RssShmem").unwrap_or_default();
        Usage {
            cpu: ticks / TICKS,
            peak_kb: kb("VmHWM").unwrap_or_default().saturating_sub(shared),
        }
    }
}

/// Processor time of all that a process has started, what has ended included, but for `except`; in seconds.
pub fn of_children(parent: u32, except: &[u32]) -> f64 {
    let fields = |process: u32| -> Vec<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        // The name in front may have spaces. The state behind it is a letter.
        let fields = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace();
        fields
            .map(|field| field.parse().unwrap_or_default())
            .collect()
    };
    let sum = |fields: &[f64], from: usize| -> f64 { fields.iter().skip(from).take(2).sum() };
    let ended = sum(&fields(parent), 13);
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let processes = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let living = processes
        .filter(|process| !except.contains(process))
        .map(fields);
    let living = living.filter(|fields| fields.get(1) == Some(&f64::from(parent)));
    (ended + living.map(|fields| sum(&fields, 11)).sum::<f64>()) / TICKS
}
