use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};

use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ALL_VERSIONS, RootCertStore, ServerConfig, ServerConnection, SupportedProtocolVersion,
};
use ureq::Timeout;
use ureq::unversioned::transport::time::{Duration, Instant};

use super::*;

/// The server, and the bytes it sent that the client has not received yet.
#[derive(Debug)]
struct Server {
    tls: ServerConnection,
    wire: VecDeque<u8>,
    heard: Vec<u8>,
    /// The error in what the client sent, or an alert that the client sent.
    error: Option<rustls::Error>,
    /// The timeouts with which the client has waited.
    waits: Vec<Duration>,
}

/// The client's socket. The server receives at once what the client sends; the client receives in pieces.
#[derive(Debug)]
struct Socket {
    server: Arc<Mutex<Server>>,
    piece: usize,
    buffers: LazyBuffers,
}

impl Transport for Socket {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), E> {
        let mut server = self.server.lock().unwrap();
        let mut sent = &self.buffers.output()[..amount];
        while !sent.is_empty() {
            server.tls.read_tls(&mut sent)?;
            if let Err(error) = server.tls.process_new_packets() {
                server.error = Some(error);
                return Ok(());
            }
            let mut plain = Vec::new();
            let _ = server.tls.reader().read_to_end(&mut plain);
            server.heard.extend(plain);
        }
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, E> {
        let mut server = self.server.lock().unwrap();
        server.waits.push(timeout.after);
        if timeout.after.is_zero() {
            return Err(E::Timeout(timeout.reason));
        }
        while server.tls.wants_write() {
            let mut out = Vec::new();
            server.tls.write_tls(&mut out)?;
            server.wire.extend(out);
        }
        let room = self.buffers.input_append_buf();
        let len = self.piece.min(server.wire.len()).min(room.len());
        for (to, byte) in room.iter_mut().zip(server.wire.drain(..len)) {
            *to = byte;
        }
        self.buffers.input_appended(len);
        Ok(len > 0)
    }

    fn is_open(&mut self) -> bool {
        true
    }
}

struct Identity {
    certificate: CertificateDer<'static>,
    key: Vec<u8>,
}

/// Makes a certificate. More `names` make it longer.
fn identity(names: usize) -> Identity {
    let names = (0..names).map(|n| format!("{n}.a-rather-long-name-of-a-server.example.com"));
    let names: Vec<_> = std::iter::once("localhost".to_owned()).chain(names).collect();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    Identity { certificate: made.cert.der().clone(), key: made.signing_key.serialize_der() }
}

/// The server and the client's configuration before the handshake. The client trusts only the certificate that
/// is passed as `trusted`.
struct Ends {
    server: Arc<Mutex<Server>>,
    client: Arc<ClientConfig>,
}

impl Ends {
    fn new(version: &'static SupportedProtocolVersion, own: &Identity, trusted: &Identity) -> Self {
        let provider = || Arc::new(ring::default_provider());
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(own.key.clone()));
        let config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![own.certificate.clone()], key)
            .unwrap();
        let mut tls = ServerConnection::new(Arc::new(config)).unwrap();
        tls.set_buffer_limit(None);
        let mut roots = RootCertStore::empty();
        roots.add(trusted.certificate.clone()).unwrap();
        let client = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(ALL_VERSIONS)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let (wire, heard, waits) = (VecDeque::new(), Vec::new(), Vec::new());
        let server = Server { tls, wire, heard, error: None, waits };
        Self { server: Arc::new(Mutex::new(server)), client: Arc::new(client) }
    }

    fn connect(&self, piece: usize, input: usize) -> Result<TlsTransport, E> {
        let buffers = || LazyBuffers::new(32 << 10, 32 << 10);
        let socket = Socket { server: self.server.clone(), piece, buffers: buffers() };
        let socket = TransportAdapter::new(socket.boxed(), Arc::new(Instant::now));
        let buffers = LazyBuffers::new(input, 32 << 10);
        TlsTransport::new(self.client.clone(), "localhost", socket, buffers)
    }

    fn server(&self) -> MutexGuard<'_, Server> {
        self.server.lock().unwrap()
    }

    fn say(&self, text: &[u8]) {
        self.server().tls.writer().write_all(text).unwrap();
    }
}

fn response_timeout() -> NextTimeout {
    NextTimeout { after: Duration::NotHappening, reason: Timeout::Global, ..NextTimeout::default() }
}

