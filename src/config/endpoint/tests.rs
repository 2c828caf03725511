//! URLs as people write them.

use super::*;

/// The endpoint in one line: user:password@host:port/database, then what differs from the defaults.
fn line(url: &str) -> String {
    let read = match parse(url, Path::new("/etc/tandem"), Some("me")) {
        Ok(read) => read,
        Err(complaint) => return complaint.says,
    };
    let host = match &read.host {
        Host::Tcp(name) => name.clone(),
        Host::Unix(folder) => format!("unix {}", folder.display()),
    };
    let password = read.password.as_ref().map_or("-", Secret::expose);
    let mut out = format!(
        "{}:{password}@{host}:{}/{}",
        read.user, read.port, read.database
    );
    if read.ssl_mode != SslMode::Prefer {
        out += &format!(" {:?}", read.ssl_mode);
    }
    match read.ssl_root_cert {
        Some(RootCert::File(path)) => out += &format!(" ca {}", path.display()),
        Some(RootCert::System) => out += " ca system",
        None => {}
    }
    if let Some(name) = read.application_name {
        out += &format!(" as {name}");
    }
    if let Some(timeout) = read.connect_timeout {
        out += &format!(" in {timeout:?}");
    }
    if read.channel_binding != ChannelBinding::Prefer {
        out += &format!(" {:?}", read.channel_binding);
    }
    out
}

#[test]
fn urls() {
    let socket = if cfg!(target_os = "linux") {
        "unix /var/run/postgresql"
    } else {
        return;
    };
    for (url, expected) in [
        ("postgres://a:b@h:5433/d", "a:b@h:5433/d".to_owned()),
        ("postgresql://a:b@h:5433/d", "a:b@h:5433/d".into()),
        ("postgres://h", "me:-@h:5432/me".into()),
        ("postgres://h/", "me:-@h:5432/me".into()),
        ("postgres://h:/d", "me:-@h:5432/d".into()),
        ("postgres://a@h", "a:-@h:5432/a".into()),
        ("postgres://a:@h/d", "a:-@h:5432/d".into()),
        ("postgres://@h/d", "me:-@h:5432/d".into()),
        ("postgres://", format!("me:-@{socket}:5432/me")),
        ("postgres:///d", format!("me:-@{socket}:5432/d")),
        ("postgres://a@/d", format!("a:-@{socket}:5432/d")),
        ("postgres://:5433/d", format!("me:-@{socket}:5433/d")),
        ("postgres:///d?host=/tmp", "me:-@unix /tmp:5432/d".into()),
        (
            "postgres://a@%2Fvar%2Frun:5433/d",
            "a:-@unix /var/run:5433/d".into(),
        ),
        ("postgres://h1/d?host=h2&port=99", "me:-@h2:99/d".into()),
        (
            "postgres://h?user=u&dbname=x&password=p",
            "u:p@h:5432/x".into(),
        ),
        ("postgres://a@[::1]:5433/d", "a:-@::1:5433/d".into()),
        (
            "postgres://[2001:db8::7]/d",
            "me:-@2001:db8::7:5432/d".into(),
        ),
        (
            "postgres://[fe80::1%25eth0]/d",
            "me:-@fe80::1%eth0:5432/d".into(),
        ),
        (
            "postgres://a%40b:p%2Fw%3A%25@h/d%20e",
            "a@b:p/w:%@h:5432/d e".into(),
        ),
        ("postgres://a:b:c@h/d", "a:b:c@h:5432/d".into()),
        ("postgres://a:b?c@h/d", "a:b?c@h:5432/d".into()),
        ("postgres://a:%C3%A4@h/d", "a:ä@h:5432/d".into()),
        (
            "postgres://a.ref:p@x.pooler.supabase.com:6543/postgres",
            "a.ref:p@x.pooler.supabase.com:6543/postgres".into(),
        ),
        (
            "postgres://a@h/d?sslmode=verify-full&sslrootcert=prod-ca.crt",
            "a:-@h:5432/d VerifyFull ca /etc/tandem/prod-ca.crt".into(),
        ),
        (
            "postgres://a@h/d?sslrootcert=/x/ca.crt",
            "a:-@h:5432/d ca /x/ca.crt".into(),
        ),
        (
            "postgres://a@h/d?sslrootcert=system",
            "a:-@h:5432/d VerifyFull ca system".into(),
        ),
        (
            "postgres://a@h/d?sslmode=disable",
            "a:-@h:5432/d Disable".into(),
        ),
        ("postgres://a@h/d?ssl=true", "a:-@h:5432/d Require".into()),
        (
            "postgres://a@h/d?application_name=my%20app&connect_timeout=10",
            "a:-@h:5432/d as my app in 10s".into(),
        ),
        ("postgres://a@h/d?connect_timeout=0", "a:-@h:5432/d".into()),
        (
            "postgres://a@h/d?channel_binding=require",
            "a:-@h:5432/d Require".into(),
        ),
        ("postgres://a@h/d?", "a:-@h:5432/d".into()),
    ] {
        assert_eq!(line(url), expected, "{url}");
    }
}

