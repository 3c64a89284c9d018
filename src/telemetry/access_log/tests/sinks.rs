//! Files that are rotated, sinks that stand still, sinks that fail.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::super::sink::Output;
use super::super::{AccessLog, Sink};
use super::request;
use crate::telemetry::logging::LogFormat;

/// Longer than any test may take.
const AGES: Duration = Duration::from_secs(60);

fn say(log: &AccessLog, path: &str) {
    log.request(&request(b"h", path.as_bytes()));
}

/// Opens a log in a file.
fn open(path: &Path) -> AccessLog {
    AccessLog::new(Sink::File(path.to_owned()), LogFormat::Text).expect("the file can be opened")
}

/// The paths in the lines of a file.
fn paths(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).expect("the file is there");
    assert!(text.is_empty() || text.ends_with('\n'), "a line is torn: {text:?}");
    text.lines().map(|line| line.split(" path=").nth(1).expect("a path").split(' ').next().expect("a word").to_owned()).collect()
}

fn dir() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("access.log");
    (dir, file)
}

#[test]
fn lines_are_appended_to_a_file_in_their_order() {
    let (_dir, file) = dir();
    for start in [0, 100] {
        let log = open(&file);
        for n in start..start + 100 {
            say(&log, &format!("/{n}"));
        }
        drop(log);
    }
    assert_eq!(paths(&file), (0..200).map(|n| format!("/{n}")).collect::<Vec<_>>());
}

#[test]
fn lines_of_many_workers_are_all_there_and_none_is_torn() {
    let (_dir, file) = dir();
    let log = open(&file);
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let log = &log;
            scope.spawn(move || (0..500).for_each(|n| say(log, &format!("/{worker}/{n}"))));
        }
    });
    assert!(log.flush(AGES));
    let found = paths(&file);
    assert_eq!((found.len(), log.dropped()), (2000, 0));
    for worker in 0..4 {
        let own: Vec<_> = found.iter().filter(|path| path.starts_with(&format!("/{worker}/"))).cloned().collect();
        assert_eq!(own, (0..500).map(|n| format!("/{worker}/{n}")).collect::<Vec<_>>());
    }
}

#[test]
fn after_a_rotation_and_a_reopen_no_line_is_lost_and_each_is_in_the_right_file() {
    let (dir, file) = dir();
    let old = dir.path().join("access.log.1");
    let log = open(&file);
    say(&log, "/before");
    assert!(log.flush(AGES));
    fs::rename(&file, &old).expect("rotated");
    // Still the old file: nobody said anything.
    say(&log, "/between");
    log.reopen();
    say(&log, "/after");
    assert!(log.flush(AGES));
    assert_eq!(paths(&old), ["/before", "/between"]);
    assert_eq!(paths(&file), ["/after"]);
    log.reopen();
    say(&log, "/again");
    assert!(log.flush(AGES));
    assert_eq!(paths(&file), ["/after", "/again"], "a reopen without a rotation goes on where it was");
}

#[test]
fn a_file_that_cannot_be_opened_anew_leaves_the_old_one_in_use() {
    let (dir, file) = dir();
    let old = dir.path().join("access.log.1");
    let log = open(&file);
    fs::rename(&file, &old).expect("rotated");
    fs::create_dir(&file).expect("something is in the way");
    log.reopen();
    say(&log, "/kept");
    assert!(log.flush(AGES));
    assert_eq!((paths(&old), log.dropped()), (vec!["/kept".to_owned()], 0));
    fs::remove_dir(&file).expect("out of the way");
    log.reopen();
    say(&log, "/moved");
    assert!(log.flush(AGES));
    assert_eq!(paths(&file), ["/moved"]);
}

#[test]
fn a_file_that_cannot_be_opened_at_the_start_is_an_error_that_names_it() {
    let (dir, _) = dir();
    let file = dir.path().join("missing").join("access.log");
    let error = AccessLog::new(Sink::File(file.clone()), LogFormat::Text).expect_err("there is no such directory").to_string();
    assert!(error.contains(&file.display().to_string()) && error.contains("No such file"), "{error}");
}

#[test]
fn a_log_that_is_off_takes_everything_and_does_nothing() {
    let log = AccessLog::new(Sink::Off, LogFormat::Json).expect("nothing to open");
    say(&log, "/");
    log.reopen();
    assert!(log.flush(Duration::ZERO));
    assert_eq!((log.dropped(), log.next_stream(), log.next_stream()), (0, 1, 2));
}

