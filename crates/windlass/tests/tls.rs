//! Certificates: `CA_FILE` is trusted, everything else is refused and says why.

mod common;

use common::{Home, steady};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use windlass_testkit::TestS3;

/// TLS in front of a plain service: its port, and the PEM of the authority that signed it.
async fn tls_before(plain: &str) -> (u16, String) {
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()])
        .unwrap()
        .signed_by(&key, &issuer)
        .unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let plain = plain.trim_start_matches("http://").to_owned();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, plain) = (acceptor.clone(), plain.clone());
            tokio::spawn(async move {
                // A client that refuses the certificate ends the handshake; that is what is tested.
                let Ok(mut client) = acceptor.accept(stream).await else { return };
                let mut server = tokio::net::TcpStream::connect(plain).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    (port, pem)
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_trusted_authority_and_the_right_name_pass() {
    let s3 = TestS3::start().await;
    s3.state().create_bucket("lake");
    s3.state().put("lake", "a.csv", "x\n1\n");
    let (port, pem) = tls_before(&s3.endpoint()).await;
    let home = Home::new();
    let file = home.scratch("ca.pem");
    std::fs::write(&file, pem).unwrap();
    let (id, secret) = s3.admin();
    let create = |name: &str, host: &str, more: &str| {
        home.sql(&format!(
            "CREATE S3 CONNECTION {name} ENDPOINT = 'https://{host}:{port}' BUCKET = 'lake' AWS_ACCESS_KEY_ID = '{id}' AWS_SECRET_ACCESS_KEY = '{secret}' {more}"
        ))
    };
    let ca = format!("CA_FILE = '{}'", file.display());
    create("trusted", "127.0.0.1", &ca).good();
    assert_eq!(home.rows("SELECT x FROM trusted.\"a.csv\"")[0]["x"], 1);
    let stranger = steady(&create("stranger", "127.0.0.1", "").refused(1));
    let other_name =
        create("other", "localhost", &ca).refused(1).replace(&port.to_string(), "PORT");
    insta::assert_snapshot!(format!("{stranger}\n{other_name}"));
}
