//! Reading an `rsyncd.conf` as rsyncd reads it: lines, sections, and which setting is in force where.
//!
//! A setting before the first module is the default of every module after it; `[global]` goes back to the defaults; the last
//! one wins. A text that a module has none of is the default that stands at the end, so that one behind it counts, too. Names are compared without blanks and without case. Every setting keeps its line, so that each can be answered.
//! Deliberately absent: what a setting means here; `rsyncd_conf_keys` and its neighbours know.

use std::collections::BTreeMap;

use super::rsyncd_conf_keys::{known, reaches_back};

/// Longest text in bytes: a real one has some KiB.
pub(super) const MAX_BYTES: usize = 256 << 10;

/// Most modules: more than any mirror has, few enough to print.
pub(super) const MAX_MODULES: usize = 1_000;

/// Why a text is not looked at.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RsyncdConfError {
    /// It has more than 256 KiB.
    #[error("this is no rsyncd.conf: it has more than {MAX_BYTES} bytes")]
    TooLong,
    /// It has more than 1,000 modules.
    #[error("more than {MAX_MODULES} modules are not taken over at once: split the file")]
    TooManyModules,
    /// What would be written has more bytes than a topology may have.
    #[error("the topology would have more than {} bytes: split the file", crate::tree::MAX_TOPOLOGY_BYTES)]
    TooMuch,
}

/// One line `name = value`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Written {
    /// Counted from 1; the first of a continued line.
    pub(super) line: usize,
    /// The module that it stands in; none among the defaults.
    pub(super) module: Option<usize>,
    /// As written, blanks trimmed.
    pub(super) name: String,
    /// The setting of rsyncd that it names; none if there is no such.
    pub(super) key: Option<&'static str>,
    /// Blanks trimmed; may be empty.
    pub(super) value: String,
    /// The line that takes this one's place, if one does.
    pub(super) replaced_by: Option<usize>,
}

/// Settings in force, by key: places in [`Conf::settings`].
pub(super) type Scope = BTreeMap<&'static str, usize>;

/// One `[module]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Section {
    pub(super) line: usize,
    /// Inner blanks are single ones.
    pub(super) name: String,
    /// What is in force in it, defaults included.
    pub(super) scope: Scope,
}

/// A line that is no setting and needs a word.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Odd {
    pub(super) line: usize,
    pub(super) text: String,
    pub(super) kind: OddKind,
}

/// What is odd about it.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum OddKind {
    /// `&include` or `&merge`: another file, which is not opened.
    Directive,
    /// Nothing that rsyncd could read.
    Unreadable,
}

/// A whole text.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Conf {
    pub(super) settings: Vec<Written>,
    pub(super) globals: Scope,
    pub(super) modules: Vec<Section>,
    pub(super) odd: Vec<Odd>,
}

impl Conf {
    pub(super) fn parse(text: &str) -> Result<Self, RsyncdConfError> {
        if text.len() > MAX_BYTES {
            return Err(RsyncdConfError::TooLong);
        }
        let mut conf = Self::default();
        let mut module = None;
        for (line, text) in logical_lines(text) {
            let text = text.trim();
            if let Some(header) = text.strip_prefix('[') {
                match header.split_once(']') {
                    Some((name, _)) => module = conf.enter(line, name)?,
                    None => conf.odd(line, text, OddKind::Unreadable),
                }
            } else if text.starts_with('&') {
                conf.odd(line, text, OddKind::Directive);
            } else if let Some((name, value)) = text.split_once('=') {
                conf.set(line, module, name.trim(), value.trim());
            } else if !text.is_empty() {
                conf.odd(line, text, OddKind::Unreadable);
            }
        }
        conf.reach_back();
        Ok(conf)
    }

    /// Gives each module the texts that it has none of. An empty one of its own, or from before it, counts as one.
    fn reach_back(&mut self) {
        let last: Vec<_> = self.globals.iter().filter(|(key, _)| reaches_back(key)).collect();
        for section in &mut self.modules {
            for &(&key, &at) in &last {
                section.scope.entry(key).or_insert(at);
            }
        }
    }

    /// The value of `key` in `scope`, and its place.
    pub(super) fn value<'c>(&'c self, scope: &Scope, key: &str) -> Option<(usize, &'c str)> {
        let &at = scope.get(key)?;
        self.settings.get(at).map(|written| (at, written.value.as_str()))
    }

    fn odd(&mut self, line: usize, text: &str, kind: OddKind) {
        self.odd.push(Odd { line, text: text.to_owned(), kind });
    }

    /// The section that a header begins, or goes on with; none for `[global]`.
    fn enter(&mut self, line: usize, name: &str) -> Result<Option<usize>, RsyncdConfError> {
        let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
        if name.eq_ignore_ascii_case("global") {
            return Ok(None);
        }
        if let Some(known) = self.modules.iter().position(|module| module.name == name) {
            return Ok(Some(known));
        }
        if self.modules.len() == MAX_MODULES {
            return Err(RsyncdConfError::TooManyModules);
        }
        self.modules.push(Section { line, name, scope: self.globals.clone() });
        Ok(Some(self.modules.len() - 1))
    }

    fn set(&mut self, line: usize, module: Option<usize>, name: &str, value: &str) {
        let key = known(&name.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_ascii_lowercase());
        let at = self.settings.len();
        let scope = module.and_then(|module| self.modules.get_mut(module)).map(|section| &mut section.scope);
        let before = key.and_then(|key| scope.unwrap_or(&mut self.globals).insert(key, at));
        // A default that a module has its own value for is still the default of others.
        if let Some(before) = before.and_then(|before| self.settings.get_mut(before))
            && before.module == module
        {
            before.replaced_by = Some(line);
        }
        self.settings.push(Written {
            line,
            module,
            name: name.to_owned(),
            key,
            value: value.to_owned(),
            replaced_by: None,
        });
    }
}