#[test]
fn wrong_urls() {
    for (url, says) in [
        ("", "isn't a PostgreSQL URL"),
        ("mysql://h", "isn't a PostgreSQL URL"),
        ("host=h user=u", "isn't a PostgreSQL URL"),
        ("postgres:/h", "isn't a PostgreSQL URL"),
        (
            "postgres://h1,h2/d",
            "names several hosts, but one is supported",
        ),
        (
            "postgres://h1:1,h2:2/d",
            "names several hosts, but one is supported",
        ),
        (
            "postgres:///d?host=a,b",
            "names several hosts, but one is supported",
        ),
        (
            "postgres://h:x/d",
            "has a port that isn't a number from 1 to 65535",
        ),
        (
            "postgres://h:0/d",
            "has a port that isn't a number from 1 to 65535",
        ),
        (
            "postgres://h:65536/d",
            "has a port that isn't a number from 1 to 65535",
        ),
        (
            "postgres://h:+1/d",
            "has a port that isn't a number from 1 to 65535",
        ),
        ("postgres://[::1/d", "has a [ without its ]"),
        (
            "postgres://[nonsense]/d",
            "has something in its [ ] that isn't an IPv6 address",
        ),
        (
            "postgres://[::1]x/d",
            "has something between its host and its port",
        ),
        ("postgres://a:can@ary@h/d", "has an @ too many"),
        ("postgres://a:can/ary@h/d", "has an @ too many"),
        (
            "postgres://a:can%zzary@h/d",
            "has a % in the password that isn't followed by two hexadecimal digits",
        ),
        (
            "postgres://a:%FF@h/d",
            "has bytes in the password that aren't UTF-8",
        ),
        ("postgres://a:%00@h/d", "has a NUL in the password"),
        ("postgres://h/d?sslmode=on", "has an unknown sslmode"),
        (
            "postgres://h/d?channel_binding=1",
            "has an unknown channel_binding",
        ),
        (
            "postgres://h/d?connect_timeout=10s",
            "has a connect_timeout that isn't a number",
        ),
        (
            "postgres://h/d?sslcert=x",
            "has the parameter sslcert, which isn't supported",
        ),
        (
            "postgres://h/d?:word=1",
            "has something behind its ? that isn't a parameter",
        ),
        (
            "postgres://h/d?nonsense=1",
            "has the parameter nonsense, which isn't supported",
        ),
        ("postgres://h/d?sslmode", "has a parameter without a value"),
        (
            "postgres://h/d?sslrootcert=system&sslmode=require",
            "has sslrootcert=system with a weaker sslmode than verify-full",
        ),
    ] {
        assert_eq!(line(url), says, "{url}");
    }
    let nobody = parse("postgres://h", Path::new("/"), None);
    assert_eq!(
        nobody.map_err(|complaint| complaint.says),
        Err("names no user".to_owned())
    );
}
