//! Files that are damaged, or not a spool's.

use std::time::Duration;

use linkly_core::{Click, ClickSink, Error};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use redb::{Builder, ReadableTable, TableDefinition};

use super::disk::{Disk, DiskFault};
use super::sinks::{Fault, Store};
use super::{click, clicks, hasty, open};
use crate::spool::frame::tests::of_another_version;
use crate::spool::frame::{Frame, HEAD_BYTES, MARK};
use crate::spool::medium::{Medium, SPOOL};

/// A file with these clicks in frames of some dozens, and two dead letters.
async fn filled(disk: &Disk, count: usize) -> Vec<Click> {
    let store = Store::with_plan(|call, _| if call == 0 { Fault::RefusesBad } else { Fault::Fails });
    let spool = open(disk, store.clone(), hasty()).await.unwrap();
    // Alone in the first calls, which are halved until they are dead.
    store.plan(|_, clicks| if clicks[0].code.as_str().starts_with("bad") { Fault::RefusesBad } else { Fault::Fails });
    spool.record(&clicks("bad", 0..2)).await.unwrap();
    spool.flush().await.unwrap();
    let all = clicks("a", 0..count);
    for some in all.chunks(40) {
        spool.record(some).await.unwrap();
    }
    let report = spool.shutdown(Duration::ZERO).await;
    assert_eq!((report.waiting, report.dead, report.is_closed), (count as u64, 2, true));
    all
}

