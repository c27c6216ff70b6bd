//! `aes_encrypt` and `aes_decrypt`: AES in the modes GCM, CBC and ECB, with Spark's layout of the result.
//!
//! ```text
//!   GCM  nonce (12 bytes) · text · tag (16)        CBC  first block (16) · text, padded        ECB  text, padded
//! ```
//! Spark draws a nonce at random where none is given. Here it is made of a digest of key, text and additional data, so that
//! a batch that runs again writes the same bytes; equal texts then look equal.

use super::{Arguments, Function, Param, build};
use crate::eval::Column;
use aes::cipher::generic_array::GenericArray;
use aes::cipher::{BlockDecrypt, BlockEncrypt, KeyInit};
use aes::{Aes128, Aes192, Aes256};
use aes_gcm::AesGcm;
use aes_gcm::aead::consts::U12;
use aes_gcm::aead::{Aead, Payload};
use arrow_array::ArrayRef;
use arrow_schema::DataType;
use sha2::{Digest, Sha256};

const BLOCK: usize = 16;
const NONCE: usize = 12;

const DECRYPT: Function = Function {
    params: &[Param::Binary, Param::Binary, Param::String, Param::String, Param::Binary],
    required: 2,
    gives: |_| DataType::Binary,
    ..Function::BLANK
};

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "aes_encrypt",
        usage: "aes_encrypt(text, key[, mode[, padding[, iv[, aad]]]])",
        about: "The text encrypted by AES with a key of 16, 24 or 32 bytes, in the mode `GCM` (the default), `CBC` or `ECB`. Without an initialization vector one is derived from key, text and additional data, so that a batch that runs again writes the same bytes.",
        example: "base64(aes_encrypt('Spark SQL', '1234567890abcdef', 'ECB', 'PKCS'))",
        params: &[Param::Binary, Param::Binary, Param::String, Param::String, Param::Binary, Param::Binary],
        kernel: encrypt,
        ..DECRYPT
    },
    Function {
        name: "aes_decrypt",
        usage: "aes_decrypt(bytes, key[, mode[, padding[, aad]]])",
        about: "What `aes_encrypt` has encrypted; what the key does not fit fails the row.",
        example: "string(aes_decrypt(unbase64('3lmwu+Mw0H3fi5NDvcu9lg=='), '1234567890abcdef', 'ECB', 'PKCS'))",
        kernel: |a| decrypt(a, true),
        ..DECRYPT
    },
    Function {
        name: "try_aes_decrypt",
        usage: "try_aes_decrypt(bytes, key[, mode[, padding[, aad]]])",
        about: "As `aes_decrypt`, but NULL for what the key does not fit.",
        example: "try_aes_decrypt(X'00', '0000111122223333')",
        kernel: |a| decrypt(a, false),
        ..DECRYPT
    },
];

/// A class of Spark's and a message.
type Failure = (&'static str, String);

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Gcm,
    Cbc,
    Ecb,
}

impl Mode {
    fn find(mode: &str, padding: &str) -> Result<Mode, Failure> {
        let (mode, padding) = (mode.to_ascii_uppercase(), padding.to_ascii_uppercase());
        match (mode.as_str(), padding.as_str()) {
            ("GCM", "NONE" | "DEFAULT") => Ok(Mode::Gcm),
            ("CBC", "PKCS" | "DEFAULT") => Ok(Mode::Cbc),
            ("ECB", "PKCS" | "DEFAULT") => Ok(Mode::Ecb),
            _ => {
                let message = format!("AES has no mode {mode} with the padding {padding}; use GCM, CBC or ECB");
                Err(("UNSUPPORTED_FEATURE.AES_MODE", message))
            }
        }
    }
}

/// AES with a key of one of its three lengths.
enum Cipher {
    Short(Aes128),
    Middle(Aes192),
    Long(Aes256),
}

impl Cipher {
    fn new(key: &[u8]) -> Result<Cipher, Failure> {
        match key.len() {
            16 => Ok(Cipher::Short(Aes128::new(GenericArray::from_slice(key)))),
            24 => Ok(Cipher::Middle(Aes192::new(GenericArray::from_slice(key)))),
            32 => Ok(Cipher::Long(Aes256::new(GenericArray::from_slice(key)))),
            other => {
                let message = format!("the key has {other} bytes; give it 16, 24 or 32");
                Err(("INVALID_PARAMETER_VALUE.AES_KEY_LENGTH", message))
            }
        }
    }

