//! A text that must not be printed: a password, or a value that may hold one.

use secrecy::{ExposeSecret, SecretString};
use std::fmt;

/// A secret text. `Debug` hides it, there is no `Display`, it is not serialised, and its memory is wiped when it is dropped.
///
/// ```
/// use tidemill_model::Secret;
/// let secret = Secret::new("hunter2");
/// assert_eq!(format!("{secret:?}"), "Secret(***)");
/// assert_eq!(secret.expose(), "hunter2");
/// ```
/// It cannot be printed by accident:
/// ```compile_fail
/// println!("{}", tidemill_model::Secret::new("hunter2"));
/// ```
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(SecretString::from(text.into()))
    }

    /// The text. Only for the code that needs it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl Default for Secret {
    fn default() -> Secret {
        Secret::new("")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Secret) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// Masks secrets in a foreign text: each one becomes `***`. A secret of up to three characters is masked only inside
/// quotes, since it may occur in many words.
pub fn scrubbed<'a>(text: &str, secrets: impl IntoIterator<Item = (&'a Secret, &'a str)>) -> String {
    let mut secrets: Vec<(&str, &str)> = secrets.into_iter().map(|(secret, shown)| (secret.expose(), shown)).collect();
    // The longest first: one secret may be part of another.
    secrets.sort_by_key(|(secret, _)| std::cmp::Reverse(secret.len()));
    let mut text = text.to_owned();
    for (secret, shown) in secrets.into_iter().filter(|(secret, _)| !secret.is_empty()) {
        if secret.chars().count() > 3 {
            text = text.replace(secret, shown);
            continue;
        }
        for quote in ['`', '"', '\''] {
            text = text.replace(&format!("{quote}{secret}{quote}"), &format!("{quote}{shown}{quote}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_inside_of_texts_are_not_shown() {
        let secrets = [Secret::new("tide"), Secret::new("tidemill"), Secret::new("a"), Secret::new("")];
        let shown = scrubbed("tidemill, tide and `a`: a man", secrets.iter().map(|secret| (secret, "***")));
        assert_eq!(shown, "***, *** and `***`: a man");
    }
}
