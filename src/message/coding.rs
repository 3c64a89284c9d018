//! Content codings, as far as we can decode them: which one a response has, and whether a client can decode gzip.
//!
//! Only names are read here; the decoder is `gunzip`. RFC 9110 sections 8.4 and 12.5.3.

use http::HeaderMap;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING};

use super::grammar::{list, trim};

/// The coding of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// None: the bytes are the content.
    Identity,
    /// gzip, once.
    Gzip,
    /// One that we do not decode, or several.
    Other,
}

impl Coding {
    /// What the `Content-Encoding` of a head says.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let members = || {
            let all = headers.get_all(CONTENT_ENCODING).iter().flat_map(|value| list(value.as_bytes()));
            all.filter(|coding| !coding.is_empty())
        };
        if members().all(|coding| coding.eq_ignore_ascii_case(b"identity")) {
            return Self::Identity;
        }
        let mut members = members();
        match (members.next(), members.next()) {
            (Some(coding), None) if is_gzip(coding) => Self::Gzip,
            _ => Self::Other,
        }
    }
}

/// Whether a client names gzip among the codings that it takes, with a weight above 0.
///
/// Section 12.5.3 lets `*`, or no field at all, stand for gzip. Neither counts here: they say that the client does not mind, not that it
/// has a decoder, and whoever does not mind takes an answer without coding as well. A name that stands twice counts only if it is never
/// refused, and a weight that cannot be read is no offer.
pub(super) fn offers_gzip(headers: &HeaderMap) -> bool {
    let mut offered = false;
    for member in headers.get_all(ACCEPT_ENCODING).iter().flat_map(|value| list(value.as_bytes())) {
        let mut parts = member.splitn(2, |&byte| byte == b';');
        if !parts.next().is_some_and(|coding| is_gzip(trim(coding))) {
            continue;
        }
        if !parts.next().is_none_or(|weight| is_positive_weight(trim(weight))) {
            return false;
        }
        offered = true;
    }
    offered
}

/// Section 8.4.1.3: `x-gzip` is the same.
fn is_gzip(coding: &[u8]) -> bool {
    coding.eq_ignore_ascii_case(b"gzip") || coding.eq_ignore_ascii_case(b"x-gzip")
}

/// Whether `text` is a weight of section 12.4.2, `q=0.001` to `q=1.000`.
fn is_positive_weight(text: &[u8]) -> bool {
    let [b'q' | b'Q', b'=', whole, fraction @ ..] = text else { return false };
    let digits = match fraction {
        [] => fraction,
        [b'.', digits @ ..] if digits.len() <= 3 => digits,
        _ => return false,
    };
    match whole {
        b'1' => digits.iter().all(|digit| *digit == b'0'),
        b'0' => digits.iter().all(u8::is_ascii_digit) && digits.iter().any(|digit| *digit != b'0'),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::{ACCEPT_ENCODING, CONTENT_ENCODING, Coding, offers_gzip};

    fn head(name: HeaderName, values: &[&'static str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_coding_is_one_that_we_decode_or_none_or_another() {
        for (values, coding) in [
            (&[][..], Coding::Identity),
            (&[""], Coding::Identity),
            (&["identity"], Coding::Identity),
            (&["Identity, identity,", "identity"], Coding::Identity),
            (&["gzip"], Coding::Gzip),
            (&["GZip"], Coding::Gzip),
            (&["x-gzip"], Coding::Gzip),
            (&[" , gzip,"], Coding::Gzip),
            (&["", "X-Gzip"], Coding::Gzip),
            (&["gzip, gzip"], Coding::Other),
            (&["gzip", "gzip"], Coding::Other),
            (&["identity, gzip"], Coding::Other),
            (&["identity", "gzip"], Coding::Other),
            (&["br"], Coding::Other),
            (&["deflate, gzip"], Coding::Other),
            (&["gzip;q=1"], Coding::Other),
            (&["gzip x"], Coding::Other),
        ] {
            assert_eq!(Coding::of(&head(CONTENT_ENCODING, values)), coding, "{values:?}");
        }
    }

    #[test]
    fn gzip_is_offered_by_its_name_and_a_weight_above_nothing() {
        let offers = |values: &[&'static str]| offers_gzip(&head(ACCEPT_ENCODING, values));
        for values in [
            &["gzip"][..],
            &["GZIP"],
            &["x-gzip"],
            &["br, gzip , zstd"],
            &["br", "gzip"],
            &["gzip;q=1", "x-gzip"],
            &["gzip;q=0.001"],
            &["gzip ; Q=1.000"],
            &["gzip;q=1."],
            &["gzip; q=0.5, *;q=0"],
        ] {
            assert!(offers(values), "{values:?}");
        }
        for values in [
            &[][..],
            &[""],
            &["*"],
            &["br;q=1, *"],
            &["identity"],
            &["gzip;q=0"],
            &["gzip;q=0."],
            &["gzip;q=0.000"],
            &["gzip;q=0.0000"],
            &["gzip;q=0.0001"],
            &["gzip;q=2"],
            &["gzip;q=1.001"],
            &["gzip;q=0.5x"],
            &["gzip;q=-1"],
            &["gzip;q="],
            &["gzip;"],
            &["gzip;x=1"],
            &["gzip;q=1;q=1"],
            &["gzip, gzip;q=0"],
            &["x-gzip;q=0", "gzip"],
            &["xgzip"],
            &["gzip2"],
        ] {
            assert!(!offers(values), "{values:?}");
        }
    }
}
