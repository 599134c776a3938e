//! `headwater config from-rsyncd`: an `rsyncd.conf` in headwater's words, and what became of each of its settings.
//!
//! The whole output is a topology: what is said for people stands in it as comments, so that it can be kept in one file.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use anyhow::Context;
use serde_json::{Value, json};

use super::args::FromRsyncdArgs;
use super::output::{Lines, print, print_json};
use crate::cascade::{Finding, Source, Surroundings, Topology, Translation, Verdict};
use crate::control::Refusal;
use crate::fault::Fault;
use crate::node::words::WORDS;

/// Longest file that is read: far more than an `rsyncd.conf`, or a file of patterns, has.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Most files of a directory: more than are ever translated at once.
const MAX_LISTED: usize = 10_000;

/// Where lines are broken.
const WIDTH: usize = 96;

/// Most characters of a line of rsyncd's that are repeated.
const SHOWN: usize = 120;

/// Translates, and prints or writes what came of it.
pub(super) fn from_rsyncd(args: &FromRsyncdArgs) -> anyhow::Result<()> {
    let text = read(&args.source).with_context(|| format!("read {}", args.source.display()))?;
    let around = Surroundings {
        federation: args.federation.as_str(),
        node: args.node.as_str(),
        is_tree: &|directory| Path::new(directory).join("profiles/repo_name").is_file(),
        text_of: &|file| read(Path::new(file)).map_err(|error| error.to_string()),
        files_of: &|from, path, ending| {
            let from = from.map_or(args.source.as_path(), Path::new);
            files(&from.with_file_name(path), ending).map_err(|error| error.to_string())
        },
    };
    let translation = match Translation::of_rsyncd_conf(&text, &around) {
        Ok(translation) => translation,
        Err(error) => return Err(refused(format!("translate {}", args.source.display()), error.to_string()).into()),
    };
    if let Some(target) = &args.topology_out {
        let written = File::create_new(target).and_then(|mut file| file.write_all(translation.topology.as_bytes()));
        written.with_context(|| format!("write {}", target.display()))?;
    }
    let said = || said(&translation, &args.source);
    match &args.topology_out {
        _ if args.json => print_json(&value(&translation), Lines::Many)?,
        Some(target) => print(&format!(
            "{}\nThe topology is in {1}: `headwater config check --topology {1}`.\n",
            said(),
            target.display()
        ))?,
        None => print(&format!("{}\n{}", commented(&said()), translation.topology))?,
    }
    match Topology::parse_with(&translation.topology, WORDS) {
        Ok(_) => Ok(()),
        Err(mistakes) => {
            let lines: Vec<String> = mistakes.iter().map(|mistake| format!("\n  {mistake}")).collect();
            Err(refused("use the topology as it was written".to_owned(), lines.concat()).into())
        }
    }
}

fn refused(what: String, why: String) -> Refusal {
    Refusal { fault: Fault::Operator, what, why, todo: "correct what is named, and try again".to_owned() }
}

fn read(file: &Path) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    fs::File::open(file)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    let invalid = |why: &str| std::io::Error::new(std::io::ErrorKind::InvalidData, why);
    if bytes.len() > usize::try_from(MAX_FILE_BYTES).unwrap_or(usize::MAX) {
        return Err(invalid("it has more than 1 MiB"));
    }
    String::from_utf8(bytes).map_err(|_| invalid("it is not UTF-8"))
}

