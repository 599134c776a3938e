//! `&merge` and `&include`: the lines of an `rsyncd.conf` that stand for other files.
//!
//! rsyncd takes a path without a slash in front from wherever it was started, which its file does not say. Here it is taken
//! from beside the file that names it; where nothing is found there, what was to be read is lost, and every module closed.
//! Deliberately absent: what is in the files, and opening them.

use super::rsyncd_conf_report::Surroundings;

/// What a line with `&` says, and of which file or directory.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Directive<'t> {
    /// As if the text stood here.
    Merge(&'t str),
    /// A text of its own, which begins with the defaults of this one.
    Include(&'t str),
}

impl<'t> Directive<'t> {
    /// Reads a line; none if rsyncd does not know what it says.
    pub(super) fn read(line: &'t str) -> Option<Self> {
        let line = line.strip_prefix('&')?;
        let (word, rest) = line.split_at(line.find(|c: char| c == '=' || c.is_whitespace())?);
        let rest = rest.trim_start();
        let path = rest.strip_prefix('=').unwrap_or(rest).trim();
        match word.to_ascii_lowercase().as_str() {
            "merge" if !path.is_empty() => Some(Self::Merge(path)),
            "include" if !path.is_empty() => Some(Self::Include(path)),
            _ => None,
        }
    }

    /// The files that it names, in order, or why they are not known; `from` is the file it stands in, if not the first one.
    pub(super) fn files(self, from: Option<&str>, around: &Surroundings<'_>) -> Result<Vec<String>, String> {
        let (path, ending) = match self {
            Self::Merge(path) => (path, ".inc"),
            Self::Include(path) => (path, ".conf"),
        };
        (around.files_of)(from, path, ending).map_err(|why| format!("{path} cannot be read ({why})"))
    }

    /// Whether another place may have been meant.
    pub(super) fn is_relative(self) -> bool {
        let (Self::Merge(path) | Self::Include(path)) = self;
        !path.starts_with('/')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directive_is_a_word_and_a_path() {
        let check = |line: &str, expected: Option<Directive<'_>>| assert_eq!(Directive::read(line), expected, "{line}");
        check("&merge /a", Some(Directive::Merge("/a")));
        check("&INCLUDE\t/a b ", Some(Directive::Include("/a b")));
        check("&merge=/a=b", Some(Directive::Merge("/a=b")));
        check("&merge = /a", Some(Directive::Merge("/a")));
        for wrong in ["&merge", "&merge ", "& merge /a", "&merge/a", "&bogus /a", "&", "merge /a"] {
            check(wrong, None);
        }
    }
}