fn frames(file: &[u8]) -> Vec<usize> {
    (0..file.len()).filter(|at| file[*at..].starts_with(&MARK)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_be_read_of_a_damaged_file_is_delivered_and_the_rest_is_counted() {
    for seed in 0..12 {
        let (disk, mut random) = (Disk::default(), StdRng::seed_from_u64(seed));
        let all = filled(&disk, 2_000).await;
        disk.damage(SPOOL, |file| {
            for _ in 0..random.random_range(1..6) {
                let from = random.random_range(0..file.len() - 4_096);
                let len = random.random_range(1..4_096);
                random.fill(&mut file[from..from + len]);
            }
        });
        let store = Store::new();
        let spool = match open(&disk, store.clone(), hasty()).await {
            Ok(spool) => spool,
            Err(error) => panic!("seed {seed}: {error}"),
        };
        spool.flush().await.unwrap();
        let rows = store.rows().await;
        let delivered = all.iter().filter(|click| rows.contains_key(&click.id)).count() as u64;
        let lost = all.len() as u64 - delivered;
        match spool.salvage() {
            // Only what nobody reads was hit.
            None => assert_eq!(lost, 0, "seed {seed}"),
            Some(salvage) => {
                assert!(salvage.missing >= lost, "seed {seed}: {lost} lost, {salvage:?}");
                assert!(salvage.recovered >= delivered, "seed {seed}: {salvage:?}");
                let aside = salvage.set_aside.to_str().unwrap().strip_prefix("disk").unwrap();
                assert!(disk.names().iter().any(|name| name == aside), "seed {seed}: {:?}", disk.names());
            }
        }
        // And it is a spool like any other.
        let more = clicks("b", 0..10);
        spool.record(&more).await.unwrap();
        spool.flush().await.unwrap();
        let rows = store.rows().await;
        assert!(more.iter().all(|click| rows.contains_key(&click.id)), "seed {seed}");
        spool.shutdown(Duration::from_secs(5)).await;
        let spool = open(&disk, store, hasty()).await.unwrap();
        assert_eq!(spool.salvage(), None, "seed {seed}: it was damaged once");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_without_its_tree_still_has_its_clicks_and_dead_letters() {
    let disk = Disk::default();
    let all = filled(&disk, 500).await;
    disk.damage(SPOOL, |file| file[64..320].fill(0xAB));
    let store = Store::with_plan(|_, _| Fault::None);
    let spool = open(&disk, store.clone(), hasty()).await.unwrap();
    spool.flush().await.unwrap();
    let rows = store.rows().await;
    assert!(all.iter().all(|click| rows.get(&click.id) == Some(&1)));
    let salvage = spool.salvage().unwrap();
    assert_eq!((salvage.missing, salvage.dead_letters), (0, 2), "{salvage:?}");
    assert_eq!(spool.dead_letters(10, None).await.unwrap().items.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_was_cut_short_gives_what_is_left() {
    for keep in [0, 5, 100, 4_096, 20_000, 60_000] {
        let disk = Disk::default();
        let all = filled(&disk, 2_000).await;
        let mut whole = Vec::new();
        disk.damage(SPOOL, |file| {
            whole.clone_from(file);
            file.truncate(keep);
        });
        let store = Store::with_plan(|_, _| Fault::None);
        let spool = open(&disk, store.clone(), hasty()).await.unwrap();
        spool.flush().await.unwrap();
        let readable: u64 = frames(&whole)
            .into_iter()
            .filter_map(|at| Frame::read(whole[..keep.max(at)].get(at..)?))
            .filter_map(|frame| frame.clicks())
            .map(|clicks| clicks.iter().filter(|click| all.contains(click)).count() as u64)
            .sum();
        let rows = store.rows().await;
        let delivered = all.iter().filter(|click| rows.contains_key(&click.id)).count() as u64;
        assert!(delivered >= readable.min(1), "{keep}: {delivered} of {readable}");
        assert_eq!(spool.salvage().is_none(), keep == 0, "an empty file is a new one");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_somebody_else_is_left_as_it_is() {
    let disk = Disk::default();
    filled(&disk, 1).await;
    let theirs = b"SQLite format 3\0 and much that is dear to somebody".to_vec();
    disk.damage(SPOOL, |file| file.clone_from(&theirs));
    let error = open(&disk, Store::new(), hasty()).await.unwrap_err();
    assert!(matches!(error, Error::Schema { .. }) && error.to_string().contains("no spool"), "{error}");
    disk.damage(SPOOL, |file| assert_eq!(*file, theirs));

    let disk = Disk::default();
    let database = disk.database(SPOOL, &Builder::new()).unwrap();
    let write = database.begin_write().unwrap();
    write.open_table(TableDefinition::<u64, u64>::new("theirs")).unwrap();
    write.commit().unwrap();
    drop(database);
    let error = open(&disk, Store::new(), hasty()).await.unwrap_err();
    assert!(matches!(error, Error::Schema { .. }) && error.to_string().contains("theirs"), "{error}");
    assert_eq!(disk.names(), [""]);
}

/// Makes of these frames what a later release writes.
fn make_unreadable(disk: &Disk, frames: &[u64]) {
    let database = disk.database(SPOOL, &Builder::new()).unwrap();
    let write = database.begin_write().unwrap();
    {
        let mut clicks = write.open_table(TableDefinition::<u64, &[u8]>::new("clicks")).unwrap();
        for number in frames {
            let frame = clicks.get(number).unwrap().map(|frame| of_another_version(frame.value()));
            clicks.insert(number, &frame.unwrap()[..]).unwrap();
        }
    }
    write.commit().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_read_holds_up_nothing_wherever_it_stands() {
    for unreadable in [&[2][..], &[82], &[42, 82], &[2, 42, 82]] {
        let disk = Disk::default();
        filled(&disk, 120).await;
        make_unreadable(&disk, unreadable);
        let store = Store::with_plan(|_, _| Fault::None);
        let spool = open(&disk, store.clone(), hasty()).await.unwrap();
        spool.flush().await.unwrap();
        let passed_over = 40 * unreadable.len();
        assert_eq!((store.rows().await.len(), spool.metrics().depth), (120 - passed_over, 0), "{unreadable:?}");
        spool.record(&clicks("b", 0..10)).await.unwrap();
        spool.flush().await.unwrap();
        assert_eq!(store.rows().await.len(), 130 - passed_over, "{unreadable:?}");
        let report = spool.shutdown(Duration::from_secs(5)).await;
        assert_eq!((report.waiting, spool.metrics().unreadable), (0, passed_over as u64), "{unreadable:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_found_damaged_in_use_is_salvaged_as_one_that_is_opened() {
    let (disk, store) = (Disk::default(), Store::with_plan(|_, _| Fault::Fails));
    let spool = open(&disk, store.clone(), hasty()).await.unwrap();
    for some in clicks("a", 0..20).chunks(10) {
        spool.record(some).await.unwrap();
    }
    store.called(1).await;
    // The first frame, in this commit and the one before, to which redb would go back.
    disk.damage(SPOOL, |file| {
        for at in frames(file) {
            if Frame::read(&file[at..]).is_some_and(|frame| frame.head.clicks == 10 && frame.head.first == 0) {
                file[at + HEAD_BYTES] ^= 1;
            }
        }
    });
    // It is opened again after a commit that failed, and what it says is not believed then.
    disk.set_fault(DiskFault::Full);
    assert!(spool.record(&[click("full", 0)]).await.is_err());
    disk.set_fault(DiskFault::None);
    let more = clicks("b", 0..10);
    while spool.record(&more).await.is_err() {
        tokio::task::yield_now().await;
    }
    let salvage = spool.salvage().expect("it was damaged");
    assert_eq!((salvage.missing, salvage.recovered), (10, 10), "{salvage:?}");
    assert_eq!(spool.metrics().recovered, 0, "it is no click of an earlier process");
    store.plan(|_, _| Fault::None);
    spool.flush().await.unwrap();
    let rows = store.rows().await;
    assert!(more.iter().all(|click| rows.get(&click.id) == Some(&1)));
    assert_eq!(spool.metrics().depth, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clicks_of_a_later_release_are_kept_counted_and_delivered_when_they_can_be_read() {
    use crate::spool::file::SpoolFile;
    let disk = Disk::default();
    let all = filled(&disk, 120).await;
    make_unreadable(&disk, &[42]);
    let store = Store::with_plan(|_, _| Fault::None);
    let spool = open(&disk, store.clone(), hasty()).await.unwrap();
    spool.flush().await.unwrap();
    assert_eq!(store.rows().await.len(), 80);
    spool.shutdown(Duration::from_secs(5)).await;
    assert_eq!((spool.metrics().unreadable, spool.metrics().depth), (40, 0));

    // As the later release finds them: its own.
    let database = disk.database(SPOOL, &Builder::new()).unwrap();
    let write = database.begin_write().unwrap();
    {
        let mut unreadable = write.open_table(TableDefinition::<(u64, u64), &[u8]>::new("unreadable")).unwrap();
        let (key, frame) =
            unreadable.pop_first().unwrap().map(|(key, frame)| (key.value(), frame.value().to_vec())).unwrap();
        unreadable.insert(key, &crate::spool::frame::tests::of_this_version(&frame)[..]).unwrap();
    }
    write.commit().unwrap();
    drop(database);
    let spool = open(&disk, store.clone(), hasty()).await.unwrap();
    spool.flush().await.unwrap();
    let rows = store.rows().await;
    assert!(all.iter().all(|click| rows.get(&click.id) == Some(&1)));
    spool.shutdown(Duration::from_secs(5)).await;
    assert_eq!(spool.metrics().unreadable, 0);
    drop(SpoolFile::open(&disk, SPOOL).unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_that_is_damaged_while_the_spool_is_open_is_passed_over_and_kept() {
    let disk = Disk::default();
    let store = Store::with_plan(|_, _| Fault::Hangs);
    let spool =
        open(&disk, store.clone(), hasty().with_batch(1).with_write_timeout(Duration::from_millis(20))).await.unwrap();
    spool.record(&[click("first", 0)]).await.unwrap();
    store.called(1).await;
    spool.record(&clicks("a", 0..10)).await.unwrap();
    spool.record(&clicks("b", 0..10)).await.unwrap();
    let before = spool.metrics().depth;
    assert_eq!(before, 21);
    // In every copy that redb has of it, and redb has it in its cache as well: only after that is it seen.
    spool.shutdown(Duration::ZERO).await;
    disk.damage(SPOOL, |file| {
        for at in frames(file) {
            if Frame::read(&file[at..]).is_some_and(|frame| frame.head.first == 1) {
                file[at + HEAD_BYTES] ^= 1;
            }
        }
    });
    store.plan(|_, _| Fault::None);
    let spool = open(&disk, store.clone(), hasty()).await.unwrap();
    spool.flush().await.unwrap();
    assert_eq!(spool.salvage().map(|salvage| salvage.missing), Some(10));
    assert_eq!(store.rows().await.len(), 11);
}
