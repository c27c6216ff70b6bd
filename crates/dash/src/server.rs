//! The dashboard's thread: accepts, serves, stops. It sleeps without requests.

use crate::hub::Hub;
use crate::routes;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::future::{Future, poll_fn};
use std::net::TcpListener;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tidemill_model::Result;
use tokio::sync::{Semaphore, oneshot};

/// Most open connections; further ones wait in the system's queue. A page needs two.
const CONNECTIONS_MAX: usize = 64;

/// A client that sends no complete request within this time is dropped.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// Pause after a failed accept, usually for lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Does everything that can fail. The returned function serves until the other end of `stopped` is dropped, then closes
/// every connection.
pub fn prepare(
    listener: TcpListener,
    hub: Arc<Hub>,
    stopped: oneshot::Receiver<()>,
) -> Result<impl FnOnce() -> Result<()> + Send> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    listener.set_nonblocking(true)?;
    let listener = {
        let _context = runtime.enter();
        tokio::net::TcpListener::from_std(listener)?
    };
    Ok(move || {
        // On this thread, not as a task: the runtime would swallow a panic of the loop.
        runtime.block_on(async {
            let (mut accept, mut stopped) = (pin!(accept(listener, hub)), pin!(stopped));
            poll_fn(|context| match stopped.as_mut().poll(context) {
                // Also if the sender was dropped: the dashboard is gone.
                Poll::Ready(_) => Poll::Ready(()),
                Poll::Pending => accept.as_mut().poll(context),
            })
            .await;
        });
        // Dropping the runtime drops every connection's task and socket.
        Ok(())
    })
}

async fn accept(listener: tokio::net::TcpListener, hub: Arc<Hub>) {
    let free = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let place = free.clone().acquire_owned().await.expect("the semaphore is never closed");
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let hub = hub.clone();
        tokio::spawn(async move {
            let _place = place;
            let service = service_fn(move |request| routes::answer(request, hub.clone()));
            // An error means that the client went away or did not speak HTTP: nothing to report.
            let _ = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}
