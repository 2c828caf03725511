//! Start-up and authentication.
//! Source: PostgreSQL documentation, "Message Flow: Start-up", "SASL Authentication".

use fallible_iterator::FallibleIterator;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{
    self, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramSha256,
};
use postgres_protocol::message::backend::{AuthenticationSaslBody, Message};
use postgres_protocol::message::frontend;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::session::{Mode, Session};
use super::socket::{self, Stream};
use super::{WireError, tls};
use crate::config::{ChannelBinding, Endpoint, SslMode};
use crate::limits;
use crate::model::{Charset, sqlstate};

impl Session {
    /// Connects, encrypts and logs in.
    ///
    /// # Errors
    /// Everything that [`WireError`] names; nothing is retried here.
    pub async fn connect(
        endpoint: &Endpoint,
        mode: Mode,
        options: &[(&str, &str)],
    ) -> Result<Session, WireError> {
        let limit = endpoint.connect_timeout.unwrap_or(limits::CONNECT_TIMEOUT);
        let login = Box::pin(login(endpoint, mode, options));
        timeout(limit, login)
            .await
            .map_err(|_| WireError::Timeout(limit.as_secs()))?
    }

    /// The same, but the text of a database that doesn't speak UTF-8 comes as the bytes that stand there: the server's
    /// conversion would end with an error at the first that it can't convert. [`Session::charset`] says what they mean.
    ///
    /// # Errors
    /// As [`Session::connect`].
    pub async fn connect_as_is(
        endpoint: &Endpoint,
        mode: Mode,
        options: &[(&str, &str)],
    ) -> Result<Session, WireError> {
        let mut session = Session::connect(endpoint, mode, options).await?;
        let server = session.server_encoding();
        if let Some(charset) = server.and_then(|server| Charset::of(server, endpoint.encoding)) {
            let set = format!("set client_encoding to '{}'", charset.as_they_are());
            session.run(&set).await?;
            session.charset = Some(charset);
        }
        Ok(session)
    }
}

/// Connects and logs in, in the order of attempts that `sslmode` asks for.
async fn login(
    endpoint: &Endpoint,
    mode: Mode,
    options: &[(&str, &str)],
) -> Result<Session, WireError> {
    let first_encrypted = !matches!(endpoint.ssl_mode, SslMode::Disable | SslMode::Allow);
    match attempt(endpoint, mode, options, first_encrypted).await {
        // `allow` and `prefer` try the other way once the server has refused the first.
        Err(WireError::Server(error))
            if error.code == sqlstate::INVALID_AUTHORIZATION_SPECIFICATION
                && endpoint.ssl_mode == SslMode::Allow =>
        {
            attempt(endpoint, mode, options, true).await
        }
        Err(WireError::Server(error))
            if error.code == sqlstate::INVALID_AUTHORIZATION_SPECIFICATION
                && endpoint.ssl_mode == SslMode::Prefer =>
        {
            attempt(endpoint, mode, options, false).await
        }
        Err(WireError::Tls(_)) if endpoint.ssl_mode == SslMode::Prefer => {
            attempt(endpoint, mode, options, false).await
        }
        result => result,
    }
}

async fn attempt(
    endpoint: &Endpoint,
    mode: Mode,
    options: &[(&str, &str)],
    encrypted: bool,
) -> Result<Session, WireError> {
    let stream = socket::connect(endpoint).await?;
    let (stream, binding) = if encrypted {
        encrypt(stream, endpoint).await?
    } else {
        (stream, None)
    };
    let mut session = Session::over(stream);
    let mut parameters = vec![
        ("user", endpoint.user.as_str()),
        ("database", endpoint.database.as_str()),
    ];
    let name = endpoint.application_name.as_deref().unwrap_or("tandem");
    parameters.push(("application_name", name));
    if mode == Mode::Replication {
        parameters.push(("replication", "database"));
    }
    parameters.extend_from_slice(options);
    frontend::startup_message(parameters, session.out())?;
    session.flush().await?;
    authenticate(&mut session, endpoint, binding).await?;
    session.wait_until_ready().await?;
    Ok(session)
}

