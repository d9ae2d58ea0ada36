//! "Did you mean": the closest of the words that would have been right.

/// The candidate closest to `word`, unless none is close.
///
/// Close is a Damerau-Levenshtein distance of at most a third of the longer word: `conect` finds `connect`, and
/// `port` does not find `host`. `-` and `_` count as the same letter, and so do the two cases.
pub(crate) fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = fold(word);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&folded, &fold(candidate)), candidate))
        .filter(|(distance, candidate)| *distance * 3 <= candidate.len().max(word.len()))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn fold(word: &str) -> String {
    // A word of absurd length would make the comparison quadratic in it; nothing it could match is that long.
    word.chars()
        .take(128)
        .map(|letter| if letter == '-' { '_' } else { letter.to_ascii_lowercase() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::closest;

    const KEYS: [&str; 4] = ["connect", "host", "max_idle", "bind"];

    #[test]
    fn finds_a_slip_of_the_finger() {
        assert_eq!(closest("conect", KEYS), Some("connect"));
        assert_eq!(closest("bnid", KEYS), Some("bind"));
        assert_eq!(closest("max-idle", KEYS), Some("max_idle"));
        assert_eq!(closest("Host", KEYS), Some("host"));
    }

    #[test]
    fn stays_silent_when_nothing_is_close() {
        assert_eq!(closest("port", KEYS), None);
        assert_eq!(closest("upstream", KEYS), None);
    }
}
