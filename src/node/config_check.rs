//! Finds every mistake in a configuration at once, and says where each one is.
//!
//! A deserialiser stops at the first thing that it does not like and knows no lines. So each key of each layer is asked for by itself:
//! is there such a key (else: which is nearest), and does its value fit (else: in our words). Only what is sound is merged into the
//! configuration; what is not keeps its default, so that the checks between keys can still run and report too.
//!
//! The schema is the set of defaults; nothing is listed twice. A name in the environment is the key with `_` for `.`; that no two keys
//! share a name is held by a test.

use std::collections::BTreeMap;
use std::fmt;

use figment::error::{Actual, Kind};
use figment::providers::{Format, Serialized, Toml};
use figment::value::{Dict, Num, Value};
use figment::{Figment, Profile, Provider};

use super::config::{Environment, FILE, PREFIX};
use super::config_raw::Raw;

/// Something in a configuration that cannot be meant.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Mistake {
    /// Where it is written.
    pub place: Place,
    /// The key, with dots; empty where a text is no TOML at all.
    pub key: String,
    /// What is wrong, and what to write.
    pub why: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.place, self.key.as_str()) {
            (place @ Place::File { .. }, "") => write!(f, "{place}: {}", self.why),
            (place @ Place::File { .. }, key) => write!(f, "{place}, {key}: {}", self.why),
            (place, _) => write!(f, "{place}: {}", self.why),
        }
    }
}

/// Where a value is written.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Place {
    /// In `headwater.toml`.
    File {
        /// Line and column, in characters, both counted from 1; `None`: the key is not there, and should be.
        at: Option<(usize, usize)>,
    },
    /// In the environment.
    Environment {
        /// The variable.
        name: String,
    },
    /// On the command line.
    Flag {
        /// The flag, with its dashes.
        name: String,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File { at: Some((line, column)) } => write!(f, "{FILE}:{line}:{column}"),
            Place::File { at: None } => f.write_str(FILE),
            Place::Environment { name } => write!(f, "environment, {name}"),
            Place::Flag { name } => write!(f, "command line, {name}"),
        }
    }
}

/// All layers put together, as far as they are sound.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) raw: Raw,
    pub(super) mistakes: Vec<Mistake>,
    places: BTreeMap<String, Place>,
}

impl Settled {
    /// Adds a mistake of a key, at the place that its value came from; a key is blamed once.
    pub(super) fn mistake(&mut self, key: &str, why: String) {
        let place = self.places.get(key).cloned();
        // A file that could not be read at all may well hold what is missing.
        let unread = place.is_none() && self.mistakes.iter().any(|mistake| mistake.key.is_empty());
        if unread || self.mistakes.iter().any(|mistake| mistake.key == key) {
            return;
        }
        self.mistakes.push(Mistake { place: place.unwrap_or(Place::File { at: None }), key: key.to_owned(), why });
    }
}

/// A value that a layer gives to a key.
struct Given {
    key: String,
    value: Value,
    place: Place,
}

/// Every known key with its default.
struct Schema(BTreeMap<String, Value>);

