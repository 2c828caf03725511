//! Takes a connection URL apart as libpq does, and shows one without its password.
//!
//! No complaint repeats a part of the URL, since with one missing `@` any part may be the password.

use percent_encoding::percent_decode_str;

use super::complaint::Complaint;

/// The URL's parts before any decoding.
pub(super) struct Parts<'u> {
    pub(super) user: Option<&'u str>,
    pub(super) password: Option<&'u str>,
    /// Host and port, with what stands between them.
    pub(super) place: &'u str,
    pub(super) database: &'u str,
    pub(super) query: &'u str,
}

/// Takes the URL apart as libpq does: credentials end at the first `@` before any `/`.
pub(super) fn split(url: &str) -> Result<Parts<'_>, Complaint> {
    let rest = ["postgres://", "postgresql://"]
        .iter()
        .find_map(|scheme| url.strip_prefix(scheme));
    let rest = rest.ok_or_else(|| {
        Complaint::new("isn't a PostgreSQL URL")
            .hint("it looks like postgres://user@host:5432/database")
    })?;
    let authority = rest
        .get(..rest.find('/').unwrap_or(rest.len()))
        .unwrap_or(rest);
    let (credentials, after) = match authority.find('@') {
        Some(at) => (rest.get(..at), rest.get(at + 1..).unwrap_or_default()),
        None => (None, rest),
    };
    if after.contains('@') {
        return Err(Complaint::new("has an @ too many")
            .hint("in a user or a password write %40 for @, %2F for /, %3A for : and %25 for %, or use password"));
    }
    let (before_query, query) = after.split_once('?').unwrap_or((after, ""));
    let (place, database) = before_query.split_once('/').unwrap_or((before_query, ""));
    let (user, password) = match credentials.map(|both| both.split_once(':').ok_or(both)) {
        None => (None, None),
        Some(Ok((user, password))) => (Some(user), Some(password)),
        Some(Err(user)) => (Some(user), None),
    };
    Ok(Parts {
        user,
        password,
        place,
        database,
        query,
    })
}

/// Host and port out of `host:port`, `[ipv6]:port`, or nothing.
pub(super) fn place(text: &str) -> Result<(Option<String>, Option<u16>), Complaint> {
    one_host(text)?;
    let (host, after) = match text.strip_prefix('[') {
        Some(inside) => {
            let unclosed =
                || Complaint::new("has a [ without its ]").hint("an IPv6 address looks like [::1]");
            let (address, after) = inside.split_once(']').ok_or_else(unclosed)?;
            let parsed: Result<std::net::Ipv6Addr, _> =
                address.split('%').next().unwrap_or_default().parse();
            parsed.map_err(|_| {
                Complaint::new("has something in its [ ] that isn't an IPv6 address")
            })?;
            (
                decode(address, "the host").unwrap_or_else(|_| address.to_owned()),
                after,
            )
        }
        None => {
            let end = text.find(':').unwrap_or(text.len());
            let (host, after) = text.split_at(end);
            (decode(host, "the host")?, after)
        }
    };
    let port = match after.strip_prefix(':') {
        Some(digits) => port(digits)?,
        None if after.is_empty() => None,
        None => {
            return Err(Complaint::new(
                "has something between its host and its port",
            ));
        }
    };
    Ok((Some(host).filter(|host| !host.is_empty()), port))
}

pub(super) fn one_host(text: &str) -> Result<(), Complaint> {
    if text.contains(',') {
        return Err(Complaint::new("names several hosts, but one is supported")
            .hint("name the primary; a replica can't be replicated from or to"));
    }
    Ok(())
}

pub(super) fn port(text: &str) -> Result<Option<u16>, Complaint> {
    if text.is_empty() {
        return Ok(None);
    }
    let number = text
        .parse()
        .ok()
        .filter(|port| *port > 0 && text.bytes().all(|b| b.is_ascii_digit()));
    number.map(Some).ok_or_else(|| {
        Complaint::new("has a port that isn't a number from 1 to 65535")
            .hint("if that is part of a password, write %2F for / and %3A for :, or use password")
    })
}

/// Percent-decodes one part; `part` says in words which.
pub(super) fn decode(text: &str, part: &str) -> Result<String, Complaint> {
    for (at, _) in text.match_indices('%') {
        let digits = text
            .get(at + 1..at + 3)
            .filter(|two| two.bytes().all(|b| b.is_ascii_hexdigit()));
        if digits.is_none() {
            return Err(Complaint::new(format!(
                "has a % in {part} that isn't followed by two hexadecimal digits"
            ))
            .hint("write %25 for a % itself"));
        }
    }
    let decoded = percent_decode_str(text).decode_utf8();
    let decoded =
        decoded.map_err(|_| Complaint::new(format!("has bytes in {part} that aren't UTF-8")))?;
    if decoded.contains('\0') {
        return Err(Complaint::new(format!("has a NUL in {part}")));
    }
    Ok(decoded.into_owned())
}

/// The URL with its password as `***`, fit for showing; `***` alone when it can't be taken apart.
pub(super) fn masked(url: &str) -> String {
    let Ok(parts) = split(url) else {
        return "***".to_owned();
    };
    let mut out = url
        .split_once("://")
        .map(|(scheme, _)| format!("{scheme}://"))
        .unwrap_or_default();
    if let Some(user) = parts.user {
        out.push_str(user);
        out.push_str(parts.password.map_or("@", |_| ":***@"));
    }
    out.push_str(parts.place);
    if !parts.database.is_empty() || url.contains(&format!("{}/", parts.place)) {
        out.push('/');
        out.push_str(parts.database);
    }
    let shown: Vec<String> = parts
        .query
        .split('&')
        .filter(|p| !p.is_empty())
        .map(mask_parameter)
        .collect();
    if !shown.is_empty() {
        out.push('?');
        out.push_str(&shown.join("&"));
    }
    out
}

fn mask_parameter(pair: &str) -> String {
    match pair.split_once('=') {
        Some((name, _)) if percent_decode_str(name).decode_utf8_lossy() == "password" => {
            format!("{name}=***")
        }
        _ => pair.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks() {
        for (url, shown) in [
            (
                "postgres://a:canary@h:1/d?x=y",
                "postgres://a:***@h:1/d?x=y",
            ),
            ("postgres://a@h/d", "postgres://a@h/d"),
            ("postgresql://h", "postgresql://h"),
            (
                "postgres:///d?password=canary&user=u",
                "postgres:///d?password=***&user=u",
            ),
            (
                "postgres:///d?p%61ssword=canary",
                "postgres:///d?p%61ssword=***",
            ),
            ("postgres://a:can@ary@h/d", "***"),
            ("canary", "***"),
        ] {
            assert_eq!(masked(url), shown, "{url}");
        }
    }
}
