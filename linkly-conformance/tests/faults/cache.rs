//! Caches that break one promise each.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex};

use linkly_conformance::{CacheFixture, CacheHandle, CaseFuture, cache as cases, run_cache_case};
use linkly_core::{Cache, ChangeCursor, Code, Entry, Filled, Lease, Lookup, Result, Tick};

use super::failure;

/// The promise that a cache breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    FillsAfterAnInvalidate,
    VoidsOnlyTheLatestLease,
    GenerationOfOneByte,
    GenerationExpiresToZero,
    ClearKeepsLeases,
    ClearKeepsEntries,
    InvalidateKeepsAbsences,
    InvalidateTakesTheFirstCodeOnly,
    RemovesBeforeItVoids,
    PeeksPastServeUntil,
    GetsPastServeUntil,
    StoresWhatHasEnded,
    StaleComesWithoutALease,
    MissesComeWithoutALease,
    KeepsNothing,
    LosesTheTags,
    FoldsCodes,
    LeavesOutMisses,
    ReportsVoidedAsFilled,
    PositionMovesFromAnywhere,
    PositionMovesWithEachInvalidate,
    PositionIsCutShort,
    ClearKeepsThePosition,
}

#[derive(Debug, Default)]
struct State {
    entries: HashMap<String, Entry>,
    generations: HashMap<String, u128>,
    cleared: u128,
    position: Option<String>,
    /// How often all generations were forgotten: what is counted anew is not what was counted before.
    expired: u128,
}

/// A cache with a generation for each code, and a fault. Cloning shares the data.
#[derive(Clone, Debug)]
struct Faulty {
    fault: Fault,
    state: Arc<Mutex<State>>,
}

impl Faulty {
    fn has(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    fn key(&self, code: &str) -> String {
        if self.has(Fault::FoldsCodes) { code.to_ascii_lowercase() } else { code.to_owned() }
    }

    fn generation(&self, state: &State, key: &str) -> u128 {
        let count = state.generations.get(key).copied().unwrap_or_default();
        let (cleared, expired) = (state.cleared << 64, state.expired << 96);
        match self.fault {
            Fault::FillsAfterAnInvalidate => cleared,
            Fault::VoidsOnlyTheLatestLease => count % 2,
            Fault::GenerationOfOneByte => u128::from(count as u8) | cleared,
            Fault::ClearKeepsLeases => count,
            Fault::GenerationExpiresToZero => count | cleared,
            _ => count | cleared | expired,
        }
    }

    /// Forgets every counter, as a server does with keys that have a life.
    fn expire_leases(&self) {
        let mut state = self.state.lock().unwrap();
        state.generations.clear();
        state.cleared = 0;
        state.expired += 1;
    }
}

#[async_trait::async_trait]
impl Cache for Faulty {
    fn peek(&self, code: &str, now: Tick) -> Option<Entry> {
        let state = self.state.lock().unwrap();
        let entry = state.entries.get(&self.key(code))?;
        (entry.is_servable(now) || self.has(Fault::PeeksPastServeUntil)).then(|| entry.clone())
    }

    async fn get(&self, codes: &[Code], now: Tick) -> Result<Vec<Lookup>> {
        let state = self.state.lock().unwrap();
        let mut lookups = Vec::new();
        for code in codes {
            let key = self.key(code.as_str());
            let entry = state.entries.get(&key).cloned();
            let entry = entry.filter(|entry| entry.is_servable(now) || self.has(Fault::GetsPastServeUntil));
            let is_fresh = entry.as_ref().is_some_and(|entry| entry.is_fresh(now));
            let without = match entry {
                Some(_) => self.has(Fault::StaleComesWithoutALease),
                None => self.has(Fault::MissesComeWithoutALease),
            };
            let lease = Lease::new(code.clone(), self.generation(&state, &key));
            if entry.is_none() && self.has(Fault::LeavesOutMisses) && codes.len() > 3 {
                continue;
            }
            lookups.push(Lookup::new(entry, (!is_fresh && !without).then_some(lease)));
        }
        Ok(lookups)
    }

    async fn fill(&self, fills: Vec<(Lease, Entry)>, now: Tick) -> Result<Vec<Filled>> {
        let mut state = self.state.lock().unwrap();
        let mut answers = Vec::new();
        for (lease, mut entry) in fills {
            let key = self.key(lease.code().as_str());
            if lease.token() != self.generation(&state, &key) {
                let lie = self.has(Fault::ReportsVoidedAsFilled);
                answers.push(if lie { Filled::Filled } else { Filled::Voided });
                continue;
            }
            if let (Some(target), true) = (&entry.target, self.has(Fault::LosesTheTags)) {
                let mut parts = target.to_parts();
                parts.tags.clear();
                entry.target = Some(linkly_core::Target::new(parts));
            }
            if self.has(Fault::StoresWhatHasEnded) && !entry.is_servable(now) {
                entry.serve_until = Tick::MAX;
            }
            if entry.is_servable(now) && !self.has(Fault::KeepsNothing) || self.has(Fault::GetsPastServeUntil) {
                state.entries.insert(key, entry);
            }
            answers.push(Filled::Filled);
        }
        Ok(answers)
    }

