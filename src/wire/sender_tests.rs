//! Tests of the sender as a whole: recorded clients are played to it, in one piece and cut everywhere, and what it
//! says is taken apart and compared with what the stock daemon said to the same client.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use proptest::prelude::*;

use super::error::WireError;
use super::flist::{Is, Listed};
use super::flist_write::ListWriter;
use super::mux::{Tag, frames_of, put_frame};
use super::numbers::{NDX_DEL_STATS, NDX_DONE, NdxWriter, put_i32, put_u16, put_varint};
use super::recorded::{
    Heard, Owned, Part, Said, asked, contents, framed, hear, partial_recordings, recording, recordings, sorted,
    unframed,
};
use super::sender::{
    Attempt, FileList, Finish, Limits, ListRequest, ModuleTerms, NoSend, Outcome, Request, Sender, SenderConfig, Step,
};
use super::sums::SumKind;

/// A client's greeting and request line.
const HELLO: &[u8] = b"@RSYNCD: 32.0 sha512 sha256 sha1 md5 md4\nvec\n";

/// When the driver answers a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answers {
    AtOnce,
    /// Only when the sender has nothing else to ask for.
    Late,
}

/// What a driver has for each entry.
#[derive(Clone, Debug)]
pub(super) enum Store {
    Bytes(Vec<u8>),
    Vanished,
    Unreadable,
    /// Reading fails after the first half.
    Torn(Vec<u8>),
    /// The bytes are not what was stored.
    Rotten(Vec<u8>),
}

/// A driver with a small tree, and all that it saw.
pub(super) struct Play {
    pub(super) sender: Sender,
    list: FileList,
    store: Vec<Store>,
    answers: Answers,
    queue: VecDeque<Request>,
    pub(super) out: Vec<u8>,
    pub(super) about: Option<ListRequest>,
    pub(super) attempts: Vec<(u32, Attempt)>,
    outcomes: Vec<Outcome>,
    pub(super) errors: Vec<WireError>,
    pub(super) end: Option<End>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    Finished(Finish),
    Drain(i32),
}

impl Play {
    pub(super) fn new(list: FileList, store: Vec<Store>, answers: Answers) -> Self {
        let sender = Sender::new(SenderConfig { motd: Vec::new(), seed: 77, ..SenderConfig::default() });
        Self {
            sender,
            list,
            store,
            answers,
            queue: VecDeque::new(),
            out: Vec::new(),
            about: None,
            attempts: Vec::new(),
            outcomes: Vec::new(),
            errors: Vec::new(),
            end: None,
        }
    }

    pub(super) fn input(&mut self, bytes: &[u8]) {
        self.sender.input(bytes);
        while self.end.is_none() && self.step() {}
        self.out.extend(self.sender.take_output().flat_map(|chunk| chunk.to_vec()));
        assert_eq!(self.sender.pending_output(), 0);
    }

    /// Does what the sender asks for. Whether there may be more to do.
    fn step(&mut self) -> bool {
        match self.sender.poll() {
            Err(error) => self.errors.push(error),
            Ok(Step::Wait) => return self.answer_all(),
            Ok(Step::ListModules) => self.sender.modules(&[(b"vec", b"a tree")]),
            Ok(Step::Module(name)) if name == b"vec" => self.sender.accept(ModuleTerms { timeout: Some(300) }),
            Ok(Step::Module(_)) => self.sender.refuse(b"@ERROR: Unknown module"),
            Ok(Step::Login(login)) => panic!("{login:?} without a challenge"),
            Ok(Step::List(request)) => {
                self.about = Some(*request);
                self.sender.list(self.list.clone());
            }
            Ok(Step::Send(request)) => {
                self.queue.push_back(request);
                if self.answers == Answers::AtOnce {
                    self.answer_all();
                }
            }
            Ok(Step::Drain { code }) => self.end = Some(End::Drain(code)),
            Ok(Step::Finished(finish)) => self.end = Some(End::Finished(finish)),
        }
        true
    }

