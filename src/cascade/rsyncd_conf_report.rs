//! What is said about an `rsyncd.conf`: one finding for each line, in the order of the lines, file by file.
//!
//! A default is answered once, however many modules have it; if it is taken in one and refused in another, the more serious
//! word stands.
//! Deliberately absent: columns and colours. A finding is a value; who prints it lays it out.

use super::rsyncd_conf::{Conf, OddKind, Place, RsyncdConfError};
use super::rsyncd_conf_keys::{Fate, Reach, about, boolean, meant};
use super::rsyncd_conf_write::write;

/// What becomes of a line, the least serious first.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Verdict {
    /// It means nothing here.
    NoMeaning,
    /// It stands in what was written.
    Taken,
    /// It cannot be taken over: a person has to look.
    Refused,
}

/// One line of an `rsyncd.conf`, and what becomes of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// The file, if it is one that was merged or included; none for the one that was given.
    pub file: Option<String>,
    /// The line, counted from 1; the first of a continued one.
    pub line: usize,
    /// The module that it stands in; none before the modules.
    pub module: Option<String>,
    /// The line as it is read, as in `hosts allow = 10.0.0.0/8`.
    pub text: String,
    /// What becomes of it.
    pub verdict: Verdict,
    /// As what it was taken, or why it was not.
    pub why: String,
}

/// A directory that a module served, and the repository that it becomes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Source {
    /// The directory, absolute.
    pub directory: String,
    /// The name of the repository.
    pub repository: String,
}

impl Source {
    /// The command that imports it.
    pub fn command(&self) -> String {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '+');
        let directory = match self.directory.chars().all(plain) {
            true => self.directory.clone(),
            false => format!("'{}'", self.directory.replace('\'', "'\\''")),
        };
        format!("headwater import {directory} --repository {}", self.repository)
    }
}

/// An `rsyncd.conf` in headwater's words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Translation {
    /// A whole topology. No module in it is open to anyone whom rsyncd would have turned away.
    pub topology: String,
    /// Lines for `headwater.toml`; empty if its defaults do.
    pub node: String,
    /// What is to be imported.
    pub sources: Vec<Source>,
    /// The users as whom rsyncd read that, but for root: what they may not read was not served.
    pub readers: Vec<String>,
    /// One for each line with a meaning, by line.
    pub findings: Vec<Finding>,
}

/// From the file that names it, a path and an ending to files.
type FilesOf<'s> = dyn Fn(Option<&str>, &str, &str) -> Result<Vec<String>, String> + 's;

/// What a text alone cannot say.
#[derive(Copy, Clone)]
pub struct Surroundings<'s> {
    /// The name of the federation.
    pub federation: &'s str,
    /// The name of the node.
    pub node: &'s str,
    /// Whether a directory holds an ebuild repository.
    pub is_tree: &'s dyn Fn(&str) -> bool,
    /// The text of a file that a setting names, or why there is none.
    pub text_of: &'s dyn Fn(&str) -> Result<String, String>,
    /// The files that a path stands for: itself, or those of a directory whose names have an ending, such as `.conf`, in the
    /// order of the bytes of their names; or why it stands for none. Before the path comes the file that names it, beside
    /// which it may be: none for the one that was given.
    pub files_of: &'s FilesOf<'s>,
}

impl Translation {
    /// Translates the text of an `rsyncd.conf`.
    ///
    /// # Errors
    /// If the text, or what comes of it, is longer than any real one.
    pub fn of_rsyncd_conf(text: &str, around: &Surroundings<'_>) -> Result<Self, RsyncdConfError> {
        let conf = Conf::parse(text, around)?;
        let mut report = Report::new(&conf);
        let written = write(&conf, &mut report, around)?;
        report.settle_rest();
        let (topology, node) = (written.topology, written.node);
        Ok(Self { topology, node, sources: written.sources, readers: written.readers, findings: report.findings() })
    }
}

/// The findings while they are made.
pub(super) struct Report<'c> {
    conf: &'c Conf,
    /// For each setting.
    said: Vec<Option<(Verdict, String)>>,
    more: Vec<(Place, Finding)>,
}