/// Reads until the stream ends or fails.
fn read_all(client: &mut TlsTransport) -> (Vec<u8>, Result<bool, E>) {
    let mut all = Vec::new();
    loop {
        let came = client.await_input(response_timeout());
        let len = client.buffers.input().len();
        all.extend_from_slice(client.buffers.input());
        client.buffers.input_consume(len);
        if !matches!(came, Ok(true)) {
            return (all, came);
        }
        assert!(len > 0, "who is told that there is something finds it");
    }
}

fn ask(client: &mut TlsTransport, question: &[u8]) {
    client.buffers.output()[..question.len()].copy_from_slice(question);
    client.transmit_output(question.len(), response_timeout()).unwrap();
}

#[test]
fn what_is_sent_arrives_in_whatever_pieces_the_network_makes() {
    let own = identity(0);
    let text: Vec<u8> = (0..40_000_u32).flat_map(|n| n.to_le_bytes()).collect();
    for version in [&TLS12, &TLS13] {
        for (piece, input) in
            [(1, 32 << 10), (7, 100), (1369, 4096), (16_389, 20_000), (32 << 10, 32 << 10)]
        {
            let ends = Ends::new(version, &own, &own);
            let mut client = ends.connect(piece, input).unwrap();
            ask(&mut client, b"GET /");
            assert_eq!(ends.server().heard, b"GET /");
            // The records have all lengths; most are shorter than the longest possible.
            for block in text.chunks(9_001) {
                ends.say(block);
            }
            ends.say(b"");
            ends.server().tls.send_close_notify();
            let (got, end) = read_all(&mut client);
            assert!(got == text, "{version:?}, pieces of {piece}, room for {input}");
            assert!(matches!(end, Ok(false)), "{end:?}");
            assert!(client.incoming.len() <= TLS_BUFFER_BYTES && client.rest.is_empty());
        }
    }
}

#[test]
fn an_end_that_nobody_announced_is_an_error() {
    let own = identity(0);
    let ends = Ends::new(&TLS13, &own, &own);
    let mut client = ends.connect(1000, 4096).unwrap();
    ends.say(b"half an ans");
    let (got, end) = read_all(&mut client);
    assert_eq!(got, b"half an ans");
    let Err(E::Io(error)) = end else { panic!("{end:?}") };
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
}

#[test]
fn a_record_that_was_changed_on_its_way_is_an_error_and_the_server_hears_why() {
    let own = identity(0);
    for version in [&TLS12, &TLS13] {
        let ends = Ends::new(version, &own, &own);
        let mut client = ends.connect(32 << 10, 32 << 10).unwrap();
        // The first exchange also delivers what the server still has to send for the handshake.
        ends.say(b"good");
        assert!(client.await_input(response_timeout()).unwrap());
        ends.say(b"bad");
        let mut out = Vec::new();
        ends.server().tls.write_tls(&mut out).unwrap();
        *out.last_mut().unwrap() ^= 1;
        ends.server().wire.extend(out);
        let end = client.await_input(response_timeout());
        assert!(matches!(end, Err(E::Rustls(rustls::Error::DecryptError))), "{end:?}");
        let heard = ends.server().error.clone();
        assert!(matches!(heard, Some(rustls::Error::AlertReceived(_))), "{heard:?}");
    }
}

#[test]
fn what_is_no_tls_is_an_error() {
    let own = identity(0);
    for garbage in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], &[0x17, 3, 3, 0xff, 0xff], &[0; 40]] {
        let ends = Ends::new(&TLS13, &own, &own);
        ends.server().wire.extend(garbage);
        assert!(ends.connect(5, 4096).is_err(), "{garbage:?}");
    }
}

#[test]
fn nobody_else_is_trusted_and_hears_nothing() {
    let (own, other) = (identity(0), identity(0));
    let ends = Ends::new(&TLS13, &own, &other);
    let error = ends.connect(100, 4096).unwrap_err();
    assert!(matches!(error, E::Rustls(rustls::Error::InvalidCertificate(_))), "{error:?}");
    assert!(matches!(ends.server().error, Some(rustls::Error::AlertReceived(_))));
    assert_eq!(ends.server().heard, b"");
}

