//! The thread that has the file: redb is synchronous, and a commit is an fsync.
//!
//! It takes whatever has gathered since its last commit (group commit), and is the only one that touches
//! the file: what failed on a commit is closed and opened again in one place.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use linkly_core::{Error, Result, Uuid};
use redb::Durability;
use tokio::sync::oneshot;

use super::error::{Fault, FileResult, guarded};
use super::file::{Change, Chunks, SpoolFile};
use super::frame::Draft;
use super::group::Group;
use super::medium::{Medium, SPOOL};
use super::queue::Shared;
use super::recovery::{self, Reopened};
use super::state::{Order, Read, Work};
use crate::Letters;

/// The shortest time between two tries to open a file that failed.
const RECOVERED_EVERY: Duration = Duration::from_millis(100);

/// How many dead letters one commit replays or purges.
const LETTERS_AT_ONCE: usize = 1_000;

/// Opens the file, tells that, and works until it is told to finish.
pub(super) fn run(shared: &Arc<Shared>, medium: Box<dyn Medium>, opened: oneshot::Sender<Result<()>>) {
    let _end = EndOnDrop(shared);
    let path = medium.path(SPOOL);
    let (file, salvage) = match guarded(|| recovery::open(&*medium)) {
        Ok(opened) => opened,
        Err(fault) => return drop(opened.send(Err(fault.into_error(&path)))),
    };
    {
        let mut state = shared.lock();
        (state.settled, state.settled_at_start) = (file.settled, file.settled);
        state.salvage = salvage;
    }
    let mut writer = Writer { shared: Arc::clone(shared), medium, path, access: Access::Open(file), tried: None };
    writer.publish(0);
    if opened.send(Ok(())).is_ok() {
        writer.work();
    }
    writer.close();
}

/// Whatever ends the thread: nobody may wait for it then.
struct EndOnDrop<'a>(&'a Shared);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.finish();
        let work = {
            let mut state = self.0.lock();
            state.file_closed = true;
            // Those who ordered something are told by this that nothing came of it.
            state.orders.clear();
            state.take_work()
        };
        if let Some(group) = work.group {
            group.resolve(Err(super::closed()));
        }
        self.0.arrived.notify_one();
        self.0.progress.notify_waiters();
    }
}

/// Whatever ends a commit, a panic too: its callers are told.
struct ResolveOnDrop(Arc<Group>);

impl Drop for ResolveOnDrop {
    fn drop(&mut self) {
        self.0.resolve(Err(super::closed()));
    }
}

struct Writer {
    shared: Arc<Shared>,
    medium: Box<dyn Medium>,
    path: PathBuf,
    access: Access,
    /// When opening a file that failed was last tried.
    tried: Option<Instant>,
}

/// How the file can be used.
enum Access {
    Open(SpoolFile),
    /// Read, but not written: a commit failed on it. See [`recovery::replace`].
    Suspect(SpoolFile),
    /// Neither.
    Lost,
}

impl Writer {
    fn work(&mut self) {
        loop {
            let work = self.shared.next_work();
            let finish = work.finish;
            self.handle(work);
            if finish {
                return;
            }
        }
    }

    fn handle(&mut self, work: Work) {
        let Work { drafts, group, bytes, settled, dead, unreadable, read, order, .. } = work;
        let group = group.map(ResolveOnDrop);
        let clicks: u64 = drafts.iter().map(|draft| u64::from(draft.clicks)).sum();
        let mut change = Change { drafts, settled, dead, gone: Vec::new(), unreadable };
        #[cfg(test)]
        if let (super::tests::Sabotage::AcknowledgeBeforeCommit, Some(group)) = (self.shared.sabotage, &group) {
            group.0.resolve(Ok(()));
        }
        let outcome = self.commit(&mut change);
        {
            let mut state = self.shared.lock();
            match &outcome {
                Ok(()) => {
                    state.counts.accepted += clicks;
                    state.recent.keep(change.drafts);
                }
                Err(_) => state.put_back(change.dead, change.unreadable),
            }
        }
        self.publish(bytes);
        if let Some(group) = group {
            group.0.resolve(outcome);
        }
        if let Some(Read { from, clicks, reply }) = read {
            // Nobody waits any more when the task was ended.
            _ = reply.send(self.read(from, clicks));
        }
        if let Some(order) = order {
            self.obey(order);
        }
    }

