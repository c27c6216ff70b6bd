//! Downloads jars with Maven: the broker's (about 90, 54 MB) and those of Spark's Kafka connector (9, 14 MB).

use super::VERSION;
use crate::sh::{self, Outcome, command};
use std::path::PathBuf;

/// Groups that pyspark already contains: Scala and Hadoop.
const PYSPARK_HAS: [&str; 3] = ["org.scala-lang", "org.scala-lang.modules", "org.apache.hadoop"];

/// The class path of an installed Kafka; installs it on first use.
///
/// The error says why it cannot be installed.
pub fn class_path() -> Outcome<String> {
    let group = "org.apache.kafka";
    let libs =
        jars(&format!("libs-{VERSION}"), &[(group, "kafka_2.13", VERSION), (group, "kafka-tools", VERSION)], &[])?;
    Ok(libs.join("*").to_string_lossy().into_owned())
}

/// The class path of Kafka Streams and Kafka Connect; fetches their jars on first use (70, 110 MB).
///
/// The error says why they cannot be had.
pub fn application_class_path() -> Outcome<String> {
    let artifacts = ["kafka-streams", "connect-runtime", "connect-file"];
    let libs =
        jars(&format!("applications-{VERSION}"), &artifacts.map(|name| ("org.apache.kafka", name, VERSION)), &[])?;
    Ok(libs.join("*").to_string_lossy().into_owned())
}

/// The directory with the jars of the Kafka connector for that version of Spark. Downloads them on first use.
///
/// The error says why it cannot be installed.
pub fn spark_connector(version: &str) -> Outcome<PathBuf> {
    jars(&format!("spark-{version}"), &[("org.apache.spark", "spark-sql-kafka-0-10_2.13", version)], &PYSPARK_HAS)
}

/// `target/kafka/NAME` with the jars of some dependencies (group, artifact, version) and of all that they depend on, but
/// for some groups.
fn jars(name: &str, dependencies: &[(&str, &str, &str)], excluded: &[&str]) -> Outcome<PathBuf> {
    if !sh::has("java", "-version") {
        return Err(
            "there is no java; install Java 17 or newer (Debian: apt-get install openjdk-17-jre-headless)".into()
        );
    }
    let dir = sh::target().join("kafka");
    let libs = dir.join(name);
    let complete = libs.join("complete");
    if complete.exists() {
        return Ok(libs);
    }
    if !sh::has("mvn", "--version") {
        return Err(
            "there is no mvn to fetch jars from Maven Central; install Maven (Debian: apt-get install maven)".into()
        );
    }
    let pom = dir.join("pom.xml");
    sh::write_file(&pom, &project(dependencies, excluded))?;
    let output = format!("-DoutputDirectory={}", libs.display());
    sh::read(&mut command("mvn", &["-q", "-B", "-f", &pom.to_string_lossy(), "dependency:copy-dependencies", &output]))
        .map_err(|error| format!("{error}\nthe jars come from Maven Central: see that Maven can reach it"))?;
    sh::write_file(&complete, name)?;
    Ok(libs)
}

fn project(dependencies: &[(&str, &str, &str)], excluded: &[&str]) -> String {
    let exclusion =
        |group: &&str| format!("        <exclusion><groupId>{group}</groupId><artifactId>*</artifactId></exclusion>\n");
    let exclusions: String = excluded.iter().map(exclusion).collect();
    let dependency = |(group, artifact, version): &(&str, &str, &str)| {
        format!(
            "    <dependency>\n      <groupId>{group}</groupId>\n      <artifactId>{artifact}</artifactId>\n      \
             <version>{version}</version>\n      <exclusions>\n{exclusions}      </exclusions>\n    </dependency>\n"
        )
    };
    let dependencies: String = dependencies.iter().map(dependency).collect();
    format!(
        "<project>\n  <modelVersion>4.0.0</modelVersion>\n  <groupId>tidemill</groupId>\n  \
         <artifactId>kafka</artifactId>\n  <version>1</version>\n  <dependencies>\n{dependencies}  </dependencies>\n</project>\n"
    )
}
