//! `tidemill broker`: runs the embedded broker until Ctrl-C.

use crate::args::BrokerOptions;
use crate::signals;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::mpsc::channel;
use std::time::Instant;
use tidemill_broker::{Broker, BrokerConfig, Durability, StartError};
use tidemill_model::{Error, Result};
use tidemill_os::output;

/// Kafka's default port, on loopback.
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9092);

pub(crate) fn run(options: &BrokerOptions) -> Result<()> {
    let config = BrokerConfig {
        listen: options.listen.unwrap_or(LISTEN),
        advertised: options.advertised.clone(),
        auto_create_topics: !options.no_auto_create,
        dir: options.dir.clone(),
        default_partitions: options.partitions,
        retention_bytes: options.retention_bytes,
        retention_age: Some(options.retention),
        offsets_retention: options.offsets_retention,
        compaction_interval: options.compaction_interval,
        durability: if options.fsync { Durability::Disk } else { Durability::PageCache },
        max_connections: options.connections_max as usize,
        ..BrokerConfig::default()
    };
    let (stop, stopped) = channel();
    signals::on_interrupt(move || {
        // If nobody waits, the process is ending.
        let _ = stop.send(());
    })?;
    // A port given by the user is used as it is.
    let broker = if options.listen.is_some() { Broker::start(config).map_err(told)? } else { start_near(config)? };
    output::line(&format!("broker on {} · data in {} · Ctrl-C ends it", broker.local_addr(), options.dir.display()));
    // An error means that no signal can come any more, which also ends the wait.
    let _ = stopped.recv();
    let begin = Instant::now();
    broker.shutdown();
    output::line(&format!("broker ended after {} ms", begin.elapsed().as_millis()));
    Ok(())
}

/// Starts a broker at [`LISTEN`], or on the next free port.
///
/// # Errors
/// User: the directory belongs to another broker. External: no port is free, the directory cannot be used.
pub(crate) fn start_near(config: BrokerConfig) -> Result<Broker> {
    const PORTS_TRIED: u16 = 100;
    for port in (LISTEN.port()..).take(PORTS_TRIED.into()) {
        match Broker::start(BrokerConfig { listen: SocketAddr::new(LISTEN.ip(), port), ..config.clone() }) {
            Err(StartError::PortTaken(_)) => {}
            other => return other.map_err(told),
        }
    }
    Err(Error::external(format!("no port from {LISTEN} up is free; give one with --listen")))
}

fn told(error: StartError) -> Error {
    match error {
        StartError::DirTaken(_) => Error::user(error.to_string()),
        StartError::PortTaken(_) => Error::user(format!("{error}; stop that, or give another --listen")),
        error => Error::external(error.to_string()),
    }
}
