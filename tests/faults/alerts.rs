//! Whoever looks after an office hears of what is wrong, by real mail and a real webhook: each alert arrives and recovers, a
//! restart neither repeats nor forgets it, and a mail server that refuses holds nothing up.

use serde_json::Value;

use crate::support::mailbox::{Hook, Mailbox};
use crate::support::office::{Office, PATIENCE, exec, until, value};
use crate::support::watched::{DDL, watched_with};

const SECRET: &str = "T0K3N-cAnary";

/// The next message but for reminders: of which event, and all of it.
async fn told(hook: &mut Hook, event: &str) -> Value {
    let (_, message) = hook.post().await;
    assert_eq!(message["event"], event, "{message:#}");
    message
}

fn reasons(message: &Value) -> String {
    let reasons = message["reasons"].as_array().unwrap();
    reasons
        .iter()
        .map(|line| line.as_str().unwrap())
        .collect::<Vec<_>>()
        .join("\n")
}

/// Waits until `status` says this; returns its exit code.
async fn says(office: &Office, words: &str) -> i32 {
    let asked = async {
        loop {
            let (code, out, err) = office.ask(&["status"]).await;
            assert!(!out.contains(SECRET) && !err.contains(SECRET), "{out}{err}");
            if out.contains(words) {
                return code;
            }
        }
    };
    tokio::time::timeout(PATIENCE, asked)
        .await
        .expect("status doesn't say it")
}