    fn answer_all(&mut self) -> bool {
        let some = !self.queue.is_empty();
        while let Some(request) = self.queue.pop_front() {
            self.answer(request);
        }
        some
    }

    fn answer(&mut self, request: Request) {
        self.attempts.push((request.ndx(), request.attempt()));
        let stored = |data: &[u8]| -> [u8; 16] { SumKind::Xxh128.whole(data).as_bytes().try_into().unwrap() };
        match self.store[usize::try_from(request.ndx()).unwrap()].clone() {
            Store::Vanished => self.sender.no_send(&request, NoSend::Vanished { path: b"/gone" }),
            Store::Unreadable => {
                let reason = "Input/output error (5)";
                self.sender.no_send(&request, NoSend::Failed { path: b"/bad", reason });
            }
            Store::Bytes(data) => {
                self.sender.begin(request);
                data.chunks(1000).for_each(|piece| self.sender.feed(piece));
                self.outcomes.push(self.sender.finish(&stored(&data)));
            }
            Store::Torn(data) => {
                self.sender.begin(request);
                self.sender.feed(&data[..data.len() / 2]);
                self.sender.give_up(b"/torn", "Input/output error (5)");
            }
            Store::Rotten(data) => {
                self.sender.begin(request);
                self.sender.feed(&data);
                self.outcomes.push(self.sender.finish(&[9; 16]));
            }
        }
    }

    pub(super) fn hear(&self, contents: &HashMap<Vec<u8>, Vec<u8>>) -> Heard {
        hear(&self.out, self.about.as_ref().unwrap(), contents)
    }

    /// The frames' data and messages behind the setup.
    pub(super) fn unframed(&self, about: &ListRequest) -> (Vec<u8>, Vec<(Tag, Vec<u8>)>) {
        unframed(framed(&self.out, about))
    }
}

pub(super) fn list_of(
    about: &ListRequest,
    entries: &[Owned],
    users: &[(u32, &[u8])],
    groups: &[(u32, &[u8])],
) -> FileList {
    let (mut writer, mut out) = (ListWriter::new(about.format), Vec::new());
    entries.iter().for_each(|entry| writer.push(&mut out, &entry.listed()));
    writer.finish(&mut out, 0, users, groups);
    let total_size = entries.iter().filter(|entry| Is::of(entry.mode) == Is::Other).map(|entry| entry.size).sum();
    let entries = u32::try_from(entries.len()).unwrap();
    FileList { frames: vec![Bytes::from(frames_of(&out))], entries, total_size, ..FileList::default() }
}

fn borrowed(names: &[(u32, Vec<u8>)]) -> Vec<(u32, &[u8])> {
    names.iter().map(|(id, name)| (*id, &name[..])).collect()
}

/// Statistics without what depends on how the bytes were cut.
fn comparable(said: &[Said]) -> Vec<Said> {
    let mut said = said.to_vec();
    for said in &mut said {
        if let Said::Statistics([_, _, size, build, _]) = said {
            *said = Said::Statistics([0, 0, *size, (*build).min(1), 0]);
        }
    }
    said
}

/// Plays a recorded client with the recorded tree, its bytes cut at the given places.
fn play(client: &[u8], cuts: &[usize], list: &FileList, store: &[Store], answers: Answers) -> Play {
    let mut play = Play::new(list.clone(), store.to_vec(), answers);
    let mut at = 0;
    for cut in cuts.iter().copied().chain([client.len()]) {
        play.input(&client[at..cut]);
        at = cut;
    }
    play
}

