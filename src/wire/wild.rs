//! The wildcard matcher of rsync patterns: `?`, `*`, `**`, classes, backslash (protocol 6.3).
//!
//! Patterns come from any client, so the work is bounded: a match costs at most about pattern length times
//! text length steps. Two facts make that possible without memory. After a later star has been reached, an
//! earlier star of the same kind never needs another try, and after a slash has been matched, a single star
//! before it never needs one, because it could only arrive at the same slash again.
//! Everything is bytewise and case-sensitive. Deliberately absent: braces, locales, Unicode.

/// Whether `text` holds a character that makes a pattern a wildcard pattern (protocol 6.3, step 2).
#[must_use]
pub fn has_wildcards(text: &[u8]) -> bool {
    text.iter().any(|byte| matches!(byte, b'*' | b'?' | b'['))
}

/// Whether the whole of `text` matches `pattern` (protocol 6.3). A malformed class matches nothing.
#[must_use]
pub fn wild_match(pattern: &[u8], text: &[u8]) -> bool {
    wild_match_by(pattern, |at| text.get(at).copied())
}

/// Whether the directory entry `name` is one that the component `pattern` of a path argument stands for
/// (protocol 2.10, step 4): names that start with a dot match `*`, but `.` and `..` are no entries.
#[must_use]
pub fn glob_component(pattern: &[u8], name: &[u8]) -> bool {
    !matches!(name, b"." | b"..") && wild_match(pattern, name)
}

/// The last single star: where the pattern goes on after it, and up to where in the text it reaches.
#[derive(Clone, Copy)]
struct Star {
    next: usize,
    reach: usize,
}

/// The last run of two or more stars, and the first slash that was matched since.
#[derive(Clone, Copy)]
struct Deep {
    next: usize,
    reach: usize,
    slash: Option<usize>,
}

/// What stands at one place of a pattern, in view of one byte of the text.
enum Step {
    End,
    Star(usize),
    Deep(usize),
    Byte(usize),
    Miss,
}

/// [`wild_match`] over a text that need not lie in one piece: `at` gives its bytes, and `None` from its end on.
pub(super) fn wild_match_by(pattern: &[u8], at: impl Fn(usize) -> Option<u8>) -> bool {
    search(pattern, at, &mut 0)
}

/// Counts its steps, so that a test can hold it to its bound.
fn search(pattern: &[u8], at: impl Fn(usize) -> Option<u8>, steps: &mut u64) -> bool {
    let (mut place, mut here) = (0, 0);
    let mut star: Option<Star> = None;
    let mut deep: Option<Deep> = None;
    loop {
        *steps += 1;
        let byte = at(here);
        match (step(pattern, place, byte), byte) {
            (Step::End, None) => return true,
            (Step::Star(next), _) => {
                star = Some(Star { next, reach: here });
                place = next;
            }
            (Step::Deep(next), _) if next == pattern.len() => return true,
            (Step::Deep(next), _) => {
                (star, deep) = (None, Some(Deep { next, reach: here, slash: None }));
                place = next;
            }
            (Step::Byte(next), Some(byte)) => {
                if byte == b'/' {
                    star = None;
                    if let Some(deep) = &mut deep {
                        deep.slash.get_or_insert(here);
                    }
                }
                (place, here) = (next, here + 1);
            }
            // Any other try needs at least as much text.
            (Step::Miss | Step::Byte(_), None) => return false,
            (Step::End | Step::Miss, Some(_)) => {
                let Some(retry) = widen(&mut star, &mut deep, &at) else { return false };
                (place, here) = retry;
            }
        }
    }
}

