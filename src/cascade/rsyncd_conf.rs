//! Reading an `rsyncd.conf` as rsyncd reads it: lines, sections, and which setting is in force where.
//!
//! A setting before the first module is the default of every module after it; `[global]` goes back to the defaults; the last
//! one wins. A text that a module has none of is the default that stands at the end, so that one behind it counts, too. Names are compared without blanks and without case. Every setting keeps its line, so that each can be answered.
//! Where `&merge` or `&include` names other files, they are read in its place, and every line knows its file.
//! Deliberately absent: what a setting means here; `rsyncd_conf_keys` and its neighbours know. Nor is a file opened.

use std::collections::BTreeMap;

use super::rsyncd_conf_directive::Directive;
use super::rsyncd_conf_keys::{known, reaches_back};
use super::rsyncd_conf_report::Surroundings;

/// Most bytes of all files together: real ones have some KiB.
pub(super) const MAX_BYTES: usize = 256 << 10;

/// Most modules: more than any mirror has, few enough to print.
pub(super) const MAX_MODULES: usize = 1_000;

/// Most files that are read for directives, one named twice counted twice: one for each module.
pub(super) const MAX_FILES: usize = 1_000;

/// How deep files may name each other: real ones do so once or twice. One that names itself ends here.
pub(super) const MAX_DEPTH: usize = 8;

/// Why a text is not looked at.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RsyncdConfError {
    /// It has more than 256 KiB, those of `&merge` and `&include` counted.
    #[error("this is no rsyncd.conf: it, and what it merges and includes, has more than {MAX_BYTES} bytes")]
    TooLong,
    /// It has more than 1,000 modules.
    #[error("more than {MAX_MODULES} modules are not taken over at once: split the file")]
    TooManyModules,
    /// It merges and includes more than 1,000 files.
    #[error("more than {MAX_FILES} files are not merged and included: split the file")]
    TooManyFiles,
    /// Files name each other more than eight deep.
    #[error("{0} is merged or included more than {MAX_DEPTH} deep: does it name itself?")]
    TooDeep(String),
    /// What would be written has more bytes than a topology may have.
    #[error("the topology would have more than {} bytes: split the file", crate::tree::MAX_TOPOLOGY_BYTES)]
    TooMuch,
}

/// Where a line stands.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(super) struct Place {
    /// Its place in [`Conf::files`].
    pub(super) file: usize,
    /// Counted from 1; the first of a continued line.
    pub(super) line: usize,
}

/// One line `name = value`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Written {
    pub(super) place: Place,
    /// The module that it stands in; none among the defaults.
    pub(super) module: Option<usize>,
    /// As written, blanks trimmed.
    pub(super) name: String,
    /// The setting of rsyncd that it names; none if there is no such.
    pub(super) key: Option<&'static str>,
    /// Blanks trimmed; may be empty.
    pub(super) value: String,
    /// The line that takes this one's place, if one does.
    pub(super) replaced_by: Option<Place>,
}

/// Settings in force, by key: places in [`Conf::settings`].
pub(super) type Scope = BTreeMap<&'static str, usize>;

/// One `[module]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Section {
    pub(super) place: Place,
    /// Inner blanks are single ones.
    pub(super) name: String,
    /// What is in force in it, defaults included.
    pub(super) scope: Scope,
}

/// A line that is no setting and needs a word.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Odd {
    pub(super) place: Place,
    pub(super) text: String,
    pub(super) kind: OddKind,
}

/// What is odd about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum OddKind {
    /// So many files stand in its place.
    Followed(usize),
    /// Files beside the one that names them do, which may not be those that rsyncd read.
    Beside,
    /// Files that should stand in its place do not, for this reason.
    Lost(String),
    /// Nothing that rsyncd could read: it goes on behind it.
    Unreadable,
    /// With such a line rsyncd serves nobody.
    Fatal,
}

/// A whole text, and those that it merges and includes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Conf {
    /// The names of the others, from 1; the one that was given is 0, and its name is empty.
    pub(super) files: Vec<String>,
    pub(super) settings: Vec<Written>,
    pub(super) globals: Scope,
    pub(super) modules: Vec<Section>,
    pub(super) odd: Vec<Odd>,
    bytes: usize,
    readings: usize,
    /// The first setting of the file whose defaults are in force.
    since: usize,
}

impl Conf {
    /// Reads `text`, and what it merges and includes.
    pub(super) fn parse(text: &str, around: &Surroundings<'_>) -> Result<Self, RsyncdConfError> {
        let mut conf = Self { files: vec![String::new()], ..Self::default() };
        conf.read(text, 0, 0, &mut None, around)?;
        conf.reach_back();
        Ok(conf)
    }