/// The file itself, or those of a directory whose names end so. A name that is no text is an error: its file may restrict.
fn files(path: &Path, ending: &str) -> std::io::Result<Vec<String>> {
    let text = |path: &Path| match path.to_str() {
        Some(path) => Ok(path.to_owned()),
        None => Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "a name in it is not UTF-8")),
    };
    if !fs::metadata(path)?.is_dir() {
        return Ok(vec![text(path)?]);
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let ends = entry.file_name().as_bytes().ends_with(ending.as_bytes());
        if ends && names.len() == MAX_LISTED {
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "it has too many files"));
        }
        // A link that leads nowhere is listed, and then cannot be read.
        if ends && !fs::metadata(entry.path()).is_ok_and(|found| found.is_dir()) {
            names.push(text(&entry.path())?);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// What a script reads. Its fields stay; new ones may come.
fn value(translation: &Translation) -> Value {
    let finding = |finding: &Finding| {
        let verdict = match finding.verdict {
            Verdict::Refused => "refused",
            Verdict::Taken => "taken",
            Verdict::NoMeaning => "no_meaning",
        };
        json!({
            "file": finding.file,
            "line": finding.line,
            "module": finding.module,
            "text": finding.text,
            "verdict": verdict,
            "why": finding.why,
        })
    };
    let import = |source: &Source| json!({ "directory": source.directory, "repository": source.repository, "command": source.command() });
    json!({
        "topology": translation.topology,
        "node": translation.node,
        "imports": translation.sources.iter().map(import).collect::<Vec<_>>(),
        "readers": translation.readers,
        "findings": translation.findings.iter().map(finding).collect::<Vec<_>>(),
    })
}

/// What a person reads: the settings, the lines for the other file, and what comes next.
fn said(translation: &Translation, source: &Path) -> String {
    let mut text = format!("{}, line by line\n", source.display());
    for (verdict, title) in [
        (Verdict::Refused, "Needs you: it could not be taken over as it is"),
        (Verdict::Taken, "Taken over"),
        (Verdict::NoMeaning, "Without a meaning here"),
    ] {
        let found: Vec<&Finding> = translation.findings.iter().filter(|finding| finding.verdict == verdict).collect();
        if found.is_empty() {
            continue;
        }
        text.push_str(&format!("\n{title}:\n"));
        found.iter().for_each(|finding| text.push_str(&line(finding)));
    }
    if !translation.node.is_empty() {
        text.push_str("\nFor headwater.toml:\n");
        translation.node.lines().for_each(|line| text.push_str(&format!("  {line}\n")));
    }
    if !translation.sources.is_empty() {
        text.push_str(&match translation.readers.join(" and ") {
            nobody if nobody.is_empty() => "\nThen, with the node running:\n".to_owned(),
            users => {
                format!("\nThen, with the node running as a user who may read no more than {}:\n", plain(&users, SHOWN))
            }
        });
        let commands = translation.sources.iter().map(Source::command);
        commands.for_each(|command| text.push_str(&format!("  {}\n", plain(&command, usize::MAX))));
    }
    text
}

fn line(finding: &Finding) -> String {
    let module = finding.module.as_ref().filter(|module| finding.text != format!("[{module}]"));
    let module = module.map_or(String::new(), |module| format!("[{module}] "));
    let place = match &finding.file {
        Some(file) => format!("{}:{}", plain(file, usize::MAX), finding.line),
        None => finding.line.to_string(),
    };
    let mut text = format!("  {place:>4}  {}\n", plain(&format!("{module}{}", finding.text), SHOWN));
    let mut row = "        ->".to_owned();
    for word in finding.why.split_whitespace() {
        if row.chars().count() + 1 + word.chars().count() > WIDTH {
            text.push_str(&row);
            text.push('\n');
            row = "          ".to_owned();
        }
        row.push(' ');
        row.push_str(&plain(word, usize::MAX));
    }
    text.push_str(&row);
    text.push('\n');
    text
}

/// Without characters that a terminal would obey, and not longer than `most`.
fn plain(text: &str, most: usize) -> String {
    let mut plain: String = text.chars().take(most).map(|c| if c.is_control() { '?' } else { c }).collect();
    if text.chars().nth(most).is_some() {
        plain.push_str("...");
    }
    plain
}

/// The same text as a comment of a topology.
fn commented(text: &str) -> String {
    text.lines().map(|line| if line.is_empty() { "#\n".to_owned() } else { format!("# {line}\n") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_stands_for_its_files_of_one_ending_in_the_order_of_their_names() {
        let place = tempfile::tempdir().unwrap();
        for name in ["x.conf", "Y.conf", ".conf", "a.conf", "a-b.conf", "x.inc", "x.conf.bak", "X.CONF"] {
            fs::write(place.path().join(name), "").unwrap();
        }
        fs::create_dir(place.path().join("d.conf")).unwrap();
        std::os::unix::fs::symlink("/nowhere", place.path().join("lost.conf")).unwrap();
        let check = |path: &Path, ending: &str, expected: &[&str]| {
            let expected: Vec<String> =
                expected.iter().map(|name| place.path().join(name).display().to_string()).collect();
            assert_eq!(files(path, ending).unwrap(), expected, "{ending}");
        };
        check(place.path(), ".conf", &[".conf", "Y.conf", "a-b.conf", "a.conf", "lost.conf", "x.conf"]);
        check(place.path(), ".inc", &["x.inc"]);
        check(&place.path().join("X.CONF"), ".inc", &["X.CONF"]);
        assert!(files(&place.path().join("none"), ".conf").is_err());
    }

    #[test]
    fn what_is_said_is_grouped_and_broken_and_a_comment_of_the_topology() {
        let around = Surroundings {
            federation: "home",
            node: "gw",
            is_tree: &|_| true,
            text_of: &|_| Ok("read only = no".to_owned()),
            files_of: &|_, path, _| Ok(vec![path.to_owned()]),
        };
        let text = "uid = nobody\nmotd file = /m\n[g]\npath = /srv/g\nread only = no\n&merge /etc/m\n";
        let translation = Translation::of_rsyncd_conf(text, &around).unwrap();
        let said = said(&translation, Path::new("rsyncd.conf"));
        assert_eq!(
            said,
            "rsyncd.conf, line by line\n\
             \nNeeds you: it could not be taken over as it is:\n\
             \x20    1  uid = nobody\n\
             \x20       -> what nobody may not read was not served, but will be once it is imported: run the\n\
             \x20          node, or an import without one, as nobody or as a user who may read no more\n\
             \x20 /etc/m:1  [g] read only = no\n        -> nobody can upload: a client that tries is refused\n\
             \nTaken over:\n\
             \x20    2  motd file = /m\n        -> motd, in headwater.toml\n\
             \x20    4  [g] path = /srv/g\n        -> to be imported from /srv/g, as an ebuild repository\n\
             \x20    6  &merge /etc/m\n        -> its lines are read in this place\n\
             \nWithout a meaning here:\n\
             \x20    5  [g] read only = no\n        -> /etc/m:1 takes its place\n\
             \nFor headwater.toml:\n  motd = \"/m\"\n\
             \nThen, with the node running as a user who may read no more than nobody:\n  headwater import /srv/g --repository g\n"
        );
        let value = value(&translation);
        assert_eq!((&value["topology"], &value["node"]), (&json!(translation.topology), &json!("motd = \"/m\"\n")));
        assert_eq!(
            value["imports"],
            json!([{ "directory": "/srv/g", "repository": "g", "command": "headwater import /srv/g --repository g" }])
        );
        assert_eq!(value["readers"], json!(["nobody"]));
        assert_eq!(value["findings"].as_array().map(Vec::len), Some(6));
        assert_eq!(
            value["findings"][5],
            json!({
                "file": "/etc/m", "line": 1, "module": "g", "text": "read only = no", "verdict": "refused",
                "why": "nobody can upload: a client that tries is refused",
            })
        );
        assert!(Topology::parse(&format!("{}\n{}", commented(&said), translation.topology)).is_ok());
        assert_eq!(plain("a\u{1b}[2J and more", 5), "a?[2J...");
    }
}
