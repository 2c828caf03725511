//! A desktop and a cloud server, in the versions at hand.

use std::thread;

use tandem::demo::cluster::{Binaries, Cluster, ClusterSpec, Error, find_binaries};

/// The oldest and the newest major version at hand, or the only one.
///
/// `TANDEM_PG_VERSIONS=15,17` names others. Panics when a named version, or any at all, is missing: a test that
/// passes because it had no server would be a lie.
pub fn versions() -> Vec<Binaries> {
    let mut found = find_binaries(None).unwrap();
    let wanted: Vec<u32> = match std::env::var("TANDEM_PG_VERSIONS") {
        Ok(list) => list
            .split(',')
            .map(|version| version.trim().parse().unwrap())
            .collect(),
        Err(_) => found
            .first()
            .into_iter()
            .chain(found.last())
            .map(|end| end.version)
            .collect(),
    };
    for version in &wanted {
        let here = found.iter().any(|binaries| binaries.version == *version);
        assert!(
            here,
            "PostgreSQL {version} isn't here; run: deploy/postgres.sh --install {version}"
        );
    }
    found.retain(|binaries| wanted.contains(&binaries.version));
    found
}

/// Every major version at hand, or those that `TANDEM_PG_VERSIONS` names.
pub fn all() -> Vec<Binaries> {
    match std::env::var("TANDEM_PG_VERSIONS") {
        Ok(_) => versions(),
        Err(_) => find_binaries(None).unwrap(),
    }
}

/// The newest of [`versions`].
pub fn newest() -> Binaries {
    versions().pop().unwrap()
}

/// What changes nothing that a test looks at and takes a server less time: its files are in memory, it dies by signals and not with
/// the machine, and large tables are read again and again. What a test sets itself wins.
fn in_memory(spec: &ClusterSpec) -> ClusterSpec {
    let mut lighter: Vec<(String, String)> = [
        ("shared_buffers", "128MB"),
        ("logical_decoding_work_mem", "128MB"),
        ("wal_init_zero", "off"),
        ("jit", "off"),
    ]
    .map(|(name, value)| (name.into(), value.into()))
    .into();
    if !spec.fsync {
        lighter.push(("full_page_writes".into(), "off".into()));
    }
    lighter.extend(spec.settings.iter().cloned());
    ClusterSpec {
        settings: lighter,
        ..spec.clone()
    }
}

/// The two ends of a replication, started side by side.
pub struct Pair {
    /// Where the changes are made.
    pub desktop: Cluster,
    /// Where they are to arrive.
    pub cloud: Cluster,
    // The product's own SQL client goes here, a connection to each end.
}

impl Pair {
    /// Both ends of one version.
    pub fn start(binaries: &Binaries) -> Result<Pair, Error> {
        Pair::start_with(
            (binaries, &ClusterSpec::default()),
            (binaries, &ClusterSpec::default()),
        )
    }

    /// Each end of a version and a kind of its own.
    pub fn start_with(
        desktop: (&Binaries, &ClusterSpec),
        cloud: (&Binaries, &ClusterSpec),
    ) -> Result<Pair, Error> {
        let (on_desktop, in_cloud) = (in_memory(desktop.1), in_memory(cloud.1));
        thread::scope(|scope| {
            let desktop = scope.spawn(|| Cluster::start(desktop.0, &on_desktop));
            let cloud = Cluster::start(cloud.0, &in_cloud);
            let desktop = desktop.join().expect("starting a cluster panicked");
            Ok(Pair {
                desktop: desktop?,
                cloud: cloud?,
            })
        })
    }
}
