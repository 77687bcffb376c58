//! An S3 connection, ready to use: the clients behind it and the door to every verb.
//!
//! Opening does no IO. Every verb passes here: binding and `READ_ONLY` first, then the client of the
//! bucket's own region, then, once, the region a redirect names. The verbs are in
//! [`crate::list`], [`crate::read`], [`crate::write`] and [`crate::presign`].

mod objects;

use crate::checksum::Support;
use crate::credentials::{self, Wiring};
use crate::encryption::CustomerKey;
use crate::failure::{Failure, Redirect, redirect};
use crate::guard::Guard;
use crate::order::ListingOrder;
use crate::region::{self, RegionMemory};
use crate::scan::Orders;
use crate::sdk::Sdk;
use crate::secrets::Secrets;
use crate::wire::{Route, Traffic, Wire};
use crate::{error, scan};
use aws_config::{Region, SdkConfig};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{RequestChecksumCalculation, ResponseChecksumValidation};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use std::collections::{HashMap, HashSet};
use std::error::Error as StdError;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::OnceCell;
use windlass_types::connection::{AddressingStyle, Identity};
use windlass_types::path::Binding;
use windlass_types::{Error, ErrorCode, Name, ObjectPath, Result, S3Spec};

/// A connection to S3 or a compatible service. Clones share everything.
#[derive(Clone)]
pub struct S3Store(
    Arc<Inner>,
    /// What the sources of copies are bound to, where another connection names them.
    Option<Binding>,
);

struct Inner {
    name: Name,
    spec: S3Spec,
    secrets: Secrets,
    customer_key: Option<CustomerKey>,
    memory: Arc<dyn RegionMemory>,
    guard: Guard,
    presign_guard: Guard,
    support: Support,
    wiring: OnceCell<Wiring>,
    wire: OnceCell<Wire>,
    /// Nothing goes through our own client: for comparing the two.
    only_sdk: bool,
    regions: Mutex<HashMap<String, String>>,
    /// Buckets that were asked for and are there.
    seen: Mutex<HashSet<String>>,
    orders: Arc<Orders>,
    clients: Mutex<HashMap<(String, bool), Client>>,
}

impl fmt::Debug for S3Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Store")
            .field("name", &self.0.name.as_str())
            .field("endpoint", &self.0.spec.endpoint)
            .field("binding", &self.0.spec.binding)
            .field("read_only", &self.0.spec.read_only)
            .finish_non_exhaustive()
    }
}

impl S3Store {
    /// Prepares a connection; no IO. Fails if the SSE-C key is none.
    pub fn open(
        name: Name,
        spec: S3Spec,
        secrets: Secrets,
        regions: Arc<dyn RegionMemory>,
    ) -> Result<Self> {
        let customer_key = CustomerKey::of(&spec, &secrets)?;
        let inner = Inner {
            guard: Guard::new(&name, &spec, &secrets, false),
            presign_guard: Guard::new(&name, &spec, &secrets, true),
            support: Support::new(&spec),
            name,
            spec,
            secrets,
            customer_key,
            memory: regions,
            wiring: OnceCell::new(),
            wire: OnceCell::new(),
            only_sdk: false,
            regions: Mutex::default(),
            seen: Mutex::default(),
            orders: Arc::default(),
            clients: Mutex::default(),
        };
        Ok(Self(Arc::new(inner), None))
    }

    /// What the person wrote.
    pub fn spec(&self) -> &S3Spec {
        &self.0.spec
    }

    /// Resolves the SDK configuration the connection acts with: its role's, where it has one.
    /// No service endpoint is set in it.
    pub async fn sdk_config(&self) -> Result<SdkConfig> {
        Ok(self.wiring().await?.config.clone())
    }

    /// Resolves the SDK configuration of the identity itself, before any role.
    pub async fn identity_config(&self) -> Result<SdkConfig> {
        Ok(self.wiring().await?.base.clone())
    }

    /// Makes an STS client of the identity (`before_role`) or of what the connection acts as; None
    /// where nothing may be sent to AWS: with ENDPOINT and without `STS_ENDPOINT`.
    pub async fn sts_client(&self, before_role: bool) -> Result<Option<aws_sdk_sts::Client>> {
        if self.spec().endpoint.is_some() && self.spec().sts_endpoint.is_none() {
            return Ok(None);
        }
        let wiring = self.wiring().await?;
        let config = if before_role { &wiring.base } else { &wiring.config };
        Ok(Some(credentials::sts(config, self.spec())))
    }

