//! What the client reads of a broker, without a socket, for fuzzing.

use crate::cluster::PARTITIONS;
pub use crate::fetch::fuzz::{Shape, batches, fetch_answer};
use bytes::Bytes;
use kafka_protocol::messages::{
    AddPartitionsToTxnResponse, ApiVersionsResponse, CreateTopicsResponse, DeleteTopicsResponse, EndTxnResponse,
    FindCoordinatorResponse, InitProducerIdResponse, ListOffsetsResponse, MetadataResponse, OffsetCommitResponse,
    OffsetFetchResponse, ProduceResponse, SaslAuthenticateResponse, TxnOffsetCommitResponse,
};
use kafka_protocol::protocol::{Decodable, Message, VersionRange};
use std::fmt::Debug;
use tidemill_wire::Bounds;

/// Decodes an answer other than one to Fetch, by a number for its kind. Returns it as text; `None` if it does not decode.
pub fn answer(kind: u8, version: i16, body: &[u8]) -> Option<String> {
    match kind % 14 {
        0 => decoded::<MetadataResponse>(version, body, PARTITIONS),
        1 => decoded::<ListOffsetsResponse>(version, body, PARTITIONS),
        2 => decoded::<OffsetCommitResponse>(version, body, PARTITIONS),
        3 => decoded::<OffsetFetchResponse>(version, body, Bounds::PARTITIONS),
        4 => decoded::<AddPartitionsToTxnResponse>(version, body, Bounds::PARTITIONS),
        5 => decoded::<TxnOffsetCommitResponse>(version, body, Bounds::PARTITIONS),
        6 => decoded::<ProduceResponse>(version, body, Bounds::NAMES),
        7 => decoded::<InitProducerIdResponse>(version, body, Bounds::NAMES),
        8 => decoded::<FindCoordinatorResponse>(version, body, Bounds::NAMES),
        9 => decoded::<EndTxnResponse>(version, body, Bounds::NAMES),
        10 => decoded::<CreateTopicsResponse>(version, body, Bounds::NAMES),
        11 => decoded::<DeleteTopicsResponse>(version, body, Bounds::NAMES),
        12 => decoded::<ApiVersionsResponse>(version, body, Bounds::NAMES),
        _ => decoded::<SaslAuthenticateResponse>(version, body, Bounds::MEMBERS),
    }
}

fn decoded<T: Decodable + Message + Debug>(version: i16, body: &[u8], bounds: Bounds) -> Option<String> {
    let VersionRange { min, max } = T::VERSIONS;
    let version = min + version.rem_euclid(max - min + 1);
    let message: T = tidemill_wire::decode(&mut Bytes::copy_from_slice(body), version, bounds)?;
    Some(format!("{message:?}"))
}
