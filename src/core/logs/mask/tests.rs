use super::*;
use crate::limits::MASK_KEY_LINES_MAX;
use crate::rounds;

/// Masks the line on its own.
fn masked(text: &str) -> String {
    Mask::default().line(text).into_owned()
}

const JWT: &str =
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U";

#[test]
#[allow(clippy::too_many_lines, reason = "a table")]
fn credentials_are_masked_and_nothing_else() {
    for (text, want) in [
        ("password=hunter2", "password=***"),
        ("PASSWORD = hunter2 next", "PASSWORD = *** next"),
        ("DB_PASSWORD=hunter2 DB_HOST=db", "DB_PASSWORD=*** DB_HOST=db"),
        ("DB_PASSWORD_2=hunter2", "DB_PASSWORD_2=***"),
        ("spring.datasource.password: hunter2", "spring.datasource.password: ***"),
        ("user=bob,password=a,b)c,host=db", "user=bob,password=***,host=db"),
        (
            "Server=db;User Id=sa;Password=x;Encrypt=no",
            "Server=db;User Id=sa;Password=***;Encrypt=no",
        ),
        ("/login?token=abc&user=bob", "/login?token=***&user=bob"),
        ("{password: abc, user: bob}", "{password: ***, user: bob}"),
        ("Config(password=abc)", "Config(password=***)"),
        (r#"{"password":"a\"b c","user":"bob"}"#, r#"{"password":"***","user":"bob"}"#),
        (r#"{"password": "a\\","user":"bob"}"#, r#"{"password": "***","user":"bob"}"#),
        (
            r#"{"msg":"{\"api_key\":\"abc\",\"n\":1}"}"#,
            r#"{"msg":"{\"api_key\":\"***\",\"n\":1}"}"#,
        ),
        (r#"{"msg":"{\"token\":\"a\\\"b\",\"n\":1}"}"#, r#"{"msg":"{\"token\":\"***\",\"n\":1}"}"#),
        (r#"{"msg":"password=abc"}"#, r#"{"msg":"password=***"}"#),
        (r#"{"msg":"{\"a\":\"password=abc\"}"}"#, r#"{"msg":"{\"a\":\"password=***\"}"}"#),
        (r#"{"token":12345,"n":1}"#, r#"{"token":"***","n":1}"#),
        (r#"{"tokens_secret":["abc"]}"#, r#"{"tokens_secret":["***"]}"#),
        ("{'secret': 'it fits', 'n': 1}", "{'secret': '***', 'n': 1}"),
        ("'passwd' => 'abc',", "'passwd' => '***',"),
        ("cfg['password'] = 'abc'", "cfg['password'] = '***'"),
        ("apikey: abc1 api-key=def apiKey=ghi", "apikey: *** api-key=*** apiKey=***"),
        ("aws_secret_access_key = abc/def+ghi=", "aws_secret_access_key = ***"),
        ("ACCESS-KEY: abc", "ACCESS-KEY: ***"),
        ("private_key='abc", "private_key='***"),
        ("secret:hunter2", "secret:***"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
        ("authorization: basic dXNlcjpwYXNz, Host: x", "authorization: basic ***, Host: x"),
        ("map[Authorization:[Bearer abc] Host:[x]]", "map[Authorization:[Bearer ***] Host:[x]]"),
        (r#"-H "Proxy-Authorization: Basic abc" x"#, r#"-H "Proxy-Authorization: Basic ***" x"#),
        (r#""authorization":"Bearer abc""#, r#""authorization":"Bearer ***""#),
        (r#"Authorization: Bearer "abc" x"#, r#"Authorization: Bearer "***" x"#),
        ("Authorization: token abc", "Authorization: token ***"),
        ("token: Bearer abc", "token: Bearer ***"),
        ("invalid token: password: hunter2", "invalid token: password: ***"),
        ("run --db-password hunter2 --verbose", "run --db-password *** --verbose"),
        ("run --token=abc -v", "run --token=*** -v"),
        (r#"["run","--password","a b","-v"]"#, r#"["run","--password","***","-v"]"#),
        ("[run --password abc -v]", "[run --password *** -v]"),
        ("postgres://bob:hunter2@db:5432/x", "postgres://bob:***@db:5432/x"),
        ("redis://:p@ss@cache", "redis://:***@cache"),
        ("amqp+ssl://u:p@h/?token=x", "amqp+ssl://u:***@h/?token=***"),
        ("parse \"postgres://bob:pa/ss#w?rd@db/x\": bad", "parse \"postgres://bob:***@db/x\": bad"),
        ("id AKIAIOSFODNN7EXAMPLE.", "id ***."),
        ("id=ASIAIOSFODNN7EXAMPLE-x", "id=***-x"),
        ("with ghp_abcdefghijklmnopqrstuvwxyz0123456789!", "with ***!"),
        ("github_pat_11ABCDEFG0abcdefghij_klmnopqrstuvwxyz", "***"),
        ("https://gho_abcdefghijklmnopqrstuvwxyz0123456789@github.com", "https://***@github.com"),
        (
            r#"{"k":"-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\n","n":1}"#,
            r#"{"k":"-----BEGIN RSA PRIVATE KEY-----***-----END RSA PRIVATE KEY-----\n","n":1}"#,
        ),
        ("key -----BEGIN EC PRIVATE KEY----- Qw==", "key -----BEGIN EC PRIVATE KEY----- ***"),
        (
            r#"{"private_key":"-----BEGIN PRIVATE KEY-----\nMIIE","n":1}"#,
            r#"{"private_key":"***","n":1}"#,
        ),
        ("password=\u{e4}\u{f6}\u{fc} \u{1f980}", "password=*** \u{1f980}"),
    ] {
        assert_eq!(masked(text), want);
        assert_eq!(masked(want), want, "masked twice");
    }
    for (before, behind) in [("jwt ", " used"), ("\"", "\""), ("jwt-", ","), ("jwt.", "")] {
        assert_eq!(masked(&format!("{before}{JWT}{behind}")), format!("{before}***{behind}"));
    }
}

#[test]
fn words_about_credentials_stay() {
    for text in [
        "",
        "token expired",
        "password is required",
        "the password must not be empty",
        "secretary: Jane",
        "tokens: 512, max_tokens=4096",
        "secrets \"db\" not found",
        "secret \"db\" not found",
        "secret/db created",
        "password=",
        "password=\"\"",
        "password: null, token=None, use_token=true, api_key: <nil>",
        "password:",
        "flag --password is required",
        "unknown flag: --token",
        "--token --verbose",
        "Error: --api-key requires a value",
        "auth::token::parse failed",
        "INFO app::token: expired",
        "token.rs:12: expired",
        "at com.example.Token.parse(Token.java:12)",
        r#""secret":{"name":"db"}"#,
        "key=abc keyboard: x",
        "pwd=/home/app",
        "http://example.com:8080/path/a@b",
        "https://example.com/?q=a:b@c",
        "https://bob@example.com/",
        "mailto:bob@example.com",
        "AKIAIOSFODNN7EXAMPL",
        "AKIAIOSFODNN7EXAMPLEX",
        "xAKIAIOSFODNN7EXAMPLE",
        "ghp_short",
        "eyJ.eyJ.x",
        "eyJhbGciOiJIUzI1NiJ9 alone",
        "-----BEGIN CERTIFICATE-----",
        "-----BEGIN PUBLIC KEY-----",
        "panic: index out of range",
    ] {
        assert_eq!(masked(text), text);
        assert!(matches!(Mask::default().line(text), Cow::Borrowed(_)), "{text}");
    }
}

/// Masks the lines of one stream.
fn lines(texts: &[&str]) -> Vec<String> {
    let mut mask = Mask::default();
    texts.iter().map(|text| mask.line(text).into_owned()).collect()
}

#[test]
fn the_lines_of_a_private_key_are_masked_up_to_its_end() {
    let body = "MIIEpAIBAAKCAQEA0Z3VS5JJcds3xfn/ygWyF8PbnGy0AHB7MbzYLdZ7ZvVy7F7V";
    let prefixed = format!("12:00 INFO {body}");
    let key = [
        "key -----BEGIN RSA PRIVATE KEY-----",
        body,
        "request served in 12 ms",
        &prefixed,
        "Qw==",
        "-----END RSA PRIVATE KEY----- done",
        body,
    ];
    let want = [key[0], "***", key[2], "12:00 INFO ***", "***", key[5], body];
    assert_eq!(lines(&key), want);
    assert_eq!(lines(&want), want);
    assert_eq!(
        lines(&[key[0], "x MIIEpAIBAAKCAQEA0Z3V-----END RSA PRIVATE KEY-----", body])[1..],
        ["x ***-----END RSA PRIVATE KEY-----".to_owned(), body.to_owned(),]
    );
    // A sentence about a key does not start one.
    assert_eq!(lines(&["no \"-----BEGIN PRIVATE KEY-----\" in x", "exit code"])[1], "exit code");
}

#[test]
fn a_private_key_without_an_end_ends_nevertheless() {
    let mut mask = Mask::default();
    assert!(matches!(mask.line("-----BEGIN EC PRIVATE KEY-----"), Cow::Borrowed(_)));
    for n in 0..MASK_KEY_LINES_MAX {
        assert_eq!(mask.line("Qw=="), MASK, "line {n}");
    }
    assert_eq!(mask.line("Qw=="), "Qw==");
}

#[test]
fn every_cut_of_a_line_can_be_masked_and_masked_again() {
    let text = format!(
        "é DB_PASSWORD=\"a\\\"é\" Authorization: Bearer {JWT} --token 'x' \"--api-key\", \"é\" \
         postgres://u:pé/x@h -----BEGIN PRIVATE KEY-----é-----END PRIVATE KEY-----"
    );
    let borders: Vec<_> = (0..=text.len()).filter(|at| text.is_char_boundary(*at)).collect();
    for (n, from) in borders.iter().enumerate() {
        for to in &borders[n..] {
            let part = &text[*from..*to];
            let once = masked(part);
            assert_eq!(masked(&once), once, "{part}");
        }
    }
}

#[test]
fn time_grows_with_the_length_only() {
    // With quadratic run time, these lines would take minutes, or many seconds.
    for piece in [
        "://",
        "a:b://",
        "eyJ-",
        "eyJ.",
        "token: ",
        "password=\"",
        "password[",
        "--token ",
        "a,",
        "-----BEGIN ",
        "-----BEGIN PRIVATE KEY-----",
        "\\\"",
        "password=[",
        "ghp_",
        "AKIA-",
        "token",
        "secret ::",
        "-",
        "a:b@://",
        "a:@(",
        "password: a b c d ",
        "password=\"must ' ",
        "curl -u a ",
        "mysql -p",
        "Cookie: a=b; ",
        "AUTH a",
        "{password,",
        "<password ",
        "key ",
        "Authorization: Digest a=",
    ] {
        let text = piece.repeat(rounds(1 << 20) as usize / piece.len());
        let once = masked(&text);
        assert!(once.len() <= text.len() + 3 * text.len() / piece.len(), "{piece}");
    }
}

mod lines;

/// Masks the lines of one stream, and returns them as one text again.
fn stream(texts: &str) -> String {
    let mut mask = Mask::default();
    let lines: Vec<_> = texts.split('\n').map(|text| mask.line(text).into_owned()).collect();
    lines.join("\n")
}

#[test]
fn credentials_of_real_programs_are_hidden() {
    let shown = lines::SECRET.iter().filter_map(|(text, hidden)| {
        let masked = stream(text);
        hidden.iter().any(|secret| masked.contains(secret)).then_some(masked)
    });
    let shown: Vec<_> = shown.collect();
    assert!(shown.is_empty(), "{} of {}:\n{}", shown.len(), lines::SECRET.len(), shown.join("\n"));
}

#[test]
fn harmless_lines_of_real_programs_stay() {
    let altered = lines::HARMLESS.iter().map(|text| (*text, stream(text)));
    let altered: Vec<_> =
        altered.filter(|(text, masked)| text != masked).map(|(_, masked)| masked).collect();
    assert!(
        altered.is_empty(),
        "{} of {}:\n{}",
        altered.len(),
        lines::HARMLESS.len(),
        altered.join("\n")
    );
}

#[test]
fn a_masked_line_of_real_programs_is_not_masked_further() {
    let secret = lines::SECRET.iter().map(|(text, _)| *text);
    for line in secret.chain(lines::HARMLESS.iter().copied()).flat_map(str::lines) {
        let once = masked(line);
        assert_eq!(masked(&once), once, "{line}");
        // Cut anywhere, as a container may end in the middle of a word.
        for (at, _) in line.char_indices().step_by(7) {
            let once = masked(&line[at..]);
            assert_eq!(masked(&once), once, "{line}");
        }
    }
}

#[test]
fn words_about_credentials_in_logs_and_code_stay() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/mask/harmless.txt");
    let lines = std::fs::read_to_string(path).unwrap();
    let masked: Vec<_> = lines.lines().map(masked).collect();
    assert_eq!(masked, lines.lines().collect::<Vec<_>>());
}

#[test]
fn a_masked_json_record_is_still_json() {
    for (record, want) in [
        (r#"{"password":1234,"msg":"x"}"#, r#"{"password":"***","msg":"x"}"#),
        (r#"{"msg":"x","api_key": 12345678901234}"#, r#"{"msg":"x","api_key": "***"}"#),
        (r#"{"db":{"password":-1.5e3},"msg":"x"}"#, r#"{"db":{"password":"***"},"msg":"x"}"#),
        (r#"{"password":"a b","msg":"x"}"#, r#"{"password":"***","msg":"x"}"#),
        (r#"{"msg":"{\"api_key\":12345678}"}"#, r#"{"msg":"{\"api_key\":***}"}"#),
    ] {
        let masked = masked(record);
        assert_eq!(masked, want);
        assert!(serde_json::from_str::<serde_json::Value>(&masked).is_ok());
        assert_eq!(self::masked(&masked), masked);
    }
}

/// One case of `fixtures/mask/lines.jsonl`.
#[derive(serde::Deserialize)]
struct Case {
    /// Consecutive lines of one log.
    lines: Vec<String>,
    /// What must not be shown of them. If there is nothing, the lines stay.
    hidden: Vec<String>,
}

#[test]
fn the_recorded_lines_are_masked_as_expected() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/mask/lines.jsonl");
    let cases = std::fs::read_to_string(path).unwrap();
    let mut wrong = Vec::new();
    for case in cases.lines() {
        let case: Case = serde_json::from_str(case).unwrap();
        let before = case.lines.join("\n");
        let masked = stream(&before);
        let is_right = match case.hidden.as_slice() {
            [] => masked == before,
            hidden => !hidden.iter().any(|secret| masked.contains(secret)),
        };
        if !is_right {
            wrong.push(masked);
        }
    }
    assert_eq!(cases.lines().count(), 67);
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}