    /// Whether something is missing that may have turned clients away, from any module.
    pub(super) fn is_incomplete(&self) -> bool {
        self.odd.iter().any(|odd| matches!(odd.kind, OddKind::Lost(_) | OddKind::Fatal))
    }

    /// The name of the file of a place; none for the one that was given.
    pub(super) fn file(&self, place: Place) -> Option<&str> {
        self.files.get(place.file).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// A place in words.
    pub(super) fn named(&self, place: Place) -> String {
        self.file(place).map_or_else(|| format!("line {}", place.line), |file| format!("{file}:{}", place.line))
    }

    /// Reads one file; `module` is where its first line stands, and then where its last one did.
    fn read(
        &mut self,
        text: &str,
        file: usize,
        depth: usize,
        module: &mut Option<usize>,
        around: &Surroundings<'_>,
    ) -> Result<(), RsyncdConfError> {
        self.bytes = self.bytes.saturating_add(text.len());
        if self.bytes > MAX_BYTES {
            return Err(RsyncdConfError::TooLong);
        }
        for (line, text) in logical_lines(text) {
            let (place, text) = (Place { file, line }, text.trim());
            if let Some(header) = text.strip_prefix('[') {
                // rsyncd does not start with a slash in a name, or with none.
                match header.split_once(']').map(|(name, _)| name.trim()) {
                    Some(name) if !name.is_empty() && !name.contains('/') => *module = self.enter(place, name)?,
                    _ => self.odd(place, text, OddKind::Fatal),
                }
            } else if text.starts_with('&') {
                match Directive::read(text) {
                    Some(directive) => self.follow(place, text, directive, depth, module, around)?,
                    // A word alone is passed over; but one that a blank follows is a file without a name.
                    None if is_one_word(text) => self.odd(place, text, OddKind::Unreadable),
                    None => self.odd(place, text, OddKind::Fatal),
                }
            } else if let Some((name, value)) = text.split_once('=') {
                match name.trim() {
                    "" => self.odd(place, text, OddKind::Fatal),
                    name => self.set(place, *module, name, value.trim()),
                }
            } else if !text.is_empty() {
                self.odd(place, text, OddKind::Unreadable);
            }
        }
        Ok(())
    }

    /// Reads the files that a directive names.
    fn follow(
        &mut self,
        place: Place,
        text: &str,
        directive: Directive<'_>,
        depth: usize,
        module: &mut Option<usize>,
        around: &Surroundings<'_>,
    ) -> Result<(), RsyncdConfError> {
        let names = match directive.files(self.file(place), around) {
            Ok(names) => names,
            Err(why) => {
                self.odd(place, text, OddKind::Lost(why));
                return Ok(());
            }
        };
        let at = self.odd.len();
        self.odd(place, text, if directive.is_relative() { OddKind::Beside } else { OddKind::Followed(names.len()) });
        for name in names {
            if depth == MAX_DEPTH {
                return Err(RsyncdConfError::TooDeep(name));
            }
            self.readings += 1;
            if self.readings > MAX_FILES {
                return Err(RsyncdConfError::TooManyFiles);
            }
            match (around.text_of)(&name) {
                Ok(text) => self.splice(&text, name, directive, depth + 1, module, around)?,
                Err(why) => {
                    if let Some(odd) = self.odd.get_mut(at) {
                        odd.kind = OddKind::Lost(format!("{name} cannot be read ({why})"));
                    }
                }
            }
        }
        Ok(())
    }

    /// Reads another file: with the section and the defaults of this one, or with its own until its end.
    fn splice(
        &mut self,
        text: &str,
        name: String,
        directive: Directive<'_>,
        depth: usize,
        module: &mut Option<usize>,
        around: &Surroundings<'_>,
    ) -> Result<(), RsyncdConfError> {
        let file = self.files.iter().position(|known| *known == name).unwrap_or(self.files.len());
        if file == self.files.len() {
            self.files.push(name);
        }
        match directive {
            Directive::Merge(_) => self.read(text, file, depth, module, around),
            Directive::Include(_) => {
                let (globals, since) = (self.globals.clone(), self.since);
                self.since = self.settings.len();
                self.read(text, file, depth, &mut None, around)?;
                (self.globals, self.since) = (globals, since);
                // What follows it is a default, even where it stood in a module.
                *module = None;
                Ok(())
            }
        }
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

    fn odd(&mut self, place: Place, text: &str, kind: OddKind) {
        self.odd.push(Odd { place, text: text.to_owned(), kind });
    }

    /// The section that a header begins, or goes on with; none for `[global]`.
    fn enter(&mut self, place: Place, name: &str) -> Result<Option<usize>, RsyncdConfError> {
        let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
        if same(&name, "global") {
            return Ok(None);
        }
        // The first one named it.
        if let Some(known) = self.modules.iter().position(|module| same(&module.name, &name)) {
            return Ok(Some(known));
        }
        if self.modules.len() == MAX_MODULES {
            return Err(RsyncdConfError::TooManyModules);
        }
        self.modules.push(Section { place, name, scope: self.globals.clone() });
        Ok(Some(self.modules.len() - 1))
    }

    fn set(&mut self, place: Place, module: Option<usize>, name: &str, value: &str) {
        let key = known(&name.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_ascii_lowercase());
        let at = self.settings.len();
        let scope = module.and_then(|module| self.modules.get_mut(module)).map(|section| &mut section.scope);
        let before = key.and_then(|key| scope.unwrap_or(&mut self.globals).insert(key, at));
        // A default that a module, or an included file, has its own value for is still the default of others.
        let since = if module.is_none() { self.since } else { 0 };
        if let Some(before) = before.filter(|&before| before >= since).and_then(|before| self.settings.get_mut(before))
            && before.module == module
        {
            before.replaced_by = Some(place);
        }
        self.settings.push(Written {
            place,
            module,
            name: name.to_owned(),
            key,
            value: value.to_owned(),
            replaced_by: None,
        });
    }
}

fn is_one_word(directive: &str) -> bool {
    let known = ["&merge", "&include"].iter().any(|known| known.eq_ignore_ascii_case(directive));
    !known && !directive.contains(|c: char| c == '=' || c.is_whitespace())
}

/// Whether two names of sections are one to rsyncd.
fn same(one: &str, other: &str) -> bool {
    plain(one).eq(plain(other))
}

fn plain(name: &str) -> impl Iterator<Item = u8> {
    name.bytes().filter(|byte| *byte != b' ').map(|byte| byte.to_ascii_lowercase())
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

    /// A world with a few files, in which every name of a file is a directory of its own, too.
    fn parse(text: &str) -> Result<Conf, RsyncdConfError> {
        let text_of = |file: &str| match file {
            "/d/list.inc" => Ok("list = no\n".to_owned()),
            "/d/b.conf" => Ok("list = yes\n[b]\n&merge /d/list.inc\n".to_owned()),
            "/d/c.conf" => Ok("uid = c\n[c]\n[global]\nuid = d".to_owned()),
            "/d/cut.inc" => Ok("uid = \\".to_owned()),
            "/d/self.inc" => Ok("&merge /d/self.inc".to_owned()),
            "/d/long.inc" => Ok("#".repeat(MAX_BYTES / 4)),
            _ => Err("No such file".to_owned()),
        };
        let files_of = |_: Option<&str>, path: &str, ending: &str| match path {
            "/d" => Ok(["b.conf", "c.conf", "list.inc"].into_iter().filter(|name| name.ends_with(ending)))
                .map(|names| names.map(|name| format!("/d/{name}")).collect()),
            "/many" => Ok(vec!["/d/empty.inc".to_owned(); MAX_FILES + 1]),
            "/gone" => Err("No such directory".to_owned()),
            "list.inc" => Ok(vec!["/d/list.inc".to_owned()]),
            _ => Ok(vec![path.to_owned()]),
        };
        let text_of = |file: &str| if file == "/d/empty.inc" { Ok(String::new()) } else { text_of(file) };
        let around = Surroundings {
            federation: "home",
            node: "gw",
            is_tree: &|_| false,
            text_of: &text_of,
            files_of: &files_of,
        };
        Conf::parse(text, &around)
    }

    fn shown_place(conf: &Conf, place: Place) -> String {
        conf.file(place).map_or_else(|| place.line.to_string(), |file| format!("{file}:{}", place.line))
    }

    /// Settings as `line key=value`, `module/` in front where one stands in a module.
    fn shown(text: &str) -> Vec<String> {
        let conf = parse(text).unwrap();
        let settings = conf.settings.iter().map(|setting| {
            let module = setting.module.map_or(String::new(), |at| format!("{}/", conf.modules[at].name));
            format!("{} {module}{}={}", shown_place(&conf, setting.place), setting.key.unwrap_or("?"), setting.value)
        });
        settings.chain(conf.odd.iter().map(|odd| format!("{} ? {}", shown_place(&conf, odd.place), odd.text))).collect()
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
        check(
            "[Da  ta]\nuid = 1\n[data]\nuid = 2\n[d]\n[DAT A]\nuid = 3\n[glo bal]\nuid = 4",
            &["2 Da ta/uid=1", "4 Da ta/uid=2", "7 Da ta/uid=3", "9 uid=4"],
        );
        check("&include /etc/rsyncd.d\n[open\nwords", &["1 ? &include /etc/rsyncd.d", "2 ? [open", "3 ? words"]);
    }

    #[test]
    fn defaults_are_those_of_the_place_where_a_module_begins() {
        let text = "timeout = 1\n[a]\n[global]\ntimeout = 2\n[b]\ntimeout = 3\n[a]\nlist = no\n[c]";
        let conf = parse(text).unwrap();
        let timeout = |at: usize| conf.value(&conf.modules[at].scope, "timeout").unwrap().1;
        assert_eq!(conf.modules.iter().map(|module| module.name.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!([timeout(0), timeout(1), timeout(2)], ["1", "3", "2"]);
        assert_eq!(conf.value(&conf.modules[0].scope, "list").unwrap().1, "no");
        let replaced: Vec<_> =
            conf.settings.iter().map(|setting| setting.replaced_by.map(|place| place.line)).collect();
        assert_eq!(replaced, [Some(4), None, None, None]);
    }

    #[test]
    fn a_default_behind_a_module_holds_where_it_has_no_text_of_its_own() {
        let check = |text: &str, key: &str, expected: Option<&str>| {
            let conf = parse(text).unwrap();
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
    fn other_files_are_read_in_their_place() {
        check("&merge /d/list.inc\nuid = x", &["/d/list.inc:1 list=no", "2 uid=x", "1 ? &merge /d/list.inc"]);
        check("[a]\n&MERGE = /d\nuid = x", &["/d/list.inc:1 a/list=no", "3 a/uid=x", "2 ? &MERGE = /d"]);
        check(
            "[a]\n&include /d\nuid = x",
            &[
                "/d/b.conf:1 list=yes",
                "/d/list.inc:1 b/list=no",
                "/d/c.conf:1 uid=c",
                "/d/c.conf:4 uid=d",
                "3 uid=x",
                "2 ? &include /d",
                "/d/b.conf:3 ? &merge /d/list.inc",
            ],
        );
        check("[a]\n&include /d/list.inc\nuid = x", &["/d/list.inc:1 list=no", "3 uid=x", "2 ? &include /d/list.inc"]);
        check(
            "[a]\n&merge /d/c.conf\nuid = x",
            &["/d/c.conf:1 a/uid=c", "/d/c.conf:4 uid=d", "3 uid=x", "2 ? &merge /d/c.conf"],
        );
        check("&merge /d/cut.inc\nx", &["/d/cut.inc:1 uid=", "1 ? &merge /d/cut.inc", "2 ? x"]);
    }

    #[test]
    fn an_included_file_keeps_its_defaults_to_itself() {
        let check = |text: &str, module: usize, expected: Option<&str>| {
            let conf = parse(text).unwrap();
            assert_eq!(conf.value(&conf.modules[module].scope, "uid").map(|(_, value)| value), expected, "{text}");
        };
        check("&include /d/c.conf\n[e]", 0, Some("c"));
        check("&include /d/c.conf\n[e]", 1, None);
        check("uid = x\n&include /d/c.conf\n[e]", 1, Some("x"));
        check("&merge /d/c.conf\n[e]", 1, Some("d"));
        check("&include /d/b.conf\nuid = late", 0, Some("late"));
        let replaced = |text: &str| parse(text).unwrap().settings[0].replaced_by;
        assert_eq!(replaced("uid = x\n&include /d/c.conf"), None);
        assert_eq!(replaced("uid = x\n&merge /d/c.conf"), Some(Place { file: 1, line: 1 }));
    }

    #[test]
    fn what_is_missing_may_have_turned_anybody_away() {
        let check = |text: &str, expected: bool| assert_eq!(parse(text).unwrap().is_incomplete(), expected, "{text}");
        for whole in ["", "words", "[a] b", "&merge/d", "&bogus", "&merge /d", "&include /d", "&merge list.inc"] {
            check(whole, false);
        }
        for text in [
            "&merge /nosuch",
            "&include /gone",
            "&merge gone.inc",
            "&merge",
            "& merge /d",
            "&other /d",
            "[open",
            "[ ]",
            "[a/b]",
            "= x",
        ] {
            check(text, true);
            check(&format!("[a]\n{text}\n[b]"), true);
        }
    }

    #[test]
    fn a_text_has_an_end() {
        assert_eq!(parse(&"#".repeat(MAX_BYTES + 1)), Err(RsyncdConfError::TooLong));
        let deep = parse("&merge /d/self.inc");
        assert_eq!(deep, Err(RsyncdConfError::TooDeep("/d/self.inc".to_owned())));
        assert_eq!(parse("&merge /many"), Err(RsyncdConfError::TooManyFiles));
        assert!(parse(&"&merge /d/long.inc\n".repeat(3)).is_ok());
        assert_eq!(parse(&"&merge /d/long.inc\n".repeat(4)), Err(RsyncdConfError::TooLong));
        let modules = |many: usize| (0..many).map(|at| format!("[{at}]\n")).collect::<String>();
        assert!(parse(&modules(MAX_MODULES)).is_ok());
        assert_eq!(parse(&modules(MAX_MODULES + 1)), Err(RsyncdConfError::TooManyModules));
    }
}
