//! Medians and ratios.

use crate::pure::stats::{Summary, ratio};

#[test]
fn the_median_of_an_odd_number_is_the_one_in_the_middle() {
    assert_eq!(Summary::of(&[9.0, 1.0, 4.0]), Some(Summary { median: 4.0, min: 1.0, max: 9.0 }));
}

#[test]
fn the_median_of_an_even_number_lies_between_the_two_in_the_middle() {
    assert_eq!(Summary::of(&[10.0, 1.0, 4.0, 2.0]), Some(Summary { median: 3.0, min: 1.0, max: 10.0 }));
}

#[test]
fn nothing_has_no_median() {
    assert_eq!(Summary::of(&[]), None);
}

#[test]
fn a_ratio_needs_something_to_divide_by() {
    assert_eq!(ratio(3.0, 2.0), Some(1.5));
    assert_eq!(ratio(3.0, 0.0), None);
}
