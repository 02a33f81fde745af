//! Stores that break one promise each.

use std::marker::PhantomData;

use linkly_conformance::linkly_core::chrono::{DateTime, Utc};
use linkly_conformance::{CaseFuture, Handles, StoreFixture, run_store_case, store as cases};
use linkly_core::*;

use super::failure;

/// The promise that a store breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    RetriedInsertIsTaken,
    InsertOverwrites,
    InsertStopsAtTheBadLink,
    InsertTakesAnyId,
    UpdateIgnoresTheVersion,
    RetriedUpdateConflicts,
    UpdateResetsConsumed,
    DeleteFreesTheCode,
    ReleaseKeepsTheTotals,
    ConsumeReadsThenWrites,
    ConsumeGrantsOneTooMany,
    ConsumeGoesByTheIdAlone,
    UnsortedPages,
    LastPageLeadsOn,
    SearchTakesPercentForAnything,
    CreationIsCutToMilliseconds,
    CreationGoesByTheIdAlone,
    DropsDuplicateCodes,
    RedeliveredClicksCountTwice,
    LateClicksAreTaken,
    RefusalIsTransient,
    BadClickIsSkipped,
    SeriesIsNotWidened,
    RangeEndsOneMillisecondLate,
    ChangesSkipEverySecondCode,
    ConsumingIsAChange,
    PurgeIgnoresItsLimit,
    ReconcileFindsADifference,
}

/// A memory store with a fault.
#[derive(Clone, Debug)]
struct Faulty {
    store: MemoryStore,
    fault: Fault,
}

impl Faulty {
    fn has(&self, fault: Fault) -> bool {
        self.fault == fault
    }
}

#[async_trait::async_trait]
impl LinkStore for Faulty {
    fn folding(&self) -> Folding {
        self.store.folding()
    }

    async fn insert(&self, links: &[Link]) -> Result<Vec<Insert>> {
        if self.has(Fault::InsertStopsAtTheBadLink) {
            let good: Vec<_> = links.iter().take_while(|link| link.check().is_ok()).cloned().collect();
            self.store.insert(&good).await?;
        }
        let mut answers = Vec::new();
        let mut links = links.to_vec();
        for link in &mut links {
            if self.has(Fault::InsertTakesAnyId) {
                link.id = new_id(link.created_at);
            }
            link.check_new()?;
        }
        for link in &links {
            let known = self.store.get_one(&link.code).await?;
            if let Some(known) = known.filter(|_| self.has(Fault::InsertOverwrites)) {
                self.store.delete_one(Delete::new(known.code, known.id).with_release()).await?;
            } else if known_id(&self.store, link).await? && self.has(Fault::RetriedInsertIsTaken) {
                answers.push(Insert::CodeTaken);
                continue;
            }
            answers.push(self.store.insert_one(link).await?);
        }
        Ok(answers)
    }

    async fn targets(&self, codes: &[Code]) -> Result<Vec<Option<Target>>> {
        self.store.targets(codes).await
    }

    async fn get(&self, codes: &[Code]) -> Result<Vec<Option<Link>>> {
        let mut found = self.store.get(codes).await?;
        if self.has(Fault::DropsDuplicateCodes) {
            for n in 1..codes.len() {
                if codes[..n].contains(&codes[n]) {
                    found[n] = None;
                }
            }
        }
        Ok(found)
    }

    async fn update(&self, links: &[Link]) -> Result<Vec<Update>> {
        let mut asked = links.to_vec();
        let mut answers = Vec::new();
        for link in &mut asked {
            link.check()?;
            let known = self.store.get_one(&link.code).await?.filter(|known| known.id == link.id);
            if let (Some(known), true) = (&known, self.has(Fault::UpdateIgnoresTheVersion)) {
                link.version = known.version;
            }
            let is_retry = known.as_ref().is_some_and(|known| known.version == link.version + 1);
            let mut answer = self.store.update_one(link).await?;
            if is_retry && self.has(Fault::RetriedUpdateConflicts) {
                answer = Update::Conflict;
            }
            if let (Some(mut known), true) = (known, self.has(Fault::UpdateResetsConsumed)) {
                self.store.delete_one(Delete::new(known.code.clone(), known.id).with_release()).await?;
                (known.id, known.consumed, known.version) = (new_id(known.created_at), 0, known.version + 1);
                self.store.insert_one(&known).await?;
            }
            answers.push(answer);
        }
        Ok(answers)
    }

