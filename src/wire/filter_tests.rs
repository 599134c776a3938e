//! Tests of filter lists and of per-directory files: recorded answers of stock daemons, and what goes beyond those.

use super::*;
use std::collections::{BTreeMap, BTreeSet};

/// What a stock daemon lists for each of 125 rule lists, see the head of the file.
const VECTORS: &str = include_str!("../../tests/vectors/filters.tsv");

/// The paths of a module: directories without content, files with theirs.
type Tree = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

fn reader(tree: &Tree) -> impl FnMut(&[u8]) -> Option<Vec<u8>> + '_ {
    |path| tree.get(path).cloned().flatten()
}

/// What a recursive sender lists for one path argument.
fn listed(tree: &Tree, argument: &str, filters: &Filters) -> Result<BTreeSet<String>, FilterError> {
    let (root, name) = argument.rsplit_once('/').unwrap_or(("", argument));
    let above = filters.root_scope(root.as_bytes())?;
    let mut out = BTreeSet::new();
    if name.is_empty() {
        let scope = filters.enter(&above, b".", &mut reader(tree))?;
        out.insert(".".to_owned());
        walk(tree, filters, &scope, b"", &mut out)?;
    } else {
        list(tree, filters, &above, name.as_bytes(), &mut out)?;
    }
    Ok(out)
}

fn walk(
    tree: &Tree,
    filters: &Filters,
    scope: &Scope,
    directory: &[u8],
    out: &mut BTreeSet<String>,
) -> Result<(), FilterError> {
    let place = join(&scope.root, directory);
    for path in tree.keys() {
        if path.iter().rposition(is_slash).map_or(&b""[..], |slash| &path[..slash]) == place {
            let name = if scope.root.is_empty() { path } else { &path[scope.root.len() + 1..] };
            list(tree, filters, scope, name, out)?;
        }
    }
    Ok(())
}

fn list(
    tree: &Tree,
    filters: &Filters,
    scope: &Scope,
    name: &[u8],
    out: &mut BTreeSet<String>,
) -> Result<(), FilterError> {
    let directory = tree[&join(&scope.root, name)].is_none();
    if filters.excludes(scope, name, if directory { Is::Directory } else { Is::Other }) {
        return Ok(());
    }
    let text = String::from_utf8(name.to_vec()).unwrap();
    if directory {
        out.insert(text + "/");
        let inner = filters.enter(scope, name, &mut reader(tree))?;
        walk(tree, filters, &inner, name, out)?;
    } else {
        out.insert(text);
    }
    Ok(())
}

fn rules(texts: &[&str]) -> Filters {
    let texts: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    Filters::parse(&texts, CvsExclude::No).unwrap()
}

/// The strings of a JSON list of strings, or of one string.
fn json(text: &str) -> Vec<String> {
    let (mut strings, mut current) = (Vec::new(), None::<String>);
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (&mut current, letter) {
            (None, '"') => current = Some(String::new()),
            (None, _) => {}
            (Some(_), '"') => strings.extend(current.take()),
            (Some(string), '\\') => string.push(match letters.next().unwrap() {
                'n' => '\n',
                't' => '\t',
                other => other,
            }),
            (Some(string), _) => string.push(letter),
        }
    }
    strings
}

#[test]
fn lists_what_a_stock_daemon_lists_in_every_recorded_case() {
    let (mut tree, mut cases) = (Tree::new(), 0);
    for row in VECTORS.lines().filter(|row| !row.starts_with('#')) {
        match row.split('\t').collect::<Vec<_>>()[..] {
            ["tree", name, paths] => {
                tree.insert(name.into(), None);
                for path in json(paths) {
                    let content = (!path.ends_with('/')).then(Vec::new);
                    tree.insert(format!("{name}/{}", path.trim_end_matches('/')).into(), content);
                }
            }
            ["file", name, path, content] => {
                tree.insert(format!("{name}/{path}").into(), Some(json(content).concat().into()));
            }
            ["case", _, argument, rules, _, expected, _] => {
                cases += 1;
                let texts: Vec<Vec<u8>> = json(rules).into_iter().map(String::into_bytes).collect();
                let result =
                    Filters::parse(&texts, CvsExclude::No).and_then(|filters| listed(&tree, argument, &filters));
                let got = result.unwrap_or_else(|error| [format!("ERR {}", error.exit_code())].into());
                assert_eq!(got, json(expected).into_iter().collect(), "rules {rules}, argument {argument}");
            }
            _ => panic!("a row of an unknown kind: {row}"),
        }
    }
    assert_eq!(cases, 125);
}

fn tree(paths: &[(&str, &str)]) -> Tree {
    let entry = |(path, content): &(&str, &str)| match path.strip_suffix('/') {
        Some(directory) => (directory.into(), None),
        None => ((*path).into(), Some((*content).into())),
    };
    paths.iter().map(entry).collect()
}

