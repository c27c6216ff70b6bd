//! The demo on Apache Kafka, if `TIDEMILL_TEST_KAFKA=host:port` names one: the same zeros as on the embedded broker.

use crate::demo::{DEMO, report};
use crate::support::{Testbed, until};
use tidemill_kafka::{KafkaOptions, admin};

#[test]
fn the_demo_on_apache_kafka() {
    let Ok(address) = std::env::var("TIDEMILL_TEST_KAFKA") else {
        eprintln!("skipped: TIDEMILL_TEST_KAFKA=host:port names no Apache Kafka");
        return;
    };
    let testbed = Testbed::without_broker();
    let ended = testbed.tidemill(&[&DEMO[..], &["--bootstrap-servers", &address]].concat());
    report(&testbed, &ended);
    let topic = ended.stdout.split_once("topic ").and_then(|(_, rest)| rest.split_once(' ')).expect("it is named").0;
    // The controller has deleted it; the broker's metadata follow a little later.
    let left = || admin::partition_count(&KafkaOptions::new(&address), topic).expect("an answer");
    until(&format!("the end of {topic}"), || left().is_none().then_some(()));
}
