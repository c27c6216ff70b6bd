//! `tidemill broker`: the embedded broker alone, until Ctrl-C.

use crate::args::BrokerOptions;
use crate::signals;
use std::net::SocketAddr;
use std::sync::mpsc::channel;
use tidemill_broker::{Broker, BrokerConfig, Durability, StartError};
use tidemill_model::{Error, Result};

pub(crate) fn run(options: &BrokerOptions) -> Result<()> {
    let config = BrokerConfig {
        listen: options.listen,
        dir: options.dir.clone(),
        default_partitions: options.partitions,
        retention_bytes: options.retention_bytes,
        retention_age: Some(options.retention),
        durability: if options.fsync { Durability::Disk } else { Durability::PageCache },
        ..BrokerConfig::default()
    };
    let (stop, stopped) = channel();
    signals::on_interrupt(move || {
        // Nobody waits any more: the process is ending.
        let _ = stop.send(());
    })?;
    let broker = start_near(config)?;
    println!("broker on {} · data in {} · Ctrl-C ends it", broker.local_addr(), options.dir.display());
    // An error means that nobody can signal any more, which ends the wait just as well.
    let _ = stopped.recv();
    broker.shutdown();
    Ok(())
}

/// Starts a broker where it is told to, or on the next free port.
pub(crate) fn start_near(config: BrokerConfig) -> Result<Broker> {
    const PORTS_TRIED: u16 = 100;
    let asked = config.listen;
    for offset in 0..PORTS_TRIED {
        let Some(port) = asked.port().checked_add(offset) else { break };
        match Broker::start(BrokerConfig { listen: SocketAddr::new(asked.ip(), port), ..config.clone() }) {
            Err(StartError::PortTaken(_)) => {}
            Ok(broker) => return Ok(broker),
            Err(error @ StartError::DirTaken(_)) => return Err(Error::user(error.to_string())),
            Err(error) => return Err(Error::external(error.to_string())),
        }
    }
    Err(Error::external(format!("no free port from {asked} on; give another one with --listen")))
}
