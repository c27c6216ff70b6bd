//! The thread behind the dashboard: accept, serve, stop. It sleeps while nobody asks.

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

/// Connections at once; more wait in the system's queue. A page needs two.
const CONNECTIONS_MAX: usize = 64;

/// A client that sends no whole request for so long is dropped.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// After a failed accept (no file descriptors left, as a rule) the next try waits.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Makes everything that can fail; the function returned serves until the other end of `stopped` goes, then closes every connection.
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
        // On this thread, not as a task: a panic of the loop must not be swallowed by the runtime.
        runtime.block_on(async {
            let (mut accept, mut stopped) = (pin!(accept(listener, hub)), pin!(stopped));
            poll_fn(|context| match stopped.as_mut().poll(context) {
                // Also where the sender was dropped: the dashboard is gone.
                Poll::Ready(_) => Poll::Ready(()),
                Poll::Pending => accept.as_mut().poll(context),
            })
            .await;
        });
        // Dropping the runtime drops every connection's task, and with it its socket.
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
            // An error here is a client that went away or spoke no HTTP: nothing to tell anybody.
            let _ = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}
