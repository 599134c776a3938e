//! The node's end of the control channel: a Unix socket on which gRPC calls become [`Request`]s.
//!
//! The server decides nothing and waits for the node's replies. Who may connect: the user of the node, and root; the socket's mode
//! says so, and each connection's credentials are looked at once more, since a mode is set a moment after the socket is there.
//!
//! A reply that is dropped unanswered means that the node is going down; a reply that is *closed* means that nobody waits any more.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};
use prost::Message;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Interval, MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::{Code, Response, Status};
use tracing::warn;

use super::bounds::ValueError;
use super::client::check_length;
use super::convert_state::channels_reply;
use super::error::ControlError;
use super::model::{
    ChannelLog, ImportOrder, ImportReport, ListedChannel, LogOrder, Progress, Refusal, ReloadReport, StatusReport,
};
use super::proto as wire;
use super::proto::operator_server::{Operator, OperatorServer};
use crate::fault::Fault;

/// The largest request: a path of 4 KiB and some names.
pub(super) const MOST_REQUEST: usize = 64 << 10;
/// The largest answer; the client takes as much.
const MOST_ANSWER: usize = 4 << 20;
/// Calls on one connection at a time. A command makes one.
const MOST_CALLS: u32 = 64;
/// Bytes of one request's headers.
const MOST_HEADERS: u32 = 16 << 10;
/// How long the node may take to answer what needs no work.
const ANSWER: Duration = Duration::from_secs(10);
/// Progress is sent this often at most. Many small unread messages would end an HTTP/2 connection, and no eye needs more.
const PROGRESS: Duration = Duration::from_millis(100);
/// Progress reports that wait for the next sending; the node drops what does not fit.
const PROGRESS_QUEUE: usize = 64;
/// How long open calls may last after the node was told to stop.
const GRACE: Duration = Duration::from_secs(2);
/// How long to wait when the system has no descriptor for a new connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// A silent peer is asked for a sign of life after so long, and given up after as long again.
const KEEPALIVE: Duration = Duration::from_secs(20);

/// Where the node puts its answer to one call.
pub type Reply<T> = oneshot::Sender<Result<T, Refusal>>;

/// A call of an operator, checked and ready to be done.
#[derive(Debug)]
pub enum Request {
    /// How the node is.
    Status {
        /// Where the report goes.
        reply: Reply<StatusReport>,
    },
    /// Every channel.
    Channels {
        /// Where the list goes.
        reply: Reply<Vec<ListedChannel>>,
    },
    /// The history of a channel.
    Log {
        /// Which part of which history.
        order: LogOrder,
        /// Where it goes.
        reply: Reply<ChannelLog>,
    },
    /// Publish a directory.
    Import {
        /// What, and how.
        order: ImportOrder,
        /// How far it is. Use `try_send`: a full queue means that enough has been told.
        progress: mpsc::Sender<Progress>,
        /// Where the report goes. Closed: the operator has gone away.
        reply: Reply<ImportReport>,
    },
    /// Take in a changed configuration.
    Reload {
        /// Where it goes what changed.
        reply: Reply<ReloadReport>,
    },
}

/// Makes the socket at `path`, mode 0600, in place of one that a dead node left.
///
/// The caller holds the data directory's lock, so no living node can own the old one.
///
/// # Errors
/// If the path is too long for a socket, or the system refuses.
pub fn bind(path: &Path) -> Result<UnixListener, ControlError> {
    check_length(path)?;
    let failed = |attempt| move |source| ControlError::Socket { attempt, socket: path.to_path_buf(), source };
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(failed("remove the old control socket")(error));
        }
        _ => {}
    }
    let listener = UnixListener::bind(path).map_err(failed("make the control socket"))?;
    std::fs::set_permissions(path, Permissions::from_mode(0o600))
        .map_err(failed("set the mode of the control socket"))?;
    Ok(listener)
}

