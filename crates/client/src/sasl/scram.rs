//! SCRAM (RFC 5802, RFC 7677): both sides prove that they know the password without sending it.
//!
//! ```text
//!  us      n,,n=USER,r=NONCE
//!  broker  r=NONCE+THEIRS,s=SALT,i=ITERATIONS
//!  us      c=biws,r=NONCE+THEIRS,p=PROOF
//!  broker  v=SIGNATURE                             (or e=ERROR)
//! ```

use crate::fault::Fault;
use crate::settings::{Login, ScramHash};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::rand::{SecureRandom, SystemRandom};
use ring::{digest, hmac, pbkdf2};
use std::num::NonZeroU32;
use tidemill_model::Secret;

/// A broker that asks for more is refused: it would waste our CPU time.
const ITERATIONS_MAX: u32 = 1 << 20;

/// An exchange in progress.
pub(crate) struct Scram {
    hash: ScramHash,
    password: Secret,
    /// Our first message without its channel-binding prefix.
    bare: String,
    nonce: String,
    stage: Stage,
}

enum Stage {
    First,
    Final,
    /// The expected signature of the broker.
    Verify(Vec<u8>),
    Done,
}

impl Scram {
    pub(crate) fn new(hash: ScramHash, login: &Login) -> Result<Scram, Fault> {
        let mut random = [0; 18];
        let filled = SystemRandom::new().fill(&mut random);
        filled.map_err(|_| Fault::Lost("the system provides no random numbers".into()))?;
        Ok(Scram::with_nonce(hash, login, STANDARD.encode(random)))
    }

    fn with_nonce(hash: ScramHash, login: &Login, nonce: String) -> Scram {
        let user = login.username.expose().replace('=', "=3D").replace(',', "=2C");
        let bare = format!("n={user},r={nonce}");
        Scram { hash, password: login.password.clone(), bare, nonce, stage: Stage::First }
    }

    pub(crate) fn step(&mut self, received: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        match &self.stage {
            Stage::First => {
                self.stage = Stage::Final;
                Ok(Some(format!("n,,{}", self.bare).into_bytes()))
            }
            Stage::Final => self.prove(received).map(Some),
            Stage::Verify(expected) => {
                let text = std::str::from_utf8(received).unwrap_or_default();
                let signature = field(text, 'v').and_then(|v| STANDARD.decode(v).ok());
                if signature.as_deref() != Some(expected) {
                    return Err(Fault::Refused(
                        "the broker does not prove that it knows the password, so it may be an impostor; check \
                        `bootstrap_servers`"
                            .into(),
                    ));
                }
                self.stage = Stage::Done;
                Ok(None)
            }
            Stage::Done => Ok(None),
        }
    }

    fn prove(&mut self, received: &[u8]) -> Result<Vec<u8>, Fault> {
        let malformed = || Fault::Malformed("a SCRAM message lacks a valid nonce, salt or iteration count".into());
        let text = std::str::from_utf8(received).map_err(|_| malformed())?;
        let nonce = field(text, 'r').filter(|nonce| nonce.starts_with(&self.nonce)).ok_or_else(malformed)?;
        let salt = field(text, 's').and_then(|salt| STANDARD.decode(salt).ok()).ok_or_else(malformed)?;
        let iterations = field(text, 'i').and_then(|count| count.parse().ok()).filter(|count| *count <= ITERATIONS_MAX);
        let iterations = iterations.and_then(NonZeroU32::new).ok_or_else(malformed)?;
        let (pbkdf, hmac_hash, hash) = match self.hash {
            ScramHash::Sha256 => (pbkdf2::PBKDF2_HMAC_SHA256, hmac::HMAC_SHA256, &digest::SHA256),
            ScramHash::Sha512 => (pbkdf2::PBKDF2_HMAC_SHA512, hmac::HMAC_SHA512, &digest::SHA512),
        };
        let mut salted = vec![0; hash.output_len()];
        pbkdf2::derive(pbkdf, iterations, &salt, self.password.expose().as_bytes(), &mut salted);
        let sign = |key: &[u8], text: &[u8]| hmac::sign(&hmac::Key::new(hmac_hash, key), text);
        // "biws" is "n,," in base 64: no channel binding.
        let without_proof = format!("c=biws,r={nonce}");
        let both = format!("{},{text},{without_proof}", self.bare);
        let client_key = sign(&salted, b"Client Key");
        let stored_key = digest::digest(hash, client_key.as_ref());
        let client_signature = sign(stored_key.as_ref(), both.as_bytes());
        let proof: Vec<u8> = client_key.as_ref().iter().zip(client_signature.as_ref()).map(|(a, b)| a ^ b).collect();
        let server_key = sign(&salted, b"Server Key");
        self.stage = Stage::Verify(sign(server_key.as_ref(), both.as_bytes()).as_ref().to_vec());
        Ok(format!("{without_proof},p={}", STANDARD.encode(proof)).into_bytes())
    }
}

fn field(text: &str, name: char) -> Option<&str> {
    text.split(',').find_map(|field| field.strip_prefix(name)?.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The exchange of RFC 7677, section 3.
    #[test]
    fn the_exchange_of_the_standard() {
        let login = Login { username: Secret::new("user"), password: Secret::new("pencil") };
        let mut scram = Scram::with_nonce(ScramHash::Sha256, &login, "rOprNGfwEbeRWgbNEkqO".into());
        assert_eq!(scram.step(b"").unwrap().unwrap(), b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let challenge = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let proof = scram.step(challenge).unwrap().unwrap();
        let expected = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        assert_eq!(String::from_utf8(proof).unwrap(), expected);
        assert!(scram.step(b"v=AAAA").is_err(), "the broker does not know the password");
        assert_eq!(scram.step(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=").unwrap(), None);
    }

    #[test]
    fn challenges_that_are_none() {
        let login = Login { username: Secret::new("a,b=c"), password: Secret::new("p") };
        for challenge in ["", "r=other,s=AAAA,i=4096", "r=N+,s=!,i=4096", "r=N+,s=AAAA,i=0", "r=N+,s=AAAA,i=4000000000"]
        {
            let mut scram = Scram::with_nonce(ScramHash::Sha512, &login, "N".into());
            assert_eq!(scram.step(b"").unwrap().unwrap(), b"n,,n=a=2Cb=3Dc,r=N");
            assert!(matches!(scram.step(challenge.as_bytes()), Err(Fault::Malformed(_))), "{challenge}");
        }
    }
}
