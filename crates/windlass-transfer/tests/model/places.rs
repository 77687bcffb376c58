//! Where trees lie: buckets of the test S3, of SeaweedFS, and folders of this machine. They are looked at
//! and changed behind the back of what is tested.

use super::trees::{Change, Tree};
use bytes::Bytes;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use windlass_s3::local::local_side;
use windlass_s3::{ForgetfulRegions, S3Store, Secrets};
use windlass_testkit::{Client, Keys, SeaweedFs, TestS3, TestS3Options};
use windlass_transfer::Side;
use windlass_types::{Location, Name, OptionMap, OptionValue, S3Spec};

const HOUR: Duration = Duration::from_hours(1);

/// Rows of a page, so that small trees have several.
pub(crate) const PAGE: usize = 9;

/// A place with a tree below a folder, and something beside it.
pub(crate) enum Place {
    Bucket { server: Arc<TestS3>, bucket: String, prefix: String },
    Weed { server: &'static SeaweedFs, bucket: String, prefix: String },
    Folder { root: tempfile::TempDir },
}

/// A test S3 that takes parts of any size and lists in small pages.
pub(crate) async fn service() -> Arc<TestS3> {
    let options = TestS3Options { min_part_size: 1, page_size: PAGE, ..TestS3Options::default() };
    Arc::new(TestS3::start_with(options).await)
}

impl Place {
    pub(crate) fn bucket(server: &Arc<TestS3>, bucket: &str, prefix: &str) -> Self {
        server.state().create_bucket(bucket);
        // Names that begin alike, which no run may touch.
        let plain = prefix.trim_end_matches('/');
        for beside in [plain.to_owned(), format!("{plain}!"), format!("{plain}0/a"), "z".to_owned()]
        {
            server.state().put(bucket, &beside, beside.clone());
        }
        Self::Bucket { server: Arc::clone(server), bucket: bucket.into(), prefix: prefix.into() }
    }

    pub(crate) async fn weed(bucket: &str, prefix: &str) -> Self {
        let server = SeaweedFs::shared().await;
        server.client().create_bucket(bucket, "us-east-1").await;
        server.client().put(bucket, "z", "z").await;
        Self::Weed { server, bucket: bucket.into(), prefix: prefix.into() }
    }

    pub(crate) fn folder() -> Self {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("t")).unwrap();
        std::fs::write(root.path().join("beside"), "beside").unwrap();
        Self::Folder { root }
    }

    /// Where requests go to; None for a folder.
    pub(crate) fn endpoint(&self) -> Option<String> {
        match self {
            Self::Bucket { server, .. } => Some(server.endpoint()),
            Self::Weed { server, .. } => Some(server.endpoint()),
            Self::Folder { .. } => None,
        }
    }

