//! Connections: a pool of them on the primary, and another on a replica where there is one.
//!
//! The driver tries the hosts of a URL in turn, but its timeout ends with the socket's connection: a server
//! that is stopped (SIGSTOP, a frozen disk) lets the kernel take the connection and then says nothing, and
//! the hosts behind it are never tried. So each host is tried here, with a time for all that belongs to it:
//! name, socket, TLS, password, and the question whether it writes.
//!
//! Everything that waits or runs for a connection does so on the runtime that made the pool: the next call may
//! come from another one, which ends earlier (Actix has one for each worker).
//!
//! A connection is not asked whether it lives before it is handed out: the ping costs as much as the read.
//! One that was closed is seen, and one that fails is discarded and the call sent again where that is
//! safe (see [`call`](crate::call)).

use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use deadpool_postgres::{Connect, Manager, ManagerConfig, Pool, QueueMode, RecyclingMethod, WeakPool};
use linkly_core::{Error, Result};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_postgres::config::{Host, LoadBalanceHosts, SslMode};
use tokio_postgres::{Client, Config, NoTls};

use crate::config::{PostgresConfig, Statements};
use crate::error;

/// After how long the kernel gives a connection up whose peer acknowledges nothing: a machine that is gone.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(10);
/// When a connection that nothing is heard of is probed first, and then how often.
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(15), Duration::from_secs(5), 3);

/// Opens a pool on the servers of `url`. Nothing is connected yet; unused connections are closed by a task.
pub(crate) fn open(url: &str, config: &PostgresConfig) -> Result<Pool> {
    let parsed: Config = url.parse().map_err(|error: tokio_postgres::Error| {
        // The error's own text may quote the URL, and with it the password.
        let _ = error;
        Error::invalid("url", "it is not postgres://user:password@host:port/database")
    })?;
    let hosts = Hosts::of(&with_settings(parsed, config), config)?;
    let manager =
        Manager::from_connect(Config::new(), hosts, ManagerConfig { recycling_method: RecyclingMethod::Fast });
    // The last one back is the next one out, so that what is not needed falls idle.
    let pool = Pool::builder(manager).max_size(config.pool.max).queue_mode(QueueMode::Lifo).build();
    let pool = pool.map_err(|error| error::failed(format!("the pool cannot be built: {error}")))?;
    if config.pool.idle_timeout_ms > 0 {
        tokio::spawn(close_idle(pool.weak(), Duration::from_millis(config.pool.idle_timeout_ms)));
    }
    Ok(pool)
}

async fn close_idle(pool: WeakPool, timeout: Duration) {
    let mut ticks = tokio::time::interval((timeout / 2).max(Duration::from_millis(50)));
    loop {
        ticks.tick().await;
        let Some(pool) = pool.upgrade().filter(|pool: &Pool| !pool.is_closed()) else {
            return;
        };
        let _ = pool.retain(|client, metrics| !client.is_closed() && metrics.last_used() < timeout);
    }
}

/// What the URL leaves open.
fn with_settings(mut parsed: Config, config: &PostgresConfig) -> Config {
    if parsed.get_application_name().is_none() {
        parsed.application_name("linkly");
    }
    if parsed.get_tcp_user_timeout().is_none() {
        parsed.tcp_user_timeout(TCP_USER_TIMEOUT);
    }
    if parsed.get_keepalives_interval().is_none() {
        parsed.keepalives_idle(KEEPALIVE.0).keepalives_interval(KEEPALIVE.1).keepalives_retries(KEEPALIVE.2);
    }
    // A pooler in transaction mode takes no settings of a session.
    if config.statements == Statements::Prepared {
        let given = parsed.get_options().unwrap_or_default();
        let options = format!("-c statement_timeout={} {given}", config.statement_timeout_ms);
        parsed.options(options.trim_end());
    }
    parsed
}

/// The hosts of a URL, each as a configuration of its own.
struct Hosts {
    hosts: Vec<Config>,
    timeout: Duration,
    runtime: Handle,
    tls: Tls,
}

impl Hosts {
    fn of(parsed: &Config, config: &PostgresConfig) -> Result<Self> {
        let tls = Tls::new(parsed.get_ssl_mode(), config)?;
        let hosts = split(parsed)?;
        Ok(Self {
            hosts,
            timeout: Duration::from_millis(config.pool.connect_timeout_ms),
            runtime: Handle::current(),
            tls,
        })
    }
}

impl Hosts {
    /// The hosts as they stand in the URL, or from any one on where `load_balance_hosts=random` is asked for.
    fn in_order(&self) -> impl Iterator<Item = &Config> {
        let is_random = self.hosts.iter().any(|host| host.get_load_balance_hosts() == LoadBalanceHosts::Random);
        let first = if is_random { RandomState::new().hash_one(()) } else { 0 };
        let first = usize::try_from(first % self.hosts.len() as u64).unwrap_or(0);
        self.hosts.iter().cycle().skip(first).take(self.hosts.len())
    }
}

type Connecting<'a> =
    Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), tokio_postgres::Error>> + Send + 'a>>;

impl Connect for Hosts {
    fn connect(&self, _: &Config) -> Connecting<'_> {
        Box::pin(async move {
            let mut failed = None;
            for host in self.in_order() {
                let connecting = connect(host.clone(), self.tls.clone(), self.timeout);
                // Dropped with its caller, and not left to itself.
                let mut task = Task(self.runtime.spawn(connecting));
                match (&mut task.0).await {
                    Ok(Ok(connected)) => return Ok(connected),
                    Ok(Err(error)) => failed = Some(error),
                    // The runtime is shutting down.
                    Err(_) => {}
                }
            }
            match failed {
                Some(error) => Err(error),
                None => Err(io_error(io::Error::other("the runtime of the pool has ended")).await),
            }
        })
    }
}