/// Asks for TLS; a server that has none is an error unless the mode allows plain text.
async fn encrypt(
    mut stream: Stream,
    endpoint: &Endpoint,
) -> Result<(Stream, Option<Vec<u8>>), WireError> {
    let mut request = bytes::BytesMut::new();
    frontend::ssl_request(&mut request);
    stream.write_all(&request).await?;
    stream.flush().await?;
    match stream.read_u8().await? {
        b'S' => {
            let stream = tls::upgrade(stream, endpoint).await?;
            let binding = tls::server_end_point(&stream);
            Ok((Box::new(stream), binding))
        }
        b'N' if endpoint.ssl_mode == SslMode::Prefer => Ok((stream, None)),
        b'N' => Err(WireError::Tls("the server does not offer TLS".to_owned())),
        other => Err(WireError::Protocol(format!(
            "answer {other} to the request for TLS"
        ))),
    }
}

async fn authenticate(
    session: &mut Session,
    endpoint: &Endpoint,
    binding: Option<Vec<u8>>,
) -> Result<(), WireError> {
    let must_bind = endpoint.channel_binding == ChannelBinding::Require;
    loop {
        let message = session.next().await?;
        // Before anything is sent: whoever asks in another way must not get the password, nor pass for the server.
        if must_bind && !session.bound && !matches!(message, Message::AuthenticationSasl(_)) {
            return Err(not_bound());
        }
        match message {
            Message::AuthenticationOk => return Ok(()),
            Message::AuthenticationCleartextPassword => {
                frontend::password_message(password(endpoint)?, session.out())?;
                session.flush().await?;
            }
            Message::AuthenticationMd5Password(body) => {
                let hash = md5_hash(endpoint.user.as_bytes(), password(endpoint)?, body.salt());
                frontend::password_message(hash.as_bytes(), session.out())?;
                session.flush().await?;
            }
            Message::AuthenticationSasl(body) => {
                scram(session, endpoint, &body, binding.clone()).await?
            }
            _ => {
                let text = "the server asks for a method that tandem does not have; it knows scram-sha-256, md5 and password";
                return Err(WireError::Authentication(text.to_owned()));
            }
        }
    }
}

fn not_bound() -> WireError {
    WireError::Authentication(
        "channel_binding=require, but the server does not bind its log-in to a TLS channel"
            .to_owned(),
    )
}

fn password(endpoint: &Endpoint) -> Result<&[u8], WireError> {
    let missing =
        || WireError::Authentication("the server asks for a password and none is set".to_owned());
    endpoint
        .password
        .as_ref()
        .map(|password| password.expose().as_bytes())
        .ok_or_else(missing)
}

async fn scram(
    session: &mut Session,
    endpoint: &Endpoint,
    body: &AuthenticationSaslBody,
    binding: Option<Vec<u8>>,
) -> Result<(), WireError> {
    let offered: Vec<String> = body
        .mechanisms()
        .map(|name| Ok(name.to_owned()))
        .collect()?;
    let offers = |name: &str| offered.iter().any(|mechanism| mechanism == name);
    let binding = binding.filter(|_| endpoint.channel_binding != ChannelBinding::Disable);
    let (mechanism, channel) = match binding {
        Some(hash) if offers(SCRAM_SHA_256_PLUS) => {
            session.bound = true;
            (
                SCRAM_SHA_256_PLUS,
                sasl::ChannelBinding::tls_server_end_point(hash),
            )
        }
        _ if endpoint.channel_binding == ChannelBinding::Require => return Err(not_bound()),
        Some(_) if offers(SCRAM_SHA_256) => (SCRAM_SHA_256, sasl::ChannelBinding::unrequested()),
        None if offers(SCRAM_SHA_256) => (SCRAM_SHA_256, sasl::ChannelBinding::unsupported()),
        _ => {
            return Err(WireError::Authentication(format!(
                "the server offers only {}",
                offered.join(", ")
            )));
        }
    };
    let mut scram = ScramSha256::new(password(endpoint)?, channel);
    frontend::sasl_initial_response(mechanism, scram.message(), session.out())?;
    session.flush().await?;
    let Message::AuthenticationSaslContinue(body) = session.next().await? else {
        return Err(WireError::Protocol("SASL did not go on".to_owned()));
    };
    scram.update(body.data())?;
    frontend::sasl_response(scram.message(), session.out())?;
    session.flush().await?;
    let Message::AuthenticationSaslFinal(body) = session.next().await? else {
        return Err(WireError::Protocol("SASL did not end".to_owned()));
    };
    let stranger = |_| {
        WireError::Authentication(
            "the server could not prove that it knows the password".to_owned(),
        )
    };
    scram.finish(body.data()).map_err(stranger)
}
