//! The operator's end of the control channel.
//!
//! A command connects, calls, prints and ends, so there is no reconnecting and no retry. Every call but an import and a reload has a deadline;
//! an import lasts as long as it needs, and a node that dies under it closes the socket, which ends it at once.
//! A refusal travels in the details of a gRPC status: its three parts come back as they were written.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use prost::Message;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tower::service_fn;

use super::bounds::ValueError;
use super::convert_state::channels;
use super::error::ControlError;
use super::model::{
    ChannelLog, ImportOrder, ImportReport, ListedChannel, LogOrder, Progress, Refusal, ReloadReport, StatusReport,
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
        const CALL: &str = "import";
        let failed = |status| failure(CALL, &status);
        let nonsense = |source| ControlError::Answer { call: CALL, source };
        let request = Request::new(wire::ImportRequest::from(order));
        let mut events = self.operator.import(request).await.map_err(failed)?.into_inner();
        while let Some(event) = events.message().await.map_err(failed)? {
            match event.event {
                Some(wire::import_event::Event::Progress(step)) => {
                    progress(step.try_into().map_err(nonsense)?);
                }
                Some(wire::import_event::Event::Report(report)) => {
                    return report.try_into().map_err(nonsense);
                }
                None => return Err(nonsense(ValueError::Missing { field: "event" })),
            }
        }
        Err(nonsense(ValueError::Missing { field: "report" }))
    }

    /// Has the node take in its changed configuration.
    ///
    /// # Errors
    /// As [`Client::status`].
    pub async fn reload(&mut self) -> Result<ReloadReport, ControlError> {
        // It waits for an import that runs, so it has no deadline.
        let answer = self.operator.reload(Request::new(wire::ReloadRequest {})).await;
        taken("reload", answer, ReloadReport::try_from)
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