    async fn invalidate(&self, codes: &[Code]) -> Result<()> {
        let codes = if self.has(Fault::InvalidateTakesTheFirstCodeOnly) { &codes[..codes.len().min(1)] } else { codes };
        if self.has(Fault::RemovesBeforeItVoids) {
            for code in codes {
                self.state.lock().unwrap().entries.remove(code.as_str());
            }
            yield_now().await;
        }
        let mut state = self.state.lock().unwrap();
        for code in codes {
            let key = self.key(code.as_str());
            let is_absence = state.entries.get(&key).is_some_and(|entry| entry.target.is_none());
            let keeps = is_absence && self.has(Fault::InvalidateKeepsAbsences);
            if !keeps && !self.has(Fault::RemovesBeforeItVoids) {
                state.entries.remove(&key);
            }
            *state.generations.entry(key).or_default() += 1;
        }
        if self.has(Fault::PositionMovesWithEachInvalidate) {
            state.position = Some("9".into());
        }
        Ok(())
    }

    async fn clear(&self) -> Result<()> {
        let mut state = self.state.lock().unwrap();
        if !self.has(Fault::ClearKeepsEntries) {
            state.entries.clear();
        }
        if !self.has(Fault::ClearKeepsThePosition) {
            state.position = None;
        }
        state.cleared += 1;
        Ok(())
    }

    async fn position(&self) -> Result<Option<ChangeCursor>> {
        Ok(self.state.lock().unwrap().position.clone().map(ChangeCursor::new))
    }

    async fn advance(&self, from: Option<&ChangeCursor>, to: &ChangeCursor) -> Result<()> {
        let mut state = self.state.lock().unwrap();
        let is_there = state.position.as_deref() == from.map(ChangeCursor::as_str);
        if is_there || self.has(Fault::PositionMovesFromAnywhere) {
            let most = if self.has(Fault::PositionIsCutShort) { 64 } else { usize::MAX };
            state.position = Some(to.as_str().chars().take(most).collect());
        }
        Ok(())
    }
}

/// Lets another task run between two steps that should be one.
async fn yield_now() {
    let mut waited = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut waited, true) {
            return std::task::Poll::Ready(());
        }
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

/// The fault of the fixture's cache, as a type.
trait With: Send + Sync + 'static {
    const FAULT: Fault;
}

struct Fixture<W>(Faulty, PhantomData<W>);

impl<W: With> CacheFixture for Fixture<W> {
    type Cache = Faulty;

    async fn open() -> Self {
        Self(Faulty { fault: W::FAULT, state: Arc::default() }, PhantomData)
    }

    async fn cache(&self) -> Faulty {
        self.0.clone()
    }

    async fn expire_leases(&self) {
        self.0.expire_leases();
    }
}

/// The cache without a fault passes the case, the one with it fails.
fn check<None: With, W: With>(case: fn(CacheHandle) -> CaseFuture) {
    run_cache_case::<Fixture<None>>(case);
    let said = failure(|| run_cache_case::<Fixture<W>>(case));
    assert!(!said.is_empty() && !said.contains("is not done after"), "the case failed without saying why: {said:?}");
}

macro_rules! faults {
    ($($test:ident: $fault:ident, $module:ident::$case:ident;)*) => {$(
        #[test]
        fn $test() {
            struct None;
            impl With for None {
                const FAULT: Fault = Fault::None;
            }
            struct Broken;
            impl With for Broken {
                const FAULT: Fault = Fault::$fault;
            }
            check::<None, Broken>(|cache| Box::pin(async move { cases::$module::$case(&cache).await }));
        }
    )*};
}