/// The lines with their numbers; a backslash at the end joins the next one, comments and what is blank are left out.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (at, line) in text.lines().enumerate() {
        let (number, mut whole) = match open.take() {
            Some((number, before)) => (number, before),
            None if line.trim_start().starts_with(['#', ';']) => continue,
            None => (at + 1, String::new()),
        };
        whole.push_str(line.trim_end());
        match whole.ends_with('\\') {
            true => {
                whole.pop();
                open = Some((number, whole));
            }
            false => found.push((number, whole)),
        }
    }
    found.extend(open);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Settings as `line key=value`, `module/` in front where one stands in a module.
    fn shown(text: &str) -> Vec<String> {
        let conf = Conf::parse(text).unwrap();
        let settings = conf.settings.iter().map(|setting| {
            let module = setting.module.map_or(String::new(), |at| format!("{}/", conf.modules[at].name));
            format!("{} {module}{}={}", setting.line, setting.key.unwrap_or("?"), setting.value)
        });
        settings.chain(conf.odd.iter().map(|odd| format!("{} ? {}", odd.line, odd.text))).collect()
    }

    fn check(text: &str, expected: &[&str]) {
        assert_eq!(shown(text), expected, "{text}");
    }

    #[test]
    fn lines_are_read_as_rsyncd_reads_them() {
        check("uid = nobody\n", &["1 uid=nobody"]);
        check("  Use  ChRoot=no", &["1 usechroot=no"]);
        check("path = /a = b  ", &["1 path=/a = b"]);
        check("# a comment\n  # another\n\n\t\nlist=yes", &["5 list=yes"]);
        check("comment = not # a comment", &["1 comment=not # a comment"]);
        check("exclude = /a \\\n  /b\\\n/c\nlist = no", &["1 exclude=/a   /b/c", "4 list=no"]);
        check("# a comment \\\nlist = no", &["2 list=no"]);
        check("comment = cut off \\", &["1 comment=cut off"]);
        check("comment =", &["1 comment="]);
        check("[ two   words ] behind\npath=/a", &["2 two words/path=/a"]);
        check("uid = 1\n[a]\nuid = 2\n[Global]\nuid = 3", &["1 uid=1", "3 a/uid=2", "5 uid=3"]);
        check("&include /etc/rsyncd.d\n[open\nwords", &["1 ? &include /etc/rsyncd.d", "2 ? [open", "3 ? words"]);
    }

    #[test]
    fn defaults_are_those_of_the_place_where_a_module_begins() {
        let text = "timeout = 1\n[a]\n[global]\ntimeout = 2\n[b]\ntimeout = 3\n[a]\nlist = no\n[c]";
        let conf = Conf::parse(text).unwrap();
        let timeout = |at: usize| conf.value(&conf.modules[at].scope, "timeout").unwrap().1;
        assert_eq!(conf.modules.iter().map(|module| module.name.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!([timeout(0), timeout(1), timeout(2)], ["1", "3", "2"]);
        assert_eq!(conf.value(&conf.modules[0].scope, "list").unwrap().1, "no");
        let replaced: Vec<_> = conf.settings.iter().map(|setting| setting.replaced_by).collect();
        assert_eq!(replaced, [Some(4), None, None, None]);
    }

    #[test]
    fn a_default_behind_a_module_holds_where_it_has_no_text_of_its_own() {
        let check = |text: &str, key: &str, expected: Option<&str>| {
            let conf = Conf::parse(text).unwrap();
            assert_eq!(conf.value(&conf.modules[0].scope, key).map(|(_, value)| value), expected, "{text}");
        };
        for (key, name) in [
            ("hostsdeny", "hosts deny"),
            ("authusers", "auth users"),
            ("pre-xferexec", "pre-xfer exec"),
            ("path", "path"),
        ] {
            check(&format!("[a]\n[global]\n{name} = x"), key, Some("x"));
            check(&format!("[a]\n[global]\n{name} = x\n[b]\n[global]\n{name} = y"), key, Some("y"));
            check(&format!("{name} = x\n[a]\n[global]\n{name} = y"), key, Some("x"));
            check(&format!("{name} =\n[a]\n[global]\n{name} = y"), key, Some(""));
            check(&format!("[a]\n{name} =\n[global]\n{name} = y"), key, Some(""));
        }
        check("[a]\n[global]\nmax connections = -1", "maxconnections", None);
        check("[a]\n[global]\nwrite only = yes", "writeonly", None);
    }

    #[test]
    fn a_text_has_an_end() {
        assert_eq!(Conf::parse(&"#".repeat(MAX_BYTES + 1)), Err(RsyncdConfError::TooLong));
        let modules = |many: usize| (0..many).map(|at| format!("[{at}]\n")).collect::<String>();
        assert!(Conf::parse(&modules(MAX_MODULES)).is_ok());
        assert_eq!(Conf::parse(&modules(MAX_MODULES + 1)), Err(RsyncdConfError::TooManyModules));
    }
}
