//! What the data path costs: a fixed amount of work over one endpoint, with wall time, CPU time and
//! peak memory of this process. `--limit` does the same work with a bare hyper client: no signing, no
//! parsing, no checking (the service must allow anonymous access).
//!
//! ```text
//! wire_bench --endpoint http://127.0.0.1:8333 --id ID --secret SECRET [--bucket bench] [--prefix p/]
//!            [--count 20000] [--size 10240] [--flight 64] [--threads 2] [--limit] put get copy list delete
//! ```

use bytes::Bytes;
use futures::TryStreamExt as _;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use std::collections::HashMap;
use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Instant;
use windlass_s3::{
    ForgetfulRegions, GetOptions, ListOptions, ObjectAccess as _, PutOptions, S3Store, Secrets,
};
use windlass_types::{Location, Name, ObjectPath, OptionMap, OptionValue, S3Spec};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Outcome<T> = Result<T, Box<dyn StdError + Send + Sync>>;

/// What is to be done.
#[derive(Debug, Clone)]
struct Job {
    endpoint: String,
    id: String,
    secret: String,
    bucket: String,
    prefix: String,
    count: usize,
    size: usize,
    flight: usize,
    threads: usize,
    limit: bool,
    works: Vec<String>,
}

impl Job {
    fn from_arguments(arguments: impl Iterator<Item = String>) -> Outcome<Self> {
        let (mut options, mut works) = (HashMap::new(), Vec::new());
        let mut arguments = arguments.peekable();
        while let Some(argument) = arguments.next() {
            match argument.strip_prefix("--") {
                Some("limit") => drop(options.insert("limit".to_owned(), String::new())),
                Some(name) => {
                    let value = arguments.next().ok_or("an option has no value")?;
                    options.insert(name.to_owned(), value);
                }
                None => works.push(argument),
            }
        }
        let mut text =
            |name: &str, default: &str| options.remove(name).unwrap_or_else(|| default.to_owned());
        Ok(Self {
            endpoint: text("endpoint", "http://127.0.0.1:8333"),
            id: text("id", "bench"),
            secret: text("secret", "bench-secret"),
            bucket: text("bucket", "bench"),
            prefix: text("prefix", "wire/"),
            count: text("count", "20000").parse()?,
            size: text("size", "10240").parse()?,
            flight: text("flight", "64").parse()?,
            threads: text("threads", "2").parse()?,
            limit: options.contains_key("limit"),
            works,
        })
    }

    fn key(&self, number: usize) -> String {
        format!("{}{:03}/{number:07}.bin", self.prefix, number % 200)
    }

    fn store(&self) -> Outcome<S3Store> {
        let text = |text: &str| OptionValue::Text(text.to_owned());
        let options = OptionMap::from([
            ("ENDPOINT".to_owned(), text(&self.endpoint)),
            ("ALLOW_HTTP".to_owned(), OptionValue::Bool(true)),
            ("AWS_ACCESS_KEY_ID".to_owned(), text(&self.id)),
            ("AWS_SECRET_ACCESS_KEY".to_owned(), text(&self.secret)),
            ("MAX_CONCURRENCY".to_owned(), OptionValue::Integer(i64::try_from(self.flight)?)),
        ]);
        let secrets = Secrets {
            access_key_id: Some(self.id.as_str().into()),
            secret_access_key: Some(self.secret.as_str().into()),
            ..Secrets::default()
        };
        let spec = S3Spec::build(&options)?;
        Ok(S3Store::open(Name::new("bench")?, spec, secrets, Arc::new(ForgetfulRegions))?)
    }
}

fn main() -> Outcome<()> {
    let job = Arc::new(Job::from_arguments(std::env::args().skip(1))?);
    let mut runtime = match job.threads {
        0 => tokio::runtime::Builder::new_current_thread(),
        threads => {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            builder.worker_threads(threads);
            builder
        }
    };
    runtime.enable_all().build()?.block_on(async {
        let store = job.store()?;
        for work in &job.works {
            let (begin, spent) = (Instant::now(), cpu()?);
            let done = if job.limit {
                limit(&job, work).await?
            } else {
                windlass(&store, &job, work).await?
            };
            println!(
                "{} {work:<6} {done:>7} items  wall {:>7.3} s  CPU {:>6.2} s  peak RSS {:>5.1} MB",
                if job.limit { "limit   " } else { "windlass" },
                begin.elapsed().as_secs_f64(),
                cpu()? - spent,
                peak()?,
            );
        }
        Ok(())
    })
}

