//! The broker's jars, by Maven's ordinary client: some 90 of them, 54 MB.

use super::VERSION;
use crate::sh::{self, Outcome, command};

/// The class path of an installed Kafka; installs it on first use.
///
/// The error says why it cannot be had here.
pub fn class_path() -> Outcome<String> {
    if !sh::has("java", "-version") {
        return Err(
            "there is no java; install Java 17 or newer (Debian: apt-get install openjdk-17-jre-headless)".into()
        );
    }
    let dir = sh::target().join("kafka");
    let libs = dir.join(format!("libs-{VERSION}"));
    let class_path = libs.join("*").to_string_lossy().into_owned();
    let complete = libs.join("complete");
    if complete.exists() {
        return Ok(class_path);
    }
    if !sh::has("mvn", "--version") {
        return Err("there is no mvn to fetch Kafka's jars; install Maven (Debian: apt-get install maven)".into());
    }
    let pom = dir.join("pom.xml");
    sh::write_file(&pom, &project())?;
    let output = format!("-DoutputDirectory={}", libs.display());
    sh::read(&mut command("mvn", &["-q", "-B", "-f", &pom.to_string_lossy(), "dependency:copy-dependencies", &output]))
        .map_err(|error| format!("{error}\nKafka's jars come from Maven Central: see that Maven can reach it"))?;
    sh::write_file(&complete, VERSION)?;
    Ok(class_path)
}

fn project() -> String {
    let dependency = |artifact: &str| {
        format!(
            "    <dependency>\n      <groupId>org.apache.kafka</groupId>\n      <artifactId>{artifact}</artifactId>\n      \
             <version>{VERSION}</version>\n    </dependency>\n"
        )
    };
    format!(
        "<project>\n  <modelVersion>4.0.0</modelVersion>\n  <groupId>tidemill</groupId>\n  \
         <artifactId>kafka</artifactId>\n  <version>1</version>\n  <dependencies>\n{}{}  </dependencies>\n</project>\n",
        dependency("kafka_2.13"),
        dependency("kafka-tools")
    )
}
