//! Two firms, two desktops, one cloud, the same ids: each one's stream, crash, re-mapping and uninstall leave the
//! other's rows byte for byte as they were.

use crate::support::office::{
    Office, Place, Plan, connect, exec, load, may_shrink, places, powerca_tables, until, value,
};
use tandem::demo::cluster::Cluster;
use tandem::wire::control::Control;

/// Tables of the cloud with their tenant's column.
const TABLES: [&str; 10] = [
    "orgmaster",
    "locmaster",
    "conmaster",
    "climaster",
    "mbstaff",
    "jobshead",
    "jobtasks",
    "taskchecklist",
    "reminder",
    "remdetail",
];

fn settings(org: u32) -> String {
    let tables = may_shrink(&powerca_tables());
    // The keys of a cloud that firms share begin with the firm.
    let tables = tables.replace(
        "cloud = \"remdetail\"",
        "cloud = \"remdetail\"\nkey = [\"org_id\", \"remdetid\"]",
    );
    format!(
        "replicator = \"firm-{org}\"\n[heartbeat]\nevery = \"200ms\"\n[tenant]\norg_id = {org}\n{tables}"
    )
}

/// All that a firm's rows consist of, their versions and places included.
async fn bytes_of(cloud: &Control, org: u32) -> Vec<String> {
    let mut all = Vec::new();
    for table in TABLES {
        let sql = format!(
            "select count(*) || ' ' || coalesce(sum(hashtextextended(t::text || t.xmin::text || t.ctid::text, 0)), 0) from {table} as t where org_id = {org}"
        );
        all.push(format!("{table} {}", value(cloud, &sql).await));
    }
    all
}

/// The second firm: a desktop of its own, and settings that lead to the first one's cloud.
struct Second {
    desktop: Control,
    file: std::path::PathBuf,
    _server: Cluster,
}

impl Second {
    async fn open(place: &Place, first: &Office) -> Second {
        let server = Cluster::start(&place.binaries, &Default::default()).unwrap();
        let admin = connect(&server, "postgres", "postgres").await;
        exec(&admin, "create database enterprise_db").await;
        let desktop = connect(&server, "postgres", "enterprise_db").await;
        load(
            &desktop,
            &["desktop", "generate", "work", "dirty", "tenants_desktop"],
        )
        .await;
        exec(
            &desktop,
            "select demo.generate(2, 0.05); select demo.tenant(2)",
        )
        .await;
        let text = std::fs::read_to_string(first.file()).unwrap();
        let (_, cloud) = text.split_once("[cloud]\n").unwrap();
        let cloud = cloud.lines().next().unwrap();
        // `replicator` stands before the first section.
        let rest = settings(2);
        let (name, rest) = rest.split_once('\n').unwrap();
        let text = format!(
            "{name}\n[desktop]\nurl = \"postgres://postgres@{}:{}/enterprise_db\"\n\n[cloud]\n{cloud}\n\n{rest}\n",
            server.host(),
            server.port()
        );
        let file = first.folder.join("second.toml");
        std::fs::write(&file, text).unwrap();
        Second {
            desktop,
            file,
            _server: server,
        }
    }

    fn run(&self, log: &Office) -> crate::support::office::Service {
        log.run_with(&self.file)
    }
}

async fn second_caught_up(
    office: &Office,
    second: &Second,
    service: &crate::support::office::Service,
) {
    let process = service.child.id().unwrap();
    until(&office.cloud, &format!("select count(*) = 1 from tandem.checkpoint where replicator = 'firm-2' and holder like '%/{process}/%' and held_until > now()")).await;
    let (code, out, said) = crate::support::office::finish(
        crate::support::office::tandem()
            .arg("--config")
            .arg(&second.file)
            .args(["wait", "--timeout", "200s"]),
    )
    .await;
    assert_eq!(code, 0, "{out} {said} {}", office.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn u01_two_firms_share_a_cloud_and_never_touch_each_others_rows() {
    for place in places() {
        let plan = Plan {
            settings: settings(1),
            ..Plan::powerca(&place, 0.05)
        };
        let office = Office::open(&plan).await;
        load(&office.cloud, &["tenants_cloud"]).await;
        exec(&office.desktop, "select demo.tenant(1)").await;
        let second = Second::open(&place, &office).await;
        let mut ours = office.run();
        office.caught_up(&mut ours).await;
        let before = bytes_of(&office.cloud, 1).await;
        // The other firm's first copy, stream, crash and re-mapping.
        let theirs = second.run(&office);
        second_caught_up(&office, &second, &theirs).await;
        exec(&second.desktop, "select demo.work(5, 300); select sync_views_to_tables(); delete from jobtasks where job_id % 3 = 0; update climaster set client_id = client_id + 100000 where client_id % 7 = 0").await;
        second_caught_up(&office, &second, &theirs).await;
        exec(
            &second.desktop,
            "update jobshead set work_desc = 'x' || job_id; truncate mbremdetail",
        )
        .await;
        theirs.kill().await;
        assert_eq!(bytes_of(&office.cloud, 1).await, before, "stream and crash");
        let text = std::fs::read_to_string(&second.file).unwrap();
        std::fs::write(
            &second.file,
            text.replace(
                "skip = [\"jctincharge\"]",
                "skip = [\"jctincharge\", \"job_uid\"]",
            ),
        )
        .unwrap();
        let mut theirs = second.run(&office);
        second_caught_up(&office, &second, &theirs).await;
        assert_eq!(bytes_of(&office.cloud, 1).await, before, "re-mapping");
        // Both at work, then the other leaves.
        let others = bytes_of(&office.cloud, 2).await;
        exec(
            &office.desktop,
            "select demo.work(6, 300); update mbstaff set name = name || '!'",
        )
        .await;
        office.caught_up(&mut ours).await;
        assert_eq!(bytes_of(&office.cloud, 2).await, others);
        assert_eq!(theirs.ended_after_term().await, 0);
        let before = bytes_of(&office.cloud, 1).await;
        let mut uninstall = crate::support::office::tandem();
        let (code, out, said) = crate::support::office::finish(
            uninstall
                .arg("--config")
                .arg(&second.file)
                .args(["uninstall", "--yes"]),
        )
        .await;
        assert_eq!(code, 0, "{out} {said}");
        assert_eq!(bytes_of(&office.cloud, 1).await, before, "uninstall");
        assert_eq!(
            bytes_of(&office.cloud, 2).await,
            others,
            "its own rows stay"
        );
        assert_eq!(
            value(
                &office.cloud,
                "select string_agg(replicator, ' ') from tandem.checkpoint"
            )
            .await,
            "firm-1"
        );
        exec(&office.desktop, "update mbstaff set name = name || '?'").await;
        office.caught_up(&mut ours).await;
        office.assert_equal().await;
        assert_eq!(ours.stop().await, 0);
    }
}
