//! What a mistyped word was probably meant to be: for every "did you mean" of wiac. Pure.

/// The candidate nearest to `word`, if it is near enough to be a slip of the finger: at most about a third of the
/// longer word's letters (one at least, for short words) put in, taken out, replaced, or swapped with a neighbour. Case
/// doesn't count as a difference, but the word itself is never suggested. The first of equally near ones wins.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates.into_iter().filter(|&candidate| candidate != word) {
        if let Some(distance) = near(word, candidate)
            && best.is_none_or(|(least, _)| distance < least)
        {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// How far apart two words are, if that is near enough.
pub fn near(word: &str, candidate: &str) -> Option<usize> {
    /// Longer ones are no words; comparing them costs the square of this.
    const LONGEST: usize = 200;
    let (lengths, longest) = {
        let (a, b) = (word.chars().count(), candidate.chars().count());
        (a.abs_diff(b), a.max(b))
    };
    let limit = ((longest + 1) / 3).max(1);
    if word.is_empty() || lengths > limit || longest > LONGEST {
        return None;
    }
    let distance = strsim::osa_distance(&word.to_lowercase(), &candidate.to_lowercase());
    (distance <= limit && distance < longest).then_some(distance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_only_what_is_near() {
        let words = ["RUN", "COPY", "FROM", "ENTRYPOINT", "EXPOSE"];
        for (word, expected) in [
            ("RNU", Some("RUN")),
            ("FORM", Some("FROM")),
            ("copyy", Some("COPY")),
            ("copy", Some("COPY")),
            ("ENTRYPIONT", Some("ENTRYPOINT")),
            ("COYP", Some("COPY")),
            ("EXPSEO", Some("EXPOSE")),
            ("xyz", None),
            ("", None),
            ("R", None),
        ] {
            assert_eq!(nearest(word, words), expected, "{word}");
        }
    }
}
