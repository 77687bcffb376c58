//! OpenMetadata's workflow file for S3, YAML or JSON (reference sections 2 to 4).
//!
//! Every block refuses keys it does not know, with file, line, key and what is allowed. What theirs
//! refuses and is harmless is read (section 18): any region, `defaultManifest` as an object.

use crate::document::{At, Document};
use crate::manifest::{GLOBAL_FILE, Manifest, Scope};
use secrecy::SecretString;
use windlass_types::{Error, ErrorCode, Result};

/// What a workflow file says.
#[derive(Debug)]
pub struct Workflow {
    /// Name of the service.
    pub service: String,
    /// How the storage is reached.
    pub aws: Aws,
    /// Buckets named one by one; none: all that can be listed.
    pub buckets: Vec<String>,
    /// Instead of the AWS console in links.
    pub console: Option<String>,
    /// Expressions of the one filter, with OpenMetadata's meaning.
    pub includes: Vec<String>,
    /// As `includes`, of what is left out.
    pub excludes: Vec<String>,
    /// Where the global manifest is.
    pub global: Option<ManifestAt>,
    /// The fallback manifest.
    pub default: Option<Manifest>,
    /// Whether what is gone is marked so.
    pub mark_deleted: bool,
    /// Whether tags are read.
    pub tags: bool,
    /// Where the rows go besides the catalogue.
    pub sink: Sink,
    /// Where it is published.
    pub server: Option<Server>,
    /// `DEBUG`, `INFO`, `WARN` or `ERROR`.
    pub log_level: String,
    /// Whether a bad end is an error of the process.
    pub raise_on_error: bool,
    /// Percent of what must go well.
    pub success_threshold: u8,
    /// What was strange but is no error.
    pub warnings: Vec<String>,
}

/// `awsConfig`: whom to be, and where.
#[derive(Debug, Default)]
pub struct Aws {
    /// Region.
    pub region: String,
    /// Access key.
    pub access_key: Option<SecretString>,
    /// Secret key.
    pub secret_key: Option<SecretString>,
    /// Session token.
    pub token: Option<SecretString>,
    /// URL of a compatible service, for S3 and `CloudWatch`.
    pub endpoint: Option<String>,
    /// A profile of the AWS files.
    pub profile: Option<String>,
    /// A role to assume, always at AWS.
    pub role: Option<String>,
    /// Name of the role's session.
    pub session: Option<String>,
    /// Source identity of the role's session.
    pub source_identity: Option<String>,
}

/// Where a global manifest is (section 3).
#[derive(Debug)]
pub enum ManifestAt {
    /// A file of this machine.
    File(String),
    /// An address, asked without credentials.
    Http(String),
    /// An object, reached in its own way.
    S3 {
        /// Whom to be.
        aws: Box<Aws>,
        /// Bucket.
        bucket: String,
        /// Key.
        key: String,
    },
    /// A storage that is not read here.
    Unsupported(String),
}

/// Where rows go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sink {
    /// Only the catalogue, and the server if there is one.
    Catalogue,
    /// A file of JSON lines too; nothing is published.
    File(String),
}

/// An `OpenMetadata` server.
#[derive(Debug)]
pub struct Server {
    /// `http://host:8585/api`
    pub url: String,
    /// Bearer token.
    pub token: Option<SecretString>,
    /// Whether its certificate is checked: `no-ssl`, `ignore`, `validate`.
    pub verify: String,
    /// Whether the connection goes with the service.
    pub store_connection: bool,
    /// Whether what people wrote is written over.
    pub force: bool,
}

