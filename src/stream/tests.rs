//! One story for each rule of the design's `sse.md`, section 2. Random schedules are in `tests/simulation.rs`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{
    Action, Beat, ClientEnd, EndReason, FrameChoice, HeartbeatPolicy, MaxAge, StreamFacts, StreamKind, StreamPolicy, StreamState,
    UpstreamEnd,
};
use crate::clock;
use crate::sse::{Frame, LineEnd};

const INTERVAL: Duration = Duration::from_secs(15);

/// A stream under test, whose client takes everything at once.
struct Story {
    state: StreamState,
    now: Instant,
    actions: Vec<Action>,
}

fn policy() -> StreamPolicy {
    StreamPolicy {
        heartbeat: Some(HeartbeatPolicy { interval: INTERVAL, frame: FrameChoice::Auto, text: String::new() }),
        strict_no_transform: false,
        max_upstream_silence: None,
        max_age: None,
        write_stall: Duration::from_secs(60),
    }
}

fn facts() -> StreamFacts {
    StreamFacts {
        kind: StreamKind::Subscription,
        status_ok: true,
        opaque: false,
        digested: false,
        no_transform: false,
        line_frames_only: false,
    }
}

impl Story {
    fn new() -> Self {
        Self::with(policy(), facts())
    }

    fn with(policy: StreamPolicy, facts: StreamFacts) -> Self {
        let now = clock::now();
        Self { state: StreamState::new(Arc::new(policy), facts, 0, now), now, actions: Vec::new() }
    }

    /// The upstream sends; the client takes it.
    fn sends(&mut self, chunk: &[u8]) -> Vec<Action> {
        self.state.handle_upstream(chunk, self.now, &mut self.actions);
        self.taken()
    }

    fn taken(&mut self) -> Vec<Action> {
        let mut actions = std::mem::take(&mut self.actions);
        if actions.iter().any(|action| matches!(action, Action::Forward(_) | Action::Inject(_) | Action::Release)) {
            self.state.handle_written(1, false, self.now, &mut actions);
        }
        actions
    }

    fn after(&mut self, time: Duration) -> Vec<Action> {
        self.now += time;
        self.state.handle_timeout(self.now, &mut self.actions);
        self.taken()
    }

