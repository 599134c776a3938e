//! The operator's end of the control channel.
//!
//! A command connects, calls, prints and ends, so there is no reconnecting and no retry. Every question has a deadline;
//! a work lasts as long as it needs, and a node that dies under it closes the socket, which ends it at once.
//! A refusal travels in the details of a gRPC status: its three parts come back as they were written.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use prost::Message;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status, Streaming};
use tower::service_fn;

use super::bounds::ValueError;
use super::convert_kept::{add, diff_begun};
use super::convert_state::channels;
use super::convert_stored::{bad, held, scrubbed};
use super::error::ControlError;
use super::model::{
    ChannelLog, ImportOrder, ImportReport, ListedChannel, LogOrder, Progress, Refusal, ReloadReport, StatusReport,
};
use super::model_work::{
    ChannelDiff, DiffOrder, HeldGeneration, HoldOrder, KeepOrder, KeepReport, RollbackOrder, RollbackReport,
    ScrubOrder, ScrubReport, SweepOrder, SweepReport,
};
use super::proto as wire;
use super::proto::operator_client::OperatorClient;

/// The longest path of a Unix socket on Linux: `sun_path` without its NUL.
pub(super) const MOST_SOCKET_PATH: usize = 107;
/// How long a node may take for an answer that needs no work. Longer than the server's own limit, so that its word comes first.
const ANSWER: Duration = Duration::from_secs(15);
/// The largest answer: 4,096 generations of about 200 bytes are 800 KiB.
const MOST_ANSWER: usize = 4 << 20;
/// Room for a refusal: three texts of 2,000 bytes, base64-coded, and once more percent-coded as the status's message.
const MOST_HEADERS: u32 = 32 << 10;

/// What is missing where a stream ended too early.
const END: &str = "report";

/// Takes an event that is progress or the report.
macro_rules! told {
    ($event:expr, $kind:ident, $progress:expr) => {
        match $event.event {
            Some(wire::$kind::Event::Progress(step)) => {
                $progress(step.try_into()?);
                Ok(None)
            }
            Some(wire::$kind::Event::Report(report)) => report.try_into().map(Some),
            None => Err(ValueError::Missing { field: "event" }),
        }
    };
}

/// A connection to the node that runs on a data directory.
#[derive(Debug)]
pub struct Client {
    operator: OperatorClient<Channel>,
}

impl Client {
    /// Connects to the node that listens on `socket`.
    ///
    /// # Errors
    /// [`ControlError::NoNode`] if nobody listens there; every other variant is a failure.
    pub async fn connect(socket: &Path) -> Result<Client, ControlError> {
        check_length(socket)?;
        let mut first = Some(open(socket).await?);
        let again = socket.to_path_buf();
        // The address is never looked up; HTTP/2 wants a name, and the stream is ours.
        let channel = Endpoint::from_static("http://control.sock")
            .http2_max_header_list_size(MOST_HEADERS)
            .connect_with_connector(service_fn(move |_| {
                let ready = first.take();
                let socket: PathBuf = again.clone();
                async move {
                    let stream = match ready {
                        Some(stream) => stream,
                        None => UnixStream::connect(socket).await?,
                    };
                    Ok::<_, io::Error>(TokioIo::new(stream))
                }
            }))
            .await
            .map_err(|error| ControlError::Lost { call: "greet", reason: chain(&error) })?;
        let operator = OperatorClient::new(channel)
            .max_decoding_message_size(MOST_ANSWER)
            .max_encoding_message_size(super::server::MOST_REQUEST);
        Ok(Client { operator })
    }

    /// How the node is.
    ///
    /// # Errors
    /// If the node went away, refused, or answered nonsense; so in every call below.
    pub async fn status(&mut self) -> Result<StatusReport, ControlError> {
        let answer = self.operator.status(timed(wire::StatusRequest {})).await;
        taken("status", answer, StatusReport::try_from)
    }

    /// Every channel.
    ///
    /// # Errors
    /// As [`Client::status`].
    pub async fn channels(&mut self) -> Result<Vec<ListedChannel>, ControlError> {
        let request = timed(wire::ListChannelsRequest {});
        let answer = self.operator.list_channels(request).await;
        taken("list of channels", answer, channels)
    }

