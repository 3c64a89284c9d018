//! Configuration files as users write them: each under `valid/` is accepted, each under `invalid/` gets exactly the words beside it
//! in its `.err`. `BLESS=1` writes those anew; read the difference before you keep it.

use std::fs;
use std::path::{Path, PathBuf};

use ssedge::config::{self, Config, Problems};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The YAML files of a folder, never none.
fn files(folder: &str) -> Vec<PathBuf> {
    let folder = root().join(folder);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    assert!(!files.is_empty(), "no files in {}", folder.display());
    files.sort();
    files
}

/// The environment of these tests.
fn variable(name: &str) -> Option<String> {
    match name {
        "TEST_PORT" => Some("8081".to_owned()),
        "TEST_NUMBER" => Some("1234567".to_owned()),
        "TEST_YAML" => Some("{ a: 1 }".to_owned()),
        "TEST_EMPTY" => Some(String::new()),
        "TEST_SECRET" => Some("from the environment, of 40 bytes or more".to_owned()),
        _ => None,
    }
}

fn parse(path: &Path) -> Result<(Config, Problems), Problems> {
    let text = fs::read_to_string(path).unwrap();
    config::parse(&path.file_name().unwrap().to_string_lossy(), &text, &variable)
}

fn accepted(path: &Path) -> Config {
    match parse(path) {
        Ok((config, warnings)) => {
            assert!(warnings.is_empty(), "{}:\n{warnings}", path.display());
            config
        }
        Err(problems) => panic!("{}:\n{problems}", path.display()),
    }
}

#[test]
fn valid_files_are_accepted_without_a_word() {
    for path in files("tests/fixtures/config/valid") {
        accepted(&path);
    }
}

#[test]
fn the_files_that_we_ship_are_accepted_without_a_word() {
    for folder in ["conf", "conf/recipes"] {
        for path in files(folder) {
            accepted(&path);
        }
    }
}

#[test]
fn invalid_files_get_exactly_the_expected_words() {
    let differences: Vec<_> =
        files("tests/fixtures/config/invalid").iter().filter_map(|path| difference(path, parse(path))).collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// Certificates and keys that cannot be used are told before anything runs, each at its place.
#[test]
fn files_of_certificates_that_cannot_be_used_get_exactly_the_expected_words() {
    let path = root().join("tests/fixtures/tls/unusable.yaml");
    let loaded = config::load(&path);
    assert_eq!(difference(&path, loaded), None);
    config::load(&root().join("tests/fixtures/config/valid/encrypted.yaml")).unwrap_or_else(|problems| panic!("{problems}"));
}

/// How what is told of the file at `path` differs from the words beside it.
fn difference(path: &Path, result: Result<(Config, Problems), Problems>) -> Option<String> {
    let Err(problems) = result else { panic!("{} was accepted", path.display()) };
    let found = format!("{problems}\n").replace(&format!("{}/", path.parent().unwrap().display()), "");
    let expected = path.with_extension("err");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&expected, &found).unwrap();
    }
    match fs::read_to_string(&expected) {
        Ok(words) if words == found => None,
        Ok(words) => Some(format!("{}\n--- expected\n{words}--- found\n{found}", path.display())),
        Err(error) => Some(format!("{}: {error}\n--- found\n{found}", expected.display())),
    }
}

#[test]
fn every_expectation_belongs_to_a_file() {
    let folder = root().join("tests/fixtures/config/invalid");
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        assert!(path.with_extension("yaml").exists(), "{} is left over", path.display());
    }
}

#[test]
fn every_problem_has_its_place_in_the_rendered_words() {
    for path in files("tests/fixtures/config/invalid") {
        let Err(problems) = parse(&path) else { panic!("{} was accepted", path.display()) };
        let words = problems.to_string();
        for problem in problems.iter() {
            let place = problem.place.unwrap_or_else(|| panic!("{}: {problem}", path.display()));
            let shown = format!("{}:{}:{}\n", path.file_name().unwrap().to_string_lossy(), place.line, place.column);
            assert!(words.contains(&shown), "{shown} is not in\n{words}");
            assert!(!problem.help.is_empty(), "{problem}");
        }
    }
}

#[test]
fn every_recipe_is_there() {
    let names: Vec<_> = files("conf/recipes").iter().map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect();
    assert_eq!(names, ["compose", "express", "fastapi", "llm", "mcp"]);
}

#[test]
fn what_holds_in_a_valid_file_is_dumped_and_holds_again() {
    for folder in ["tests/fixtures/config/valid", "conf", "conf/recipes"] {
        for path in files(folder) {
            let config = accepted(&path);
            let dumped = config::dump(&config);
            let again = dumped.replace("\"***\"", "\"${TEST_SECRET}\"");
            match config::parse("dump.yaml", &again, &variable) {
                Ok((again, _)) => assert_eq!(config::dump(&again), dumped, "{}", path.display()),
                Err(problems) => panic!("{}:\n{problems}\n{dumped}", path.display()),
            }
        }
    }
}

/// What is off by default is commented out in the reference: it says the defaults of that too.
#[test]
fn the_reference_shows_the_defaults_of_what_is_off() {
    let text = fs::read_to_string(root().join("conf/reference.yaml")).unwrap();
    let is_key =
        |line: &str| line.trim_start().strip_prefix('#').is_some_and(|rest| rest.starts_with(|l: char| l.is_ascii_lowercase()));
    // Comments after a value mark examples and what excludes another key, with all below it. What must be written has no default: a
    // certificate.
    let without_default = ["#tls:", "#certificates:", "#client_auth: none"];
    let column = |line: &str| line.len() - line.trim_start().len();
    let mut left_out: Option<usize> = None;
    let kept = text.lines().filter(|line| {
        let inside = left_out.is_some_and(|above| column(line) > above);
        if is_key(line) && !inside {
            left_out = (line.contains(" # ") && !line.contains("path: /healthz")).then(|| column(line));
        }
        !is_key(line) || left_out.is_none()
    });
    let kept = kept.filter(|line| !without_default.contains(&line.trim()));
    let on: Vec<_> = kept.map(|line| if is_key(line) { line.replacen('#', "", 1) } else { line.to_owned() }).collect();
    let on = on.join("\n").replace("SSEDGE_STICKY_SECRET", "TEST_SECRET");
    let on = on.replace("protocol: http1", "protocol: h2c"); // Without it, `h2` may not be there.
    let (shown, warnings) = config::parse("reference.yaml", &on, &variable).unwrap_or_else(|problems| panic!("{problems}"));
    assert!(warnings.is_empty(), "{warnings}");

    let least = "listeners: [ { address: \"0.0.0.0:8080\" } ]\n\
         upstreams: { app: { servers: [ \"127.0.0.1:3000\" ], protocol: h2c, health: { path: /healthz } } }\n\
         routes: [ { upstream: app, auth: { upstream: app, path: /auth }, max_age: { after: 1h }, \
         sticky: { cookie: ssedge, secrets: [ \"${TEST_SECRET}\" ] }, cors: { origins: \"https://app.example.com\" } } ]\n";
    let (least, _) = config::parse("least.yaml", least, &variable).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(shown, least);
}

#[test]
fn the_reference_shows_exactly_the_defaults() {
    let reference = accepted(&root().join("conf/reference.yaml"));
    let minimal = accepted(&root().join("conf/minimal.yaml"));
    assert_eq!(reference, minimal);
}
