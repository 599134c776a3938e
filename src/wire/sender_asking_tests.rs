//! Tests of what a client says before and around its requests: passwords, names of files, bounds, time, append mode.

use std::collections::HashMap;

use super::args::{ArgsError, Bound};
use super::error::WireError;
use super::greeting::PasswordDigest;
use super::mux::{Tag, frames_of, put_frame};
use super::numbers::put_i32;
use super::options::PathForm;
use super::recorded::{Part, Said, asked, recording};
use super::sender::{Attempt, FileList, Finish, Limits, ModuleTerms, NAMES, Outcome, Sender, SenderConfig, Step};
use super::sender_tests::{Answers, End, Play, Says, Store, files, list_of, no_contents, simple, small_store, started};
use super::sums::SumKind;

/// The challenge that a recorded daemon sent.
fn challenge_of(server: &'static [u8]) -> &'static str {
    let text = str::from_utf8(server.split(|byte| *byte == b'\n').nth(1).unwrap()).unwrap();
    text.strip_prefix("@RSYNCD: AUTHREQD ").unwrap()
}

fn said(sender: &mut Sender) -> String {
    let bytes: Vec<u8> = sender.take_output().flat_map(|chunk| chunk.to_vec()).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn recorded_clients_prove_what_they_know_however_their_bytes_are_cut() {
    let (right, wrong) = (recording!("auth-sha512"), recording!("auth-fail"));
    for (recording, password, proven) in
        [(&right, "s3cret", true), (&right, "bad", false), (&wrong, "s3cret", false), (&wrong, "bad", true)]
    {
        for size in [1, 7, recording.client.len()] {
            let (mut sender, mut logins, mut listed) = (Sender::new(SenderConfig::default()), 0, false);
            let challenge = challenge_of(recording.server);
            for piece in recording.client.chunks(size) {
                sender.input(piece);
                while !listed {
                    match sender.poll().unwrap() {
                        Step::Wait => break,
                        Step::Module(name) => {
                            assert_eq!(name, b"vecauth");
                            sender.challenge(challenge, PasswordDigest::Md5);
                        }
                        Step::Login(login) => {
                            logins += 1;
                            assert_eq!((&login.user[..], login.digest()), (&b"joe"[..], PasswordDigest::Sha512));
                            assert_eq!(login.proves(password.as_bytes()), proven);
                            sender.accept(ModuleTerms::default());
                        }
                        Step::List(_) => listed = true,
                        step => panic!("{step:?}"),
                    }
                }
            }
            assert_eq!((logins, listed), (1, recording.name == "auth-sha512"));
            let text = said(&mut sender);
            assert!(text.contains(&format!("\n@RSYNCD: AUTHREQD {challenge}\n@RSYNCD: OK\n")), "{text}");
        }
    }
}

#[test]
fn a_client_that_failed_or_left_at_the_password_gets_no_further() {
    let hello = b"@RSYNCD: 32.0 md5\nvec\n";
    let mut sender = Sender::new(SenderConfig::default());
    sender.input(hello);
    assert!(matches!(sender.poll(), Ok(Step::Module(_))));
    sender.challenge("abc", PasswordDigest::Md5);
    assert!(matches!(sender.poll(), Ok(Step::Wait)) && sender.wants_input());
    sender.input(b"joe x\n--server\0--sender\0-r\0.\0vec/\0\0");
    assert!(matches!(sender.poll(), Ok(Step::Login(login)) if !login.proves(b"x")));
    assert!(matches!(sender.poll(), Ok(Step::Wait)) && !sender.wants_input());
    sender.refuse(b"@ERROR: auth failed on module vec");
    assert!(matches!(sender.poll(), Ok(Step::Drain { code: 5 })));
    assert!(said(&mut sender).ends_with("AUTHREQD abc\n@ERROR: auth failed on module vec\n"));

    let mut sender = Sender::new(SenderConfig::default());
    sender.input(hello);
    assert!(matches!(sender.poll(), Ok(Step::Module(_))));
    sender.challenge("abc", PasswordDigest::Md5);
    sender.input(&[b'j'; 4_097]);
    assert!(matches!(sender.poll(), Err(WireError::Line(_))));
}

#[test]
fn a_client_whose_digests_are_too_weak_is_told_before_it_proves_anything() {
    use PasswordDigest::{Md5, Sha1, Sha256, Sha512};
    let rows = [
        ("31.0", Md5, true),
        ("31.0", Sha1, false),
        ("32.0 md4", Md5, false),
        ("32.0 sha512 md5", Sha512, true),
        // The client takes its own first one, whatever else it knows.
        ("32.0 md5 sha512", Sha256, false),
        ("32.0 foo sha256 md5", Sha256, true),
    ];
    for (greeting, weakest, challenged) in rows {
        let mut sender = Sender::new(SenderConfig::default());
        sender.input(format!("@RSYNCD: {greeting}\nvec\njoe x\n").as_bytes());
        assert!(matches!(sender.poll(), Ok(Step::Module(_))));
        sender.challenge("abc", weakest);
        match sender.poll() {
            Ok(Step::Login(_)) => assert!(challenged, "{greeting}"),
            Err(error) => {
                assert_eq!((error, challenged), (WireError::NoDigest, false), "{greeting}");
                assert!(matches!(sender.poll(), Ok(Step::Drain { code: 5 })));
                let text = said(&mut sender);
                assert!(
                    text.contains("\n@ERROR: your client does not support one of our daemon-auth checksums: sha512")
                );
                assert!(!text.contains("AUTHREQD"), "{text}");
            }
            step => panic!("{greeting}: {step:?}"),
        }
    }
}

#[test]
fn names_of_files_are_handed_over_as_they_came() {
    let names = |recording: super::recorded::Recording| {
        let request = asked(recording.client);
        let files: Vec<String> =
            request.files.unwrap().into_iter().map(|name| String::from_utf8(name).unwrap()).collect();
        assert_eq!(request.paths, [b"vec/"]);
        files.join(" ")
    };
    assert_eq!(names(recording!("files-from-p32")), "hello.txt sub/deep/leaf");
    assert_eq!(names(recording!("files-from-p30")), "hello.txt sub/deep/leaf");
    assert_eq!(names(recording!("files-from-comments-p32")), "#h ;s hello.txt /sub/x.o empty/ ../zero zero");
    assert_eq!(asked(recording!("full-noinc-p32").client).files, None);
}

#[test]
fn no_names_are_an_empty_list_and_not_none() {
    for protocol in [30, 32] {
        let mut client = simple(protocol, &["-re.f", "--files-from=-", "--from0"], &[]);
        if protocol == 30 {
            client.push(0)
        } else {
            client.extend_from_slice(&frames_of(b"\0"))
        }
        assert_eq!(asked(&client).files, Some(vec![]), "{protocol}");
    }
}

#[test]
fn a_second_vector_says_that_each_argument_is_one_path() {
    let request = asked(recording!("secluded-p32").client);
    assert_eq!((request.path_form, &request.paths[..]), (PathForm::Secluded, &[b"vec/hello.txt".to_vec()][..]));
    assert_eq!(request.agreed.seed, 1);
    assert_eq!(asked(recording!("full-noinc-p32").client).path_form, PathForm::Old);
}

#[test]
fn a_generation_behind_the_name_of_a_module_arrives_with_it() {
    let mut sender = Sender::new(SenderConfig::default());
    sender.input(b"@RSYNCD: 32.0 md5\ngentoo@7\n");
    assert!(matches!(sender.poll(), Ok(Step::Module(name)) if name == b"gentoo@7"));
}

/// What a client was told in messages, the errors, and the end.
type Away = (Vec<(Tag, Vec<u8>)>, Vec<WireError>, Option<End>);

/// A session that ends before its list.
fn turned_away(client: &[u8], limits: Limits) -> Away {
    let mut play = Play::new(list_of(&asked(&simple(31, &["-re.f"], &[])), &files(), &[], &[]), vec![], Answers::Late);
    play.sender = Sender::new(SenderConfig { limits, seed: 77, ..SenderConfig::default() });
    let about = asked(&simple(31, &["-re.f"], &[]));
    client.chunks(5).for_each(|piece| play.input(piece));
    (play.unframed(&about).1, play.errors, play.end)
}

#[test]
fn a_client_that_passes_a_bound_is_told_which() {
    let small = Limits { arguments: Bound { count: 6, bytes: 60 }, ..Limits::default() };
    let few_names = Limits { names: Bound { count: 2, bytes: 10 }, ..Limits::default() };
    let few_rules = Limits { rules: Bound { count: 1, bytes: 10 }, ..Limits::default() };
    let named = |names: &[u8]| {
        let mut client = simple(31, &["-re.f", "--files-from=-", "--from0"], &[]);
        client.extend_from_slice(&frames_of(names));
        client
    };
    let rows: [(Vec<u8>, Limits, &str); 8] = [
        (simple(31, &["-re.f", "-q", "-q"], &[]), small, "too many arguments: more than 6 of them"),
        (simple(31, &["-re.f", &"q".repeat(60)], &[]), small, "too many arguments: more than 60 bytes in all"),
        (
            simple(31, &["-re.f", &"q".repeat(5_121)], &[]),
            Limits::default(),
            "too many arguments: one of more than 5120",
        ),
        (named(b"a\0b\0c\0\0"), few_names, "too many names of files: more than 2 of them"),
        (named(b"abcdefghijk\0\0"), few_names, "too many names of files: more than 10 bytes"),
        (named(&[&[b'x'; 5_121][..], b"\0\0"].concat()), few_names, "too many names of files: "),
        (simple(31, &["-re.f"], &[b"- a", b"- b"]), few_rules, "filter list: more than 1 rules or 10 bytes"),
        (simple(31, &["-re.f"], &[b"- abcdefghi"]), few_rules, "filter list: more than 1 rules or 10 bytes"),
    ];
    for (client, limits, text) in rows {
        let (messages, errors, end) = turned_away(&client, limits);
        assert_eq!(end, Some(End::Drain(1)), "{text}: {errors:?}");
        let [.., (Tag::Error, line), (Tag::ErrorExit, code)] = &messages[..] else { panic!("{text}: {messages:?}") };
        assert!(String::from_utf8_lossy(line).contains(text), "{text}: {}", String::from_utf8_lossy(line));
        assert_eq!((&code[..], errors.len()), (&[1, 0, 0, 0][..], 1), "{text}");
    }
    let (_, errors, end) = turned_away(&named(b"abcd\0efghi\0\0")[..], few_names);
    assert_eq!((errors, end), (vec![], None));
}

#[test]
fn the_default_bound_of_names_is_one_that_holds() {
    let mut client = simple(31, &["-re.f", "--files-from=-", "--from0"], &[]);
    client.extend_from_slice(&frames_of(&b"x\0".repeat(NAMES.count + 1)));
    let (_, errors, _) = turned_away(&client, Limits::default());
    assert_eq!(errors, [WireError::Names(ArgsError::TooMany(NAMES.count))]);
}

#[test]
fn a_client_that_sends_more_than_there_is_room_for_is_told_so() {
    const ROOM: usize = 3_000;
    let named = |protocol, names: &[u8]| {
        let mut client = simple(protocol, &["-re.f", "--files-from=-", "--from0"], &[]);
        if protocol == 30 {
            client.extend_from_slice(names)
        } else {
            client.extend_from_slice(&frames_of(names))
        }
        client
    };
    let many_arguments = [&["-re.f"][..], &["-q"; 100]].concat();
    let sums = [header(1_000, 700, 16, 0), vec![7; 400 * 20]].concat();
    let asking = [simple(31, &["-re.f"], &[]), Says::default().record(1, 0x8000, &sums).frames()].concat();
    let (framed, text) = (WireError::NoRoom, "the server keeps as much of what clients send as it may");
    let refused = "too many arguments: there is no room for them now -- try again later";
    let too_many = WireError::Refused { code: 22, text: format!("rsync: {refused}") };
    let rows: [(&str, Vec<u8>, &WireError, &str); 6] = [
        ("names", named(31, &b"name\0".repeat(100)), &framed, text),
        ("names, not ended", named(31, &b"x".repeat(4_000)), &framed, text),
        ("names at protocol 30", named(30, &b"name\0".repeat(100)), &framed, text),
        ("rules", simple(31, &["-re.f"], &[&b"- a"[..]; 30]), &framed, text),
        ("arguments", simple(31, &many_arguments, &[]), &too_many, refused),
        ("block sums", asking, &framed, text),
    ];
    for (what, client, error, text) in rows {
        for (room, told) in [(ROOM, true), (usize::MAX, false)] {
            let about = asked(&simple(31, &["-re.f"], &[]));
            let mut play = Play::new(list_of(&about, &files(), &[], &[]), small_store(), Answers::Late);
            play.sender.keep_within(room);
            client.chunks(5).for_each(|piece| play.input(piece));
            if !told {
                assert_eq!(play.errors, [], "{what}");
                continue;
            }
            assert_eq!((&play.errors[..], &play.end), (&[error.clone()][..], &Some(End::Drain(22))), "{what}");
            let said = String::from_utf8_lossy(&play.out).into_owned();
            assert!(said.contains(text), "{what}: {said}");
        }
    }
}

#[test]
fn a_client_that_waits_for_an_answer_gets_it_before_more_is_read() {
    let mut sender = started(&simple(31, &["-re.f"], &[]), small_store()).sender;
    sender.keep_within(100);
    sender.input(&Says::default().want(1).frames());
    let Ok(Step::Send(request)) = sender.poll() else { panic!("no request") };
    assert!(sender.memory() > 100, "{}", sender.memory());
    assert!(matches!(sender.poll(), Ok(Step::Wait)) && !sender.wants_input());
    sender.begin(request);
    sender.feed(b"hello");
    sender.finish(&[0; 16]);
    assert_eq!(sender.memory(), 0);
    assert!(matches!(sender.poll(), Ok(Step::Wait)) && sender.wants_input());
}

#[test]
fn at_protocol_30_names_may_not_lie_in_the_frame_of_the_filter_list() {
    let mut client = simple(30, &["-re.f", "--files-from=-", "--from0"], &[]);
    // The last frame holds the end of the filter list; make it one byte longer.
    let at = client.len() - 8;
    client[at] += 1;
    client.extend_from_slice(b"a\0\0");
    let mut sender = Sender::new(SenderConfig::default());
    sender.input(&client);
    assert!(matches!(sender.poll(), Ok(Step::Module(_))));
    sender.accept(ModuleTerms::default());
    assert!(matches!(sender.poll(), Err(WireError::NamesInFrames)));
}

#[test]
fn a_client_may_stop_by_itself_before_it_has_a_list() {
    let mut client = simple(31, &["-re.f", "--files-from=-", "--from0"], &[]);
    put_frame(&mut client, Tag::ErrorExit, &[20, 0, 0, 0]);
    let (messages, errors, end) = turned_away(&client, Limits::default());
    assert_eq!((messages.last(), errors), (Some(&(Tag::ErrorExit, vec![])), vec![]));
    assert!(matches!(end, Some(End::Finished(Finish { client_code: Some(20), .. }))));
}

/// The header of a basis of `count` blocks.
fn header(count: i32, block: i32, strong: i32, remainder: i32) -> Vec<u8> {
    let mut header = Vec::new();
    [count, block, strong, remainder].iter().for_each(|number| put_i32(&mut header, *number));
    header
}

#[test]
fn in_append_mode_only_what_follows_is_sent_and_a_repeated_request_is_a_normal_one() {
    let whole: Vec<u8> = (0..2_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let contents = HashMap::from([(b"a".to_vec(), whole.clone())]);
    // 1,500 bytes in blocks of 700, the last one of 100; the client's second block is damaged.
    let mut basis = whole[..1_500].to_vec();
    basis[700] ^= 1;
    let mut again = header(3, 700, 16, 100);
    for block in basis.chunks(700) {
        again.extend_from_slice(&super::sums::weak(block).to_le_bytes());
        again.extend_from_slice(SumKind::Md5.block(5, super::sums::SeedOrder::After, block).as_bytes());
    }
    for (arguments, sum) in [
        (&["--append"][..], SumKind::Md5.whole(&whole[1_500..])),
        (&["--append", "--append"], SumKind::Md5.whole(&whole)),
        (&["--append-verify"], SumKind::Md5.whole(&whole)),
    ] {
        for protocol in [30, 31, 32] {
            let arguments = [&["-re.f", "--checksum-seed=5"], arguments].concat();
            let mut play = started(&simple(protocol, &arguments, &[]), vec![Store::Bytes(whole.clone()); 5]);
            let first = Says::default().record(1, 0x8000, &header(3, 700, 2, 100));
            let says = first.done(1).record(1, 0x8000, &again).done(if protocol == 30 { 3 } else { 4 });
            play.input(&says.frames());
            assert_eq!(play.attempts, [(1, Attempt::First), (1, Attempt::Again)]);
            let heard = play.hear(&contents).said;
            let files: Vec<&Said> = heard.iter().filter(|said| matches!(said, Said::File { .. })).collect();
            let [Said::File { parts, sum: found, .. }, Said::File { parts: second, sum: last, .. }] = files[..] else {
                panic!("{heard:?}")
            };
            assert_eq!((parts, *found), (&vec![Part::Literal(whole[1_500..].to_vec())], sum), "{arguments:?}");
            let expected = vec![Part::Copy(0), Part::Literal(whole[700..].to_vec())];
            assert_eq!((second, *last), (&expected, SumKind::Md5.whole(&whole)), "{arguments:?}");
            assert!(matches!(&play.end, Some(End::Finished(Finish { clean: true, .. }))), "{:?}", play.end);
        }
    }
}

/// The reply to a request for a file of which the client has the first 1,500 bytes: how many of them were not fed, and what
/// was sent. The log gets 16 bytes of sums: their header.
fn appended(option: &str, sum: &[u8], whole: &[u8], leave_out: bool) -> (usize, Vec<u8>) {
    let mut sender = Sender::new(SenderConfig::default());
    sender.input(b"@RSYNCD: 31.0 md5\nmod\n");
    assert!(matches!(sender.poll(), Ok(Step::Module(_))));
    sender.accept(ModuleTerms::default());
    sender.input(format!("--server\0--sender\0-te.LsfxCIvu\0{option}\0.\0mod/f\0\0").as_bytes());
    sender.input(sum);
    sender.input(&[4, 0, 0, 7, 0, 0, 0, 0]);
    assert!(matches!(sender.poll(), Ok(Step::List(_))), "{option}");
    sender.list(FileList { entries: 1, ..FileList::default() });
    sender.input(&[&[19, 0, 0, 7, 1, 0x00, 0xa0][..], &header(3, 700, 2, 100)].concat());
    let Ok(Step::Send(request)) = sender.poll() else { panic!("{option}: no request") };
    assert_eq!((request.prefix(), request.sum_bytes()), (1_500, 16));
    sender.take_output().for_each(drop);
    sender.begin(request);
    let left_out = if leave_out { usize::try_from(sender.leave_out(2_000)).unwrap() } else { 0 };
    sender.feed(&whole[left_out..]);
    let stored = SumKind::Xxh128.whole(whole);
    assert_eq!(sender.finish(stored.as_bytes().try_into().unwrap()), Outcome::Sent, "{option}");
    (left_out, sender.take_output().flat_map(Vec::from).collect())
}

#[test]
fn what_a_client_has_is_not_fed_where_no_computed_sum_covers_it() {
    let whole: Vec<u8> = (0..2_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    for (option, sum, expected) in [
        ("--append", &b"\x03md5"[..], 1_500),
        ("--append", b"\x06xxh128", 1_500),
        ("--append-verify", b"\x03md5", 0),
        ("--append-verify", b"\x06xxh128", 1_500),
    ] {
        let (left_out, sent) = appended(option, sum, &whole, true);
        assert_eq!((left_out, sent), (expected, appended(option, sum, &whole, false).1), "{option}");
    }
}

#[test]
fn append_mode_writes_into_the_file_so_blocks_behind_the_place_are_not_copied() {
    let blocks = [vec![b'x'; 700], vec![b'y'; 700]];
    let swapped = [&blocks[1][..], &blocks[0]].concat();
    let mut again = header(2, 700, 16, 0);
    for block in &blocks {
        again.extend_from_slice(&super::sums::weak(block).to_le_bytes());
        again.extend_from_slice(SumKind::Md5.block(5, super::sums::SeedOrder::After, block).as_bytes());
    }
    let client = simple(31, &["-re.f", "--checksum-seed=5", "--append"], &[]);
    let mut play = started(&client, vec![Store::Bytes(swapped.clone()); 5]);
    let first = Says::default().record(1, 0x8000, &header(1, 700, 2, 0));
    play.input(&first.done(1).record(1, 0x8000, &again).done(4).frames());
    let heard = play.hear(&HashMap::from([(b"a".to_vec(), swapped)])).said;
    let last = heard.iter().rfind(|said| matches!(said, Said::File { .. }));
    let Some(Said::File { parts, .. }) = last else { panic!("{heard:?}") };
    assert_eq!(parts[..], [Part::Copy(1), Part::Literal(blocks[0].clone())]);
}

#[test]
fn a_prefix_longer_than_the_file_leaves_nothing_to_send() {
    let mut play = started(&simple(31, &["-re.f", "--append"], &[]), small_store());
    play.input(&Says::default().record(1, 0x8000, &header(2, 700, 2, 0)).done(5).frames());
    let heard = play.hear(&no_contents()).said;
    let Said::File { parts, sum, .. } = &heard[1] else { panic!("{heard:?}") };
    assert_eq!((parts.len(), *sum), (0, SumKind::Md5.whole(b"")));
}

#[test]
fn the_bytes_of_a_reply_are_counted_for_the_log() {
    let client = simple(31, &["-re.f"], &[]);
    let mut sender = started(&client, small_store()).sender;
    assert_eq!(sender.last_file_bytes(), 0);
    sender.input(&Says::default().want(1).want(2).frames());
    for _ in 0..2 {
        let Ok(Step::Send(request)) = sender.poll() else { panic!("no request") };
        sender.begin(request);
        sender.feed(b"hello");
        sender.finish(&[0; 16]);
        let bytes = sender.take_output().map(|chunk| chunk.len()).sum::<usize>();
        // Index, flags, block header, token, data, end, sum.
        let file = 1 + 2 + 16 + 4 + 5 + 4 + 16;
        assert_eq!((bytes, sender.last_file_bytes()), (4 + file, u64::try_from(file).unwrap()));
    }
}

#[test]
fn clients_that_can_be_told_get_a_timeout_where_they_and_their_module_have_none() {
    // Protocol, the client's, the module's, ours; in effect.
    let rows = [
        (31, None, None, Some(200), Some(200)),
        (32, None, None, Some(200), Some(200)),
        (30, None, None, Some(200), None),
        (31, None, None, None, None),
        (31, Some(300), None, Some(200), Some(300)),
        (31, None, Some(400), Some(200), Some(400)),
        (31, Some(0), Some(0), Some(200), Some(200)),
        (30, Some(9), None, Some(200), Some(9)),
    ];
    for (protocol, own, module, silence, expected) in rows {
        let mut sender = Sender::new(SenderConfig { silence, ..SenderConfig::default() });
        sender.input(format!("@RSYNCD: {protocol}.0 md5\nvec\n").as_bytes());
        assert!(matches!(sender.poll(), Ok(Step::Module(_))));
        sender.accept(ModuleTerms { timeout: module });
        let own = own.map(|seconds: u32| format!("--timeout={seconds}\0")).unwrap_or_default();
        sender.input(format!("--server\0--sender\0-re.LsfxC\0{own}.\0vec/\0\0").as_bytes());
        assert!(matches!(sender.poll(), Ok(Step::Wait)), "{protocol} {own}");
        let said: Vec<u8> = sender.take_output().flat_map(Vec::from).collect();
        let told = said.last_chunk().filter(|_| said[..said.len() - 4].ends_with(b"\x04\0\0\x28"));
        let told = told.map(|seconds| u32::from_le_bytes(*seconds));
        assert_eq!((sender.timeout(), told), (expected, expected.filter(|_| protocol > 30)), "{protocol} {own}");
    }
}