/// A sink that says when it was asked to write, and waits until it may. What it took is in `taken`.
struct Stuck {
    entered: Sender<()>,
    may: Receiver<()>,
    taken: Arc<Mutex<Vec<u8>>>,
}

impl Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.entered.send(()).ok();
        // An error is the end of the test: no waiting any more.
        self.may.recv().ok();
        self.taken.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_sink_that_stands_still_holds_nobody_up_and_what_does_not_fit_is_counted() {
    let (entered, is_in) = channel();
    let (go, may) = channel();
    let taken = Arc::new(Mutex::new(Vec::new()));
    let stuck = Stuck { entered, may, taken: Arc::clone(&taken) };
    let mut line = Vec::new();
    request(b"h", b"/").render(LogFormat::Text, std::time::SystemTime::UNIX_EPOCH, &mut line);
    let log =
        AccessLog::start(Output::new(Box::new(stuck), None), LogFormat::Text, 10 * line.len() + line.len() / 2).expect("a thread");

    say(&log, "/");
    is_in.recv_timeout(AGES).expect("the writer writes the first line");
    // It stands still now. These calls return all the same: ten lines fit.
    for _ in 0..25 {
        say(&log, "/");
    }
    assert_eq!(log.dropped(), 15);
    assert!(!log.flush(Duration::from_millis(1)), "the first line is not written yet");
    assert_eq!(*taken.lock().unwrap(), b"");

    drop(go);
    assert!(log.flush(AGES));
    let written = taken.lock().unwrap().iter().filter(|byte| **byte == b'\n').count();
    assert_eq!((written, log.dropped()), (11, 15));
    say(&log, "/");
    assert!(log.flush(AGES));
    assert_eq!(log.dropped(), 15, "there is room again");
}

/// What a sink answers to a write, in order; then it takes everything.
enum Answer {
    Takes(usize),
    Fails(io::ErrorKind),
}

struct Moody {
    answers: Vec<Answer>,
    taken: Arc<Mutex<Vec<u8>>>,
}

impl Write for Moody {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let answer = if self.answers.is_empty() { Answer::Takes(bytes.len()) } else { self.answers.remove(0) };
        match answer {
            Answer::Takes(n) => {
                let n = n.min(bytes.len());
                self.taken.lock().unwrap().extend_from_slice(&bytes[..n]);
                Ok(n)
            }
            Answer::Fails(kind) => Err(kind.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes each of `batches` to a sink with these answers. Returns what it took, and what was lost of each batch.
fn moody(answers: Vec<Answer>, batches: &[&str]) -> (String, Vec<u64>) {
    let taken = Arc::new(Mutex::new(Vec::new()));
    let mut output = Output::new(Box::new(Moody { answers, taken: Arc::clone(&taken) }), None);
    let lost = batches.iter().map(|batch| output.write(batch.as_bytes())).collect();
    let taken = taken.lock().unwrap().clone();
    (String::from_utf8(taken).expect("text"), lost)
}

#[test]
fn short_writes_and_interruptions_lose_nothing() {
    let answers = vec![
        Answer::Takes(1),
        Answer::Fails(io::ErrorKind::Interrupted),
        Answer::Takes(2),
        Answer::Fails(io::ErrorKind::WouldBlock),
        Answer::Takes(3),
    ];
    assert_eq!(moody(answers, &["one\ntwo\n", "three\n"]), ("one\ntwo\nthree\n".to_owned(), vec![0, 0]));
}

#[test]
fn lines_that_a_sink_refuses_are_counted_and_a_torn_one_does_not_spoil_the_next() {
    let answers = vec![Answer::Takes(6), Answer::Fails(io::ErrorKind::StorageFull)];
    assert_eq!(moody(answers, &["one\ntwo\nthree\n", "four\n"]), ("one\ntw\nfour\n".to_owned(), vec![2, 0]));
    let answers = vec![Answer::Fails(io::ErrorKind::BrokenPipe), Answer::Takes(0)];
    assert_eq!(moody(answers, &["one\n", "two\n", "three\n"]), ("three\n".to_owned(), vec![1, 1, 0]));
}

#[test]
fn a_full_disk_is_counted_line_by_line_and_ends_nothing() {
    let log = open(Path::new("/dev/full"));
    for _ in 0..3 {
        say(&log, "/");
    }
    assert!(log.flush(AGES));
    assert_eq!(log.dropped(), 3);
}
