//! STS: roles, their trust, their credentials and the end of these.

use crate::{client, no, refused};
use aws_sdk_sts::Client;
use aws_sdk_sts::config::retry::RetryConfig;
use aws_sdk_sts::config::{BehaviorVersion, Credentials, Region};
use std::time::Duration;
use windlass_testkit::{Fault, FaultKind, TestIdentity, TestRole, TestS3, TestS3Options};

const ROLE: &str = "arn:aws:iam::123456789012:role/loader";

async fn server(role: TestRole) -> TestS3 {
    let identities = vec![TestIdentity::new("CALLER", "s"), TestIdentity::new("OTHER", "s")];
    TestS3::start_with(TestS3Options { identities, roles: vec![role], ..Default::default() }).await
}

fn sts(server: &TestS3, id: &str, secret: &str, token: Option<&str>) -> Client {
    let credentials = Credentials::new(id, secret, token.map(str::to_owned), None, "test");
    Client::from_conf(
        aws_sdk_sts::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .endpoint_url(server.endpoint())
            .retry_config(RetryConfig::disabled())
            .credentials_provider(credentials)
            .build(),
    )
}

#[tokio::test]
async fn a_role_checks_who_asks_and_gives_its_own_rights() {
    let mut role = TestRole::new(ROLE).external_id("ext").allow("CALLER");
    role.read = vec!["lake".to_owned()];
    role.write = Vec::new();
    let server = server(role).await;
    server.state().put("lake", "k", "v");
    let assume = |id: &'static str, external: Option<&str>| {
        sts(&server, id, "s", None)
            .assume_role()
            .role_arn(ROLE)
            .role_session_name("WindlassSession")
            .source_identity("ann")
            .duration_seconds(900)
            .set_external_id(external.map(str::to_owned))
            .send()
    };
    assert_eq!(refused(assume("OTHER", Some("ext")).await), no(403, "AccessDenied"));
    assert_eq!(refused(assume("CALLER", Some("wrong")).await), no(403, "AccessDenied"));
    assert_eq!(refused(assume("CALLER", None).await), no(403, "AccessDenied"));
    let given = assume("CALLER", Some("ext")).await.unwrap();
    let user = given.assumed_role_user().unwrap();
    assert_eq!(user.arn(), "arn:aws:sts::123456789012:assumed-role/loader/WindlassSession");
    assert_eq!(given.source_identity(), Some("ann"));

    let keys = given.credentials().unwrap();
    let token = Some(keys.session_token());
    let session = client(&server.endpoint(), keys.access_key_id(), keys.secret_access_key(), token);
    assert_eq!(crate::get(&session, "lake", "k").await, b"v");
    let write = session.delete_object().bucket("lake").key("k").send().await;
    assert_eq!(refused(write), no(403, "AccessDenied"));
    let log = server.state().sessions();
    assert_eq!(log.len(), 1);
    assert_eq!((log[0].session_name.as_str(), log[0].duration.as_secs()), ("WindlassSession", 900));

    let me = sts(&server, keys.access_key_id(), keys.secret_access_key(), token);
    let me = me.get_caller_identity().send().await.unwrap();
    assert_eq!((me.account(), me.arn()), (Some("123456789012"), Some(user.arn())));

    server.state().expire_sessions();
    let old = session.get_object().bucket("lake").key("k").send().await;
    assert_eq!(refused(old), no(400, "ExpiredToken"));
    assert_eq!(server.state().count("AssumeRole"), 4);
}

#[tokio::test]
async fn what_a_role_gives_ends_as_early_as_a_test_wants() {
    // Long enough for any machine, and too short for any.
    for (lifetime, ended) in [(Duration::from_hours(1), false), (Duration::from_millis(1), true)] {
        let server = server(TestRole::new(ROLE).lifetime(lifetime)).await;
        let caller = sts(&server, "CALLER", "s", None);
        let given =
            caller.assume_role().role_arn(ROLE).role_session_name("short").send().await.unwrap();
        let keys = given.credentials().unwrap();
        let session = client(
            &server.endpoint(),
            keys.access_key_id(),
            keys.secret_access_key(),
            Some(keys.session_token()),
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
        let answer = session.list_buckets().send().await;
        if ended {
            assert_eq!(refused(answer), no(400, "ExpiredToken"));
        } else {
            answer.unwrap();
        }
    }
}

#[tokio::test]
async fn sts_refuses_in_its_own_words() {
    let mut role = TestRole::new(ROLE);
    role.max_duration = Duration::from_hours(2);
    role.web_identity_token = Some("jwt".to_owned());
    let server = server(role).await;
    let who = |id: &str, secret: &str| sts(&server, id, secret, None).get_caller_identity().send();
    assert_eq!(refused(who("NOBODY", "s").await), no(403, "InvalidClientTokenId"));
    assert_eq!(refused(who("CALLER", "wrong").await), no(403, "SignatureDoesNotMatch"));
    let me = who("CALLER", "s").await.unwrap();
    assert_eq!(me.arn(), Some("arn:aws:iam::000000000000:user/CALLER"));

    let caller = sts(&server, "CALLER", "s", None);
    let assume = || caller.assume_role().role_arn(ROLE).role_session_name("name");
    assert_eq!(refused(assume().duration_seconds(899).send().await), no(400, "ValidationError"));
    assert_eq!(refused(assume().duration_seconds(7201).send().await), no(400, "ValidationError"));
    assert_eq!(refused(assume().role_session_name("a b").send().await), no(400, "ValidationError"));
    assert_eq!(
        refused(assume().role_arn("arn:aws:iam::1:role/none").send().await),
        no(403, "AccessDenied")
    );
    server.state().add_fault(Fault::new("AssumeRole", FaultKind::SlowDown));
    assert_eq!(refused(assume().send().await).0, 503);

    let web = |token: &str| {
        let web = caller.assume_role_with_web_identity().role_arn(ROLE).role_session_name("web");
        web.web_identity_token(token).send()
    };
    assert_eq!(refused(web("other").await), no(400, "InvalidIdentityToken"));
    web("jwt").await.unwrap();
}

#[tokio::test]
async fn a_session_token_has_the_rights_of_its_caller_and_a_chain_is_an_hour_at_most() {
    let server = server(TestRole::new(ROLE)).await;
    let (id, secret) = server.admin();
    let given = sts(&server, &id, &secret, None).get_session_token().send().await.unwrap();
    let keys = given.credentials().unwrap();
    let token = Some(keys.session_token());
    let session = client(&server.endpoint(), keys.access_key_id(), keys.secret_access_key(), token);
    session.create_bucket().bucket("made").send().await.unwrap();
    let chained = sts(&server, keys.access_key_id(), keys.secret_access_key(), token);
    assert_eq!(refused(chained.get_session_token().send().await), no(403, "AccessDenied"));
    let assume = || chained.assume_role().role_arn(ROLE).role_session_name("chain");
    assert_eq!(refused(assume().duration_seconds(3601).send().await), no(400, "ValidationError"));
    assume().send().await.unwrap();
}
