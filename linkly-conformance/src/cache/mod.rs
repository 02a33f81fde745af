//! What a cache promises: a module for each subject, a case for each sentence.

pub mod engine;
pub mod entry;
pub mod forget;
pub mod invalidate;
pub mod lease;
pub mod position;
pub mod race;
mod sample;

/// Hands the list of all cases to another macro: adding a case here adds it to every suite.
#[doc(hidden)]
#[macro_export]
macro_rules! __cache_cases {
    ($with:ident) => {
        $crate::$with! {
            entry {
                an_entry_that_is_stored_answers_the_next_get
                every_part_of_a_target_comes_back
                each_code_is_a_key_of_its_own
                answers_stand_in_order_with_duplicates_and_unknown_codes
                a_later_fill_replaces_a_stale_entry
                an_entry_past_its_serve_until_is_never_answered
                ended_entries_are_left_out_between_others
                an_entry_that_may_no_longer_be_served_is_not_stored
                an_entry_that_never_ends_is_answered
                a_stale_entry_comes_with_a_lease
                peek_answers_what_get_does
                ten_thousand_codes_in_one_call
            }
            lease {
                a_missing_code_comes_with_a_lease_that_fills_it
                any_number_of_readers_hold_leases_at_once
                a_fill_after_an_invalidate_is_voided
                a_fill_after_an_invalidate_is_voided_when_a_new_lease_was_given
                a_fill_after_an_invalidate_is_voided_when_another_entry_was_filled_since
                a_fill_after_many_invalidates_is_voided
                a_fill_after_an_invalidate_is_voided_also_when_its_lease_has_expired
                a_lease_that_has_expired_is_voided_by_an_invalidate
                a_lease_over_a_stale_entry_is_voided_by_an_invalidate
                fills_answer_in_order_each_for_itself
                an_invalidate_of_another_code_makes_no_fill_wrong
            }
            invalidate {
                invalidated_targets_and_absences_are_not_answered
                an_absence_gives_way_to_a_link
                invalidating_is_idempotent
                all_codes_of_a_call_are_invalidated
                clear_removes_every_entry
                clear_voids_every_lease
                clear_voids_leases_that_have_expired
            }
            forget {
                forgotten_targets_and_absences_are_not_peeked
                a_fill_under_a_lease_of_before_is_not_peeked
                forget_all_removes_every_entry
                after_forget_all_no_fill_under_a_lease_of_before_is_peeked
            }
            position {
                a_position_is_where_it_was_moved_or_there_is_none
                a_position_moves_from_where_it_is_alone
                invalidating_moves_no_position
                after_clear_there_is_no_position
            }
            race {
                no_answer_is_older_than_the_last_invalidate_of_one_code
                no_answer_is_older_than_the_last_invalidate_of_a_few_codes
                no_answer_is_older_than_the_last_invalidate_of_many_codes
            }
            engine {
                a_load_of_before_a_write_is_not_stored_after_it
                a_resolve_after_a_write_does_not_join_a_load_of_before_it
                a_load_of_before_a_write_by_another_engine_is_not_stored_after_it
                an_engine_that_starts_makes_up_for_one_that_ended_too_early
                no_resolve_is_older_than_the_last_update_of_one_link
                no_resolve_is_older_than_the_last_update_of_a_few_links
            }
        }
    };
}
