//! The binary setup: compat flags, names of sums and codecs, the seed; then the multiplex starts.
//!
//! The daemon waits for nothing here: all of its bytes follow from the arguments, so [`Setup::opening`] is sent at
//! once, and [`Setup::read`] takes the client's lists, if any are due. Whether they are due follows from the
//! arguments as written, on both sides alike (protocol 3). Invariant: of the names that both sides know the
//! **client's** first one is taken, which is what every stock client does itself. Deliberately absent: incremental
//! recursion, md4 and iconv, which are never agreed to.

use super::numbers::{Cursor, NumberError, Short, put_i32, put_varint, put_vstring};
use super::options::{Cap, Caps, CompressChoice, Options};
use super::quote::quote;
use super::sums::SumKind;
use super::tokens::Codec;

/// Longest list of names that a client may send, in bytes. Stock clients send about 30.
pub const MAX_NAME_LIST: usize = 1_024;

/// One compat flag that the daemon may set (protocol 3.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Compat {
    /// Mtimes of symlinks can be set. Only a sending client would care.
    SymlinkTimes = 1,
    /// An I/O error may sit in the list's terminator.
    SafeList = 3,
    /// No xattr shortcut for hard links.
    AvoidXattrOptim = 4,
    /// md5 of blocks: the seed goes before the data.
    SeedFix = 5,
    /// The client may update a file of its partial directory in place.
    InplacePartialDir = 6,
    /// List flags are varints, and names are exchanged.
    VarintFlags = 7,
    /// Id lists end with the name of id 0.
    Id0Names = 8,
}

/// The compat flags of one session.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct CompatFlags(i32);

impl CompatFlags {
    /// Each cap of the client sets its flag. Without the caps `v` and `u` the value stays below 0x80, since clients
    /// that lack them read it as one byte.
    fn of(caps: Caps) -> Self {
        let rows = [
            (Cap::SafeList, Compat::SafeList),
            (Cap::AvoidXattrOptim, Compat::AvoidXattrOptim),
            (Cap::SeedFix, Compat::SeedFix),
            (Cap::InplacePartialDir, Compat::InplacePartialDir),
            (Cap::VarintFlags, Compat::VarintFlags),
            (Cap::Id0Names, Compat::Id0Names),
        ];
        let set = rows.into_iter().filter(|(cap, _)| caps.has(*cap));
        set.fold(Self::default().with(Compat::SymlinkTimes), |flags, (_, flag)| flags.with(flag))
    }

    const fn with(self, flag: Compat) -> Self {
        Self(self.0 | 1 << flag as u8)
    }

    /// Whether `flag` is set.
    #[must_use]
    pub const fn has(self, flag: Compat) -> bool {
        self.0 >> flag as u8 & 1 == 1
    }

    /// The value on the wire.
    #[must_use]
    pub const fn bits(self) -> i32 {
        self.0
    }
}

/// What both sides have settled when the multiplex starts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Agreed {
    /// The compat flags as sent.
    pub compat: CompatFlags,
    /// The strong sum of blocks.
    pub block_sum: SumKind,
    /// The sum behind each file's content.
    pub whole_sum: SumKind,
    /// The sum in the list, with `-c`.
    pub list_sum: SumKind,
    /// How tokens are compressed.
    pub codec: Codec,
    /// The seed of block sums.
    pub seed: i32,
}

/// Why the setup failed. The client notices the same on its side and says so itself (exit code 4).
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SetupError {
    /// No name in common.
    #[error("no {what} in common with the client, which offers: {list}")]
    NothingInCommon {
        /// What was to be settled.
        what: &'static str,
        /// The client's list, escaped and shortened.
        list: String,
    },
    /// A list of names that is too long.
    #[error("list of names from the client: {0}")]
    BadList(NumberError),
}

/// Where the reading of the client's lists stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Due {
    Sums,
    Codecs,
    Nothing,
}

/// The setup of one session, from the daemon's side.
#[derive(Debug)]
pub struct Setup {
    agreed: Agreed,
    exchange_sums: Exchange,
    exchange_codecs: Exchange,
    level: Option<i32>,
    due: Due,
    partial: Vec<u8>,
}

