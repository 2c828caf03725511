//! `deploy/docker`: the image holds what is made for it, and the office of compose.yaml works.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::page::{read, root};
use super::shipped::{found, must_read, must_take, port, said, settings_of, text, texts, yaml};
use crate::support::office::{Office, until, value};
use crate::support::servers::newest;

const FOLDER: &str = "deploy/docker";

/// The instructions of the Dockerfile, in order, with continued lines joined.
fn instructions() -> Vec<(String, String)> {
    let text = read("deploy/docker/Dockerfile").replace("\\\n", "");
    let lines = text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty());
    let parts = lines.map(|line| line.split_once(' ').unwrap());
    parts
        .map(|(word, rest)| (word.to_owned(), rest.trim().to_owned()))
        .collect()
}

/// The words of a JSON list behind an instruction.
fn words(instruction: &str) -> Vec<String> {
    let all = instructions();
    let rest = &all.iter().find(|(word, _)| word == instruction).unwrap().1;
    serde_json::from_str(&rest[rest.find('[').unwrap()..]).unwrap()
}

fn environment() -> Vec<(String, String)> {
    let all = instructions();
    let set = all.iter().filter(|(word, _)| word == "ENV");
    let set = set.flat_map(|(_, rest)| rest.split_whitespace());
    let pairs = set.map(|pair| pair.split_once('=').unwrap());
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

#[test]
fn the_image_holds_what_make_image_lays_out() {
    let all = instructions();
    let of = |word: &str| -> Vec<&str> {
        let found = all.iter().filter(|(there, _)| there == word);
        found.map(|(_, rest)| rest.as_str()).collect()
    };
    // No registry, no shell, not root.
    assert_eq!(of("FROM"), ["scratch"]);
    assert!(of("RUN").is_empty());
    let user = of("USER")[0].split(':').next().unwrap();
    assert!(user.parse::<u32>().unwrap() > 0);
    let makefile = read("Makefile");
    let image = makefile.split("\nimage: ").nth(1).unwrap();
    for copied in of("COPY") {
        let source = copied
            .split(' ')
            .find(|word| !word.starts_with("--"))
            .unwrap();
        let source = source.replace("${TARGETARCH}", "$(IMAGE_MACHINE)");
        let made = image.contains(&source)
            || image.contains(source.strip_suffix("/tandem").unwrap_or("?"));
        assert!(made, "make image lays out no {source}");
    }
    assert!(image.contains(&format!("tandem:x:{user}:")));
    let program = words("ENTRYPOINT")[0].clone();
    assert!(of("COPY").iter().any(|copied| copied.ends_with(&program)));
    must_take(words("CMD").iter().map(String::as_str), "Dockerfile");
    let health = words("HEALTHCHECK");
    assert_eq!(health[0], program);
    must_take(health[1..].iter().map(String::as_str), "Dockerfile");
    let set = environment();
    for (name, _) in set.iter().filter(|(name, _)| name.starts_with("TANDEM_")) {
        must_read(name, "Dockerfile");
    }
    let get = |name: &str| {
        set.iter()
            .find(|(there, _)| there == name)
            .unwrap()
            .1
            .clone()
    };
    assert_eq!(
        of("EXPOSE")[0],
        port(&get("TANDEM_LISTEN_HTTP")).to_string()
    );
    for folder in [get("TMPDIR"), get("HOME")] {
        assert!(
            of("COPY")
                .iter()
                .any(|copied| copied.starts_with("--chown") && copied.ends_with(&folder)),
            "{folder}"
        );
    }
    assert_eq!(of("STOPSIGNAL"), ["SIGTERM"]);
}

#[test]
fn the_compose_file_names_what_is_there() {
    let compose = yaml("deploy/docker/compose.yaml");
    let services = compose["services"].as_object().unwrap();
    let exists = |path: &str| {
        let path = root().join(FOLDER).join(path);
        assert!(path.is_file(), "{}", path.display());
    };
    let set = environment();
    let listens = port(
        &set.iter()
            .find(|(name, _)| name == "TANDEM_LISTEN_HTTP")
            .unwrap()
            .1,
    );
    for (name, service) in services {
        for volume in texts(service, "/volumes") {
            let from = volume.split(':').next().unwrap();
            match from.starts_with('.') {
                true => exists(from),
                false => assert!(compose["volumes"].get(from).is_some(), "{volume}"),
            }
        }
        for published in texts(service, "/ports") {
            assert!(published.starts_with("127.0.0.1:"), "{name}: {published}");
        }
        let waits = service.get("depends_on").and_then(Value::as_object);
        for other in waits.into_iter().flatten() {
            assert!(
                services[other.0].get("healthcheck").is_some(),
                "{}",
                other.0
            );
        }
        assert!(text(service, "/image").contains(':'), "{name}: a version");
    }
    exists(text(&compose, "/secrets/password/file"));
    let tandem = &services["tandem"];
    assert_eq!(
        texts(tandem, "/ports"),
        [format!("127.0.0.1:{listens}:{listens}")]
    );
    let mounted = texts(tandem, "/volumes").join(" ");
    for name in ["TANDEM_CONFIG", "TMPDIR"] {
        let at = &set.iter().find(|(there, _)| there == name).unwrap().1;
        assert!(mounted.contains(at), "{at} isn't mounted");
    }
    // Prometheus asks tandem, with tandem's alerts; Grafana asks Prometheus.
    let prometheus = yaml("deploy/docker/prometheus.yml");
    assert_eq!(
        texts(&prometheus, "/scrape_configs/0/static_configs/0/targets"),
        [format!("tandem:{listens}")]
    );
    let source = yaml("deploy/docker/grafana/datasources.yaml");
    let asked = text(&source, "/datasources/0/url").trim_start_matches("http://");
    let (name, at) = asked.split_once(':').unwrap();
    assert!(
        texts(&services[name], "/ports")
            .iter()
            .any(|published| published.ends_with(at))
    );
    let shown = yaml("deploy/docker/grafana/dashboards.yaml");
    let folder = text(&shown, "/providers/0/options/path");
    assert!(
        texts(&services["grafana"], "/volumes")
            .iter()
            .any(|volume| volume.contains(folder))
    );
    // Hosts of the settings are services.
    let settings = settings_of("deploy/docker/tandem.toml", &[]);
    for endpoint in [&settings.desktop.endpoint, &settings.cloud.endpoint] {
        let tandem::config::Host::Tcp(host) = &endpoint.host else {
            panic!("a name")
        };
        assert!(services.contains_key(host), "{host}");
    }
}

#[test]
fn prometheus_takes_its_configuration_and_the_alerts() {
    let Some(promtool) = found("promtool", "the configuration as Prometheus reads it") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    for file in [
        "deploy/docker/prometheus.yml",
        "deploy/prometheus/alerts.yml",
    ] {
        let name = Path::new(file).file_name().unwrap();
        std::fs::write(folder.path().join(name), read(file)).unwrap();
    }
    said(
        Command::new(promtool)
            .args(["check", "config"])
            .arg(folder.path().join("prometheus.yml")),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_office_of_the_compose_file_works() {
    let settings = read("deploy/docker/tandem.toml");
    let (_, settings) = settings.split_once("[heartbeat]").unwrap();
    let settings = format!("[heartbeat]{settings}");
    let (desktop, cloud) = (
        read("deploy/docker/desktop.sql"),
        read("deploy/docker/cloud.sql"),
    );
    let office = Office::with_tables(&newest(), &settings, &desktop, &cloud).await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    let all = "select (select count(*) from customer) || ' ' || (select count(*) from visit)";
    assert_eq!(value(&office.cloud, all).await, "1000 200");
    crate::support::office::exec(
        &office.cloud,
        "insert into visit values (9001, 1, 'from a phone', true, 'M')",
    )
    .await;
    until(
        &office.desktop,
        "select count(*) = 1 from visit where id = 9001 and done",
    )
    .await;
    assert_eq!(service.stop().await, 0);
}