    async fn delete(&self, links: &[Delete]) -> Result<Vec<Deleted>> {
        let mut answers = Vec::new();
        for delete in links {
            let rows = ListClicks::new(TimeRange::all()).with_code(delete.code.clone()).with_limit(1_000);
            let rows = self.store.clicks(&rows).await?.items;
            let free = self.has(Fault::DeleteFreesTheCode);
            let asked = if free { delete.clone().with_release() } else { delete.clone() };
            answers.push(self.store.delete_one(asked).await?);
            if delete.release && self.has(Fault::ReleaseKeepsTheTotals) {
                let rows: Vec<_> = rows.into_iter().filter(|row| row.link_id.is_none()).collect();
                self.store.record(&rows).await?;
            }
        }
        Ok(answers)
    }

    async fn consume(&self, uses: &[Use]) -> Result<Vec<u32>> {
        if self.has(Fault::ConsumeReadsThenWrites) {
            let mut granted = Vec::new();
            for asked in uses {
                let link = self.store.get_one(&asked.code).await?.filter(|link| link.id == asked.id);
                let left = link.map_or(0, |link| link.max_clicks.map_or(u32::MAX, |most| most - link.consumed));
                tokio_yield().await;
                self.store.consume(std::slice::from_ref(asked)).await?;
                granted.push(left.min(asked.count));
            }
            return Ok(granted);
        }
        let mut uses = uses.to_vec();
        if self.has(Fault::ConsumeGoesByTheIdAlone) {
            let links = self.store.list(&ListLinks::new(Scope::All).with_limit(1_000)).await?.items;
            for asked in &mut uses {
                if let Some(link) = links.iter().find(|link| link.id == asked.id) {
                    asked.code = link.code.clone();
                }
            }
        }
        let mut granted = self.store.consume(&uses).await?;
        for (granted, asked) in granted.iter_mut().zip(&uses) {
            if self.has(Fault::ConsumeGrantsOneTooMany) {
                *granted = asked.count.min(*granted + 1);
            }
            if let (Some(mut link), true) =
                (self.store.get_one(&asked.code).await?, self.has(Fault::ConsumingIsAChange))
            {
                link.title = Some("consumed".into());
                self.store.update_one(&link).await?;
            }
        }
        Ok(granted)
    }

    async fn list(&self, query: &ListLinks) -> Result<Page<Link>> {
        let mut query = query.clone();
        if self.has(Fault::SearchTakesPercentForAnything) && query.search.as_deref() == Some("%") {
            query.search = None;
        }
        if self.has(Fault::CreationIsCutToMilliseconds) {
            (query.created_from, query.created_until) =
                (query.created_from.map(whole_millis), query.created_until.map(whole_millis));
        }
        let mut page = self.store.list(&query).await?;
        if self.has(Fault::CreationGoesByTheIdAlone) {
            let made = |link: &Link| time_of(link.id).unwrap_or_default();
            page.items.retain(|link| query.created_until.is_none_or(|until| made(link) < until));
        }
        if self.has(Fault::UnsortedPages) {
            page.items.reverse();
        }
        if self.has(Fault::LastPageLeadsOn) && page.next.is_none() && !page.items.is_empty() {
            page.next = Some(Cursor::new("more"));
        }
        Ok(page)
    }
}

async fn known_id(store: &MemoryStore, link: &Link) -> Result<bool> {
    Ok(store.get_one(&link.code).await?.is_some_and(|known| known.id == link.id))
}