#[tokio::test(flavor = "multi_thread")]
async fn p15_what_is_wrong_is_told_once_and_its_end_too() {
    let mut hook = Hook::start().await;
    let place = tempfile::tempdir().unwrap();
    let letters = Mailbox::start(place.path());
    let mail = letters.as_ref().map_or(String::new(), |letters| {
        format!(
            "[alert.mail]\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\nfrom = \"t@example.com\"\nto = \"it@example.com\"\n",
            letters.ports[0]
        )
    });
    let settings = format!(
        "[alert]\nafter = \"2s\"\nrepeat = \"off\"\ndaily = \"00:00\"\n[alert.webhook]\nformat = \"json\"\nurl = \"http://127.0.0.1:{}/{SECRET}\"\n{mail}",
        hook.port
    );
    let cloud = DDL.replace(
        "note text",
        "note text constraint fine check (note <> 'hush hush')",
    );
    let it = watched_with(&settings, "", DDL, &cloud).await;
    let office = &it.office;
    let mut service = office.run();
    office.caught_up(&mut service).await;

    // The summary of the day is due from its first minute on.
    let summary = told(&mut hook, "daily").await;
    assert_eq!(summary["replicator"], office.observer().await.replicator);
    if let Some(letters) = &letters {
        let letter = letters.letter();
        assert!(
            letter["letter"].as_str().unwrap().contains(": today: "),
            "{letter:#}"
        );
    }

    // A row that the cloud refuses.
    exec(&office.desktop, "insert into item values (1, 'hush hush')").await;
    let alert = told(&mut hook, "alert").await;
    assert_eq!(alert["verdict"], "needs_you");
    assert!(
        reasons(&alert).contains("item: 1 row waits in quarantine")
            && reasons(&alert).contains("23514"),
        "{alert:#}"
    );
    assert!(
        !alert.to_string().contains("hush"),
        "a value has left the house: {alert:#}"
    );
    assert!(
        alert["next"].to_string().contains("tandem quarantine list") && alert["since"].is_string()
    );
    if let Some(letters) = &letters {
        let letter = letters.letter();
        assert!(
            letter["letter"].as_str().unwrap().contains("needs you"),
            "{letter:#}"
        );
    }
    assert_eq!(says(office, "people were told of it").await, 1);

    // It is known after a restart and after a kill; what comes on top is told, and what was told isn't told again.
    assert_eq!(service.stop().await, 0);
    let service = office.run();
    says(office, "service   running").await;
    service.kill().await;
    let mut service = office.run();
    if let Some(letters) = &letters {
        letters.refuse(true);
    }
    let rename = "set role postgres; alter table other rename to another; reset role";
    exec(&office.cloud, rename).await;
    exec(&office.desktop, "insert into other values (1)").await;
    let alert = told(&mut hook, "alert").await;
    assert!(
        reasons(&alert).contains("other: stopped") && reasons(&alert).contains("item: 1 row"),
        "{alert:#}"
    );

    // A mail server that refuses: said everywhere, tried again, and nothing waits for it.
    if let Some(letters) = &letters {
        assert_eq!(says(office, "by mail DO NOT ARRIVE").await, 1);
        it.shows(503, "needs_you", "tandem_alert_failed{way=\"mail\"}", 1.0)
            .await;
        assert!(office.log().contains("a message to people did not arrive"));
        exec(&office.desktop, "insert into item values (2, 'on its way')").await;
        office.caught_up(&mut service).await;
        assert_eq!(
            value(&office.cloud, "select note from item where id = 2").await,
            "on its way"
        );
        let alert = told(&mut hook, "alert").await;
        assert!(
            reasons(&alert).contains("alerts by mail don't arrive"),
            "{alert:#}"
        );
        letters.refuse(false);
        let letter = letters.letter();
        let letter = letter["letter"].as_str().unwrap();
        assert!(letter.contains("stopped"), "{letter}");
        it.shows(503, "needs_you", "tandem_alert_failed{way=\"mail\"}", 0.0)
            .await;
    }

    // The cloud goes while something is wrong, and the service with it; then all is mended.
    office.to_cloud.refuse(true);
    office.to_cloud.cut();
    let alert = told(&mut hook, "alert").await;
    assert_eq!(alert["verdict"], "unknown");
    assert!(reasons(&alert).contains("the desktop answers"), "{alert:#}");
    // Whoever asks at the office hears of it as well, though one side says all there is.
    assert_eq!(says(office, "people were told of it").await, 4);
    let (code, out, err) = office.ask(&["status", "--json"]).await;
    let status: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &status["verdict"]), (4, &"unknown".into()), "{err}");
    assert!(status["alert"]["open_since"].is_string(), "{status:#}");
    // Between its arrival and the word that it has arrived a kill would send it again.
    let known = "select memory::jsonb #>> '{open,message,verdict}' = 'unknown' and memory::jsonb #>> '{ways,webhook,waiting}' is null from tandem.alert";
    until(&office.desktop, known).await;
    service.kill().await;
    let mut service = office.run();
    office.to_cloud.refuse(false);
    let rename = "set role postgres; alter table another rename to other; alter table item drop constraint fine; reset role";
    exec(&office.cloud, rename).await;
    let recovery = told(&mut hook, "recovered").await;
    assert!(
        recovery["subject"]
            .as_str()
            .unwrap()
            .ends_with("well again"),
        "{recovery:#}"
    );
    office.caught_up(&mut service).await;
    assert_eq!(says(office, "caught up").await, 0);

    // What stops the service for good is told before it ends.
    exec(&office.desktop, "drop publication tandem").await;
    assert_eq!(service.ended().await, 5);
    let last = told(&mut hook, "alert").await;
    assert_eq!(last["verdict"], "stopped");
    assert!(
        last.to_string().contains("tandem bootstrap --restart"),
        "{last:#}"
    );
    // It was said; who starts it in vain again isn't told again.
    let mut again = office.run();
    assert_eq!(again.ended().await, 5);
    let kept = value(&office.desktop, "select memory from tandem.alert").await;
    let memory: Value = serde_json::from_str(&kept).unwrap();
    assert!(
        memory["open"]["message"]["verdict"] == "stopped"
            && memory["ways"]["webhook"]["waiting"].is_null(),
        "{memory:#}"
    );
    assert!(!kept.contains(SECRET) && !office.log().contains(SECRET));
    let (code, _, err) = office.ask(&["alert", "test"]).await;
    assert_eq!(code, 0, "{err}");
    told(&mut hook, "test").await;
}
