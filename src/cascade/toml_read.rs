//! Reading TOML by asking: each section is asked for the keys that it may have, and mistakes are collected.
//!
//! A deserialiser stops at its first error and knows no places. Here a value that does not fit adds a mistake and counts
//! as not written, so reading goes on and finds the next. Every value keeps its place for the checks that come after.
//! Deliberately absent: what the keys mean.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use toml_edit::{Item, Table, Value};

use super::mistake::{MAX_MISTAKES, Mistake, nearest};
use super::values;

/// Who judges a text in a language that this floor does not know. Each gives a sentence on what is wrong.
#[derive(Copy, Clone, Debug)]
pub struct Words {
    /// A list of filter rules in rsync's own words; asked with each rule alone, then with all of a module together.
    pub filters: fn(&[String]) -> Result<(), String>,
    /// The form of a line of the transfer log.
    pub log_format: fn(&str) -> Result<(), String>,
}

impl Words {
    /// Lets everything pass.
    pub const UNJUDGED: Words = Words { filters: |_| Ok(()), log_format: |_| Ok(()) };
}

/// The mistakes of one text so far.
pub(super) struct Reading<'t> {
    text: &'t str,
    pub(super) words: Words,
    found: Vec<Mistake>,
}

/// Where something stands: a byte of the text, and the key's full name.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) at: usize,
    pub(super) key: String,
}

/// A value with its place.
#[derive(Clone)]
pub(super) struct Placed<T> {
    pub(super) value: T,
    pub(super) place: Place,
}

impl<'t> Reading<'t> {
    pub(super) fn new(text: &'t str, words: Words) -> Self {
        Self { text, words, found: Vec::new() }
    }

    pub(super) fn mistake(&mut self, place: &Place, text: impl Into<String>) {
        self.mistake_with_hint(place, text, None);
    }

    pub(super) fn mistake_with_hint(&mut self, place: &Place, text: impl Into<String>, hint: Option<String>) {
        if self.found.len() >= MAX_MISTAKES {
            return;
        }
        let before = self.text.get(..place.at).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        self.found.push(Mistake { line, column, key: place.key.clone(), text: text.into(), hint });
    }

    /// All mistakes, by place.
    pub(super) fn finish(mut self) -> Vec<Mistake> {
        self.found.sort();
        self.found
    }

    /// A text, read as a `T`.
    pub(super) fn parsed<T>(&mut self, text: Placed<&str>) -> Option<Placed<T>>
    where
        T: FromStr,
        T::Err: Display,
    {
        let Placed { value, place } = text;
        match value.parse() {
            Ok(value) => Some(Placed { value, place }),
            Err(error) => {
                self.mistake(&place, error.to_string());
                None
            }
        }
    }

    /// The sections `[[key]]` of a document.
    pub(super) fn sections<'a>(&mut self, root: &Section<'a>, key: &'static str) -> Vec<Section<'a>> {
        let Some((place, item)) = root.item(key) else {
            return Vec::new();
        };
        let Some(tables) = item.as_array_of_tables() else {
            self.mistake(&place, format!("write each {key} as a section of its own, under [[{key}]]"));
            return Vec::new();
        };
        let section = |(index, table): (usize, &'a Table)| Section {
            place: Place { at: table.span().map_or(place.at, |span| span.start), key: format!("{key}[{}]", index + 1) },
            table,
        };
        tables.iter().enumerate().map(section).collect()
    }
}

/// A table of the document: its root, or one `[[section]]`.
pub(super) struct Section<'a> {
    pub(super) place: Place,
    table: &'a Table,
}

impl<'a> Section<'a> {
    pub(super) fn root(table: &'a Table) -> Self {
        Self { place: Place { at: 0, key: String::new() }, table }
    }

    fn place_of(&self, key: &str, at: Option<usize>) -> Place {
        let key = if self.place.key.is_empty() { key.to_owned() } else { format!("{}.{key}", self.place.key) };
        Place { at: at.unwrap_or(self.place.at), key }
    }

    fn item(&self, key: &str) -> Option<(Place, &'a Item)> {
        let (name, item) = self.table.get_key_value(key)?;
        let at = item.span().or_else(|| name.span()).map(|span| span.start);
        Some((self.place_of(key, at), item))
    }

    fn value(&self, key: &str) -> Option<(Place, &'a Item)> {
        self.item(key).filter(|(_, item)| !item.is_none())
    }

    /// Whether `key` is written at all.
    pub(super) fn has(&self, key: &str) -> bool {
        self.value(key).is_some()
    }