/// The next place of pattern and text to try after a miss: a longer reach of the last star that can have one.
fn widen(star: &mut Option<Star>, deep: &mut Option<Deep>, at: impl Fn(usize) -> Option<u8>) -> Option<(usize, usize)> {
    if let Some(star) = star
        && at(star.reach) != Some(b'/')
    {
        star.reach += 1;
        return Some((star.next, star.reach));
    }
    let deep = deep.as_mut()?;
    // Every start before the slash that was matched, or that stopped the single star, would fail in the same way.
    deep.reach = match (deep.slash.take(), star.take()) {
        (Some(slash), _) => slash + 1,
        (None, Some(star)) => star.reach,
        (None, None) => deep.reach + 1,
    };
    Some((deep.next, deep.reach))
}

fn step(pattern: &[u8], place: usize, byte: Option<u8>) -> Step {
    let rest = pattern.get(place..).unwrap_or_default();
    let literal =
        |wanted: u8, length: usize| if byte == Some(wanted) { Step::Byte(place + length) } else { Step::Miss };
    match rest {
        [] => Step::End,
        [b'*', b'*', ..] => Step::Deep(place + rest.iter().take_while(|byte| **byte == b'*').count()),
        [b'*', ..] => Step::Star(place + 1),
        [b'?', ..] if byte.is_some_and(|byte| byte != b'/') => Step::Byte(place + 1),
        [b'[', class @ ..] => match byte.and_then(|byte| in_class(class, byte)) {
            Some(length) => Step::Byte(place + 1 + length),
            None => Step::Miss,
        },
        [b'\\', escaped, ..] => literal(*escaped, 2),
        [b'?' | b'\\', ..] => Step::Miss,
        [other, ..] => literal(*other, 1),
    }
}

/// The length of the class that starts `class` (behind its `[`, with its `]`) if `byte` is in it.
fn in_class(class: &[u8], byte: u8) -> Option<usize> {
    let negated = matches!(class, [b'!' | b'^', ..]);
    let first = usize::from(negated);
    let (mut at, mut hit, mut previous) = (first, false, None);
    // The next `]` is looked for once, not again at each `[:`, or many of those would cost their square.
    let mut bracket = 0;
    loop {
        match *class.get(at)? {
            b']' if at > first => break,
            b'-' if previous.is_some() && class.get(at + 1).is_some_and(|next| *next != b']') => {
                let escape = usize::from(class.get(at + 1) == Some(&b'\\'));
                let end = *class.get(at + 1 + escape)?;
                hit |= previous.take().is_some_and(|start: u8| (start..=end).contains(&byte));
                at += 2 + escape;
            }
            b'[' if class.get(at + 1) == Some(&b':') => {
                let inside = at + 2;
                if bracket < inside {
                    bracket = inside + class.get(inside..)?.iter().position(|byte| *byte == b']')?;
                }
                if let Some(name) = class.get(inside..bracket).and_then(|name| name.strip_suffix(b":")) {
                    hit |= in_posix_class(name, byte)?;
                    (previous, at) = (None, bracket + 1);
                } else {
                    hit |= byte == b'[';
                    (previous, at) = (Some(b'['), at + 1);
                }
            }
            other => {
                let escape = usize::from(other == b'\\');
                let member = *class.get(at + escape)?;
                hit |= byte == member;
                (previous, at) = (Some(member), at + 1 + escape);
            }
        }
    }
    (hit != negated && byte != b'/').then_some(at + 1)
}

