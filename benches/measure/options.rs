//! What a bench program was asked for.
//!
//! `cargo bench` gives `--bench` to every program. Without it (`cargo test --benches`) nobody wants to wait for a
//! measurement, so the program only shows that it works, as with `--quick`.

use std::time::Duration;

use anyhow::{Context, bail};

/// How much is measured.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Files of the sample tree.
    pub(crate) files: u64,
    /// Rounds that count.
    pub(crate) rounds: usize,
    /// Rounds before them.
    pub(crate) warm_up: usize,
    /// Clients that come at once.
    pub(crate) crowd: usize,
    /// Files that are changed for a publication.
    pub(crate) changed: usize,
    /// Bytes of a large file.
    pub(crate) large: u64,
    /// Clients that want one at once.
    pub(crate) large_crowd: usize,
    /// Files of the samples that are held against each other, the smallest first.
    pub(crate) growth: [u64; 3],
    /// The long run.
    pub(crate) soak: Soak,
    /// Connections that do nothing.
    pub(crate) idle: usize,
    /// Clients of a queue, of which `crowd` run at a time.
    pub(crate) queue: usize,
    /// Files that one client asks for again.
    pub(crate) redos: usize,
    /// Clients that read next to nothing, and as many that say next to nothing.
    pub(crate) slow: usize,
    /// Clients at once that ask for what is dear to answer.
    pub(crate) bombs: usize,
    /// The one part that is measured; `None`: all.
    pub(crate) only: Option<String>,
}

/// How long a node is watched, and with what.
#[derive(Clone, Debug)]
pub(crate) struct Soak {
    /// Files of the sample tree.
    pub(crate) files: u64,
    pub(crate) length: Duration,
    /// From one publication to the next, and from one look at the node to the next.
    pub(crate) pace: Duration,
    /// Clients that loop.
    pub(crate) clients: usize,
    /// Each of them reads all contents of its copy after every so many rounds; after the others it compares size and time.
    pub(crate) read_every: u64,
}

const FULL: Options = Options {
    files: 150_000,
    rounds: 5,
    warm_up: 1,
    crowd: 50,
    changed: 1_500,
    large: 1 << 30,
    large_crowd: 20,
    growth: [15_000, 150_000, 600_000],
    soak: Soak {
        files: 10_000,
        length: Duration::from_secs(1800),
        pace: Duration::from_secs(10),
        clients: 20,
        read_every: 1,
    },
    idle: 10_000,
    queue: 200,
    redos: 100_000,
    slow: 50,
    bombs: 8,
    only: None,
};
const QUICK: Options = Options {
    files: 1_000,
    rounds: 1,
    warm_up: 0,
    crowd: 8,
    changed: 20,
    large: 32 << 20,
    large_crowd: 4,
    growth: [500, 1_000, 2_000],
    soak: Soak {
        files: 1_000,
        length: Duration::from_secs(12),
        pace: Duration::from_secs(1),
        clients: 20,
        read_every: 1,
    },
    idle: 200,
    queue: 24,
    redos: 2_000,
    slow: 6,
    bombs: 4,
    only: None,
};

impl Options {
    /// From the command line.
    pub(crate) fn read() -> anyhow::Result<Options> {
        let words: Vec<String> = std::env::args().skip(1).collect();
        let measuring = words.iter().any(|word| word == "--bench") && !words.iter().any(|word| word == "--quick");
        let mut options = if measuring { FULL } else { QUICK };
        let mut words = words.iter().filter(|word| !["--bench", "--quick"].contains(&word.as_str()));
        while let Some(word) = words.next() {
            if word == "--only" {
                options.only = Some(words.next().context("--only needs the name of a part")?.clone());
                continue;
            }
            let mut number = || words.next().and_then(|word| word.parse().ok()).context("a number is missing");
            match word.as_str() {
                "--files" => {
                    options.files = number()?;
                    options.soak.files = options.files;
                }
                "--minutes" => options.soak.length = Duration::from_secs(number()?.clamp(1, 1_440) * 60),
                "--read-every" => options.soak.read_every = number()?.max(1),
                "--rounds" => options.rounds = usize::try_from(number()?)?.max(1),
                other => bail!(
                    "{other:?} is none of --quick, --files N, --rounds N, --only PART, --minutes N, --read-every N"
                ),
            }
        }
        Ok(options)
    }
}