impl<'c> Report<'c> {
    pub(super) fn new(conf: &'c Conf) -> Self {
        let odd = |odd: &super::rsyncd_conf::Odd| {
            let (verdict, why) = match &odd.kind {
                OddKind::Followed(0) => (Verdict::NoMeaning, "no file there has such a name".to_owned()),
                OddKind::Followed(1) => (Verdict::Taken, "its lines are read in this place".to_owned()),
                OddKind::Followed(many) => {
                    (Verdict::Taken, format!("the lines of {many} files are read in this place"))
                }
                OddKind::Beside => {
                    let why = "read in this place, from beside this file: rsyncd looks where it was started; if that was \
                               elsewhere, write the whole path, and try again";
                    (Verdict::Refused, why.to_owned())
                }
                OddKind::Lost(why) => (Verdict::Refused, format!("{why}; every module is closed until it is read")),
                OddKind::Unreadable => (Verdict::Refused, "rsyncd cannot read this line either".to_owned()),
                OddKind::Fatal => {
                    let why = "with this line rsyncd serves nobody: every module is closed until it is right";
                    (Verdict::Refused, why.to_owned())
                }
            };
            (odd.place, finding(conf, odd.place, None, odd.text.clone(), verdict, why))
        };
        Self { conf, said: vec![None; conf.settings.len()], more: conf.odd.iter().map(odd).collect() }
    }

    /// Says something of a setting; the more serious word stands, then the first.
    pub(super) fn say(&mut self, at: usize, verdict: Verdict, why: impl Into<String>) {
        if let Some(said) = self.said.get_mut(at)
            && said.as_ref().is_none_or(|(before, _)| *before < verdict)
        {
            *said = Some((verdict, why.into()));
        }
    }

    pub(super) fn taken(&mut self, at: usize, why: impl Into<String>) {
        self.say(at, Verdict::Taken, why);
    }

    pub(super) fn no_meaning(&mut self, at: usize, why: impl Into<String>) {
        self.say(at, Verdict::NoMeaning, why);
    }

    pub(super) fn refused(&mut self, at: usize, why: impl Into<String>) {
        self.say(at, Verdict::Refused, why);
    }

    /// Says something of a module that is not taken over as it is.
    pub(super) fn of_module(&mut self, module: usize, why: String) {
        if let Some(section) = self.conf.modules.get(module) {
            let (place, name) = (section.place, section.name.clone());
            let text = format!("[{name}]");
            self.more.push((place, finding(self.conf, place, Some(name), text, Verdict::Refused, why)));
        }
    }

    /// Reads a yes or no; says so if it is neither.
    pub(super) fn boolean(&mut self, at: usize, value: &str) -> Option<bool> {
        let found = boolean(value);
        if found.is_none() {
            self.refused(at, format!("{value:?} is neither yes nor no"));
        }
        found
    }

    /// Answers what nothing has answered yet.
    fn settle_rest(&mut self) {
        let conf = self.conf;
        for (at, written) in conf.settings.iter().enumerate() {
            // A default that was replaced later may have been in force for a module before.
            let unsaid = self.said.get(at).is_some_and(Option::is_none);
            if let Some(place) = written.replaced_by.filter(|_| unsaid) {
                self.no_meaning(at, format!("{} takes its place", conf.named(place)));
                continue;
            }
            let Some(about) = written.key.and_then(about) else {
                let guess = meant(&written.name).map_or(String::new(), |meant| format!("; `{meant}` may be meant"));
                self.refused(at, format!("rsyncd has no such setting{guess}"));
                continue;
            };
            if about.reach == Reach::Global && written.module.is_some() {
                self.no_meaning(at, "rsyncd reads it before the modules only");
                continue;
            }
            match about.fate {
                Fate::Read if written.value.is_empty() => self.no_meaning(at, "it says nothing"),
                Fate::Read if written.module.is_some() => self.no_meaning(at, "its module is not taken over"),
                Fate::Read => self.no_meaning(at, "no module that is taken over uses it"),
                Fate::Always(_, _) if written.value.is_empty() => self.no_meaning(at, "it says nothing"),
                Fate::Always(verdict, why) => self.say(at, verdict, why),
                Fate::Switch { yes, no } => {
                    if let Some(is) = self.boolean(at, &written.value) {
                        let (verdict, why) = if is { yes } else { no };
                        self.say(at, verdict, why);
                    }
                }
            }
        }
    }

    fn findings(self) -> Vec<Finding> {
        let conf = self.conf;
        let mut findings = self.more;
        for (written, said) in conf.settings.iter().zip(self.said) {
            let Some((verdict, why)) = said else { continue };
            let module = written.module.and_then(|at| conf.modules.get(at)).map(|section| section.name.clone());
            let text = format!("{} = {}", written.name, written.value);
            findings.push((written.place, finding(conf, written.place, module, text, verdict, why)));
        }
        // A module before its settings, where they share a line by continuation.
        findings.sort_by_key(|(place, _)| *place);
        findings.into_iter().map(|(_, finding)| finding).collect()
    }
}

fn finding(conf: &Conf, place: Place, module: Option<String>, text: String, verdict: Verdict, why: String) -> Finding {
    Finding { file: conf.file(place).map(str::to_owned), line: place.line, module, text, verdict, why }
}
