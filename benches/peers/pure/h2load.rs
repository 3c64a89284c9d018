//! What h2load (nghttp2) writes about ordinary requests.

/// The outcome of one run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Outcome {
    /// Requests a second.
    pub per_second: f64,
    /// Requests that were answered.
    pub requests: u64,
}

/// Reads the output; fails when a request was answered with anything but 2xx, or not at all.
pub(crate) fn outcome(text: &str) -> Result<Outcome, String> {
    let line = |start: &str| {
        let found = text.lines().find(|line| line.starts_with(start));
        found.ok_or_else(|| format!("h2load wrote no line `{start}`: {}", text.trim()))
    };
    let finished = line("finished in ")?;
    let per_second = number_before(finished, " req/s").ok_or_else(|| format!("no rate: {finished}"))?;
    let requests = line("requests: ")?;
    let count = |word: &str| number_before(requests, word).ok_or_else(|| format!("no number of{word}: {requests}"));
    let (done, failed, errored, timed_out) = (count(" succeeded")?, count(" failed")?, count(" errored")?, count(" timeout")?);
    let codes = line("status codes: ")?;
    let good = number_before(codes, " 2xx").ok_or_else(|| format!("no 2xx: {codes}"))?;
    if failed + errored + timed_out > 0.0 || good < done || done < 1.0 {
        return Err(format!("requests failed: {requests}; {codes}"));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of requests, printed as digits")]
    let requests = done as u64;
    Ok(Outcome { per_second, requests })
}

/// The number that stands directly before `word`.
fn number_before(line: &str, word: &str) -> Option<f64> {
    let before = &line[..line.find(word)?];
    before.rsplit([' ', ',']).next()?.parse().ok()
}
