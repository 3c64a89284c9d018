//! Memory over a soak.

use crate::pure::growth::Growth;

/// A sample every ten seconds over half an hour.
fn samples(kib: impl Fn(f64) -> f64) -> Vec<(f64, f64)> {
    (0..180).map(|n| f64::from(n) * 10.0).map(|at| (at, kib(at))).collect()
}

#[test]
fn memory_that_stays_does_not_grow_whatever_happened_in_the_first_minutes() {
    let growth = Growth::of(&samples(|at| if at < 200.0 { 9000.0 } else { 500.0 }), 1800.0).expect("both windows have samples");
    assert_eq!(growth, Growth { early: 500.0, late: 500.0 });
    assert!(growth.percent().abs() < 1e-9);
}

#[test]
fn memory_that_rises_grows_by_what_lies_between_the_windows() {
    let growth = Growth::of(&samples(|at| 1000.0 + at), 1800.0).expect("both windows have samples");
    assert_eq!(growth, Growth { early: 1300.0, late: 2735.0 });
    assert!((growth.percent() - 110.4).abs() < 0.1, "{}", growth.percent());
}

#[test]
fn one_peak_in_the_last_window_is_not_growth() {
    let growth = Growth::of(&samples(|at| if at > 1785.0 { 9000.0 } else { 500.0 }), 1800.0).expect("both windows have samples");
    assert!((growth.late - 500.0).abs() < 1e-9);
}

#[test]
fn a_window_without_samples_is_no_verdict() {
    assert_eq!(Growth::of(&[(0.0, 1.0), (1790.0, 1.0)], 1800.0), None);
}
