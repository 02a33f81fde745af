#![doc = include_str!("../README.md")]

mod click;
mod clock;
mod code;
mod code_policy;
mod copy;
mod delivery;
mod domain;
mod engine;
mod error;
mod id;
mod link;
mod memory_store;
pub mod millis;
mod recorder;
mod target;
mod traits;
mod url_hash;
mod url_policy;

pub use chrono;
pub use uuid::Uuid;

pub use click::{Click, MAX_CLICK_TEXT_BYTES};
pub use clock::{Clock, ManualClock, SystemClock, Tick, next_millis, whole_millis};
pub use code::{Code, MAX_CODE_BYTES, MAX_KEY_BYTES};
pub use code_policy::{CodeGenerator, CodePolicy, Folding};
pub use copy::{Copied, CopyProgress, Skipped, copy_clicks, copy_links};
pub use delivery::{Backoff, DeadLetter, Delivered, Delivery};
pub use domain::{Domain, MAX_DOMAIN_BYTES};
pub use engine::{
    Builder, Config, Event, Events, LinkPatch, Linkly, Location, Metrics, NewLink, NoCache, Report, Resolution, Visit,
    VisitContext,
};
pub use error::{Error, Result, Source};
pub use id::{derived_id, first_id, new_id, time_of};
pub use link::{Link, MAX_METADATA_BYTES, MAX_TAG_BYTES, MAX_TAGS, MAX_TITLE_BYTES, Metadata, RedirectStatus};
pub use memory_store::MemoryStore;
pub use recorder::{
    Acknowledge, Capture, Overflow, Recorder, RecorderConfig, RecorderMetrics, RecorderReport, VisitorHash, is_bot,
};
pub use target::{Activity, Target, TargetParts};
pub use traits::*;
pub use url_hash::url_hash;
pub use url_policy::{MAX_URL_BYTES, UrlPolicy};