    fn encrypt_block(&self, block: &mut [u8]) {
        let block = GenericArray::from_mut_slice(block);
        match self {
            Cipher::Short(aes) => aes.encrypt_block(block),
            Cipher::Middle(aes) => aes.encrypt_block(block),
            Cipher::Long(aes) => aes.encrypt_block(block),
        }
    }

    fn decrypt_block(&self, block: &mut [u8]) {
        let block = GenericArray::from_mut_slice(block);
        match self {
            Cipher::Short(aes) => aes.decrypt_block(block),
            Cipher::Middle(aes) => aes.decrypt_block(block),
            Cipher::Long(aes) => aes.decrypt_block(block),
        }
    }

    fn seal(self, nonce: &[u8], payload: Payload) -> Option<Vec<u8>> {
        let nonce = GenericArray::from_slice(nonce);
        match self {
            Cipher::Short(aes) => AesGcm::<_, U12>::from(aes).encrypt(nonce, payload),
            Cipher::Middle(aes) => AesGcm::<_, U12>::from(aes).encrypt(nonce, payload),
            Cipher::Long(aes) => AesGcm::<_, U12>::from(aes).encrypt(nonce, payload),
        }
        .ok()
    }

    fn open(self, nonce: &[u8], payload: Payload) -> Option<Vec<u8>> {
        let nonce = GenericArray::from_slice(nonce);
        match self {
            Cipher::Short(aes) => AesGcm::<_, U12>::from(aes).decrypt(nonce, payload),
            Cipher::Middle(aes) => AesGcm::<_, U12>::from(aes).decrypt(nonce, payload),
            Cipher::Long(aes) => AesGcm::<_, U12>::from(aes).decrypt(nonce, payload),
        }
        .ok()
    }
}

/// Whole blocks: PKCS#7.
fn padded(text: &[u8]) -> Vec<u8> {
    let missing = BLOCK - (text.len() & (BLOCK - 1));
    let mut out = text.to_vec();
    out.resize(text.len() + missing, missing as u8);
    out
}

fn unpadded(mut text: Vec<u8>) -> Option<Vec<u8>> {
    let filled = usize::from(*text.last()?);
    let kept = text.len().checked_sub(filled)?;
    let is_right = (1..=BLOCK).contains(&filled) && text[kept..].iter().all(|byte| usize::from(*byte) == filled);
    text.truncate(kept);
    is_right.then_some(text)
}

fn mix(block: &mut [u8], with: &[u8]) {
    block.iter_mut().zip(with).for_each(|(byte, with)| *byte ^= with);
}

/// The first bytes of a digest of all parts, each after its length.
fn derived(parts: [&[u8]; 3], length: usize) -> Vec<u8> {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    digest.finalize()[..length].to_vec()
}

/// Refuses additional data where the mode has none.
fn check_aad(mode: Mode, aad: &[u8]) -> Result<(), Failure> {
    match mode == Mode::Gcm || aad.is_empty() {
        true => Ok(()),
        false => Err(("UNSUPPORTED_FEATURE.AES_MODE_AAD", "only the mode GCM has additional data".into())),
    }
}

fn encrypted(text: &[u8], key: &[u8], mode: Mode, iv: &[u8], aad: &[u8]) -> Result<Vec<u8>, Failure> {
    let cipher = Cipher::new(key)?;
    if mode == Mode::Ecb && !iv.is_empty() {
        return Err(("UNSUPPORTED_FEATURE.AES_MODE_IV", "the mode ECB has no initialization vector".into()));
    }
    check_aad(mode, aad)?;
    let wanted = match mode {
        Mode::Gcm => NONCE,
        Mode::Cbc => BLOCK,
        Mode::Ecb => 0,
    };
    if !iv.is_empty() && iv.len() != wanted {
        let message = format!("the initialization vector has {} bytes; give it {wanted}", iv.len());
        return Err(("INVALID_PARAMETER_VALUE.AES_IV_LENGTH", message));
    }
    let mut out = if iv.is_empty() { derived([key, text, aad], wanted) } else { iv.to_vec() };
    if mode == Mode::Gcm {
        let sealed = cipher.seal(&out, Payload { msg: text, aad }).expect("a text of a column is short enough");
        out.extend(sealed);
        return Ok(out);
    }
    let mut last = out.clone();
    let mut text = padded(text);
    for block in text.chunks_mut(BLOCK) {
        mix(block, &last);
        cipher.encrypt_block(block);
        if mode == Mode::Cbc {
            last = block.to_vec();
        }
    }
    out.extend(text);
    Ok(out)
}