/// Lets another task run, as a round trip to a database would.
async fn tokio_yield() {
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

#[async_trait::async_trait]
impl ClickSink for Faulty {
    async fn record(&self, clicks: &[Click]) -> Result<()> {
        let mut clicks = clicks.to_vec();
        match self.fault {
            Fault::RedeliveredClicksCountTwice => {
                clicks.iter().try_for_each(Click::check)?;
                for click in &mut clicks {
                    click.id = new_id(click.clicked_at);
                }
            }
            Fault::LateClicksAreTaken => clicks.iter_mut().for_each(|click| click.link_id = None),
            Fault::BadClickIsSkipped => clicks.retain(|click| click.check().is_ok()),
            _ => {}
        }
        let recorded = self.store.record(&clicks).await;
        match recorded {
            Err(Error::Refused { reason, .. }) if self.has(Fault::RefusalIsTransient) => {
                Err(Error::unavailable("faulty", reason))
            }
            other => other,
        }
    }
}

#[async_trait::async_trait]
impl ClickStats for Faulty {
    async fn totals(&self, codes: &[Code]) -> Result<Vec<Totals>> {
        self.store.totals(codes).await
    }

    async fn series(&self, query: &Series) -> Result<Vec<Bucket>> {
        let mut buckets = self.store.series(query).await?;
        if self.has(Fault::SeriesIsNotWidened) {
            buckets.retain(|bucket| query.range.contains(bucket.start));
        }
        Ok(buckets)
    }

    async fn clicks(&self, query: &ListClicks) -> Result<Page<Click>> {
        let mut query = query.clone();
        if self.has(Fault::RangeEndsOneMillisecondLate) {
            query.range.until += linkly_core::chrono::TimeDelta::milliseconds(1);
        }
        self.store.clicks(&query).await
    }

    async fn top(&self, query: &Top) -> Result<Vec<TopLink>> {
        self.store.top(query).await
    }
}

#[async_trait::async_trait]
impl Maintenance for Faulty {
    async fn changes(&self, after: Option<&ChangeCursor>) -> Result<Changes> {
        let mut changes = self.store.changes(after).await?;
        if self.has(Fault::ChangesSkipEverySecondCode) {
            changes.codes = changes.codes.into_iter().step_by(2).collect();
        }
        Ok(changes)
    }

    async fn purge_clicks(&self, before: DateTime<Utc>, limit: u32) -> Result<PurgedClicks> {
        let limit = if self.has(Fault::PurgeIgnoresItsLimit) { u32::MAX } else { limit };
        self.store.purge_clicks(before, limit).await
    }

    async fn purge_expired(&self, query: &PurgeExpired) -> Result<PurgedLinks> {
        self.store.purge_expired(query).await
    }

    async fn reconcile(&self, range: TimeRange) -> Result<Reconciled> {
        let mut answer = self.store.reconcile(range).await?;
        if self.has(Fault::ReconcileFindsADifference) {
            let (found, mended) = (Count { clicks: 1, bots: 0 }, Count::default());
            answer.differences.push(Difference::new(Code::new("a")?, None, found, mended));
        }
        Ok(answer)
    }

    async fn optimize(&self) -> Result<()> {
        self.store.optimize().await
    }

    async fn size(&self) -> Result<Size> {
        self.store.size().await
    }

    async fn ping(&self) -> Result<()> {
        self.store.ping().await
    }
}

/// The fault of the fixture's store, as a type.
trait With: Send + Sync + 'static {
    const FAULT: Fault;
}

struct Fixture<W> {
    store: MemoryStore,
    fault: PhantomData<W>,
}

impl<W: With> StoreFixture for Fixture<W> {
    type Store = Faulty;

    async fn open() -> Self {
        Self { store: MemoryStore::new(), fault: PhantomData }
    }

    async fn handle(&self) -> Faulty {
        Faulty { store: self.store.clone(), fault: W::FAULT }
    }
}

/// The store without a fault passes the case, the one with it fails.
fn check<None: With, W: With>(case: fn(Handles) -> CaseFuture) {
    run_store_case::<Fixture<None>>(case);
    let said = failure(|| run_store_case::<Fixture<W>>(case));
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
            check::<None, Broken>(|store| Box::pin(async move { cases::$module::$case(&store).await }));
        }
    )*};
}

