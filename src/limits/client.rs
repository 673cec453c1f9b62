//! The clients of the API server and of the webhook.

use std::time::Duration;

/// Tokens and certificates are read again when they are older than this (client-go: one minute for
/// tokens). The kubelet replaces a token with a fifth of its life left, twelve minutes at least.
pub const CREDENTIALS_READ_INTERVAL: Duration = Duration::from_secs(60);

/// A whole answer may take so many times `BLACKBOX_K8S_TIMEOUT`, as long as bytes keep coming: the
/// pods of a full node are 10 MB, and an edge node's link may be slow.
pub const LIST_TIMEOUTS: u32 = 5;

/// How much longer than its `timeoutSeconds` a watch may live, if the server does not end it.
pub const WATCH_OVERTIME: Duration = Duration::from_secs(30);

/// An unused connection older than this is not used again: load balancers drop them in silence.
pub const CONNECTION_IDLE_MAX: Duration = Duration::from_secs(15);

/// The head of an answer. The API server's is under 1 kB; proxies add to it.
pub const RESPONSE_HEAD_BYTES_MAX: usize = 32 << 10;

/// The body of a failed answer, a `Status` of a few hundred bytes, or a proxy's page.
pub const STATUS_BODY_BYTES_MAX: usize = 16 << 10;

/// Addresses of the API server's name; the HTTP library has room for no more.
pub const RESOLVED_MAX: usize = 16;

/// The HTTP library's buffer for what comes in: two TLS records.
pub const HTTP_INPUT_BUFFER_BYTES: usize = 32 << 10;

/// What TLS is decrypted in: the largest record, which has 16,645 bytes (RFC 8446, 5.2), or 18,437 before TLS
/// 1.3 (RFC 5246, 6.2.3), and most of the next one, a part of which may have come with it.
pub const TLS_BUFFER_BYTES: usize = 32 << 10;

/// While hands are shaken it may grow so far: a message of a handshake has 64 KiB at most.
pub const TLS_BUFFER_BYTES_MAX: usize = 128 << 10;

/// The HTTP library's buffer for what goes out: one header, the token, must fit into it as a whole.
pub const HTTP_OUTPUT_BUFFER_BYTES: usize = 32 << 10;

/// The longest token. Those of service accounts have 1 to 2 kB, those of identity providers, with a
/// user's groups in them, some more.
pub const TOKEN_BYTES_MAX: usize = 24 << 10;

const _: () = assert!(TOKEN_BYTES_MAX < HTTP_OUTPUT_BUFFER_BYTES);

const _: () = assert!(RESPONSE_HEAD_BYTES_MAX <= HTTP_INPUT_BUFFER_BYTES);
