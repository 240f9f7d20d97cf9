//! Nearest match: what a mistyped word was probably meant to be.

/// The candidate nearest to `word` by edit distance, if it is near enough to be a typing mistake.
///
/// Case is ignored. Two words are near when about a third of the longer one differs.
/// An exact match (but for case) is no suggestion unless the case differs.
pub fn nearest<'a, I>(word: &str, candidates: I) -> Option<&'a str>
where
    I: IntoIterator<Item = &'a str>,
{
    let wanted: Vec<char> = word.to_lowercase().chars().collect();
    candidates
        .into_iter()
        .filter(|candidate| *candidate != word)
        .filter_map(|candidate| {
            let given: Vec<char> = candidate.to_lowercase().chars().collect();
            let longest = wanted.len().max(given.len());
            if wanted.len().abs_diff(given.len()) > longest / 3 + 1 || longest > 200 {
                return None;
            }
            let distance = distance(&wanted, &given);
            (distance <= ((longest + 1) / 3).max(1) && distance < longest).then_some((distance, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Edit distance where a swap of two neighbours counts as one edit.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let changed = usize::from(a[i - 1] != b[j - 1]);
            row[j] = (above[j] + 1).min(row[j - 1] + 1).min(above[j - 1] + changed);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
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
            ("ENTRYPIONT", Some("ENTRYPOINT")),
            ("xyz", None),
            ("", None),
            ("R", None),
            ("EXPSEO", Some("EXPOSE")),
        ] {
            assert_eq!(nearest(word, words), expected, "{word}");
        }
    }
}
