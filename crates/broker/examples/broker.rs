//! A broker alone, for tests from outside: `broker ADDR DIR`. Prints the address that it listens on, and serves until
//! its standard input ends.

use std::io::Read;
use tidemill_broker::{Broker, BrokerConfig};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut next = |what: &str| arguments.next().unwrap_or_else(|| panic!("give {what}: broker ADDR DIR"));
    let listen = next("the address").parse().expect("an address is like 127.0.0.1:9092");
    let dir = next("the directory").into();
    let broker = Broker::start(BrokerConfig { listen, dir, ..BrokerConfig::default() }).unwrap_or_else(|error| {
        eprintln!("{error}");
        std::process::exit(1);
    });
    println!("{}", broker.local_addr());
    std::io::stdin().read_to_end(&mut Vec::new()).expect("standard input can be read");
    broker.shutdown();
}