#[test]
fn recorded_clients_get_what_the_stock_daemon_sent_them_however_their_bytes_are_cut() {
    let contents = contents();
    for recording in recordings().into_iter().chain(partial_recordings()) {
        let (name, client) = (recording.name, recording.client);
        let about = asked(client);
        let stock = hear(recording.server, &about, &contents);
        let list = list_of(&about, &stock.entries, &borrowed(&stock.users), &borrowed(&stock.groups));
        let store: Vec<Store> = sorted(&stock.entries)
            .iter()
            .map(|entry| {
                let inside = [b"sub/", &entry.name[..]].concat();
                Store::Bytes(contents.get(&entry.name).or(contents.get(&inside)).cloned().unwrap_or_default())
            })
            .collect();
        let mut expected = comparable(&stock.said);
        if name == "redo-noinc-p32" {
            // The recorded daemon sent a wrong sum once, on purpose.
            let right = SumKind::Xxh128.whole(&contents[&b"sub/numbers"[..]]);
            let wrong = expected.iter_mut().find_map(|said| match said {
                Said::File { sum, .. } if *sum == right.wrong() => Some(sum),
                _ => None,
            });
            *wrong.unwrap() = right;
        }
        let check = |cuts: &[usize], answers: Answers| {
            let played = play(client, cuts, &list, &store, answers);
            let heard = played.hear(&contents);
            assert_eq!(comparable(&heard.said), expected, "{name}");
            assert_eq!(
                (heard.entries, heard.users, heard.groups),
                (stock.entries.clone(), stock.users.clone(), stock.groups.clone())
            );
            assert_eq!(played.errors, [], "{name}");
            let Some(End::Finished(finish)) = played.end else { panic!("{name}: {:?}", played.end) };
            assert!(finish.clean, "{name}");
            assert_eq!(finish.received, u64::try_from(client.len()).unwrap());
            assert_eq!(finish.sent, u64::try_from(played.out.len()).unwrap());
            assert!(played.outcomes.iter().all(|outcome| *outcome == Outcome::Sent), "{name}");
            let again: Vec<u32> =
                played.attempts.iter().filter(|(_, attempt)| *attempt == Attempt::Again).map(|(ndx, _)| *ndx).collect();
            assert_eq!(again, if name == "redo-noinc-p32" { vec![9] } else { vec![] }, "{name}");
        };
        check(&[], Answers::AtOnce);
        check(&[], Answers::Late);
        let everywhere: Vec<usize> = (1..client.len()).collect();
        check(&everywhere, Answers::AtOnce);
        check(&everywhere, Answers::Late);
        (1..client.len()).for_each(|cut| check(&[cut], Answers::Late));
    }
}

/// A client that negotiates nothing but its arguments: no caps, so md5, fixed flags, and no name lists.
pub(super) fn simple(protocol: u8, args: &[&str], rules: &[&[u8]]) -> Vec<u8> {
    let mut client = format!("@RSYNCD: {protocol}.0 md5\nvec\n").into_bytes();
    for arg in [&["--server", "--sender"], args, &[".", "vec/"]].concat() {
        client.extend_from_slice(arg.as_bytes());
        client.push(0);
    }
    client.push(0);
    let mut data = Vec::new();
    for rule in rules {
        put_i32(&mut data, i32::try_from(rule.len()).unwrap());
        data.extend_from_slice(rule);
    }
    put_i32(&mut data, 0);
    put_frame(&mut client, Tag::Data, &data);
    client
}

/// Four files `a` to `d` in the root.
pub(super) fn files() -> Vec<Owned> {
    let root = Listed { name: b".", mode: 0o040_755, size: 0, role: super::flist::DirRole::Argument, ..file(b".") };
    [root, file(b"a"), file(b"b"), file(b"c"), file(b"d")].iter().map(Owned::of).collect()
}

fn file(name: &[u8]) -> Listed<'_> {
    Listed {
        name,
        mode: 0o100_644,
        size: 5,
        mtime: 1,
        nanos: 0,
        uid: 0,
        gid: 0,
        target: b"",
        checksum: b"",
        role: super::flist::DirRole::NotADirectory,
        link: super::flist::Link::None,
    }
}

/// Requests, as frames.
#[derive(Default)]
pub(super) struct Says {
    ndx: NdxWriter,
    data: Vec<u8>,
}

impl Says {
    pub(super) fn done(mut self, times: usize) -> Self {
        (0..times).for_each(|_| self.ndx.write(&mut self.data, NDX_DONE));
        self
    }

    pub(super) fn record(mut self, ndx: i32, flags: u16, rest: &[u8]) -> Self {
        self.ndx.write(&mut self.data, ndx);
        put_u16(&mut self.data, flags);
        self.data.extend_from_slice(rest);
        self
    }

