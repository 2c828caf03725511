//! Passwords, and what SCRAM binds them to.

use tandem::config::SslMode::{Disable, Require};
use tandem::config::{ChannelBinding, Endpoint, Host, Secret};
use tandem::demo::cluster::Cluster;
use tandem::wire::{Mode, Session, WireError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::support::office::PATIENCE;

use super::both::{PASSWORD, both, by_session, exec, servers, stops, with_password};

/// A role for each way to prove oneself.
async fn roles(cluster: &Cluster) {
    let password = PASSWORD.replace('\'', "''");
    let role = |name: &str, stored: &str| {
        format!(
            "set password_encryption = '{stored}'; create role {name} login password '{password}';"
        )
    };
    let scripts = [
        role("scrammer", "scram-sha-256"),
        role("fiver", "md5"),
        role("clear", "scram-sha-256"),
    ];
    exec(cluster, &scripts.concat()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_by_scram_md5_and_in_clear_and_wrong_ones_stop() {
    for cluster in servers() {
        roles(&cluster).await;
        for user in ["scrammer", "fiver", "clear"] {
            for mode in [Disable, Require] {
                let right = with_password(&cluster, user, mode, ChannelBinding::Prefer);
                assert_eq!(
                    both(&right).await.unwrap(),
                    mode == Require,
                    "{user} {mode:?}"
                );
                let wrong = Endpoint {
                    password: Some(Secret::new("canary-wrong")),
                    ..right.clone()
                };
                for error in both(&wrong).await.expect_err("a wrong password") {
                    assert_eq!(error.server().unwrap().code, "28P01", "{error}");
                    stops(&error);
                    assert!(
                        !format!("{error} {error:?}").contains("canary"),
                        "{error:?}"
                    );
                }
                let none = Endpoint {
                    password: None,
                    ..right
                };
                for error in both(&none).await.expect_err("no password") {
                    assert!(error.to_string().contains("password"), "{error}");
                    stops(&error);
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn scram_binds_to_the_channel_and_require_insists() {
    for cluster in servers() {
        roles(&cluster).await;
        for (mode, binding, bound) in [
            (Require, ChannelBinding::Require, true),
            (Require, ChannelBinding::Prefer, true),
            (Require, ChannelBinding::Disable, false),
            (Disable, ChannelBinding::Prefer, false),
        ] {
            let endpoint = with_password(&cluster, "scrammer", mode, binding);
            assert_eq!(
                by_session(&endpoint).await.unwrap(),
                (mode == Require, bound),
                "{mode:?} {binding:?}"
            );
            both(&endpoint).await.unwrap();
        }
        // Without TLS, by another method, or without any: a server that doesn't bind is not the right one.
        for (user, mode) in [
            ("scrammer", Disable),
            ("fiver", Require),
            ("clear", Require),
            ("postgres", Require),
        ] {
            let endpoint = with_password(&cluster, user, mode, ChannelBinding::Require);
            let [ours, control] = both(&endpoint).await.expect_err("nothing was bound");
            assert!(
                ours.to_string().contains("channel_binding"),
                "{user}: {ours}"
            );
            assert!(control.to_string().contains("channel"), "{user}: {control}");
            stops(&ours);
            stops(&control);
        }
    }
}

/// AuthenticationCleartextPassword, and a request for MD5.
const QUESTIONS: [&[u8]; 2] = [b"R\0\0\0\x08\0\0\0\x03", b"R\0\0\0\x0c\0\0\0\x05salt"];

#[tokio::test]
async fn p16_channel_binding_require_gives_no_password_to_a_server_that_asks_for_it() {
    for question in QUESTIONS {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let endpoint = Endpoint {
            host: Host::Tcp("127.0.0.1".into()),
            port: listener.local_addr().unwrap().port(),
            user: "u".into(),
            database: "d".into(),
            password: Some(Secret::new(PASSWORD)),
            ssl_mode: Disable,
            ssl_root_cert: None,
            application_name: None,
            connect_timeout: Some(PATIENCE),
            channel_binding: ChannelBinding::Require,
            encoding: None,
        };
        let server = async {
            let (mut socket, _) = listener.accept().await.unwrap();
            let length = socket.read_u32().await.unwrap();
            socket
                .read_exact(&mut vec![0; length as usize - 4])
                .await
                .unwrap();
            socket.write_all(question).await.unwrap();
            let mut answer = Vec::new();
            let _ = socket.read_to_end(&mut answer).await;
            answer
        };
        let client = async {
            Session::connect(&endpoint, Mode::Ordinary, &[])
                .await
                .map(drop)
        };
        let both = async { tokio::join!(server, client) };
        let (answer, refused) = timeout(PATIENCE, both).await.unwrap();
        assert!(answer.is_empty(), "{} bytes were sent", answer.len());
        assert!(
            matches!(refused, Err(WireError::Authentication(_))),
            "{refused:?}"
        );
    }
}
