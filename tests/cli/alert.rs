//! `tandem alert test`: real mail servers and a web server, fine ones and others; what it says, and what it never says.

use std::path::Path;

use tokio::net::TcpListener;

use crate::support::Nobody;
use crate::support::mailbox::{Hook, Mailbox, PASSWORD, USER};
use crate::support::office::{finish, tandem};

const SIDES: &str = "replicator = \"office-7\"\n[desktop]\nurl = \"postgres://d@127.0.0.1:1/d\"\n[cloud]\nurl = \"postgres://c@127.0.0.1:1/c\"\n";
/// Part of the webhook's address, and of its header.
const PATH: &str = "T0K3N/cAnary-path";
const HEADER: &str = "cAnary-header";

/// Asks with these settings behind those of the sides.
async fn asked(folder: &Path, more: &str, arguments: &[&str]) -> (i32, String, String) {
    let file = tempfile::Builder::new()
        .suffix(".toml")
        .tempfile_in(folder)
        .unwrap();
    std::fs::write(file.path(), format!("{SIDES}{more}")).unwrap();
    let mut command = tandem();
    command.arg("--config").arg(file.path()).args(arguments);
    let (code, out, err) = finish(command.env("MAIL_SECRET", PASSWORD)).await;
    for secret in [PASSWORD, PATH, HEADER] {
        assert!(
            !out.contains(secret) && !err.contains(secret),
            "{out}\n{err}"
        );
    }
    (code, out, err)
}

fn mail(port: u16, more: &str) -> String {
    format!(
        "[alert.mail]\nhost = \"127.0.0.1\"\nport = {port}\nfrom = \"Tandem <tandem@example.com>\"\nto = \"it@example.com, Büro <office@example.com>\"\n{more}"
    )
}

fn login() -> String {
    format!("ca = \"mailbox/ca.crt\"\nuser = \"{USER}\"\npassword = \"${{MAIL_SECRET}}\"\n")
}