    pub(super) fn want(self, ndx: i32) -> Self {
        self.record(ndx, 0xa000, &[0; 16])
    }

    fn deleted(mut self, counts: [i32; 5]) -> Self {
        self.ndx.write(&mut self.data, NDX_DEL_STATS);
        counts.iter().for_each(|count| put_varint(&mut self.data, *count));
        self
    }

    pub(super) fn frames(self) -> Vec<u8> {
        frames_of(&self.data)
    }
}

pub(super) fn started(client: &[u8], store: Vec<Store>) -> Play {
    let list = list_of(&asked(client), &files(), &[], &[]);
    let mut play = Play::new(list, store, Answers::Late);
    play.input(client);
    play
}

pub(super) fn small_store() -> Vec<Store> {
    vec![Store::Bytes(b"hello".to_vec()); 5]
}

pub(super) fn no_contents() -> HashMap<Vec<u8>, Vec<u8>> {
    HashMap::new()
}

#[test]
fn a_dry_run_is_answered_with_its_own_records_and_no_data() {
    let mut play = started(&simple(31, &["-nre.f"], &[]), small_store());
    play.input(&Says::default().record(1, 0xa000, b"").record(2, 0x8004, b"").done(5).frames());
    let said = play.hear(&no_contents()).said;
    assert_eq!(said[..2], [Said::Record(1, 0xa000, None, None), Said::Record(2, 0x8004, None, None)]);
    assert!(play.attempts.is_empty());
    assert!(matches!(&play.end, Some(End::Finished(Finish { clean: true, .. }))), "{:?}", play.end);
}

#[test]
fn records_come_back_with_their_parts_in_the_order_of_the_requests() {
    let mut play = started(&simple(31, &["-re.f"], &[]), small_store());
    let said = Says::default()
        .record(0, 0x2000, b"")
        .want(2)
        .record(1, 0x1800, b"\x83\x04name")
        .record(3, 0x9800, &[&b"\x80\0"[..], &[0; 16]].concat())
        .record(4, 0, b"");
    play.input(&said.done(2).deleted([1, 2, 3, 4, 5]).done(3).frames());
    let heard = play.hear(&no_contents()).said;
    let order: Vec<&Said> = heard.iter().filter(|said| !matches!(said, Said::File { .. })).collect();
    assert_eq!(order[0], &Said::Record(0, 0x2000, None, None));
    assert_eq!(order[1], &Said::Record(2, 0xa000, None, None));
    assert_eq!(order[2], &Said::Record(1, 0x1800, Some(0x83), Some(b"name".to_vec())));
    assert_eq!(order[3], &Said::Record(3, 0x9800, Some(0x80), Some(vec![])));
    assert_eq!(order[4], &Said::Record(4, 0, None, None));
    assert_eq!(order[5..8], [&Said::Done, &Said::Done, &Said::Deleted([1, 2, 3, 4, 5])]);
    assert!(matches!(order[8..], [Said::Done, Said::Statistics(_), Said::Done]), "{:?}", &order[8..]);
}

#[test]
fn problems_with_files_are_told_by_message_and_counted_before_the_third_done() {
    let store = vec![
        Store::Unreadable,
        Store::Vanished,
        Store::Unreadable,
        Store::Torn(b"torn in two".to_vec()),
        Store::Rotten(b"rotten".to_vec()),
    ];
    let mut play = started(&simple(31, &["-re.f", "--timeout=20"], &[]), store);
    play.input(&Says::default().want(1).want(2).want(3).want(4).done(5).frames());
    let heard = play.hear(&no_contents());
    let text = |tag: Tag, text: &str| (tag, text.as_bytes().to_vec());
    let expected = vec![
        (Tag::IoTimeout, vec![20, 0, 0, 0]),
        text(Tag::Warning, "file has vanished: \"/gone\" (in vec)\n"),
        (Tag::NoSend, vec![1, 0, 0, 0]),
        text(Tag::ErrorXfer, "rsync: [sender] send_files failed to open \"/bad\" (in vec): Input/output error (5)\n"),
        (Tag::NoSend, vec![2, 0, 0, 0]),
        text(Tag::ErrorXfer, "rsync: [sender] read errors mapping \"/torn\" (in vec): Input/output error (5)\n"),
        (Tag::IoError, vec![3, 0, 0, 0]),
    ];
    assert_eq!(heard.messages, expected);
    let sums: Vec<&Said> = heard.said.iter().filter(|said| matches!(said, Said::File { .. })).collect();
    for (said, data) in sums.iter().zip([&b"torn "[..], b"rotten"]) {
        let Said::File { parts, sum, .. } = said else { continue };
        assert_eq!(parts[..], [Part::Literal(data.to_vec())]);
        assert_eq!(*sum, SumKind::Md5.whole(data).wrong());
    }
    assert_eq!((sums.len(), &play.outcomes[..]), (2, &[Outcome::Mismatch][..]));
}

