//! Files that cannot be read, and files that want to keep us busy.

use super::*;

fn load_bytes(bytes: &[u8]) -> Result<(Config, Problems), Problems> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("edge.yaml");
    std::fs::write(&path, bytes).unwrap();
    load(&path)
}

fn only_message(result: Result<(Config, Problems), Problems>) -> String {
    let problems = result.unwrap_err();
    assert_eq!(problems.iter().count(), 1, "{problems}");
    problems.iter().map(|problem| problem.message.clone()).collect()
}

#[test]
fn the_smallest_config_is_the_one_that_we_ship() {
    let shipped = load_bytes(include_bytes!("../../../conf/minimal.yaml")).unwrap();
    assert_eq!(load_bytes(defaults::SMALLEST_CONFIG.as_bytes()).unwrap().0, shipped.0);
    assert!(shipped.1.is_empty());
}

#[test]
fn line_ends_and_a_byte_order_mark_make_no_difference() {
    let plain = load_bytes(defaults::SMALLEST_CONFIG.as_bytes()).unwrap();
    let foreign = format!("\u{feff}{}", defaults::SMALLEST_CONFIG.replace('\n', "\r\n"));
    assert_eq!(load_bytes(foreign.as_bytes()).unwrap().0, plain.0);
}

#[test]
fn json_is_accepted() {
    let json = br#"{"listeners":[{"address":"0.0.0.0:8080"}],"upstreams":{"app":{"servers":["127.0.0.1:3000"]}},"routes":[{"upstream":"app"}]}"#;
    assert_eq!(load_bytes(json).unwrap().0, load_bytes(defaults::SMALLEST_CONFIG.as_bytes()).unwrap().0);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let missing = only_message(load(Path::new("/nowhere/edge.yaml")));
    assert!(missing.starts_with("cannot read the configuration: "), "{missing}");
    let folder = only_message(load(Path::new("/")));
    assert!(folder.starts_with("cannot read the configuration: "), "{folder}");
}

#[test]
fn a_file_that_is_not_utf8_says_where() {
    assert_eq!(only_message(load_bytes(b"threads: 1\n# \xff\n")), "the file is not UTF-8: see line 2");
}

#[test]
fn a_file_over_one_mebibyte_is_refused_whatever_is_in_it() {
    let comment = format!("# {}\n{}", "ä".repeat(defaults::LARGEST_FILE / 2), defaults::SMALLEST_CONFIG);
    assert_eq!(only_message(load_bytes(comment.as_bytes())), "the file is larger than 1 MiB");
    assert_eq!(only_message(parse("f", &comment, &|_| None)), "the file is larger than 1 MiB");
    assert_eq!(only_message(load_bytes(&vec![0xff; defaults::LARGEST_FILE * 2])), "the file is larger than 1 MiB");
}

/// A file of many thousand times `unit`.
fn flood(head: &str, unit: impl Fn(usize) -> String) -> String {
    let mut text = head.to_owned();
    for number in 0.. {
        let unit = unit(number);
        if text.len() + unit.len() > defaults::LARGEST_FILE / 16 {
            break;
        }
        text.push_str(&unit);
    }
    text
}

#[test]
fn hostile_files_end_in_few_problems() {
    let floods = [
        flood("", |number| format!("k{number}:\n")),
        flood("", |_| "k:\n".to_owned()),
        flood("routes: [", |_| "{},".to_owned()),
        flood("listeners: [", |_| "a,".to_owned()),
        flood("listeners:\n", |number| format!("- address: 1.2.3.4:{}\n", number % 65_536)),
        flood("upstreams:\n", |number| format!(" u{number}: {{ servers: [ a ] }}\n")),
        flood("a: &a [x]\nb: [", |_| "*a,".to_owned()),
        flood("", |_| "\t".to_owned()),
        flood("a: \"", |_| "${A".to_owned()),
        flood("a: ", |_| "x".to_owned()),
        flood("? ", |_| "x".to_owned()),
        flood("", |_| "a: ".to_owned()),
        flood("", |_| "---\n".to_owned()),
        flood("", |_| "\u{0}".to_owned()),
    ];
    for text in floods {
        let problems = parse("f", &text, &|_| None).unwrap_err();
        let count = problems.iter().count();
        assert!((1..=100).contains(&count), "{count} for {}", &text[..20]);
        assert!(problems.to_string().len() < 1 << 20, "{}", &text[..20]);
    }
}
