//! File name patterns: `*`, `?`, `[a-z]`, `[!a-z]`. Time is at most proportional to pattern length × name length.
//!
//! When a character does not match, only the last `*` takes one more character: whatever an earlier `*` could take, the
//! last one can take too. Recursive matching would take years for `*a*a*a*a*a*a*b`.

/// Whether a name matches a pattern. Case matters. A `[` without a `]` stands for itself.
pub fn matches(pattern: &str, name: &str) -> bool {
    let tokens = tokens(pattern);
    let name: Vec<char> = name.chars().collect();
    let (mut token, mut at) = (0, 0);
    // The token after the last star, and where the star's text ends.
    let mut star: Option<(usize, usize)> = None;
    while at < name.len() {
        match tokens.get(token) {
            Some(Token::Any) => {
                token += 1;
                star = Some((token, at));
            }
            Some(one) if one.fits(name[at]) => {
                token += 1;
                at += 1;
            }
            _ => {
                let Some((behind, taken)) = &mut star else { return false };
                *taken += 1;
                (token, at) = (*behind, *taken);
            }
        }
    }
    tokens[token..].iter().all(|rest| matches!(rest, Token::Any))
}

enum Token {
    /// `*`: any text.
    Any,
    /// `?`: any character.
    One,
    /// A character.
    Is(char),
    /// One of these ranges, or none of them.
    In { ranges: Vec<(char, char)>, negated: bool },
}

impl Token {
    fn fits(&self, c: char) -> bool {
        match self {
            Token::Any => false,
            Token::One => true,
            Token::Is(wanted) => *wanted == c,
            Token::In { ranges, negated } => {
                ranges.iter().any(|(first, last)| (*first..=*last).contains(&c)) != *negated
            }
        }
    }
}

fn tokens(pattern: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = pattern;
    while let Some(first) = rest.chars().next() {
        rest = &rest[first.len_utf8()..];
        tokens.push(match first {
            '*' => Token::Any,
            '?' => Token::One,
            '[' => match rest.split_once(']') {
                Some((inside, behind)) => {
                    rest = behind;
                    set(inside)
                }
                None => Token::Is('['),
            },
            c => Token::Is(c),
        });
    }
    tokens
}

/// `abc`, `a-z` or, negated, `!abc`.
fn set(inside: &str) -> Token {
    let stripped = inside.strip_prefix(['!', '^']);
    let set: Vec<char> = stripped.unwrap_or(inside).chars().collect();
    let (mut at, mut ranges) = (0, Vec::new());
    while at < set.len() {
        let is_range = set.get(at + 1) == Some(&'-') && at + 2 < set.len();
        ranges.push((set[at], if is_range { set[at + 2] } else { set[at] }));
        at += if is_range { 3 } else { 1 };
    }
    Token::In { ranges, negated: stripped.is_some() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_patterns() {
        let check = |pattern: &str, yes: &[&str], no: &[&str]| {
            assert!(yes.iter().all(|name| matches(pattern, name)), "{pattern} matches {yes:?}");
            assert!(!no.iter().any(|name| matches(pattern, name)), "{pattern} matches none of {no:?}");
        };
        check("", &[""], &["a"]);
        check("*", &["", "a"], &[]);
        check("*.json", &["a.json", ".json", "a.json.json"], &["a.jsonl", "json"]);
        check("a?c*", &["abc", "aéc", "abcd"], &["ac", "abd"]);
        check("*a*b*", &["ab", "xaybz", "aab"], &["ba", ""]);
        check("a**b", &["ab", "axb"], &["a", "ba"]);
        check("[a-cx]1", &["b1", "x1"], &["d1", "-1"]);
        check("[!a-c]1", &["d1"], &["a1"]);
        check("*[0-9]", &["a1", "1", "123"], &["a", "1a"]);
        check("[x", &["[x"], &["x"]);
    }

    #[test]
    fn no_pattern_takes_long() {
        let pattern = format!("{}b", "*a".repeat(500));
        assert!(!matches(&pattern, &"a".repeat(5_000)));
        assert!(matches(&pattern, &format!("{}b", "a".repeat(5_000))));
    }
}
