//! What watches the service hears how it is: systemd over its socket, and whoever asks with `tandem probe`.

use std::os::unix::net::UnixDatagram;
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use crate::support::office::{Office, PATIENCE, exec};
use crate::support::watched::watched;

/// Somebody who listens as systemd does, always.
struct Manager {
    words: Receiver<String>,
    heard: Vec<String>,
}

impl Manager {
    fn new(office: &Office) -> (Manager, String) {
        let path = office.folder.join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let (hear, words) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length) = socket.recv(&mut buffer) {
                let said = String::from_utf8(buffer[..length].to_vec()).unwrap();
                if said.lines().any(|line| hear.send(line.to_owned()).is_err()) {
                    return;
                }
            }
        });
        let heard = Vec::new();
        (Manager { words, heard }, path.to_str().unwrap().to_owned())
    }

    /// Listens until this is said, however much else is.
    fn hears(&mut self, wanted: &str) {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let line = self.words.recv_timeout(left).ok();
            let line = line.filter(|_| !left.is_zero());
            let line = line.unwrap_or_else(|| panic!("{wanted} isn't said; {:?}", self.heard));
            self.heard.push(line.clone());
            if line.starts_with(wanted) {
                return;
            }
        }
    }

    /// Whether it was said until now.
    fn has_heard(&mut self, word: &str) -> bool {
        self.heard.extend(self.words.try_iter());
        self.heard.iter().any(|line| line.starts_with(word))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn systemd_hears_that_it_is_up_that_it_works_how_it_is_and_that_it_ends() {
    let it = watched("").await;
    let (mut manager, path) = Manager::new(&it.office);
    let (code, _, said) = it.office.ask(&["probe"]).await;
    assert!(
        code == 3 && said.contains("nobody answers"),
        "{code} {said}"
    );

    let env = [
        ("NOTIFY_SOCKET", path.as_str()),
        ("WATCHDOG_USEC", "300000"),
    ];
    let mut service = it.office.run_among(&env);
    manager.hears("READY=1");
    assert_eq!(manager.heard, ["READY=1"], "it comes first");
    it.office.caught_up(&mut service).await;
    it.shows(200, "caught_up", "tandem_up", 1.0).await;
    manager.hears("STATUS=caught up");
    let (code, out, said) = it.office.ask(&["probe"]).await;
    assert_eq!((code, out.as_str()), (0, "ok\n"), "{said}");
    let (code, out, said) = it.office.ask(&["probe", "--ready"]).await;
    assert_eq!((code, out.as_str()), (0, "caught_up\n"), "{said}");

    // A side that is away: it isn't ready, and says why; but it works, so nobody starts it anew.
    it.office.to_cloud.refuse(true);
    it.office.to_cloud.cut();
    manager.hears("STATUS=cannot tell");
    let (code, out, _) = it.office.ask(&["probe", "--ready"]).await;
    assert!(code == 1 && out.starts_with("unknown"), "{code} {out}");
    manager.words.try_iter().for_each(drop);
    manager.hears("WATCHDOG=1");
    manager.hears("WATCHDOG=1");
    assert_eq!(it.office.ask(&["probe"]).await.0, 0);
    it.office.to_cloud.refuse(false);
    exec(&it.office.desktop, "insert into item values (1, 'x')").await;
    it.office.caught_up(&mut service).await;

    service.signal("TERM");
    manager.hears("STOPPING=1");
    assert_eq!(service.ended().await, 0);

    // Nobody listens there: that keeps nobody from work.
    let gone = it.office.folder.join("nobody");
    let mut service = it.office.run_where("NOTIFY_SOCKET", gone.to_str().unwrap());
    it.office.caught_up(&mut service).await;
    assert_eq!(service.stop().await, 0);

    // Settings that make no sense are never called ready.
    let good = std::fs::read_to_string(it.office.file()).unwrap();
    let bad = good.replace("every = \"500ms\"", "ever = \"1s\"");
    std::fs::write(it.office.file(), bad).unwrap();
    manager.has_heard("");
    manager.heard.clear();
    let mut service = it.office.run_among(&env);
    assert_eq!(service.ended().await, 2);
    assert!(!manager.has_heard(""), "{:?}", manager.heard);
    let listens = format!("http = \"127.0.0.1:{}\"", it.port);
    std::fs::write(it.office.file(), good.replace(&listens, "http = \"off\"")).unwrap();
    let (code, _, said) = it.office.ask(&["probe"]).await;
    assert!(code == 2 && said.contains("listen.http"), "{code} {said}");
}
