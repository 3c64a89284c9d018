//! Fields that the configuration sets or removes, last of all that happens to a head.
//!
//! It must never touch what frames a message or belongs to one connection: [`is_reserved`] names those, and the configuration refuses
//! them. Towards a server, a name with `_` for `-` is the same name, since CGI and WSGI give applications both as one (as in
//! [`super::forwarded`]): else a client could say beside it what the configuration meant to say alone.

use http::{HeaderName, HeaderValue};
use pingora::Result;
use pingora::http::{RequestHeader, ResponseHeader};

use super::edit::{Edit, rewrite};
use super::grammar::reads_as;
use super::hop_by_hop;
use super::response;

/// `request_headers` or `response_headers` of a route.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeaderEdits {
    /// Each replaces all fields of its name.
    pub set: Vec<SetField>,
    /// All fields of these names go.
    pub remove: Vec<HeaderName>,
}

/// A field with its name as the file spells it. A sensitive value is never shown, and never indexed over HTTP/2 (RFC 7541 section 7.1.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetField {
    /// The name, which HTTP/1 peers get in this case.
    pub spelled: String,
    /// The value.
    pub value: HeaderValue,
}

impl HeaderEdits {
    /// Edits what goes to a server.
    ///
    /// # Errors
    /// If a field cannot be written, which no field of a checked configuration causes. Then `request` must not be sent.
    pub fn edit_request(&self, request: &mut RequestHeader) -> Result<()> {
        let goes = |name: &[u8]| self.names().any(|named| reads_as(name, named.as_bytes()));
        if request.headers.keys().any(|name| goes(name.as_str().as_bytes())) {
            rewrite(request, |name, _| if goes(name) { Edit::Drop } else { Edit::Keep })?;
        }
        self.set.iter().try_for_each(|field| request.append_header(field.spelled.clone(), field.value.clone()).map(drop))
    }

    /// Edits what goes to a client.
    ///
    /// # Errors
    /// As [`HeaderEdits::edit_request`].
    pub fn edit_response(&self, response: &mut ResponseHeader) -> Result<()> {
        let goes = |name: &[u8]| self.names().any(|named| name.eq_ignore_ascii_case(named.as_bytes()));
        if response.headers.keys().any(|name| goes(name.as_str().as_bytes())) {
            *response = response::edited(response, |name, _| if goes(name) { Edit::Drop } else { Edit::Keep });
        }
        self.set.iter().try_for_each(|field| response.append_header(field.spelled.clone(), field.value.clone()).map(drop))
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.set.iter().map(|field| field.spelled.as_str()).chain(self.remove.iter().map(HeaderName::as_str))
    }
}

/// Whether a field is written by us alone: it says where the message goes, where it ends, or how its connection is used.
#[must_use]
pub fn is_reserved(name: &HeaderName) -> bool {
    matches!(name.as_str(), "host" | "content-length" | "expect") || hop_by_hop::is_hop_by_hop(name.as_str().as_bytes())
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};
    use pingora::http::{HeaderNameVariant, RequestHeader, ResponseHeader};

    use super::{HeaderEdits, SetField, is_reserved};

    fn edits(set: &[(&str, &'static str)], remove: &[&'static str]) -> HeaderEdits {
        let field =
            |(name, value): &(&str, &'static str)| SetField { spelled: (*name).to_owned(), value: HeaderValue::from_static(value) };
        HeaderEdits {
            set: set.iter().map(field).collect(),
            remove: remove.iter().map(|name| HeaderName::from_static(name)).collect(),
        }
    }

    fn request(fields: &[(&'static str, &str)]) -> RequestHeader {
        let mut head = RequestHeader::build("GET", b"/", None).unwrap();
        for (name, value) in fields {
            head.append_header(*name, *value).unwrap();
        }
        head
    }

    fn lines(head: &RequestHeader) -> Vec<String> {
        let mut lines = Vec::new();
        head.map(|name, value| {
            let name = match &name {
                HeaderNameVariant::Case(name) => name.as_slice(),
                HeaderNameVariant::Titled(name) => name.as_bytes(),
            };
            lines.push(format!("{}: {}", String::from_utf8_lossy(name), value.to_str().unwrap()));
            Ok(())
        })
        .unwrap();
        lines
    }

    #[test]
    fn what_is_set_replaces_all_of_its_name_and_what_is_removed_goes() {
        let mut head = request(&[("A", "1"), ("x-tenant", "2"), ("Referer", "3"), ("X-TENANT", "4"), ("B", "5")]);
        edits(&[("X-Tenant", "acme"), ("New", "n")], &["referer", "absent"]).edit_request(&mut head).unwrap();
        assert_eq!(lines(&head), ["A: 1", "B: 5", "X-Tenant: acme", "New: n"]);
    }

    #[test]
    fn a_client_cannot_say_beside_it_what_an_application_reads_as_the_same() {
        let mut head = request(&[("X_User", "root"), ("x-user", "root"), ("X_Old", "1"), ("Xuser", "2")]);
        edits(&[("X-User", "me")], &["x-old"]).edit_request(&mut head).unwrap();
        assert_eq!(lines(&head), ["Xuser: 2", "X-User: me"]);
    }

    #[test]
    fn a_response_is_edited_by_its_exact_names() {
        let mut head = ResponseHeader::build(200, None).unwrap();
        for (name, value) in [("Server", "x"), ("X_User", "1"), ("x-user", "2"), ("Set-Cookie", "a"), ("Set-Cookie", "b")] {
            head.append_header(name, value).unwrap();
        }
        edits(&[("X-User", "me")], &["server"]).edit_response(&mut head).unwrap();
        let all: Vec<_> = head.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        assert_eq!(all, [("x_user", "1"), ("set-cookie", "a"), ("set-cookie", "b"), ("x-user", "me")]);
    }

    #[test]
    fn a_sensitive_value_is_not_shown() {
        let mut edits = edits(&[("Authorization", "Bearer s3cret")], &[]);
        edits.set[0].value.set_sensitive(true);
        assert!(!format!("{edits:?}").contains("s3cret"));
    }

    #[test]
    fn what_frames_a_message_or_uses_its_connection_is_reserved() {
        for name in [
            "host",
            "content-length",
            "transfer-encoding",
            "connection",
            "keep-alive",
            "proxy-connection",
            "te",
            "trailer",
            "upgrade",
            "http2-settings",
            "expect",
            "proxy-authorization",
            "proxy-authenticate",
        ] {
            assert!(is_reserved(&HeaderName::from_static(name)), "{name}");
        }
        for name in ["authorization", "content-type", "cookie", "x-forwarded-for", "cache-control"] {
            assert!(!is_reserved(&HeaderName::from_static(name)), "{name}");
        }
    }
}
