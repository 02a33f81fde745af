//! What a store promises: a module for each method or subject, a case for each sentence.

pub mod batch;
pub mod changes;
pub mod consume;
pub mod delete;
pub mod filter;
pub mod history;
pub mod insert;
pub mod list;
pub mod migrate;
pub mod purge_clicks;
pub mod purge_expired;
pub mod read;
pub mod record;
pub mod retry;
pub mod stats;
pub mod update;

/// Hands the list of all cases to another macro: adding a case here adds it to every suite.
#[doc(hidden)]
#[macro_export]
macro_rules! __store_cases {
    ($with:ident) => {
        $crate::$with! {
            insert {
                a_taken_code_is_refused_and_leaves_the_link_as_it_is
                a_code_that_stands_twice_in_one_call_goes_to_the_first
                links_around_taken_codes_are_inserted
                the_same_id_again_is_inserted
                the_same_id_twice_in_one_call_is_inserted
                the_same_id_again_after_an_update_is_inserted_and_leaves_the_update
                the_same_id_again_after_a_delete_is_inserted_and_stays_deleted
                the_same_id_again_after_a_release_is_inserted_and_writes_nothing
                an_id_that_another_code_has_is_refused
                of_many_callers_racing_for_one_code_exactly_one_is_told_inserted
                a_link_that_fails_its_check_fails_the_call_before_anything_is_written
                an_id_that_does_not_carry_created_at_fails_the_call
                every_field_of_a_link_reads_back_equal
                times_keep_milliseconds
                odd_urls_and_texts_read_back_to_the_byte
                every_character_of_a_code_is_kept
                codes_are_compared_by_bytes
            }
            read {
                links_stand_in_order_with_duplicates_and_unknown_codes
                targets_stand_in_order_with_duplicates_and_unknown_codes
                a_target_is_that_of_its_link
                expired_links_and_links_not_active_yet_are_live
                a_code_in_a_domain_is_another_than_without
                a_write_that_returned_is_seen_through_any_handle
            }
            update {
                a_link_with_this_id_and_version_is_replaced
                an_update_clears_what_is_not_asked_for
                each_field_is_written_for_itself
                any_other_version_is_a_conflict_and_leaves_the_link_as_it_is
                the_callers_own_earlier_try_is_updated
                another_update_of_the_same_version_is_a_conflict
                no_live_link_with_this_code_and_id_is_not_found
                an_update_leaves_created_at_and_consumed_as_they_are
                updates_answer_in_order_each_for_itself
                of_many_updates_of_one_version_exactly_one_is_updated
                a_link_that_stands_twice_in_one_call_is_updated_once
                a_link_that_fails_its_check_fails_the_call_before_anything_is_written
            }
            delete {
                a_deleted_code_is_retired
                the_statistics_of_a_retired_code_stay
                a_released_code_can_be_used_again_with_new_totals
                late_clicks_of_a_released_link_are_refused
                a_recorded_click_of_a_released_link_is_refused_when_it_comes_again
                a_retired_code_can_be_released_later
                deleting_the_same_id_again_is_deleted
                the_same_id_twice_in_one_call_is_deleted
                another_version_is_a_conflict
                an_id_that_is_not_there_is_not_found
                deletes_answer_in_order_each_for_itself
            }
            consume {
                what_is_left_is_granted
                the_greatest_limit_is_granted
                many_callers_are_granted_exactly_the_limit
                a_link_that_is_asked_for_twice_in_one_call_has_one_limit
                consuming_changes_nothing_but_consumed
                a_link_without_a_limit_grants_all_and_counts_nothing
                no_live_link_with_this_code_and_id_grants_nothing
                one_id_at_two_codes_grants_to_the_right_one_alone
                an_updated_limit_counts_from_the_next_call_on
                grants_stand_in_order
            }
            list {
                pages_hold_the_links_of_each_scope_in_each_order
                a_page_holds_whole_links
                the_last_page_leads_nowhere
                paging_meets_every_link_once_while_others_come_and_go
                a_cursor_of_another_order_is_an_invalid_input
                a_text_that_is_no_cursor_is_an_invalid_input
                a_limit_out_of_range_is_clamped
            }
            filter {
                search_looks_into_code_url_and_title
                search_gives_no_character_a_special_meaning
                search_takes_ascii_letters_in_any_case
                a_tag_finds_the_links_that_have_it
                a_url_finds_the_links_that_lead_to_it
                a_range_of_creation_is_exact_to_the_millisecond
                links_from_before_1970_are_found_by_when_they_were_made
                an_updated_or_deleted_link_is_found_by_what_it_is_now
                filters_are_joined_by_and
            }
            record {
                every_field_of_a_click_reads_back_equal
                the_same_click_counts_once_in_any_batch_and_order
                the_same_click_twice_in_one_batch_counts_once
                new_clicks_count_beside_ones_that_come_again
                the_same_clicks_from_many_callers_count_once
                last_clicked_at_never_moves_back
                clicks_of_codes_without_a_link_are_kept
                a_click_that_fails_its_check_fails_the_call_and_nothing_is_written
                batches_with_the_same_codes_in_any_order_never_deadlock
                totals_and_series_agree_at_every_moment
            }
            stats {
                totals_stand_in_order_with_duplicates_and_unknown_codes
                bots_are_counted_as_clicks_and_as_bots
                what_was_acknowledged_is_in_every_later_answer
                buckets_come_in_the_order_of_time_without_empty_ones
                the_range_of_a_series_is_widened_to_whole_steps
                a_range_of_any_times_has_an_answer
                the_range_of_clicks_is_exact_to_the_millisecond
                clicks_are_paged_in_both_directions
                a_cursor_that_no_page_gave_is_an_invalid_input
                paging_meets_every_click_once_while_others_arrive
                the_most_clicked_come_first_and_equals_by_code
                the_most_clicked_are_of_the_scope
                the_most_clicked_are_counted_in_whole_hours
            }
            changes {
                without_a_cursor_there_are_no_codes
                every_insert_update_and_delete_is_reported
                purged_links_are_reported
                consuming_and_clicking_is_no_change
                nothing_is_missed_while_many_write
                many_changes_are_read_to_the_end
                a_cursor_that_no_store_wrote_is_lost_or_an_invalid_input
            }
            purge_clicks {
                rows_older_than_the_hour_are_removed
                totals_and_series_stay_when_rows_are_purged
                clicks_older_than_the_watermark_are_refused
                the_watermark_never_moves_back
                a_call_removes_no_more_than_its_limit
                a_limit_of_nothing_is_one_of_one
                purging_is_idempotent
                a_purge_without_rows_is_done
            }
            purge_expired {
                links_that_expired_before_are_deleted_and_no_others
                a_link_that_expires_at_that_very_moment_is_not_touched
                the_codes_are_retired_and_their_statistics_stay
                released_codes_can_be_used_again_without_statistics
                an_expiry_that_was_moved_counts_as_it_is_now
                a_call_deletes_no_more_than_its_limit
            }
            history {
                totals_equal_rows_equal_the_sum_of_the_series
                reconcile_finds_no_difference_after_a_random_history
                reconcile_never_counts_purged_hours
                reconcile_of_nothing_is_done
            }
            retry {
                an_insert_sent_again_answers_the_same
                an_update_sent_again_answers_the_same
                a_delete_sent_again_answers_the_same
                a_record_sent_again_counts_once
            }
            batch {
                a_call_about_nothing_answers_nothing
                ten_thousand_links_in_one_call
                ten_thousand_clicks_in_one_call
                optimize_size_and_ping_work
            }
        }
    };
}

/// The same for those that a queue in front of a store passes too.
#[doc(hidden)]
#[macro_export]
macro_rules! __queue_cases {
    ($with:ident) => {
        $crate::$with! {
            record {
                every_field_of_a_click_reads_back_equal
                the_same_click_counts_once_in_any_batch_and_order
                the_same_click_twice_in_one_batch_counts_once
                new_clicks_count_beside_ones_that_come_again
                the_same_clicks_from_many_callers_count_once
                last_clicked_at_never_moves_back
                clicks_of_codes_without_a_link_are_kept
                a_click_that_fails_its_check_fails_the_call_and_nothing_is_written
                batches_with_the_same_codes_in_any_order_never_deadlock
                totals_and_series_agree_at_every_moment
            }
            retry {
                a_record_sent_again_counts_once
            }
            batch {
                ten_thousand_clicks_in_one_call
            }
        }
    };
}

/// The same for the cases that open handles themselves.
#[doc(hidden)]
#[macro_export]
macro_rules! __migration_cases {
    ($with:ident) => {
        $crate::$with! {
            eight_may_start_at_once_on_an_empty_database
            connecting_again_changes_nothing
        }
    };
}
