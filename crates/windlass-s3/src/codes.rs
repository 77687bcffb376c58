//! The words S3, STS and compatible services refuse with, and what each means.
//!
//! One table for everybody who acts on a code: errors ([`crate::error`]), the test of a connection
//! ([`crate::probe`]) and the question whether asking again may help ([`crate::wire`]).

/// What a service means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    NoObject,
    NoBucket,
    NoUpload,
    Denied,
    /// The access key id is not known.
    KeyId,
    /// The secret does not fit the key id.
    Secret,
    /// The session has ended.
    Expired,
    /// The session token is none.
    Token,
    Clock,
    NotSignedUp,
    RegionOff,
    /// A condition of the request did not hold.
    Changed,
    /// Overloaded or failing: the same request may pass later.
    Busy,
    Timeout,
    /// The bucket is in another region.
    Elsewhere,
    Archived,
    BucketTaken,
    BucketOwned,
    BucketNotEmpty,
    /// What arrived is not what was sent.
    Corrupt,
    BucketName,
    KeyTooLong,
    NotImplemented,
}

/// Code, meaning, and whether it is distinct enough to be looked for in running text.
const CODES: &[(&str, Meaning, bool)] = &[
    ("NoSuchKey", Meaning::NoObject, false),
    ("NoSuchVersion", Meaning::NoObject, false),
    ("NoSuchBucket", Meaning::NoBucket, true),
    ("NoSuchAccessPoint", Meaning::NoBucket, false),
    ("NoSuchUpload", Meaning::NoUpload, false),
    ("AccessDenied", Meaning::Denied, true),
    ("AccessDeniedException", Meaning::Denied, false),
    ("Forbidden", Meaning::Denied, false),
    ("AllAccessDisabled", Meaning::Denied, false),
    ("UnauthorizedOperation", Meaning::Denied, false),
    ("UnauthorizedAccess", Meaning::Denied, false),
    ("AuthorizationError", Meaning::Denied, false),
    ("AccountProblem", Meaning::Denied, false),
    ("InvalidAccessKeyId", Meaning::KeyId, true),
    ("InvalidClientTokenId", Meaning::KeyId, true),
    ("UnrecognizedClientException", Meaning::KeyId, false),
    ("SignatureDoesNotMatch", Meaning::Secret, true),
    ("InvalidSignatureException", Meaning::Secret, false),
    ("ExpiredToken", Meaning::Expired, true),
    ("ExpiredTokenException", Meaning::Expired, true),
    ("TokenRefreshRequired", Meaning::Expired, false),
    ("RequestExpired", Meaning::Expired, false),
    ("InvalidToken", Meaning::Token, true),
    ("InvalidSecurity", Meaning::Token, false),
    ("RequestTimeTooSkewed", Meaning::Clock, true),
    ("NotSignedUp", Meaning::NotSignedUp, false),
    ("OptInRequired", Meaning::NotSignedUp, false),
    ("RegionDisabledException", Meaning::RegionOff, true),
    ("PreconditionFailed", Meaning::Changed, false),
    ("ConditionalRequestConflict", Meaning::Changed, false),
    ("NotModified", Meaning::Changed, false),
    ("SlowDown", Meaning::Busy, true),
    ("ServiceUnavailable", Meaning::Busy, false),
    ("Throttling", Meaning::Busy, false),
    ("ThrottlingException", Meaning::Busy, false),
    ("ThrottledException", Meaning::Busy, false),
    ("RequestThrottled", Meaning::Busy, false),
    ("RequestThrottledException", Meaning::Busy, false),
    ("RequestLimitExceeded", Meaning::Busy, false),
    ("BandwidthLimitExceeded", Meaning::Busy, false),
    ("TooManyRequests", Meaning::Busy, false),
    ("TooManyRequestsException", Meaning::Busy, false),
    ("InternalError", Meaning::Busy, false),
    ("OperationAborted", Meaning::Busy, false),
    ("Busy", Meaning::Busy, false),
    ("RequestTimeout", Meaning::Timeout, false),
    ("RequestTimeoutException", Meaning::Timeout, false),
    ("PermanentRedirect", Meaning::Elsewhere, false),
    ("TemporaryRedirect", Meaning::Elsewhere, false),
    ("Redirect", Meaning::Elsewhere, false),
    ("AuthorizationHeaderMalformed", Meaning::Elsewhere, true),
    ("IllegalLocationConstraintException", Meaning::Elsewhere, false),
    ("IncorrectEndpoint", Meaning::Elsewhere, false),
    ("InvalidObjectState", Meaning::Archived, false),
    ("BucketAlreadyExists", Meaning::BucketTaken, false),
    ("BucketAlreadyOwnedByYou", Meaning::BucketOwned, false),
    ("BucketNotEmpty", Meaning::BucketNotEmpty, false),
    ("BadDigest", Meaning::Corrupt, false),
    ("XAmzContentSHA256Mismatch", Meaning::Corrupt, false),
    ("XAmzContentChecksumMismatch", Meaning::Corrupt, false),
    ("InvalidBucketName", Meaning::BucketName, false),
    ("KeyTooLongError", Meaning::KeyTooLong, false),
    ("NotImplemented", Meaning::NotImplemented, false),
    ("MethodNotAllowed", Meaning::NotImplemented, false),
    ("XNotImplemented", Meaning::NotImplemented, false),
];

/// What a code means; None for one that nobody here treats apart.
pub(crate) fn meaning(code: &str) -> Option<Meaning> {
    CODES.iter().find(|(known, ..)| *known == code).map(|(_, meaning, _)| *meaning)
}

/// The code that a text quotes, the longest if several fit.
pub(crate) fn quoted_in(text: &str) -> Option<&'static str> {
    CODES
        .iter()
        .filter(|(code, _, distinct)| *distinct && text.contains(code))
        .map(|(code, ..)| *code)
        .max_by_key(|code| code.len())
}

/// Whether the same request may pass when it is sent again: what is overloaded, failing or slow.
pub(crate) fn may_pass_later(status: u16, code: &str) -> bool {
    matches!(meaning(code), Some(Meaning::Busy | Meaning::Timeout))
        || matches!(status, 408 | 429 | 500 | 502 | 503 | 504)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_code_stands_once_in_the_table() {
        let codes: BTreeSet<&str> = CODES.iter().map(|(code, ..)| *code).collect();
        assert_eq!(codes.len(), CODES.len());
    }

    #[test]
    fn a_code_is_found_in_running_text() {
        let text = "role: ExpiredTokenException: the token included is expired";
        assert_eq!(quoted_in(text), Some("ExpiredTokenException"));
        assert_eq!(quoted_in("the service redirects to a Busy page"), None);
    }

    #[test]
    fn what_may_pass_later_is_asked_again_and_nothing_else() {
        assert!(may_pass_later(503, "SlowDown") && may_pass_later(500, ""));
        assert!(may_pass_later(400, "RequestTimeout") && may_pass_later(200, "InternalError"));
        for (status, code) in [(403, "AccessDenied"), (404, ""), (412, "PreconditionFailed")] {
            assert!(!may_pass_later(status, code), "{code}");
        }
    }
}
