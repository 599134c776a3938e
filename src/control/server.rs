//! The node's end of the control channel: a Unix socket on which gRPC calls become [`Request`]s.
//!
//! The server decides nothing and waits for the node's replies. Who may connect: the user of the node, and root; the socket's mode
//! says so, and each connection's credentials are looked at once more, since a mode is set a moment after the socket is there.
//! What lasts is answered with a stream: progress and at last the report, or, for a hold, nothing until the operator lets go.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};
use prost::Message;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::{Code, Response, Status};
use tracing::warn;

use super::bounds::ValueError;
use super::client::check_length;
use super::convert_kept::diff_events;
use super::convert_state::channels_reply;
use super::convert_stored::{held_event, scrub_events};
use super::error::ControlError;
use super::model::{ImportOrder, LogOrder, Progress, Refusal};
use super::model_work::{DiffOrder, HoldOrder, KeepOrder, RollbackOrder, SweepOrder};
use super::proto as wire;
use super::proto::operator_server::{Operator, OperatorServer};
use super::request::{Reply, Request};
use super::watch::{Events, News, PROGRESS_QUEUE, Watch};
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
/// How long open calls may last after the node was told to stop.
const GRACE: Duration = Duration::from_secs(2);
/// How long to wait when the system has no descriptor for a new connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// A silent peer is asked for a sign of life after so long, and given up after as long again.
const KEEPALIVE: Duration = Duration::from_secs(20);

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

    /// Hands a long work over. Its news come as they may; nothing limits how long it waits for its turn.
    async fn watch<R: Send + 'static>(
        &self,
        request: impl FnOnce(mpsc::Sender<Progress>, Reply<R>) -> Request,
    ) -> Result<Watch<R>, Status> {
        let (progress, steps) = mpsc::channel(PROGRESS_QUEUE);
        let (reply, report) = oneshot::channel();
        self.requests.send(request(progress, reply)).await.map_err(|_| stopping())?;
        Ok(Watch::new(steps, report, self.stop.clone()))
    }
}

/// The event of some news, for calls that tell one at a time.
macro_rules! event {
    ($event:ident, $kind:ident) => {
        |news| {
            let event = match news {
                News::Progress(step) => wire::$kind::Event::Progress(step.into()),
                News::Report(report) => wire::$kind::Event::Report((&report).into()),
            };
            vec![wire::$event { event: Some(event) }]
        }
    };
}

