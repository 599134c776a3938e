//! A path argument of a client, taken apart: which directory is the base, and by which name the
//! argument is listed.
//!
//! Pure text: nothing is looked up here. `..` is resolved textually and never climbs above the
//! module (protocol 2.10 step 3), so no argument can name anything outside it.

use crate::wire::wild::has_wildcards;

/// Whether the full path is the name (`-R`) or its last component.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Naming {
    /// The part after the last slash is the name.
    Last,
    /// The whole path, or what follows `/./`, is the name.
    Relative,
}

/// One path argument below the module root.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Argument {
    /// Components of the whole path, base and name together.
    pub(crate) components: Vec<Vec<u8>>,
    /// How many of them belong to the base, which never travels.
    pub(crate) base: usize,
    /// The argument names what a directory holds: it ended in a slash, in `/.`, or was empty.
    pub(crate) content: bool,
    /// With `-R` a leading `./`: the root itself is listed as an implied directory.
    pub(crate) implied_root: bool,
}

/// Strips the module's name from a path argument as sent (protocol 2.10 step 1); whole components only.
fn below_module<'a>(raw: &'a [u8], module: &str) -> &'a [u8] {
    match raw.strip_prefix(module.as_bytes()) {
        Some([]) => b"",
        Some([b'/', rest @ ..]) => rest,
        Some(_) | None => raw,
    }
}

impl Argument {
    /// Takes `raw`, as the client sent it, apart.
    pub(crate) fn parse(raw: &[u8], module: &str, naming: Naming) -> Argument {
        Argument::below(&[], below_module(raw, module), naming)
    }

    /// Takes `path`, which starts in the directory of these components, apart: a name of `--files-from` (protocol 7).
    /// It leads nowhere but below them.
    pub(crate) fn below(top: &[Vec<u8>], path: &[u8], naming: Naming) -> Argument {
        let mut argument = Argument { components: top.to_vec(), content: true, ..Argument::default() };
        let mut split = None;
        let last = path.split(|byte| *byte == b'/').count().saturating_sub(1);
        for (position, component) in path.split(|byte| *byte == b'/').enumerate() {
            match component {
                b"" => argument.content = true,
                b"." => {
                    argument.content = true;
                    if naming == Naming::Relative && split.is_none() && position < last {
                        split = Some(argument.components.len());
                        argument.implied_root = position == 0 || argument.components.len() == top.len();
                    }
                }
                b".." => {
                    if argument.components.len() > top.len() {
                        argument.components.pop();
                    }
                    split = split.map(|at| at.min(argument.components.len()));
                    argument.content = true;
                }
                name => {
                    argument.components.push(name.to_vec());
                    argument.content = false;
                }
            }
        }
        argument.base = match naming {
            Naming::Relative => split.unwrap_or(top.len()),
            Naming::Last if argument.content => argument.components.len(),
            Naming::Last => argument.components.len().saturating_sub(1),
        };
        argument.implied_root &= naming == Naming::Relative && argument.components.len() > argument.base;
        argument
    }

    /// The components that make the listed name.
    pub(crate) fn name(&self) -> &[Vec<u8>] {
        self.components.get(self.base..).unwrap_or_default()
    }

    /// Whether a component holds a wildcard, so that the argument is matched against the snapshot.
    pub(crate) fn is_pattern(&self) -> bool {
        self.components.iter().any(|component| has_wildcards(component))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an argument becomes: `base|name`, with `/` after the name when its content is meant and `./` for an implied root.
    fn check(raw: &str, naming: Naming, expected: &str) {
        same(&Argument::parse(raw.as_bytes(), "mod", naming), expected, raw);
    }

    fn same(argument: &Argument, expected: &str, raw: &str) {
        let text = |parts: &[Vec<u8>]| {
            parts.iter().map(|p| String::from_utf8_lossy(p).into_owned()).collect::<Vec<_>>().join("/")
        };
        let root = if argument.implied_root { "./" } else { "" };
        let slash = if argument.content { "/" } else { "" };
        let base = text(argument.components.get(..argument.base).unwrap_or_default());
        assert_eq!(format!("{base}|{root}{}{slash}", text(argument.name())), expected, "{raw}");
    }

    #[test]
    fn an_argument_is_split_into_base_and_name() {
        for (raw, last, relative) in [
            ("mod", "|/", "|/"),
            ("mod/", "|/", "|/"),
            ("mod/a", "|a", "|a"),
            ("mod/a/b", "a|b", "|a/b"),
            ("mod/a/b/", "a/b|/", "|a/b/"),
            ("mod/a/b/.", "a/b|/", "|a/b/"),
            ("mod/a/b/./", "a/b|/", "a/b|/"),
            ("mod//x//y/", "x/y|/", "|x/y/"),
            ("mod/../x", "|x", "|x"),
            ("mod/../../..", "|/", "|/"),
            ("mod/a/../b", "|b", "|b"),
            ("mod/a/./b/c", "a/b|c", "a|b/c"),
            ("mod/./a", "|a", "|./a"),
            ("mod/./", "|/", "|/"),
            ("modern/x", "modern|x", "|modern/x"),
            ("x/y", "x|y", "|x/y"),
        ] {
            check(raw, Naming::Last, last);
            check(raw, Naming::Relative, relative);
        }
    }

    #[test]
    fn a_name_from_the_client_stays_below_its_directory() {
        let top = [b"top".to_vec(), b"dir".to_vec()];
        for (name, last, relative) in [
            ("a", "top/dir|a", "top/dir|a"),
            ("/a/b", "top/dir/a|b", "top/dir|a/b"),
            ("../../a", "top/dir|a", "top/dir|a"),
            ("a/../../../b/", "top/dir/b|/", "top/dir|b/"),
            ("a/./b", "top/dir/a|b", "top/dir/a|b"),
            ("./a", "top/dir|a", "top/dir|./a"),
            (".", "top/dir|/", "top/dir|/"),
            ("mod/a", "top/dir/mod|a", "top/dir|mod/a"),
        ] {
            same(&Argument::below(&top, name.as_bytes(), Naming::Last), last, name);
            same(&Argument::below(&top, name.as_bytes(), Naming::Relative), relative, name);
        }
    }
}
