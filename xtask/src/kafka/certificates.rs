//! Certificates for a broker's TLS listener, made by openssl at each start, valid for some days.
//!
//! | file | what it is |
//! |---|---|
//! | `ca.pem` | the CA that has signed the broker's certificate |
//! | `broker.pem` | the broker's certificate, for the name `localhost` alone, and its key |
//! | `other-ca.pem` | a CA that has signed nothing |

use crate::sh::{self, Outcome};
use std::path::Path;

const DAYS: &str = "30";

/// Makes them in a directory.
///
/// # Errors
/// openssl is missing or fails.
pub fn make(dir: &Path) -> Outcome {
    if !sh::has("openssl", "version") {
        return Err("openssl is not installed, which makes the certificates of the secure listener".into());
    }
    let file = |name: &str| dir.join(name).to_string_lossy().into_owned();
    let openssl = |args: &[&str]| sh::read(&mut sh::command("openssl", args)).map(drop);
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout"];
    sh::write_file(&dir.join("names.txt"), "subjectAltName=DNS:localhost\n")?;
    for name in ["ca", "other-ca"] {
        let (key_file, certificate) = (file(&format!("{name}.key")), file(&format!("{name}.pem")));
        let subject = format!("/CN=Tidemill test {name}");
        let own = ["req", "-x509", "-days", DAYS, "-subj", &subject, "-out", &certificate];
        openssl(&[&own[..], &key[..], &[&key_file]].concat())?;
    }
    let (request, signed, broker_key) = (file("broker.csr"), file("broker.crt"), file("broker.key"));
    openssl(&[&["req", "-subj", "/CN=localhost", "-out", &request][..], &key[..], &[&broker_key]].concat())?;
    let (ca, ca_key, names) = (file("ca.pem"), file("ca.key"), file("names.txt"));
    let by = ["-CA", &ca, "-CAkey", &ca_key, "-CAcreateserial", "-days", DAYS, "-extfile", &names];
    openssl(&[&["x509", "-req", "-in", &request, "-out", &signed][..], &by[..]].concat())?;
    let both = sh::read_file(Path::new(&signed))? + &sh::read_file(Path::new(&broker_key))?;
    sh::write_file(&dir.join("broker.pem"), &both)
}
