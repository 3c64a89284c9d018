//! The `Cookie` fields of a request (RFC 6265 section 4.2): one cookie found by its name, or taken out.
//!
//! Others in the same field may be as broken as they like: a pair that makes no sense is passed over, and it never hides the one that
//! is looked for. It must never touch a byte of a cookie that is not its own.

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};
use pingora::Result;
use pingora::http::RequestHeader;

use super::edit::{Edit, rewrite};
use super::grammar::trim;

/// The values of all cookies called `name`, in the order in which they came: browsers send that of the closest path first. Names are
/// compared with case.
pub fn values<'a, 'n>(headers: &'a HeaderMap, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
    headers.get_all(COOKIE).iter().flat_map(|field| pairs(field.as_bytes())).filter_map(move |pair| value_of(pair, name))
}

/// Takes all cookies called `name` out of `request`. A field in which no cookie is left goes too; every other byte stays.
///
/// # Errors
/// If the head cannot be written back, which no built head causes.
pub fn strip(request: &mut RequestHeader, name: &str) -> Result<()> {
    if values(&request.headers, name).next().is_none() {
        return Ok(());
    }
    rewrite(request, |field, value| {
        let is_ours = |pair: &&[u8]| value_of(pair, name).is_some();
        if !field.eq_ignore_ascii_case(COOKIE.as_str().as_bytes()) || !pairs(value.as_bytes()).any(|pair| is_ours(&pair)) {
            return Edit::Keep;
        }
        let others: Vec<&[u8]> = pairs(value.as_bytes()).filter(|pair| !is_ours(pair)).collect();
        if others.iter().all(|pair| trim(pair).is_empty()) {
            return Edit::Drop;
        }
        // Parts of one valid value make a valid value.
        HeaderValue::from_bytes(trim(&others.join(&b';'))).map_or(Edit::Drop, Edit::Replace)
    })
}

/// The parts between semicolons, with the whitespace around them.
fn pairs(field: &[u8]) -> impl Iterator<Item = &[u8]> {
    field.split(|&byte| byte == b';')
}

/// The value in `pair`, if it is a cookie called `name`.
fn value_of<'a>(pair: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let equals = pair.iter().position(|&byte| byte == b'=')?;
    (trim(&pair[..equals]) == name.as_bytes()).then(|| trim(&pair[equals + 1..]))
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use proptest::prelude::*;

    use super::*;

    fn request(fields: &[(&'static str, &str)]) -> RequestHeader {
        let mut request = RequestHeader::build("GET", b"/", None).unwrap();
        for (name, value) in fields {
            request.append_header(*name, *value).unwrap();
        }
        request
    }

    fn wire(request: &RequestHeader) -> String {
        let mut fields = BytesMut::new();
        request.header_to_h1_wire(&mut fields);
        String::from_utf8(fields.to_vec()).unwrap()
    }

    fn stripped(fields: &[(&'static str, &str)]) -> String {
        let mut request = request(fields);
        strip(&mut request, "pin").unwrap();
        wire(&request)
    }

    fn found(fields: &[(&'static str, &str)]) -> Vec<String> {
        values(&request(fields).headers, "pin").map(|value| String::from_utf8_lossy(value).into_owned()).collect()
    }

    #[test]
    fn a_cookie_is_found_over_several_lines_and_among_broken_neighbours() {
        assert_eq!(found(&[("cookie", "a=1; pin=x=y==;b"), ("Cookie", "=; ;;\"; é=ü;pin = z ")]), ["x=y==", "z"]);
        assert_eq!(found(&[("cookie", "pin=")]), [""]);
    }

    #[test]
    fn a_cookie_of_another_name_or_case_is_another() {
        assert_eq!(found(&[("cookie", "Pin=1; pins=2; xpin=3; pin; a=pin=4"), ("x-cookie", "pin=5")]), Vec::<String>::new());
    }

    #[test]
    fn the_other_cookies_stay_byte_for_byte() {
        assert_eq!(stripped(&[("cOOkie", "a=1;b= \"2 ;  pin=x;c")]), "cOOkie: a=1;b= \"2 ;c\r\n");
        assert_eq!(stripped(&[("cookie", "pin=x; a=1;pin=y")]), "cookie: a=1\r\n");
        assert_eq!(stripped(&[("cookie", "a=1;  b=2; ")]), "cookie: a=1;  b=2; \r\n");
    }

    #[test]
    fn a_field_in_which_nothing_is_left_goes_and_no_other_moves() {
        assert_eq!(
            stripped(&[("X-A", "1"), ("Cookie", "pin=x; "), ("cookie", "a=1"), ("x-B", "2"), ("Y", "3")]),
            "X-A: 1\r\ncookie: a=1\r\nx-B: 2\r\nY: 3\r\n"
        );
        assert_eq!(stripped(&[("X-A", "1"), ("Cookie", "pin=x"), ("x-B", "2"), ("Y", "3")]), "X-A: 1\r\nx-B: 2\r\nY: 3\r\n");
    }

    #[test]
    fn a_head_without_case_is_stripped_too() {
        let parts =
            http::Request::get("/").header("a", "1").header("cookie", "pin=1").header("b", "2").body(()).unwrap().into_parts().0;
        let mut request = RequestHeader::from(parts);
        strip(&mut request, "pin").unwrap();
        assert_eq!(wire(&request), "a: 1\r\nb: 2\r\n");
    }

    proptest! {
        #![proptest_config(crate::message::proptest_config(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/proptest-regressions/message-cookie.txt")))]

        #[test]
        fn after_stripping_nothing_of_ours_is_left_and_all_else_is(fields in proptest::collection::vec("(pin|a|Pin|)[=; \"]{0,2}(pin=|b)?[;]?( ?pin=x;?)?", 0..4)) {
            let fields: Vec<_> = fields.iter().map(|value| ("cookie", value.as_str())).collect();
            let others = |request: &RequestHeader| -> Vec<Vec<u8>> {
                let fields = request.headers.get_all(COOKIE).iter();
                fields
                    .flat_map(|field| pairs(field.as_bytes()))
                    .filter(|pair| value_of(pair, "pin").is_none())
                    .map(|pair| trim(pair).to_vec())
                    .filter(|pair| !pair.is_empty())
                    .collect()
            };
            let mut request = request(&fields);
            let before = others(&request);
            strip(&mut request, "pin").unwrap();
            prop_assert_eq!(values(&request.headers, "pin").count(), 0);
            prop_assert_eq!(others(&request), before);
        }
    }
}
