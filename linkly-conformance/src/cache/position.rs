//! `position` and `advance`. A cache may keep no position, and may lose the one it has at any time; so the cases
//! are about what is there.

use linkly_core::ChangeCursor;

use super::sample::{code, held, living, now, target};
use crate::CacheHandle;

fn cursor(text: &str) -> ChangeCursor {
    ChangeCursor::new(text)
}

/// Moves the position from where it is; whether it is kept.
async fn moved(cache: &CacheHandle, to: &str) -> bool {
    let from = cache.position().await.unwrap();
    cache.advance(from.as_ref(), &cursor(to)).await.unwrap();
    expect(cache, to).await
}

/// Checks that the position is there, if there is one.
async fn expect(cache: &CacheHandle, text: &str) -> bool {
    let position = cache.position().await.unwrap();
    assert!(position.is_none() || position == Some(cursor(text)), "{text:?} is expected: {position:?}");
    position.is_some()
}

/// It is where it was moved last, whatever the cursor's text is.
pub async fn a_position_is_where_it_was_moved_or_there_is_none(cache: &CacheHandle) {
    assert_eq!(cache.position().await.unwrap(), None, "an empty cache was told of nothing");
    for text in ["1", "2", "", "12345:12345:12340,12342/7-16384-é", &"long".repeat(1_000)] {
        moved(cache, text).await;
    }
}

/// A position that is elsewhere by now stays where it is.
pub async fn a_position_moves_from_where_it_is_alone(cache: &CacheHandle) {
    for from in [None, Some(cursor("4")), Some(cursor("")), Some(cursor("55"))] {
        if !moved(cache, "5").await {
            return;
        }
        cache.advance(from.as_ref(), &cursor("9")).await.unwrap();
        expect(cache, "5").await;
    }
}

/// It says what was told, not what is there.
pub async fn invalidating_moves_no_position(cache: &CacheHandle) {
    moved(cache, "5").await;
    let code = code("a");
    held(cache, &code, living(Some(target(1)), now())).await;
    cache.invalidate(&[code]).await.unwrap();
    expect(cache, "5").await;
}

/// A position of before is no place in what is filled since.
pub async fn after_clear_there_is_no_position(cache: &CacheHandle) {
    for text in ["1", "2"] {
        moved(cache, text).await;
        cache.clear().await.unwrap();
        assert_eq!(cache.position().await.unwrap(), None);
        cache.advance(Some(&cursor(text)), &cursor("9")).await.unwrap();
        assert_eq!(cache.position().await.unwrap(), None, "it is not where it was any more");
    }
}
