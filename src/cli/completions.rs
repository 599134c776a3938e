//! `headwater completions`: what a shell needs to complete our commands, made from the commands themselves.

use clap::CommandFactory;

use super::args::{Arguments, CompletionsArgs};
use super::output::print;

/// Prints it.
pub(super) fn completions(args: &CompletionsArgs) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Arguments::command(), "headwater", &mut script);
    print(&String::from_utf8(script)?)
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, ValueEnum};
    use clap_complete::Shell;

    use super::*;

    #[test]
    fn every_shell_gets_every_command_that_is_shown() {
        let command = Arguments::command();
        let names: Vec<&str> =
            command.get_subcommands().filter(|inner| !inner.is_hide_set()).map(|inner| inner.get_name()).collect();
        assert!(names.contains(&"import"), "{names:?}");
        for shell in Shell::value_variants() {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Arguments::command(), "headwater", &mut script);
            let script = String::from_utf8(script).unwrap();
            let missing: Vec<&&str> = names.iter().filter(|name| !script.contains(**name)).collect();
            assert!(missing.is_empty(), "{shell}: {missing:?}");
        }
    }
}
