//! One client's connection: frames in, answers out, one after the other, on a thread of its own.
//!
//! A malformed or oversize frame ends the connection, and only that: nothing of it reaches the rest of the broker.

use crate::api::{self, Client, Shared};
use crate::partition::Signal;
use bytes::{Buf, Bytes};
use std::io::{self, BufReader, Read};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// As Apache Kafka's `socket.request.max.bytes`.
const FRAME_BYTES_MAX: usize = 100 << 20;
/// As Apache Kafka's `connections.max.idle.ms`.
const IDLE_TIMEOUT: Duration = Duration::from_secs(600);
/// A client that takes nothing for so long is gone.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
const READ_BUFFER_BYTES: usize = 8 << 10;
/// Memory over this is not kept from one frame to the next.
const KEPT_BYTES: usize = 4 << 20;

/// Serves a client until it goes, misbehaves or the broker stops.
pub(crate) fn serve(shared: &Shared, stopping: &AtomicBool, stream: TcpStream, signal: Arc<Signal>) {
    // Whatever goes wrong on a connection ends that connection; the client connects again.
    let _ = serve_frames(shared, stopping, &stream, signal);
}

fn serve_frames(shared: &Shared, stopping: &AtomicBool, stream: &TcpStream, signal: Arc<Signal>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(IDLE_TIMEOUT))?;
    stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
    let client = Client { shared, stopping, local: stream.local_addr()?, peer: stream.peer_addr()?, signal };
    let mut reader = BufReader::with_capacity(READ_BUFFER_BYTES, stream);
    let (mut frame_room, mut answer_room) = (Vec::new(), Vec::new());
    while !stopping.load(Ordering::SeqCst) {
        let frame = read_frame(&mut reader, frame_room)?;
        let Ok(answer) = api::answer(&client, frame.clone()) else { return Ok(()) };
        if let Some(answer) = answer {
            answer.send(&mut &*stream, &mut answer_room)?;
        }
        frame_room = reclaim(frame);
    }
    Ok(())
}

/// Reads one frame into `room`.
fn read_frame(reader: &mut impl Read, mut room: Vec<u8>) -> io::Result<Bytes> {
    let mut length = [0; 4];
    reader.read_exact(&mut length)?;
    let length = usize::try_from(i32::from_be_bytes(length)).ok().filter(|length| *length <= FRAME_BYTES_MAX);
    let length = length.ok_or(io::ErrorKind::InvalidData)?;
    room.reserve(length);
    if reader.take(length as u64).read_to_end(&mut room)? < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Bytes::from(room))
}

/// The memory of a frame that nobody refers to any more, empty.
fn reclaim(mut frame: Bytes) -> Vec<u8> {
    let bytes = frame.len();
    frame.advance(bytes);
    let room = Vec::from(frame);
    if room.capacity() <= KEPT_BYTES { room } else { Vec::new() }
}
