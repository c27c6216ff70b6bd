//! A count with its noun, for messages.

/// `1 batch`, `2 batches`: the count and the noun in the singular or the plural. Only for nouns with a regular plural.
pub fn counted(count: u64, noun: &str) -> String {
    let ending = match noun {
        _ if count == 1 => "",
        _ if noun.ends_with(['s', 'x']) || noun.ends_with("ch") => "es",
        _ => "s",
    };
    format!("{count} {noun}{ending}")
}

#[cfg(test)]
mod tests {
    use super::counted;

    #[test]
    fn nouns_agree_with_their_counts() {
        let check = |count, noun, expected| assert_eq!(counted(count, noun), expected);
        check(0, "row", "0 rows");
        check(1, "row", "1 row");
        check(1, "batch", "1 batch");
        check(2, "batch", "2 batches");
        check(21, "dead letter", "21 dead letters");
    }
}
