//! One client's connection: frames in, answers out, one after the other, on a thread of its own.
//!
//! A malformed or oversize frame ends the connection, and only that: nothing of it reaches the rest of the broker.

use crate::api::{self, Client, Shared};
use crate::guard::Bounds;
use crate::partition::Signal;
use bytes::{Buf, Bytes};
use std::io::{self, BufRead, BufReader, Read};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// As Apache Kafka's `connections.max.idle.ms`.
const IDLE_TIMEOUT: Duration = Duration::from_secs(600);
/// Memory of the last frame is given back when the next does not follow within this time.
const KEPT_FOR: Duration = Duration::from_secs(1);
/// A client that takes nothing for so long is gone.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
const READ_BUFFER_BYTES: usize = 8 << 10;
/// An idle connection keeps at most so much memory of its frames.
const KEPT_WHEN_IDLE_BYTES: usize = 16 << 10;
/// Memory over this is not kept from one frame to the next.
const KEPT_BYTES: usize = 4 << 20;
/// The request's kind, with which each frame begins.
const KEY_BYTES: usize = 2;

/// Serves a client until it goes, misbehaves or the broker stops.
pub(crate) fn serve(shared: &Shared, stopping: &AtomicBool, stream: &TcpStream, signal: Arc<Signal>) {
    // Whatever goes wrong on a connection ends that connection; the client connects again.
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

/// Waits a moment for the next frame; gives the memory back when none comes.
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

/// Reads one frame into `buffer`. How long it may be depends on what it asks for.
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

/// The memory of a frame that nobody refers to any more, empty.
fn reclaim(mut frame: Bytes) -> Vec<u8> {
    let bytes = frame.len();
    frame.advance(bytes);
    let buffer = Vec::from(frame);
    if buffer.capacity() <= KEPT_BYTES { buffer } else { Vec::new() }
}