/// Replaces `$NAME` and `${NAME}` by what `environment` says; unknown ones stay.
pub fn expand(text: &str, environment: &dyn Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let (name, length) = if let Some(inner) = after.strip_prefix('{') {
            inner.find('}').map_or(("", 0), |end| (&inner[..end], end + 2))
        } else {
            let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let end = after.find(|c: char| !word(c)).unwrap_or(after.len());
            (&after[..end], end)
        };
        match Some(name).filter(|name| !name.is_empty()).and_then(environment) {
            Some(value) => out.push_str(&value),
            None => out.push_str(&rest[at..=at + length]),
        }
        rest = &after[length..];
    }
    out.push_str(rest);
    out
}

impl Workflow {
    /// Reads a file; `name` decides between YAML and JSON, and is what errors call it.
    pub fn parse(
        name: &str,
        text: &str,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self> {
        let text = expand(text, environment);
        let suffix = name.rsplit_once('.').map(|(_, suffix)| suffix.to_ascii_lowercase());
        let document = match suffix.as_deref() {
            Some("yaml" | "yml") => Document::yaml(name, &text)?,
            Some("json") => Document::json(name, &text)?,
            _ => {
                return Err(Error::new(
                    ErrorCode::DocumentInvalid,
                    format!("`{name}` does not end in .yaml, .yml or .json"),
                ));
            }
        };
        read(&document.root())
    }
}

fn text(at: &At<'_>, key: &str) -> Result<Option<String>> {
    at.get(key)?.map(|at| at.text().map(str::to_owned)).transpose()
}

fn flag(at: &At<'_>, key: &str, default: bool) -> Result<bool> {
    at.get(key)?.map_or(Ok(default), |at| at.flag())
}

fn secret(at: &At<'_>, key: &str) -> Result<Option<SecretString>> {
    Ok(text(at, key)?.map(SecretString::from))
}

fn url(at: &At<'_>, key: &str) -> Result<Option<String>> {
    let Some(at) = at.get(key)? else { return Ok(None) };
    let text = at.text()?;
    if !text.starts_with("http://") && !text.starts_with("https://") {
        return Err(at.error("is not a URL").hint("write it with http:// or https:// before it"));
    }
    Ok(Some(text.trim_end_matches('/').to_owned()))
}

fn read(root: &At<'_>) -> Result<Workflow> {
    root.only(&[
        "source",
        "sink",
        "workflowConfig",
        "ingestionPipelineFQN",
        "pipelineRunId",
        "enableStreamableLogs",
        "ingestionRunnerName",
    ])?;
    let mut warnings = Vec::new();
    let source = root.need("source")?;
    source.only(&["type", "serviceName", "serviceConnection", "sourceConfig"])?;
    source.need("type")?.word(&["s3"])?;
    let service = source.need("serviceName")?.text()?.to_owned();
    let connection = source.get("serviceConnection")?.ok_or_else(|| {
        source.error("has no `serviceConnection`").hint(
            "theirs asks the server for the stored one; write it here, or crawl a connection of Windlass: `windlass crawl NAME`",
        )
    })?;
    connection.only(&["config"])?;
    let connection = connection.need("config")?;
    connection.only(&[
        "type",
        "awsConfig",
        "bucketNames",
        "connectionOptions",
        "connectionArguments",
        "containerFilterPattern",
        "supportsMetadataExtraction",
        "supportsProfiler",
        "consoleEndpointURL",
    ])?;
    if let Some(kind) = connection.get("type")? {
        kind.word(&["S3"])?;
    }
    if let Some(pattern) = connection.get("containerFilterPattern")? {
        warnings.push(pattern.says(
            "is not read here, as theirs does not; write it in `source.sourceConfig.config`",
        ));
    }
    let aws = aws(&connection.need("awsConfig")?)?;
    let buckets = connection.get("bucketNames")?.map_or(Ok(Vec::new()), |at| at.texts())?;
    let console = url(&connection, "consoleEndpointURL")?;

    let config = source.need("sourceConfig")?;
    config.only(&["config"])?;
    let config = config.need("config")?;
    let kind = config.need("type").map_err(|error| {
        error.hint("write `type: StorageMetadata`; without it theirs takes the block for one of a database")
    })?;
    kind.word(&["StorageMetadata"])?;
    config.only(&[
        "type",
        "containerFilterPattern",
        "storageMetadataConfigSource",
        "defaultManifest",
        "markDeletedContainers",
        "includeTags",
        "overrideMetadata",
    ])?;
    let (mut includes, mut excludes) = (Vec::new(), Vec::new());
    if let Some(pattern) = config.get("containerFilterPattern")? {
        pattern.only(&["includes", "excludes"])?;
        includes = pattern.get("includes")?.map_or(Ok(Vec::new()), |at| at.texts())?;
        excludes = pattern.get("excludes")?.map_or(Ok(Vec::new()), |at| at.texts())?;
        // A bad expression is said where it stands, not when the first bucket is looked at.
        crate::filter::Patterns::new(&includes, &excludes)
            .map_err(|error| pattern.error(error.message()))?;
    }
    let global = match config.get("storageMetadataConfigSource")? {
        Some(at) => manifest_at(&at)?,
        None => None,
    };
    let default = config.get("defaultManifest")?.map(|at| default_manifest(&at)).transpose()?;
    if let Some(manifest) = &default {
        warnings.extend(manifest.warnings.iter().cloned());
    }
    flag(&config, "overrideMetadata", false)?;

    let workflow = root.get("workflowConfig")?;
    let (mut log_level, mut raise_on_error, mut success_threshold, mut server) =
        ("INFO".to_owned(), true, 90, None);
    if let Some(at) = &workflow {
        at.only(&["loggerLevel", "raiseOnError", "successThreshold", "openMetadataServerConfig"])?;
        if let Some(level) = at.get("loggerLevel")? {
            level.word(&["DEBUG", "INFO", "WARN", "ERROR"])?.clone_into(&mut log_level);
        }
        raise_on_error = flag(at, "raiseOnError", true)?;
        if let Some(threshold) = at.get("successThreshold")? {
            success_threshold = u8::try_from(threshold.number(0, 100)?).unwrap_or(100);
        }
        if let Some(at) = at.get("openMetadataServerConfig")? {
            server = Some(self::server(&at, &mut warnings)?);
        }
    }
    let sink = match root.get("sink")? {
        None => Sink::Catalogue,
        Some(at) => self::sink(&at)?,
    };
    if sink != Sink::Catalogue || root.get("sink")?.is_none() {
        server = None;
    }
    for key in ["ingestionPipelineFQN", "pipelineRunId", "ingestionRunnerName"] {
        text(root, key)?;
    }
    flag(root, "enableStreamableLogs", false)?;
    Ok(Workflow {
        service,
        aws,
        buckets,
        console,
        includes,
        excludes,
        global,
        default,
        mark_deleted: flag(&config, "markDeletedContainers", true)?,
        tags: flag(&config, "includeTags", false)?,
        sink,
        server,
        log_level,
        raise_on_error,
        success_threshold,
        warnings,
    })
}

fn aws(at: &At<'_>) -> Result<Aws> {
    at.only(&[
        "awsRegion",
        "awsAccessKeyId",
        "awsSecretAccessKey",
        "awsSessionToken",
        "endPointURL",
        "profileName",
        "assumeRoleArn",
        "assumeRoleSessionName",
        "assumeRoleSourceIdentity",
        "enabled",
    ])?;
    flag(at, "enabled", false)?;
    Ok(Aws {
        region: at.need("awsRegion")?.text()?.to_owned(),
        access_key: secret(at, "awsAccessKeyId")?,
        secret_key: secret(at, "awsSecretAccessKey")?,
        token: secret(at, "awsSessionToken")?,
        endpoint: url(at, "endPointURL")?,
        profile: text(at, "profileName")?,
        role: text(at, "assumeRoleArn")?,
        session: text(at, "assumeRoleSessionName")?,
        source_identity: text(at, "assumeRoleSourceIdentity")?,
    })
}

fn manifest_at(at: &At<'_>) -> Result<Option<ManifestAt>> {
    at.only(&["manifestFilePath", "manifestHttpPath", "securityConfig", "prefixConfig"])?;
    if let Some(path) = text(at, "manifestFilePath")? {
        return Ok(Some(ManifestAt::File(path)));
    }
    if let Some(address) = url(at, "manifestHttpPath")? {
        return Ok(Some(ManifestAt::Http(address)));
    }
    let Some(prefix) = at.get("prefixConfig")? else { return Ok(None) };
    prefix.only(&["containerName", "objectPrefix"])?;
    let bucket = prefix.need("containerName")?.text()?.to_owned();
    let folder = text(&prefix, "objectPrefix")?.unwrap_or_default();
    let folder = folder.trim_matches('/');
    let key = match folder {
        "" => GLOBAL_FILE.to_owned(),
        folder => format!("{folder}/{GLOBAL_FILE}"),
    };
    let security = at.need("securityConfig")?;
    if security.get("awsRegion")?.is_none() {
        let what =
            security.says("is not of S3; only manifests in S3, files and on the web are read");
        return Ok(Some(ManifestAt::Unsupported(what)));
    }
    Ok(Some(ManifestAt::S3 { aws: Box::new(aws(&security)?), bucket, key }))
}

fn default_manifest(at: &At<'_>) -> Result<Manifest> {
    match &at.node().value {
        crate::document::Value::Text(text) => {
            let name = format!("{} (defaultManifest)", at.spot());
            Manifest::parse(&name, text, Scope::Default)
        }
        _ => Manifest::read(at, Scope::Default),
    }
}

fn server(at: &At<'_>, warnings: &mut Vec<String>) -> Result<Server> {
    let known = [
        "hostPort",
        "authProvider",
        "securityConfig",
        "storeServiceConnection",
        "forceEntityOverwriting",
        "verifySSL",
    ];
    // Their list is longer and grows; what is not done here changes nothing.
    let strange = at.unknown(&known)?;
    warnings.extend(strange.into_iter().map(|(_, what)| format!("{what}; skipped")));
    let token = match at.get("securityConfig")? {
        Some(security) => secret(&security, "jwtToken")?,
        None => None,
    };
    text(at, "authProvider")?;
    Ok(Server {
        url: url(at, "hostPort")?.ok_or_else(|| at.error("has no `hostPort`"))?,
        token,
        verify: text(at, "verifySSL")?.unwrap_or_else(|| "no-ssl".to_owned()),
        store_connection: flag(at, "storeServiceConnection", true)?,
        force: flag(at, "forceEntityOverwriting", false)?,
    })
}

fn sink(at: &At<'_>) -> Result<Sink> {
    at.only(&["type", "config"])?;
    let kind = at.need("type")?.word(&["metadata-rest", "file"])?;
    let config = at.get("config")?;
    if kind == "file" {
        let config = config.ok_or_else(|| at.error("has no `config`"))?;
        config.only(&["filename"])?;
        return Ok(Sink::File(config.need("filename")?.text()?.to_owned()));
    }
    if let Some(config) = config {
        config.only(&[
            "api_endpoint",
            "bulk_sink_batch_size",
            "enable_async_pipeline",
            "async_pipeline_workers",
            "override_metadata",
        ])?;
    }
    Ok(Sink::Catalogue)
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret as _;

    const GOOD: &str = "source:
  type: S3
  serviceName: golden
  serviceConnection:
    config:
      type: S3
      awsConfig: {awsAccessKeyId: AKIA, awsSecretAccessKey: '${SECRET}', awsRegion: somewhere, endPointURL: $MOTO/}
      bucketNames: [a, b]
  sourceConfig:
    config:
      type: StorageMetadata
      storageMetadataConfigSource: {manifestFilePath: m.json}
      defaultManifest: '{\"entries\": [{\"dataPath\": \"d\", \"structureFormat\": \"csv\"}]}'
      containerFilterPattern: {includes: [a.*]}
sink: {type: metadata-rest, config: {}}
workflowConfig:
  loggerLevel: info
  openMetadataServerConfig:
    hostPort: http://om:8585/api
    authProvider: openmetadata
    securityConfig: {jwtToken: tok}
    clusterName: x
";

    fn environment(name: &str) -> Option<String> {
        match name {
            "MOTO" => Some("http://127.0.0.1:5000".to_owned()),
            "SECRET" => Some("hunter22".to_owned()),
            _ => None,
        }
    }

    fn parse(text: &str) -> Result<Workflow> {
        Workflow::parse("w.yaml", text, &environment)
    }

    #[test]
    fn a_workflow_is_read_as_it_is() {
        let workflow = parse(GOOD).unwrap();
        assert_eq!(workflow.service, "golden");
        assert_eq!(workflow.buckets, ["a", "b"]);
        assert_eq!(workflow.aws.endpoint.as_deref(), Some("http://127.0.0.1:5000"));
        assert_eq!(workflow.aws.secret_key.as_ref().unwrap().expose_secret(), "hunter22");
        assert_eq!(workflow.default.as_ref().unwrap().entries[0].path, "d");
        assert!(matches!(&workflow.global, Some(ManifestAt::File(path)) if path == "m.json"));
        assert_eq!(
            (workflow.mark_deleted, workflow.tags, workflow.success_threshold),
            (true, false, 90)
        );
        assert_eq!(workflow.server.as_ref().unwrap().url, "http://om:8585/api");
        assert_eq!(workflow.warnings.len(), 1, "{:?}", workflow.warnings);
        assert!(!format!("{workflow:?}").contains("hunter22"));
    }

    #[test]
    fn what_is_wrong_is_said_with_file_line_key_and_what_is_allowed() {
        let wrong = |from: &str, to: &str| {
            assert!(GOOD.contains(from), "{from}");
            let error = parse(&GOOD.replace(from, to)).unwrap_err();
            format!(
                "{error}{}",
                error.hint_text().map_or(String::new(), |hint| format!("\n  hint: {hint}"))
            )
        };
        insta::assert_snapshot!(
            [
                wrong("bucketNames: [a, b]", "bucketName: [a, b]"),
                wrong("bucketNames: [a, b]", "bucketNames: a"),
                wrong("      type: StorageMetadata\n", ""),
                wrong("type: StorageMetadata", "type: DatabaseMetadata"),
                wrong("awsRegion: somewhere, ", ""),
                wrong("includes: [a.*]", "include: [a.*]"),
                wrong("includes: [a.*]", "includes: ['(']"),
                wrong("$MOTO/", "minio:9000"),
                wrong("type: metadata-rest", "type: kafka"),
                wrong("loggerLevel: info", "successThreshold: 101"),
                wrong("sink:", "sinks:"),
                wrong("\"dataPath\": ", "\"dataPaht\": "),
            ]
            .join("\n")
        );
    }

    #[test]
    fn variables_come_from_the_environment_and_unknown_ones_stay() {
        assert_eq!(
            expand("$MOTO ${MOTO} $NO ${NO} $ ${ a$MOTO. $$", &environment),
            "http://127.0.0.1:5000 http://127.0.0.1:5000 $NO ${NO} $ ${ ahttp://127.0.0.1:5000. $$"
        );
    }

    #[test]
    fn a_file_sink_publishes_nothing() {
        let text = GOOD.replace(
            "{type: metadata-rest, config: {}}",
            "{type: file, config: {filename: /tmp/x}}",
        );
        let workflow = parse(&text).unwrap();
        assert_eq!(workflow.sink, Sink::File("/tmp/x".to_owned()));
        assert!(workflow.server.is_none());
        assert!(Workflow::parse("w.txt", GOOD, &environment).is_err());
    }
}