#[test]
fn files_above_the_first_directory_count_only_where_the_rule_says_so() {
    let tree = tree(&[
        (".r", "- x"),
        ("t/", ""),
        ("t/.r", "- y\n- /a/z"),
        ("t/a/", ""),
        ("t/a/x", ""),
        ("t/a/y", ""),
        ("t/a/z", ""),
    ]);
    for (rule, argument, expected) in [
        (": .r", "t/a", "a/ a/x a/y a/z"),
        (": /.r", "t/a", "a/"),
        (": /t/.r", "t/a", "a/ a/x"),
        (": ./.r", "t/a", "a/ a/x"),
        (": ../.r", "t/a", "a/"),
        (": /t/a/.r", "t/a", "a/ a/x a/y a/z"),
        (": /.r", "t/a/", "."),
        (": ./.r", "t/a/", ". x y z"),
        (": .r", "t/", ". .r a/ a/x"),
        (":n /.r", "t/a/", ". x y z"),
    ] {
        let got = listed(&tree, argument, &rules(&[rule])).unwrap();
        assert_eq!(got, expected.split(' ').map(str::to_owned).collect(), "rule {rule}, argument {argument}");
    }
}

#[test]
fn a_file_may_name_a_further_one_but_none_counts_twice() {
    let tree = tree(&[
        (".r", ": .r\n: .q\n- b"),
        (".q", "- a"),
        ("a", ""),
        ("b", ""),
        ("d/", ""),
        ("d/.q", "!\n- c"),
        ("d/a", ""),
        ("d/c", ""),
    ]);
    let got = listed(&tree, "", &rules(&[": .r", ":- .r"])).unwrap();
    assert_eq!(got, [".", ".q", ".r", "d/", "d/.q", "d/a"].map(str::to_owned).into());
}

/// As stock rsync 3.5.0 lists them.
#[test]
fn a_name_counts_once_on_a_path_unless_its_own_file_clears_it() {
    type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);
    const PLACES: [&str; 4] = ["", "d/", "d/e/", "e/"];
    let (o, s) = ("- open", "- secret");
    let rows: [Row<'_>; 15] = [
        (":n .r", &[(".r", ": .q"), ("d/.r", ": .q"), ("d/.q", s)], ""),
        (":n .r", &[(".r", ": .q"), ("d/e/.r", ": .q"), ("d/e/.q", s)], ""),
        (":n .r", &[("d/.r", ": .q"), ("d/.q", s), ("e/.r", ": .q"), ("e/.q", s)], "d/secret e/secret"),
        (":n .r", &[(".r", "!\n: .q"), (".q", s), ("d/.r", "!\n: .q"), ("d/.q", o)], "secret"),
        (": .r", &[(".r", ": .q"), ("d/.r", "!\n: .q"), ("d/.q", s)], ""),
        (": .r", &[(".r", ": .q"), ("d/.r", ": .q\n!\n: .q"), ("d/.q", s)], ""),
        (": .r", &[(".r", ": .q"), ("d/.r", "!"), ("d/e/.r", ": .q"), ("d/e/.q", s)], ""),
        (": .r", &[(".r", ": .q"), ("d/.r", ": .q"), ("d/.q", s)], "d/secret d/e/secret"),
        (": .r", &[(".r", ": .q\n!"), (".q", o), ("d/.r", ": .q"), ("d/.q", s)], "d/secret d/e/secret"),
        (": .r", &[(".r", ": .q\n!\n: .q"), (".q", o), ("d/e/.q", s)], "open d/open d/e/open d/e/secret e/open"),
        (": .r", &[(".r", ": .q\n!\n:n .q"), (".q", o), ("d/.q", s)], "open d/secret"),
        (
            ": .r",
            &[(".r", ": .q\n: .s\n!\n: .s\n:n .q"), (".q", o), (".s", s)],
            "open secret d/secret d/e/secret e/secret",
        ),
        (": .r", &[(".r", ": .q\n!\n: .t"), (".q", ": .t"), (".t", s)], "secret d/secret d/e/secret e/secret"),
        (": .r", &[(".r", ": .q"), (".q", ": .t\n!"), (".t", s), ("d/.q", ": .t"), ("d/.t", o)], "d/open d/e/open"),
        (": .r\n: .p", &[(".r", ": .q\n!"), (".p", ": .q"), (".q", s)], "secret d/secret d/e/secret e/secret"),
    ];
    for (list, files, expected) in rows {
        let probes: Vec<String> = PLACES.iter().flat_map(|at| [format!("{at}open"), format!("{at}secret")]).collect();
        let mut paths = tree(&[&[("d/", ""), ("d/e/", ""), ("e/", "")], files].concat());
        paths.extend(probes.iter().map(|probe| (probe.clone().into_bytes(), Some(Vec::new()))));
        let shown = listed(&paths, "", &rules(&list.split('\n').collect::<Vec<_>>())).unwrap();
        let hidden: Vec<&str> = probes.iter().filter(|probe| !shown.contains(*probe)).map(String::as_str).collect();
        assert_eq!(hidden.join(" "), expected, "{list} {files:?}");
    }
}