fn decrypted(bytes: &[u8], key: &[u8], mode: Mode, aad: &[u8]) -> Result<Vec<u8>, Failure> {
    let cipher = Cipher::new(key)?;
    check_aad(mode, aad)?;
    let plain = match mode {
        Mode::Gcm => bytes.split_at_checked(NONCE).and_then(|(nonce, msg)| cipher.open(nonce, Payload { msg, aad })),
        Mode::Cbc => bytes.split_at_checked(BLOCK).and_then(|(iv, text)| unblocked(&cipher, text, Some(iv))),
        Mode::Ecb if bytes.is_empty() => Some(Vec::new()),
        Mode::Ecb => unblocked(&cipher, bytes, None),
    };
    let message = "the bytes are not what this key and mode have encrypted; use try_aes_decrypt to get NULL";
    plain.ok_or_else(|| ("INVALID_PARAMETER_VALUE.AES_CRYPTO_ERROR", message.into()))
}

/// Blocks, each mixed with the one before where there is a first one.
fn unblocked(cipher: &Cipher, bytes: &[u8], first: Option<&[u8]>) -> Option<Vec<u8>> {
    if bytes.len() & (BLOCK - 1) != 0 {
        return None;
    }
    let mut out = bytes.to_vec();
    let mut last = first;
    for (block, was) in out.chunks_mut(BLOCK).zip(bytes.chunks(BLOCK)) {
        cipher.decrypt_block(block);
        if let Some(with) = last {
            mix(block, with);
            last = Some(was);
        }
    }
    unpadded(out)
}

/// What a call says behind the key: mode, padding and the rest.
struct Settings<'a> {
    columns: &'a [Column],
}

impl Settings<'_> {
    /// `None` where one is NULL.
    fn mode(&self, row: usize) -> Option<Result<Mode, Failure>> {
        let text = |index: usize, default: &'static str| {
            self.columns.get(index).map_or(Some(default.to_string()), |x| x.texts().get(row).map(str::to_string))
        };
        Some(Mode::find(&text(2, "GCM")?, &text(3, "DEFAULT")?))
    }

    fn bytes(&self, index: usize, row: usize) -> Option<&[u8]> {
        self.columns.get(index).map_or(Some(&[]), |column| column.bytes(row))
    }
}

fn encrypt(arguments: &mut Arguments) -> ArrayRef {
    let settings = Settings { columns: arguments.columns };
    build::binaries(arguments.rows, |row| {
        let (text, key, mode) = (settings.bytes(0, row)?, settings.bytes(1, row)?, settings.mode(row)?);
        let (iv, aad) = (settings.bytes(4, row)?, settings.bytes(5, row)?);
        let result = mode.and_then(|mode| encrypted(text, key, mode, iv, aad));
        result.map_err(|(class, message)| arguments.errors.record(row, class, || message)).ok()
    })
}

fn decrypt(arguments: &mut Arguments, fails: bool) -> ArrayRef {
    let settings = Settings { columns: arguments.columns };
    build::binaries(arguments.rows, |row| {
        let (bytes, key, mode) = (settings.bytes(0, row)?, settings.bytes(1, row)?, settings.mode(row)?);
        let aad = settings.bytes(4, row)?;
        match mode.and_then(|mode| decrypted(bytes, key, mode, aad)) {
            Ok(plain) => Some(plain),
            Err((class, message)) => {
                if fails {
                    arguments.errors.record(row, class, || message);
                }
                None
            }
        }
    })
}
