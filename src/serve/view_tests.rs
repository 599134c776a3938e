//! Tests of the view: what a client is shown of one small tree, argument by argument.

use std::sync::Arc;

use super::*;
use crate::tree::TreePath;
use crate::wire::filter::CvsExclude;
use crate::wire::options::Options;

/// What the module holds. A slash ends a directory, an arrow points from a symlink to its target.
const TREE: [&str; 24] = [
    "abs -> /etc",
    "cat-a/",
    "cat-a/x",
    "cat-b/",
    "cat-b/y",
    "cat.list",
    "dangling -> nowhere",
    "dir/",
    "dir/.rules",
    "dir/file",
    "dir/keep.o",
    "dir/sub/",
    "dir/sub/deep/",
    "dir/sub/deep/q",
    "dir/sub/one.o",
    "dir/sub-2/",
    "dir/zero",
    "out -> ../outside",
    "round -> round",
    "self -> .",
    "sp ace",
    "sub -> dir/sub/",
    "top",
    "up -> dir/sub/../file",
];

/// What per-directory files say.
const RULES: &str = "- *.o\n- /zero\n";

fn snapshot(below: &str) -> Snapshot {
    let mut entries: Vec<String> = TREE.iter().map(|entry| format!("{below}{entry}")).collect();
    let parents = below.match_indices('/').map(|(at, _)| below[..=at].to_owned());
    entries.extend(parents);
    if !below.is_empty() {
        entries.push("outside".to_owned());
    }
    entries.sort_by_key(|entry| entry.split(" -> ").next().map(|path| path.trim_end_matches('/').replace('/', "\0")));
    let mut text = "headwater snapshot 1\nrepository gentoo\nd 755 1 .\n".to_owned();
    for entry in &entries {
        text += &match (entry.split_once(" -> "), entry.strip_suffix('/')) {
            (Some((path, target)), _) => format!("l 1 {target} {path}\n"),
            (None, Some(path)) => format!("d 755 1 {path}\n"),
            (None, None) => format!("f 644 1 0 {} {entry}\n", "0".repeat(128)),
        };
    }
    Snapshot::parse(text.as_bytes()).expect("a snapshot")
}

/// What is asked for besides options and paths.
#[derive(Clone, Copy)]
struct Wish<'a> {
    options: &'a str,
    rules: &'a [&'a str],
    hidden: &'a [&'a str],
    paths: &'a [&'a str],
    names: Option<&'a [&'a str]>,
    kind: ModuleKind,
    form: PathForm,
}

const NOTHING: Wish<'static> = Wish {
    options: "",
    rules: &[],
    hidden: &[],
    paths: &["mod/"],
    names: None,
    kind: ModuleKind::Plain,
    form: PathForm::Old,
};

fn flag(letter: char) -> Flag {
    match letter {
        'r' => Flag::Recursive,
        'd' => Flag::Dirs,
        'R' => Flag::Relative,
        'i' => Flag::IgnoreMissingArgs,
        'x' => Flag::DeleteMissingArgs,
        'L' => Flag::CopyLinks,
        'k' => Flag::CopyDirlinks,
        'u' => Flag::CopyUnsafeLinks,
        other => panic!("{other}"),
    }
}