/// Whether both sides send a list of names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Exchange {
    Yes,
    No,
}

impl Setup {
    /// Decides everything that the arguments decide. `random_seed` is used where the client gave no seed.
    #[must_use]
    pub fn new(options: &Options, caps: Caps, random_seed: i32) -> Self {
        let compat = CompatFlags::of(caps);
        let names = compat.has(Compat::VarintFlags);
        let exchange_sums = match options.checksum_choice {
            None if names => Exchange::Yes,
            _ => Exchange::No,
        };
        let (exchange_codecs, codec) = match options.compress.choice {
            CompressChoice::Off => (Exchange::No, Codec::None),
            CompressChoice::Fixed(codec) => (Exchange::No, codec),
            CompressChoice::Negotiate if names => (Exchange::Yes, Codec::None),
            CompressChoice::Negotiate => (Exchange::No, Codec::Zlib),
        };
        let (transfer, list) = options.checksum_choice.unwrap_or((SumKind::Md5, SumKind::Md5));
        let agreed = Agreed {
            compat,
            block_sum: transfer,
            whole_sum: transfer,
            list_sum: list,
            codec: at_level(codec, options.compress.level),
            seed: options.seed.unwrap_or(random_seed),
        };
        let level = options.compress.level;
        Self { agreed, exchange_sums, exchange_codecs, level, due: Due::Sums, partial: Vec::new() }
    }

    /// All that the daemon sends in the setup: flags, its lists, the seed (protocol 3, steps 1 to 4).
    #[must_use]
    pub fn opening(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_varint(&mut out, self.agreed.compat.bits());
        if self.exchange_sums == Exchange::Yes {
            put_vstring(&mut out, SumKind::ALL.map(SumKind::name).join(" ").as_bytes());
        }
        if self.exchange_codecs == Exchange::Yes {
            put_vstring(&mut out, Codec::ALL.map(Codec::name).join(" ").as_bytes());
        }
        put_i32(&mut out, self.agreed.seed);
        out
    }

    /// Takes the client's lists off the front of `input`. Gives the result when there is nothing more to wait for,
    /// which without lists is at once, and then leaves `input` alone.
    ///
    /// # Errors
    /// A list that is too long, or without any name that is known here.
    pub fn read(&mut self, input: &mut &[u8]) -> Result<Option<Agreed>, SetupError> {
        loop {
            match self.due {
                Due::Sums if self.exchange_sums == Exchange::Yes => {
                    let Some(list) = self.list(input)? else { return Ok(None) };
                    let kind = first_known(&list, SumKind::from_name, "checksum")?;
                    self.agreed.block_sum = kind;
                    self.agreed.whole_sum = kind;
                    self.agreed.list_sum = kind;
                }
                Due::Codecs if self.exchange_codecs == Exchange::Yes => {
                    let Some(list) = self.list(input)? else { return Ok(None) };
                    let codec = first_known(&list, Codec::from_name, "compression")?;
                    self.agreed.codec = at_level(codec, self.level);
                }
                Due::Sums | Due::Codecs => {}
                Due::Nothing => return Ok(Some(self.agreed)),
            }
            self.due = match self.due {
                Due::Sums => Due::Codecs,
                Due::Codecs | Due::Nothing => Due::Nothing,
            };
        }
    }

    /// One list of names. Bytes are taken singly, because what follows the list belongs to another reader.
    fn list(&mut self, input: &mut &[u8]) -> Result<Option<Vec<u8>>, SetupError> {
        while let Some((&byte, rest)) = input.split_first() {
            self.partial.push(byte);
            *input = rest;
            match Cursor::new(&self.partial).vstring(MAX_NAME_LIST) {
                Ok(list) => {
                    let list = list.to_vec();
                    self.partial.clear();
                    return Ok(Some(list));
                }
                Err(Short::More) => {}
                Err(Short::Bad(error)) => return Err(SetupError::BadList(error)),
            }
        }
        Ok(None)
    }
}

