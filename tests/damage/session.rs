//! What clients have said: recorded sessions, and where their messages end.

use std::fs;
use std::path::Path;

/// All that one client said.
pub(crate) struct Session {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

/// The sessions of stock clients that the protocol's own tests use, by name.
pub(crate) fn recorded() -> Vec<Session> {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let mut sessions: Vec<Session> = fs::read_dir(vectors)
        .unwrap()
        .filter_map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name()?.to_str()?.strip_suffix(".client.bin")?.to_owned();
            Some(Session { name, bytes: fs::read(path).unwrap() })
        })
        .collect();
    sessions.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(sessions.len() > 10, "the recorded sessions were not found");
    sessions
}

impl Session {
    /// Where messages end: the lines of greeting and module, each argument, and each multiplexed frame (protocol 7.1: four
    /// bytes of head, of which three are the length, little-endian).
    pub(crate) fn ends(&self) -> Vec<usize> {
        let (module, arguments) = self.lines();
        let mut ends = vec![module, arguments];
        ends.extend((module..arguments).filter(|at| self.bytes[*at] == 0).map(|at| at + 1));
        ends.extend(self.frames(self.start_of_frames()).unwrap());
        ends
    }

    /// Where the multiplexed part begins: with the filter rules. A session that ended before has it at its end.
    pub(crate) fn start_of_frames(&self) -> usize {
        let (_, arguments) = self.lines();
        let mut starts = (arguments..=self.bytes.len()).filter(|from| self.frames(*from).is_some());
        starts.next().unwrap_or_else(|| panic!("{}: no frames", self.name))
    }

    /// The end of the last line (the module's, or that of a login), and the end of the arguments.
    fn lines(&self) -> (usize, usize) {
        let bytes = self.bytes.as_slice();
        let after = |from: usize, mark: &[u8]| {
            let at = bytes[from..].windows(mark.len()).position(|found| found == mark);
            from + mark.len() + at.unwrap_or_else(|| panic!("{}: no {mark:?}", self.name))
        };
        let module = after(after(0, b"\n"), b"\n");
        let last = if self.name.starts_with("auth-") { after(module, b"\n") } else { module };
        // Who may not log in says no arguments.
        let arguments = if last == bytes.len() { last } else { after(last, b"\0\0") };
        (last, arguments)
    }

    /// The ends of the frames from `from` on, if frames fill the rest exactly.
    fn frames(&self, from: usize) -> Option<Vec<usize>> {
        let (mut at, mut ends) = (from, vec![from]);
        while at < self.bytes.len() {
            let [a, b, c, tag] = *self.bytes.get(at..)?.first_chunk()?;
            if tag != 7 {
                return None;
            }
            at += 4 + usize::from(a) + (usize::from(b) << 8) + (usize::from(c) << 16);
            ends.push(at);
        }
        (at == self.bytes.len()).then_some(ends)
    }
}