#[tonic::async_trait]
impl Operator for Desk {
    type ImportStream = Events<wire::ImportEvent>;
    type DiffStream = Events<wire::DiffEvent>;
    type RollbackStream = Events<wire::RollbackEvent>;
    type KeepStream = Events<wire::KeepEvent>;
    type SweepStream = Events<wire::SweepEvent>;
    type HoldStream = Events<wire::HoldEvent>;
    type ScrubStream = Events<wire::ScrubEvent>;
    type ReloadStream = Events<wire::ReloadEvent>;

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
        let watch = self.watch(|progress, reply| Request::Import { order, progress, reply }).await?;
        Ok(Response::new(watch.events(event!(ImportEvent, import_event))))
    }

    async fn diff(&self, request: tonic::Request<wire::DiffRequest>) -> Result<Response<Self::DiffStream>, Status> {
        let order = DiffOrder::try_from(request.into_inner()).map_err(nonsense)?;
        let watch = self.watch(|_, reply| Request::Diff { order, reply }).await?;
        Ok(Response::new(watch.events(|news| match news {
            News::Progress(_) => Vec::new(),
            News::Report(diff) => diff_events(&diff),
        })))
    }

    async fn rollback(
        &self,
        request: tonic::Request<wire::RollbackRequest>,
    ) -> Result<Response<Self::RollbackStream>, Status> {
        let order = RollbackOrder::try_from(request.into_inner()).map_err(nonsense)?;
        let watch = self.watch(|progress, reply| Request::Rollback { order, progress, reply }).await?;
        Ok(Response::new(watch.events(event!(RollbackEvent, rollback_event))))
    }

    async fn keep(&self, request: tonic::Request<wire::KeepRequest>) -> Result<Response<Self::KeepStream>, Status> {
        let order = KeepOrder::try_from(request.into_inner()).map_err(nonsense)?;
        let watch = self.watch(|_, reply| Request::Keep { order, reply }).await?;
        Ok(Response::new(watch.events(event!(KeepEvent, keep_event))))
    }

    async fn sweep(&self, request: tonic::Request<wire::SweepRequest>) -> Result<Response<Self::SweepStream>, Status> {
        let order = SweepOrder::try_from(request.into_inner()).map_err(nonsense)?;
        let watch = self.watch(|progress, reply| Request::Sweep { order, progress, reply }).await?;
        Ok(Response::new(watch.events(event!(SweepEvent, sweep_event))))
    }

    async fn hold(&self, request: tonic::Request<wire::HoldRequest>) -> Result<Response<Self::HoldStream>, Status> {
        let order = HoldOrder::try_from(request.into_inner()).map_err(nonsense)?;
        let (until, gone) = oneshot::channel::<()>();
        let watch = self.watch(|_, reply| Request::Hold { order, reply, gone }).await?;
        let held = watch.events(|news| match news {
            News::Progress(_) => Vec::new(),
            News::Report(held) => vec![held_event(&held)],
        });
        let stop = self.stop.clone();
        // Whoever drops this stream drops `until` with it, and that lets go.
        let rest = stream::once(async move {
            stop.cancelled().await;
            drop(until);
            Err(stopping())
        });
        Ok(Response::new(Box::pin(held.chain(rest))))
    }

    async fn scrub(&self, request: tonic::Request<wire::ScrubRequest>) -> Result<Response<Self::ScrubStream>, Status> {
        let order = request.into_inner().into();
        let watch = self.watch(|progress, reply| Request::Scrub { order, progress, reply }).await?;
        Ok(Response::new(watch.events(|news| match news {
            News::Progress(step) => {
                vec![wire::ScrubEvent { event: Some(wire::scrub_event::Event::Progress(step.into())) }]
            }
            News::Report(report) => scrub_events(&report),
        })))
    }

    async fn reload(&self, _: tonic::Request<wire::ReloadRequest>) -> Result<Response<Self::ReloadStream>, Status> {
        // It waits for an import that runs; whoever goes away meanwhile takes the order along.
        let watch = self.watch(|_, reply| Request::Reload { reply }).await?;
        Ok(Response::new(watch.events(event!(ReloadEvent, reload_event))))
    }
}

/// A refusal as a status that carries it whole.
pub(super) fn refused(refusal: &Refusal) -> Status {
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

pub(super) fn stopping() -> Status {
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
    use super::super::model::{Changes, ImportOutcome, ImportReport, Phase};
    use super::super::model_work::HeldGeneration;
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
    async fn a_hold_lasts_as_long_as_its_stream() {
        let held = HeldGeneration {
            channel: "gentoo/full".parse().unwrap(),
            generation: crate::names::Generation::FIRST,
            snapshot: crate::tree::SnapshotId::from_bytes([3; 64]),
            published: 4,
        };
        let (let_go, mut going) = oneshot::channel();
        let expected = held.clone();
        let node = |mut inbox: mpsc::Receiver<Request>| async move {
            let Some(Request::Hold { order, reply, mut gone }) = inbox.recv().await else { panic!() };
            assert_eq!(order.address, None);
            reply.send(Ok(vec![held])).unwrap();
            tokio::select! {
                biased;
                _ = &mut gone => panic!("it is still held"),
                _ = &mut going => {}
            }
            assert!(gone.await.is_err(), "nobody says anything; it just ends");
        };
        with_node(node, |socket| async move {
            let mut client = Client::connect(&socket).await.unwrap();
            let hold = client.hold(&HoldOrder { address: None }).await.unwrap();
            assert_eq!(hold.generations, [expected]);
            let_go.send(()).unwrap();
            drop(hold);
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
