//! The answers that we give ourselves: short, plain, and closing the connection where it cannot be trusted any more. None of them
//! tells a client about the servers behind us.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Method};
use pingora::http::ResponseHeader;

use super::downstream::{Body, Downstream, Gone};

/// A stream that is refused may fit in soon: others end all the time.
const RETRY_AFTER_A_CAP: Duration = Duration::from_secs(5);

/// What a client is told with `status`.
fn explanation(status: u16) -> &'static str {
    match status {
        400 => "The request could not be understood.",
        401 => "Credentials are needed.",
        403 => "This is not allowed.",
        404 => "Nothing is served here.",
        408 => "The request did not arrive in time.",
        413 => "The body is too large.",
        431 => "The request head is too large.",
        502 => "The server behind this proxy could not be reached, or its answer could not be understood.",
        503 => "No server can take this request right now.",
        504 => "The server behind this proxy did not answer in time.",
        _ => "The request was refused.",
    }
}

/// When to come back, where that is known.
#[must_use]
pub fn retry_after(status: u16) -> Option<Duration> {
    (status == 429).then_some(RETRY_AFTER_A_CAP)
}

fn body(status: u16, reason: Option<&str>) -> String {
    let phrase = http::StatusCode::from_u16(status).ok().and_then(|code| code.canonical_reason()).unwrap_or("Refused");
    match reason {
        Some(reason) => format!("{status} {phrase}: {reason}\n"),
        None => format!("{status} {phrase}\n{}\n", explanation(status)),
    }
}

/// A whole response as bytes, for a connection without a session: the request head was never handed on.
#[must_use]
pub fn raw(status: u16, reason: &str) -> Vec<u8> {
    let phrase = http::StatusCode::from_u16(status).ok().and_then(|code| code.canonical_reason()).unwrap_or("Refused");
    let body = body(status, Some(reason));
    format!(
        "HTTP/1.1 {status} {phrase}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Answers with a reason of its own or the usual words; `keeps` says whether the connection may serve another request.
///
/// # Errors
/// When the client does not take it.
pub async fn answer(down: &mut Downstream, status: u16, reason: Option<&str>, keeps: bool) -> Result<(), Gone> {
    answer_with(down, status, reason, &[], keeps).await
}

/// The same with these fields too.
///
/// # Errors
/// When the client does not take it.
pub async fn answer_with(
    down: &mut Downstream,
    status: u16,
    reason: Option<&str>,
    fields: &[(HeaderName, HeaderValue)],
    keeps: bool,
) -> Result<(), Gone> {
    let body = Bytes::from(body(status, reason));
    let mut head = head(status, body.len()).map_err(|_| Gone)?;
    for (name, value) in fields {
        head.append_header(name, value).map_err(|_| Gone)?;
    }
    send(down, head, body, keeps).await
}

/// Sends the client to `location` with `status`, one of 3xx.
///
/// # Errors
/// When the client does not take it.
pub async fn redirect(down: &mut Downstream, status: u16, location: HeaderValue, keeps: bool) -> Result<(), Gone> {
    let mut head = ResponseHeader::build(status, Some(4)).map_err(|_| Gone)?;
    let fields = head.insert_header("Location", location).and_then(|()| head.insert_header(CONTENT_LENGTH, 0));
    fields.map_err(|_| Gone)?;
    send(down, head, Bytes::new(), keeps).await
}

async fn send(down: &mut Downstream, head: ResponseHeader, body: Bytes, keeps: bool) -> Result<(), Gone> {
    if body.is_empty() || down.head().method == Method::HEAD {
        down.write_head(head, Body::None, keeps).await?;
    } else {
        down.write_head(head, Body::Framed, keeps).await?;
        down.write_body(body).await?;
    }
    down.finish(None).await
}

fn head(status: u16, length: usize) -> pingora::Result<ResponseHeader> {
    let mut head = ResponseHeader::build(status, Some(6))?;
    head.insert_header(CONTENT_TYPE, "text/plain; charset=utf-8")?;
    head.insert_header(CONTENT_LENGTH, length)?;
    head.insert_header(CACHE_CONTROL, "no-store")?;
    if let Some(wait) = retry_after(status) {
        head.insert_header(RETRY_AFTER, wait.as_secs())?;
    }
    Ok(head)
}
