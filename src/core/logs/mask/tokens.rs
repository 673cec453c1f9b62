//! Finds tokens that are recognized by their form, wherever they are in a line.

use std::ops::Range;

use super::chains::Chains;
use super::{is_name_byte, push, run};

/// The characters of a token after its prefix.
#[derive(Clone, Copy)]
enum Alphabet {
    /// Letters and digits.
    Alnum,
    /// Letters, digits, `_` and `-`.
    Url,
    /// Letters, digits, `_`, `-` and `.`.
    Dotted,
    /// Base64 with padding, or base64url.
    Base64,
    /// Small letters `a` to `f`, and digits.
    Hex,
    /// Capital letters and digits.
    Upper,
    /// The rest of a URL's path.
    Path,
}

impl Alphabet {
    fn has(self, byte: u8) -> bool {
        let is_alnum = byte.is_ascii_alphanumeric();
        match self {
            Self::Alnum => is_alnum,
            Self::Url => is_alnum || matches!(byte, b'_' | b'-'),
            Self::Dotted => is_alnum || matches!(byte, b'_' | b'-' | b'.'),
            Self::Base64 => is_alnum || matches!(byte, b'+' | b'/' | b'=' | b'_' | b'-'),
            Self::Hex => byte.is_ascii_digit() || matches!(byte, b'a'..=b'f'),
            Self::Upper => byte.is_ascii_digit() || byte.is_ascii_uppercase(),
            Self::Path => is_alnum || matches!(byte, b'_' | b'-' | b'.' | b'/' | b'@' | b'~'),
        }
    }
}

/// A documented form of token.
struct Form {
    prefix: &'static str,
    alphabet: Alphabet,
    /// How many characters follow the prefix, at least. It is fewer than documented, since formats grow and
    /// shrink, where the prefix alone tells the token from other words.
    bytes_min: usize,
    /// How many characters follow at most.
    bytes_max: usize,
}

const fn from(prefix: &'static str, alphabet: Alphabet, bytes_min: usize) -> Form {
    Form { prefix, alphabet, bytes_min, bytes_max: usize::MAX }
}

const fn exactly(prefix: &'static str, alphabet: Alphabet, bytes: usize) -> Form {
    Form { prefix, alphabet, bytes_min: bytes, bytes_max: bytes }
}

