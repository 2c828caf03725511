//! tandem.exe, its service and its installer under wine, against real servers (`make windows-test`, docs/windows.md).
//!
//! Wine is not Windows: rights of files, the event log, restarts after crashes and a computer that is switched off are not seen here.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::support::office::{
    Office, PATIENCE, Service, came_home, exec, finish, tandem, until, value,
};
use crate::support::servers::newest;

/// Here, folders have names with spaces and letters that ASCII doesn't have.
const FOLDER: &str = "Büro Straße № 7";
/// A desktop of an office, without what its phones add.
const DESKTOP: &str = "create table item (id int primary key, what text); insert into item select n, 'Größe ' || n from generate_series(1, 500) n";
const CLOUD: &str = "create table item (id int primary key, what text, source text)";

/// A Windows of the test's own, with the program in a folder.
struct Wine {
    prefix: PathBuf,
    folder: PathBuf,
}

/// None where there is no tandem.exe, or nothing to run it; says so.
fn wine(office: &Office) -> Option<Wine> {
    let Some(exe) = std::env::var_os("TANDEM_WINDOWS_EXE") else {
        println!("skipped: TANDEM_WINDOWS_EXE names no tandem.exe (make windows-test)");
        return None;
    };
    for program in ["wine", "x86_64-w64-mingw32-gcc"] {
        let path = std::env::var_os("PATH").unwrap_or_default();
        if !std::env::split_paths(&path).any(|folder| folder.join(program).is_file()) {
            println!("skipped: {program} isn't installed (deploy/windows/tools.sh test)");
            return None;
        }
    }
    let prefix = std::env::var_os("WINEPREFIX").map_or_else(
        || Path::new(env!("CARGO_TARGET_TMPDIR")).join("wine"),
        PathBuf::from,
    );
    let folder = office.folder.join(FOLDER);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::copy(exe, folder.join("tandem.exe")).unwrap();
    let wine = Wine { prefix, folder };
    wine.compile("prng.c", "bcryptprimitives.dll", &["-shared", "-ladvapi32"]);
    Some(wine)
}

/// A path as a Windows program under wine has it.
fn windows(path: &Path) -> String {
    format!("Z:{}", path.display()).replace('/', "\\")
}

impl Wine {
    fn compile(&self, source: &str, out: &str, more: &[&str]) {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/windows").join(source);
        let mut gcc = std::process::Command::new("x86_64-w64-mingw32-gcc");
        let built = gcc.arg(source).arg("-o").arg(self.folder.join(out)).args(more);
        assert!(built.status().unwrap().success(), "{built:?}");
    }

    /// A program of the folder, with nothing of this process's environment that it would read.
    fn program(&self, program: &Path) -> Command {
        let clean = tandem();
        let mut command = Command::new("wine");
        for (name, value) in clean.as_std().get_envs() {
            assert!(value.is_none(), "only what is taken away");
            command.env_remove(name);
        }
        command
            .arg(program)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .env("WINEPREFIX", &self.prefix)
            .env("WINEDEBUG", "-all")
            .env("LC_ALL", "C.UTF-8")
            .kill_on_drop(true);
        command
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.program(&self.folder.join("tandem.exe"));
        command.args(arguments);
        command
    }

    async fn ask(&self, arguments: &[&str]) -> (i32, String) {
        let (code, out, said) = finish(&mut self.command(arguments)).await;
        (code, format!("{out}{said}").replace("\r\n", "\n"))
    }

    async fn fine(&self, arguments: &[&str]) -> String {
        let (code, said) = self.ask(arguments).await;
        assert_eq!(code, 0, "{arguments:?}: {said}");
        said
    }

    /// `tandem run` as the office's own service is.
    fn run(&self, office: &Office) -> Service {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(office.folder.join("run.log"))
            .unwrap();
        let mut command = self.command(&["run"]);
        command.stdout(Stdio::null()).stderr(log);
        Service {
            child: command.spawn().unwrap(),
        }
    }

    /// The program's logs: names and texts.
    fn logs(&self, folder: &Path) -> Vec<(String, String)> {
        let files = std::fs::read_dir(folder).unwrap();
        let mut logs: Vec<_> = files
            .map(|file| file.unwrap().path())
            .map(|path| {
                let text = std::fs::read_to_string(&path).unwrap();
                (path.file_name().unwrap().to_string_lossy().into_owned(), text)
            })
            .collect();
        logs.sort();
        logs
    }

