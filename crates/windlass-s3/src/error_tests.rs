use super::*;
use aws_sdk_s3::operation::get_object::GetObjectError;
use aws_sdk_s3::primitives::SdkBody;
use aws_smithy_runtime_api::client::result::ConnectorError;

fn name() -> Name {
    Name::new("landing").unwrap()
}

fn answered(status: u16, code: &str, message: &str) -> SdkError<GetObjectError, HttpResponse> {
    let mut meta = aws_sdk_s3::error::ErrorMetadata::builder();
    if !code.is_empty() {
        meta = meta.code(code).message(message);
    }
    let mut raw = HttpResponse::new(status.try_into().unwrap(), SdkBody::empty());
    raw.headers_mut().insert("x-amz-request-id", "REQ1");
    SdkError::service_error(GetObjectError::generic(meta.build()), raw)
}

fn broken(text: &str) -> SdkError<GetObjectError, HttpResponse> {
    SdkError::dispatch_failure(ConnectorError::io(text.to_owned().into()))
}

#[test]
fn refusals_say_what_is_wrong_and_what_to_do() {
    let mut text = String::new();
    for (operation, target, status, code, message) in [
        ("GetObject", "lake/a.csv", 404, "NoSuchKey", "The specified key does not exist."),
        ("GetObject", "lake/a.csv", 404, "NoSuchBucket", "The specified bucket does not exist"),
        ("GetObject", "lake/a.csv", 403, "AccessDenied", "Access Denied"),
        (
            "PutObject",
            "lake/a.csv",
            403,
            "AccessDenied",
            "User: arn:aws:iam::1:user/x is not authorized to perform: kms:GenerateDataKey on resource: \"arn:aws:kms:eu-west-1:1:key/2\" because no identity-based policy allows it",
        ),
        ("ListBuckets", "", 403, "AccessDenied", "Access Denied"),
        ("ListObjectsV2", "lake/raw/", 403, "AccessDenied", "Access Denied"),
        ("HeadObject", "lake/a.csv", 403, "", ""),
        ("HeadObject", "lake/a.csv", 404, "", ""),
        ("GetObject", "lake/a.csv", 403, "InvalidAccessKeyId", "The key id is not in our records."),
        ("GetObject", "lake/a.csv", 403, "SignatureDoesNotMatch", "The signature does not match."),
        ("GetObject", "lake/a.csv", 400, "ExpiredToken", "The provided token has expired."),
        ("GetObject", "lake/a.csv", 400, "InvalidToken", "The provided token is malformed."),
        ("GetObject", "lake/a.csv", 403, "RequestTimeTooSkewed", "The difference is too large."),
        ("PutObject", "lake/a.csv", 412, "PreconditionFailed", "At least one condition failed"),
        ("PutObject", "lake/a.csv", 503, "SlowDown", "Reduce your request rate."),
        ("GetObject", "lake/a.csv", 301, "PermanentRedirect", "Use the other endpoint."),
        ("GetObject", "lake/a.csv", 403, "InvalidObjectState", "Not valid for the storage class"),
        ("CreateBucket", "lake", 409, "BucketAlreadyExists", "Not available."),
        ("PutObject", "lake/a.csv", 501, "NotImplemented", "A header is not implemented"),
        ("PutObject", "lake/a.csv", 400, "EntityTooLarge", "Too large"),
    ] {
        let error = map(operation, target, &name(), answered(status, code, message));
        writeln!(text, "{error:?}\n").unwrap();
    }
    insta::assert_snapshot!(text);
}

#[test]
fn a_refused_key_with_spaces_is_named_whole() {
    let arn = "arn:aws:s3:::lake/x/sp ace.txt";
    for named in [format!("\"{arn}\" because no policy allows it"), format!("{arn} because of it")]
    {
        let said =
            format!("User: u is not authorized to perform: s3:PutObject on resource: {named}");
        let failure = answered(403, "AccessDenied", &said);
        let error = map("PutObject", "lake/x/sp ace.txt", &name(), failure);
        let hint = error.hint_text().unwrap();
        assert!(hint.contains(&format!("allow `s3:PutObject` on `{arn}`")), "{hint}");
    }
}

#[test]
fn reasons_for_no_answer_are_told_apart() {
    let mut text = String::new();
    for cause in [
        "client error (Connect): dns error: failed to lookup address information: Name or service not known",
        "client error (Connect): tcp connect error: Connection refused (os error 111)",
        "client error (Connect): invalid peer certificate: UnknownIssuer",
        "client error (Connect): received corrupt message of type InvalidContentType",
        "client error (Connect): proxy authorization required",
        "client error (Connect): tcp connect error: Network is unreachable (os error 101)",
        "client error (SendRequest): connection closed before message completed",
    ] {
        let error = map("GetObject", "lake/a.csv", &name(), broken(cause));
        writeln!(text, "{error:?}\n").unwrap();
    }
    let timeout: SdkError<GetObjectError, HttpResponse> =
        SdkError::dispatch_failure(ConnectorError::timeout("no answer within 5 seconds".into()));
    writeln!(text, "{:?}", map("GetObject", "lake/a.csv", &name(), timeout)).unwrap();
    insta::assert_snapshot!(text);
}

#[test]
fn what_we_refused_ourselves_comes_through_the_sdk_unchanged() {
    let ours = Error::new(ErrorCode::ConnectionReadOnly, "no").hint("use another");
    let failure: SdkError<GetObjectError, HttpResponse> = SdkError::construction_failure(ours);
    let error = map("PutObject", "b/k", &name(), failure);
    assert_eq!(error.code(), ErrorCode::ConnectionReadOnly);
    assert_eq!(error.hint_text(), Some("use another"));
}

#[test]
fn a_redirect_names_the_region_in_header_or_body() {
    let mut raw = HttpResponse::new(
        400.try_into().unwrap(),
        SdkBody::from(
            "<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-3</Region></Error>",
        ),
    );
    let meta =
        || aws_sdk_s3::error::ErrorMetadata::builder().code("AuthorizationHeaderMalformed").build();
    let failure = SdkError::service_error(GetObjectError::generic(meta()), raw);
    assert_eq!(redirect(&failure), Some(Redirect::To("eu-west-3".to_owned())));
    raw = HttpResponse::new(400.try_into().unwrap(), SdkBody::empty());
    raw.headers_mut().insert("x-amz-bucket-region", "ap-east-1");
    let head = GetObjectError::generic(aws_sdk_s3::error::ErrorMetadata::builder().build());
    assert_eq!(
        redirect(&SdkError::service_error(head, raw)),
        Some(Redirect::To("ap-east-1".to_owned()))
    );
    assert_eq!(redirect(&answered(403, "AccessDenied", "")), None);
}