/// The forms. The order does not matter, unless one prefix begins with another: then the longer one is first.
const FORMS: &[Form] = &[
    // AWS: ids of access keys, and session tokens.
    exactly("\u{41}KIA", Alphabet::Upper, 16),
    exactly("\u{41}SIA", Alphabet::Upper, 16),
    exactly("ABIA", Alphabet::Upper, 16),
    exactly("ACCA", Alphabet::Upper, 16),
    from("IQoJb3JpZ2lu", Alphabet::Base64, 40),
    from("FwoGZXIvYXdz", Alphabet::Base64, 40),
    // Age, 1Password, Adafruit, Airtable, Artifactory, Atlassian.
    from("AGE-SECRET-KEY-1", Alphabet::Upper, 20),
    from("ops_eyJ", Alphabet::Base64, 40),
    from("aio_", Alphabet::Alnum, 28),
    from("AKCp", Alphabet::Alnum, 60),
    from("cmVmdGtuO", Alphabet::Base64, 40),
    from("ATATT3xFf", Alphabet::Base64, 20),
    from("ATCTT3xFf", Alphabet::Base64, 20),
    from("ATBB", Alphabet::Alnum, 28),
    // Alibaba, Buildkite, CircleCI, Cloudflare, Contentful.
    from("LTAI", Alphabet::Alnum, 16),
    from("bkua_", Alphabet::Hex, 32),
    from("CCIPAT_", Alphabet::Url, 20),
    from("CFPAT-", Alphabet::Url, 20),
    // Databricks, DigitalOcean, Docker, Doppler, Dropbox, Dynatrace.
    from("dapi", Alphabet::Hex, 32),
    from("dop_v1_", Alphabet::Alnum, 20),
    from("doo_v1_", Alphabet::Alnum, 20),
    from("dor_v1_", Alphabet::Alnum, 20),
    from("dckr_pat_", Alphabet::Url, 16),
    from("dckr_oat_", Alphabet::Url, 16),
    from("dp.pt.", Alphabet::Alnum, 32),
    from("dp.st.", Alphabet::Dotted, 32),
    from("sl.u.", Alphabet::Url, 60),
    from("sl.B", Alphabet::Url, 60),
    from("dt0c01.", Alphabet::Dotted, 32),
    from("dt0s01.", Alphabet::Dotted, 32),
    from("EZAK", Alphabet::Alnum, 54),
    // Facebook, Figma, Fly, GitHub, GitLab.
    from("EAACEdEose0cBA", Alphabet::Alnum, 20),
    from("figd_", Alphabet::Url, 20),
    from("fo1_", Alphabet::Url, 40),
    from("fm2_", Alphabet::Base64, 40),
    from("\u{67}hp_", Alphabet::Url, 20),
    from("\u{67}ho_", Alphabet::Url, 20),
    from("\u{67}hu_", Alphabet::Url, 20),
    from("\u{67}hs_", Alphabet::Dotted, 20),
    from("\u{67}hr_", Alphabet::Url, 20),
    from("\u{67}ithub_pat_", Alphabet::Url, 20),
    from("\u{67}lpat-", Alphabet::Dotted, 16),
    from("gloas-", Alphabet::Url, 20),
    from("gldt-", Alphabet::Url, 16),
    from("glrt-", Alphabet::Dotted, 16),
    from("glcbt-", Alphabet::Url, 16),
    from("glptt-", Alphabet::Url, 16),
    from("glft-", Alphabet::Url, 16),
    from("glimt-", Alphabet::Url, 16),
    from("glagent-", Alphabet::Url, 20),
    from("glsoat-", Alphabet::Url, 16),
    from("GR1348941", Alphabet::Url, 16),
    // Google, Grafana, Groq, HashiCorp, Heroku, Hugging Face.
    from("\u{41}Iza", Alphabet::Url, 30),
    from("ya29.", Alphabet::Dotted, 10),
    from("1//0", Alphabet::Url, 28),
    from("GOCSPX-", Alphabet::Url, 16),
    from("glsa_", Alphabet::Url, 20),
    from("glc_", Alphabet::Base64, 32),
    from("gsk_", Alphabet::Alnum, 40),
    from("hvs.", Alphabet::Url, 16),
    from("hvb.", Alphabet::Url, 12),
    from("hvr.", Alphabet::Url, 16),
    exactly("s.", Alphabet::Alnum, 24),
    from("HRKU-", Alphabet::Url, 30),
    from("hf_", Alphabet::Alnum, 30),
    // Linear, Mailchimp, Mailgun, Netlify, New Relic, Notion, npm.
    from("lin_api_", Alphabet::Alnum, 32),
    exactly("key-", Alphabet::Hex, 32),
    from("nfp_", Alphabet::Alnum, 32),
    from("NRAK-", Alphabet::Upper, 20),
    from("ntn_", Alphabet::Alnum, 40),
    from("\u{6e}pm_", Alphabet::Alnum, 30),
    // OpenAI, Anthropic and others, OpenShift, PlanetScale, Postman, Pulumi, PyPI.
    from("\u{73}k-ant-", Alphabet::Url, 16),
    from("\u{73}k-proj-", Alphabet::Url, 16),
    from("\u{73}k-svcacct-", Alphabet::Url, 16),
    from("\u{73}k-or-v1-", Alphabet::Url, 16),
    from("\u{73}k-", Alphabet::Alnum, 20),
    from("xai-", Alphabet::Alnum, 40),
    from("pplx-", Alphabet::Alnum, 32),
    from("sha256~", Alphabet::Url, 40),
    from("pscale_tkn_", Alphabet::Dotted, 20),
    from("pscale_pw_", Alphabet::Dotted, 20),
    from("pscale_oauth_", Alphabet::Dotted, 20),
    from("PMAK-", Alphabet::Url, 24),
    from("pul-", Alphabet::Hex, 40),
    from("\u{70}ypi-", Alphabet::Url, 20),
    // RubyGems, Replicate, SendGrid, Sentry, Shopify, Slack, Square, Stripe, Supabase.
    from("rubygems_", Alphabet::Hex, 40),
    from("r8_", Alphabet::Alnum, 32),
    from("\u{53}G.", Alphabet::Dotted, 32),
    from("sntrys_", Alphabet::Base64, 32),
    from("sntryu_", Alphabet::Hex, 32),
    from("shpat_", Alphabet::Alnum, 32),
    from("shpss_", Alphabet::Alnum, 32),
    from("shpca_", Alphabet::Alnum, 32),
    from("shppa_", Alphabet::Alnum, 32),
    from("\u{78}oxb-", Alphabet::Url, 10),
    from("\u{78}oxp-", Alphabet::Url, 10),
    from("\u{78}oxa-", Alphabet::Url, 10),
    from("\u{78}oxr-", Alphabet::Url, 10),
    from("\u{78}oxs-", Alphabet::Url, 10),
    from("\u{78}oxc-", Alphabet::Url, 10),
    from("\u{78}oxd-", Alphabet::Url, 10),
    from("\u{78}oxe-", Alphabet::Url, 10),
    from("\u{78}oxe.", Alphabet::Dotted, 10),
    from("\u{78}app-", Alphabet::Url, 10),
    from("sq0atp-", Alphabet::Url, 20),
    from("sq0csp-", Alphabet::Url, 20),
    from("\u{73}k_live_", Alphabet::Alnum, 10),
    from("\u{73}k_test_", Alphabet::Alnum, 10),
    from("\u{72}k_live_", Alphabet::Alnum, 10),
    from("\u{72}k_test_", Alphabet::Alnum, 10),
    from("\u{77}hsec_", Alphabet::Base64, 16),
    from("sbp_", Alphabet::Hex, 40),
    // Tailscale, Terraform, Twilio, Vercel.
    from("tskey-", Alphabet::Url, 16),
    exactly("SK", Alphabet::Hex, 32),
    // Private keys in base64 of base64, as kubeconfig has them, and in OpenSSH's form.
    from("LS0tLS1CRUdJTiBQUklWQVRFIEtFW", Alphabet::Base64, 0),
    from("LS0tLS1CRUdJTiBSU0EgUFJJVkFUR", Alphabet::Base64, 0),
    from("LS0tLS1CRUdJTiBFQyBQUklWQVRFI", Alphabet::Base64, 0),
    from("LS0tLS1CRUdJTiBEU0EgUFJJVkFUR", Alphabet::Base64, 0),
    from("LS0tLS1CRUdJTiBPUEVOU1NIIFBSS", Alphabet::Base64, 0),
    from("LS0tLS1CRUdJTiBFTkNSWVBURUQgU", Alphabet::Base64, 0),
    from("b3BlbnNzaC1rZXktdjE", Alphabet::Base64, 0),
    // Webhooks: who knows the URL can post.
    from("hooks.slack.com/", Alphabet::Path, 20),
    from("discord.com/api/webhooks/", Alphabet::Path, 10),
    from("discordapp.com/api/webhooks/", Alphabet::Path, 10),
    from("webhook.office.com/webhookb2/", Alphabet::Path, 20),
    from("hooks.zapier.com/hooks/catch/", Alphabet::Path, 10),
];

