//! A whole session of a client that may say anything, with a driver that answers it from a small tree.

use std::collections::VecDeque;

use bytes::Bytes;
use headwater::wire::flist::{DirRole, Link, Listed};
use headwater::wire::flist_write::ListWriter;
use headwater::wire::mux::frames_of;
use headwater::wire::sender::{
    FileList, Limits, ListRequest, ModuleTerms, NoSend, Request, Sender, SenderConfig, Step,
};
use headwater::wire::sums::SumKind;

/// What the tree holds, in the order of its indices.
const FILES: [(&[u8], &[u8]); 4] = [(b"a", b"hello"), (b"b", b""), (b"c", &[b'c'; 3_000]), (b"d", b"vanishes")];

/// Most bytes that may wait to be sent after one piece of input was answered: the answers to all that may be asked at once.
const MOST_PENDING: usize = 64 << 20;

/// Whatever a client says, cut into pieces by its first byte: an end, no panic, and bounded output.
pub(crate) fn whole_session(data: &[u8]) {
    let Some((&size, client)) = data.split_first() else { return };
    play(client, usize::from(size).max(1));
}

/// A recorded beginning, and behind it frames whose data may be anything.
pub(crate) fn session_on_damaged_frames(data: &[u8]) {
    let Some((&which, rest)) = data.split_first() else { return };
    let client = super::seeds::RECORDED_CLIENTS[usize::from(which) % super::seeds::RECORDED_CLIENTS.len()];
    // Behind the arguments, which end in two zero bytes.
    let start = client.windows(2).position(|pair| pair == [0, 0]).map_or(client.len(), |at| at + 2);
    let mut bytes = client[..start].to_vec();
    let setup = rest.first().map_or(0, |&length| usize::from(length)).min(client.len() - start);
    bytes.extend_from_slice(&client[start..start + setup]);
    bytes.extend_from_slice(&frames_of(rest.get(1..).unwrap_or_default()));
    play(&bytes, 97);
}

fn play(client: &[u8], size: usize) {
    let limits = Limits { waiting: 64, ..Limits::default() };
    let mut driver = Driver {
        sender: Sender::new(SenderConfig { motd: b"welcome\n".to_vec(), seed: 77, limits, silence: None }),
        queue: VecDeque::new(),
        ended: false,
    };
    for piece in client.chunks(size) {
        driver.sender.input(piece);
        driver.run();
    }
    driver.sender.end_of_input();
    driver.run();
    assert!(driver.ended, "a session whose input has ended must end");
}

struct Driver {
    sender: Sender,
    queue: VecDeque<Request>,
    ended: bool,
}

impl Driver {
    fn run(&mut self) {
        while !self.ended && self.step() {}
        let pending: usize = self.sender.take_output().map(|chunk| chunk.len()).sum();
        assert!(pending <= MOST_PENDING, "{pending} bytes wait");
        assert_eq!(self.sender.pending_output(), 0);
    }

    /// Does what the sender asks for. Whether there may be more to do.
    fn step(&mut self) -> bool {
        match self.sender.poll() {
            // It is said in what the sender does next.
            Err(_) => {}
            Ok(Step::Wait) => {
                let some = !self.queue.is_empty();
                while let Some(request) = self.queue.pop_front() {
                    self.answer(request);
                }
                return some;
            }
            Ok(Step::ListModules) => self.sender.modules(&[(b"vec", b"a tree")]),
            Ok(Step::Module(name)) if name == b"vec" => self.sender.accept(ModuleTerms { timeout: Some(300) }),
            Ok(Step::Module(name)) if name == b"login" => {
                self.sender.challenge("abcdefghijklmnopqrstuv", headwater::wire::greeting::PasswordDigest::Md5);
            }
            Ok(Step::Module(_)) => self.sender.refuse(b"@ERROR: Unknown module"),
            Ok(Step::Login(login)) => match login.proves(b"sesame") {
                true => self.sender.accept(ModuleTerms::default()),
                false => self.sender.refuse(b"@ERROR: auth failed on module login"),
            },
            Ok(Step::List(request)) => self.sender.list(list_for(&request)),
            Ok(Step::Send(request)) => self.queue.push_back(request),
            Ok(Step::Drain { .. } | Step::Finished(_)) => self.ended = true,
        }
        true
    }

    fn answer(&mut self, request: Request) {
        // The root has index 0.
        let file = usize::try_from(request.ndx()).ok().and_then(|ndx| FILES.get(ndx.checked_sub(1)?));
        match file {
            Some((name, _)) if *name == b"d" => self.sender.no_send(&request, NoSend::Vanished { path: b"/d" }),
            Some((_, content)) => {
                let stored = SumKind::Xxh128.whole(content).as_bytes().try_into().unwrap();
                self.sender.begin(request);
                content.chunks(1_000).for_each(|piece| self.sender.feed(piece));
                self.sender.finish(&stored);
            }
            None => self.sender.no_send(&request, NoSend::Failed { path: b"/x", reason: "Is a directory (21)" }),
        }
    }
}

fn list_for(request: &ListRequest) -> FileList {
    let (mut writer, mut out) = (ListWriter::new(request.format), Vec::new());
    let entry = Listed {
        name: b".",
        mode: 0o040_755,
        size: 0,
        mtime: 1,
        nanos: 0,
        uid: 0,
        gid: 0,
        target: b"",
        checksum: b"",
        role: DirRole::Argument,
        link: Link::None,
    };
    writer.push(&mut out, &entry);
    for (name, content) in FILES {
        let sum = request.format.checksum.map(|kind| kind.whole(content));
        let checksum = sum.as_ref().map(|sum| sum.as_bytes()).unwrap_or_default();
        let size = u64::try_from(content.len()).unwrap();
        writer.push(&mut out, &Listed { name, mode: 0o100_644, size, checksum, role: DirRole::NotADirectory, ..entry });
    }
    writer.finish(&mut out, 0, &[(0, b"root")], &[(0, b"root")]);
    FileList { frames: vec![Bytes::from(frames_of(&out))], entries: 5, total_size: 3_013, ..FileList::default() }
}