fn bytes(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// Names in list order; a directory ends in a slash, and then `!`: named with its content, `-`: without it,
/// `^`: implied; what is missing begins with a question mark. Then what is said, in braces, and the error bits.
fn seen(below: &str, wish: Wish<'_>) -> String {
    let snapshot = snapshot(below);
    let options = wish.options.chars().map(flag).fold(Options::default(), Options::with).list_options();
    let filters = |rules| Filters::parse(&bytes(rules), CvsExclude::No).expect("rules");
    let (filters, module_filters) = (filters(wish.rules), filters(wish.hidden));
    let (paths, names) = (bytes(wish.paths), wish.names.map(bytes));
    let root = match below.trim_end_matches('/') {
        "" => 0,
        path => snapshot.find(TreePath::new(path.as_bytes()).expect("a path")).expect("a root"),
    };
    let order = ViewOrder {
        module: "mod",
        kind: wish.kind,
        root,
        options,
        filters: &filters,
        module_filters: &module_filters,
        paths: &paths,
        path_form: wish.form,
        names: names.as_deref(),
        matches: 1_000,
        effort: &Effort::new(Arc::default()),
    };
    let mut read = |index: usize| {
        let entry = snapshot.entry(index).expect("an entry");
        (entry.path.name() == b".rules").then(|| RULES.as_bytes().to_vec())
    };
    match select(&snapshot, &order, &mut read) {
        Ok(selection) => told(&snapshot, &selection),
        Err(NoList { code, text }) => format!("code {code}: {text}"),
    }
}

fn listed(below: &str, options: &str, rules: &[&str], paths: &[&str]) -> String {
    seen(below, Wish { options, rules, paths, ..NOTHING })
}

fn told(snapshot: &Snapshot, selection: &Selection) -> String {
    let mut told: Vec<String> = Vec::new();
    for one in &selection.selected {
        let mut buffer = Vec::new();
        let name = String::from_utf8(selection.name(one, snapshot, &mut buffer).to_vec()).expect("a name");
        let role = match one.role {
            DirRole::Argument => "/!",
            DirRole::Found => "/",
            DirRole::NoContent => "/-",
            DirRole::Implied => "/^",
            DirRole::NotADirectory => "",
        };
        let missing = if one.entry == super::super::selection::NOTHING { "?" } else { "" };
        told.push(format!("{missing}{name}{role}"));
    }
    for (tag, text) in &selection.messages {
        let text = String::from_utf8_lossy(text);
        let text = text.trim_end().trim_start_matches("rsync: [sender] ").replace(" (in mod) failed", "");
        told.push(format!("{{{tag:?} {text}}}"));
    }
    if selection.io_error != 0 {
        told.push(format!("io_error {}", selection.io_error));
    }
    told.join(" ")
}

fn check(options: &str, rules: &[&str], paths: &[&str], expected: &str) {
    // A module that is a directory of its snapshot shows the same: also what lies beside it is outside.
    for below in ["", "in/side/"] {
        assert_eq!(listed(below, options, rules, paths), expected, "-{options} {rules:?} {paths:?} in {below:?}");
    }
}

const DIR: &str = ".rules file keep.o zero sub-2/ sub/ sub/one.o sub/deep/ sub/deep/q";

/// [`DIR`] with `before` in front of each name.
fn dir(before: &str) -> String {
    DIR.split(' ').map(|name| format!("{before}{name}")).collect::<Vec<_>>().join(" ")
}

#[test]
fn arguments_are_listed_by_their_last_component() {
    check("r", &[], &["mod/top"], "top");
    check("r", &[], &["mod/dir"], &format!("dir/! {}", dir("dir/")));
    check("r", &[], &["mod/dir/"], &format!("./! {DIR}"));
    check("r", &[], &["mod/dir/."], &format!("./! {DIR}"));
    check("r", &[], &["mod/dir/sub/deep"], "deep/! deep/q");
    check("r", &[], &["mod//dir/./sub//deep/"], "./! q");
    check("r", &[], &["mod/cat-a", "mod/top", "mod/cat-a"], "cat-a/! cat-a/x top");
    check(
        "r",
        &[],
        &["mod/dir/sub", "mod/dir/sub/deep/"],
        "sub/! sub/one.o sub/deep/! sub/deep/q ./! q".replace("sub/deep/!", "sub/deep/").as_str(),
    );
    check("r", &[], &["mod/cat-a mod/top"], "cat-a/! cat-a/x top");
    check(
        "r",
        &[],
        &["top", "module/x"],
        "top {ErrorXfer change_dir \"module\": No such file or directory (2)} io_error 1",
    );
}

#[test]
fn a_place_that_is_named_again_and_again_is_listed_once() {
    let whole = listed("", "r", &[], &["mod/"]);
    assert_eq!(listed("", "r", &[], &vec!["mod/"; 16_000]), whole);
    let through_links: Vec<String> = (0..40).map(|hops| format!("mod/{}", "self/".repeat(hops))).collect();
    let through_links: Vec<&str> = through_links.iter().map(String::as_str).collect();
    assert_eq!(listed("", "r", &[], &through_links.repeat(100)), whole);
    // Under another name it is another place.
    assert_eq!(listed("", "r", &[], &["mod/cat-a", "mod/cat-a/"]), "cat-a/! cat-a/x ./! x");
    assert_eq!(listed("", "r", &[], &["mod/top"; 3]), "top top top");
    let most = "the arguments name the same files again and again: name each place once";
    assert_eq!(listed("", "r", &[], &vec!["mod/top"; 110_000]), format!("code 3: {most}"));
}

#[test]
fn no_argument_leads_out_of_the_module() {
    check("r", &[], &["mod/../top"], "top");
    check("r", &[], &["mod/../../outside"], "{ErrorXfer link_stat \"outside\": No such file or directory (2)}");
    check("r", &[], &["mod/dir/../top"], "top");
    check("r", &[], &["mod/out"], "out");
    check("r", &[], &["mod/out/"], "{ErrorXfer change_dir \"out\": No such file or directory (2)} io_error 1");
    check("r", &[], &["mod/abs/passwd"], "{ErrorXfer change_dir \"abs\": No such file or directory (2)} io_error 1");
    check(
        "r",
        &[],
        &["mod/self/out/x"],
        "{ErrorXfer change_dir \"self/out\": No such file or directory (2)} io_error 1",
    );
    let round = "Too many levels of symbolic links (40)";
    check("r", &[], &["mod/round/x"], &format!("{{ErrorXfer change_dir \"round\": {round}}} io_error 1"));
}

#[test]
fn symlinks_are_followed_on_the_way_and_listed_at_the_end() {
    check("r", &[], &["mod/sub"], "sub");
    check("r", &[], &["mod/sub/"], "./! one.o deep/ deep/q");
    check("r", &[], &["mod/sub/deep"], "deep/! deep/q");
    check("r", &[], &["mod/self/self/sub/one.o"], "one.o");
    check("r", &[], &["mod/up"], "up");
    check("r", &[], &["mod/dangling"], "dangling");
    check("rR", &[], &["mod/sub/deep"], "sub/^ sub/deep/! sub/deep/q");
    check("rR", &[], &["mod/sub/"], "sub/! sub/one.o sub/deep/ sub/deep/q");
    check("rR", &["- one.o"], &["mod/self/sub/"], "self/^ self/sub/! self/sub/deep/ self/sub/deep/q");
}

#[test]
fn relative_names_carry_their_parents_once() {
    check("rR", &[], &["mod/dir/sub/one.o"], "dir/^ dir/sub/^ dir/sub/one.o");
    check("rR", &[], &["mod/dir/file", "mod/dir/zero"], "dir/^ dir/file dir/zero");
    check("rR", &[], &["mod/dir/./sub/one.o"], "sub/^ sub/one.o");
    check("rR", &[], &["mod/./dir/file"], "./^ dir/^ dir/file");
    check("rR", &[], &["mod/dir/sub/./"], "./! one.o deep/ deep/q");
    check("rR", &[], &["mod/dir/sub/deep/"], "dir/^ dir/sub/^ dir/sub/deep/! dir/sub/deep/q");
    check("R", &[], &["mod/dir/sub"], "{Info skipping directory dir/sub}");
    check("R", &[], &["mod/./dir/file"], "dir/^ dir/file {Info skipping directory .}");
    check("rR", &["- sub"], &["mod/dir/sub"], "");
    check("rR", &["- dir/"], &["mod/dir/file"], "dir/^ dir/file");
    check("rR", &[], &["mod/dir/no"], "{ErrorXfer link_stat \"dir/no\": No such file or directory (2)}");
    check("rR", &[], &["mod/top/x"], "{ErrorXfer link_stat \"top/x\": Not a directory (20)} io_error 1");
}

#[test]
fn wildcards_stand_for_what_is_there() {
    check("r", &[], &["mod/cat*"], "cat-a/! cat-a/x cat-b/! cat-b/y cat.list");
    check("r", &[], &["mod/cat*/"], "./! x ./! y");
    check("r", &[], &["mod/cat*/x"], "x {ErrorXfer link_stat \"/cat-b/x\": No such file or directory (2)}");
    check(
        "r",
        &[],
        &["mod/d?r/s*/deep"],
        "deep/! deep/q {ErrorXfer link_stat \"/dir/sub-2/deep\": No such file or directory (2)}",
    );
    check("r", &[], &["mod/sp[ ]ace"], "sp ace");
    check("r", &[], &["mod/su?/"], "./! one.o deep/ deep/q");
    check(
        "r",
        &[],
        &["mod/*/.rules"],
        ".rules {ErrorXfer link_stat \"/cat-a/.rules\": No such file or directory (2)} \
        {ErrorXfer link_stat \"/cat-b/.rules\": No such file or directory (2)} \
        {ErrorXfer link_stat \"/self/.rules\": No such file or directory (2)} \
        {ErrorXfer link_stat \"/sub/.rules\": No such file or directory (2)}",
    );
    check("r", &[], &["mod/no*"], "{ErrorXfer link_stat \"no*\": No such file or directory (2)}");
    check("rR", &[], &["mod/cat-[ab]/"], "cat-a/! cat-a/x cat-b/! cat-b/y");
}

#[test]
fn without_recursion_directories_are_skipped_or_stand_for_themselves() {
    check("", &[], &["mod/dir"], "{Info skipping directory dir}");
    check("", &[], &["mod/"], "{Info skipping directory .}");
    check("", &[], &["mod/dir/file"], "file");
    check("d", &[], &["mod/dir"], "dir/-");
    check("d", &[], &["mod/dir/"], "./! .rules file keep.o zero sub-2/- sub/-");
    check("dR", &[], &["mod/dir/sub/"], "dir/^ dir/sub/! dir/sub/one.o dir/sub/deep/-");
}

#[test]
fn what_is_missing_is_named_and_only_trouble_stops_deletion() {
    check("r", &[], &["mod/no"], "{ErrorXfer link_stat \"no\": No such file or directory (2)}");
    check("r", &[], &["mod/dir/no", "mod/top"], "top {ErrorXfer link_stat \"/dir/no\": No such file or directory (2)}");
    check("r", &[], &["mod/no/"], "{ErrorXfer change_dir \"no\": No such file or directory (2)} io_error 1");
    check("r", &[], &["mod/no/x"], "{ErrorXfer change_dir \"no\": No such file or directory (2)} io_error 1");
    check("r", &[], &["mod/top/"], "{ErrorXfer change_dir \"top\": Not a directory (20)} io_error 1");
    check("r", &[], &["mod/dir/file/x"], "{ErrorXfer change_dir \"dir/file\": Not a directory (20)} io_error 1");
    check("ri", &[], &["mod/no", "mod/dir/no"], "");
    check("ri", &[], &["mod/no/x"], "{ErrorXfer change_dir \"no\": No such file or directory (2)} io_error 1");
}

#[test]
fn rules_hide_what_they_name_and_files_of_rules_what_is_below() {
    check("r", &["- *.o"], &["mod/dir/"], "./! .rules file zero sub-2/ sub/ sub/deep/ sub/deep/q");
    check("r", &["- /sub/"], &["mod/dir/"], "./! .rules file keep.o zero sub-2/");
    check("r", &["- /dir/sub/"], &["mod/dir"], "dir/! dir/.rules dir/file dir/keep.o dir/zero dir/sub-2/");
    check("r", &["+ */", "+ q", "- *"], &["mod/dir/"], "./! sub-2/ sub/ sub/deep/ sub/deep/q");
    check("r", &["- top"], &["mod/top", "mod/cat-a"], "cat-a/! cat-a/x");
    check("r", &["- dir"], &["mod/dir/"], &format!("./! {DIR}"));
    check("r", &[": .rules"], &["mod/dir/"], "./! .rules file sub-2/ sub/ sub/deep/ sub/deep/q");
    check(
        "r",
        &[": .rules"],
        &["mod/dir"],
        "dir/! dir/.rules dir/file dir/sub-2/ dir/sub/ dir/sub/deep/ dir/sub/deep/q",
    );
    check("r", &[":n .rules"], &["mod/dir/"], "./! .rules file sub-2/ sub/ sub/one.o sub/deep/ sub/deep/q");
    check("r", &[": /.rules"], &["mod/dir/sub/"], "./! deep/ deep/q");
}

/// The same in a module that is a whole snapshot, and in one that is a directory of it.
fn check_wish(wish: Wish<'_>, expected: &str) {
    for below in ["", "in/side/"] {
        let Wish { options, paths, names, hidden, .. } = wish;
        assert_eq!(seen(below, wish), expected, "-{options} {paths:?} {names:?} hidden {hidden:?} in {below:?}");
    }
}

fn no_referent(path: &str) -> String {
    format!("{{ErrorXfer symlink has no referent: \"/{path}\" (in mod)}}")
}

fn circle(path: &str) -> String {
    format!("{{ErrorXfer readlink_stat(\"/{path}\" (in mod)) failed: Too many levels of symbolic links (40)}}")
}

#[test]
fn a_link_becomes_what_it_points_to_inside_the_module_only() {
    check("rL", &[], &["mod/sub"], "sub/! sub/one.o sub/deep/ sub/deep/q");
    check("rL", &[], &["mod/up"], "up");
    check("rL", &["- *.o"], &["mod/sub"], "sub/! sub/deep/ sub/deep/q");
    check("rLR", &[], &["mod/sub/deep"], "sub/^ sub/deep/! sub/deep/q");
    check("dL", &[], &["mod/self"], "self/-");
    for name in ["dangling", "abs", "out"] {
        let missing = format!("{{ErrorXfer link_stat \"{name}\": No such file or directory (2)}}");
        check("rL", &[], &[&format!("mod/{name}")], &missing);
    }
    let round = "{ErrorXfer link_stat \"round\": Too many levels of symbolic links (40)} io_error 1";
    check("rL", &[], &["mod/round"], round);
    let errors = [no_referent("abs"), no_referent("dangling"), no_referent("out"), circle("round"), circle("self")];
    let (errors, dir) = (errors.join(" "), dir("dir/"));
    check(
        "rL",
        &["- cat*", "- sp*"],
        &["mod/"],
        &format!("./! top up dir/ {dir} sub/ sub/one.o sub/deep/ sub/deep/q {errors} io_error 1"),
    );
    // What the client's rules leave out is not looked at, but a dangling link is no directory.
    let rules = ["- cat*", "- sp*", "- abs", "- out", "- round", "- self", "- dir", "- sub/", "- dangling/"];
    check("rL", &rules, &["mod/"], &format!("./! top up {} io_error 1", no_referent("dangling")));
}

#[test]
fn only_links_to_directories_or_out_of_the_transfer_are_followed_where_that_is_asked() {
    let rules = ["- cat*", "- dir", "- self"];
    let sub = "sub/ sub/one.o sub/deep/ sub/deep/q";
    check("rk", &rules, &["mod/"], &format!("./! abs dangling out round sp ace top up {sub}"));
    check("rk", &[], &["mod/sub", "mod/up", "mod/out"], "sub/! sub/one.o sub/deep/ sub/deep/q up out");
    let errors = [no_referent("abs"), no_referent("out")].join(" ");
    check("ru", &rules, &["mod/"], &format!("./! dangling round sp ace sub top up {errors} io_error 1"));
    check("ru", &[], &["mod/out"], &format!("{} io_error 1", no_referent("out")));
    check("ru", &[], &["mod/sub"], "sub");
}

#[test]
fn links_that_multiply_a_tree_come_to_an_end() {
    let mut text = "headwater snapshot 1\nrepository gentoo\nd 755 1 .\n".to_owned();
    for level in 10..50 {
        let next = level + 1;
        text += &format!("d 755 1 d{level}\nl 1 ../d{next} d{level}/a\nl 1 ../d{next} d{level}/b\n");
    }
    text += "d 755 1 d50\n";
    let snapshot = Snapshot::parse(text.as_bytes()).expect("a snapshot");
    let (filters, paths) = (Filters::parse(&[], CvsExclude::No).expect("no rules"), bytes(&["mod/d10"]));
    let order = ViewOrder {
        module: "mod",
        kind: ModuleKind::Plain,
        root: 0,
        options: [Flag::Recursive, Flag::CopyLinks].into_iter().fold(Options::default(), Options::with).list_options(),
        filters: &filters,
        module_filters: &filters,
        paths: &paths,
        path_form: PathForm::Old,
        names: None,
        matches: 0,
        effort: &Effort::new(Arc::default()),
    };
    assert_eq!(select(&snapshot, &order, &mut |_| None).map(|_| ()).expect_err("too much").code, 3);
}

#[test]
fn names_from_the_client_are_listed_below_its_path() {
    let from = |options, paths, names| Wish { options, paths, names: Some(names), ..NOTHING };
    let gone = |path: &str| format!("{{ErrorXfer link_stat \"{path}\": No such file or directory (2)}}");
    let names: &[&str] = &["cat-a/x", "/dir/sub/one.o", "no", "dir/no", "cat*", "mod/top", "top/x", "../top"];
    let missing = ["no", "dir/no", "cat*", "mod/top"].map(gone).join(" ");
    let told = format!("{missing} {{ErrorXfer link_stat \"top/x\": Not a directory (20)}} io_error 1");
    let there = "cat-a/^ cat-a/x dir/^ dir/sub/^ dir/sub/one.o top";
    check_wish(from("R", &["mod/"], names), &format!("{there} {told}"));
    check_wish(from("R", &["mod/"], &["dir", "dir/sub/"]), "dir/- dir/^ dir/sub/! dir/sub/one.o dir/sub/deep/-");
    check_wish(from("R", &["mod/dir/sub"], &["."]), "./! one.o deep/-");
    check_wish(from("R", &["mod/"], &["dir/./sub/deep"]), "sub/^ sub/deep/-");
    check_wish(from("R", &["mod/"], &["sub/one.o", "./top"]), "sub/^ sub/one.o ./^ top");
    check_wish(from("R", &["mod/sub"], &["deep/q", "no"]), &format!("deep/^ deep/q {}", gone("sub/no")));
    check_wish(from("rR", &["mod/"], &["cat-a", "cat-b/"]), "cat-a/! cat-a/x cat-b/! cat-b/y");
    check_wish(from("", &["mod/"], &["dir/sub/one.o", "cat-a/", "dir"]), "one.o ./! x dir/-");
    let no_top = "code 3: [sender] change_dir \"no\" (in mod) failed: No such file or directory (2)";
    check_wish(from("R", &["mod/no"], &["x"]), no_top);
    check_wish(
        from("R", &["mod/top"], &["x"]),
        &no_top.replace("\"no\"", "\"top\"").replace("No such file or directory (2)", "Not a directory (20)"),
    );
    check_wish(Wish { rules: &["- *.o"], ..from("R", &["mod/"], &["dir/sub/one.o", "top"]) }, "top");
}

#[test]
fn what_is_missing_is_listed_for_deletion_where_that_is_asked() {
    check("x", &[], &["mod/no", "mod/top", "mod/dir/no"], "?no top ?no");
    check("xR", &[], &["mod/dir/no", "mod/dir/sub/no"], "dir/^ ?dir/no dir/sub/^ ?dir/sub/no");
    check("xR", &[], &["mod/no/x", "mod/top"], "top {Warning file has vanished: \"no\" (in mod)} io_error 2");
    check("x", &[], &["mod/no/x"], "{ErrorXfer change_dir \"no\": No such file or directory (2)} io_error 1");
    check_wish(Wish { options: "xR", names: Some(&["no", "top"]), ..NOTHING }, "?no top");
    let vanished = "{Warning file has vanished: \"dir/no\" (in mod)} io_error 2";
    let names: &[&str] = &["dir/no/x", "dir/no/y"];
    let told = format!("dir/^ ?dir/no/x ?dir/no/y {vanished}");
    check_wish(Wish { options: "xR", names: Some(names), ..NOTHING }, &told);
}

#[test]
fn what_the_module_hides_is_missing_in_every_way() {
    let hidden: &[&str] = &["- /dir/sub", "- *.list", "- .rules", "+ cat-b/", "- cat-?/"];
    let wish = |options, path| Wish { options, hidden, paths: path, ..NOTHING };
    let rest =
        "./! abs dangling out round self sp ace sub top up cat-b/ cat-b/y dir/ dir/file dir/keep.o dir/zero dir/sub-2/";
    check_wish(wish("r", &["mod/"]), rest);
    let link = |path: &str| format!("{{ErrorXfer link_stat \"{path}\": No such file or directory (2)}}");
    let change = |path: &str| format!("{{ErrorXfer change_dir \"{path}\": No such file or directory (2)}} io_error 1");
    check_wish(wish("r", &["mod/cat.list"]), &link("cat.list"));
    check_wish(wish("r", &["mod/cat*"]), "cat-b/! cat-b/y");
    check_wish(wish("r", &["mod/*.list"]), &link("*.list"));
    check_wish(wish("r", &["mod/*/x"]), &["cat-b", "dir", "self"].map(|at| link(&format!("/{at}/x"))).join(" "));
    check_wish(wish("r", &["mod/dir/sub"]), &link("/dir/sub"));
    check_wish(wish("r", &["mod/dir/sub/"]), &change("dir/sub"));
    check_wish(wish("r", &["mod/dir/sub/one.o"]), &change("dir/sub"));
    check_wish(wish("rR", &["mod/dir/sub/one.o"]), &link("dir/sub/one.o"));
    check_wish(wish("r", &["mod/self/dir/sub/one.o"]), &change("self/dir/sub"));
    check_wish(wish("r", &["mod/sub"]), "sub");
    check_wish(wish("r", &["mod/sub/"]), &change("sub"));
    check_wish(wish("rL", &["mod/sub"]), &link("sub"));
    check_wish(Wish { rules: &[": .rules"], ..wish("r", &["mod/dir/"]) }, "./! file keep.o zero sub-2/");
    check_wish(
        Wish { names: Some(&["cat.list", "top"]), ..wish("R", &["mod/"]) },
        &format!("top {}", link("cat.list")),
    );
    // Also a name that only a followed link has.
    let named = Wish { options: "rL", paths: &["mod/sub"], hidden: &["- /sub/deep", "- /up"], ..NOTHING };
    check_wish(named, "sub/! sub/one.o");
    check_wish(Wish { paths: &["mod/up"], ..named }, &link("up"));
    check_wish(Wish { paths: &["mod/sub/deep/q"], ..named }, &link("/sub/deep/q"));
}

#[test]
fn a_distfile_is_known_by_the_name_of_its_download_too() {
    let paths: &[&str] = &["mod/top.__download__", "mod/cat-a/x.__download__"];
    let asked = Wish { paths, kind: ModuleKind::Distfiles, ..NOTHING };
    check_wish(asked, "top.__download__ x.__download__");
    let missing = "{ErrorXfer link_stat \"top.__download__\": No such file or directory (2)} \
        {ErrorXfer link_stat \"/cat-a/x.__download__\": No such file or directory (2)}";
    check_wish(Wish { kind: ModuleKind::Plain, ..asked }, missing);
}

#[test]
fn a_path_of_a_second_vector_is_one_path() {
    let asked = Wish { options: "r", paths: &["mod/cat-a mod/top"], ..NOTHING };
    check_wish(asked, "cat-a/! cat-a/x top");
    let missing = "{ErrorXfer change_dir \"cat-a mod\": No such file or directory (2)} io_error 1";
    check_wish(Wish { form: PathForm::Secluded, ..asked }, missing);
}

#[test]
fn wildcards_match_so_much_and_no_more() {
    let many = vec!["mod/*"; 100];
    let refused = "code 3: wildcards match more names than the server takes: name a directory instead";
    check("", &[], &many, refused);
}