/// The forms by the first byte of their prefixes. Most bytes of a line begin none.
static BY_FIRST: Chains<{ FORMS.len() }> = Chains::new({
    let mut keys = [0; FORMS.len()];
    let mut at = 0;
    while at < FORMS.len() {
        keys[at] = FORMS[at].prefix.as_bytes()[0];
        at += 1;
    }
    keys
});

/// Minimum length of a web token's header and of a token's random part.
const HEADER_BYTES_MIN: usize = 10;

/// Finds tokens in a part of the text.
pub(super) fn tokens(text: &str, part: Range<usize>, hits: &mut Vec<Range<usize>>) {
    let bytes = &text.as_bytes()[..part.end];
    let mut at = part.start;
    // No web token begins before this position: if a run has none at its start, it has none later.
    let mut barren = at;
    while at < bytes.len() {
        let is_start = at == part.start || !bytes[at - 1].is_ascii_alphanumeric();
        let hit = if !is_start {
            None
        } else if at >= barren && bytes[at..].starts_with(b"eyJ") {
            barren = run(bytes, at, |b| Alphabet::Url.has(b));
            web_token_end(bytes, at, barren).map(|end| at..end)
        } else {
            form_end(bytes, at).map(|end| at..end).or_else(|| bot_token(bytes, at))
        };
        at = hit.as_ref().map_or(at + 1, |hit| hit.end);
        if let Some(hit) = hit {
            let secret = aws_secret(bytes, &hit);
            push(hits, hit);
            if let Some(secret) = secret {
                at = secret.end;
                push(hits, secret);
            }
        }
    }
}