    /// Resolves the region the connection starts from.
    pub async fn start_region(&self) -> Result<String> {
        Ok(self.wiring().await?.region.clone())
    }

    /// Makes the client for what concerns no bucket.
    pub async fn base_client(&self) -> Result<Client> {
        let region = self.start_region().await?;
        self.client_in(&region, false).await
    }

    /// Makes the client for a bucket's own region, which is found if it is not known.
    pub async fn client(&self, bucket: &str) -> Result<Client> {
        let region = self.region_of(bucket).await?;
        self.client_in(&region, false).await
    }

    /// Finds the region of a bucket: remembered, REGION, or asked for.
    pub async fn region_of(&self, bucket: &str) -> Result<String> {
        if let Some(region) = self.learnt_region(bucket).await {
            return Ok(region);
        }
        let spec = self.spec();
        if spec.endpoint.is_some() || bucket.starts_with("arn:") {
            return self.start_region().await;
        }
        if let Some(region) = &spec.region {
            // Most likely right; a redirect corrects it, and a round trip is saved.
            return Ok(region.clone());
        }
        match self.discover_region(bucket).await? {
            Some(region) => Ok(region),
            None => self.start_region().await,
        }
    }

    /// The region of a bucket where there is no ENDPOINT: what a service said, not what REGION takes it
    /// for; None if none will say.
    pub(crate) async fn true_region(&self, bucket: &str) -> Option<String> {
        match self.learnt_region(bucket).await {
            Some(region) => Some(region),
            None => self.discover_region(bucket).await.ok()?,
        }
    }

    /// The region of a bucket that was found before, or that its name tells.
    async fn learnt_region(&self, bucket: &str) -> Option<String> {
        let told = self.known(bucket).or_else(|| region::of_arn(bucket).map(str::to_owned));
        if told.is_some() || self.spec().endpoint.is_some() || bucket.starts_with("arn:") {
            return told;
        }
        let region = self.0.memory.get(bucket).await?;
        self.note(bucket, &region);
        Some(region)
    }

    async fn discover_region(&self, bucket: &str) -> Result<Option<String>> {
        let region = Box::pin(region::discover(self, bucket)).await?;
        if let Some(region) = &region {
            self.remember(bucket, region).await;
        }
        Ok(region)
    }

    async fn wiring(&self) -> Result<&Wiring> {
        self.0
            .wiring
            .get_or_try_init(|| {
                // Boxed, as whatever happens rarely is here: requests are many and their futures small.
                Box::pin(credentials::wire(&self.0.name, &self.0.spec, &self.0.secrets))
            })
            .await
    }

    pub(crate) async fn client_in(&self, region: &str, presigning: bool) -> Result<Client> {
        let key = (region.to_owned(), presigning);
        if let Some(client) =
            self.0.clients.lock().unwrap_or_else(PoisonError::into_inner).get(&key)
        {
            return Ok(client.clone());
        }
        let (spec, wiring) = (self.spec(), self.wiring().await?);
        let guard = if presigning { &self.0.presign_guard } else { &self.0.guard };
        let mut config = aws_sdk_s3::config::Builder::from(&wiring.config)
            .region(Region::new(region.to_owned()))
            .force_path_style(spec.addressing == AddressingStyle::Path)
            .use_arn_region(true)
            .accelerate(spec.accelerate)
            // Checksums are ours to send and to verify: see `checksum`.
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .interceptor(guard.clone());
        if spec.identity == Identity::Anonymous {
            config = config.allow_no_auth();
        }
        if let Some(endpoint) = &spec.endpoint {
            config = config.endpoint_url(endpoint);
        }
        let client = Client::from_conf(config.build());
        self.0.clients.lock().unwrap_or_else(PoisonError::into_inner).insert(key, client.clone());
        Ok(client)
    }

    /// Sends a request about a bucket, to where the bucket is. A redirect is followed once.
    pub(crate) async fn send<T, E, F, R>(
        &self,
        operation: &'static str,
        bucket: &str,
        key: &str,
        request: F,
    ) -> Result<T>
    where
        E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
        F: Fn(Client) -> R,
        R: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    {
        self.try_send(operation, bucket, request)
            .await?
            .map_err(|failure| self.fail(operation, &target(bucket, key), failure))
    }

    /// As [`Self::send`], with the service's refusal as the SDK has it.
    pub(crate) async fn try_send<T, E, F, R>(
        &self,
        operation: &'static str,
        bucket: &str,
        request: F,
    ) -> Result<Result<T, SdkError<E, HttpResponse>>>
    where
        E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
        F: Fn(Client) -> R,
        R: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    {
        let request = &request;
        let attempt = move |region: String| async move {
            Ok(request(self.client_in(&region, false).await?).await)
        };
        self.follow(operation, bucket, attempt, redirect).await
    }