    fn beat_after(&mut self, time: Duration) -> Option<String> {
        match self.after(time).as_slice() {
            [] => None,
            [Action::Inject(beat)] => {
                let mut bytes = Vec::new();
                self.state.encode(*beat, &mut bytes);
                Some(String::from_utf8(bytes).expect("ASCII"))
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_heartbeat_comes_after_an_interval_of_silence_and_not_before() {
    let mut story = Story::new();
    story.sends(b"data: a\n\n");
    assert_eq!(story.state.poll_timeout(), Some(story.now + INTERVAL));
    assert_eq!(story.beat_after(INTERVAL - Duration::from_millis(1)), None);
    assert_eq!(story.beat_after(Duration::from_millis(1)).as_deref(), Some(":\n\n"));
    assert_eq!(story.beat_after(Duration::ZERO), None, "a repeated call has no effect");
    assert_eq!(story.beat_after(INTERVAL).as_deref(), Some(":\n\n"), "and again after the next interval");
}

#[test]
fn an_event_postpones_the_heartbeat() {
    let mut story = Story::new();
    story.after(INTERVAL / 2);
    story.sends(b"data: a\n\n");
    assert_eq!(story.beat_after(INTERVAL / 2), None);
    assert!(story.beat_after(INTERVAL / 2).is_some());
}

#[test]
fn a_heartbeat_comes_before_the_first_event_too() {
    assert_eq!(Story::new().beat_after(INTERVAL).as_deref(), Some(":\n\n"));
}

#[test]
fn a_heartbeat_never_stands_inside_a_line() {
    let mut story = Story::new();
    story.sends(b"data: unfinis");
    assert_eq!(story.beat_after(INTERVAL * 10), None);
    assert_eq!(story.state.poll_timeout(), None);
}

#[test]
fn inside_a_block_it_waits_an_interval_more_and_is_a_single_line() {
    let mut story = Story::new();
    story.sends(b"data: a\n");
    assert_eq!(story.beat_after(INTERVAL), None);
    assert_eq!(story.beat_after(INTERVAL).as_deref(), Some(":\n"));
}

#[test]
fn behind_an_upstreams_own_comment_nothing_is_under_way() {
    let mut story = Story::new();
    story.sends(b"data: a\n\n:\n");
    assert_eq!(story.beat_after(INTERVAL).as_deref(), Some(":\n"), "a line: the comment before it opened a block");
    story.state.handle_drain(story.now, story.now, &mut story.actions);
    assert_eq!(story.taken(), [Action::End(EndReason::Drained)]);
}

#[test]
fn a_configured_block_is_still_a_line_inside_a_block() {
    let mut policy = policy();
    policy.heartbeat = policy.heartbeat.map(|heartbeat| HeartbeatPolicy { frame: FrameChoice::Block, ..heartbeat });
    let mut story = Story::with(policy, facts());
    story.sends(b"data: a\n");
    assert_eq!(story.beat_after(INTERVAL * 2).as_deref(), Some(":\n"));
    story.sends(b"\n");
    assert_eq!(story.beat_after(INTERVAL).as_deref(), Some(":\n\n"));
}

#[test]
fn a_heartbeat_never_splits_a_crlf_pair() {
    let mut story = Story::new();
    story.sends(b"data: a\r");
    assert_eq!(story.beat_after(INTERVAL * 10), None, "the LF may still come");
    story.sends(b"\n\r\n");
    assert_eq!(story.beat_after(INTERVAL).as_deref(), Some(":\r\n\r\n"));
}

#[test]
fn after_a_cr_that_ends_a_block_it_completes_the_pair_and_swallows_the_late_lf() {
    let mut story = Story::new();
    story.sends(b"data: a\r\n\r");
    assert_eq!(story.beat_after(INTERVAL).as_deref(), Some("\n:\n"));
    assert_eq!(story.beat_after(INTERVAL).as_deref(), Some(":\n"), "the pair is complete already");
    assert_eq!(story.sends(b"\ndata: b\r\n\r\n"), [Action::Forward(1..12)], "its LF was written by us");
}

#[test]
fn a_stream_of_lone_crs_loses_nothing_to_a_completed_pair() {
    let mut story = Story::new();
    story.sends(b"data: a\r\r");
    assert_eq!(story.beat_after(INTERVAL).as_deref(), Some("\n:\n"));
    assert_eq!(story.sends(b"data: b\r\r"), [Action::Forward(0..9)]);
}

/// Found by the simulation: a beat that ends with CR pairs with a lone LF of the upstream's, whose blank line is lost.
#[test]
fn a_heartbeat_never_ends_with_a_cr() {
    let mut story = Story::new();
    story.sends(b"data: a\rdata: b\rx");
    story.sends(b"\ry\n");
    assert_eq!(story.beat_after(INTERVAL * 2).as_deref(), Some(":\n"));
}

#[test]
fn an_id_turns_blocks_into_lines() {
    let mut story = Story::new();
    assert_eq!(story.beat_after(INTERVAL).as_deref(), Some(":\n\n"));
    story.sends(b"id: 1\ndata: a\n\n");
    assert_eq!(story.beat_after(INTERVAL).as_deref(), Some(":\n"));
}

#[test]
fn a_client_that_wants_lines_gets_lines() {
    let mut story = Story::with(policy(), StreamFacts { line_frames_only: true, ..facts() });
    assert_eq!(story.beat_after(INTERVAL).as_deref(), Some(":\n"));
}

#[test]
fn the_text_of_a_heartbeat_is_the_configured_one() {
    let mut policy = policy();
    policy.heartbeat = policy.heartbeat.map(|heartbeat| HeartbeatPolicy { text: "keep-alive".to_owned(), ..heartbeat });
    assert_eq!(Story::with(policy, facts()).beat_after(INTERVAL).as_deref(), Some(":keep-alive\n\n"));
}

#[test]
fn no_heartbeat_where_the_head_forbids_it() {
    let forbidden = [
        StreamFacts { status_ok: false, ..facts() },
        StreamFacts { opaque: true, ..facts() },
        StreamFacts { digested: true, ..facts() },
    ];
    for facts in forbidden {
        assert_eq!(Story::with(policy(), facts).beat_after(INTERVAL * 10), None, "{facts:?}");
    }
    assert_eq!(Story::with(StreamPolicy { heartbeat: None, ..policy() }, facts()).beat_after(INTERVAL * 10), None);
}

#[test]
fn no_transform_forbids_heartbeats_only_when_it_is_taken_strictly() {
    let facts = StreamFacts { no_transform: true, ..facts() };
    assert!(Story::with(policy(), facts).beat_after(INTERVAL).is_some());
    let strict = StreamPolicy { strict_no_transform: true, ..policy() };
    assert_eq!(Story::with(strict, facts).beat_after(INTERVAL * 10), None);
}

#[test]
fn no_heartbeat_after_the_last_word_of_an_llm_stream() {
    for last in [b"data: [DONE]\n\n".as_slice(), b"event: message_stop\ndata: {}\n\n"] {
        let mut story = Story::new();
        story.sends(last);
        assert_eq!(story.beat_after(INTERVAL * 10), None);
    }
}

#[test]
fn a_beat_is_skipped_while_the_client_is_backlogged_and_none_is_queued() {
    let mut story = Story::new();
    story.state.handle_upstream(b"data: a\n\n", story.now, &mut story.actions);
    story.state.handle_written(3, true, story.now, &mut story.actions);
    story.actions.clear();
    assert_eq!(story.beat_after(INTERVAL * 3), None);
    assert!(!story.state.wants_upstream(), "that is the backpressure");
    story.state.handle_written(6, false, story.now, &mut story.actions);
    assert_eq!(story.beat_after(INTERVAL - Duration::from_millis(1)), None, "bytes were written within the interval");
    assert!(story.beat_after(Duration::from_millis(1)).is_some());
}

#[test]
fn a_client_that_takes_nothing_ends_the_stream_and_any_progress_starts_over() {
    let mut story = Story::new();
    story.state.handle_upstream(b"data: a\n\n", story.now, &mut story.actions);
    story.state.handle_written(0, true, story.now, &mut story.actions);
    story.actions.clear();
    assert_eq!(story.after(Duration::from_secs(59)), []);
    story.state.handle_written(1, true, story.now, &mut story.actions);
    assert_eq!(story.after(Duration::from_secs(59)), []);
    assert_eq!(story.after(Duration::from_secs(1)), [Action::End(EndReason::WriteStall)]);
}

#[test]
fn a_client_that_the_kernel_gave_up_counts_as_stalled() {
    let mut story = Story::new();
    story.state.handle_client_gone(ClientEnd::TimedOut, &mut story.actions);
    assert_eq!(story.taken(), [Action::End(EndReason::WriteStall)]);
}

#[test]
fn a_bom_that_comes_first_is_forwarded_as_it_came() {
    let mut story = Story::new();
    assert_eq!(story.sends(b"\xEF\xBB\xBFdata: a\n\n"), [Action::Forward(0..12)]);
}

#[test]
fn a_bom_after_a_heartbeat_is_stripped_at_every_split() {
    let text = b"\xEF\xBB\xBFdata: a\n\n";
    for cut in 1..text.len() {
        let mut story = Story::new();
        assert!(story.beat_after(INTERVAL).is_some());
        let mut out = Vec::new();
        let mut held = Vec::new();
        for piece in [&text[..cut], &text[cut..]] {
            for action in story.sends(piece) {
                match action {
                    Action::Forward(range) => out.extend_from_slice(&piece[range]),
                    Action::Hold(range) => held.extend_from_slice(&piece[range]),
                    Action::Discard => held.clear(),
                    other => panic!("{other:?}"),
                }
            }
        }
        assert_eq!((out.as_slice(), held.as_slice()), (&text[3..], &b""[..]), "cut at {cut}");
    }
}

#[test]
fn what_only_began_like_a_bom_is_released() {
    let mut story = Story::new();
    story.beat_after(INTERVAL);
    assert_eq!(story.sends(b"\xEF\xBB"), [Action::Hold(0..2)]);
    assert_eq!(story.beat_after(INTERVAL * 5), None, "no beat inside what is held");
    assert_eq!(story.sends(b"x\n\n"), [Action::Release, Action::Forward(0..3)]);
    let mut story = Story::new();
    story.beat_after(INTERVAL);
    story.sends(b"\xEF");
    story.state.handle_upstream_end(UpstreamEnd::Clean, &mut story.actions);
    assert_eq!(story.taken(), [Action::Release, Action::End(EndReason::UpstreamEnd)]);
}

#[test]
fn a_silent_upstream_ends_abnormally_and_heartbeats_do_not_hide_it() {
    let mut story = Story::with(StreamPolicy { max_upstream_silence: Some(INTERVAL * 2), ..policy() }, facts());
    assert!(story.beat_after(INTERVAL).is_some());
    assert_eq!(story.after(INTERVAL), [Action::End(EndReason::UpstreamSilent)]);
    assert!(!EndReason::UpstreamSilent.is_clean());
}

#[test]
fn the_age_limit_ends_a_subscription_at_a_boundary() {
    let limited = StreamPolicy { max_age: Some(MaxAge { after: Duration::from_secs(10), jitter_percent: 0 }), ..policy() };
    let mut story = Story::with(limited.clone(), facts());
    story.sends(b"data: a\n");
    assert_eq!(story.after(Duration::from_secs(11)), [], "an event is under way");
    assert_eq!(story.sends(b"\ndata: b\n\n"), [Action::Forward(0..1), Action::End(EndReason::MaxAge)]);
    let mut story = Story::with(limited, StreamFacts { kind: StreamKind::Finite, ..facts() });
    assert!(!story.after(Duration::from_secs(11)).iter().any(|action| matches!(action, Action::End(_))), "a POST is never rotated");
}

#[test]
fn jitter_only_shortens_a_life() {
    let limited =
        StreamPolicy { max_age: Some(MaxAge { after: Duration::from_secs(100), jitter_percent: 10 }), heartbeat: None, ..policy() };
    let limited = Arc::new(limited);
    let now = clock::now();
    for (jitter, seconds) in [(0, 100), (u16::MAX, 90)] {
        let state = StreamState::new(Arc::clone(&limited), facts(), jitter, now);
        assert_eq!(state.poll_timeout(), Some(now + Duration::from_secs(seconds)));
    }
}

#[test]
fn a_drain_ends_a_subscription_at_once_when_it_stands_at_a_boundary() {
    let mut story = Story::new();
    story.sends(b"data: a\n\n");
    story.state.handle_drain(story.now, story.now, &mut story.actions);
    assert_eq!(story.taken(), [Action::End(EndReason::Drained)]);
    assert!(EndReason::Drained.is_clean());
}

#[test]
fn a_drain_lets_an_event_come_to_its_end() {
    let mut story = Story::new();
    story.sends(b"data: a\n");
    story.state.handle_drain(story.now, story.now, &mut story.actions);
    assert_eq!(story.taken(), []);
    assert_eq!(story.sends(b"data: more\n"), [Action::Forward(0..11)]);
    assert_eq!(story.sends(b"\ndata: next"), [Action::Forward(0..1), Action::End(EndReason::Drained)]);
}

#[test]
fn a_lone_cr_that_ends_a_block_is_a_boundary_for_a_drain() {
    let mut story = Story::new();
    story.sends(b"data: a\r\r");
    story.state.handle_drain(story.now, story.now, &mut story.actions);
    assert_eq!(story.taken(), [Action::End(EndReason::Drained)]);
}

#[test]
fn a_drain_waits_for_its_instant_and_leaves_posts_alone() {
    let mut story = Story::new();
    story.state.handle_drain(story.now + Duration::from_secs(3), story.now, &mut story.actions);
    assert_eq!(story.taken(), []);
    assert_eq!(story.after(Duration::from_secs(3)), [Action::End(EndReason::Drained)]);
    let mut story = Story::with(policy(), StreamFacts { kind: StreamKind::Finite, ..facts() });
    story.state.handle_drain(story.now, story.now, &mut story.actions);
    assert_eq!(story.after(Duration::from_secs(3)), []);
    story.state.handle_cut(&mut story.actions);
    assert_eq!(story.taken(), [Action::End(EndReason::DrainCut)]);
}

#[test]
fn an_end_waits_until_the_client_has_everything() {
    let mut story = Story::new();
    story.state.handle_upstream(b"data: a\n\n", story.now, &mut story.actions);
    story.state.handle_written(2, true, story.now, &mut story.actions);
    story.state.handle_upstream_end(UpstreamEnd::Lost, &mut story.actions);
    assert_eq!(story.actions, [Action::Forward(0..9)]);
    story.actions.clear();
    story.state.handle_written(7, false, story.now, &mut story.actions);
    assert_eq!(story.actions, [Action::End(EndReason::UpstreamLost)]);
}

#[test]
fn nothing_happens_after_the_end() {
    let mut story = Story::new();
    story.state.handle_client_gone(ClientEnd::Closed, &mut story.actions);
    assert_eq!(story.taken(), [Action::End(EndReason::ClientGone)]);
    assert_eq!(story.sends(b"data: late\n\n"), []);
    assert_eq!(story.after(INTERVAL * 100), []);
    story.state.handle_cut(&mut story.actions);
    story.state.handle_upstream_end(UpstreamEnd::Clean, &mut story.actions);
    assert_eq!(story.taken(), []);
    assert_eq!(story.state.poll_timeout(), None);
}

#[test]
fn an_opaque_body_passes_as_it_is() {
    let mut story = Story::with(policy(), StreamFacts { opaque: true, ..facts() });
    assert_eq!(story.sends(b"\x1F\x8B\n\n\n"), [Action::Forward(0..5)]);
    assert_eq!(story.state.tally().events, 0);
    story.state.handle_drain(story.now, story.now, &mut story.actions);
    assert_eq!(story.taken(), [], "its boundaries cannot be seen");
}

#[test]
fn a_beat_is_written_with_its_own_line_end() {
    let encode = |beat: Beat| {
        let mut out = Vec::new();
        beat.encode("", &mut out);
        out
    };
    assert_eq!(encode(Beat { frame: Frame::Block, line_end: LineEnd::CrLf, completes_pair: false }), b":\r\n\r\n");
    assert_eq!(encode(Beat { frame: Frame::Line, line_end: LineEnd::Lf, completes_pair: true }), b"\n:\n");
}

/// There is one for each of tens of thousands of clients.
#[test]
fn a_stream_costs_little() {
    assert!(size_of::<StreamState>() <= 288, "{} bytes", size_of::<StreamState>());
}
