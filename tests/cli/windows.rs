//! tandem.exe, its service and its installer under wine, against real servers (`make windows-test`, docs/windows.md).
//!
//! Wine is not Windows: rights of files, the event log, restarts after crashes and a computer that is switched off are not seen here.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::support::office::{
    Office, PATIENCE, Service, came_home, exec, finish, tandem, until, value,
};
use crate::support::servers::newest;

/// Here, folders have names with spaces and letters that ASCII doesn't have.
const FOLDER: &str = "Büro Straße № 7";
/// A desktop of an office, without what its phones add.
const DESKTOP: &str = "create table item (id int primary key, what text, source text); insert into item select n, 'Größe ' || n from generate_series(1, 500) n";
const CLOUD: &str = "create table item (id int primary key, what text, source text)";

/// A Windows of the test's own, with the program in a folder.
struct Wine {
    prefix: PathBuf,
    folder: PathBuf,
    /// A program that does nothing until the test ends.
    alive: Option<(Child, Lines<BufReader<ChildStdout>>)>,
}

/// tandem.exe, where there is one and something to run it; says what is missing.
fn exe() -> Option<PathBuf> {
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
    Some(exe.into())
}

/// A path as a Windows program under wine has it.
fn windows(path: &Path) -> String {
    format!("Z:{}", path.display()).replace('/', "\\")
}

impl Wine {
    /// `name` is the test's, which shares its Windows with no other.
    async fn new(office: &Office, exe: &Path, name: &str) -> Wine {
        let all = std::env::var_os("WINEPREFIX").map_or_else(
            || Path::new(env!("CARGO_TARGET_TMPDIR")).join("wine"),
            PathBuf::from,
        );
        std::fs::create_dir_all(&all).unwrap();
        let prefix = all.join(name);
        let folder = office.folder.join(FOLDER);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::copy(exe, folder.join("tandem.exe")).unwrap();
        let mut wine = Wine {
            prefix,
            folder,
            alive: None,
        };
        // The first start makes it, and says so.
        let mut boot = wine.program(Path::new("wineboot"));
        let made = boot.arg("-i").stderr(Stdio::null()).status().await;
        assert!(made.unwrap().success());
        // Wine's own service for USB can't start in a container, and the manager waits ten seconds for it and for nobody else.
        let mut usb = wine.program(Path::new("reg"));
        let usb = usb.args([
            "delete",
            r"HKLM\System\CurrentControlSet\Services\wineusb",
            "/f",
        ]);
        finish(usb).await;
        wine.shut_down().await;
        // Its services end with the last program that isn't one, and they keep the streams of the one that began first.
        let mut alive = wine.program(Path::new("cmd"));
        let alive = alive.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut alive = alive.stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(alive.stdout.take().unwrap()).lines();
        assert!(lines.next_line().await.unwrap().is_some());
        wine.alive = Some((alive, lines));
        wine.compile("prng.c", "bcryptprimitives.dll", &["-shared", "-ladvapi32"]);
        wine
    }