    /// Makes the change, or leaves the file that failed.
    fn commit(&mut self, change: &mut Change) -> Result<()> {
        self.recover(change)?;
        let durability = self.durability();
        let Access::Open(file) = &mut self.access else { return Err(super::closed()) };
        if change.is_empty(file) {
            return Ok(());
        }
        match file.commit(change, durability) {
            Ok(()) => {
                self.shared.lock().counts.commits += 1;
                Ok(())
            }
            Err(fault) => {
                self.shared.lock().counts.failed_commits += 1;
                let error = fault.into_error(&self.path);
                tracing::error!(
                    error = &error as &(dyn std::error::Error + 'static),
                    "a commit of the spool failed: its callers are told, and the file is opened again"
                );
                self.lose();
                // Those of this batch were told that it failed, and must not come again by our own doing.
                change.drafts.clear();
                _ = self.recover(change);
                Err(error)
            }
        }
    }

    fn durability(&self) -> Durability {
        #[cfg(test)]
        if self.shared.sabotage == super::tests::Sabotage::WeakDurability {
            return Durability::None;
        }
        Durability::Immediate
    }

    /// Closes the file without trusting it.
    fn lose(&mut self) {
        let access = std::mem::replace(&mut self.access, Access::Lost);
        _ = guarded(move || {
            drop(access);
            Ok(())
        });
    }

    /// Gets at a file that can be written, if there is none: a new one, with what is in the old one. What the
    /// change says of settled clicks goes there with it.
    fn recover(&mut self, change: &mut Change) -> Result<()> {
        if let Access::Open(_) = self.access {
            return Ok(());
        }
        if self.tried.is_some_and(|tried| tried.elapsed() < RECOVERED_EVERY) {
            return Err(Error::unavailable(super::BACKEND, "a commit failed, and the file was not opened again yet"));
        }
        let outcome = self.try_recover(change);
        self.tried = outcome.is_err().then(Instant::now);
        outcome.map_err(|fault| fault.into_error(&self.path))
    }

    fn try_recover(&mut self, change: &mut Change) -> FileResult<()> {
        if let Access::Lost = self.access {
            self.reopen()?;
        }
        if let Access::Suspect(suspect) = &self.access {
            let next = self.shared.lock().next;
            // Without what is taken in, and without letters that go because their clicks are: these come
            // together, in a commit of their own.
            let mut settling = Change {
                settled: change.settled,
                dead: std::mem::take(&mut change.dead),
                unreadable: std::mem::take(&mut change.unreadable),
                ..Change::default()
            };
            let replaced = guarded(|| recovery::replace(&*self.medium, suspect, &mut settling, next));
            let fresh = match replaced {
                Ok(fresh) => fresh,
                Err(fault) => {
                    (change.dead, change.unreadable) = (settling.dead, settling.unreadable);
                    if let Fault::Corrupt(_) = fault {
                        // Found only now. It is salvaged when it is opened again.
                        self.lose();
                    }
                    return Err(fault);
                }
            };
            self.lose();
            self.access = Access::Open(fresh);
            tracing::warn!(path = %self.path.display(), "the spool goes on in a new file");
        }
        Ok(())
    }

    /// Opens a file that failed, to be read.
    fn reopen(&mut self) -> FileResult<()> {
        let next = self.shared.lock().next;
        #[cfg(test)]
        if self.shared.sabotage == super::tests::Sabotage::TrustAfterFailedSync {
            self.access = Access::Open(SpoolFile::open(&*self.medium, SPOOL)?);
            return Ok(());
        }
        self.access = match guarded(|| recovery::reopen(&*self.medium, next))? {
            Reopened::Suspect(file) => Access::Suspect(file),
            Reopened::Salvaged(file, salvage) => {
                self.shared.lock().see_salvage(salvage, file.next);
                Access::Open(file)
            }
        };
        Ok(())
    }

    fn file(&mut self) -> FileResult<&mut SpoolFile> {
        if let Access::Lost = self.access {
            self.reopen()?;
        }
        match &mut self.access {
            Access::Open(file) | Access::Suspect(file) => Ok(file),
            Access::Lost => Err(Fault::Busy),
        }
    }

    fn read(&mut self, from: u64, clicks: usize) -> Result<Chunks> {
        let read = self.file().and_then(|file| file.read(from, clicks));
        read.map_err(|fault| {
            self.lose();
            self.publish(0);
            fault.into_error(&self.path)
        })
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::List { after, limit, reply } => {
                let letters = self.file().and_then(|file| file.read_dead(after, limit));
                _ = reply.send(letters.map_err(|fault| fault.into_error(&self.path)));
            }
            Order::Replay { which, reply } => _ = reply.send(self.take_letters(which, true)),
            Order::Purge { which, reply } => _ = reply.send(self.take_letters(which, false)),
        }
    }

