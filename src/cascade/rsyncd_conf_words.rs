//! The lists inside the values of an `rsyncd.conf`: hosts, users, filter rules and paths, taken apart as rsyncd does.
//!
//! What cannot be carried over is an error with a sentence, never left out: a rule that got lost on the way would open
//! what it closed.
//! Deliberately absent: what the words are for.

use std::net::IpAddr;

use ipnet::IpNet;

/// Words parted by blanks and commas; by commas only if the list begins with one.
pub(super) fn words(value: &str) -> Vec<&str> {
    let parted: Vec<&str> = match value.starts_with(',') {
        true => value.split(',').map(str::trim).collect(),
        false => value.split(|c: char| c == ',' || c.is_whitespace()).collect(),
    };
    parted.into_iter().filter(|word| !word.is_empty()).collect()
}

/// A number as rsyncd reads it: digits behind a sign, whatever follows them, in 32 bits; zero if there are none.
pub(super) fn number(value: &str) -> i32 {
    let value = value.trim_start();
    let (sign, digits) = match value.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, value.strip_prefix('+').unwrap_or(value)),
    };
    let more = |number: i64, digit: u8| number.saturating_mul(10).saturating_add(sign * i64::from(digit - b'0'));
    let whole = digits.bytes().take_while(u8::is_ascii_digit).fold(0, more);
    let low = whole.rem_euclid(1 << 32);
    i32::try_from(if low < 1 << 31 { low } else { low - (1 << 32) }).unwrap_or(0)
}

/// The first `%NAME%` in a value, in whose place rsyncd may put something of its environment, whatever it is.
pub(super) fn variable(value: &str) -> Option<&str> {
    let name = |name: &&str| !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_ascii_lowercase());
    let parts: Vec<&str> = value.split('%').collect();
    // What stands between two signs; the first and the last part have one only.
    let between = parts.get(1..parts.len().saturating_sub(1)).unwrap_or_default();
    between.iter().copied().find(name)
}

