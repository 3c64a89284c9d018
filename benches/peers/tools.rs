//! What the comparison needs besides itself: found on the machine, or built and installed below `target/peers`, never elsewhere.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rcgen::{CertificateParams, KeyPair};

use crate::Fallible;
use crate::roster::Peer;

/// The comparison's own sources.
pub(crate) fn suite() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers")
}

/// Where everything is put that it makes.
pub(crate) fn target() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers")
}

/// The build that is measured, which is also load and origin.
pub(crate) fn ssedge() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_ssedge"))
}

/// The virtual environment whose wheels hold Caddy, Envoy and Traefik.
pub(crate) fn venv() -> PathBuf {
    target().join("venv")
}

/// Vanilla Pingora, built here.
pub(crate) fn vanilla() -> PathBuf {
    target().join("vanilla/release/vanilla-pingora")
}

/// Envoy itself, without the script of its wheel that would stand between us and it.
pub(crate) fn envoy() -> Fallible<PathBuf> {
    let lib = venv().join("lib");
    let pythons = fs::read_dir(&lib).map_err(|error| format!("{}: {error}", lib.display()))?;
    let mut paths = pythons.filter_map(Result::ok).map(|python| python.path().join("site-packages/envoy/_bin/envoy"));
    paths.find(|path| path.is_file()).ok_or_else(|| format!("{} has no site-packages/envoy/_bin/envoy", lib.display()))
}

/// `path` if it is there.
pub(crate) fn existing(path: PathBuf) -> Fallible<PathBuf> {
    if path.is_file() { Ok(path) } else { Err(format!("{} is not there", path.display())) }
}

/// `name` on the path, or where Debian keeps servers.
pub(crate) fn find(name: &str) -> Fallible<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs = env::split_paths(&path).chain([PathBuf::from("/usr/sbin"), PathBuf::from("/usr/local/sbin")]);
    dirs.map(|dir| dir.join(name)).find(|file| file.is_file()).ok_or_else(|| format!("{name} is not installed"))
}

/// Brings what of `peers` can be brought without root. What fails is told; the peer is missing then.
pub(crate) fn install(peers: &[Peer], mut tell: impl FnMut(&str)) {
    if peers.iter().any(|peer| matches!(peer, Peer::Envoy | Peer::Traefik | Peer::Caddy))
        && let Err(problem) = install_wheels(&mut tell)
    {
        tell(&format!("the wheels of benches/peers/requirements.txt cannot be installed: {problem}"));
    }
    if peers.contains(&Peer::Pingora)
        && let Err(problem) = build_vanilla(&mut tell)
    {
        tell(&format!("vanilla Pingora cannot be built: {problem}"));
    }
}

/// Fills the virtual environment, unless it holds what `requirements.txt` wants.
fn install_wheels(tell: &mut impl FnMut(&str)) -> Fallible<()> {
    let requirements = suite().join("requirements.txt");
    let wanted = fs::read(&requirements).map_err(|error| error.to_string())?;
    let stamp = venv().join("installed.txt");
    if fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    tell("installing Caddy, Envoy and Traefik into target/peers/venv");
    run(Command::new("python3").args(["-m", "venv"]).arg(venv()))?;
    let mut pip = Command::new(venv().join("bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:", "--requirement"]);
    run(pip.arg(&requirements))?;
    fs::write(&stamp, wanted).map_err(|error| error.to_string())
}

/// Builds `vanilla/`, unless what is built came from these sources. Cargo itself would build it again whenever its own environment differs,
/// as it does between a shell and `cargo bench`.
fn build_vanilla(tell: &mut impl FnMut(&str)) -> Fallible<()> {
    let mut wanted = Vec::new();
    for name in ["Cargo.toml", "Cargo.lock", "src/main.rs"] {
        let path = suite().join("vanilla").join(name);
        wanted.extend(fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?);
    }
    let stamp = target().join("vanilla/built.txt");
    if vanilla().is_file() && fs::read(&stamp).is_ok_and(|built| built == wanted) {
        return Ok(());
    }
    tell("building vanilla Pingora into target/peers/vanilla, which takes some minutes");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--release", "--locked", "--quiet", "--manifest-path"]).arg(suite().join("vanilla/Cargo.toml"));
    run(build.arg("--target-dir").arg(target().join("vanilla")))?;
    fs::write(&stamp, wanted).map_err(|error| error.to_string())
}

/// Runs `command` to its end; its complaint where it fails.
fn run(command: &mut Command) -> Fallible<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{name}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    Err(format!("{name} ended with {}: {}", output.status, complaint.trim()))
}

/// The certificate of all proxies, below `dir`; clients trust it as an authority.
pub(crate) fn certificate(dir: &Path) -> PathBuf {
    dir.join("certificate.pem")
}

/// Its key.
pub(crate) fn key(dir: &Path) -> PathBuf {
    dir.join("key.pem")
}

/// Both in one file, as HAProxy wants them.
pub(crate) fn certificate_with_key(dir: &Path) -> PathBuf {
    dir.join("both.pem")
}

/// Makes the certificate: ECDSA over P-256, for localhost and 127.0.0.1.
pub(crate) fn make_certificate(dir: &Path) -> Fallible<()> {
    let made = || -> Result<(String, String), rcgen::Error> {
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()])?.self_signed(&key)?;
        Ok((certificate.pem(), key.serialize_pem()))
    };
    let (cert, private) = made().map_err(|error| format!("no certificate can be made: {error}"))?;
    let write = |path: PathBuf, text: String| fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()));
    fs::create_dir_all(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    write(certificate_with_key(dir), format!("{cert}{private}"))?;
    write(certificate(dir), cert)?;
    write(key(dir), private)
}