/// A task that ends with its handle.
struct Task<T>(JoinHandle<T>);

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn connect(host: Config, tls: Tls, timeout: Duration) -> Result<(Client, JoinHandle<()>), tokio_postgres::Error> {
    let connecting = async {
        match tls {
            Tls::No => {
                let (client, connection) = host.connect(NoTls).await?;
                Ok((client, tokio::spawn(run(connection))))
            }
            #[cfg(feature = "tls")]
            Tls::Rustls(connector) => {
                let (client, connection) = host.connect(connector).await?;
                Ok((client, tokio::spawn(run(connection))))
            }
        }
    };
    match tokio::time::timeout(timeout, connecting).await {
        Ok(connected) => connected,
        Err(_) => {
            let reason = "a host did not let a connection in within pool.connect_timeout_ms";
            Err(io_error(io::Error::new(io::ErrorKind::TimedOut, reason)).await)
        }
    }
}

/// Runs a connection to its end.
async fn run(connection: impl Future<Output = Result<(), tokio_postgres::Error>>) {
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection to Postgres ended");
    }
}

/// How a connection is encrypted.
#[derive(Clone)]
enum Tls {
    No,
    #[cfg(feature = "tls")]
    Rustls(tokio_postgres_rustls::MakeRustlsConnect),
}

impl Tls {
    #[cfg(feature = "tls")]
    fn new(mode: SslMode, config: &PostgresConfig) -> Result<Self> {
        if mode == SslMode::Disable {
            return Ok(Self::No);
        }
        crate::tls::connector(config.tls_root_certificate.as_deref()).map(Self::Rustls)
    }

    #[cfg(not(feature = "tls"))]
    fn new(mode: SslMode, config: &PostgresConfig) -> Result<Self> {
        if mode == SslMode::Require || config.tls_root_certificate.is_some() {
            return Err(Error::invalid("url", "TLS is asked for: build linkly-store-postgres with the feature `tls`"));
        }
        Ok(Self::No)
    }
}

/// A configuration for each host, with the same settings.
fn split(parsed: &Config) -> Result<Vec<Config>> {
    let (hosts, addresses, ports) = (parsed.get_hosts(), parsed.get_hostaddrs(), parsed.get_ports());
    let count = hosts.len().max(addresses.len());
    if count == 0 {
        return Err(Error::invalid("url", "it names no host"));
    }
    if (!hosts.is_empty() && !addresses.is_empty() && hosts.len() != addresses.len())
        || (ports.len() > 1 && ports.len() != count)
    {
        return Err(Error::invalid("url", "it has not as many ports or addresses as hosts"));
    }
    let of_host = |number: usize| {
        let mut config = settings_of(parsed);
        match hosts.get(number) {
            Some(Host::Tcp(host)) => {
                config.host(host);
            }
            #[cfg(unix)]
            Some(Host::Unix(path)) => {
                config.host_path(path);
            }
            None => {}
        }
        if let Some(address) = addresses.get(number) {
            config.hostaddr(*address);
        }
        config.port(ports.get(number).or(ports.first()).copied().unwrap_or(5_432));
        config
    };
    Ok((0..count).map(of_host).collect())
}

/// All but the hosts.
fn settings_of(parsed: &Config) -> Config {
    let mut config = Config::new();
    if let Some(user) = parsed.get_user() {
        config.user(user);
    }
    if let Some(password) = parsed.get_password() {
        config.password(password);
    }
    if let Some(database) = parsed.get_dbname() {
        config.dbname(database);
    }
    if let Some(options) = parsed.get_options() {
        config.options(options);
    }
    if let Some(name) = parsed.get_application_name() {
        config.application_name(name);
    }
    if let Some(timeout) = parsed.get_connect_timeout() {
        config.connect_timeout(*timeout);
    }
    if let Some(timeout) = parsed.get_tcp_user_timeout() {
        config.tcp_user_timeout(*timeout);
    }
    if let Some(interval) = parsed.get_keepalives_interval() {
        config.keepalives_interval(interval);
    }
    if let Some(retries) = parsed.get_keepalives_retries() {
        config.keepalives_retries(retries);
    }
    config
        .ssl_mode(parsed.get_ssl_mode())
        .ssl_negotiation(parsed.get_ssl_negotiation())
        .keepalives(parsed.get_keepalives())
        .keepalives_idle(parsed.get_keepalives_idle())
        .target_session_attrs(parsed.get_target_session_attrs())
        .channel_binding(parsed.get_channel_binding())
        .load_balance_hosts(parsed.get_load_balance_hosts());
    config
}

/// The driver's error for an error of a socket. It can be had in no other way: the driver makes its errors
/// itself, out of what its stream does.
async fn io_error(error: io::Error) -> tokio_postgres::Error {
    match Config::new().user("linkly").connect_raw(Failing(Some(error)), NoTls).await {
        Err(error) => error,
        Ok(_) => unreachable!("a stream that fails connects to nothing"),
    }
}

/// A stream that fails with this.
struct Failing(Option<io::Error>);

impl Failing {
    fn fail<T>(&mut self) -> Poll<io::Result<T>> {
        Poll::Ready(Err(self.0.take().unwrap_or_else(|| io::ErrorKind::BrokenPipe.into())))
    }
}

impl AsyncRead for Failing {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.fail()
    }
}

impl AsyncWrite for Failing {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        self.fail()
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.fail()
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