/// Whether `byte` is in the named class of the C locale; `None` for a name that does not exist.
fn in_posix_class(name: &[u8], byte: u8) -> Option<bool> {
    Some(match name {
        b"alnum" => byte.is_ascii_alphanumeric(),
        b"alpha" => byte.is_ascii_alphabetic(),
        b"blank" => matches!(byte, b' ' | b'\t'),
        b"cntrl" => byte.is_ascii_control(),
        b"digit" => byte.is_ascii_digit(),
        b"graph" => byte.is_ascii_graphic(),
        b"lower" => byte.is_ascii_lowercase(),
        b"print" => byte == b' ' || byte.is_ascii_graphic(),
        b"punct" => byte.is_ascii_punctuation(),
        b"space" => matches!(byte, b' ' | 0x09..=0x0d),
        b"upper" => byte.is_ascii_uppercase(),
        b"xdigit" => byte.is_ascii_hexdigit(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(table: &[(&str, &str, bool)]) {
        for (pattern, text, expected) in table {
            assert_eq!(
                wild_match(pattern.as_bytes(), text.as_bytes()),
                *expected,
                "pattern {pattern:?}, text {text:?}"
            );
        }
    }

    #[test]
    fn stars_and_question_marks() {
        check(&[
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "a/b", false),
            ("**", "a/b", true),
            ("***", "a/b", true),
            ("?", "/", false),
            ("?", "", false),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxcyyb", false),
            ("*/b", "a/b", true),
            ("*/b", "a/a/b", false),
            ("**/b", "a/a/b", true),
            ("**/b", "b", false),
            ("a/**/b", "a/b", false),
            ("a/**/b", "a/x/y/b", true),
            ("**a*b", "x/ac/ab", true),
            ("**a*b", "x/ac/b", false),
            ("**/a*/b", "x/ac/a/b", true),
            ("**a*", "x/a/b", false),
            ("**aab", "x/aaab", true),
            ("*a", "aab", false),
            ("**x**y", "y/x", false),
            ("**x**y", "a/x/b/y", true),
        ]);
    }

    #[test]
    fn classes_and_escapes() {
        check(&[
            ("[abc]", "b", true),
            ("[abc]", "d", false),
            ("[!abc]", "d", true),
            ("[^abc]", "a", false),
            ("[a-c]", "b", true),
            ("[c-a]", "b", false),
            ("[a-]", "-", true),
            ("[-a]", "-", true),
            ("[a-c-e]", "d", false),
            ("[a-c-e]", "-", true),
            ("[]]", "]", true),
            ("[!]]", "]", false),
            ("[]-a]", "^", true),
            ("[\\]]", "]", true),
            ("[\\\\]", "\\", true),
            ("[a-\\c]", "b", true),
            ("[a\\-c]", "b", false),
            ("[a", "a", false),
            ("[", "[", false),
            ("[]", "]", false),
            ("[/]", "/", false),
            ("[!a]", "/", false),
            ("[/a]", "a", true),
            ("a\\", "a\\", false),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("\\a", "a", true),
            ("[[]", "[", true),
            ("[[:]", ":", true),
            ("[[:]", "[", true),
            ("[[:a]", "a", true),
            ("[[:digit:]]", "5", true),
            ("[[:digit:]x]", "x", true),
            ("[![:digit:]]", "5", false),
            ("[[:digit:]-z]", "m", false),
            ("[[:digit:]-z]", "-", true),
            ("[[:DIGIT:]]", "5", false),
            ("[[:nonsense:]a]", "a", false),
            ("[a[:nonsense:]]", "a", false),
            ("[[::]]", "a", false),
            ("[[:digit:", "5", false),
        ]);
    }

    #[test]
    fn the_twelve_posix_classes_have_their_size_in_the_c_locale() {
        for (name, size) in [
            ("alnum", 62),
            ("alpha", 52),
            ("blank", 2),
            ("cntrl", 33),
            ("digit", 10),
            ("graph", 94 - 1),
            ("lower", 26),
            ("print", 95 - 1),
            ("punct", 32 - 1),
            ("space", 6),
            ("upper", 26),
            ("xdigit", 22),
        ] {
            let pattern = format!("[[:{name}:]]");
            let members = (0..=u8::MAX).filter(|byte| wild_match(pattern.as_bytes(), &[*byte])).count();
            assert_eq!(members, size, "{name} (the slash never matches)");
        }
    }

    #[test]
    fn a_glob_matches_dot_files_but_not_the_dots() {
        assert!(glob_component(b"*", b".hidden"));
        assert!(!glob_component(b"*", b"."));
        assert!(!glob_component(b"??", b".."));
        assert!(glob_component(b"a[ ]mod", b"a mod"));
        assert!(has_wildcards(b"a[") && has_wildcards(b"?") && has_wildcards(b"*") && !has_wildcards(b"a\\]"));
    }

    #[test]
    fn hostile_patterns_stay_within_the_product_of_the_lengths() {
        let long = |unit: &str, times: usize| unit.repeat(times);
        for (pattern, text) in [
            ("*a*a*a*a*a*a*a*a*b".to_owned(), long("a", 4_000)),
            ("**a**a**a**a**a**a**b".to_owned(), long("a", 4_000)),
            (long("*a", 1_000) + "b", long("a", 4_000)),
            (long("**a*a", 500) + "b", long("a", 4_000)),
            ("**".to_owned() + &long("a", 1_000) + "*b", long("a", 4_000)),
            ("**".to_owned() + &long("a*/", 300) + "b", long("a/", 2_000)),
            ("**a*".to_owned() + &long("a", 900) + "b", long("aaaaaaaaaaaa/", 300)),
            ("**/*a*a*a*a*a/*a*a*a*a*b".to_owned(), long("aaaaaaaaaaaaaaaaaaaaaaaaa/", 150)),
            ("**".to_owned() + &long("a/", 500) + "b", long("a/", 2_000)),
        ] {
            let mut steps = 0;
            assert!(!search(pattern.as_bytes(), |at| text.as_bytes().get(at).copied(), &mut steps));
            let bound = 2 * u64::try_from(pattern.len() * text.len()).unwrap();
            assert!(steps <= bound, "{steps} steps, bound {bound}, pattern {}", &pattern[..20]);
        }
    }

    #[test]
    fn a_class_of_many_openings_is_read_once() {
        let pattern = format!("[{}a]", "[:".repeat(2_500));
        assert!(wild_match(pattern.as_bytes(), b"a"));
        assert!(!wild_match(pattern.as_bytes(), b"b"));
    }

    /// What section 6.3 says, word for word, without a thought for time.
    fn naive(pattern: &[u8], text: &[u8]) -> bool {
        let stars = pattern.iter().take_while(|byte| **byte == b'*').count();
        if stars > 0 {
            let reach =
                if stars > 1 { text.len() } else { text.iter().position(|byte| *byte == b'/').unwrap_or(text.len()) };
            return (0..=reach).any(|taken| naive(&pattern[stars..], &text[taken..]));
        }
        match (pattern, text) {
            ([], []) => true,
            ([b'[', negation, b'a', b']', more @ ..], [byte, rest @ ..]) if *negation == b'!' => {
                *byte != b'a' && *byte != b'/' && naive(more, rest)
            }
            ([b'?', more @ ..], [byte, rest @ ..]) => *byte != b'/' && naive(more, rest),
            ([b'\\', wanted, more @ ..], [byte, rest @ ..]) => wanted == byte && naive(more, rest),
            ([wanted, more @ ..], [byte, rest @ ..]) => wanted == byte && naive(more, rest),
            _ => false,
        }
    }

    fn token() -> impl Strategy<Value = &'static str> {
        proptest::sample::select(vec!["a", "b", "/", "*", "**", "?", "[!a]", "\\a", "\\*"])
    }

    fn letter() -> impl Strategy<Value = u8> {
        proptest::sample::select(b"aaabb//*".to_vec())
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 20_000, ..ProptestConfig::default() })]

        #[test]
        fn agrees_with_a_naive_matcher(
            pattern in proptest::collection::vec(token(), 0..10),
            text in proptest::collection::vec(letter(), 0..12),
        ) {
            let pattern = pattern.concat();
            prop_assert_eq!(wild_match(pattern.as_bytes(), &text), naive(pattern.as_bytes(), &text));
        }

        #[test]
        fn any_bytes_end_in_an_answer(
            pattern in proptest::collection::vec(any::<u8>(), 0..40),
            text in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let _ = wild_match(&pattern, &text);
            prop_assert!(wild_match(b"**", &text));
        }
    }
}
