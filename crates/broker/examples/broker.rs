//! A broker alone, for tests from outside: `broker ADDR DIR`. Prints the address that it listens on, and serves until
//! its standard input ends.

use std::io::Read;
use std::process::ExitCode;
use tidemill_broker::{Broker, BrokerConfig};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let mut next = |what: &str| arguments.next().unwrap_or_else(|| panic!("give {what}: broker ADDR DIR"));
    let listen = next("the address").parse().expect("an address is like 127.0.0.1:9092");
    let dir = next("the directory").into();
    let broker = match Broker::start(BrokerConfig { listen, dir, ..BrokerConfig::default() }) {
        Ok(broker) => broker,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    println!("{}", broker.local_addr());
    std::io::stdin().read_to_end(&mut Vec::new()).expect("standard input can be read");
    broker.shutdown();
    ExitCode::SUCCESS
}
