//! The PROXY protocol: a proxy that we were told to trust says in front of a connection whose it really is.
//!
//! Versions 1 (a line) and 2 (binary), told apart by their first byte. The header is taken off the socket to the byte, so
//! that what follows reads as if there had been no proxy; until it is complete nothing is written (protocol 15). It is
//! only looked for on connections from addresses that the configuration names: to all others it is a bad
//! greeting, so nobody can choose whom he is taken for. Deliberately absent: TLVs, which are dropped, and datagrams.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// The twelve bytes that a header of version 2 begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// Longest line of version 1, with its end.
const MAX_LINE: usize = 107;

/// Longest rest of a header of version 2: addresses and more TLVs than any proxy sends.
const MAX_REST: u16 = 4_096;

/// Why a connection of a proxy is closed without a word.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProxyError {
    #[error("the connection broke: {0}")]
    Socket(#[from] io::Error),
    #[error("nothing was said")]
    Nothing,
    #[error("it did not come in time")]
    Late,
    #[error("it is no PROXY header")]
    NoHeader,
    #[error("{0}")]
    Malformed(&'static str),
}

/// Whose connection a header says it is; `None`: the proxy's own (`UNKNOWN`, `LOCAL`).
type Announced = Option<SocketAddr>;

/// Reads the header, and nothing after it.
pub(crate) async fn read_header(stream: &mut TcpStream) -> Result<Announced, ProxyError> {
    let mut first = [0; 1];
    match stream.peek(&mut first).await? {
        0 => Err(ProxyError::Nothing),
        _ if first == *b"P" => parse_line(&read_line(stream).await?),
        _ if first == SIGNATURE[..1] => read_binary(stream).await,
        _ => Err(ProxyError::NoHeader),
    }
}

/// Takes bytes off the socket up to a line feed, as many at a time as have come.
async fn read_line(stream: &mut TcpStream) -> Result<Vec<u8>, ProxyError> {
    let mut line = Vec::with_capacity(MAX_LINE);
    loop {
        let mut ahead = [0; MAX_LINE];
        let room = MAX_LINE - line.len();
        if room == 0 {
            return Err(ProxyError::Malformed("its line is too long"));
        }
        let seen = stream.peek(ahead.get_mut(..room).unwrap_or_default()).await?;
        let seen = ahead.get(..seen).unwrap_or_default();
        let end = seen.iter().position(|byte| *byte == b'\n');
        let mut taken = vec![0; end.map_or(seen.len(), |end| end + 1)];
        if taken.is_empty() {
            return Err(ProxyError::Socket(io::ErrorKind::UnexpectedEof.into()));
        }
        stream.read_exact(&mut taken).await?;
        line.extend_from_slice(&taken);
        if end.is_some() {
            return Ok(line);
        }
    }
}

/// `PROXY TCP4 192.0.2.1 198.51.100.1 4000 873`, `PROXY UNKNOWN ...`.
fn parse_line(line: &[u8]) -> Result<Announced, ProxyError> {
    let line = line.strip_suffix(b"\r\n").ok_or(ProxyError::Malformed("its line does not end in CR LF"))?;
    let line = std::str::from_utf8(line).map_err(|_| ProxyError::NoHeader)?;
    let mut words = line.split(' ');
    if words.next() != Some("PROXY") {
        return Err(ProxyError::NoHeader);
    }
    let family = words.next();
    if family == Some("UNKNOWN") {
        return Ok(None);
    }
    let (Some(source), Some(target), Some(port), Some(target_port), None) =
        (words.next(), words.next(), words.next(), words.next(), words.next())
    else {
        return Err(ProxyError::Malformed("its line has not six words"));
    };
    let bad = || ProxyError::Malformed("an address or a port in its line is none");
    let source: IpAddr = source.parse().map_err(|_| bad())?;
    let target: IpAddr = target.parse().map_err(|_| bad())?;
    let (port, _): (u16, u16) = (port.parse().map_err(|_| bad())?, target_port.parse().map_err(|_| bad())?);
    match (family, source, target) {
        (Some("TCP4"), IpAddr::V4(_), IpAddr::V4(_)) | (Some("TCP6"), IpAddr::V6(_), IpAddr::V6(_)) => {
            Ok(Some(SocketAddr::new(source.to_canonical(), port)))
        }
        _ => Err(ProxyError::Malformed("its addresses are not of the family that it names")),
    }
}

async fn read_binary(stream: &mut TcpStream) -> Result<Announced, ProxyError> {
    let mut head = [0; 16];
    stream.read_exact(&mut head).await?;
    let (signature, [version_command, family, high, low]) = head.split_last_chunk::<4>().ok_or(ProxyError::NoHeader)?;
    if signature != SIGNATURE {
        return Err(ProxyError::NoHeader);
    }
    let length = u16::from_be_bytes([*high, *low]);
    if length > MAX_REST {
        return Err(ProxyError::Malformed("it is too long"));
    }
    let mut rest = vec![0; usize::from(length)];
    stream.read_exact(&mut rest).await?;
    parse_binary(*version_command, *family, &rest)
}

/// What follows the signature: version and command, family and transport, and the addresses.
fn parse_binary(version_command: u8, family: u8, rest: &[u8]) -> Result<Announced, ProxyError> {
    match version_command {
        0x20 => return Ok(None),
        0x21 => {}
        _ => return Err(ProxyError::Malformed("its version or command is unknown")),
    }
    let short = ProxyError::Malformed("its addresses are cut off");
    match family {
        0x11 => {
            let [a, b, c, d, _, _, _, _, high, low, _, _] = rest.first_chunk::<12>().ok_or(short)?;
            let address = Ipv4Addr::new(*a, *b, *c, *d);
            Ok(Some(SocketAddr::new(address.into(), u16::from_be_bytes([*high, *low]))))
        }
        0x21 => {
            let (source, rest) =
                rest.split_first_chunk::<16>().ok_or(ProxyError::Malformed("its addresses are cut off"))?;
            let ports = rest.get(16..20).ok_or(short)?;
            let port = ports.first_chunk::<2>().map_or(0, |port| u16::from_be_bytes(*port));
            Ok(Some(SocketAddr::new(IpAddr::from(Ipv6Addr::from(*source)).to_canonical(), port)))
        }
        0x00 => Ok(None),
        _ => Err(ProxyError::Malformed("it announces something that is no TCP connection")),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    /// Sends bytes in pieces; what the header says, and what is left on the socket.
    async fn read(bytes: &[u8], piece: usize) -> (Result<Option<String>, String>, Vec<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (mut client, (mut stream, _)) = (client.expect("a connection"), accepted.expect("a connection"));
        client.set_nodelay(true).expect("a socket");
        let said = async {
            for piece in bytes.chunks(piece) {
                client.write_all(piece).await.expect("the socket is open");
                tokio::task::yield_now().await;
            }
            client.shutdown().await.expect("the socket is open");
        };
        let (announced, ()) = tokio::join!(read_header(&mut stream), said);
        let mut left = Vec::new();
        stream.read_to_end(&mut left).await.expect("the rest");
        (announced.map(|a| a.map(|a| a.to_string())).map_err(|error| error.to_string()), left)
    }

    async fn check(header: &[u8], expected: Result<Option<&str>, &str>) {
        for piece in [1, 7, 1000] {
            let (found, left) = read(&[header, b"@RSYNCD: 31.0\n"].concat(), piece).await;
            let shown = String::from_utf8_lossy(header);
            match expected {
                Ok(address) => assert_eq!(
                    (found, left.as_slice()),
                    (Ok(address.map(str::to_owned)), b"@RSYNCD: 31.0\n".as_slice()),
                    "{shown:?}"
                ),
                Err(text) => assert_eq!(found, Err(text.to_owned()), "{shown:?}"),
            }
        }
    }

    fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).expect("short").to_be_bytes();
        [SIGNATURE.as_slice(), &[command, family], &length, rest].concat()
    }

    #[tokio::test]
    async fn a_line_announces_the_client_and_leaves_what_follows() {
        check(b"PROXY TCP4 192.0.2.1 198.51.100.1 4000 873\r\n", Ok(Some("192.0.2.1:4000"))).await;
        check(b"PROXY TCP6 2001:db8::1 ::1 4000 873\r\n", Ok(Some("[2001:db8::1]:4000"))).await;
        check(b"PROXY UNKNOWN\r\n", Ok(None)).await;
        check(b"PROXY UNKNOWN ffff::1 ::1 1 2\r\n", Ok(None)).await;
    }

    #[tokio::test]
    async fn a_binary_header_announces_the_client_and_its_extras_are_dropped() {
        let four = [192, 0, 2, 1, 198, 51, 100, 1, 0x0f, 0xa0, 3, 0x69];
        check(&binary(0x21, 0x11, &four), Ok(Some("192.0.2.1:4000"))).await;
        check(&binary(0x21, 0x11, &[four.as_slice(), &[0; 300]].concat()), Ok(Some("192.0.2.1:4000"))).await;
        let six = [&[0x20, 1, 0xd, 0xb8][..], &[0; 11], &[1], &[0; 16], &[0x0f, 0xa0, 3, 0x69]].concat();
        check(&binary(0x21, 0x21, &six), Ok(Some("[2001:db8::1]:4000"))).await;
        check(&binary(0x20, 0x00, &[]), Ok(None)).await;
    }

    #[tokio::test]
    async fn whatever_is_no_header_is_an_error() {
        let words = "its line has not six words";
        check(b"PROXY TCP4 192.0.2.1 198.51.100.1 4000\r\n", Err(words)).await;
        check(b"PROXY\r\n", Err(words)).await;
        check(b"PROXY TCP4 a b 1 2\r\n", Err("an address or a port in its line is none")).await;
        check(b"PROXY TCP4 192.0.2.1 198.51.100.1 4000 65536\r\n", Err("an address or a port in its line is none"))
            .await;
        check(b"PROXY TCP6 192.0.2.1 198.51.100.1 1 2\r\n", Err("its addresses are not of the family that it names"))
            .await;
        check(&[b"PROXY ".as_slice(), &[b'x'; 200]].concat(), Err("its line is too long")).await;
        check(b"PROXY UNKNOWN\n", Err("its line does not end in CR LF")).await;
        check(b"@RSYNCD: 31.0\n", Err("it is no PROXY header")).await;
        assert_eq!(read(b"", 1).await.0, Err("nothing was said".to_owned()));
        check(b"Peculiar\r\n", Err("it is no PROXY header")).await;
        check(&binary(0x21, 0x11, &[1, 2, 3]), Err("its addresses are cut off")).await;
        check(&binary(0x31, 0x11, &[0; 12]), Err("its version or command is unknown")).await;
        check(&binary(0x21, 0x12, &[0; 12]), Err("it announces something that is no TCP connection")).await;
        check(&[SIGNATURE.as_slice(), &[0x21, 0x11, 0xff, 0xff]].concat(), Err("it is too long")).await;
    }
}