    /// Ends every program of this Windows.
    async fn shut_down(&self) {
        let mut command = Command::new("wineserver");
        finish(command.arg("-k").env("WINEPREFIX", &self.prefix)).await;
    }
}

async fn office() -> Office {
    Office::with_tables(&newest(), "", DESKTOP, CLOUD).await
}

/// What `init` wrote, as Notepad would leave it: a byte order mark, and a carriage return before each line feed.
fn edited(file: &Path, more: &str) {
    let text = std::fs::read_to_string(file).unwrap();
    let text = format!("\u{feff}{text}\n{more}").replace('\n', "\r\n");
    std::fs::write(file, text).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_windows_program_does_what_every_tandem_does() {
    let office = office().await;
    let Some(wine) = wine(&office) else { return };
    let settings = wine.folder.join("tandem.toml");
    let [desktop, cloud] = office.urls();
    let said = wine.fine(&["--version"]).await;
    assert_eq!(said, format!("tandem {}\n", env!("CARGO_PKG_VERSION")));
    let (code, said) = wine.ask(&["status"]).await;
    assert!(code == 2 && said.contains("there is no settings file"), "{said}");

    let out = windows(&settings);
    wine.fine(&["init", "--desktop", &desktop, "--cloud", &cloud, "--out", &out]).await;
    std::fs::write(wine.folder.join(".env"), "OFFICE=büro\r\n").unwrap();
    edited(
        &settings,
        "[heartbeat]\nevery = \"1s\"\n[log]\nformat = \"text\"\nfile = \"Protokolle für ${OFFICE}\"\n",
    );
    wine.fine(&["config", "check"]).await;
    wine.fine(&["doctor"]).await;
    wine.fine(&["bootstrap"]).await;
    wine.fine(&["verify"]).await;

    let mut service = wine.run(&office);
    office.caught_up(&mut service).await;
    exec(&office.desktop, "update item set what = 'größer' where id <= 10").await;
    office.caught_up(&mut service).await;
    exec(&office.cloud, "insert into item values (1001, 'vom Telefon ☎', 'M')").await;
    until(&office.desktop, "select count(*) = 1 from item where what = 'vom Telefon ☎'").await;
    came_home(&office).await;
    let (code, said) = wine.ask(&["status"]).await;
    assert!(code == 0 && said.contains("caught up"), "{said}");

    // It dies in the middle of its work, and goes on where the cloud is.
    exec(&office.desktop, "insert into item select n, 'später' from generate_series(2001, 4000) n").await;
    service.kill().await;
    exec(&office.desktop, "delete from item where id between 2001 and 2100").await;
    let mut service = wine.run(&office);
    office.caught_up(&mut service).await;
    service.signal("INT");
    assert_eq!(service.ended().await, 0, "{}", office.log());
    wine.fine(&["verify"]).await;
    assert_eq!(value(&office.cloud, "select count(*) from item").await, "2401");

    // A scanner or an editor has the log of today open for itself alone.
    let folder = wine.folder.join("Protokolle für büro");
    let first = wine.logs(&folder);
    assert!(first.len() == 1 && first[0].1.contains("tandem starts"), "{first:?}");
    wine.compile("hold.c", "hold.exe", &["-municode"]);
    let mut holder = wine.program(&wine.folder.join("hold.exe"));
    holder.arg(windows(&folder.join(&first[0].0)));
    let mut holder = holder.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    assert_eq!(lines.next_line().await.unwrap().unwrap_or_default().trim(), "held");
    let mut service = wine.run(&office);
    exec(&office.desktop, "insert into item values (5000, 'trotzdem')").await;
    office.caught_up(&mut service).await;
    service.signal("INT");
    assert_eq!(service.ended().await, 0, "{}", office.log());
    drop(holder.stdin.take());
    tokio::time::timeout(PATIENCE, holder.wait()).await.unwrap().unwrap();
    let beside: Vec<_> = wine.logs(&folder).into_iter().filter(|log| log.0.starts_with("tandem-2.")).collect();
    assert!(
        beside.len() == 1 && beside[0].1.contains("can't be opened") && beside[0].1.contains("stopped"),
        "{beside:?}"
    );
    assert_eq!(wine.logs(&folder).first().map(|log| &log.1), first.first().map(|log| &log.1));
    office.assert_equal().await;
    wine.shut_down().await;
}
