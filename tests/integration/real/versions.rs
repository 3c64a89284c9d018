//! The versions that the tools are pinned to, from the files that pin them.

use super::tool::dir;

/// What Debian updates: its version is not ours to pin.
pub(super) const DEBIAN: &str = "Debian's";

/// Of an npm package, from the lock file.
pub(super) fn npm(package: &str) -> String {
    let text = read("node/package-lock.json");
    let lock: serde_json::Value = serde_json::from_str(&text).expect("the lock file is JSON");
    let version = lock["packages"][format!("node_modules/{package}")]["version"].as_str();
    version.unwrap_or_else(|| panic!("no version of {package} in package-lock.json")).to_owned()
}

/// Of a Python package, from the requirements.
pub(super) fn python(package: &str) -> String {
    let text = read("python/requirements.txt");
    let pins = text.lines().filter_map(|line| line.split_once("=="));
    let version = pins.into_iter().find_map(|(name, version)| (name == package).then(|| version.trim().to_owned()));
    version.unwrap_or_else(|| panic!("no version of {package} in requirements.txt"))
}

fn read(name: &str) -> String {
    let path = dir().join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
