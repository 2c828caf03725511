//! `sslmode` and certificates.

use std::path::{Path, PathBuf};

use tandem::config::SslMode::{Allow, Disable, Prefer, Require, VerifyCa, VerifyFull};
use tandem::config::{Endpoint, Host, RootCert, SslMode};
use tandem::demo::certificate;
use tandem::demo::cluster::{Cluster, ClusterSpec};
use tandem::wire::{Mode, PINNED, Session, WireError};

use super::both::{OTHER_NAME, at, both, exec, servers, stops};
use crate::support::servers::versions;

fn trusting(cluster: &Cluster, mode: SslMode, ca: &Path) -> Endpoint {
    Endpoint {
        ssl_root_cert: Some(RootCert::File(ca.to_owned())),
        ..at(cluster, "postgres", mode)
    }
}

/// Both are refused by TLS, in words that hold these; and a person has to act, nothing is retried.
async fn refused_by_tls(endpoint: &Endpoint, words: &[&str]) {
    for error in both(endpoint)
        .await
        .expect_err("this connection must not be made")
    {
        assert!(matches!(error, WireError::Tls(_)), "{error:?}");
        for wanted in words {
            assert!(
                error.to_string().contains(wanted),
                "no {wanted:?} in: {error}"
            );
        }
        stops(&error);
    }
}

/// A CA of the same name with another key, as a server has it whose certificates were made anew.
fn stranger(cluster: &Cluster) -> PathBuf {
    let folder = cluster.socket_dir().join("stranger");
    std::fs::create_dir(&folder).unwrap();
    cluster.account().own(&folder).unwrap();
    certificate::make(&folder, cluster.account()).unwrap();
    folder.join(certificate::CA_FILE)
}

#[tokio::test(flavor = "multi_thread")]
async fn sslmode_means_what_libpq_means() {
    for cluster in servers() {
        for (mode, encrypted) in [
            (Disable, false),
            (Allow, false),
            (Prefer, true),
            (Require, true),
        ] {
            assert_eq!(
                both(&at(&cluster, "postgres", mode)).await.unwrap(),
                encrypted,
                "{mode:?}"
            );
        }
        let ca = cluster.ca_file();
        for mode in [Prefer, Require, VerifyCa, VerifyFull] {
            assert!(
                both(&trusting(&cluster, mode, &ca)).await.unwrap(),
                "{mode:?}"
            );
        }
        // By its name too: the certificate has both.
        let by_name = Endpoint {
            host: Host::Tcp("localhost".into()),
            ..trusting(&cluster, VerifyFull, &ca)
        };
        assert!(both(&by_name).await.unwrap());
        let mut replication = Session::connect(
            &trusting(&cluster, VerifyFull, &ca),
            Mode::Replication,
            PINNED,
        )
        .await
        .unwrap();
        replication.run("IDENTIFY_SYSTEM").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn u30_a_certificate_that_does_not_hold_is_refused_with_the_cause() {
    for cluster in servers() {
        let (ca, stranger) = (cluster.ca_file(), stranger(&cluster));
        let elsewhere = |endpoint: Endpoint| Endpoint {
            host: Host::Tcp(OTHER_NAME.into()),
            ..endpoint
        };
        assert!(
            both(&elsewhere(trusting(&cluster, VerifyCa, &ca)))
                .await
                .unwrap(),
            "verify-ca ignores the name"
        );
        refused_by_tls(
            &elsewhere(trusting(&cluster, VerifyFull, &ca)),
            &["another host", OTHER_NAME],
        )
        .await;
        // With a root file, require verifies the chain, as libpq does.
        for mode in [Require, VerifyCa, VerifyFull] {
            refused_by_tls(&trusting(&cluster, mode, &stranger), &["CA", "sslrootcert"]).await;
        }
        // The system's authorities don't know a private one.
        let system = Endpoint {
            ssl_root_cert: Some(RootCert::System),
            ..at(&cluster, "postgres", VerifyFull)
        };
        refused_by_tls(&system, &["CA"]).await;
        refused_by_tls(&at(&cluster, "postgres", VerifyFull), &["CA"]).await;
        let nowhere = cluster.socket_dir().join("nowhere.crt");
        refused_by_tls(&trusting(&cluster, VerifyFull, &nowhere), &["nowhere.crt"]).await;
        let empty = cluster.socket_dir().join("empty.crt");
        std::fs::write(&empty, "no certificate\n").unwrap();
        refused_by_tls(
            &trusting(&cluster, VerifyCa, &empty),
            &["no usable CA certificate", "empty.crt"],
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_tls_on_the_server_only_the_lenient_modes_connect() {
    for binaries in versions() {
        let cluster = Cluster::start(&binaries, &ClusterSpec::default()).unwrap();
        for mode in [Disable, Allow, Prefer] {
            assert!(
                !both(&at(&cluster, "postgres", mode)).await.unwrap(),
                "{mode:?}"
            );
        }
        for mode in [Require, VerifyCa, VerifyFull] {
            refused_by_tls(&at(&cluster, "postgres", mode), &["TLS"]).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostssl_and_hostnossl_decide_which_way_is_taken() {
    for cluster in servers() {
        exec(
            &cluster,
            "create role encrypted login; create role plain login",
        )
        .await;
        for (user, mode, wanted) in [
            ("encrypted", Disable, None),
            ("encrypted", Allow, Some(true)),
            ("encrypted", Prefer, Some(true)),
            ("encrypted", Require, Some(true)),
            ("plain", Disable, Some(false)),
            ("plain", Allow, Some(false)),
            ("plain", Prefer, Some(false)),
            ("plain", Require, None),
        ] {
            match both(&at(&cluster, user, mode)).await {
                Ok(encrypted) => assert_eq!(Some(encrypted), wanted, "{user} {mode:?}"),
                Err(errors) => {
                    assert_eq!(wanted, None, "{user} {mode:?}: {errors:?}");
                    for error in errors {
                        assert_eq!(error.server().unwrap().code, "28000", "{error}");
                        stops(&error);
                    }
                }
            }
        }
    }
}
