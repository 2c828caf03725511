//! `deploy/kubernetes`: what is rendered is what Kubernetes takes, and what the program takes.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::page::{files, root};
use super::shipped::{
    documents, found, must_read, must_take, port, said, settings_of, text, texts,
};

const WHERE: &str = "deploy/kubernetes";

fn rendered(kubectl: &Path, folder: &Path) -> String {
    said(Command::new(kubectl).arg("kustomize").arg(folder))
}

/// What is of this kind, in the list's order.
fn of<'d>(documents: &'d [Value], kind: &str) -> Vec<&'d Value> {
    documents
        .iter()
        .filter(|one| text(one, "/kind") == kind)
        .collect()
}

/// Checks what one desktop is made of; `all` is everything there is.
fn check(all: &[Value]) {
    let (deployments, namespaces) = (of(all, "Deployment"), of(all, "Namespace"));
    assert!(!deployments.is_empty());
    for deployment in deployments {
        let pod = &deployment["spec"]["template"];
        let container = &pod["spec"]["containers"][0];
        // The lease elects; a second one only makes sense where it waits.
        let arguments = texts(container, "/args");
        must_take(arguments.iter().map(String::as_str), WHERE);
        assert!(deployment["spec"]["replicas"] == 2 && arguments.contains(&"--standby".to_owned()));
        let mounts = container["volumeMounts"].as_array().unwrap();
        let at = |file: &str| {
            let below = |mount: &&Value| Path::new(file).starts_with(text(mount, "/mountPath"));
            let mount = mounts.iter().find(below);
            text(
                mount.unwrap_or_else(|| panic!("nothing is mounted at {file}")),
                "/name",
            )
            .to_owned()
        };
        let volumes = pod["spec"]["volumes"].as_array().unwrap();
        let volume = |name: String| {
            volumes
                .iter()
                .find(|one| text(one, "/name") == name)
                .unwrap()
        };
        let mut listens = 0;
        for variable in container["env"].as_array().unwrap() {
            let (name, set) = (text(variable, "/name"), text(variable, "/value"));
            must_read(name, WHERE);
            match name {
                "TANDEM_CONFIG" => assert!(volume(at(set)).get("configMap").is_some()),
                "TANDEM_LISTEN_HTTP" => listens = port(set),
                _ if name.ends_with("_PASSWORD_FILE") => {
                    assert!(volume(at(set)).get("secret").is_some());
                }
                _ => {}
            }
        }
        assert!(
            volume(at("/var/cache/tandem")).get("emptyDir").is_some(),
            "the image's TMPDIR"
        );
        // Asked where it listens, and by paths that the contract has.
        assert_eq!(container["ports"][0]["containerPort"], listens);
        let contract = super::page::read("docs/contract.md");
        for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
            let path = text(container, &format!("/{probe}/httpGet/path"));
            assert!(
                contract.contains(&format!("| `{path}` |")),
                "{probe}: {path}"
            );
            assert_eq!(
                text(container, &format!("/{probe}/httpGet/port")),
                text(&container["ports"][0], "/name")
            );
        }
        assert_ne!(
            text(container, "/livenessProbe/httpGet/path"),
            "/readyz",
            "a side that is away kills nothing"
        );
        assert_eq!(
            pod["metadata"]["annotations"]["prometheus.io/port"],
            listens.to_string()
        );
        // TANDEM_PORT and the like would be refused as settings that don't exist.
        assert_eq!(pod["spec"]["enableServiceLinks"], false);
        assert_eq!(pod["spec"]["securityContext"]["runAsNonRoot"], true);
        assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
        // All that is of this desktop finds its pods, and its namespace is there.
        let labels = &pod["metadata"]["labels"];
        let namespace = text(deployment, "/metadata/namespace");
        assert!(
            namespaces
                .iter()
                .any(|one| text(one, "/metadata/name") == namespace),
            "{namespace}"
        );
        let beside = |kind: &str| {
            let here = of(all, kind);
            let found = here
                .into_iter()
                .find(|one| text(one, "/metadata/namespace") == namespace);
            found.unwrap_or_else(|| panic!("{namespace} has no {kind}"))
        };
        assert_eq!(&deployment["spec"]["selector"]["matchLabels"], labels);
        assert_eq!(&beside("Service")["spec"]["selector"], labels);
        assert_eq!(
            &beside("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
            labels
        );
        assert_eq!(beside("Service")["spec"]["ports"][0]["port"], listens);
        assert_eq!(
            beside("NetworkPolicy")["spec"]["ingress"][0]["ports"][0]["port"],
            listens
        );
        // Its settings make sense, and their databases can be dialled.
        let map = beside("ConfigMap");
        assert_eq!(
            text(volume(at("/etc/tandem/tandem.toml")), "/configMap/name"),
            text(map, "/metadata/name")
        );
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tandem.toml");
        fs::write(&file, text(map, "/data/tandem.toml")).unwrap();
        let settings = settings_of(file.to_str().unwrap(), &[]);
        let open = beside("NetworkPolicy")["spec"]["egress"].to_string();
        for endpoint in [&settings.desktop.endpoint, &settings.cloud.endpoint] {
            assert!(
                open.contains(&format!("\"port\":{}", endpoint.port)),
                "{open}"
            );
        }
        // memory_max and 64 MB fit.
        assert!(settings.forward.memory_max + 64_000_000 < 256 << 20);
        assert_eq!(text(container, "/resources/limits/memory"), "256Mi");
    }
}

#[test]
fn each_desktop_is_rendered_as_the_program_needs_it() {
    for (path, text) in files(&[WHERE], &["yaml"]) {
        assert!(!documents(&text).is_empty(), "{path}");
    }
    let Some(kubectl) = found("kubectl", "desktops as Kustomize renders them") else {
        return;
    };
    let text = rendered(&kubectl, &root().join(WHERE));
    check(&documents(&text));
    if let Some(validate) = found("kubernetes-validate", "Kubernetes' own schemas") {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("all.yaml");
        fs::write(&file, text).unwrap();
        said(Command::new(validate).arg("--strict").arg(file));
    }
}

/// A copy of a folder.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (path, name) = (entry.path(), entry.file_name());
        match path.is_dir() {
            true => copy(&path, &to.join(name)),
            false => drop(fs::copy(&path, to.join(name)).unwrap()),
        }
    }
}

#[test]
fn one_more_desktop_is_a_folder_and_a_line() {
    let Some(kubectl) = found("kubectl", "one more desktop") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    copy(&root().join(WHERE), folder.path());
    let add = |name: &str| {
        let script = folder.path().join("add-desktop.sh");
        Command::new("sh")
            .arg(script)
            .arg(name)
            .output()
            .unwrap()
            .status
            .code()
    };
    assert_eq!(add("office-2"), Some(0));
    // Twice, and names that no namespace may have.
    for name in ["office-2", "Office", "a b", "-x", "../x"] {
        assert_eq!(add(name), Some(2), "{name}");
    }
    let all = documents(&rendered(&kubectl, folder.path()));
    check(&all);
    let namespaces = of(&all, "Namespace").into_iter();
    let names: Vec<_> = namespaces.map(|one| text(one, "/metadata/name")).collect();
    assert_eq!(names, ["tandem-office-1", "tandem-office-2"]);
}