/// Level 0 turns deflate off altogether: stock peers then send plain tokens. To zstd it means its usual level.
const fn at_level(codec: Codec, level: Option<i32>) -> Codec {
    match (codec, level) {
        (Codec::Zlib | Codec::Zlibx, Some(0)) => Codec::None,
        _ => codec,
    }
}

/// The first name of the client's list that means something here.
fn first_known<T>(list: &[u8], from_name: fn(&[u8]) -> Option<T>, what: &'static str) -> Result<T, SetupError> {
    list.split(u8::is_ascii_whitespace)
        .find_map(from_name)
        .ok_or_else(|| SetupError::NothingInCommon { what, list: quote(list) })
}

#[cfg(test)]
mod tests {
    use super::super::options::parse_args;
    use super::*;

    const ALL_CAPS: &str = "e.LsfxCIvu";

    fn setup(words: &str) -> Setup {
        let words = format!("--sender {words} . mod/");
        let vector: Vec<Vec<u8>> = words.split(' ').map(|word| word.as_bytes().to_vec()).collect();
        let parsed = parse_args(&vector, None);
        Setup::new(&parsed.options, parsed.caps, 77)
    }

    fn vstring(text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        put_vstring(&mut out, text.as_bytes());
        out
    }

    #[test]
    fn flags_follow_the_caps() {
        let rows: [(&str, i32, &[u8]); 7] = [
            ("-re.iLsfxCIvu", 0x1fa, b"\x81\xfa"),
            ("-re.LsfxCIvu", 0x1fa, b"\x81\xfa"),
            ("-re.LsfxCvu", 0x1ba, b"\x81\xba"),
            ("-re.iLsfxC", 0x3a, b"\x3a"),
            ("-re31.14fC", 0x2a, b"\x2a"),
            ("-re.V", 0x02, b"\x02"),
            ("-r", 0x02, b"\x02"),
        ];
        for (words, bits, bytes) in rows {
            let setup = setup(words);
            assert_eq!(setup.agreed.compat.bits(), bits, "{words}");
            assert!(setup.opening().starts_with(bytes), "{words}");
        }
    }

    #[test]
    fn the_example_of_the_protocol_document_is_reproduced() {
        let mut setup = setup(&format!("-rz{ALL_CAPS} --checksum-seed=1"));
        let opening = [
            b"\x81\xfa".to_vec(),
            b"\x1fxxh128 xxh3 xxh64 md5 sha1 none".to_vec(),
            b"\x18zstd lz4 zlibx zlib none".to_vec(),
            vec![1, 0, 0, 0],
        ]
        .concat();
        assert_eq!(setup.opening(), opening.as_slice());
        let client = b"\x1exxh128 xxh3 xxh64 md5 md4 sha1\x13zstd lz4 zlibx zlib\x00\x00\x00\x07";
        let mut input: &[u8] = client;
        let agreed = setup.read(&mut input).unwrap().unwrap();
        assert_eq!(input, b"\x00\x00\x00\x07", "the multiplex is left alone");
        assert_eq!(agreed.whole_sum, SumKind::Xxh128);
        assert_eq!((agreed.codec, agreed.seed), (Codec::Zstd, 1));
        assert!(agreed.compat.has(Compat::SeedFix) && agreed.compat.has(Compat::VarintFlags));
    }

    #[test]
    fn lists_may_come_byte_by_byte() {
        let mut setup = setup(&format!("-rz{ALL_CAPS}"));
        let client = [vstring("md5 xxh128"), vstring("lzo zlib zstd")].concat();
        let (last, start) = client.split_last().unwrap();
        for byte in start {
            assert_eq!(setup.read(&mut &[*byte][..]), Ok(None));
        }
        let agreed = setup.read(&mut &[*last][..]).unwrap().unwrap();
        assert_eq!((agreed.block_sum, agreed.list_sum), (SumKind::Md5, SumKind::Md5));
        assert_eq!((agreed.codec, agreed.seed), (Codec::Zlib, 77));
    }