/// Serves operators on `listener` until `stop`, handing every call to the node.
///
/// Open calls get two more seconds after `stop`; an import's stream ends with "the node is stopping".
///
/// # Errors
/// If the server cannot go on.
pub async fn serve(
    listener: UnixListener,
    requests: mpsc::Sender<Request>,
    stop: CancellationToken,
) -> Result<(), ControlError> {
    let desk = Desk { requests, stop: stop.clone() };
    let service =
        OperatorServer::new(desk).max_decoding_message_size(MOST_REQUEST).max_encoding_message_size(MOST_ANSWER);
    let serving = Server::builder()
        .timeout(ANSWER + GRACE)
        .max_concurrent_streams(MOST_CALLS)
        .http2_max_header_list_size(MOST_HEADERS)
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .add_service(service)
        .serve_with_incoming_shutdown(accepted(listener), stop.clone().cancelled_owned());
    let out_of_patience = async {
        stop.cancelled().await;
        sleep(GRACE).await;
    };
    tokio::select! {
        ended = serving => ended.map_err(|source| ControlError::Serve { source }),
        () = out_of_patience => Ok(()),
    }
}

/// The connections of users who may talk to us.
fn accepted(listener: UnixListener) -> impl Stream<Item = Result<UnixStream, io::Error>> {
    let me = rustix::process::geteuid().as_raw();
    stream::unfold(listener, move |listener| async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => match stream.peer_cred() {
                    Ok(peer) if peer.uid() == me || peer.uid() == 0 => {
                        return Some((Ok(stream), listener));
                    }
                    Ok(peer) => warn!(uid = peer.uid(), "control socket: user refused"),
                    Err(error) => warn!(%error, "control socket: user unknown, refused"),
                },
                Err(error) => {
                    warn!(%error, "control socket: accept failed");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    })
}

/// Takes calls in and passes them on.
struct Desk {
    requests: mpsc::Sender<Request>,
    stop: CancellationToken,
}

impl Desk {
    async fn ask<T>(&self, request: impl FnOnce(Reply<T>) -> Request) -> Result<T, Status> {
        let (reply, answer) = oneshot::channel();
        let asked = async {
            self.requests.send(request(reply)).await.map_err(|_| stopping())?;
            answer.await.map_err(|_| stopping())
        };
        match timeout(ANSWER, asked).await {
            Ok(answer) => answer?.map_err(|refusal| refused(&refusal)),
            Err(_) => Err(refused(&Refusal {
                fault: Fault::Local,
                what: "answer the operator".to_owned(),
                why: format!("the node was busy for {} s", ANSWER.as_secs()),
                todo: "try again; see the node's log if it stays so".to_owned(),
            })),
        }
    }
}

#[tonic::async_trait]
impl Operator for Desk {
    type ImportStream = Pin<Box<dyn Stream<Item = Result<wire::ImportEvent, Status>> + Send>>;

    async fn status(&self, _: tonic::Request<wire::StatusRequest>) -> Result<Response<wire::StatusReply>, Status> {
        let report = self.ask(|reply| Request::Status { reply }).await?;
        Ok(Response::new((&report).into()))
    }

    async fn list_channels(
        &self,
        _: tonic::Request<wire::ListChannelsRequest>,
    ) -> Result<Response<wire::ListChannelsReply>, Status> {
        let channels = self.ask(|reply| Request::Channels { reply }).await?;
        Ok(Response::new(channels_reply(&channels)))
    }

    async fn channel_log(
        &self,
        request: tonic::Request<wire::ChannelLogRequest>,
    ) -> Result<Response<wire::ChannelLogReply>, Status> {
        let order = LogOrder::try_from(request.into_inner()).map_err(nonsense)?;
        let log = self.ask(|reply| Request::Log { order, reply }).await?;
        Ok(Response::new((&log).into()))
    }

    async fn import(
        &self,
        request: tonic::Request<wire::ImportRequest>,
    ) -> Result<Response<Self::ImportStream>, Status> {
        let order = ImportOrder::try_from(request.into_inner()).map_err(nonsense)?;
        let (progress, steps) = mpsc::channel(PROGRESS_QUEUE);
        let (reply, report) = oneshot::channel();
        self.requests.send(Request::Import { order, progress, reply }).await.map_err(|_| stopping())?;
        let mut pace = interval(PROGRESS);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let watch = ImportWatch { steps, report, pace, stop: self.stop.clone() };
        let events = stream::unfold(Some(watch), |watch| async {
            let mut watch = watch?;
            match watch.next().await {
                Ok(event @ wire::import_event::Event::Progress(_)) => Some((Ok(event), Some(watch))),
                last => Some((last, None)),
            }
        });
        let events = events.map(|event| event.map(|event| wire::ImportEvent { event: Some(event) }));
        Ok(Response::new(Box::pin(events)))
    }

