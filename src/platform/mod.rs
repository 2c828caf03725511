//! The one place that knows which operating system this is: signals, processes, names, service managers.

mod registered;
pub mod service;
pub mod systemd;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use tokio_util::sync::CancellationToken;

#[cfg(unix)]
use unix as here;
#[cfg(windows)]
use windows as here;

pub use here::keep_owner;

/// Who this process is: host, process and when it started, so that a process that is gone, and
/// whose number another has now, can be told from one that lives.
pub fn holder() -> String {
    let process = std::process::id();
    format!(
        "{}/{process}/{}",
        host(),
        started(process).unwrap_or_default()
    )
}

/// A word as it is typed behind a command, so that the shell hands it on as it is.
pub fn typed(word: &str) -> String {
    let plain = |letter: char| letter.is_alphanumeric() || "._-/:@+,".contains(letter);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false if cfg!(windows) => format!("\"{}\"", word.replace('"', "\\\"")),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

/// Such a process that does one thing and ends.
pub fn passing_holder() -> String {
    format!("{PASSING}{}", holder())
}

/// Whether it does one thing and ends.
pub fn is_passing(holder: &str) -> bool {
    holder.starts_with(PASSING)
}

const PASSING: &str = "passing:";

/// Whether the process that `holder` names is known to be gone: it ran on this host and doesn't any more.
pub fn is_gone(holder: &str) -> bool {
    let holder = holder.strip_prefix(PASSING).unwrap_or(holder);
    let mut parts = holder.rsplitn(3, '/');
    let (Some(start), Some(process), Some(on)) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let Ok(process) = process.parse() else {
        return false;
    };
    on == host() && cfg!(target_os = "linux") && started(process).as_deref() != Some(start)
}

/// A holder in words: the computer and the process, as a person would look for them.
pub fn in_words(holder: &str) -> String {
    let holder = holder.strip_prefix(PASSING).unwrap_or(holder);
    let mut parts = holder.rsplitn(3, '/');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(_), Some(process), Some(on)) => {
            let computer = on.split('+').next().unwrap_or(on);
            format!("process {process} on {computer}")
        }
        _ => holder.to_owned(),
    }
}

/// Where process numbers mean the same: this computer since it was started, and this container.
fn host() -> String {
    let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
    let boot: String = read("/proc/sys/kernel/random/boot_id")
        .chars()
        .take(8)
        .collect();
    let space = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    let space: String = space
        .to_string_lossy()
        .chars()
        .filter(char::is_ascii_digit)
        .collect();
    if boot.is_empty() {
        name()
    } else {
        format!("{}+{boot}+{space}", name())
    }
}

/// This computer's name.
pub fn name() -> String {
    let from_kernel = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = from_kernel
        .or_else(|| std::env::var("COMPUTERNAME").ok())
        .or_else(|| std::env::var("HOSTNAME").ok());
    name.map_or("localhost".to_owned(), |name| name.trim().to_owned())
}

/// When a process started, in clock ticks since boot; none when it isn't there. Source: proc(5), field 22.
fn started(process: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let behind_name = stat.rsplit_once(')')?.1;
    behind_name.split_whitespace().nth(19).map(str::to_owned)
}

/// Cancels `stop` at the first request to end, and `now` at the second. Both are listened for from the start: what comes
/// between one and the other counts.
pub async fn watch_signals(stop: CancellationToken, now: CancellationToken) -> std::io::Result<()> {
    let mut signals = here::Signals::listen()?;
    signals.next().await?;
    stop.cancel();
    signals.next().await?;
    now.cancel();
    Ok(())
}

/// Calls `reload` at each request to read the settings again. A terminal that is closed sends the same signal, and ends its
/// programs.
#[cfg(unix)]
pub async fn watch_reloads(reload: impl Fn(), stop: CancellationToken) -> std::io::Result<()> {
    use std::io::IsTerminal;
    use tokio::signal::unix::{SignalKind, signal};
    let mut hangup = signal(SignalKind::hangup())?;
    let had_terminal = std::io::stdin().is_terminal();
    while hangup.recv().await.is_some() {
        if had_terminal && !std::io::stdin().is_terminal() {
            stop.cancel();
        } else {
            reload();
        }
    }
    Ok(())
}

/// Elsewhere nothing of the kind is sent; the service manager's own control does it.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub async fn watch_reloads(_reload: impl Fn(), _stop: CancellationToken) -> std::io::Result<()> {
    Ok(())
}

/// Returns when somebody presses Ctrl-C; from then on the process doesn't end by that any more.
pub async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// glibc keeps blocks of up to 32 MB for each thread once blocks of that size were given back: its threshold for giving
/// memory back moves with them, unless the environment sets it, which is read before `main` (P12). So the program
/// starts itself once more with that, as the same process. Source: mallopt(3), `M_MMAP_THRESHOLD`.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn give_memory_back() {
    use std::os::unix::process::CommandExt;

    const THRESHOLD: &str = "MALLOC_MMAP_THRESHOLD_";
    if std::env::var_os(THRESHOLD).is_some() {
        return;
    }
    let Ok(program) = std::env::current_exe() else {
        return;
    };
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_else(|| program.clone().into());
    // It returns only where that is not possible; then memory is used as glibc likes.
    let _ = std::process::Command::new(program)
        .arg0(name)
        .args(arguments)
        .env(THRESHOLD, crate::limits::MAPPED_BYTES_MIN.to_string())
        // What is left free in a heap goes back as soon, and few threads share few heaps.
        .env(
            "MALLOC_TRIM_THRESHOLD_",
            crate::limits::MAPPED_BYTES_MIN.to_string(),
        )
        .env("MALLOC_ARENA_MAX", "2")
        .exec();
}

/// Other systems give memory back by themselves.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn give_memory_back() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(not(windows))]
    fn a_shell_reads_a_word_as_it_is() {
        assert_eq!(typed("shop.größe"), "shop.größe");
        assert_eq!(typed("\"a.b\""), "'\"a.b\"'");
        assert_eq!(typed("it's"), r"'it'\''s'");
        assert_eq!(typed(""), "''");
    }

    #[test]
    fn a_living_process_is_not_gone_and_a_stranger_is_not_judged() {
        assert!(!is_gone(&holder()));
        assert!(!is_gone("elsewhere/1/1"));
        assert!(!is_gone("nonsense"));
        assert_eq!(
            in_words("office+b4206c28+40265/13563/2048"),
            "process 13563 on office"
        );
        assert_eq!(in_words("office/77/"), "process 77 on office");
        assert_eq!(in_words("nonsense"), "nonsense");
        #[cfg(target_os = "linux")]
        assert!(is_gone(&format!("{}/{}/1", host(), std::process::id())));
    }
}
