#![doc = include_str!("../README.md")]

mod asked;
pub mod cache;
mod fixture;
mod handles;
mod held_store;
mod run;
mod samples;
pub mod store;

pub use linkly_core;

pub use fixture::{CacheFixture, QueueFixture, StoreFixture};
pub use handles::{CacheHandle, Handles};
pub use run::{CaseFuture, run_cache_case, run_migration_case, run_queue_case, run_store_case};

/// Gives a store its whole suite: one `#[test]` for each case, in a module for each subject, for a
/// type that implements [`StoreFixture`].
///
/// Each test runs on a multi-threaded runtime of its own. Two suites in one file stand in modules of
/// their own.
#[macro_export]
macro_rules! store_suite {
    ($fixture:ty) => {
        type StoreSuiteFixture = $fixture;
        $crate::__store_cases! { __store_tests }
    };
}

/// Gives a store the cases that start several processes on one database: that all migrate at once,
/// and that nothing changes when one starts again. For the same [`StoreFixture`].
#[macro_export]
macro_rules! migration_suite {
    ($fixture:ty) => {
        type MigrationSuiteFixture = $fixture;
        $crate::__migration_cases! { __migration_tests }
    };
}

/// Gives a queue of clicks its suite: the cases of a store that are about recording, with the queue in front of a
/// store, for a type that implements [`QueueFixture`]. How a queue delivers what its sink refuses is its own to say.
#[macro_export]
macro_rules! queue_suite {
    ($fixture:ty) => {
        type QueueSuiteFixture = $fixture;
        $crate::__queue_cases! { __queue_tests }
    };
}

/// Gives a cache its whole suite: one `#[test]` for each case, in a module for each subject, for a
/// type that implements [`CacheFixture`].
///
/// Each test runs on a multi-threaded runtime of its own. Two suites in one file stand in modules of
/// their own.
#[macro_export]
macro_rules! cache_suite {
    ($fixture:ty) => {
        type CacheSuiteFixture = $fixture;
        $crate::__cache_cases! { __cache_tests }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __store_tests {
    ($($module:ident { $($case:ident)* })*) => {$(
        mod $module {
            $(
                #[test]
                fn $case() {
                    $crate::run_store_case::<super::StoreSuiteFixture>(|store| {
                        ::std::boxed::Box::pin(async move { $crate::store::$module::$case(&store).await })
                    });
                }
            )*
        }
    )*};
}

#[doc(hidden)]
#[macro_export]
macro_rules! __queue_tests {
    ($($module:ident { $($case:ident)* })*) => {$(
        mod $module {
            $(
                #[test]
                fn $case() {
                    $crate::run_queue_case::<super::QueueSuiteFixture>(|store| {
                        ::std::boxed::Box::pin(async move { $crate::store::$module::$case(&store).await })
                    });
                }
            )*
        }
    )*};
}

#[doc(hidden)]
#[macro_export]
macro_rules! __migration_tests {
    ($($case:ident)*) => {
        mod migrate {
            $(
                #[test]
                fn $case() {
                    $crate::run_migration_case::<super::MigrationSuiteFixture>(|database| {
                        ::std::boxed::Box::pin(async move { $crate::store::migrate::$case(&database).await })
                    });
                }
            )*
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __cache_tests {
    ($($module:ident { $($case:ident)* })*) => {$(
        mod $module {
            $(
                #[test]
                fn $case() {
                    $crate::run_cache_case::<super::CacheSuiteFixture>(|cache| {
                        ::std::boxed::Box::pin(async move { $crate::cache::$module::$case(&cache).await })
                    });
                }
            )*
        }
    )*};
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    /// The names in a list of cases, as the text of the module that holds the list.
    fn listed<'a>(list: &'a str, module: &str) -> BTreeSet<&'a str> {
        let (_, cases) = list.split_once(&format!("            {module} {{\n")).expect("the module is in the list");
        let (cases, _) = cases.split_once('}').expect("the module's list ends");
        cases.split_whitespace().collect()
    }

    fn written(source: &str) -> BTreeSet<&str> {
        let names = source.lines().filter_map(|line| line.strip_prefix("pub async fn "));
        names.map(|rest| rest.split(['(', '<']).next().unwrap_or(rest)).collect()
    }

    /// A case that is in no list would pass by never being run.
    #[test]
    fn every_case_that_is_written_is_in_the_list() {
        macro_rules! check {
            ($folder:literal: $($module:literal)*) => {$(
                let source = include_str!(concat!($folder, "/", $module, ".rs"));
                assert_eq!(listed(include_str!(concat!($folder, "/mod.rs")), $module), written(source), $module);
            )*};
        }
        check!("store": "batch" "changes" "consume" "delete" "filter" "history" "insert" "list" "purge_clicks"
            "purge_expired" "read" "record" "retry" "stats" "update");
        let queues =
            include_str!("store/mod.rs").split_once("macro_rules! __queue_cases").expect("queues have a list").1;
        assert_eq!(listed(queues, "record"), written(include_str!("store/record.rs")), "what a queue is given");
        check!("cache": "engine" "entry" "forget" "invalidate" "lease" "position" "race");
    }

    #[test]
    fn the_readme_shows_the_cache_that_passes() {
        let (_, tested) = include_str!("../tests/custom_cache.rs").split_once("\n\n").expect("a file behind its title");
        assert!(include_str!("../README.md").contains(tested), "the README shows another cache than the test");
    }
}