/// Puts the layers together: the file's text, then the environment, then the flags.
pub(super) fn settle(text: &str, environment: &Environment, flags: &[(&'static str, String)]) -> Settled {
    let schema = Schema::new();
    let mut settled = Settled { raw: Raw::defaults(), mistakes: Vec::new(), places: BTreeMap::new() };
    let mut given = Vec::new();
    match from_file(text) {
        Ok(values) => given.extend(values),
        Err(mistake) => settled.mistakes.push(mistake),
    }
    for (name, value) in environment.keys() {
        match schema.key_of_variable(name) {
            Some(key) => given.push(Given {
                key: key.to_owned(),
                value: schema.typed(key, value),
                place: Place::Environment { name: name.to_owned() },
            }),
            None => settled.mistakes.push(schema.no_such_variable(name)),
        }
    }
    for (key, value) in flags {
        given.push(Given {
            key: (*key).to_owned(),
            value: schema.typed(key, value),
            place: Place::Flag { name: format!("--{}", key.replace(['.', '_'], "-")) },
        });
    }
    merge(&schema, given, &mut settled);
    settled
}

/// Asks every value by itself, and merges those that fit.
fn merge(schema: &Schema, given: Vec<Given>, settled: &mut Settled) {
    let defaults = Figment::from(Serialized::defaults(Raw::defaults()));
    let mut sound = defaults.clone();
    for Given { key, value, place } in given {
        let why = match schema.0.contains_key(&key) {
            false => Some(schema.no_such_key(&key)),
            true => {
                let alone = defaults.clone().merge(Serialized::default(&key, value.clone()));
                alone.extract::<Raw>().err().map(|error| words(&error.kind))
            }
        };
        match why {
            Some(why) => settled.mistakes.push(Mistake { place, key, why }),
            None => {
                sound = sound.merge(Serialized::default(&key, value));
                settled.places.insert(key, place);
            }
        }
    }
    match sound.extract() {
        Ok(raw) => settled.raw = raw,
        Err(error) => settled.mistakes.push(Mistake {
            place: Place::File { at: None },
            key: String::new(),
            why: error.to_string(),
        }),
    }
}

/// The values of the file, in its order.
fn from_file(text: &str) -> Result<Vec<Given>, Mistake> {
    let unread = |at, why| Mistake { place: Place::File { at }, key: String::new(), why };
    let document = toml_edit::ImDocument::parse(text).map_err(|error| {
        let at = error.span().map(|span| place_at(text, span.start));
        unread(at, format!("this is no TOML: {}", error.message().trim().replace('\n', ", ")))
    })?;
    let data = Toml::string(text).data().map_err(|error| unread(None, error.to_string()))?;
    let values = data.get(&Profile::Default).cloned().unwrap_or_default();
    let given = flat(&values).into_iter().map(|(key, value)| Given {
        place: Place::File { at: place_of(&document, text, &key) },
        key,
        value,
    });
    Ok(given.collect())
}

/// Where a key is written, or the innermost table around it that is.
fn place_of(document: &toml_edit::ImDocument<&str>, text: &str, key: &str) -> Option<(usize, usize)> {
    let mut table = document.as_item().as_table_like()?;
    let mut found = None;
    for part in key.split('.') {
        let Some((name, item)) = table.get_key_value(part) else {
            break;
        };
        found = name.span().map(|span| place_at(text, span.start)).or(found);
        match item.as_table_like() {
            Some(inner) => table = inner,
            None => break,
        }
    }
    found
}

fn place_at(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (before.matches('\n').count() + 1, column)
}

/// Nested tables as dotted keys. An empty table stays a key of its own, unless it is one of ours.
fn flat(values: &Dict) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    for (key, value) in values {
        match value {
            Value::Dict(_, inner) if inner.is_empty() && TABLES.contains(&key.as_str()) => {}
            Value::Dict(_, inner) if !inner.is_empty() => {
                let inner = flat(inner).into_iter();
                all.extend(inner.map(|(rest, value)| (format!("{key}.{rest}"), value)));
            }
            _ => all.push((key.clone(), value.clone())),
        }
    }
    all
}

/// The tables of the file; each may be empty. Held against the schema by a test.
const TABLES: [&str; 5] = ["keep", "limits", "listen", "log", "scrub"];

impl Schema {
    fn new() -> Schema {
        let data = Serialized::defaults(Raw::defaults()).data();
        let values = data.ok().and_then(|mut data| data.remove(&Profile::Default));
        Schema(flat(&values.unwrap_or_default()).into_iter().collect())
    }

    fn key_of_variable(&self, name: &str) -> Option<&str> {
        let keys = self.0.keys().map(String::as_str);
        keys.into_iter().find(|key| variable(key) == name)
    }

    /// A text as a value of the kind that the key has; what does not fit stays a text, and is then refused with its own words.
    fn typed(&self, key: &str, text: &str) -> Value {
        let number = matches!(self.0.get(key), Some(Value::Num(..)));
        match text.parse::<u64>() {
            Ok(value) if number => Value::from(value),
            _ => Value::from(text),
        }
    }

    fn no_such_key(&self, key: &str) -> String {
        if TABLES.contains(&key) {
            return format!("this is a table: write [{key}] on a line of its own, its keys below");
        }
        let outer = key.rsplit_once('.').filter(|(outer, _)| self.0.contains_key(*outer));
        if let Some((outer, _)) = outer {
            return format!("{outer} is one value, no table");
        }
        let keys = self.0.keys().map(String::as_str);
        match nearest(key, keys, '.') {
            Some(near) => format!("no such key; did you mean {near}?"),
            None => "no such key".to_owned(),
        }
    }

    fn no_such_variable(&self, name: &str) -> Mistake {
        let names: Vec<String> = self.0.keys().map(|key| variable(key)).collect();
        let near = nearest(name, names.iter().map(String::as_str), '_');
        Mistake {
            place: Place::Environment { name: name.to_owned() },
            key: name.to_owned(),
            why: match near {
                Some(near) => format!("no such variable; did you mean {near}?"),
                None => "no such variable".to_owned(),
            },
        }
    }
}

/// The name of a key in the environment.
fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "_").to_uppercase())
}