/// The work over the seam that every feature uses.
async fn windlass(store: &S3Store, job: &Arc<Job>, work: &str) -> Outcome<usize> {
    let at = |key: String| ObjectPath { bucket: job.bucket.clone(), key };
    if work == "list" {
        let location = Location { bucket: Some(job.bucket.clone()), key: job.prefix.clone() };
        let options = ListOptions { recursive: true, ..ListOptions::default() };
        let mut entries = store.list(&location, options);
        let mut found = 0;
        while let Some(entry) = entries.try_next().await? {
            found += usize::from(!entry.key.is_empty());
        }
        return Ok(found);
    }
    let body = body(job.size);
    let tasks = (0..job.flight).map(|worker| {
        let (store, job, body, work) =
            (store.clone(), Arc::clone(job), body.clone(), work.to_owned());
        let objects: Vec<_> =
            (worker..job.count).step_by(job.flight).map(|number| at(job.key(number))).collect();
        tokio::spawn(async move {
            for object in objects {
                match work.as_str() {
                    "put" => {
                        store.put(&object, body.clone(), PutOptions::default()).await?;
                    }
                    "get" => {
                        let mut read = store.get(&object, GetOptions::default()).await?;
                        let mut length = 0;
                        while let Some(bytes) = read.stream.try_next().await? {
                            length += bytes.len();
                        }
                        if length != job.size {
                            return Err(format!("`{object}` has {length} bytes").into());
                        }
                    }
                    "head" => drop(store.stat(&object, None).await?),
                    "copy" => {
                        let to = ObjectPath {
                            key: format!("copy/{}", object.key),
                            bucket: object.bucket.clone(),
                        };
                        store.copy(&object, &to, None, PutOptions::default()).await?;
                    }
                    "delete" => store.delete(&object).await?,
                    other => return Err(format!("no work is called `{other}`").into()),
                }
            }
            Outcome::Ok(())
        })
    });
    let tasks: Vec<_> = tasks.collect();
    for task in tasks {
        task.await??;
    }
    Ok(job.count)
}

/// The same bytes over bare connections.
async fn limit(job: &Arc<Job>, work: &str) -> Outcome<usize> {
    let address = job.endpoint.strip_prefix("http://").ok_or("the limit speaks plain HTTP")?;
    if work == "list" {
        let mut connection = connect(address).await?;
        let (mut pages, mut token) = (0, String::new());
        loop {
            let prefix = job.prefix.replace('/', "%2F");
            let path = format!(
                "/{}?continuation-token={token}&list-type=2&encoding-type=url&prefix={prefix}",
                job.bucket
            );
            let page = call(&mut connection, address, "GET", &path, None, Bytes::new()).await?;
            pages += 1;
            let page = String::from_utf8_lossy(&page);
            let Some(at) = page.find("<NextContinuationToken>") else { return Ok(pages) };
            let rest = &page[at + "<NextContinuationToken>".len()..];
            let end = rest.find('<').unwrap_or(0);
            if end == 0 {
                return Ok(pages);
            }
            token = rest[..end].replace('/', "%2F").replace('+', "%2B").replace('=', "%3D");
        }
    }
    let body = body(job.size);
    let tasks = (0..job.flight).map(|worker| {
        let (job, body, work) = (Arc::clone(job), body.clone(), work.to_owned());
        let address = address.to_owned();
        tokio::spawn(async move {
            let mut connection = connect(&address).await?;
            for number in (worker..job.count).step_by(job.flight) {
                let (key, bucket) = (job.key(number), &job.bucket);
                let (path, to) = (format!("/{bucket}/{key}"), format!("/{bucket}/copy/{key}"));
                let (method, path, source, sent) = match work.as_str() {
                    "put" => ("PUT", path, None, body.clone()),
                    "get" => ("GET", path, None, Bytes::new()),
                    "head" => ("HEAD", path, None, Bytes::new()),
                    "copy" => ("PUT", to, Some(path), Bytes::new()),
                    "delete" => ("DELETE", path, None, Bytes::new()),
                    other => return Err(format!("no work is called `{other}`").into()),
                };
                call(&mut connection, &address, method, &path, source.as_deref(), sent).await?;
            }
            Outcome::Ok(())
        })
    });
    let tasks: Vec<_> = tasks.collect();
    for task in tasks {
        task.await??;
    }
    Ok(job.count)
}

async fn connect(address: &str) -> Outcome<SendRequest<Full<Bytes>>> {
    let stream = tokio::net::TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (send, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(send)
}

/// One request; the body of its answer is thrown away but for listings, which need their token.
async fn call(
    connection: &mut SendRequest<Full<Bytes>>,
    address: &str,
    method: &str,
    path: &str,
    source: Option<&str>,
    body: Bytes,
) -> Outcome<Vec<u8>> {
    let mut request = http::Request::builder().method(method).uri(path).header("host", address);
    if let Some(source) = source {
        request = request.header("x-amz-copy-source", source);
    }
    connection.ready().await?;
    let mut answer = connection.send_request(request.body(Full::new(body))?).await?;
    let status = answer.status();
    if !status.is_success() {
        let said = answer.collect().await?.to_bytes();
        return Err(format!("{method} {path}: {status} {}", String::from_utf8_lossy(&said)).into());
    }
    let mut kept = Vec::new();
    while let Some(frame) = answer.frame().await {
        if let Ok(bytes) = frame?.into_data()
            && path.contains('?')
        {
            kept.extend_from_slice(&bytes);
        }
    }
    Ok(kept)
}

/// Bytes that no storage can leave out.
fn body(size: usize) -> Bytes {
    (0..size)
        .map(|at| u8::try_from((at * 31 + at / 251) % 256).unwrap_or(0))
        .collect::<Vec<_>>()
        .into()
}

/// User and system seconds of this process; the clock of `/proc` ticks 100 times a second.
fn cpu() -> Outcome<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let after = stat.rsplit(") ").next().ok_or("no fields")?;
    let ticks = |at: usize| -> Outcome<f64> {
        Ok(after.split(' ').nth(at).ok_or("no field")?.parse::<f64>()?)
    };
    Ok((ticks(11)? + ticks(12)?) / 100.0)
}

/// Greatest resident memory of this process so far, in MB.
fn peak() -> Outcome<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmHWM")).ok_or("no VmHWM")?;
    Ok(line.split_whitespace().nth(1).ok_or("no number")?.parse::<f64>()? / 1024.0)
}
