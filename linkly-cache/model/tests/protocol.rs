//! The protocol holds in every state of small worlds, and fails without any of its protections.

use std::collections::BTreeSet;

use linkly_cache_model::{Protection, Rules, explore};

const WORLD: Rules = Rules { without: &[], writes: 1, reads: 1, faults: 0, evictions: 0, looks: 0 };

/// Each is as large as one of the protections takes to be missed, or larger.
const WORLDS: [Rules; 9] = [
    Rules { reads: 3, ..WORLD },
    Rules { reads: 2, evictions: 1, ..WORLD },
    Rules { reads: 2, looks: 1, ..WORLD },
    Rules { reads: 2, faults: 1, ..WORLD },
    Rules { reads: 1, faults: 1, looks: 1, ..WORLD },
    Rules { reads: 1, writes: 2, faults: 1, ..WORLD },
    Rules { reads: 1, faults: 1, evictions: 1, ..WORLD },
    Rules { reads: 2, writes: 2, ..WORLD },
    Rules { reads: 2, looks: 1, evictions: 1, ..WORLD },
];

#[test]
fn no_read_is_older_than_what_was_there_before_it_in_any_state() {
    let mut seen = BTreeSet::new();
    for rules in WORLDS {
        let outcome = explore(rules);
        println!("{} states of {rules:?}", outcome.states);
        assert_eq!(outcome.counterexample, None, "{rules:?}");
        seen.extend(outcome.seen);
    }
    let interesting = [
        "Redis fails over",
        "a fill goes nowhere",
        "a load is detached",
        "a load is joined",
        "a node that starts clears",
        "a node that starts replays",
        "a writer is killed",
        "an invalidation is given up",
        "an old entry is answered within the bound",
        "the far cache is left out",
        "the far cache is told later",
        "the far cache voids a fill",
        "the near cache voids a fill",
    ];
    assert_eq!(seen, interesting.into());
}

fn fails_without(without: &'static [Protection], rules: Rules) {
    let outcome = explore(Rules { without, ..rules });
    println!("without {without:?}, after {} states: {:#?}", outcome.states, outcome.counterexample);
    assert!(outcome.counterexample.is_some(), "{} states without {without:?}", outcome.states);
}

#[test]
fn without_nonces_a_fill_under_an_older_lease_is_taken() {
    fails_without(&[Protection::Nonce], WORLDS[0]);
}

#[test]
fn without_generations_a_copy_outlives_an_invalidation() {
    fails_without(&[Protection::Generation], WORLDS[1]);
}

#[test]
fn without_detaching_a_read_joins_a_load_from_before_the_write() {
    fails_without(&[Protection::Detaching], WORLDS[0]);
}

#[test]
fn without_the_near_cache_first_it_keeps_an_old_entry_when_the_far_one_is_given_up() {
    fails_without(&[Protection::NearFirst], WORLDS[3]);
}

/// While nothing fails, the order and the note that an invalidation is on its way each do what the other does.
#[test]
fn without_the_near_cache_last_and_no_note_of_it_an_old_entry_is_copied_in_between() {
    fails_without(&[Protection::NearLast, Protection::Untold], WORLDS[0]);
    for alone in [&[Protection::NearLast], &[Protection::Untold]] {
        assert_eq!(explore(Rules { without: alone, ..WORLDS[0] }).counterexample, None, "{alone:?}");
    }
}

#[test]
fn without_noting_what_is_untold_an_old_entry_is_found_again() {
    fails_without(&[Protection::Untold], WORLDS[3]);
}

#[test]
fn without_the_change_log_another_node_never_hears_of_a_write() {
    fails_without(&[Protection::ChangeLog], WORLDS[2]);
}

#[test]
fn without_namespaces_older_data_comes_back() {
    fails_without(&[Protection::Namespace], WORLDS[3]);
}

#[test]
fn without_the_position_a_node_that_starts_finds_what_a_killed_writer_left() {
    fails_without(&[Protection::Position], WORLDS[3]);
}
