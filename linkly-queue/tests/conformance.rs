//! The suite of queues: what a store promises of recording holds with a queue in front of it.

#![cfg(any(feature = "spool", feature = "redis"))]

use std::sync::Arc;
use std::time::Duration;

use linkly_conformance::{QueueFixture, queue_suite};
use linkly_core::ClickSink;

#[cfg(feature = "spool")]
mod spool {
    use linkly_queue::{Spool, SpoolConfig};

    use super::{Arc, ClickSink, Duration, QueueFixture, queue_suite};

    struct Fixture {
        spool: Spool,
        _folder: tempfile::TempDir,
    }

    impl QueueFixture for Fixture {
        type Queue = Spool;

        async fn open(sink: Arc<dyn ClickSink>) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let config = SpoolConfig::default().with_interval(Duration::ZERO);
            let spool = Spool::open(folder.path().join("clicks.spool"), sink, config).await.unwrap();
            Self { spool, _folder: folder }
        }

        fn queue(&self) -> &Spool {
            &self.spool
        }

        async fn flush(&self) {
            self.spool.flush().await.unwrap();
        }
    }

    queue_suite!(Fixture);
}

#[cfg(feature = "redis")]
mod redis_stream {
    use linkly_queue::{RedisStream, StreamConfig, StreamWriters};
    use linkly_testkit::Redis;

    use super::{Arc, ClickSink, Duration, QueueFixture, queue_suite};

    struct Fixture {
        stream: RedisStream,
        _writers: StreamWriters,
    }

    impl QueueFixture for Fixture {
        type Queue = RedisStream;

        async fn open(sink: Arc<dyn ClickSink>) -> Self {
            let redis = Redis::shared();
            let config = StreamConfig::default()
                .with_prefix(redis.new_prefix())
                .with_interval(Duration::ZERO)
                .with_concurrency(2);
            let stream = RedisStream::open(redis.url(), config).unwrap();
            let writers = stream.deliver_to(sink).unwrap();
            Self { stream, _writers: writers }
        }

        fn queue(&self) -> &RedisStream {
            &self.stream
        }

        async fn flush(&self) {
            self.stream.flush().await.unwrap();
        }
    }

    queue_suite!(Fixture);
}
