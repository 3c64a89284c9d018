//! The kernel's files as they look, and as a hostile process name makes them look.

use std::time::Duration;

use crate::pure::procfs::{Stat, pss_kib, schedstat, stat, stolen_ticks, tree};

const AFTER_NAME: &str = "S 17 100 100 0 -1 4194560 1523 20 0 0 30 4 5 1 20 0 3 0 8812 230993920 2466 18446744073709551615";

#[test]
fn the_ticks_of_a_process_are_its_own_and_those_of_children_it_waited_for() {
    assert_eq!(stat(&format!("42 (nginx) {AFTER_NAME}")), Some(Stat { pid: 42, parent: 17, ticks: 40 }));
}

#[test]
fn a_name_may_hold_brackets_and_blanks() {
    assert_eq!(stat(&format!("42 (a) R 9 (b) {AFTER_NAME}")), Some(Stat { pid: 42, parent: 17, ticks: 40 }));
}

#[test]
fn a_line_that_is_cut_short_is_no_process() {
    assert_eq!(stat("42 (nginx) S 17 100 100 0 -1 4194560 1523 20 0 0 30 4 5"), None);
    assert_eq!(stat(""), None);
}

#[test]
fn the_time_on_a_core_is_the_first_number_in_nanoseconds() {
    assert_eq!(schedstat("890029491 166288589 1174\n"), Some(Duration::from_nanos(890_029_491)));
    assert_eq!(schedstat(""), None);
}

#[test]
fn the_proportional_set_size_is_not_one_of_its_parts() {
    let text = "558b1000-7ffe2000 ---p 00000000 00:00 0   [rollup]\nRss:  4000 kB\nPss_Anon: 12 kB\nPss:                2466 kB\n";
    assert_eq!(pss_kib(text), Some(2466));
    assert_eq!(pss_kib("Rss: 4000 kB\n"), None);
}

#[test]
fn stolen_time_is_the_eighth_number_over_all_cores() {
    assert_eq!(stolen_ticks("cpu  1 2 3 4 5 6 7 88 9 10\ncpu0 1 1 1 1 1 1 1 1 1 1\n"), Some(88));
    assert_eq!(stolen_ticks("cpu0 1 1 1 1 1 1 1 1 1 1\n"), None);
}

#[test]
fn a_tree_is_its_roots_and_all_below_in_whatever_order_they_are_listed() {
    let process = |pid, parent| Stat { pid, parent, ticks: 0 };
    let all = [process(5, 4), process(4, 3), process(3, 1), process(1, 0), process(6, 1), process(7, 6)];
    let mut found = tree(&[3, 99], &all);
    found.sort_unstable();
    assert_eq!(found, [3, 4, 5]);
}
