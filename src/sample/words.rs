//! Words, sentences and names for the sample. All made up here; no text of a real tree.
//!
//! Names are unique by construction: a number below a million becomes three syllables of two
//! letters, one to one. They have no digits and no hyphen at the end, so a package name never
//! looks as if it ended in a version (PMS 3.1.2).

use super::dice::Dice;

/// How many different names there are.
pub(super) const NAMES: u32 = 1_000_000;

const CONSONANTS: &[u8; 20] = b"bcdfghjklmnpqrstvwxz";
const VOWELS: &[u8; 5] = b"aeiou";

const WORDS: [&str; 96] = [
    "stream", "river", "source", "basin", "delta", "brook", "spring", "valley", "bridge", "harbour", "current",
    "channel", "reads", "writes", "serves", "carries", "follows", "joins", "filters", "gathers", "small", "steady",
    "quiet", "plain", "portable", "modular", "simple", "parallel", "library", "daemon", "client", "server", "tool",
    "format", "protocol", "engine", "parser", "codec", "index", "archive", "image", "signal", "packet", "record",
    "buffer", "thread", "module", "plugin", "binding", "shell", "kernel", "device", "network", "message", "document",
    "table", "query", "cache", "graph", "vector", "matrix", "number", "string", "symbol", "token", "value", "field",
    "system", "user", "group", "session", "window", "screen", "colour", "font", "sound", "music", "video", "game",
    "for", "with", "from", "into", "over", "under", "between", "and", "or", "the", "a", "its", "many", "few", "other",
    "every", "without",
];

/// The `n`th name; numbers that are equal modulo [`NAMES`] give the same name.
pub(super) fn name(seed: u64, n: u32) -> String {
    // 618,033 has no divisor in common with a million, so this only shuffles.
    let start = Dice::new(seed, "names", 0).below(NAMES);
    let mut left = (u64::from(n) * 618_033 + u64::from(start)) % u64::from(NAMES);
    let mut name = String::with_capacity(6);
    for _ in 0..3 {
        let syllable = usize::try_from(left % 100).unwrap_or(0);
        name.push(char::from(CONSONANTS[syllable / 5]));
        name.push(char::from(VOWELS[syllable % 5]));
        left /= 100;
    }
    name
}

/// One word.
pub(super) fn word(dice: &mut Dice) -> &'static str {
    dice.pick(&WORDS)
}

/// So many words with blanks between them, the first with a capital.
pub(super) fn phrase(dice: &mut Dice, words: u32) -> String {
    let mut text = String::with_capacity(words as usize * 8);
    for n in 0..words {
        let word = word(dice);
        match (n, word.split_at_checked(1)) {
            (0, Some((first, rest))) => {
                text.push_str(&first.to_ascii_uppercase());
                text.push_str(rest);
            }
            _ => {
                text.push(' ');
                text.push_str(word);
            }
        }
    }
    text
}

/// Appends lines of words, each after `prefix` and at most about 76 characters long, until some
/// `bytes` are written. Ends with a newline.
pub(super) fn lines(out: &mut String, dice: &mut Dice, prefix: &str, bytes: usize) {
    let end = out.len() + bytes;
    while out.len() < end {
        let width = (end - out.len()).min(76);
        let stop = out.len() + width;
        out.push_str(prefix);
        out.push_str(word(dice));
        while out.len() + 7 < stop {
            out.push(' ');
            out.push_str(word(dice));
        }
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_comes_twice() {
        let names: std::collections::BTreeSet<_> = (0..50_000).map(|n| name(3, n)).collect();
        assert_eq!(names.len(), 50_000);
        assert!(names.iter().all(|name| name.len() == 6));
    }

    #[test]
    fn lines_are_about_as_long_as_asked() {
        let mut dice = Dice::new(1, "lines", 0);
        let mut text = String::new();
        lines(&mut text, &mut dice, "# ", 3000);
        assert!((2990..3020).contains(&text.len()), "{}", text.len());
        assert!(text.ends_with('\n') && text.lines().all(|line| line.len() <= 84));
    }
}