/// The known name that was probably meant: a slip of the keyboard, or the right name in the wrong table.
fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>, separator: char) -> Option<&'a str> {
    let last = |text: &'a str| text.rsplit(separator).next().unwrap_or(text);
    let own_last = name.rsplit(separator).next().unwrap_or(name);
    let distance = |near: &&'a str| {
        let whole = strsim::damerau_levenshtein(name, near);
        let elsewhere = 1 + strsim::damerau_levenshtein(own_last, last(near));
        whole.min(elsewhere)
    };
    // Beyond a third of the name nothing is recognised any more.
    let close = |(far, _): &(usize, &str)| *far <= (own_last.len() / 3).max(2);
    let scored = known.map(|near| (distance(&near), near)).filter(close);
    scored.min().map(|(_, near)| near)
}

/// What the deserialiser has to say, in our words.
fn words(kind: &Kind) -> String {
    match kind {
        Kind::InvalidType(found, expected) | Kind::InvalidValue(found, expected) => {
            let expected = match expected.as_str() {
                "u32" => "a whole number up to 4294967295",
                "a string" => "a text in quotes",
                other => other,
            };
            format!("{} where {expected} belongs", written_as(found))
        }
        Kind::UnknownVariant(found, known) => {
            format!("{found:?} is none of {}", known.join(", "))
        }
        Kind::Message(message) => message.clone(),
        other => other.to_string(),
    }
}

/// A value of the wrong kind, as its writer would call it.
fn written_as(found: &Actual) -> String {
    match found {
        Actual::Str(text) => format!("{text:?} stands"),
        Actual::Bool(value) => format!("{value} stands"),
        Actual::Unsigned(value) => format!("{value} stands"),
        Actual::Signed(value) => format!("{value} stands"),
        Actual::Float(value) => format!("{value} stands"),
        Actual::Seq => "a list stands".to_owned(),
        Actual::Map => "a table stands".to_owned(),
        other => format!("{other} stands"),
    }
}