    /// Names each key that is neither `known` nor of a `later` version.
    pub(super) fn allow(&self, reading: &mut Reading<'_>, known: &[&str], later: &[&str]) {
        for (key, _) in self.table {
            if known.contains(&key) {
                continue;
            }
            let at = self.table.key(key).and_then(|name| name.span()).map(|span| span.start);
            let place = self.place_of(key, at);
            if later.contains(&key) {
                reading.mistake(&place, "this key is not in this version of headwater; leave it out");
            } else {
                reading.mistake_with_hint(&place, "no such key", nearest(key, known.iter().copied()));
            }
        }
    }

    /// Adds a mistake if `key` is not written at all.
    pub(super) fn require(&self, reading: &mut Reading<'_>, key: &str, example: &str) {
        if self.value(key).is_none() {
            let place = self.place_of(key, None);
            reading.mistake(&place, format!("this key is missing; write `{key} = {example}`"));
        }
    }

    pub(super) fn text(&self, reading: &mut Reading<'_>, key: &str) -> Option<Placed<&'a str>> {
        let (place, item) = self.value(key)?;
        match item.as_str() {
            Some(value) => Some(Placed { value, place }),
            None => {
                reading.mistake(&place, "a text in quotes belongs here");
                None
            }
        }
    }

    /// A text that is read as a `T`.
    pub(super) fn word<T>(&self, reading: &mut Reading<'_>, key: &str) -> Option<Placed<T>>
    where
        T: FromStr,
        T::Err: Display,
    {
        let text = self.text(reading, key)?;
        reading.parsed(text)
    }

    /// A text that is one of `choices`.
    pub(super) fn choice<T: Copy>(
        &self,
        reading: &mut Reading<'_>,
        key: &str,
        choices: &[(&str, T)],
    ) -> Option<Placed<T>> {
        let Placed { value, place } = self.text(reading, key)?;
        if let Some((_, choice)) = choices.iter().find(|(word, _)| *word == value) {
            return Some(Placed { value: *choice, place });
        }
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let hint = nearest(value, words.iter().copied());
        reading.mistake_with_hint(&place, format!("{value:?} is none of {}", words.join(", ")), hint);
        None
    }

    /// A list of texts; none if it is not written.
    pub(super) fn texts(&self, reading: &mut Reading<'_>, key: &str) -> Option<Vec<Placed<&'a str>>> {
        let (place, item) = self.value(key)?;
        let Some(array) = item.as_array() else {
            reading.mistake(&place, "a list of texts belongs here, as in [\"one\", \"two\"]");
            return None;
        };
        let mut texts = Vec::with_capacity(array.len());
        for (index, value) in array.iter().enumerate() {
            let at = value.span().map_or(place.at, |span| span.start);
            let place = Place { at, key: format!("{}[{}]", place.key, index + 1) };
            match value {
                Value::String(text) => texts.push(Placed { value: text.value().as_str(), place }),
                _ => reading.mistake(&place, "a text in quotes belongs here"),
            }
        }
        Some(texts)
    }

    /// A list of texts that are read as `T`s; those that cannot be are left out.
    pub(super) fn words<T>(&self, reading: &mut Reading<'_>, key: &str) -> Option<Vec<Placed<T>>>
    where
        T: FromStr,
        T::Err: Display,
    {
        let texts = self.texts(reading, key)?;
        Some(texts.into_iter().filter_map(|text| reading.parsed(text)).collect())
    }

    pub(super) fn flag(&self, reading: &mut Reading<'_>, key: &str, default: bool) -> bool {
        let Some((place, item)) = self.value(key) else {
            return default;
        };
        item.as_bool().unwrap_or_else(|| {
            reading.mistake(&place, "true or false belongs here");
            default
        })
    }

    pub(super) fn number(&self, reading: &mut Reading<'_>, key: &str, range: RangeInclusive<u32>) -> Option<u32> {
        let (place, item) = self.value(key)?;
        let number = item.as_integer().and_then(|number| u32::try_from(number).ok());
        let inside = number.filter(|number| range.contains(number));
        if inside.is_none() {
            reading.mistake(&place, format!("a number from {} to {} belongs here", range.start(), range.end()));
        }
        inside
    }

    /// A duration: a number of seconds, or a text such as `"24h"`.
    pub(super) fn duration(&self, reading: &mut Reading<'_>, key: &str, most: Duration) -> Option<Duration> {
        let (place, item) = self.value(key)?;
        let seconds = || item.as_integer().and_then(|number| u64::try_from(number).ok()).map(Duration::from_secs);
        let found = item.as_str().map_or_else(seconds, values::duration);
        let inside = found.filter(|duration| *duration <= most);
        if inside.is_none() {
            let most = humantime::format_duration(most);
            reading.mistake(&place, format!("a duration of at most {most} belongs here, as in \"30s\" or \"2h\""));
        }
        inside
    }
}
