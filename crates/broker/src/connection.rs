//! The connection of one client. Its own thread reads frames and writes the answers in order.
//!
//! A malformed or oversized frame ends the connection and affects nothing else.

use crate::api::{self, Client, Shared};
use crate::partition::Signal;
use bytes::{Buf, Bytes};
use std::io::{self, BufRead, BufReader, Read};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tidemill_wire::Bounds;

/// Apache Kafka's `connections.max.idle.ms`.
const IDLE_TIMEOUT: Duration = Duration::from_secs(600);
/// The buffer of the last frame is freed if no frame follows within this time.
const KEPT_FOR: Duration = Duration::from_secs(1);
/// A client that reads nothing for this long is disconnected.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
const READ_BUFFER_BYTES: usize = 8 << 10;
/// An idle connection keeps at most this many bytes of buffers.
const KEPT_WHEN_IDLE_BYTES: usize = 16 << 10;
/// Larger buffers are not reused for the next frame.
const KEPT_BYTES: usize = 4 << 20;
/// Each frame begins with the API key of the request, in this many bytes.
const KEY_BYTES: usize = 2;

/// Serves a client until it disconnects, misbehaves, or the broker stops.
pub(crate) fn serve(shared: &Shared, stopping: &AtomicBool, stream: &TcpStream, signal: Arc<Signal>) {
    // Any error ends the connection; the client connects again.
    let _ = serve_frames(shared, stopping, stream, signal);
}

fn serve_frames(shared: &Shared, stopping: &AtomicBool, stream: &TcpStream, signal: Arc<Signal>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(IDLE_TIMEOUT))?;
    stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
    let client = Client { shared, stopping, local: stream.local_addr()?, peer: stream.peer_addr()?, signal };
    let mut reader = BufReader::with_capacity(READ_BUFFER_BYTES, stream);
    let mut frame_room = Vec::new();
    while !stopping.load(Ordering::SeqCst) {
        if frame_room.capacity() > KEPT_WHEN_IDLE_BYTES {
            frame_room = keep_for_the_next(&mut reader, frame_room)?;
        }
        let frame = read_frame(&mut reader, frame_room)?;
        let Ok(answer) = api::answer(&client, frame.clone()) else { return Ok(()) };
        if let Some(answer) = answer {
            answer.send(&mut &*stream)?;
        }
        frame_room = reclaim(frame);
    }
    Ok(())
}

/// Waits a moment for the next frame. Frees the buffer if none comes.
fn keep_for_the_next(reader: &mut BufReader<&TcpStream>, buffer: Vec<u8>) -> io::Result<Vec<u8>> {
    if !reader.buffer().is_empty() {
        return Ok(buffer);
    }
    reader.get_ref().set_read_timeout(Some(KEPT_FOR))?;
    let came = match reader.fill_buf() {
        Ok(_) => true,
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => false,
        Err(error) => return Err(error),
    };
    reader.get_ref().set_read_timeout(Some(IDLE_TIMEOUT))?;
    Ok(if came { buffer } else { Vec::new() })
}

/// Reads one frame into `buffer`. The API key limits the length.
fn read_frame(reader: &mut impl Read, mut buffer: Vec<u8>) -> io::Result<Bytes> {
    let mut length = [0; 4];
    reader.read_exact(&mut length)?;
    let length = usize::try_from(i32::from_be_bytes(length)).map_err(|_| io::ErrorKind::InvalidData)?;
    let mut key = [0; KEY_BYTES];
    if length < KEY_BYTES {
        return Err(io::ErrorKind::InvalidData.into());
    }
    reader.read_exact(&mut key)?;
    let bounds: Bounds = api::bounds(i16::from_be_bytes(key)).ok_or(io::ErrorKind::InvalidData)?;
    if length > bounds.frame_bytes {
        return Err(io::ErrorKind::InvalidData.into());
    }
    buffer.reserve(length);
    buffer.extend(key);
    if reader.take((length - KEY_BYTES) as u64).read_to_end(&mut buffer)? < length - KEY_BYTES {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Bytes::from(buffer))
}

/// Takes back the buffer of a frame that is no longer referenced, and empties it.
fn reclaim(mut frame: Bytes) -> Vec<u8> {
    let bytes = frame.len();
    frame.advance(bytes);
    let buffer = Vec::from(frame);
    if buffer.capacity() <= KEPT_BYTES { buffer } else { Vec::new() }
}
