//! Connections of browsers: so many at a time, none for ever. Knows no pages.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// Connections at the same time; further ones wait in the system's queue. Browsers must not use up the file descriptors
/// that gateways need.
const CONNECTIONS_MAX: usize = 512;
/// How long a request's head may take, and how long a connection may be idle between requests.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// Bytes of a request's head; addresses with filters stay far below.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Pause after the system refused a connection, which it does when file descriptors run out.
const REFUSED_PAUSE: Duration = Duration::from_millis(200);
/// How long requests may take to end when the program stops.
const STOP_PATIENCE: Duration = Duration::from_secs(3);

/// Serves until `shutdown` is `true` or its sender is gone.
pub async fn serve(listener: TcpListener, app: Router, mut shutdown: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &places) => accepted,
            // An error means that the sender is gone: the program ends.
            _ = shutdown.wait_for(|ending| *ending) => break,
        };
        if let Some((stream, peer, place)) = accepted {
            let app = app.clone().layer(Extension(ConnectInfo(peer)));
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .max_buf_size(HEAD_BYTES_MAX)
                .serve_connection(TokioIo::new(stream), TowerToHyperService::new(app));
            let connection = graceful.watch(connection);
            tokio::spawn(async move {
                // A browser that goes away in the middle is no failure of ours.
                let _ = connection.await;
                drop(place);
            });
        }
    }
    drop(listener);
    let _ = tokio::time::timeout(STOP_PATIENCE, graceful.shutdown()).await;
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = places.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => Some((stream, peer, place)),
        Err(_) => {
            tokio::time::sleep(REFUSED_PAUSE).await;
            None
        }
    }
}
