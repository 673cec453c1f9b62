//! Reads the lifetime of a service account token from its claims.
//!
//! The token is a JSON web token (RFC 7519). The signature is not verified here; that is the API server's job.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;

use crate::core::wire::json::{self, Text, members};

/// The relevant claims. Times are Unix seconds; 0 means missing.
#[derive(Debug, Default)]
struct Claims<'a> {
    iat: i64,
    exp: i64,
    sub: Text<'a>,
    kubernetes: Kubernetes,
}

members! { Claims<'a> {
    b"iat" => iat,
    b"exp" => exp,
    b"sub" => sub,
    b"kubernetes.io" => kubernetes,
} }

#[derive(Debug, Default)]
struct Kubernetes {
    /// Where the API server lets a token live for a year although an hour was requested: the time from which
    /// the API server counts the token's use as stale (`pkg/serviceaccount/claims.go`).
    warnafter: i64,
}

members! { Kubernetes {
    b"warnafter" => warnafter,
} }

/// The state of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TokenAge {
    /// The token has no usable times.
    Timeless,
    /// The token is valid.
    Good {
        /// The account that the token belongs to.
        subject: String,
        /// Seconds since the token was issued.
        age_seconds: i64,
        /// Seconds until the token expires; `None` if it never does.
        left_seconds: Option<i64>,
    },
    /// The token is valid, but the kubelet should have replaced it this many seconds ago.
    Stale(i64),
    /// The token expired this many seconds ago.
    Expired(i64),
}

/// Determines the state of a token at this time.
pub(super) fn age(token: &str, now: Timestamp) -> TokenAge {
    let Some(json) = payload(token) else { return TokenAge::Timeless };
    let Ok(claims) = json::from_slice::<Claims<'_>>(&json) else { return TokenAge::Timeless };
    let now = now.as_second();
    let past = |time: i64| (time > 0 && time <= now).then(|| now.saturating_sub(time));
    if let Some(seconds) = past(claims.exp) {
        return TokenAge::Expired(seconds);
    }
    if let Some(seconds) = past(claims.kubernetes.warnafter) {
        return TokenAge::Stale(seconds);
    }
    if claims.iat <= 0 {
        return TokenAge::Timeless;
    }
    TokenAge::Good {
        subject: claims.sub.to_string(),
        age_seconds: now.saturating_sub(claims.iat),
        left_seconds: (claims.exp > 0).then(|| claims.exp.saturating_sub(now)),
    }
}

/// Decodes the second of the three parts, which are base64url without padding (RFC 7515, 2).
fn payload(token: &str) -> Option<Vec<u8>> {
    let mut parts = token.split('.');
    let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    URL_SAFE_NO_PAD.decode(payload).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_stale_or_expired_by_its_own_claims() {
        let good = |age_seconds, left_seconds| TokenAge::Good {
            subject: "sa".to_owned(),
            age_seconds,
            left_seconds,
        };
        // The payloads are {"iat":100,"exp":200,"sub":"sa"} and so on, in base64url; `jq @base64d` decodes them.
        for (payload, now, expected) in [
            ("eyJpYXQiOjEwMCwiZXhwIjoyMDAsInN1YiI6InNhIn0", 150, good(50, Some(50))),
            ("eyJpYXQiOjEwMCwiZXhwIjoyMDAsInN1YiI6InNhIn0", 200, TokenAge::Expired(0)),
            ("eyJpYXQiOjEwMCwiZXhwIjoyMDAsInN1YiI6InNhIn0", 260, TokenAge::Expired(60)),
            ("eyJpYXQiOjEwMCwic3ViIjoic2EifQ", 150, good(50, None)),
            (
                "eyJpYXQiOjEwMCwiZXhwIjo5MDAsImt1YmVybmV0ZXMuaW8iOnsid2FybmFmdGVyIjoxMjB9fQ",
                150,
                TokenAge::Stale(30),
            ),
            ("e30", 150, TokenAge::Timeless),
            ("bm8ganNvbg", 150, TokenAge::Timeless),
            ("***", 150, TokenAge::Timeless),
        ] {
            let now = Timestamp::from_second(now).unwrap();
            assert_eq!(age(&format!("e30.{payload}.x"), now), expected, "{payload}");
        }
        assert_eq!(age("no-jwt", Timestamp::UNIX_EPOCH), TokenAge::Timeless);
    }

    #[test]
    fn any_cut_of_a_token_is_looked_into_without_harm() {
        let token = "e30.eyJpYXQiOjEwMCwiZXhwIjoyMDAsInN1YiI6InNhIn0.x";
        for cut in 0..token.len() {
            age(&token[..cut], Timestamp::UNIX_EPOCH);
        }
    }
}
