//! The app of the Axum examples, which is the same whatever its links are stored in.

mod api;

use std::error::Error;
use std::future::{Future, IntoFuture};
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt;
use linkly_core::Linkly;
use tokio::net::TcpListener;
use tracing_subscriber::filter::LevelFilter;

/// How long open requests may take after a signal, and how long queued clicks may after them.
pub(crate) const GRACE: Duration = Duration::from_secs(10);

/// A setting from the environment.
pub(crate) fn setting(name: &str, default: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| default.to_owned())
}

/// Prints what the library logs.
pub(crate) fn log() -> Result<(), Box<dyn Error>> {
    let level: LevelFilter = setting("RUST_LOG", "warn").parse()?;
    tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).init();
    Ok(())
}

/// Serves until a signal, then writes the clicks that are on their way.
pub(crate) async fn run(linkly: Linkly) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind(setting("LINKLY_ADDR", "127.0.0.1:3111")).await?;
    println!("listening on http://{}", listener.local_addr()?);
    serve(listener, api::router(linkly.clone())).await?;

    let report = linkly.shutdown(GRACE).await;
    println!("stopped: {} clicks written, {} not", report.clicks.written, report.clicks.not_written);
    Ok(())
}

/// Serves until Ctrl-C or SIGTERM, then lets open requests finish, for a while.
async fn serve(listener: TcpListener, app: Router) -> std::io::Result<()> {
    let signal = signal()?;
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    let (stopping, mut stopped) = tokio::sync::watch::channel(());
    let server = axum::serve(listener, app).with_graceful_shutdown(async move {
        signal.await;
        drop(stopping);
    });
    let deadline = async move {
        let _ = stopped.changed().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        result = server.into_future() => result,
        () = deadline => Ok(()),
    }
}

/// Ends with Ctrl-C or SIGTERM.
fn signal() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
