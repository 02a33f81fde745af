//! Many tasks that resolve.

use std::sync::Arc;
use std::time::{Duration, Instant};

use linkly_core::{Linkly, Resolution};

use crate::Codes;

/// How long `tasks` tasks take to resolve the next `count` codes from `first` on, each asking for one after the
/// other.
pub async fn resolve_on_tasks(
    linkly: &Linkly,
    codes: &Arc<Codes>,
    tasks: usize,
    first: usize,
    count: usize,
) -> Duration {
    let start = Instant::now();
    let running: Vec<_> = (0..tasks)
        .map(|task| {
            let (linkly, codes) = (linkly.clone(), codes.clone());
            tokio::spawn(async move {
                for i in (first + task..first + count).step_by(tasks) {
                    let found = linkly.resolve(codes.get(i)).await.expect("the store answers");
                    assert!(matches!(found, Resolution::Found(_)), "{}", codes.get(i));
                }
            })
        })
        .collect();
    for task in running {
        task.await.expect("no task panics");
    }
    start.elapsed()
}
