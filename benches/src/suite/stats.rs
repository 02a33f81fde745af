//! What is read of a link with many clicks.

use linkly_core::chrono::TimeDelta;
use linkly_core::{Linkly, Step, TimeRange};

use super::seed::{HOT, start};
use super::{RawStore, Suite, timed};

impl Suite {
    pub(super) fn stats(&mut self, linkly: &Linkly, raw: &impl RawStore) {
        self.pair(
            "stats",
            "totals",
            1,
            async |places| {
                timed(async {
                    for _ in places {
                        raw.totals(HOT).await;
                    }
                })
                .await
            },
            async |places| {
                timed(async {
                    for _ in places {
                        assert!(linkly.stats(HOT).await.expect("the store answers").clicks > 0);
                    }
                })
                .await
            },
        );
        // As many hours whatever the number of clicks.
        let days = TimeRange::new(start(), start() + TimeDelta::days(30));
        self.pair(
            "stats",
            "30 days by the hour",
            1,
            async |places| {
                timed(async {
                    for _ in places {
                        assert!(raw.series(HOT, days.from..days.until).await > 0);
                    }
                })
                .await
            },
            async |places| {
                timed(async {
                    for _ in places {
                        assert!(!linkly.series(HOT, days, Step::Hour).await.expect("the store answers").is_empty());
                    }
                })
                .await
            },
        );
    }
}
