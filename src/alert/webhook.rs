//! A message as a request to a web server.

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;

use super::mail::with_causes;
use super::message::Message;
use crate::config::{Webhook, WebhookFormat};
use crate::limits;
use crate::wire;

/// Posts it; whoever answers with success has it.
pub(super) async fn send(settings: &Webhook, message: &Message) -> Result<(), String> {
    let place = &settings.place;
    let request = request(settings, message)?;
    let stream = wire::dial(&settings.host, settings.port, settings.tls.as_ref()).await;
    let stream = stream.map_err(|error| format!("{place}: {}", dialed(&error.to_string())))?;
    let away = |error: hyper::Error| format!("{place}: {}", with_causes(&error));
    let shaken = hyper::client::conn::http1::Builder::new()
        .max_buf_size(limits::ALERT_ANSWER_HEAD)
        .handshake(TokioIo::new(stream));
    let (mut sender, connection) = shaken.await.map_err(away)?;
    let asked = async {
        let answer = sender.send_request(request).await.map_err(away)?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        // Its first words may say why.
        let body = Limited::new(answer.into_body(), limits::ALERT_ANSWER_BYTES)
            .collect()
            .await;
        let body = body.map(|body| body.to_bytes()).unwrap_or_default();
        let says = String::from_utf8_lossy(&body);
        let hint = match status.as_u16() {
            300..=399 => "; it sends us elsewhere: alert.webhook.url has to be the final address",
            401 | 403 | 404 | 410 => "; check alert.webhook.url and alert.webhook.header",
            _ => "",
        };
        Err(format!("{place} answered {status} {}{hint}", says.trim()))
    };
    tokio::pin!(asked, connection);
    // The connection works while somebody polls it. Where it ends first, what it brought is with who asked.
    tokio::select! {
        biased;
        answered = &mut asked => return answered,
        _ = &mut connection => {}
    }
    asked.await
}

fn request(settings: &Webhook, message: &Message) -> Result<Request<Full<Bytes>>, String> {
    let broken = |_| "alert.webhook can't be asked as it is set".to_owned();
    let url: Uri = settings.url.expose().parse().map_err(|_| broken(()))?;
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let host = url.authority().map_or("", |authority| authority.as_str());
    let body = match settings.format {
        WebhookFormat::Slack => message.slack(),
        WebhookFormat::Json => message.json(),
    };
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(HOST, host)
        .header(CONNECTION, "close")
        .header(CONTENT_TYPE, "application/json")
        .header(USER_AGENT, concat!("tandem/", env!("CARGO_PKG_VERSION")));
    if let Some((name, value)) = &settings.header {
        let name = HeaderName::try_from(name.as_str()).map_err(|_| broken(()))?;
        let mut value = HeaderValue::try_from(value.expose()).map_err(|_| broken(()))?;
        value.set_sensitive(true);
        request = request.header(name, value);
    }
    request
        .body(Full::new(Bytes::from(body)))
        .map_err(|_| broken(()))
}

/// The setting that a certificate's error is about has another name here than for databases.
fn dialed(text: &str) -> String {
    text.replace("sslrootcert=", "alert.webhook.ca")
}