faults! {
    a_fill_that_outlives_an_invalidate: FillsAfterAnInvalidate, lease::a_fill_after_an_invalidate_is_voided;
    a_fill_beside_a_new_lease: FillsAfterAnInvalidate, lease::a_fill_after_an_invalidate_is_voided_when_a_new_lease_was_given;
    a_fill_over_a_newer_entry: FillsAfterAnInvalidate, lease::a_fill_after_an_invalidate_is_voided_when_another_entry_was_filled_since;
    a_fill_over_a_stale_entry: FillsAfterAnInvalidate, lease::a_lease_over_a_stale_entry_is_voided_by_an_invalidate;
    readers_that_keep_their_leases: FillsAfterAnInvalidate, lease::any_number_of_readers_hold_leases_at_once;
    a_race_that_a_reader_wins: FillsAfterAnInvalidate, race::no_answer_is_older_than_the_last_invalidate_of_one_code;
    a_race_between_two_steps: RemovesBeforeItVoids, race::no_answer_is_older_than_the_last_invalidate_of_one_code;
    a_load_that_outlives_a_write: FillsAfterAnInvalidate, engine::a_load_of_before_a_write_is_not_stored_after_it;
    a_load_that_a_resolve_finds: FillsAfterAnInvalidate, engine::a_resolve_after_a_write_does_not_join_a_load_of_before_it;
    a_load_that_outlives_anothers_write: FillsAfterAnInvalidate, engine::a_load_of_before_a_write_by_another_engine_is_not_stored_after_it;
    an_old_row_that_wins: FillsAfterAnInvalidate, engine::no_resolve_is_older_than_the_last_update_of_one_link;
    an_old_row_among_a_few_that_wins: FillsAfterAnInvalidate, engine::no_resolve_is_older_than_the_last_update_of_a_few_links;
    leases_that_come_back_to_life: VoidsOnlyTheLatestLease, lease::a_fill_after_many_invalidates_is_voided;
    a_generation_that_wraps_around: GenerationOfOneByte, lease::a_fill_after_many_invalidates_is_voided;
    a_generation_that_expires_to_zero: GenerationExpiresToZero, lease::a_fill_after_an_invalidate_is_voided_also_when_its_lease_has_expired;
    a_generation_that_is_counted_anew: GenerationExpiresToZero, lease::a_lease_that_has_expired_is_voided_by_an_invalidate;
    a_count_of_clears_that_expires_to_zero: GenerationExpiresToZero, invalidate::clear_voids_leases_that_have_expired;
    a_clear_that_keeps_leases: ClearKeepsLeases, invalidate::clear_voids_every_lease;
    a_clear_that_keeps_entries: ClearKeepsEntries, invalidate::clear_removes_every_entry;
    absences_that_stay: InvalidateKeepsAbsences, invalidate::invalidated_targets_and_absences_are_not_answered;
    an_absence_before_a_link: InvalidateKeepsAbsences, invalidate::an_absence_gives_way_to_a_link;
    an_invalidate_of_the_first_alone: InvalidateTakesTheFirstCodeOnly, invalidate::all_codes_of_a_call_are_invalidated;
    peeks_past_the_end: PeeksPastServeUntil, entry::an_entry_past_its_serve_until_is_never_answered;
    gets_past_the_end: GetsPastServeUntil, entry::an_entry_past_its_serve_until_is_never_answered;
    what_has_ended_and_is_stored: StoresWhatHasEnded, entry::an_entry_that_may_no_longer_be_served_is_not_stored;
    stale_entries_that_cannot_be_filled: StaleComesWithoutALease, entry::a_stale_entry_comes_with_a_lease;
    misses_that_cannot_be_filled: MissesComeWithoutALease, lease::a_missing_code_comes_with_a_lease_that_fills_it;
    a_cache_that_keeps_nothing: KeepsNothing, entry::an_entry_that_is_stored_answers_the_next_get;
    a_target_that_comes_back_in_part: LosesTheTags, entry::every_part_of_a_target_comes_back;
    codes_that_are_folded: FoldsCodes, entry::each_code_is_a_key_of_its_own;
    answers_that_are_left_out: LeavesOutMisses, entry::answers_stand_in_order_with_duplicates_and_unknown_codes;
    absences_that_are_peeked: InvalidateKeepsAbsences, forget::forgotten_targets_and_absences_are_not_peeked;
    a_fill_that_outlives_a_forget: FillsAfterAnInvalidate, forget::a_fill_under_a_lease_of_before_is_not_peeked;
    entries_that_outlive_a_forget: ClearKeepsEntries, forget::forget_all_removes_every_entry;
    leases_that_outlive_a_forget: ClearKeepsLeases, forget::after_forget_all_no_fill_under_a_lease_of_before_is_peeked;
    a_position_that_moves_from_anywhere: PositionMovesFromAnywhere, position::a_position_moves_from_where_it_is_alone;
    a_position_that_moves_by_itself: PositionMovesWithEachInvalidate, position::invalidating_moves_no_position;
    a_position_that_comes_back_in_part: PositionIsCutShort, position::a_position_is_where_it_was_moved_or_there_is_none;
    a_clear_that_keeps_the_position: ClearKeepsThePosition, position::after_clear_there_is_no_position;
    an_old_entry_that_outlives_its_engine: InvalidateTakesTheFirstCodeOnly, engine::an_engine_that_starts_makes_up_for_one_that_ended_too_early;
    a_voided_fill_that_is_told_filled: ReportsVoidedAsFilled, lease::fills_answer_in_order_each_for_itself;
}