    async fn reload(&self, _: tonic::Request<wire::ReloadRequest>) -> Result<Response<wire::ReloadReply>, Status> {
        // It waits for an import that runs; whoever goes away meanwhile takes the order along.
        let (reply, report) = oneshot::channel();
        self.requests.send(Request::Reload { reply }).await.map_err(|_| stopping())?;
        let report = report.await.map_err(|_| stopping())?.map_err(|refusal| refused(&refusal))?;
        Ok(Response::new((&report).into()))
    }
}

/// One import under way, seen from the operator.
struct ImportWatch {
    steps: mpsc::Receiver<Progress>,
    report: oneshot::Receiver<Result<ImportReport, Refusal>>,
    pace: Interval,
    stop: CancellationToken,
}

impl ImportWatch {
    /// The newest progress, at the pace of [`PROGRESS`], or the end.
    async fn next(&mut self) -> Result<wire::import_event::Event, Status> {
        let step = async {
            self.pace.tick().await;
            let Some(mut newest) = self.steps.recv().await else {
                // The node tells no more; only the report is left to come.
                return std::future::pending().await;
            };
            while let Ok(newer) = self.steps.try_recv() {
                newest = newer;
            }
            newest
        };
        tokio::select! {
            biased;
            report = &mut self.report => {
                let report = report.map_err(|_| stopping())?;
                let report = report.map_err(|refusal| refused(&refusal))?;
                Ok(wire::import_event::Event::Report((&report).into()))
            }
            () = self.stop.cancelled() => Err(refused(&Refusal {
                fault: Fault::Peer,
                what: "follow the import to its end".to_owned(),
                why: "the node is stopping".to_owned(),
                todo: "an import that has begun is finished first: look at `headwater channel log`, then try again".to_owned(),
            })),
            step = step => Ok(wire::import_event::Event::Progress(step.into())),
        }
    }
}

/// A refusal as a status that carries it whole.
fn refused(refusal: &Refusal) -> Status {
    let code = match refusal.fault {
        Fault::Operator => Code::FailedPrecondition,
        Fault::Client => Code::InvalidArgument,
        Fault::Upstream | Fault::Peer => Code::Aborted,
        Fault::Local => Code::Internal,
    };
    let details = wire::Refusal::from(refusal).encode_to_vec();
    // The message is for tools that do not know our details; it stays short, since a header carries it percent-coded.
    Status::with_details(code, "refused; see the details", details.into())
}

fn stopping() -> Status {
    Status::unavailable("the node is stopping")
}

