//! The public face of the test S3, driven by the AWS SDK as any client would.

mod copies;
mod faults;
mod listing;
mod objects;
mod proxy;
mod rights;
mod roles;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region, StalledStreamProtectionConfig};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use windlass_testkit::TestS3;

/// A client of the admin.
fn admin(server: &TestS3) -> Client {
    let (id, secret) = server.admin();
    client(&server.endpoint(), &id, &secret, None)
}

/// A client that does not retry.
fn client(endpoint: &str, id: &str, secret: &str, token: Option<&str>) -> Client {
    let credentials = Credentials::new(id, secret, token.map(str::to_owned), None, "test");
    Client::from_conf(config(endpoint).credentials_provider(credentials).build())
}

fn config(endpoint: &str) -> aws_sdk_s3::config::Builder {
    aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(endpoint)
        .force_path_style(true)
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .retry_config(RetryConfig::disabled())
}

async fn put(client: &Client, bucket: &str, key: &str, body: impl Into<Vec<u8>>) -> String {
    let body = ByteStream::from(body.into());
    let answer = client.put_object().bucket(bucket).key(key).body(body).send().await.unwrap();
    answer.e_tag.unwrap()
}

async fn get(client: &Client, bucket: &str, key: &str) -> Vec<u8> {
    let answer = client.get_object().bucket(bucket).key(key).send().await.unwrap();
    answer.body.collect().await.unwrap().to_vec()
}

/// Status and code of a refused request.
fn refused<T, E: ProvideErrorMetadata>(
    result: Result<T, SdkError<E, aws_sdk_s3::config::http::HttpResponse>>,
) -> (u16, String) {
    let Err(error) = result else { panic!("the request was not refused") };
    let status = error.raw_response().map_or(0, |it| it.status().as_u16());
    (status, error.code().unwrap_or_default().to_owned())
}

fn no(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}
