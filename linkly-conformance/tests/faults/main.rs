//! The suite can fail: each of these stores and caches breaks one promise, and the case that is named
//! after that promise says so.

mod cache;
mod store;

/// Runs a case that must fail, and gives what it said.
fn failure(case: impl FnOnce() + std::panic::UnwindSafe) -> String {
    let panic = std::panic::catch_unwind(case).expect_err("the case passed");
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}