    /// Words, the client's lists, and what comes of them: transfer sum, list sum, codec.
    type Row<'a> = (&'a str, &'a [&'a str], (SumKind, SumKind, Codec));

    #[test]
    fn the_arguments_decide_which_lists_are_exchanged() {
        use Codec::{Lz4, Zlib, Zlibx, Zstd};
        use SumKind::{Md5, Xxh3, Xxh64, Xxh128};
        let sums = "md4 xxh3 xxh128";
        let rows: [Row<'_>; 17] = [
            ("-re.fCvu", &[sums], (Xxh3, Xxh3, Codec::None)),
            ("-rze.fCvu", &[sums, "lzo lz4 zlibx"], (Xxh3, Xxh3, Lz4)),
            ("-re.fCvu --compress-level=9", &[sums, "zstd"], (Xxh3, Xxh3, Zstd)),
            ("-re.fCvu --compress-choice=zstd", &[sums], (Xxh3, Xxh3, Zstd)),
            ("-re.fCvu --compress-choice=lz4", &[sums], (Xxh3, Xxh3, Lz4)),
            ("-re.fCvu --new-compress", &[sums], (Xxh3, Xxh3, Zlibx)),
            ("-rze.fCvu --compress-level=0", &[sums, "zlibx"], (Xxh3, Xxh3, Codec::None)),
            ("-rze.fCvu --compress-level=0", &[sums, "zstd"], (Xxh3, Xxh3, Zstd)),
            ("-re.fCvu --compress-level=0 --new-compress", &[sums], (Xxh3, Xxh3, Codec::None)),
            ("-rze.fCvu --old-compress", &[sums], (Xxh3, Xxh3, Zlib)),
            ("-rze.fCvu --compress-choice=none", &[sums], (Xxh3, Xxh3, Codec::None)),
            ("-re.fCvu --checksum-choice=xxh64,md5", &[], (Xxh64, Md5, Codec::None)),
            ("-rWe.fCvu --checksum-choice=none", &[], (SumKind::None, SumKind::None, Codec::None)),
            ("-rze.fCvu --checksum-choice=xxh128", &["none"], (Xxh128, Xxh128, Codec::None)),
            ("-re.fC", &[], (Md5, Md5, Codec::None)),
            ("-rze.fC", &[], (Md5, Md5, Zlib)),
            ("-rze.fC --new-compress", &[], (Md5, Md5, Zlibx)),
        ];
        for (words, lists, expected) in rows {
            let mut setup = setup(words);
            let flags: usize = if words.contains("vu") { 2 } else { 1 };
            let opening = setup.opening();
            let mut sent = Cursor::new(&opening[flags..opening.len() - 4]);
            for _ in lists {
                sent.vstring(MAX_NAME_LIST).unwrap();
            }
            assert_eq!(sent.consumed(), opening.len() - 4 - flags, "{words}");
            let client: Vec<u8> = lists.iter().flat_map(|list| vstring(list)).collect();
            let mut input: &[u8] = &client;
            let agreed = setup.read(&mut input).unwrap().unwrap();
            assert!(input.is_empty(), "{words}");
            assert_eq!((agreed.block_sum, agreed.list_sum, agreed.codec), expected, "{words}");
            assert_eq!(agreed.whole_sum, agreed.block_sum, "{words}");
        }
    }

    #[test]
    fn refused_choices_still_count_as_choices() {
        let setup = setup("-rze.fCvu --checksum-choice=md4 --compress-choice=lzo");
        assert_eq!(setup.opening().len(), 2 + 4);
    }

    #[test]
    fn without_a_common_name_there_is_no_session() {
        let mut sums = setup("-re.fCvu");
        assert_eq!(
            sums.read(&mut vstring("md4 crc\x07").as_slice()),
            Err(SetupError::NothingInCommon { what: "checksum", list: "md4 crc\\x07".to_owned() })
        );
        let mut codecs = setup("-rze.fCvu --checksum-choice=md5");
        assert!(matches!(
            codecs.read(&mut vstring("lzo").as_slice()),
            Err(SetupError::NothingInCommon { what: "compression", .. })
        ));
        let long = vstring(&"m".repeat(MAX_NAME_LIST + 1));
        assert!(matches!(setup("-re.fCvu").read(&mut long.as_slice()), Err(SetupError::BadList(_))));
    }
}
