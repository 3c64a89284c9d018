//! From a path or a text to a [`Config`]: reads, bounds, and runs the steps in order.
//!
//! Only this file touches the file system and the process environment, and only in [`load`].

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use super::error::{Problems, Report};
use super::resolve::Outside;
use super::source::Source;
use super::{Config, defaults, raw, resolve, schema, secrecy};
use crate::tls::{ClientTls, ClientTlsSpec, ServerTls, ServerTlsSpec, TlsError, alpn};

/// Reads the configuration at `path`, with the variables of this process.
///
/// # Errors
///
/// All that is wrong with the file. With `Ok` come warnings, if any.
pub fn load(path: &Path) -> Result<(Config, Problems), Problems> {
    let name = path.display().to_string();
    let bytes = read(path).map_err(|error| {
        Problems::unreadable(&name, format!("cannot read the configuration: {error}"), "name a YAML file that this user may read")
    })?;
    if bytes.len() > defaults::LARGEST_FILE {
        return Err(too_large(&name));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let line = error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
        Problems::unreadable(&name, format!("the file is not UTF-8: see line {line}"), "save it as UTF-8 text")
    })?;
    // A path keeps its meaning when the process goes elsewhere.
    let base = std::path::absolute(path).ok().and_then(|path| path.parent().map(Path::to_owned)).unwrap_or_default();
    parse_in(&base, &name, &text, &|name| std::env::var(name).ok(), &System)
}

/// Reads a configuration from its text; `env` gives the variables. Paths in it are relative to where `file_name` lies.
///
/// # Errors
///
/// All that is wrong with the text. With `Ok` come warnings, if any.
pub fn parse(file_name: &str, text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<(Config, Problems), Problems> {
    parse_in(Path::new(file_name).parent().unwrap_or(Path::new("")), file_name, text, env, &Nothing)
}

fn parse_in(
    base: &Path,
    name: &str,
    text: &str,
    env: &dyn Fn(&str) -> Option<String>,
    outside: &dyn Outside,
) -> Result<(Config, Problems), Problems> {
    if text.len() > defaults::LARGEST_FILE {
        return Err(too_large(name));
    }
    let source = Source::new(name, text);
    let secret = secrecy::secret_lines(source.lines());
    let source = source.hiding(secret);
    let mut report = Report::new(&source);
    let Some(root) = raw::read(&source, env, &mut report) else {
        return Err(report.finish());
    };
    if !schema::check(&root, &mut report) {
        return Err(report.finish());
    }
    let config = resolve::resolve(&root, base, outside, &mut report);
    let problems = report.finish();
    if problems.has_errors() { Err(problems) } else { Ok((config, problems)) }
}

fn too_large(name: &str) -> Problems {
    Problems::unreadable(name, "the file is larger than 1 MiB".to_owned(), "no configuration is so large: name the right file")
}

/// This machine.
struct System;

impl Outside for System {
    /// One without a name, which `/dev/stdout` may lead to, has its reader already; no path is its own.
    fn is_pipe(&self, path: &Path) -> bool {
        std::fs::metadata(path).is_ok_and(|found| found.file_type().is_fifo()) && path.canonicalize().is_ok()
    }

    fn server_tls(&self, spec: &ServerTlsSpec) -> Result<(), TlsError> {
        ServerTls::new(spec.clone()).map(drop)
    }

    fn client_tls(&self, spec: &ClientTlsSpec) -> Result<(), TlsError> {
        ClientTls::new(spec.clone(), alpn::HTTP_1_1).map(drop)
    }
}

/// For a text alone: what it names is taken as good.
struct Nothing;

impl Outside for Nothing {
    fn is_pipe(&self, _path: &Path) -> bool {
        false
    }

    fn server_tls(&self, _spec: &ServerTlsSpec) -> Result<(), TlsError> {
        Ok(())
    }

    fn client_tls(&self, _spec: &ClientTlsSpec) -> Result<(), TlsError> {
        Ok(())
    }
}

/// At most one byte more than [`parse`] takes.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(defaults::LARGEST_FILE as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
