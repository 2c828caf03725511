//! A private authority and a server certificate for `localhost` and `127.0.0.1`, made by the `openssl` program.

use std::fs;
use std::path::Path;

use super::account::Account;
use super::program::{Error, run};

/// The file the client trusts, in the folder given to [`make`].
pub const CA_FILE: &str = "ca.crt";
/// The server's certificate.
pub const CERTIFICATE_FILE: &str = "server.crt";
/// The server's private key, mode 0600.
pub const KEY_FILE: &str = "server.key";

/// Authority and server certificate are two: TLS libraries such as rustls refuse an authority as a server.
const CONFIG: &str = "\
[req]
distinguished_name = name
prompt = no
[name]
CN = localhost
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = DNS:localhost, IP:127.0.0.1
";

/// Makes the three files in `folder`, which `account` can write.
///
/// # Errors
/// When `openssl` isn't installed or fails; the error holds what it said.
pub fn make(folder: &Path, account: Account) -> Result<(), Error> {
    fs::write(folder.join("openssl.cnf"), CONFIG)
        .map_err(|error| Error::new("write openssl.cnf", error))?;
    for line in [
        "ecparam -name prime256v1 -genkey -noout -out ca.key",
        "req -new -x509 -sha256 -days 3650 -key ca.key -subj /CN=tandem-test-ca \
         -config openssl.cnf -extensions authority -out ca.crt",
        "ecparam -name prime256v1 -genkey -noout -out server.key",
        "req -new -sha256 -key server.key -config openssl.cnf -out server.csr",
        "x509 -req -sha256 -days 3650 -in server.csr -CA ca.crt -CAkey ca.key -set_serial 1 \
         -extfile openssl.cnf -extensions server -out server.crt",
    ] {
        let mut openssl = account.command("openssl");
        run(
            openssl.args(line.split_whitespace()).current_dir(folder),
            "openssl (is it installed?)",
        )?;
    }
    only_for_owner(&folder.join(KEY_FILE))
        .map_err(|error| Error::new("protect the server's key", error))
}

/// PostgreSQL refuses a key that others can read.
fn only_for_owner(key: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    fs::set_permissions(key, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    let _ = key;
    Ok(())
}
