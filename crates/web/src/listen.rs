//! Connections of browsers: so many at a time, none for ever. Knows no pages.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use crate::TlsFn;

/// Connections at the same time; further ones wait in the system's queue. Browsers must not use up the file descriptors
/// that gateways need.
const CONNECTIONS_MAX: u32 = 512;
/// How long a request's head may take, and how long a connection may be idle between requests.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a TLS handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of a request's head; addresses with filters stay far below.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Pause after the system refused a connection, which it does when file descriptors run out.
const REFUSED_PAUSE: Duration = Duration::from_millis(200);
/// How long requests may take to end when the program stops.
const STOP_PATIENCE: Duration = Duration::from_secs(3);

/// Serves until `shutdown` is `true` or its sender is gone.
pub async fn serve(
    listener: TcpListener,
    tls: Option<TlsFn>,
    app: Router,
    mut shutdown: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX as usize));
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &places) => accepted,
            // An error means that the sender is gone: the program ends.
            _ = shutdown.wait_for(|ending| *ending) => break,
        };
        if let Some((stream, peer, place)) = accepted {
            let app = app.clone().layer(Extension(ConnectInfo(peer)));
            let (tls, ending) = (tls.clone(), shutdown.clone());
            tokio::spawn(async move {
                match tls {
                    None => serve_one(stream, app, ending).await,
                    Some(tls) => {
                        let handshake = TlsAcceptor::from(tls()).accept(stream);
                        // A browser that refuses our certificate is told so by itself.
                        if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await {
                            serve_one(stream, app, ending).await;
                        }
                    }
                }
                drop(place);
            });
        }
    }
    drop(listener);
    // All places are free when the last connection has ended.
    let _ = tokio::time::timeout(STOP_PATIENCE, places.acquire_many(CONNECTIONS_MAX)).await;
}

/// Serves one connection until its end, or until its request is finished after the program was told to stop.
async fn serve_one<S>(stream: S, app: Router, mut ending: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(app))
        .with_upgrades();
    let mut connection = pin!(connection);
    let is_ending = tokio::select! {
        // A browser that goes away in the middle is no failure of ours.
        _ = &mut connection => false,
        _ = ending.wait_for(|ending| *ending) => true,
    };
    if is_ending {
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    }
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