    /// This place for a run, through `endpoint` (that of a proxy, or its own).
    pub(crate) fn side(&self, name: &str, endpoint: Option<&str>) -> Side {
        let (keys, bucket, prefix) = match self {
            Self::Bucket { server, bucket, prefix } => {
                let (id, secret) = server.admin();
                (Keys::new(&id, &secret), bucket, prefix)
            }
            Self::Weed { server, bucket, prefix } => (server.full(), bucket, prefix),
            Self::Folder { root } => {
                let (store, location) = local_side(&root.path().join("t/")).unwrap();
                return Side { storage: Arc::new(store), location };
            }
        };
        let own = self.endpoint().unwrap_or_default();
        let text = |text: &str| OptionValue::Text(text.to_owned());
        let options: OptionMap = [
            ("ENDPOINT", text(endpoint.unwrap_or(&own))),
            ("ALLOW_HTTP", OptionValue::Bool(true)),
            ("AWS_ACCESS_KEY_ID", text(&keys.access_key_id)),
            ("AWS_SECRET_ACCESS_KEY", text(&keys.secret_access_key)),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
        let secrets = Secrets {
            access_key_id: Some(keys.access_key_id.into()),
            secret_access_key: Some(keys.secret_access_key.into()),
            ..Secrets::default()
        };
        let spec = S3Spec::build(&options).unwrap();
        let name = Name::new(name).unwrap();
        let store = S3Store::open(name, spec, secrets, Arc::new(ForgetfulRegions)).unwrap();
        let location = Location { bucket: Some(bucket.clone()), key: prefix.clone() };
        Side { storage: Arc::new(store), location }
    }

    /// The tree, and what lies beside it.
    pub(crate) async fn read(&self) -> (Tree, Tree) {
        let mut all = Tree::new();
        let prefix = match self {
            Self::Bucket { server, bucket, prefix } => {
                for key in server.state().keys(bucket) {
                    let bytes = server.state().get(bucket, &key).unwrap_or_default();
                    all.insert(key, bytes.to_vec());
                }
                prefix.as_str()
            }
            Self::Weed { server, bucket, prefix } => {
                let client = server.client();
                for key in keys(&client, bucket).await {
                    let bytes = client.get(bucket, &key).await.unwrap_or_default();
                    all.insert(key, bytes.to_vec());
                }
                prefix
            }
            Self::Folder { root } => {
                files(root.path(), root.path(), &mut all);
                "t/"
            }
        };
        let mut tree = Tree::new();
        let mut beside = Tree::new();
        for (key, bytes) in all {
            match key.strip_prefix(prefix) {
                Some(name) => tree.insert(name.to_owned(), bytes),
                None => beside.insert(key, bytes),
            };
        }
        (tree, beside)
    }

    /// Uploads that nobody finished, and files that are being written.
    pub(crate) async fn unfinished(&self) -> Vec<String> {
        match self {
            Self::Bucket { server, bucket, .. } => {
                server.state().uploads(bucket).into_iter().map(|(key, _)| key).collect()
            }
            Self::Weed { .. } => Vec::new(),
            Self::Folder { .. } => {
                let (tree, beside) = self.read().await;
                let all = tree.into_keys().chain(beside.into_keys());
                all.filter(|name| name.contains(".windlass-")).collect()
            }
        }
    }

    pub(crate) async fn change(&self, changes: &[Change]) {
        for change in changes {
            match (self, change) {
                (Self::Bucket { server, bucket, prefix }, Change::Write(name, bytes)) => {
                    server.state().put(bucket, &format!("{prefix}{name}"), bytes.clone());
                }
                (Self::Bucket { server, bucket, prefix }, Change::Remove(name)) => {
                    server.state().remove(bucket, &format!("{prefix}{name}"));
                }
                (Self::Weed { server, bucket, prefix }, Change::Write(name, bytes)) => {
                    let bytes = Bytes::from(bytes.clone());
                    server.client().put(bucket, &format!("{prefix}{name}"), bytes).await;
                }
                (Self::Weed { server, bucket, prefix }, Change::Remove(name)) => {
                    let path = format!("/{bucket}/{}", encoded(&format!("{prefix}{name}")));
                    server.client().expect("s3", "DELETE", &path, &[], "").await;
                }
                (Self::Folder { root }, Change::Write(name, bytes)) => {
                    let path = root.path().join("t").join(name);
                    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                    // Empty folders that a move left.
                    let _ = std::fs::remove_dir_all(&path);
                    std::fs::write(path, bytes).unwrap();
                }
                (Self::Folder { root }, Change::Remove(name)) => {
                    let file = root.path().join("t").join(name);
                    std::fs::remove_file(&file).unwrap();
                    // With the folders that it leaves empty, so that a file can have their name.
                    let above = file.ancestors().skip(1).take(name.matches('/').count());
                    let _ = above.map(std::fs::remove_dir).take_while(Result::is_ok).count();
                }
            }
        }
    }

    /// Puts a whole tree there.
    pub(crate) async fn fill(&self, tree: &Tree) {
        let all: Vec<Change> =
            tree.iter().map(|(name, bytes)| Change::Write(name.clone(), bytes.clone())).collect();
        self.change(&all).await;
    }

    /// Lets an hour pass; false where time cannot be moved.
    pub(crate) fn age(&self) -> bool {
        match self {
            Self::Bucket { server, bucket, .. } => server.state().age(bucket, HOUR),
            Self::Weed { .. } => return false,
            Self::Folder { root } => {
                let mut all = Tree::new();
                files(root.path(), root.path(), &mut all);
                for name in all.into_keys() {
                    let file = std::fs::File::open(root.path().join(name)).unwrap();
                    let time = file.metadata().unwrap().modified().unwrap();
                    file.set_modified(time - HOUR).unwrap();
                }
            }
        }
        true
    }

    /// Whether both are in one bucket.
    pub(crate) fn is_with(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Bucket { server: one, bucket: here, .. },
                Self::Bucket { server: two, bucket: there, .. },
            ) => Arc::ptr_eq(one, two) && here == there,
            _ => false,
        }
    }
}

fn files(root: &Path, folder: &Path, all: &mut Tree) {
    let paths: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    for path in paths {
        if path.is_dir() {
            files(root, &path, all);
        } else {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            all.insert(name, std::fs::read(&path).unwrap());
        }
    }
}

fn encoded(key: &str) -> String {
    key.bytes().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}

/// All keys of a bucket of SeaweedFS; fewer than a page holds.
async fn keys(client: &Client, bucket: &str) -> Vec<String> {
    let path = format!("/{bucket}?encoding-type=url&list-type=2&max-keys=1000");
    let page = client.expect("s3", "GET", &path, &[], "").await.text();
    assert!(page.contains("<IsTruncated>false"), "{page}");
    page.split("<Key>")
        .skip(1)
        .map(|rest| {
            let text = rest.split("</Key>").next().unwrap_or_default();
            decoded(text)
        })
        .collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let hex: Vec<u8> = rest.by_ref().take(2).collect();
                let hex = String::from_utf8(hex).unwrap();
                bytes.push(u8::from_str_radix(&hex, 16).unwrap());
            }
            b'+' => bytes.push(b' '),
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).unwrap()
}