/// A word of `hosts allow`, `hosts deny` or `proxy protocol hosts`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Host<'w> {
    /// An address or a network, as it may be written in a topology.
    Network(&'w str),
    /// A host name.
    Name(&'w str),
}

impl<'w> Host<'w> {
    pub(super) fn read(word: &'w str) -> Result<Self, String> {
        if word == "*" || is_network(word) {
            return Ok(Self::Network(word));
        }
        if word.contains('%') {
            return Err(format!("{word} has a scope, which means something on one machine only"));
        }
        if word.starts_with('@') {
            return Err(format!("{word} is a netgroup: write its networks"));
        }
        if word.contains(['*', '?', '[']) {
            return Err(format!("{word} is a pattern of names, and no client's name is looked up: write its networks"));
        }
        let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        let last = word.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
        let labels = word.trim_end_matches('.').split('.').all(|label| !label.is_empty() && label.len() <= 63);
        let is_name = word.len() <= 253
            && word.chars().all(letters)
            && !word.starts_with('-')
            && labels
            && last.chars().any(|c| !c.is_ascii_digit());
        match is_name {
            true => Ok(Self::Name(word)),
            false => Err(format!("{word} is no address, no network and no host name")),
        }
    }
}

fn is_network(word: &str) -> bool {
    let masked = || {
        let (address, mask) = word.split_once('/')?;
        IpNet::with_netmask(address.parse().ok()?, mask.parse().ok()?).ok()
    };
    word.parse::<IpAddr>().is_ok() || word.parse::<IpNet>().is_ok() || masked().is_some()
}

/// The patterns of `exclude` and `include`: words, each of which may have its own `- ` or `+ ` in front.
pub(super) fn patterns(value: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = value.trim_start();
    while !rest.is_empty() {
        let own = ["- ", "+ "].into_iter().find(|own| rest.starts_with(own));
        let after = own.map_or(rest, |_| rest.get(2..).unwrap_or_default().trim_start());
        let (pattern, next) = word(after);
        found.push(format!("{}{pattern}", own.unwrap_or_default()));
        rest = next;
    }
    found
}

/// The rules of `filter`: words again, but a rule's name and its pattern belong together.
pub(super) fn rules(value: &str) -> Result<Vec<String>, String> {
    /// Rules in a letter, and those whose name has several. Rules that read a file are not carried over, nor those for one
    /// side of a transfer, which mean something else in a daemon's list.
    const LETTERS: &str = "-+";
    const NAMES: [&str; 2] = ["exclude", "include"];
    let mut found = Vec::new();
    let mut rest = value.trim_start();
    while !rest.is_empty() {
        let (head, after) = word(rest);
        if head == "!" || head == "clear" {
            found.push("!".to_owned());
            rest = after;
            continue;
        }
        // `-_x` and `- x` are the same; modifiers stand behind the letter, or behind a comma.
        let (name, pattern) = match head.split_once('_') {
            Some((name, pattern)) => (name, Some(pattern)),
            None => (head, None),
        };
        let letter = name.chars().next().is_some_and(|letter| LETTERS.contains(letter));
        let (kind, modifiers) = match name.split_once(',') {
            Some((kind, modifiers)) => (kind, modifiers),
            None if letter => name.split_at(1),
            None => (name, ""),
        };
        let known = (letter && kind.len() == 1) || NAMES.contains(&kind);
        if !known || !modifiers.chars().all(|modifier| "/!C".contains(modifier)) {
            return Err(format!(
                "the rule {head:?} is not one that can be carried over: write its patterns into `exclude`"
            ));
        }
        let (pattern, next) = match pattern {
            Some(pattern) => (pattern, after),
            None => word(after),
        };
        let separate = if letter && kind.len() == 1 { "" } else { "," };
        let modifiers = if modifiers.is_empty() { String::new() } else { format!("{separate}{modifiers}") };
        found.push(format!("{kind}{modifiers} {pattern}").trim_end().to_owned());
        rest = next;
    }
    Ok(found)
}

/// The first word of a text that begins with one, and what follows it.
fn word(text: &str) -> (&str, &str) {
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    (word, rest.trim_start())
}

/// The lines of a file of patterns, without comments.
pub(super) fn lines_of_patterns(text: &str) -> Vec<String> {
    let is_pattern = |line: &&str| !line.is_empty() && !line.starts_with(['#', ';']);
    text.lines().map(|line| line.trim_end_matches('\r')).filter(is_pattern).map(str::to_owned).collect()
}

/// A path without `.`, without double slashes, and without a slash at its end.
pub(super) fn clean_path(path: &str) -> Result<String, String> {
    if !path.starts_with('/') {
        return Err("a path that does not begin with a slash depends on where rsyncd was started".to_owned());
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if parts.contains(&"..") {
        return Err("where a path with .. leads depends on the symlinks on the way: write it without".to_owned());
    }
    if path.matches('%').count() > 1 {
        return Err("a path with % is another one for each client: write a module for each directory".to_owned());
    }
    Ok(format!("/{}", parts.join("/")))
}

/// A text in quotes, for TOML.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// A list of texts in quotes.
pub(super) fn list<T: AsRef<str>>(texts: &[T]) -> String {
    let texts: Vec<String> = texts.iter().map(|text| quoted(text.as_ref())).collect();
    format!("[{}]", texts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_parted_as_rsyncd_parts_them() {
        let check = |value: &str, expected: &[&str]| assert_eq!(words(value), expected, "{value}");
        check("a b,c, d\te", &["a", "b", "c", "d", "e"]);
        check(", joe:deny, @Some Group:deny,", &["joe:deny", "@Some Group:deny"]);
        check("", &[]);
        check(" , ,", &[]);
    }

    #[test]
    fn a_number_is_what_stands_in_front() {
        for (value, expected) in [
            ("20", 20),
            ("10 # ten", 10),
            (" -1;", -1),
            ("-1  # off", -1),
            ("+5", 5),
            ("-0", 0),
            ("", 0),
            ("soon", 0),
            ("- 1", 0),
            ("--1", 0),
            ("0x5", 0),
            ("2147483647", i32::MAX),
            ("2147483648", i32::MIN),
            ("4294967295", -1),
            ("99999999999999999999", -1),
            ("-99999999999999999999", 0),
        ] {
            assert_eq!(number(value), expected, "{value}");
        }
    }

    #[test]
    fn a_variable_stands_between_signs() {
        let check = |value: &str, expected: Option<&str>| assert_eq!(variable(value), expected, "{value}");
        check("%HIDE%", Some("HIDE"));
        check("a%R_S%b", Some("R_S"));
        check("100% %A-B%", Some("A-B"));
        check("%A1%", Some("A1"));
        for plain in ["", "%", "%%", "100%", "%HIDE", "%HI DE%", "%hide%", "50% 100%"] {
            check(plain, None);
        }
    }

    #[test]
    fn a_host_is_a_network_or_a_name_or_told_why_not() {
        let shown = |word: &str| match Host::read(word) {
            Ok(Host::Network(net)) => format!("net {net}"),
            Ok(Host::Name(name)) => format!("name {name}"),
            Err(why) => why,
        };
        for net in ["*", "10.0.0.1", "10.0.0.0/8", "10.0.0.0/255.0.0.0", "::1", "2001:db8::/32", "fe80::/ffff:ffff::"] {
            assert_eq!(shown(net), format!("net {net}"));
        }
        for name in ["localhost", "mirror.example", "a_b-c.example.", "1and1.example"] {
            assert_eq!(shown(name), format!("name {name}"));
        }
        for (word, part) in [
            ("*.example", "pattern of names"),
            ("@trusted", "netgroup"),
            ("fe80::1%eth0", "scope"),
            ("10.0.0", "no address"),
            ("a..b", "no address"),
            ("-a.example", "no address"),
            ("10.0.0.0/33", "no address"),
        ] {
            assert!(shown(word).contains(part), "{word}: {}", shown(word));
        }
    }

    #[test]
    fn patterns_are_words_with_a_sign_of_their_own() {
        let check = |value: &str, expected: &[&str]| assert_eq!(patterns(value), expected, "{value}");
        check("/distfiles /packages", &["/distfiles", "/packages"]);
        check("+ /a/   - *.o b", &["+ /a/", "- *.o", "b"]);
        check("a ! b", &["a", "!", "b"]);
        check("  ", &[]);
        check("-a +b", &["-a", "+b"]);
    }

    #[test]
    fn rules_keep_their_patterns() {
        let check = |value: &str, expected: &[&str]| assert_eq!(rules(value).unwrap(), expected, "{value}");
        check("- /foo  - /bar", &["- /foo", "- /bar"]);
        check("-_/foo +_*/ -_*", &["- /foo", "+ */", "- *"]);
        check("exclude,! */ include_b", &["exclude,! */", "include b"]);
        check("-! */ clear -/ x", &["-! */", "!", "-/ x"]);
        check("! - a", &["!", "- a"]);
        for wrong in [
            "merge /etc/rules",
            ". /etc/rules",
            ": .rules",
            "dir-merge_.rules",
            "/foo",
            "-n x",
            "bogus x",
            "H x",
            "P x",
            "hide x",
            "-s x",
        ] {
            assert!(rules(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_path_is_cleaned_or_told_why_not() {
        let check = |path: &str, expected: &str| assert_eq!(clean_path(path).unwrap(), expected, "{path}");
        check("/srv//mirror/", "/srv/mirror");
        check("/var/ftp/./pub", "/var/ftp/pub");
        check("/", "/");
        for wrong in ["", "mirror", "/a/../b", "/home/%RSYNC_USER_NAME%"] {
            assert!(clean_path(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_quoted_is_read_back() {
        for text in ["", "plain", "a \"quoted\" \\ one", "tab\tand\nline", "\u{7f}\u{1}\r", "fünf ☃"] {
            let document = toml_edit::ImDocument::parse(format!("x = {}\n", list(&[text]))).unwrap();
            let found = document.as_table().get("x").and_then(|x| x.as_array()).and_then(|x| x.get(0)?.as_str());
            assert_eq!(found, Some(text));
        }
    }
}