#[test]
fn a_long_chain_of_certificates_has_room_and_gives_it_back() {
    let own = identity(700);
    assert!(own.certificate.len() > TLS_BUFFER_BYTES, "{}", own.certificate.len());
    for version in [&TLS12, &TLS13] {
        let ends = Ends::new(version, &own, &own);
        let mut client = ends.connect(3000, 4096).unwrap();
        assert_eq!(client.incoming.capacity(), TLS_BUFFER_BYTES);
        ends.say(b"hello");
        assert_eq!(read_all(&mut client).0, b"hello");
    }
}

#[test]
fn new_keys_are_taken_in_the_midst_of_a_stream() {
    let own = identity(0);
    let ends = Ends::new(&TLS13, &own, &own);
    let mut client = ends.connect(50, 4096).unwrap();
    for n in 0..5 {
        ends.say(format!("before {n}, ").as_bytes());
        ends.server().tls.refresh_traffic_keys().unwrap();
    }
    ends.say(b"after");
    ends.server().tls.send_close_notify();
    let (got, _) = read_all(&mut client);
    assert_eq!(
        String::from_utf8(got).unwrap(),
        "before 0, before 1, before 2, before 3, before 4, after"
    );
    // The server also asked the client for new keys.
    ask(&mut client, b"and on");
    assert_eq!(ends.server().heard, b"and on");
    assert_eq!(ends.server().error, None);
}

#[test]
fn without_room_nothing_more_is_decrypted() {
    let own = identity(0);
    let ends = Ends::new(&TLS13, &own, &own);
    let mut client = ends.connect(32 << 10, 1000).unwrap();
    (0..20).for_each(|_| ends.say(&[b'x'; 16_000]));
    assert!(client.await_input(response_timeout()).unwrap());
    let held = client.rest.len();
    for _ in 0..20 {
        assert!(!client.await_input(response_timeout()).unwrap(), "nobody has read anything");
    }
    assert_eq!(client.rest.len(), held);
    client.buffers.input_consume(1000);
    let (got, _) = read_all(&mut client);
    assert_eq!(got.len(), 20 * 16_000 - 1000);
}

#[test]
fn a_record_that_trickles_is_given_up_after_the_timeout_of_a_read_or_of_the_request() {
    let own = identity(0);
    let (soon, never) = (Duration::from_millis(1), Duration::NotHappening);
    for (per_read, after, reason) in [
        (Some(soon), never, Some(Timeout::PerRead)),
        (None, soon, Some(Timeout::Global)),
        (None, never, None),
    ] {
        let ends = Ends::new(&TLS13, &own, &own);
        let mut client = ends.connect(1, 64 << 10).unwrap();
        ends.say(&[b'x'; 16_000]);
        let timeout = NextTimeout { per_read, after, ..response_timeout() };
        match client.await_input(timeout) {
            Err(E::Timeout(given_up)) => assert_eq!(Some(given_up), reason),
            other => assert!(reason.is_none() && other.unwrap(), "{reason:?}"),
        }
    }
}

/// The socket gets a new timeout, by a system call, for each read whose timeout differs from the one before.
#[test]
fn reads_of_a_watch_have_one_timeout() {
    let own = identity(0);
    let ends = Ends::new(&TLS13, &own, &own);
    let mut client = ends.connect(1000, 32 << 10).unwrap();
    ends.server().waits.clear();
    ends.say(&[b'x'; 16_000]);
    let timeout = NextTimeout { after: Duration::from_millis(60_500), ..response_timeout() };
    assert!(client.await_input(timeout).unwrap());
    let waits = &ends.server().waits;
    assert!(waits.len() > 10 && waits.iter().all(|wait| *wait == Duration::from_secs(61)));
}

#[test]
fn a_long_timeout_changes_once_a_second_and_a_short_one_is_exact() {
    let coarse_of = |millis| {
        let after = Duration::Exact(std::time::Duration::from_millis(millis));
        let coarse = coarse(NextTimeout { after, ..NextTimeout::default() }).after;
        let Duration::Exact(coarse) = coarse else { panic!("{coarse:?}") };
        coarse.as_millis()
    };
    for (millis, want) in
        [(1, 1), (9_999, 9_999), (10_000, 11_000), (10_999, 11_000), (89_001, 90_000)]
    {
        assert_eq!(coarse_of(millis), want, "{millis}");
    }
    let never = coarse(NextTimeout::default());
    assert_eq!(never.after, Duration::NotHappening);
}