#[test]
fn an_xxh128_client_gets_the_stored_sum_and_catches_the_rot_itself() {
    let client = recording!("numeric-p32").client;
    let stock = hear(recording!("numeric-p32").server, &asked(client), &contents());
    let list = list_of(&asked(client), &stock.entries, &[], &[]);
    let store = vec![Store::Rotten(b"rotten".to_vec()); 14];
    let played = play(client, &[], &list, &store, Answers::AtOnce);
    let said = played.hear(&no_contents()).said;
    let sums = said.iter().filter_map(|said| if let Said::File { sum, .. } = said { Some(sum) } else { None });
    assert!(sums.clone().all(|sum| sum.as_bytes() == [9; 16]) && sums.count() == 8);
    assert!(played.outcomes.iter().all(|outcome| *outcome == Outcome::Sent));
}

#[test]
fn without_checksums_a_file_ends_with_one_zero_byte() {
    let mut play = started(&simple(31, &["-re.f", "--checksum-choice=none"], &[]), small_store());
    play.input(&Says::default().want(1).done(5).frames());
    let said = play.hear(&no_contents()).said;
    let Said::File { parts, sum, .. } = &said[1] else { panic!("{said:?}") };
    assert_eq!((&parts[..], sum.as_bytes()), (&[Part::Literal(b"hello".to_vec())][..], &[0][..]));
}

