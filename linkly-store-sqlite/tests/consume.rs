//! Limits of clicks.

mod fixture;

use fixture::{File, code, link};
use linkly_core::{LinkStore, LinkStoreExt, Use};

#[tokio::test]
async fn an_id_under_another_links_code_is_granted_nothing() {
    let file = File::new();
    let store = file.open().await;
    let (mut limited, unlimited) = (link("limited"), link("unlimited"));
    limited.max_clicks = Some(5);
    store.insert(&[limited.clone(), unlimited.clone()]).await.unwrap();
    let uses = [
        Use::new(code("unlimited"), limited.id, 4),
        Use::new(code("none"), limited.id, 4),
        Use::new(code("limited"), limited.id, 4),
        Use::new(code("limited"), unlimited.id, 4),
        Use::new(code("unlimited"), unlimited.id, 4),
        Use::new(code("limited"), limited.id, 4),
    ];
    assert_eq!(store.consume(&uses).await.unwrap(), [0, 0, 4, 0, 4, 1]);
    assert_eq!(store.get_one(&code("limited")).await.unwrap().unwrap().consumed, 5);
    assert_eq!(store.consume(&uses).await.unwrap(), [0, 0, 0, 0, 4, 0]);
}
