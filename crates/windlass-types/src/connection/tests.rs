use super::*;

fn options(pairs: &[(&str, &str)]) -> OptionMap {
    pairs
        .iter()
        .map(|(name, value)| {
            let def = crate::options::find(crate::options::S3_OPTIONS, name).unwrap();
            let value = match *value {
                "TRUE" => OptionValue::Bool(true),
                text => OptionValue::Text(text.to_owned()),
            };
            (def.name.to_owned(), crate::options::check(def, value).unwrap())
        })
        .collect()
}

fn refused(pairs: &[(&str, &str)]) -> String {
    let error = S3Spec::build(&options(pairs)).expect_err("contradiction is refused");
    format!("{error}\n  {}", error.hint_text().expect("a hint"))
}

/// Every contradiction of the issue, each with its one-line error and hint.
#[test]
fn contradictions_say_which_and_why() {
    let cases: &[&[(&str, &str)]] = &[
        &[("AWS_ACCESS_KEY_ID", "AKIA"), ("AWS_SECRET_ACCESS_KEY", "x"), ("AWS_PROFILE", "dev")],
        &[("AWS_PROFILE", "dev"), ("ANONYMOUS", "TRUE")],
        &[("AWS_ACCESS_KEY_ID", "AKIA")],
        &[("AWS_SECRET_ACCESS_KEY", "secret")],
        &[("AWS_SESSION_TOKEN", "token")],
        &[("AWS_ACCESS_KEY_ID", "AKIA\n"), ("AWS_SECRET_ACCESS_KEY", "x")],
        &[
            ("ENCRYPTION_KMS_KEY", "alias/k"),
            ("ENCRYPTION_CUSTOMER_MANAGED_KEY", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        ],
        &[("ENCRYPTION", "AES256"), ("ENCRYPTION_KMS_KEY", "alias/k")],
        &[("ENCRYPTION_CUSTOMER_MANAGED_KEY", "AAAA")],
        &[("ENCRYPTION_CUSTOMER_MANAGED_KEY", "not base64!")],
        &[("ENCRYPTION_KMS_KEY", "arn:aws:s3:::bucket")],
        &[("AWS_ROLE", "arn:aws:iam::12:role/x")],
        &[("EXTERNAL_ID", "x")],
        &[("AWS_ROLE", "arn:aws:iam::123456789012:role/x"), ("ANONYMOUS", "TRUE")],
        &[("AWS_ROLE", "arn:aws:iam::123456789012:role/x"), ("ENDPOINT", "https://minio.example")],
        &[("ENDPOINT", "https://user:pw@minio.example")],
        &[("ENDPOINT", "https://minio.example/bucket")],
        &[("ENDPOINT", "http://minio.example")],
        &[("ENDPOINT", "minio:9000")],
        &[("ENDPOINT", "http://169.254.169.254"), ("ALLOW_HTTP", "TRUE")],
        &[("ENDPOINT", "https://[fe80::1]")],
        &[("ENDPOINT", "https://minio.example"), ("FIPS", "TRUE")],
        &[("PREFIX", "raw/")],
        &[("BUCKET", "s3://x")],
        &[("BUCKET", "lake"), ("PREFIX", "/raw")],
        &[("BUCKET", "lake"), ("VERIFY_PATH", "s3://other/x")],
        &[("PATH_DISPLAY_FILTER", "lake/raw")],
        &[("BUCKET", "lake"), ("PATH_DISPLAY_FILTER", "s3://other/")],
        &[("REGION", "us-east-1a")],
        &[("REGION", "Europe")],
        &[("HEADERS", "no colon")],
        &[("HEADERS", "Authorization: x")],
        &[("PROXY", "socks5://x")],
    ];
    let all: Vec<String> = cases.iter().map(|case| refused(case)).collect();
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn errors_do_not_quote_secrets() {
    let text =
        refused(&[("AWS_ACCESS_KEY_ID", "AKIA"), ("AWS_SECRET_ACCESS_KEY", " canary-value ")]);
    assert!(!text.contains("canary"));
    assert!(!refused(&[("PROXY", "ftp://u:canary@h")]).contains("canary"));
    assert!(!refused(&[("ENDPOINT", "https://u:canary@h")]).contains("canary"));
}

#[test]
fn good_options_build() {
    let spec = S3Spec::build(&options(&[
        ("ENDPOINT", "http://127.0.0.1:8333/"),
        ("ALLOW_HTTP", "TRUE"),
        ("REGION", "anywhere at all"),
        ("BUCKET", "lake"),
        ("PREFIX", "raw"),
        ("VERIFY_PATH", "orders/"),
        ("AWS_ACCESS_KEY_ID", "AKIA"),
        ("AWS_SECRET_ACCESS_KEY", "x"),
    ]))
    .unwrap();
    assert_eq!(spec.endpoint.as_deref(), Some("http://127.0.0.1:8333"));
    assert_eq!(spec.addressing, AddressingStyle::Path);
    assert_eq!(spec.binding.prefix, "raw/");
    assert_eq!(spec.verify.unwrap().key, "raw/orders/");
}

#[test]
fn whether_a_folder_tells_case_apart_is_found_out_unless_it_is_said() {
    let built = |said: Option<bool>| {
        let root = ("ROOT".to_owned(), OptionValue::Text("/data".to_owned()));
        let said = said.map(|said| ("CASE_SENSITIVE".to_owned(), OptionValue::Bool(said)));
        let options: OptionMap = [root].into_iter().chain(said).collect();
        LocalSpec::build(&options).unwrap().case_sensitive
    };
    for said in [None, Some(true), Some(false)] {
        assert_eq!(built(said), said);
    }
}
