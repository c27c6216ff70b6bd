//! Certificates for a broker's TLS listener, made by openssl at each start, valid for some days.
//!
//! | file | what it is |
//! |---|---|
//! | `ca.pem` | the CA that has signed the broker's certificate |
//! | `broker.pem` | the broker's certificate, for the name `localhost` alone, and its key |
//! | `client.pem`, `client.key` | a client's certificate of the CA, for the name `carol`, and its key |
//! | `expired.pem`, `expired.key` | the same, expired since yesterday |
//! | `other-ca.pem` | a CA that the broker does not trust |
//! | `stranger.pem`, `stranger.key` | a client's certificate of that CA, and its key |

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
    // A certificate without extensions is of a version that nobody takes.
    sh::write_file(&dir.join("broker.txt"), "subjectAltName=DNS:localhost\n")?;
    sh::write_file(&dir.join("client.txt"), "extendedKeyUsage=clientAuth\n")?;
    for name in ["ca", "other-ca"] {
        let (key_file, certificate) = (file(&format!("{name}.key")), file(&format!("{name}.pem")));
        let subject = format!("/CN=Tidemill test {name}");
        let own = ["req", "-x509", "-days", DAYS, "-subj", &subject, "-out", &certificate];
        openssl(&[&own[..], &key[..], &[&key_file]].concat())?;
    }
    let sign = |name: &str, subject: &str, by: &str, extensions: &str, days: &str| {
        let (request, signed, own_key) =
            (file(&format!("{name}.csr")), file(&format!("{name}.pem")), file(&format!("{name}.key")));
        openssl(&[&["req", "-subj", subject, "-out", &request][..], &key[..], &[&own_key]].concat())?;
        let (ca, ca_key) = (file(&format!("{by}.pem")), file(&format!("{by}.key")));
        let extensions = file(extensions);
        let by = ["-CA", &ca, "-CAkey", &ca_key, "-CAcreateserial", "-days", days, "-extfile", &extensions];
        openssl(&[&["x509", "-req", "-in", &request, "-out", &signed][..], &by[..]].concat())
    };
    sign("client", "/CN=carol", "ca", "client.txt", DAYS)?;
    sign("expired", "/CN=carol", "ca", "client.txt", "-1")?;
    sign("stranger", "/CN=carol", "other-ca", "client.txt", DAYS)?;
    sign("broker", "/CN=localhost", "ca", "broker.txt", DAYS)?;
    let both = sh::read_file(Path::new(&file("broker.pem")))? + &sh::read_file(Path::new(&file("broker.key")))?;
    sh::write_file(&dir.join("broker.pem"), &both)
}