fn nonsense(error: ValueError) -> Status {
    refused(&Refusal {
        fault: Fault::Client,
        what: "take the request".to_owned(),
        why: error.to_string(),
        todo: "use a command of the same version as the node".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::path::PathBuf;

    use super::super::client::Client;
    use super::super::model::{Changes, ImportOutcome, Phase};
    use super::*;

    /// Runs a server on a socket of its own, with `node` behind it, for as long as `operator` takes.
    async fn with_node<F, G>(node: impl FnOnce(mpsc::Receiver<Request>) -> F, operator: impl FnOnce(PathBuf) -> G)
    where
        F: Future<Output = ()>,
        G: Future<Output = ()>,
    {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("control.sock");
        let listener = bind(&socket).unwrap();
        let (requests, inbox) = mpsc::channel(4);
        let stop = CancellationToken::new();
        let serving = serve(listener, requests, stop.clone());
        let operating = async {
            operator(socket).await;
            stop.cancel();
        };
        let (served, (), ()) = tokio::join!(serving, node(inbox), operating);
        served.unwrap();
    }

    fn no() -> Refusal {
        // The longest that can be sent: it must fit into the headers.
        let text = |letter: &str| letter.repeat(1_000);
        Refusal { fault: Fault::Operator, what: text("é"), why: text("%\n"), todo: text("ß") }
    }

    #[tokio::test]
    async fn a_refusal_comes_back_as_it_was_written() {
        let node = |mut inbox: mpsc::Receiver<Request>| async move {
            match inbox.recv().await.unwrap() {
                Request::Log { order, reply } => {
                    assert_eq!(order.most, Some(3));
                    reply.send(Err(no())).unwrap();
                }
                other => panic!("{other:?}"),
            }
        };
        with_node(node, |socket| async move {
            let mut client = Client::connect(&socket).await.unwrap();
            let order = LogOrder { address: None, most: Some(3) };
            match client.log(&order).await {
                Err(ControlError::Refused(refusal)) => assert_eq!(refusal, no()),
                other => panic!("{other:?}"),
            }
        })
        .await;
    }

    #[tokio::test]
    async fn an_import_tells_its_progress_and_ends_with_its_report() {
        let report = ImportReport {
            outcome: ImportOutcome::NothingNew,
            changes: Changes::default(),
            left_out: 0,
            files_read: 9,
            elapsed: Duration::from_secs(1),
            warnings: Vec::new(),
        };
        let expected = report.clone();
        let (seen, mut told) = mpsc::unbounded_channel();
        let node = |mut inbox: mpsc::Receiver<Request>| async move {
            let Some(Request::Import { order, progress, reply }) = inbox.recv().await else { panic!() };
            assert_eq!(order.source, PathBuf::from("/tree"));
            // Only the newest of what waits is sent; the report comes after the operator has seen it.
            for done in 0..=7 {
                progress.try_send(Progress { phase: Phase::Read, done, total: Some(7), bytes: 0 }).unwrap();
            }
            while told.recv().await != Some(7) {}
            reply.send(Ok(report)).unwrap();
        };
        with_node(node, |socket| async move {
            let mut client = Client::connect(&socket).await.unwrap();
            let order = ImportOrder {
                source: "/tree".into(),
                repository: "gentoo".parse().unwrap(),
                compare: super::super::model::Compare::SizeAndTime,
            };
            let found = client.import(&order, &mut |progress| seen.send(progress.done).unwrap()).await;
            assert_eq!(found.unwrap(), expected);
        })
        .await;
    }

    #[tokio::test]
    async fn a_node_that_stops_ends_an_import_under_way() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("control.sock");
        let (requests, mut inbox) = mpsc::channel(1);
        let stop = CancellationToken::new();
        let serving = serve(bind(&socket).unwrap(), requests, stop.clone());
        let node = async {
            let request = inbox.recv().await;
            stop.cancel();
            request
        };
        let operating = async {
            let mut client = Client::connect(&socket).await.unwrap();
            let order = ImportOrder {
                source: "/tree".into(),
                repository: "gentoo".parse().unwrap(),
                compare: super::super::model::Compare::Contents,
            };
            client.import(&order, &mut |_| {}).await
        };
        let (served, request, result) = tokio::join!(serving, node, operating);
        served.unwrap();
        assert!(matches!(request, Some(Request::Import { .. })));
        let Err(ControlError::Refused(refusal)) = result else { panic!("{result:?}") };
        assert_eq!(refusal.why, "the node is stopping");
        assert!(refusal.todo.contains("channel log"), "{refusal:?}");
    }

    #[tokio::test]
    async fn a_socket_without_a_node_is_told_from_other_trouble() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("control.sock");
        let missing = Client::connect(&socket).await;
        assert!(matches!(missing, Err(ControlError::NoNode { .. })), "{missing:?}");
        drop(bind(&socket).unwrap());
        let dead = Client::connect(&socket).await;
        assert!(matches!(dead, Err(ControlError::NoNode { .. })), "{dead:?}");
        // The next node takes the place of the dead one.
        let alive = bind(&socket).unwrap();
        assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
        drop(alive);
        let long = dir.path().join("x".repeat(120));
        let long = Client::connect(&long).await;
        assert!(matches!(long, Err(ControlError::PathTooLong { .. })), "{long:?}");
    }
}