    /// Sends a request of the data path through the client of the bucket. The error of a failure
    /// holds no secret.
    pub(crate) async fn carry<'a, T, F, R>(
        &'a self,
        operation: &'static str,
        bucket: &'a str,
        request: F,
    ) -> Result<Result<T, Failure>>
    where
        F: Fn(Carrier<'a>) -> R,
        R: Future<Output = Result<T, Failure>>,
    {
        let request = &request;
        let attempt = move |region: String| async move {
            Ok(request(self.carrier(bucket, &region).await?).await)
        };
        let moved = |failure: &Failure| failure.redirect.clone();
        let answer = self.follow(operation, bucket, attempt, moved).await?;
        Ok(answer.map_err(|failure| Failure { error: self.clean(failure.error), ..failure }))
    }

    /// The same connection with nothing going through our own client.
    #[cfg(test)]
    pub(crate) fn sdk_only(mut self) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            inner.only_sdk = true;
        }
        self
    }

    /// The client that carries data to and from a bucket: ours, or the SDK's where ours cannot.
    pub(crate) async fn carrier(&self, bucket: &str, region: &str) -> Result<Carrier<'_>> {
        let wire = self.wire().await?;
        let route = if self.0.only_sdk {
            None
        } else {
            wire.routes.to(wire.line(), self.spec(), bucket, region).await?
        };
        Ok(match route {
            Some(route) => Carrier::Wire(wire, route),
            None => Carrier::Sdk(Sdk { store: self, client: self.client_in(region, false).await? }),
        })
    }

    pub(crate) async fn wire(&self) -> Result<&Wire> {
        let wiring = self.wiring().await?;
        let Inner { name, spec, guard, customer_key, .. } = &*self.0;
        self.0
            .wire
            .get_or_try_init(|| async {
                Wire::new(name, spec, guard, wiring, customer_key.as_ref())
            })
            .await
    }

    /// What the data path has sent since the connection was opened.
    pub fn traffic(&self) -> Traffic {
        self.0.wire.get().map(Wire::traffic).unwrap_or_default()
    }

    /// Does a request where the bucket is thought to be, and once more where a redirect says.
    async fn follow<T, X, F, R>(
        &self,
        operation: &'static str,
        bucket: &str,
        attempt: F,
        redirect: impl Fn(&X) -> Option<Redirect>,
    ) -> Result<Result<T, X>>
    where
        F: Fn(String) -> R,
        R: Future<Output = Result<Result<T, X>>>,
    {
        // Before the region is asked for: a refusal needs no network.
        self.0.guard.check(operation)?;
        let region = self.region_of(bucket).await?;
        let failure = match attempt(region.clone()).await? {
            Ok(answer) => return Ok(Ok(answer)),
            Err(failure) => failure,
        };
        let Some(hint) = redirect(&failure) else { return Ok(Err(failure)) };
        self.forget(bucket);
        let elsewhere = match hint {
            Redirect::To(region) => Some(region),
            Redirect::Elsewhere if self.spec().endpoint.is_some() => None,
            Redirect::Elsewhere => Box::pin(region::discover(self, bucket)).await?,
        };
        match elsewhere.filter(|other| *other != region) {
            None => Ok(Err(failure)),
            Some(other) => {
                tracing::debug!(connection = %self.0.name, bucket, region = %other, "bucket is elsewhere");
                let answer = attempt(other.clone()).await?;
                if answer.as_ref().err().is_none_or(|failure| redirect(failure).is_none()) {
                    self.remember(bucket, &other).await;
                }
                Ok(answer)
            }
        }
    }

    /// Our error for an SDK error, with no secret in it.
    pub(crate) fn fail<E>(
        &self,
        operation: &'static str,
        target: &str,
        failure: SdkError<E, HttpResponse>,
    ) -> Error
    where
        E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    {
        self.clean(error::map(operation, target, &self.0.name, failure))
    }

    pub(crate) fn clean(&self, error: Error) -> Error {
        self.0.secrets.clean(error)
    }

    pub(crate) fn connection(&self) -> &Name {
        &self.0.name
    }

    pub(crate) fn guard(&self) -> &Guard {
        &self.0.guard
    }

    pub(crate) fn customer_key(&self) -> Option<&CustomerKey> {
        self.0.customer_key.as_ref()
    }

    pub(crate) fn support(&self) -> &Support {
        &self.0.support
    }

    /// Whether bodies travel encrypted, so that hashing them for the signature protects nothing.
    pub(crate) fn is_https(&self) -> bool {
        self.spec().endpoint.as_deref().is_none_or(|endpoint| endpoint.starts_with("https://"))
    }

    /// The order its listings are promised to have; None where it must be found out. Directory
    /// buckets are promised to have none.
    pub(crate) fn promised_order(&self, bucket: &str) -> Option<ListingOrder> {
        if bucket.ends_with("--x-s3") {
            return Some(ListingOrder::None);
        }
        self.spec().endpoint.is_none().then_some(ListingOrder::Bytes)
    }

    /// What was found out about the order of its listings.
    pub(crate) fn orders(&self) -> &Arc<Orders> {
        &self.0.orders
    }

    /// Requests of one listing in flight.
    pub(crate) fn list_workers(&self) -> usize {
        usize::try_from(self.spec().max_concurrency)
            .map_or(scan::WORKERS, |most| most.min(scan::WORKERS))
    }

    pub(crate) fn check(&self, bucket: &str, key: &str) -> Result<()> {
        self.spec().binding.check(bucket, key)
    }

    /// The same of the source of a copy.
    fn check_source(&self, from: &ObjectPath) -> Result<()> {
        let binding = self.1.as_ref().unwrap_or(&self.spec().binding);
        binding.check(&from.bucket, &from.key)
    }

    /// An answer to HEAD has no words: of an object that is not there it is asked, once a bucket,
    /// whether the bucket is.
    async fn or_no_bucket(&self, bucket: &str, missing: Error) -> Error {
        let seen = |store: &Self| {
            store.0.seen.lock().unwrap_or_else(PoisonError::into_inner).contains(bucket)
        };
        if missing.code() != ErrorCode::ObjectNotFound || seen(self) {
            return missing;
        }
        let asked = self
            .send("HeadBucket", bucket, "", |client| client.head_bucket().bucket(bucket).send())
            .await;
        match asked {
            Err(error) if error.code() == ErrorCode::BucketNotFound => error,
            // Who may not ask is not told; asking again would say the same.
            _ => {
                let mut seen = self.0.seen.lock().unwrap_or_else(PoisonError::into_inner);
                seen.insert(bucket.to_owned());
                missing
            }
        }
    }

    /// Some services answer for every folder as if it were an empty object. One that is an object is
    /// listed.
    async fn check_marker(&self, object: &ObjectPath, size: u64) -> Result<()> {
        if size > 0 || self.spec().endpoint.is_none() || !object.key.ends_with('/') {
            return Ok(());
        }
        let page = self
            .send("ListObjectsV2", &object.bucket, &object.key, |client| {
                let request = client.list_objects_v2().bucket(&object.bucket);
                request.prefix(&object.key).max_keys(1).send()
            })
            .await;
        match page {
            Ok(page)
                if page.contents().first().and_then(|first| first.key()) != Some(&object.key) =>
            {
                Err(Error::new(ErrorCode::ObjectNotFound, format!("no object `{object}`")).hint(
                    format!("it is a folder; `windlass ls {}:…` shows what is in it", self.0.name),
                ))
            }
            // Who may read but not list is believed.
            _ => Ok(()),
        }
    }

    fn known(&self, bucket: &str) -> Option<String> {
        self.0.regions.lock().unwrap_or_else(PoisonError::into_inner).get(bucket).cloned()
    }

    /// Keeps a region for this store only.
    pub(crate) fn note(&self, bucket: &str, region: &str) {
        self.0
            .regions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(bucket.to_owned(), region.to_owned());
    }

    fn forget(&self, bucket: &str) {
        self.0.regions.lock().unwrap_or_else(PoisonError::into_inner).remove(bucket);
    }

    pub(crate) async fn remember(&self, bucket: &str, region: &str) {
        self.note(bucket, region);
        if self.spec().endpoint.is_none() {
            self.0.memory.put(bucket, region).await;
        }
    }
}

/// The client of a bucket's data.
#[derive(Debug)]
pub(crate) enum Carrier<'a> {
    Wire(&'a Wire, Arc<Route>),
    Sdk(Sdk<'a>),
}

/// `bucket/key`, or the bucket alone.
pub(crate) fn target(bucket: &str, key: &str) -> String {
    if key.is_empty() { bucket.to_owned() } else { format!("{bucket}/{key}") }
}