/// Every key with its value, as it would be written.
pub(super) fn written(raw: &Raw) -> BTreeMap<String, String> {
    let data = Serialized::defaults(raw).data();
    let values = data.ok().and_then(|mut data| data.remove(&Profile::Default));
    let values = flat(&values.unwrap_or_default()).into_iter();
    values
        .map(|(key, value)| {
            let text = match value {
                Value::String(_, text) => text,
                Value::Num(_, Num::U32(number)) => number.to_string(),
                other => format!("{other:?}"),
            };
            (key, text)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::config::{ConfigError, Environment, Sources};
    use super::*;

    /// What is wrong with these layers, a line a mistake; the empty list: nothing.
    #[track_caller]
    fn check(text: &str, environment: &[(&str, &str)], flags: &[(&'static str, &str)], expected: &[&str]) {
        let pairs = environment.iter();
        let sources = Sources {
            dir: "/d".into(),
            environment: Environment::of(pairs.map(|(n, v)| ((*n).into(), (*v).into()))),
            flags: flags.iter().map(|(key, v)| (*key, (*v).into())).collect(),
        };
        let found = match sources.resolve(text) {
            Ok(_) => Vec::new(),
            Err(ConfigError::Wrong { mistakes }) => mistakes.iter().map(ToString::to_string).collect(),
            Err(other) => panic!("{other}"),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn all_mistakes_of_all_layers_are_told_at_once_in_order() {
        check(
            "nam = \"gw\"\n\n[limits]\nconections = 3\nmemory = \"5MB\"\nidle = \"soon\"\n",
            &[("HEADWATER_LIMITS_CONNECTIONS", "many"), ("HEADWATER_LOG_FORMAT", "xml")],
            &[("listen.rsync", "nowhere")],
            &[
                "headwater.toml, name: every node has a name: write such as name = \"gw\"",
                "headwater.toml:1:1, nam: no such key; did you mean name?",
                "headwater.toml:4:1, limits.conections: no such key; did you mean limits.connections?",
                "headwater.toml:5:1, limits.memory: \"MB\" is no unit of size: use B, KiB, MiB, GiB or TiB",
                "headwater.toml:6:1, limits.idle: \"soon\" is no duration: write such as \"30s\" or \"2h\"",
                "environment, HEADWATER_LIMITS_CONNECTIONS: \"many\" stands where a whole number up to 4294967295 belongs",
                "environment, HEADWATER_LOG_FORMAT: \"xml\" is none of text, json",
                "command line, --listen-rsync: \"nowhere\" is no address: write an IP address with a port, such as \"127.0.0.1:1873\" or \"[::]:873\", or \"off\"",
            ],
        );
    }

    #[test]
    fn a_mistake_names_the_key_that_was_probably_meant() {
        let file = |text: &str, expected: &str| {
            check(&format!("name = \"gw\"\n{text}\n"), &[], &[], &[expected]);
        };
        file("connections = 5", "headwater.toml:2:1, connections: no such key; did you mean limits.connections?");
        file("[limit]\nidle = \"1m\"", "headwater.toml:3:1, limit.idle: no such key; did you mean limits.idle?");
        file("[log]\nidle = \"1m\"", "headwater.toml:3:1, log.idle: no such key; did you mean limits.idle?");
        file("zebra = 1", "headwater.toml:2:1, zebra: no such key");
        file(
            "limits = 5",
            "headwater.toml:2:1, limits: this is a table: write [limits] on a line of its own, its keys below",
        );
        file("[drain]\nafter = 5", "headwater.toml:3:1, drain.after: drain is one value, no table");
        file("[empty]", "headwater.toml:2:2, empty: no such key");
        check(
            "name = \"gw\"",
            &[("HEADWATER_LISTEN_RSNYC", "off")],
            &[],
            &["environment, HEADWATER_LISTEN_RSNYC: no such variable; did you mean HEADWATER_LISTEN_RSYNC?"],
        );
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_told_in_plain_words() {
        let file = |text: &str, expected: &str| {
            check(&format!("name = \"gw\"\n{text}\n"), &[], &[], &[expected]);
        };
        file(
            "[limits]\nconnections = -1",
            "headwater.toml:3:1, limits.connections: -1 stands where a whole number up to 4294967295 belongs",
        );
        file(
            "[limits]\nconnections = \"5\"",
            "headwater.toml:3:1, limits.connections: \"5\" stands where a whole number up to 4294967295 belongs",
        );
        file(
            "[limits]\nmemory = 64",
            "headwater.toml:3:1, limits.memory: 64 stands where a size in quotes, such as \"64MiB\" belongs",
        );
        file("motd = true", "headwater.toml:2:1, motd: true stands where a text in quotes belongs");
        file("[listen]\nrsync = [5]", "headwater.toml:3:1, listen.rsync: 5 stands where a text in quotes belongs");
        file(
            "[listen]\nrsync = []",
            "headwater.toml:3:1, listen.rsync: an empty list is no address: write \"off\" to listen nowhere",
        );
        file("motd = \n", "headwater.toml:2:8: this is no TOML: invalid string, expected `\"`, `'`");
    }

    #[test]
    fn what_holds_between_keys_and_within_bounds_is_checked_where_the_value_stands() {
        check("", &[("HEADWATER_NAME", "gw")], &[], &[]);
        check(
            "name = \"g w\"\n[limits]\nconnections = 10\nidle = \"1s\"\n[keep]\ngenerations = 100\n[listen]\nrsync = [\"::1\", \"[::1]:873\"]",
            &[("HEADWATER_LIMITS_PER_CLIENT", "11")],
            &[("log.filter", "a=b=c"), ("listen.http", "[::]:8080")],
            &[
                "headwater.toml, keep.most: it cannot be less than keep.generations",
                "headwater.toml:1:1, name: \"g w\" is no node name: letters, digits, `.`, `_` and `-`, starting with a letter or digit, at most 64 characters",
                "headwater.toml:4:1, limits.idle: 1s is out of bounds: it can be 10s to 1day",
                "headwater.toml:8:1, listen.rsync: an address is there twice",
                "environment, HEADWATER_LIMITS_PER_CLIENT: one client cannot have more than limits.connections",
                "command line, --listen-http: this version has no such door: leave it \"off\"",
                "command line, --log-filter: that is no filter: write such as \"info\" or \"info,headwater::serve=debug\"",
            ],
        );
    }

    #[test]
    fn a_later_layer_goes_before_an_earlier_one() {
        let text = "name = \"file\"\nmotd = \"motd.txt\"\n[limits]\nconnections = 300\n";
        let sources = Sources {
            dir: "/d".into(),
            environment: Environment::of([
                ("HEADWATER_DIR".to_owned(), "/elsewhere".to_owned()),
                ("HEADWATER_NAME".to_owned(), "007".to_owned()),
                ("HEADWATER_LISTEN_RSYNC".to_owned(), "[::1]:1, 127.0.0.1".to_owned()),
                ("HOME".to_owned(), "/root".to_owned()),
            ]),
            flags: vec![("limits.connections", "400".to_owned())],
        };
        let config = sources.resolve(text).unwrap();
        assert_eq!(config.name.as_str(), "007");
        assert_eq!(config.limits.connections, 400);
        assert_eq!(config.limits.per_client, 100);
        assert_eq!(config.motd.as_deref(), Some("/d/motd.txt".as_ref()));
        let listen: Vec<String> = config.listen.rsync.iter().map(ToString::to_string).collect();
        assert_eq!(listen, ["[::1]:1", "127.0.0.1:873"]);
    }

    #[test]
    fn a_reload_tells_what_it_takes_in_and_what_waits() {
        let sources = Sources { dir: "/d".into(), environment: Environment::default(), flags: Vec::new() };
        let old = sources.resolve("name = \"gw\"").unwrap();
        let new = sources
            .resolve(
                "name = \"gw\"\ndrain = \"5s\"\nmotd = \"hello\"\n[listen]\nrsync = \"off\"\n[limits]\nidle = \"600s\"",
            )
            .unwrap();
        let differences = old.differences(&new);
        assert_eq!(differences.at_once, ["motd"]);
        assert_eq!(differences.at_restart, ["drain", "listen.rsync"]);
        let text =
            "name = \"gw\"\nsecrets = \"s\"\nproxy = \"::1\"\n[limits]\nbuffer = \"2MiB\"\n[scrub]\nrate = \"1MiB\"";
        let differences = old.differences(&sources.resolve(text).unwrap());
        assert_eq!(differences.at_once, ["limits.buffer", "proxy", "scrub.rate", "secrets"]);
        assert!(differences.at_restart.is_empty());
    }

    #[test]
    fn no_two_keys_share_a_name_in_the_environment_and_every_table_is_known() {
        let schema = Schema::new();
        let mut names: Vec<String> = schema.0.keys().map(|key| variable(key)).collect();
        names.push(super::super::config::DIR_VARIABLE.to_owned());
        names.push(super::super::config::FAILPOINT_VARIABLE.to_owned());
        names.sort();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
        let mut tables: Vec<&str> = schema.0.keys().filter_map(|key| Some(key.split_once('.')?.0)).collect();
        tables.dedup();
        assert_eq!(tables, TABLES);
        assert_eq!(schema.0.len(), 29);
    }
}