#[test]
fn in_place_a_block_is_not_copied_from_where_the_client_has_already_written() {
    // The basis is two blocks; the file has them swapped, so block 0 is needed behind its own place.
    let blocks = [vec![b'x'; 700], vec![b'y'; 700]];
    let whole = [&blocks[1][..], &blocks[0]].concat();
    let mut sums = [2_i32, 700, 16, 0].map(i32::to_le_bytes).concat();
    for block in &blocks {
        sums.extend_from_slice(&super::sums::weak(block).to_le_bytes());
        // Without a seed order in the caps the seed follows the data.
        sums.extend_from_slice(&md5_after(block));
    }
    let partial = [&b"\x81"[..], &sums].concat();
    let both = vec![Part::Copy(1), Part::Copy(0)];
    let second = vec![Part::Copy(1), Part::Literal(blocks[0].clone())];
    /// Arguments, item flags, what follows them, and the tokens that come back.
    type Row<'a> = (&'a [&'a str], u16, &'a [u8], &'a Vec<Part>);
    let rows: [Row<'_>; 4] = [
        (&["-re.f"], 0x8000, &sums, &both),
        (&["-re.f", "--inplace"], 0x8000, &sums, &second),
        (&["-re.f"], 0x8800, &partial, &both),
        (&["-re.fI"], 0x8800, &partial, &second),
    ];
    for (args, flags, request, expected) in rows {
        let args: Vec<&str> = args.iter().copied().chain(["--checksum-seed=5"]).collect();
        let mut play = started(&simple(31, &args, &[]), vec![Store::Bytes(whole.clone()); 5]);
        play.input(&Says::default().record(1, flags, request).done(5).frames());
        let said = play.hear(&HashMap::from([(b"a".to_vec(), whole.clone())])).said;
        let Said::File { parts, sum, .. } = &said[1] else { panic!("{said:?}") };
        assert_eq!((parts, *sum), (expected, SumKind::Md5.whole(&whole)), "{args:?}");
    }
}

fn md5_after(data: &[u8]) -> Vec<u8> {
    SumKind::Md5.block(5, super::sums::SeedOrder::After, data).as_bytes().to_vec()
}

#[test]
fn what_a_client_may_not_ask_for_ends_its_session_with_code_2() {
    let many_blocks = [i32::MAX, 700, 2, 0].map(i32::to_le_bytes).concat();
    let rows: Vec<(Says, &str)> = vec![
        (Says::default().want(5), "file index 5 in a list of 5"),
        (Says::default().record(-7, 0, b""), "file index -7"),
        (Says::default().done(2).want(1), "after the phase"),
        (Says::default().done(3).record(1, 0, b""), "after the phase"),
        (Says::default().deleted([0, 0, 0, 0, -1]), "deletion statistics"),
        (Says::default().record(1, 0x8000, &many_blocks), "block sums for file index 1"),
    ];
    for (says, text) in rows {
        let mut play = started(&simple(31, &["-re.f"], &[]), small_store());
        let about = play.about.clone().unwrap();
        play.input(&says.frames());
        let (_, messages) = play.unframed(&about);
        let [.., (Tag::Error, line), (Tag::ErrorExit, code)] = &messages[..] else { panic!("{text}: {messages:?}") };
        assert_eq!((&code[..], play.end), (&[2, 0, 0, 0][..], Some(End::Drain(2))), "{text}");
        assert!(play.errors[0].to_string().contains(text), "{}", play.errors[0]);
        assert!(String::from_utf8_lossy(line).contains(text), "{line:?}");
    }
}

#[test]
fn protocol_30_has_one_done_less_no_deletion_statistics_and_no_exit_codes() {
    let client = simple(30, &["-re.f"], &[]);
    let mut play = started(&client, small_store());
    play.input(&Says::default().want(1).done(4).frames());
    let said = play.hear(&no_contents()).said;
    assert!(matches!(said[2..], [Said::Done, Said::Done, Said::Done, Said::Statistics(_)]), "{said:?}");
    assert!(matches!(&play.end, Some(End::Finished(Finish { clean: true, .. }))));
    let mut play = started(&client, small_store());
    let about = play.about.clone().unwrap();
    play.input(&Says::default().deleted([0; 5]).frames());
    let (_, messages) = play.unframed(&about);
    assert_eq!(messages.iter().map(|(tag, _)| *tag).collect::<Vec<_>>(), [Tag::Error]);
    assert_eq!(play.errors, [WireError::DeletionStatistics]);
}

#[test]
fn refused_arguments_and_bad_rules_are_told_behind_the_setup() {
    /// Arguments, filter rules, and the code.
    type Row<'a> = (&'a [&'a str], &'a [&'a [u8]], i32);
    let rows: [Row<'_>; 4] = [
        (&["-re.f", "--foo"], &[], 1),
        (&["-rAe.f"], &[], 4),
        (&["-re.f"], &[b"what is this"], 1),
        (&["-re.f"], &[b"- ok", &[b'x'; 5120]], 1),
    ];
    for (args, rules, code) in rows {
        let about = asked(&simple(31, &["-re.f"], &[]));
        let mut play = Play::new(FileList::default(), Vec::new(), Answers::Late);
        play.input(&simple(31, args, rules));
        let (_, messages) = play.unframed(&about);
        let [.., (Tag::Error, _), (Tag::ErrorExit, said)] = &messages[..] else { panic!("{args:?}: {messages:?}") };
        assert_eq!(said[..], code.to_le_bytes(), "{args:?}");
        assert_eq!(play.end, Some(End::Drain(code)));
    }
}

#[test]
fn a_client_that_stops_by_itself_is_answered_and_left() {
    for (payload, answer, code) in [(&[4, 0, 0, 0][..], 1, Some(4)), (&[], 0, None)] {
        let mut play = started(&simple(31, &["-re.f"], &[]), small_store());
        let about = play.about.clone().unwrap();
        // Half a request is still open when the message comes.
        let mut frames = frames_of(b"\x02\x00");
        put_frame(&mut frames, Tag::ErrorExit, payload);
        play.input(&frames);
        let (_, messages) = play.unframed(&about);
        assert_eq!(messages.iter().filter(|message| **message == (Tag::ErrorExit, vec![])).count(), answer);
        let Some(End::Finished(finish)) = play.end else { panic!("{:?}", play.end) };
        assert_eq!((finish.clean, finish.client_code), (false, code));
    }
}

#[test]
fn an_empty_list_ends_the_session_with_the_code_of_what_went_wrong() {
    let client = simple(31, &["-re.f"], &[]);
    for (messages, io_error, code) in
        [(vec![], 0, 0), (vec![(Tag::ErrorXfer, b"gone\n".to_vec())], 0, 23), (vec![], 1, 23)]
    {
        let list = FileList { messages, io_error, ..list_of(&asked(&client), &[], &[], &[]) };
        let mut play = Play::new(list, Vec::new(), Answers::Late);
        play.input(&client);
        assert_eq!((play.end, play.errors), (Some(End::Drain(code)), vec![]));
    }
}

#[test]
fn an_old_client_hears_of_problems_while_listing_by_message() {
    let client = simple(30, &["-re."], &[]);
    let list = FileList { io_error: 1, ..list_of(&asked(&client), &files(), &[], &[]) };
    let mut play = Play::new(list, small_store(), Answers::Late);
    play.input(&client);
    assert_eq!(play.hear(&no_contents()).messages, [(Tag::IoError, vec![1, 0, 0, 0])]);
}

#[test]
fn the_text_phase_says_its_lines_and_ends() {
    let hello = "@RSYNCD: 32.0 sha512 sha256 sha1 md5\nM\n\n";
    let greeting = "@RSYNCD: 32.0 md5\n";
    let rows: [(String, &str, bool); 8] = [
        (format!("{greeting}#list\n"), "vec            \ta tree\n@RSYNCD: EXIT\n", true),
        (format!("{greeting}\n"), "vec            \ta tree\n@RSYNCD: EXIT\n", true),
        (format!("{greeting}nomod\n"), "@ERROR: Unknown module\n", false),
        (format!("{greeting}#early_input=3\n\n\n\n#list\n"), "vec            \ta tree\n@RSYNCD: EXIT\n", true),
        (format!("{greeting}#early_input=0\n"), "@ERROR: invalid early_input length\n", false),
        (format!("{greeting}#what\n"), "@ERROR: Unknown command '#what'\n", false),
        ("hello\n".to_owned(), "@ERROR: protocol startup error\n", false),
        ("@RSYNCD: 29.0\n".to_owned(), "@ERROR: protocol 29 is too old\n", false),
    ];
    for (client, answer, clean) in rows {
        for size in [1, client.len()] {
            let mut play = Play::new(FileList::default(), Vec::new(), Answers::Late);
            play.sender = Sender::new(SenderConfig { motd: b"M\n".to_vec(), ..SenderConfig::default() });
            client.as_bytes().chunks(size).for_each(|piece| play.input(piece));
            assert_eq!(String::from_utf8_lossy(&play.out), format!("{hello}{answer}"), "{client}");
            match play.end {
                Some(End::Finished(finish)) => assert!(finish.clean && clean, "{client}"),
                end => assert!(end == Some(End::Drain(5)) && !clean, "{client}"),
            }
        }
    }
}

#[test]
fn a_client_that_goes_away_early_is_an_error_said_once() {
    let client = simple(31, &["-re.f"], &[]);
    for end in 0..client.len() {
        let mut play = Play::new(list_of(&asked(&client), &files(), &[], &[]), small_store(), Answers::Late);
        play.input(&client[..end]);
        play.sender.end_of_input();
        play.input(b"");
        assert!(matches!(play.errors[..], [WireError::Ended { .. }]), "{end}: {:?}", play.errors);
        assert!(matches!(&play.end, Some(End::Finished(Finish { clean: false, .. }))), "{end}");
    }
}

#[test]
fn a_flood_of_requests_waits_until_some_are_answered() {
    let mut play = started(&simple(31, &["-re.f"], &[]), small_store());
    play.sender.input(&(0..10_000).fold(Says::default(), |says, at| says.want(1 + at % 4)).done(5).frames());
    let mut handed = 0;
    while let Ok(Step::Send(_)) = play.sender.poll() {
        handed += 1;
    }
    assert_eq!((handed, play.sender.wants_input()), (Limits::default().waiting, false));
}

#[test]
fn an_end_that_was_heard_is_not_waited_for_while_a_request_is_owed() {
    let mut play = started(&simple(31, &["-re.f"], &[]), small_store());
    play.sender.input(&Says::default().want(1).frames());
    let Ok(Step::Send(_)) = play.sender.poll() else { panic!("no request") };
    assert!(play.sender.wants_input(), "more may come");
    play.sender.end_of_input();
    assert!(matches!(play.sender.poll(), Ok(Step::Wait)) && !play.sender.wants_input());
}

#[test]
fn keepalives_may_come_at_any_time_even_inside_a_reply() {
    let mut play = started(&simple(31, &["-re.f"], &[]), small_store());
    play.sender.keepalive();
    play.sender.input(&Says::default().want(1).done(5).frames());
    let Ok(Step::Send(request)) = play.sender.poll() else { panic!("no request") };
    play.sender.begin(request);
    for piece in [b"hel", b"lo!"] {
        play.sender.keepalive();
        play.sender.feed(piece);
    }
    play.sender.keepalive();
    play.sender.finish(&SumKind::Xxh128.whole(b"hello!").as_bytes().try_into().unwrap());
    play.input(b"");
    let said = play.hear(&no_contents()).said;
    let Said::File { parts, sum, .. } = &said[1] else { panic!("{said:?}") };
    assert_eq!(parts[..], [Part::Literal(b"hello!".to_vec())]);
    assert_eq!(*sum, SumKind::Md5.whole(b"hello!"));
    let empty_frames = play.out.windows(4).filter(|window| *window == b"\0\0\0\x07").count();
    assert!(empty_frames >= 4, "{empty_frames}");
}

#[test]
fn every_answer_at_the_wrong_time_is_harmless() {
    let mut sender = Sender::new(SenderConfig::default());
    sender.finish(&[0; 16]);
    sender.feed(b"x");
    sender.give_up(b"/x", "");
    sender.list(FileList::default());
    sender.keepalive();
    let before = sender.pending_output();
    sender.input(HELLO);
    assert!(matches!(sender.poll(), Ok(Step::Module(_))));
    assert_eq!(before, super::greeting::GREETING.len());
    sender.fatal(1, "no");
    assert!(matches!(sender.poll(), Ok(Step::Drain { code: 5 })));
    sender.accept(ModuleTerms::default());
    assert!(matches!(sender.poll(), Ok(Step::Drain { code: 5 })));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_a_sender_panic_at_any_point(
        which in 0..recordings().len() + partial_recordings().len(),
        kept in 0.0..1.0_f64,
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        noise in proptest::collection::vec(any::<u8>(), 0..600),
        framed in any::<bool>(),
    ) {
        let client = recordings().into_iter().chain(partial_recordings()).nth(which).unwrap().client;
        let list = list_of(&asked(client), &files(), &[], &[]);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a place in a few hundred bytes")]
        let kept = (client.len() as f64 * kept) as usize;
        let mut bytes = client[..kept].to_vec();
        for (place, byte) in damage.iter().filter(|_| kept > 100) {
            let at = place.index(kept);
            bytes[at] = *byte;
        }
        bytes.extend_from_slice(&if framed { frames_of(&noise) } else { noise });
        let mut play = Play::new(list, small_store(), Answers::Late);
        bytes.chunks(97).for_each(|piece| play.input(piece));
        play.sender.end_of_input();
        play.input(b"");
        prop_assert!(play.end.is_some());
    }
}
