//! The way to the cloud: addresses, encryption, a pooler.

use std::net::IpAddr;

use tokio::net::lookup_host;
use tokio::time::timeout;

use super::report::{Report, Wrong};
use crate::apply::{Applier, ApplyError, Pipe, Script};
use crate::config::{Endpoint, Host, Settings};
use crate::limits;
use crate::wire::{Mode, Session, WireError};

pub(super) async fn check(settings: &Settings, report: &mut Report) {
    let endpoint = &settings.cloud.endpoint;
    address(endpoint, report).await;
    tls(endpoint, report);
    match pooler(endpoint).await {
        Ok(false) => report.ok("pooler", "no pooler on the way"),
        Ok(true) => report.ok(
            "pooler",
            "through a pooler; no state of a session is needed",
        ),
        Err(WireError::Server(error)) => {
            let what = format!("transactions don't pass: {error}");
            let fix = "pool_mode = transaction # of the pooler; or let cloud.url lead to the server itself";
            report.fail(
                "pooler",
                "all rows of a batch and its checkpoint are written in one transaction",
                Wrong::new(what, fix),
            );
            return;
        }
        // The connection that the other checks use says so, too.
        Err(_) => return,
    }
    match pipelines(endpoint).await {
        Ok(()) => report.ok(
            "pooler_pipelines",
            "transactions pass one after the other, each when the one before it is answered; straight to the server they need not wait",
        ),
        Err(what) => {
            let fix = "let cloud.url lead to the server itself, or to another pooler";
            report.fail(
                "pooler_pipelines",
                "batches go over one connection, one after the other",
                Wrong::new(what, fix),
            );
        }
    }
}

async fn address(endpoint: &Endpoint, report: &mut Report) {
    let Host::Tcp(host) = &endpoint.host else {
        report.ok("cloud_address", "the cloud is on this computer");
        return;
    };
    let found = lookup_host((host.as_str(), endpoint.port)).await;
    let found: Vec<_> = found
        .into_iter()
        .flatten()
        .map(|address| address.ip())
        .collect();
    if only_ipv6(&found) && !endpoint.is_near() {
        let wrong = Wrong::new(
            format!("{host} has only IPv6 addresses"),
            "use the pooler's host in cloud.url, or book an IPv4 address for the database",
        );
        report.warn(
            "cloud_address",
            "many offices' networks have no IPv6; from there the cloud can't be reached",
            wrong,
        );
    } else {
        report.ok(
            "cloud_address",
            format!("{host} has an address that every network reaches"),
        );
    }
}

fn only_ipv6(addresses: &[IpAddr]) -> bool {
    !addresses.is_empty() && addresses.iter().all(IpAddr::is_ipv6)
}

fn tls(endpoint: &Endpoint, report: &mut Report) {
    if endpoint.is_verified() || endpoint.is_near() {
        report.ok("tls", "nobody can read or change what goes to the cloud");
        return;
    }
    let wrong = Wrong::new(
        "the cloud's certificate is not verified",
        "add sslmode=verify-full&sslrootcert=prod-ca.crt to cloud.url in tandem.toml",
    );
    report.warn(
        "tls",
        "anyone on the way could read and change the data",
        wrong,
    );
}

/// Whether somebody stands between us and the server. A transaction has to pass.
async fn pooler(endpoint: &Endpoint) -> Result<bool, WireError> {
    let mut session = Session::connect(endpoint, Mode::Ordinary, &[]).await?;
    session.run("begin").await?;
    let direct = session.is_direct().await?;
    session.run("rollback").await?;
    session.terminate().await;
    Ok(!direct)
}

/// Sends two transactions, which change nothing, and waits for both answers.
async fn pipelines(endpoint: &Endpoint) -> Result<(), String> {
    let said =
        |error: ApplyError| format!("transactions that follow one another don't pass: {error}");
    let applier = Applier::connect(endpoint, limits::PIPE_PATIENCE).await;
    let mut pipe = Pipe::over(applier.map_err(|error| error.to_string())?);
    for _ in 0..2 {
        pipe.send(Script::looking(Vec::new()));
    }
    for _ in 0..2 {
        let answer = timeout(limits::PIPE_PATIENCE, pipe.answer()).await;
        let answer = answer.map_err(|_| {
            let patience = limits::PIPE_PATIENCE.as_secs();
            format!("a transaction behind another one is not answered within {patience} s")
        })?;
        answer.map_err(said)?;
    }
    if let Ok(applier) = pipe.close().await {
        applier.close().await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_without_an_ipv4_address_is_known() {
        let of = |texts: &[&str]| -> Vec<IpAddr> {
            texts.iter().filter_map(|text| text.parse().ok()).collect()
        };
        assert!(only_ipv6(&of(&["2001:db8::1", "2001:db8::2"])));
        assert!(!only_ipv6(&of(&["2001:db8::1", "192.0.2.1"])));
        assert!(!only_ipv6(&[]));
    }
}