faults! {
    a_retry_that_is_told_taken: RetriedInsertIsTaken, retry::an_insert_sent_again_answers_the_same;
    the_same_id_that_is_told_taken: RetriedInsertIsTaken, insert::the_same_id_again_is_inserted;
    an_insert_that_overwrites: InsertOverwrites, insert::a_taken_code_is_refused_and_leaves_the_link_as_it_is;
    an_insert_that_many_win: InsertOverwrites, insert::of_many_callers_racing_for_one_code_exactly_one_is_told_inserted;
    an_insert_that_stops_half_way: InsertStopsAtTheBadLink, insert::a_link_that_fails_its_check_fails_the_call_before_anything_is_written;
    an_insert_with_any_id: InsertTakesAnyId, insert::an_id_that_does_not_carry_created_at_fails_the_call;
    an_update_of_any_version: UpdateIgnoresTheVersion, update::any_other_version_is_a_conflict_and_leaves_the_link_as_it_is;
    updates_that_overwrite_one_another: UpdateIgnoresTheVersion, update::of_many_updates_of_one_version_exactly_one_is_updated;
    a_retry_that_is_told_conflict: RetriedUpdateConflicts, update::the_callers_own_earlier_try_is_updated;
    an_update_that_resets_consumed: UpdateResetsConsumed, update::an_update_leaves_created_at_and_consumed_as_they_are;
    a_delete_that_frees_the_code: DeleteFreesTheCode, delete::a_deleted_code_is_retired;
    a_release_that_keeps_the_totals: ReleaseKeepsTheTotals, delete::a_released_code_can_be_used_again_with_new_totals;
    a_limit_that_is_read_and_then_written: ConsumeReadsThenWrites, consume::many_callers_are_granted_exactly_the_limit;
    a_limit_of_one_too_many: ConsumeGrantsOneTooMany, consume::what_is_left_is_granted;
    a_limit_that_is_taken_at_any_code: ConsumeGoesByTheIdAlone, consume::one_id_at_two_codes_grants_to_the_right_one_alone;
    pages_without_an_order: UnsortedPages, list::pages_hold_the_links_of_each_scope_in_each_order;
    a_last_page_that_leads_on: LastPageLeadsOn, list::the_last_page_leads_nowhere;
    a_search_with_wildcards: SearchTakesPercentForAnything, filter::search_gives_no_character_a_special_meaning;
    times_of_creation_that_are_cut: CreationIsCutToMilliseconds, filter::a_range_of_creation_is_exact_to_the_millisecond;
    times_of_creation_that_are_those_of_ids: CreationGoesByTheIdAlone, filter::links_from_before_1970_are_found_by_when_they_were_made;
    a_join_that_drops_duplicates: DropsDuplicateCodes, read::links_stand_in_order_with_duplicates_and_unknown_codes;
    redelivered_clicks_that_count_twice: RedeliveredClicksCountTwice, record::the_same_click_counts_once_in_any_batch_and_order;
    a_click_that_counts_twice_in_a_batch: RedeliveredClicksCountTwice, record::the_same_click_twice_in_one_batch_counts_once;
    late_clicks_that_are_taken: LateClicksAreTaken, delete::late_clicks_of_a_released_link_are_refused;
    a_refusal_that_is_sent_again_for_ever: RefusalIsTransient, purge_clicks::clicks_older_than_the_watermark_are_refused;
    a_bad_click_that_is_skipped: BadClickIsSkipped, record::a_click_that_fails_its_check_fails_the_call_and_nothing_is_written;
    a_series_that_is_not_widened: SeriesIsNotWidened, stats::the_range_of_a_series_is_widened_to_whole_steps;
    a_range_that_ends_late: RangeEndsOneMillisecondLate, stats::the_range_of_clicks_is_exact_to_the_millisecond;
    consuming_that_is_a_change: ConsumingIsAChange, consume::consuming_changes_nothing_but_consumed;
    consuming_that_is_logged: ConsumingIsAChange, changes::consuming_and_clicking_is_no_change;
    a_purge_without_bounds: PurgeIgnoresItsLimit, purge_clicks::a_call_removes_no_more_than_its_limit;
    a_difference_out_of_nothing: ReconcileFindsADifference, history::reconcile_finds_no_difference_after_a_random_history;
}

/// The case waits for the change until its patience ends.
#[test]
fn changes_that_are_skipped() {
    struct Broken;
    impl With for Broken {
        const FAULT: Fault = Fault::ChangesSkipEverySecondCode;
    }
    let said = failure(|| {
        run_store_case::<Fixture<Broken>>(|store| {
            Box::pin(async move { cases::changes::every_insert_update_and_delete_is_reported(&store).await })
        });
    });
    assert!(said.contains("was not reported"), "{said}");
}
