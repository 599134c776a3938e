//! The one rule that a module of distfiles has beside those of every module.
//!
//! Portage downloads to `NAME.__download__` and some set-ups ask the server for just that name. In a module of
//! distfiles it means NAME, unless a file has that very name. Plain modules never look here.

/// What a module's names mean.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum ModuleKind {
    /// Names mean what they say.
    #[default]
    Plain,
    /// Source files of packages, asked for by Portage.
    Distfiles,
}

/// What Portage puts behind the name of a file that it is downloading.
const DOWNLOADING: &[u8] = b".__download__";

impl ModuleKind {
    /// The name that is meant by one that does not exist; `None`: it is just missing.
    pub(crate) fn meant(self, name: &[u8]) -> Option<&[u8]> {
        match self {
            ModuleKind::Plain => None,
            ModuleKind::Distfiles => name.strip_suffix(DOWNLOADING).filter(|meant| !meant.is_empty()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_distfiles_are_known_by_the_name_of_their_download() {
        let meant = |kind: ModuleKind, name: &str| {
            kind.meant(name.as_bytes()).map(|meant| String::from_utf8_lossy(meant).into_owned())
        };
        assert_eq!(meant(ModuleKind::Distfiles, "x-1.tar.gz.__download__").as_deref(), Some("x-1.tar.gz"));
        assert_eq!(meant(ModuleKind::Distfiles, "x.__download__.__download__").as_deref(), Some("x.__download__"));
        assert_eq!(meant(ModuleKind::Distfiles, "x-1.tar.gz"), None);
        assert_eq!(meant(ModuleKind::Distfiles, ".__download__"), None);
        assert_eq!(meant(ModuleKind::Plain, "x-1.tar.gz.__download__"), None);
    }
}