#[test]
fn entering_in_any_order_gives_the_rules_of_the_ancestors() {
    let tree = tree(&[("a/", ""), ("a/.r", "- one"), ("b/", ""), ("b/.r", "- two")]);
    let filters = rules(&[": .r"]);
    let top = filters.enter(&filters.root_scope(b"").unwrap(), b"", &mut reader(&tree)).unwrap();
    let b = filters.enter(&top, b"b", &mut reader(&tree)).unwrap();
    let a = filters.enter(&top, b"a", &mut reader(&tree)).unwrap();
    assert!(filters.excludes(&a, b"a/one", Is::Other) && !filters.excludes(&a, b"a/two", Is::Other));
    assert!(filters.excludes(&b, b"b/two", Is::Other) && !filters.excludes(&b, b"b/one", Is::Other));
    let deeper = filters.enter(&a, b"a/x", &mut reader(&tree)).unwrap();
    assert!(Arc::ptr_eq(&deeper.list, &a.list), "a directory without files shares its parent's rules");
}

#[test]
fn no_error_repeats_a_line_of_a_file() {
    for line in [
        "secret",
        "-s secret",
        "H secret",
        ". secret",
        "!secret",
        "-secret x",
        "-_",
        &format!("- {}", "s".repeat(5_118)),
    ] {
        let tree = tree(&[(".r", &format!("# fine\n\n{line}\n"))]);
        let error = listed(&tree, "", &rules(&[":s .r"])).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("filter file .r, line 3") && !text.contains("secret") && !text.contains("sss"), "{text}");
        assert_eq!(error.exit_code(), 1);
    }
}

#[test]
fn a_refused_rule_of_the_client_is_named_escaped_and_shortened() {
    let refused = |rule: &[u8]| Filters::parse(&[rule.to_vec()], CvsExclude::No).unwrap_err().to_string();
    assert!(refused(b"x bad\n\xff").starts_with(r"Unknown filter rule: `x bad\n\xff'"));
    assert!(refused(&[b'y'; 9_000]).len() < 200);
}

#[test]
fn every_amount_has_its_bound() {
    let many = |rule: &str, count: usize| Filters::parse(&vec![rule.as_bytes().to_vec(); count], CvsExclude::No);
    assert!(many("- a", MAX_RULES).is_ok());
    assert!(many("- a", MAX_RULES + 1).is_err());
    assert!(many("- **", MAX_STARS / 2).is_ok());
    assert!(many("- **", MAX_STARS / 2 + 1).is_err());
    assert!(many(&format!("- {}", "a".repeat(5_000)), MAX_LIST_BYTES / 5_002 + 1).is_err());
    assert!(many(&format!("- {}", "a".repeat(5_118)), 1).is_err());
    let merges = |count: usize| {
        Filters::parse(&(0..count).map(|n| format!(": f{n}").into()).collect::<Vec<_>>(), CvsExclude::No)
    };
    assert!(merges(MAX_MERGES).is_ok());
    assert!(merges(MAX_MERGES + 1).is_err());

    let chain: Vec<(String, String)> = (0..=MAX_MERGES).map(|n| (format!("f{n}"), format!(": f{}", n + 1))).collect();
    let chain: Vec<(&str, &str)> = chain.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    assert!(matches!(listed(&tree(&chain), "", &rules(&[": f0"])), Err(FilterError::Bound { .. })));
    for content in ["#".repeat(MAX_MERGE_FILE + 1), "- a\n".repeat(MAX_RULES + 1)] {
        let error = listed(&tree(&[(".r", &content)]), "", &rules(&[": .r"]));
        assert!(matches!(error, Err(FilterError::Bound { .. })));
    }
    let half = "- a\n".repeat(MAX_RULES / 2 + 1);
    let deep = tree(&[(".r", &half), ("d/", ""), ("d/.r", &half)]);
    assert!(listed(&deep, "", &rules(&[": .r"])).is_err(), "what is inherited counts");
    assert!(listed(&deep, "", &rules(&[":n .r"])).is_ok(), "what is not does not");
}

#[test]
fn equal_meaning_is_an_equal_key() {
    assert_eq!(rules(&["- a/", "+ b"]), rules(&["exclude_a/", "+,sr b"]));
    assert_eq!(rules(&["- x", "!", "- a", "-x y"]), rules(&["- a"]));
    assert_ne!(rules(&["- a/"]), rules(&["- a"]));
    assert_ne!(rules(&["- a", "- b"]), rules(&["- b", "- a"]));
    assert_ne!(rules(&["- a"]), rules(&["-/ a"]));
    assert!(rules(&["-x y"]).is_empty());
    assert_eq!(rules(&[": /a/.x", ":C "]).merge_names(), [&b".x"[..], b".cvsignore"]);
    let by_letter = Filters::parse(&[b"- a".to_vec()], CvsExclude::Yes).unwrap();
    assert_eq!(by_letter, rules(&["- a", ":C .cvsignore", "-C "]));
}
