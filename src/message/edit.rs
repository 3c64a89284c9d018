//! Fields taken out of a head, or given another value, with all others where they were.
//!
//! Pingora's own removal moves the last field into the gap, so a head whose order must stay is written anew. Field lines of one name
//! come together, as the map keeps them; between names the order is the sender's (RFC 9110 section 5.3).

use http::{HeaderName, HeaderValue};
use pingora::Result;
use pingora::http::{HeaderNameVariant, IntoCaseHeaderName, RequestHeader};

/// What becomes of one field line.
pub(super) enum Edit {
    /// It stays.
    Keep,
    /// It goes.
    Drop,
    /// It stays where it is, with this value.
    Replace(HeaderValue),
}

/// Asks `judge` about every field line by its name, in the sender's case, and its value. Costs as much as building the head: call it
/// only when something is to go.
///
/// # Errors
/// If a field cannot be written back, which no field of a built head causes.
pub(super) fn rewrite(request: &mut RequestHeader, mut judge: impl FnMut(&[u8], &HeaderValue) -> Edit) -> Result<()> {
    let mut kept = Vec::with_capacity(request.headers.len());
    request.map(|name, value| {
        let name = match name {
            HeaderNameVariant::Case(name) => name.clone(),
            HeaderNameVariant::Titled(name) => name.to_owned().into_case_header_name(),
        };
        match judge(name.as_slice(), value) {
            Edit::Keep => kept.push((name, value.clone())),
            Edit::Drop => {}
            Edit::Replace(value) => kept.push((name, value)),
        }
        Ok(())
    })?;
    let names: Vec<HeaderName> = request.headers.keys().cloned().collect();
    for name in &names {
        request.remove_header(name);
    }
    for (name, value) in kept {
        request.append_header(name, value)?;
    }
    Ok(())
}