/// Returns the end of the token with a documented prefix that begins at `at`.
fn form_end(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = &bytes[at..];
    let mut forms = BY_FIRST.of(*rest.first()?).map(|at| &FORMS[at]);
    let form = forms.find(|form| rest.starts_with(form.prefix.as_bytes()))?;
    let start = at + form.prefix.len();
    // A longer run than a minimum does not change the verdict, so a line of prefixes takes linear time.
    let shown = &bytes
        [..bytes.len().min(start.saturating_add(form.bytes_max.min(form.bytes_min + 128) + 1))];
    let end = run(shown, start, |b| form.alphabet.has(b));
    let token = &bytes[start..end];
    if token.len() < form.bytes_min || token.len() > form.bytes_max || !is_varied(form, token) {
        return None;
    }
    if form.bytes_max < usize::MAX {
        // Of a fixed length, so that the next character is not one of a word.
        return bytes.get(end).is_none_or(|b| !b.is_ascii_alphanumeric()).then_some(end);
    }
    Some(run(bytes, end, |b| form.alphabet.has(b)))
}

/// Returns the secret key that is printed next to the id of an AWS key: `AKIA…:wJal…`.
fn aws_secret(bytes: &[u8], id: &Range<usize>) -> Option<Range<usize>> {
    let is_id = id.len() == 20 && matches!(bytes[id.start..], [b'A', b'K' | b'S', b'I', b'A', ..]);
    let shown = &bytes[..bytes.len().min(id.end + 64)];
    let start = run(shown, id.end, |b| matches!(b, b':' | b' ' | b'/' | b','));
    let end = run(shown, start, |b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/'));
    (is_id && start > id.end && end - start == 40).then_some(start..end)
}

/// Returns true unless the characters are those of an identifier: small letters and `_`, or the like.
fn is_varied(form: &Form, token: &[u8]) -> bool {
    let has = |is_kind: fn(&u8) -> bool| token.iter().any(is_kind);
    let is_varied =
        has(u8::is_ascii_digit) || has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase);
    // Names of pods have small letters and digits, and may begin with `sk-`.
    let is_weak = form.prefix == "\u{73}k-" || form.prefix == "s.";
    // No identifier has so many letters without a joint.
    let is_long = !is_weak && token.len() >= 16 && token.iter().all(u8::is_ascii_alphanumeric);
    form.bytes_min < HEADER_BYTES_MIN
        || is_long
        || is_varied && (!is_weak || has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic))
        || matches!(form.alphabet, Alphabet::Path | Alphabet::Upper)
}

/// Returns the end of the JSON web token (RFC 7519) whose header ends at `header_end`. At least a payload must
/// follow; the signature may be empty, or cut off.
fn web_token_end(bytes: &[u8], at: usize, header_end: usize) -> Option<usize> {
    if header_end - at < HEADER_BYTES_MIN || bytes.get(header_end) != Some(&b'.') {
        return None;
    }
    let payload_end = run(bytes, header_end + 1, |b| Alphabet::Url.has(b));
    (payload_end - header_end > 4).then(|| run(bytes, payload_end, is_name_byte))
}

/// Returns the token of a bot: Telegram's `110201543:AAHd…` (also after `/bot`), or Discord's three parts.
fn bot_token(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    let id = if bytes[at..].starts_with(b"bot") { at + 3 } else { at };
    let digits = run(&bytes[..bytes.len().min(id + 16)], id, |b| b.is_ascii_digit());
    if (8..=12).contains(&(digits - id)) && bytes.get(digits) == Some(&b':') {
        let end = run(&bytes[..bytes.len().min(digits + 64)], digits + 1, |b| Alphabet::Url.has(b));
        return (30..=40).contains(&(end - digits - 1)).then_some(id..end);
    }
    if !matches!(bytes[at], b'M' | b'N' | b'O') {
        return None;
    }
    let shown = &bytes[..bytes.len().min(at + 96)];
    let first = run(shown, at, |b| b.is_ascii_alphanumeric());
    let second = run(shown, first + 1, |b| Alphabet::Url.has(b));
    let third = run(shown, second + 1, |b| Alphabet::Url.has(b));
    let is_token = (23..=28).contains(&(first - at))
        && bytes.get(first) == Some(&b'.')
        && second == first + 7
        && bytes.get(second) == Some(&b'.')
        && third > second + 27;
    is_token.then_some(at..third)
}