fn webhook(port: u16, more: &str) -> String {
    format!(
        "[alert.webhook]\nurl = \"http://127.0.0.1:{port}/services/{PATH}\"\nheader = \"Authorization: Bearer {HEADER}\"\n{more}"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn p16_a_test_says_of_each_way_whether_it_arrived_and_no_secret() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    let Some(letters) = Mailbox::start(folder) else {
        return;
    };
    let [open, starttls, implicit] = letters.ports;
    let test = &["alert", "test"][..];
    // Somebody who takes the connection and never says a word; it is waited for beside everything else.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hanging = mail(silent.local_addr().unwrap().port(), "tls = \"none\"\n");
    let hangs = asked(folder, &hanging, test);
    let others = async {
        let (code, _, err) = asked(folder, "", test).await;
        assert!(
            code == 2 && err.contains("nobody to tell") && err.contains("[alert.mail]"),
            "{err}"
        );

        let mut hook = Hook::start().await;
        let both = format!("{}{}", mail(starttls, &login()), webhook(hook.port, ""));
        let (code, out, err) = asked(folder, &both, test).await;
        assert_eq!((code, err.as_str()), (0, ""), "{out}");
        assert!(
            out.contains("mail") && out.contains("webhook") && out.matches("arrived").count() == 2,
            "{out}"
        );
        let letter = letters.letter();
        assert_eq!(letter["by"], "starttls");
        assert_eq!(
            letter["to"],
            serde_json::json!(["it@example.com", "office@example.com"])
        );
        let text = letter["letter"].as_str().unwrap();
        assert!(
            text.contains("Subject: [tandem] office-7: a test"),
            "{text}"
        );
        assert!(text.contains("Auto-Submitted: auto-generated"), "{text}");
        let (head, body) = hook.post().await;
        assert!(
            head.starts_with(&format!("POST /services/{PATH} HTTP/1.1")) && head.contains(HEADER),
            "{head}"
        );
        assert!(
            body["text"]
                .as_str()
                .unwrap()
                .starts_with("*[tandem] office-7: a test"),
            "{body}"
        );

        let (code, out, _) = asked(
            folder,
            &mail(implicit, &format!("tls = \"implicit\"\n{}", login())),
            &["alert", "test", "--json"],
        )
        .await;
        let document: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(
            (code, &document["ways"][0]["arrived"]),
            (0, &true.into()),
            "{out}"
        );
        assert_eq!(letters.letter()["by"], "implicit");
        let (code, out, _) = asked(folder, &mail(open, "tls = \"none\"\n"), test).await;
        assert_eq!(code, 0, "{out}");
        assert_eq!(letters.letter()["by"], "open");

        // What goes wrong: by whom, and what is said of it.
        let nobody = Nobody::new();
        let wrong = login().replace("${MAIL_SECRET}", "another");
        let stranger = login().replace("ca = \"mailbox/ca.crt\"\n", "");
        for (settings, says) in [
            (
                mail(starttls, &wrong),
                "check alert.mail.user and alert.mail.password",
            ),
            (mail(starttls, &stranger), "name its file in alert.mail.ca"),
            (
                mail(implicit, &format!("tls = \"implicit\"\n{stranger}")),
                "name its file in alert.mail.ca",
            ),
            (
                mail(open, "ca = \"mailbox/ca.crt\"\n"),
                "STARTTLS is not supported",
            ),
            (mail(nobody.port(), "tls = \"none\"\n"), "refused"),
            (webhook(nobody.port(), ""), "refused"),
            (webhook(open, "").replace("http:", "https:"), "webhook"),
        ] {
            let (code, out, err) = asked(folder, &settings, test).await;
            assert!(
                code == 1 && out.contains("DID NOT ARRIVE") && out.contains(says),
                "{settings}\n{out}{err}"
            );
        }
        letters.refuse(true);
        let (code, out, _) = asked(folder, &mail(open, "tls = \"none\"\n"), test).await;
        assert!(
            code == 1 && out.contains("451") && out.contains("the box is being emptied"),
            "{out}"
        );
        for status in [302, 404, 500] {
            hook.answer(status);
            let (code, out, _) = asked(folder, &webhook(hook.port, ""), test).await;
            // It repeats the request, of which only the harmless part is shown.
            assert!(
                code == 1 && out.contains(&format!("answered {status}")) && out.contains("POST"),
                "{out}"
            );
        }
    };
    let ((code, out, _), ()) = tokio::join!(hangs, others);
    assert!(code == 1 && out.contains("no answer for"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn p16_settings_of_alerts_are_checked_at_once_and_show_no_secret() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    let both = format!(
        "[alert]\nafter = \"2m\"\n{}{}",
        mail(25, &login()),
        webhook(80, "")
    );
    let (code, out, err) = asked(folder, &both, &["config", "show"]).await;
    assert_eq!(code, 0, "{err}");
    for line in [
        "alert.after",
        "alert.repeat",
        "alert.daily",
        "alert.lag",
        "alert.mail.host",
        "alert.mail.to",
        "alert.mail.password",
        "alert.webhook.url",
        "alert.webhook.header",
    ] {
        assert!(out.contains(line), "{line}: {out}");
    }
    assert!(out.matches("***").count() >= 3, "{out}");
    for (settings, says) in [
        ("[alert]\nafte = \"1m\"\n", "did you mean after?"),
        ("[alert]\nafter = \"2d\"\n", "out of range"),
        ("[alert]\ndaily = \"8\"\n", "isn't a time of the day"),
        ("[alert]\ndaily = \"24:00\"\n", "isn't a time of the day"),
        ("[alert.mial]\nhost = \"x\"\n", "did you mean mail?"),
        ("[alert]\nmail = \"cAnary-path\"\n", "written [alert.mail]"),
        ("[alert.mail]\nhots = \"x\"\n", "did you mean host?"),
        (
            "[alert.mail]\nfrom = \"a@b.example\"\n",
            "alert.mail.host is missing",
        ),
        (
            "[alert.mail]\nhost = \"m\"\nfrom = \"a@b.example\"\n",
            "alert.mail.to is missing",
        ),
        (
            "[alert.mail]\nhost = \"m\"\nto = \"nobody\"\n",
            "isn't an address",
        ),
        (
            "[alert.mail]\nhost = \"smtps://u:cAnary-path@m\"\n",
            "isn't the name of a server",
        ),
        (
            "[alert.mail]\nhost = \"m\"\nfrom = \"a@b.example\"\nto = \"a@b.example\"\nuser = \"u\"\n",
            "alert.mail.password is missing",
        ),
        (
            "[alert.mail]\nhost = \"m\"\nfrom = \"a@b.example\"\nto = \"a@b.example\"\ntls = \"none\"\nuser = \"u\"\npassword = \"cAnary-path\"\n",
            "in the open",
        ),
        (
            "[alert.webhook]\nurl = \"hooks.example/T0K3N/cAnary-path\"\n",
            "isn't the address of a web server",
        ),
        (
            "[alert.webhook]\nurl = \"https://u:cAnary-path@h/x\"\n",
            "holds a user",
        ),
        (
            "[alert.webhook]\nurl = \"https://h/x\"\nformat = \"jsn\"\n",
            "did you mean \"json\"?",
        ),
        (
            "[alert.webhook]\nurl = \"https://h/x\"\nheader = \"cAnary-path\"\n",
            "isn't a header",
        ),
        (
            "[alert.webhook]\nheader = \"A: cAnary-path\"\n",
            "alert.webhook.url is missing",
        ),
    ] {
        let (code, _, err) = asked(folder, settings, &["alert", "test"]).await;
        assert!(code == 2 && err.contains(says), "{settings}{err}");
        assert!(!err.contains("cAnary"), "{settings}{err}");
    }
    // Each scalar has its variable.
    let mut command = tandem();
    let file = folder.join("tandem.toml");
    std::fs::write(&file, SIDES).unwrap();
    command.arg("--config").arg(&file).args(["config", "show"]);
    for (name, value) in [
        ("HOST", "mx.example"),
        ("FROM", "a@b.example"),
        ("TO", "c@d.example"),
    ] {
        command.env(format!("TANDEM_ALERT_MAIL_{name}"), value);
    }
    let (code, out, err) = finish(command.env("TANDEM_ALERT_AFTER", "90s")).await;
    assert!(
        code == 0 && out.contains("mx.example") && out.contains("environment TANDEM_ALERT_AFTER"),
        "{out}{err}"
    );
}
