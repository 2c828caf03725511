//! A message as a letter, by SMTP.

use lettre::message::Mailboxes;
use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message as Letter, Tokio1Executor};

use super::message::Message;
use crate::config::{Mail, MailTls, RootCert};
use crate::limits;

/// Hands the letter to the server, which then has it.
pub(super) async fn send(settings: &Mail, message: &Message) -> Result<(), String> {
    let letter = letter(settings, message)?;
    let transport = transport(settings)?;
    let sent = transport.send(letter).await;
    sent.map(drop).map_err(|error| in_words(&error, settings))
}

fn letter(settings: &Mail, message: &Message) -> Result<Letter, String> {
    let to: Mailboxes = settings.to.iter().cloned().collect();
    Letter::builder()
        .from(settings.from.clone())
        .mailbox(lettre::message::header::To::from(to))
        .subject(message.subject())
        .header(ContentType::TEXT_PLAIN)
        // Nobody answers to a machine: RFC 3834.
        .raw_header(lettre::message::header::HeaderValue::new(
            lettre::message::header::HeaderName::new_from_ascii_str("Auto-Submitted"),
            "auto-generated".to_owned(),
        ))
        .body(message.text())
        .map_err(|error| format!("the letter can't be written: {error}"))
}

fn transport(settings: &Mail) -> Result<AsyncSmtpTransport<Tokio1Executor>, String> {
    let tls = match settings.tls {
        MailTls::None => Tls::None,
        MailTls::Starttls => Tls::Required(parameters(settings)?),
        MailTls::Implicit => Tls::Wrapper(parameters(settings)?),
    };
    // "Dangerous" is that it says nothing of TLS by itself; that follows.
    let builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&settings.host);
    let builder = builder
        .port(settings.port)
        .tls(tls)
        .timeout(Some(limits::ALERT_SEND_MAX));
    let builder = match &settings.login {
        Some((user, password)) => {
            builder.credentials(Credentials::new(user.clone(), password.expose().to_owned()))
        }
        None => builder,
    };
    Ok(builder.build())
}

fn parameters(settings: &Mail) -> Result<TlsParameters, String> {
    let builder = TlsParameters::builder(settings.host.clone());
    let builder = match &settings.ca {
        RootCert::System => builder.certificate_store(CertificateStore::Default),
        RootCert::File(file) => {
            let name = file.display();
            let pem =
                std::fs::read(file).map_err(|error| format!("alert.mail.ca, {name}: {error}"))?;
            let unfit = |_| format!("alert.mail.ca, {name}: no usable certificate in it");
            let certificate = Certificate::from_pem(&pem).map_err(unfit)?;
            let builder = builder.certificate_store(CertificateStore::None);
            builder.add_root_certificate(certificate)
        }
    };
    builder.build().map_err(|error| error.to_string())
}

/// What to do where the server's own words don't say it.
fn in_words(error: &lettre::transport::smtp::Error, settings: &Mail) -> String {
    let text = with_causes(error);
    let hint = if text.contains("UnknownIssuer") || text.contains("BadSignature") {
        "; the server's CA is not known: name its file in alert.mail.ca"
    } else if text.contains("NotValidForName") || text.contains("not valid for name") {
        "; its certificate is for another host than alert.mail.host"
    } else if text.contains("STARTTLS is not supported") {
        "; alert.mail.tls has to be \"implicit\" or \"none\" for it"
    } else if text.contains("InvalidContentType") || text.contains("corrupt message") {
        "; it doesn't speak TLS there: alert.mail.tls and alert.mail.port may not fit"
    } else if { error.status() }.is_some_and(|code| code.to_string() == "535") {
        "; check alert.mail.user and alert.mail.password"
    } else {
        ""
    };
    format!("{}:{}: {text}{hint}", settings.host, settings.port)
}

/// An error with what is behind it, each said once.
pub(super) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let words = inner.to_string();
        if !text.contains(&words) {
            text.push_str(&format!(": {words}"));
        }
        cause = inner.source();
    }
    text
}