    fn compile(&self, source: &str, out: &str, more: &[&str]) {
        let source = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/cli/windows")
            .join(source);
        let mut gcc = std::process::Command::new("x86_64-w64-mingw32-gcc");
        let built = gcc
            .arg(source)
            .arg("-o")
            .arg(self.folder.join(out))
            .args(more);
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
                (
                    path.file_name().unwrap().to_string_lossy().into_owned(),
                    text,
                )
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
    let text = text.replace("name = \"item\"\n", "name = \"item\"\nflow = \"both\"\n");
    let text = format!("\u{feff}{text}\n{more}").replace('\n', "\r\n");
    std::fs::write(file, text).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_windows_program_does_what_every_tandem_does() {
    let Some(exe) = exe() else { return };
    let office = office().await;
    let wine = Wine::new(&office, &exe, "program").await;
    let settings = wine.folder.join("tandem.toml");
    let [desktop, cloud] = office.urls();
    let said = wine.fine(&["--version"]).await;
    assert_eq!(said, format!("tandem {}\n", env!("CARGO_PKG_VERSION")));
    let (code, said) = wine.ask(&["status"]).await;
    assert!(
        code == 2 && said.contains("there is no settings file"),
        "{said}"
    );

    let out = windows(&settings);
    wine.fine(&[
        "init",
        "--desktop",
        &desktop,
        "--cloud",
        &cloud,
        "--out",
        &out,
    ])
    .await;
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
    exec(
        &office.desktop,
        "update item set what = 'größer' where id <= 10",
    )
    .await;
    office.caught_up(&mut service).await;
    exec(
        &office.cloud,
        "insert into item values (1001, 'vom Telefon ☎', 'M')",
    )
    .await;
    until(
        &office.desktop,
        "select count(*) = 1 from item where what = 'vom Telefon ☎'",
    )
    .await;
    came_home(&office).await;
    let (code, said) = wine.ask(&["status"]).await;
    assert!(code == 0 && said.contains("caught up"), "{said}");

    // It dies in the middle of its work, and goes on where the cloud is.
    exec(
        &office.desktop,
        "insert into item select n, 'später' from generate_series(2001, 4000) n",
    )
    .await;
    service.kill().await;
    exec(
        &office.desktop,
        "delete from item where id between 2001 and 2100",
    )
    .await;
    let mut service = wine.run(&office);
    office.caught_up(&mut service).await;
    service.signal("INT");
    assert_eq!(service.ended().await, 0, "{}", office.log());
    wine.fine(&["verify"]).await;
    assert_eq!(
        value(&office.cloud, "select count(*) from item").await,
        "2401"
    );

    // A scanner or an editor has the log of today open for itself alone.
    let folder = wine.folder.join("Protokolle für büro");
    let first = wine.logs(&folder);
    assert!(
        first.len() == 1 && first[0].1.contains("tandem starts"),
        "{first:?}"
    );
    wine.compile("hold.c", "hold.exe", &["-municode"]);
    let mut holder = wine.program(&wine.folder.join("hold.exe"));
    holder.arg(windows(&folder.join(&first[0].0)));
    let mut holder = holder
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    assert_eq!(
        lines.next_line().await.unwrap().unwrap_or_default().trim(),
        "held"
    );
    let mut service = wine.run(&office);
    exec(
        &office.desktop,
        "insert into item values (5000, 'trotzdem')",
    )
    .await;
    office.caught_up(&mut service).await;
    service.signal("INT");
    assert_eq!(service.ended().await, 0, "{}", office.log());
    drop(holder.stdin.take());
    tokio::time::timeout(PATIENCE, holder.wait())
        .await
        .unwrap()
        .unwrap();
    let logs = wine.logs(&folder);
    let [(name, beside), (_, kept)] = &logs[..] else {
        panic!("{logs:?}")
    };
    assert!(
        name.starts_with("tandem-2.")
            && beside.contains("can't be opened")
            && beside.contains("stopped"),
        "{logs:?}"
    );
    assert_eq!(*kept, first[0].1);
    wine.fine(&["verify"]).await;
    wine.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_manager_and_the_installer_of_windows() {
    let Some(exe) = exe() else { return };
    let office = office().await;
    let wine = Wine::new(&office, &exe, "service").await;
    let data = wine.prefix.join("drive_c/ProgramData/tandem");
    // What a test that failed has left.
    wine.ask(&["service", "uninstall"]).await;
    let _ = std::fs::remove_dir_all(&data);
    let [desktop, cloud] = office.urls();
    let (code, said) = wine.ask(&["service", "status"]).await;
    assert!(code == 3 && said.starts_with("not installed"), "{said}");
    let (code, said) = wine.ask(&["service", "run"]).await;
    assert!(
        code == 2 && said.contains("next: tandem service start"),
        "{said}"
    );
    let (code, said) = wine.ask(&["service", "start"]).await;
    assert!(
        code == 2 && said.contains("the service is not installed"),
        "{said}"
    );

    let settings = windows(&wine.folder.join("tandem.toml"));
    wine.fine(&[
        "init",
        "--desktop",
        &desktop,
        "--cloud",
        &cloud,
        "--out",
        &settings,
    ])
    .await;
    std::fs::write(wine.folder.join(".env"), "OFFICE=büro\r\n").unwrap();
    edited(
        &wine.folder.join("tandem.toml"),
        "[heartbeat]\nevery = \"1s\"\n",
    );
    let said = wine.fine(&["service", "install"]).await;
    assert!(
        said.contains("copied") && data.join(".env").is_file(),
        "{said}"
    );
    let said = wine.fine(&["service", "install"]).await;
    assert!(!said.contains("copied"), "{said}");
    std::fs::remove_file(wine.folder.join("tandem.toml")).unwrap();
    let said = wine.fine(&["service", "start"]).await;
    assert!(said.starts_with("running"), "{said}");
    exec(
        &office.desktop,
        "insert into item values (5000, 'vom Dienst')",
    )
    .await;
    until(
        &office.cloud,
        "select count(*) = 1 from item where id = 5000",
    )
    .await;
    let document = wine.fine(&["service", "status", "--json"]).await;
    let document: serde_json::Value = serde_json::from_str(&document).unwrap();
    assert!(
        document["state"] == "running"
            && document["automatic"] == true
            && document["settings"] == r"C:\ProgramData\tandem\tandem.toml",
        "{document}"
    );
    // The settings that are found without a word are the service's own.
    let (code, said) = wine.ask(&["status"]).await;
    assert!(code == 0 && said.contains("caught up"), "{said}");
    wine.fine(&["service", "stop"]).await;
    let ended = "select count(*) = 0 from pg_stat_replication";
    until(&office.desktop, ended).await;
    let (code, said) = wine.ask(&["service", "status"]).await;
    assert!(code == 3 && said.starts_with("stopped"), "{said}");
    let logs = wine.logs(&data.join("logs"));
    assert!(
        logs.len() == 1 && logs[0].1.contains("\"stopped\""),
        "{logs:?}"
    );

    // What a person has to mend is said by the manager, too.
    let file = data.join("tandem.toml");
    let fine = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{fine}[nonsense]\r\nof = 1\r\n")).unwrap();
    let (code, said) = wine.ask(&["service", "start"]).await;
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("exit 2: its settings"), "{said}");
    std::fs::remove_file(&file).unwrap();
    let said = wine.fine(&["service", "uninstall"]).await;
    assert!(said.contains("gone from the service manager"), "{said}");
    let (code, _) = wine.ask(&["service", "status"]).await;
    assert_eq!(code, 3);
    std::fs::remove_dir_all(&data).unwrap();

    installed(&wine, &office, &data).await;
    wine.shut_down().await;
}

/// The installer without a window, and its end.
async fn installed(wine: &Wine, office: &Office, data: &Path) {
    let Some(setup) = std::env::var_os("TANDEM_WINDOWS_SETUP") else {
        println!("skipped: TANDEM_WINDOWS_SETUP names no installer (make windows-test)");
        return;
    };
    let program = wine.prefix.join("drive_c/Program Files/tandem");
    std::fs::create_dir_all(&program).unwrap();
    let stand_in = "bcryptprimitives.dll";
    std::fs::copy(wine.folder.join(stand_in), program.join(stand_in)).unwrap();
    let [desktop, cloud] = office.urls();
    let word = "pa'ss \"wörd\" %20 $x";
    let mut command = wine.program(Path::new(&setup));
    command
        .arg("/S")
        .env("TANDEM_DESKTOP_URL", desktop)
        .env("TANDEM_CLOUD_URL", cloud)
        .env("TANDEM_DESKTOP_PASSWORD", word);
    let (code, _, _) = finish(&mut command).await;
    let log = std::fs::read(program.join("setup.log")).unwrap_or_default();
    let log: Vec<_> = log
        .chunks_exact(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
        .collect();
    let log = String::from_utf16_lossy(&log);
    assert_eq!(code, 0, "{log}");
    assert!(!log.contains(word), "{log}");
    let settings = std::fs::read_to_string(data.join("tandem.toml")).unwrap();
    assert!(
        settings.contains("password = \"${DESKTOP_DB_PASSWORD}\"") && !settings.contains(word),
        "{settings}"
    );
    let secrets = std::fs::read_to_string(data.join(".env")).unwrap();
    assert_eq!(
        secrets,
        "DESKTOP_DB_PASSWORD='pa'\"'\"'ss \"wörd\" %20 $x'\r\n"
    );
    exec(
        &office.desktop,
        "insert into item values (6000, 'vom Installierten')",
    )
    .await;
    until(
        &office.cloud,
        "select count(*) = 1 from item where id = 6000",
    )
    .await;
    let mut command = wine.program(&program.join("uninstall.exe"));
    // Without a copy of itself in a folder for temporary files, it can be waited for.
    let (code, _, _) = finish(command.arg("/S").arg(r"_?=C:\Program Files\tandem")).await;
    assert_eq!(code, 0);
    assert!(!program.join("tandem.exe").exists() && data.join("tandem.toml").is_file());
    let (code, said) = wine.ask(&["service", "status"]).await;
    assert!(code == 3 && said.starts_with("not installed"), "{said}");
}

#[cfg(not(windows))]
#[tokio::test]
async fn elsewhere_the_service_command_says_what_to_use() {
    for action in ["install", "uninstall", "start", "stop", "status", "run"] {
        let (code, out, said) = finish(tandem().args(["service", action])).await;
        assert_eq!((code, out.as_str()), (2, ""));
        for wanted in ["for Windows", "systemd", "next: tandem run"] {
            assert!(said.contains(wanted), "{said}");
        }
    }
}