    /// Removes dead letters, and puts their clicks back among the others if that is asked for.
    fn take_letters(&mut self, which: Letters, replay: bool) -> Result<u64> {
        let taken = self.take_all_letters(which, replay);
        // Whatever it came to: the file may have failed.
        self.publish(0);
        taken
    }

    fn take_all_letters(&mut self, which: Letters, replay: bool) -> Result<u64> {
        let ids = self.file().and_then(|file| match which {
            Letters::All => file.dead_ids(),
            Letters::Of(mut ids) => {
                ids.sort_unstable();
                ids.dedup();
                Ok(ids)
            }
        });
        let ids = ids.map_err(|fault| fault.into_error(&self.path))?;
        let mut taken = 0;
        for ids in ids.chunks(LETTERS_AT_ONCE) {
            taken += self.take_some_letters(ids, replay)?;
        }
        Ok(taken)
    }

    fn take_some_letters(&mut self, ids: &[Uuid], replay: bool) -> Result<u64> {
        let letters = self.file().and_then(|file| file.dead_of(ids)).map_err(|fault| fault.into_error(&self.path))?;
        if letters.is_empty() {
            return Ok(0);
        }
        let clicks: Vec<_> = letters.into_iter().map(|letter| letter.click).collect();
        let gone = clicks.iter().map(|click| click.id).collect();
        let drafts = if replay { Draft::of(&clicks) } else { Vec::new() };
        self.commit(&mut Change { drafts, gone, ..Change::default() })?;
        let count = clicks.len() as u64;
        if replay {
            self.shared.lock().counts.replayed += count;
        }
        self.publish(0);
        Ok(count)
    }

    /// Lets the others see what the file has; what was counted with so many bytes is on its way no more.
    fn publish(&mut self, bytes: u64) {
        let (is_failing, file) = match &self.access {
            Access::Open(file) => (false, Some(file)),
            Access::Suspect(file) => (true, Some(file)),
            Access::Lost => (true, None),
        };
        {
            let mut state = self.shared.lock();
            state.counts.is_failing = is_failing;
            let in_file = file.map_or(state.in_file(), |file| file.bytes);
            state.landed(bytes, in_file);
            // Together with what the commit has come to, or the task that delivers could miss it.
            state.committing = false;
            if let Some(file) = file {
                state.counts.dead_letters = file.dead_letters;
                state.counts.unreadable = file.unreadable;
                state.see_next(file.next);
            }
        }
        self.shared.arrived.notify_one();
        self.shared.made_room();
        self.shared.progress.notify_waiters();
    }

    fn close(mut self) {
        if let Access::Open(file) = std::mem::replace(&mut self.access, Access::Lost)
            && let Err(fault) = file.close()
        {
            let error = fault.into_error(&self.path);
            tracing::warn!(error = &error as &(dyn std::error::Error + 'static), "closing a spool failed");
        }
    }
}
