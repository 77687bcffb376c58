//! moto: AWS services in one process, with STS, IAM enforcement, KMS and regions.

use super::client::{Client, Keys};
use super::process::{Process, free_ports, program};
use std::process::Command;
use std::time::{Duration, Instant};
use tokio::sync::OnceCell;

/// A `moto_server`: S3, STS, IAM, KMS and CloudWatch at one endpoint.
///
/// Enforcement of IAM is a setting of the whole server, so a test that enforces starts its own.
#[derive(Debug)]
pub struct Moto {
    endpoint: String,
    process: Process,
}

impl Moto {
    /// The server that all tests of this process share; it does not enforce IAM.
    ///
    /// # Panics
    /// Where it is not installed or cannot start.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<Moto> = OnceCell::const_new();
        SHARED.get_or_init(Self::start).await
    }

    /// Starts a server.
    ///
    /// # Panics
    /// Where it is not installed or cannot start.
    pub async fn start() -> Self {
        let program = program("moto_server");
        let mut last = String::new();
        for _ in 0..3 {
            let folder = tempfile::Builder::new().prefix("windlass-moto-").tempdir();
            let folder = folder.expect("a folder");
            let [port] = free_ports();
            let mut command = Command::new(&program);
            command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
            command.current_dir(folder.path()).env_remove("INITIAL_NO_AUTH_ACTION_COUNT");
            command.env_remove("MOTO_PORT").env("PYTHONDONTWRITEBYTECODE", "1");
            let endpoint = format!("http://127.0.0.1:{port}");
            let client = Client::new(&endpoint, None);
            let mut server = Self { endpoint, process: Process::start(command, folder) };
            let begun = Instant::now();
            loop {
                let answer = client.send("s3", "GET", "/moto-api/data.json", &[], "").await;
                if answer.is_ok_and(|answer| answer.status == 200) {
                    return server;
                }
                if server.process.has_ended() || begun.elapsed() > Duration::from_mins(4) {
                    last = server.process.log_tail();
                    break;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        panic!("moto did not start: {last}");
    }

    /// `http://127.0.0.1:PORT` of every service.
    pub fn endpoint(&self) -> String {
        self.endpoint.clone()
    }

    /// Keys that may do everything while IAM is not enforced.
    pub fn keys(&self) -> Keys {
        Keys::new("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    }

    /// A client that may do everything while IAM is not enforced.
    pub fn client(&self) -> Client {
        Client::new(&self.endpoint, Some(self.keys()))
    }

    /// Turns IAM enforcement (signatures and policies) on or off; turn it on when all is set up.
    pub async fn enforce(&self, on: bool) {
        let count = if on { "0" } else { "inf" };
        let client = Client::new(&self.endpoint, None);
        client.expect("s3", "POST", "/moto-api/reset-auth", &[], count).await;
    }

    /// Creates a user with an inline policy (JSON) and returns its keys.
    ///
    /// # Panics
    /// Where moto refuses.
    pub async fn create_user(&self, name: &str, policy: &str) -> Keys {
        let client = self.client();
        client.query("iam", "CreateUser", &[("UserName", name)]).await;
        let document = [("UserName", name), ("PolicyName", "inline"), ("PolicyDocument", policy)];
        client.query("iam", "PutUserPolicy", &document).await;
        let made = client.query("iam", "CreateAccessKey", &[("UserName", name)]).await;
        let part = |element| made.element(element).expect("an access key");
        Keys { access_key_id: part("AccessKeyId"), secret_access_key: part("SecretAccessKey") }
    }

    /// Creates a role with an inline policy (JSON) and returns its ARN. moto does not judge trust.
    ///
    /// # Panics
    /// Where moto refuses.
    pub async fn create_role(&self, name: &str, policy: &str) -> String {
        let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}]}"#;
        let client = self.client();
        let role = [("RoleName", name), ("AssumeRolePolicyDocument", trust)];
        let made = client.query("iam", "CreateRole", &role).await;
        let document = [("RoleName", name), ("PolicyName", "inline"), ("PolicyDocument", policy)];
        client.query("iam", "PutRolePolicy", &document).await;
        made.element("Arn").expect("an ARN")
    }

    /// Creates a KMS key and returns its ARN.
    ///
    /// # Panics
    /// Where moto refuses.
    pub async fn create_kms_key(&self) -> String {
        let headers = [
            ("content-type", "application/x-amz-json-1.1"),
            ("x-amz-target", "TrentService.CreateKey"),
        ];
        let answer = self.client().expect("kms", "POST", "/", &headers, "{}").await;
        let answer: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
        answer["KeyMetadata"]["Arn"].as_str().expect("an ARN").to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn moto_enforces_policies_when_asked() {
        let moto = Moto::start().await;
        moto.client().create_bucket("open-bucket", "eu-west-1").await;
        moto.client().create_bucket("shut-bucket", "us-east-1").await;
        assert!(moto.create_kms_key().await.starts_with("arn:aws:kms:"));
        let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:ListBucket","s3:PutObject"],"Resource":["arn:aws:s3:::open-bucket","arn:aws:s3:::open-bucket/*"]}]}"#;
        let keys = moto.create_user("ann", policy).await;
        assert!(moto.create_role("loader", policy).await.ends_with(":role/loader"));
        moto.enforce(true).await;
        let ann = Client::new(&moto.endpoint(), Some(keys));
        ann.put("open-bucket", "a", "1").await;
        let refused = ann.send("s3", "GET", "/shut-bucket", &[], "").await.unwrap();
        assert_eq!(refused.status, 403, "{}", refused.text());
        let stranger = moto.client().send("s3", "GET", "/open-bucket", &[], "").await.unwrap();
        assert_eq!(stranger.status, 403, "{}", stranger.text());
        moto.enforce(false).await;
        assert_eq!(moto.client().get("open-bucket", "a").await.as_deref(), Some(&b"1"[..]));
    }
}