    /// The history of a channel.
    ///
    /// # Errors
    /// As [`Client::status`].
    pub async fn log(&mut self, order: &LogOrder) -> Result<ChannelLog, ControlError> {
        let answer = self.operator.channel_log(timed(order.into())).await;
        taken("channel log", answer, ChannelLog::try_from)
    }

    /// Has a directory published and tells `progress` how far it is, some times a second.
    ///
    /// # Errors
    /// As [`Client::status`].
    pub async fn import(
        &mut self,
        order: &ImportOrder,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<ImportReport, ControlError> {
        let answer = self.operator.import(Request::new(order.into())).await;
        follow("import", answer, |event: wire::ImportEvent| told!(event, import_event, progress)).await
    }

    /// How two generations differ.
    ///
    /// # Errors
    /// As [`Client::status`].
    pub async fn diff(&mut self, order: &DiffOrder) -> Result<ChannelDiff, ControlError> {
        const CALL: &str = "diff";
        let failed = |status| failure(CALL, &status);
        let nonsense = |source| ControlError::Answer { call: CALL, source };
        let mut events = self.operator.diff(Request::new(order.into())).await.map_err(failed)?.into_inner();
        let mut known = None;
        while let Some(event) = events.message().await.map_err(failed)? {
            match &mut known {
                None => known = Some(diff_begun(event).map_err(nonsense)?),
                Some(diff) => add(diff, event).map_err(nonsense)?,
            }
        }
        known.ok_or_else(|| nonsense(ValueError::Missing { field: END }))
    }

    /// Has the content of an older generation published again.
    ///
    /// # Errors
    /// As [`Client::status`].
    pub async fn rollback(
        &mut self,
        order: &RollbackOrder,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<RollbackReport, ControlError> {
        let answer = self.operator.rollback(Request::new(order.into())).await;
        follow("rollback", answer, |event: wire::RollbackEvent| told!(event, rollback_event, progress)).await
    }

    /// Has a generation kept or released.
    ///
    /// # Errors
    /// As [`Client::status`].
    pub async fn keep(&mut self, order: &KeepOrder) -> Result<KeepReport, ControlError> {
        let answer = self.operator.keep(Request::new(order.into())).await;
        let progress = &mut |_: Progress| ();
        follow("keep", answer, |event: wire::KeepEvent| told!(event, keep_event, progress)).await
    }

    /// Has what no kept generation needs freed, or foretold.
    ///
    /// # Errors
    /// As [`Client::status`].
    pub async fn sweep(
        &mut self,
        order: &SweepOrder,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<SweepReport, ControlError> {
        let answer = self.operator.sweep(Request::new(order.into())).await;
        follow("sweep", answer, |event: wire::SweepEvent| told!(event, sweep_event, progress)).await
    }

    /// Has generations held until what is returned is dropped. The connection must be driven meanwhile.
    ///
    /// # Errors
    /// As [`Client::status`].
    pub async fn hold(&mut self, order: &HoldOrder) -> Result<Hold, ControlError> {
        const CALL: &str = "hold";
        let nonsense = |source| ControlError::Answer { call: CALL, source };
        let answer = self.operator.hold(Request::new(order.into())).await;
        let mut events = answer.map_err(|status| failure(CALL, &status))?.into_inner();
        let first = events.message().await.map_err(|status| failure(CALL, &status))?;
        let first = first.ok_or_else(|| nonsense(ValueError::Missing { field: END }))?;
        Ok(Hold { generations: held(first).map_err(nonsense)?, events })
    }

    /// Has everything that is stored read again.
    ///
    /// # Errors
    /// As [`Client::status`].
    pub async fn scrub(
        &mut self,
        order: &ScrubOrder,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<ScrubReport, ControlError> {
        use wire::scrub_event::Event;
        let answer = self.operator.scrub(Request::new((*order).into())).await;
        let mut known = Vec::new();
        follow("scrub", answer, |event: wire::ScrubEvent| match event.event {
            Some(Event::Progress(step)) => {
                progress(step.try_into()?);
                Ok(None)
            }
            Some(Event::Bad(found)) => bad(&mut known, found).map(|()| None),
            Some(Event::Report(report)) => Ok(Some(scrubbed(std::mem::take(&mut known), &report))),
            None => Err(ValueError::Missing { field: "event" }),
        })
        .await
    }

    /// Has the node take in its changed configuration.
    ///
    /// # Errors
    /// As [`Client::status`].
    pub async fn reload(&mut self) -> Result<ReloadReport, ControlError> {
        // It waits for an import that runs, so it has no deadline.
        let answer = self.operator.reload(Request::new(wire::ReloadRequest {})).await;
        let progress = &mut |_: Progress| ();
        follow("reload", answer, |event: wire::ReloadEvent| told!(event, reload_event, progress)).await
    }
}

/// Generations that a node holds for us.
#[derive(Debug)]
pub struct Hold {
    /// Which ones.
    pub generations: Vec<HeldGeneration>,
    events: Streaming<wire::HoldEvent>,
}

impl Hold {
    /// Waits until the node lets go, which it does only when it ends.
    pub async fn lost(&mut self) {
        while let Ok(Some(_)) = self.events.message().await {}
    }
}

/// Refuses a path that no socket address can hold; the system's own message would only say "invalid argument".
pub(super) fn check_length(socket: &Path) -> Result<(), ControlError> {
    let length = socket.as_os_str().as_bytes().len();
    match length > MOST_SOCKET_PATH {
        false => Ok(()),
        true => Err(ControlError::PathTooLong { socket: socket.to_path_buf(), length, most: MOST_SOCKET_PATH }),
    }
}

async fn open(socket: &Path) -> Result<UnixStream, ControlError> {
    let error = match UnixStream::connect(socket).await {
        Ok(stream) => return Ok(stream),
        Err(error) => error,
    };
    let socket = socket.to_path_buf();
    Err(match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::NotADirectory => {
            ControlError::NoNode { socket }
        }
        io::ErrorKind::PermissionDenied => ControlError::Denied { socket },
        _ => ControlError::Socket { attempt: "connect to", socket, source: error },
    })
}

/// Takes the events of a work until `take` has made a result of one.
async fn follow<E, R>(
    call: &'static str,
    answer: Result<tonic::Response<Streaming<E>>, Status>,
    mut take: impl FnMut(E) -> Result<Option<R>, ValueError>,
) -> Result<R, ControlError> {
    let failed = |status| failure(call, &status);
    let nonsense = |source| ControlError::Answer { call, source };
    let mut events = answer.map_err(failed)?.into_inner();
    while let Some(event) = events.message().await.map_err(failed)? {
        if let Some(result) = take(event).map_err(nonsense)? {
            return Ok(result);
        }
    }
    Err(nonsense(ValueError::Missing { field: END }))
}

fn timed<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(ANSWER);
    request
}

fn taken<W, T>(
    call: &'static str,
    answer: Result<tonic::Response<W>, Status>,
    convert: impl FnOnce(W) -> Result<T, ValueError>,
) -> Result<T, ControlError> {
    let message = answer.map_err(|status| failure(call, &status))?;
    convert(message.into_inner()).map_err(|source| ControlError::Answer { call, source })
}

/// What a failed call means: a refusal if the node wrote one, else the transport's own trouble.
fn failure(call: &'static str, status: &Status) -> ControlError {
    if !status.details().is_empty() {
        let refusal = wire::Refusal::decode(status.details()).map(Refusal::try_from);
        if let Ok(Ok(refusal)) = refusal {
            return ControlError::Refused(refusal);
        }
    }
    let reason = match status.code() {
        Code::Cancelled | Code::DeadlineExceeded => {
            format!("no answer within {} s", ANSWER.as_secs())
        }
        Code::Unimplemented => "it has an older version, which does not know this call".to_owned(),
        Code::Unavailable => "the connection ended; the node stopped, or is stopping".to_owned(),
        _ => chain(status),
    };
    ControlError::Lost { call, reason }
}

/// An error with its causes, outermost first: the transport hides the useful part at the end.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}
