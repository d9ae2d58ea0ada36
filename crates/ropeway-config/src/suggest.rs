//! "Did you mean": the closest of the words that would have been right.

/// The candidate closest to `word`, unless none is close.
///
/// Close is a Damerau-Levenshtein distance of at most a third of the longer word: `conect` finds `connect`, and
/// `port` does not find `host`. So is a word of which the candidate is the beginning, or the other way round:
/// `least_conn` finds `least_connections`. `-` and `_` count as the same letter, and so do the two cases. Numbers are
/// never close to each other.
pub(crate) fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = fold(word);
    candidates
        .into_iter()
        .filter(|candidate| candidate.contains(|letter: char| letter.is_ascii_alphabetic()))
        .filter_map(|candidate| Some((distance(&folded, &fold(candidate))?, candidate)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How far apart two words are, unless it is too far.
fn distance(word: &str, candidate: &str) -> Option<usize> {
    let shorter = word.len().min(candidate.len());
    if shorter >= 4 && (word.starts_with(candidate) || candidate.starts_with(word)) {
        return Some(1);
    }
    let distance = strsim::damerau_levenshtein(word, candidate);
    (distance * 3 <= candidate.len().max(word.len())).then_some(distance)
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
        assert_eq!(closest("binding", KEYS), Some("bind"));
        assert_eq!(closest("conn", KEYS), Some("connect"));
    }

    #[test]
    fn stays_silent_when_nothing_is_close() {
        assert_eq!(closest("port", KEYS), None);
        assert_eq!(closest("upstream", KEYS), None);
        assert_eq!(closest("500", ["502", "503"]), None);
    }
}
