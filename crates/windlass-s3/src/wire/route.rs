//! Where a bucket is reached and by which client: decided once for a bucket and its region.
//!
//! The SDK's endpoint rules are asked (path or host name, FIPS, dual stack, acceleration, other
//! partitions), so both clients go to the same address. What needs another signature than version 4
//! for S3 (directory buckets, multi-region access points) and all access points stay with the SDK.

use super::connect::Dialer;
use super::pool::Origin;
use super::sign::Signer;
use crate::http::Line;
use aws_sdk_s3::config::endpoint::{DefaultResolver, Endpoint, Params, ResolveEndpoint as _};
use aws_smithy_types::Document;
use http::{HeaderValue, Uri};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use windlass_types::connection::AddressingStyle;
use windlass_types::{Result, S3Spec};

/// A bucket's address.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) origin: Arc<Origin>,
    /// The Host header.
    pub(crate) host: HeaderValue,
    /// The path before `/key`, encoded; empty where the bucket stands in the host name.
    pub(crate) path: String,
    /// What stands before the path of a request to a forwarding proxy: scheme and authority.
    pub(crate) through: Option<(String, Option<HeaderValue>)>,
    /// Region in the signature.
    pub(crate) region: String,
    pub(crate) signer: Signer,
}

/// The region a bucket was asked for in, and the way there.
type Found = (String, Option<Arc<Route>>);

/// The routes of one connection.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    found: Mutex<HashMap<String, Found>>,
    origins: Mutex<HashMap<String, Arc<Origin>>>,
}

impl Routes {
    /// The way of our own client to a bucket in a region; None where the SDK's must be used.
    pub(crate) async fn to(
        &self,
        line: &Line,
        spec: &S3Spec,
        bucket: &str,
        region: &str,
    ) -> Result<Option<Arc<Route>>> {
        if let Some((known, route)) =
            self.found.lock().unwrap_or_else(PoisonError::into_inner).get(bucket)
            && known == region
        {
            return Ok(route.clone());
        }
        let route = match resolve(spec, bucket, region).await {
            Some(endpoint) => self.route(line, &endpoint, region)?.map(Arc::new),
            None => None,
        };
        self.found
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(bucket.to_owned(), (region.to_owned(), route.clone()));
        Ok(route)
    }

    fn route(&self, line: &Line, endpoint: &Endpoint, region: &str) -> Result<Option<Route>> {
        let Some(signing) = plain_signature(endpoint, region) else { return Ok(None) };
        let Ok(uri) = endpoint.url().parse::<Uri>() else { return Ok(None) };
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Ok(None);
        };
        let standard = match scheme {
            "https" => 443,
            "http" => 80,
            _ => return Ok(None),
        };
        // As the Host header is signed it must be what the service sees.
        let host = match authority.port_u16() {
            Some(port) if port != standard => format!("{}:{port}", authority.host()),
            _ => authority.host().to_owned(),
        };
        let Ok(host_header) = HeaderValue::from_str(&host) else { return Ok(None) };
        let address = format!("{scheme}://{authority}");
        let mut origins = self.origins.lock().unwrap_or_else(PoisonError::into_inner);
        let origin = if let Some(origin) = origins.get(&address) {
            Arc::clone(origin)
        } else {
            let Ok(to) = address.parse::<Uri>() else { return Ok(None) };
            let origin = Arc::new(Origin::new(Dialer::new(line, to)?, line.idle));
            origins.insert(address.clone(), Arc::clone(&origin));
            origin
        };
        let forwards = origin.dialer().forwards();
        let through = forwards.map(|proxy| (address, proxy.basic_auth().cloned()));
        Ok(Some(Route {
            origin,
            host: host_header,
            path: uri.path().trim_end_matches('/').to_owned(),
            through,
            region: signing,
            signer: Signer::default(),
        }))
    }
}

/// What the SDK's rules say; None for what they refuse (the SDK then says why) and what is left to it.
async fn resolve(spec: &S3Spec, bucket: &str, region: &str) -> Option<Endpoint> {
    if bucket.starts_with("arn:") || bucket.ends_with("--x-s3") {
        return None;
    }
    let params = Params::builder()
        .bucket(bucket)
        .region(region)
        .use_fips(spec.fips)
        .use_dual_stack(spec.dualstack)
        .accelerate(spec.accelerate)
        .force_path_style(spec.addressing == AddressingStyle::Path)
        .use_arn_region(true)
        .set_endpoint(spec.endpoint.clone())
        .build()
        .ok()?;
    DefaultResolver::new().resolve_endpoint(&params).await.ok()
}

/// The region to sign for, if the address takes a plain signature of S3 and no header of its own.
fn plain_signature(endpoint: &Endpoint, region: &str) -> Option<String> {
    if endpoint.headers().next().is_some() {
        return None;
    }
    let schemes = match endpoint.properties().get("authSchemes") {
        None => return Some(region.to_owned()),
        Some(Document::Array(schemes)) => schemes,
        Some(_) => return None,
    };
    let scheme = schemes.first()?.as_object()?;
    let text = |name: &str| scheme.get(name).and_then(Document::as_string);
    (text("name") == Some("sigv4") && text("signingName") == Some("s3"))
        .then(|| text("signingRegion").unwrap_or(region).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write as _;
    use windlass_types::{OptionMap, OptionValue};

    async fn address(options: &[(&str, OptionValue)], bucket: &str, region: &str) -> String {
        let options: OptionMap =
            options.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let spec = S3Spec::build(&options).unwrap();
        let line = Line::new(&spec, &crate::Secrets::default()).await.unwrap();
        let routes = Routes::default();
        match routes.to(&line, &spec, bucket, region).await.unwrap() {
            Some(route) => format!(
                "{} {:?} {:?} {}",
                route.origin.dialer().address(),
                route.host,
                route.path,
                route.region
            ),
            None => "sdk".to_owned(),
        }
    }

    #[tokio::test]
    async fn each_bucket_has_its_address_and_what_is_exotic_is_left_to_the_sdk() {
        let text = |text: &str| OptionValue::Text(text.to_owned());
        let yes = OptionValue::Bool(true);
        let local = [("ENDPOINT", text("http://127.0.0.1:9000")), ("ALLOW_HTTP", yes.clone())];
        let named = [
            ("ENDPOINT", text("https://s3.example.com")),
            ("ADDRESSING_STYLE", OptionValue::Word("VIRTUAL".to_owned())),
        ];
        let mut lines = String::new();
        for (options, bucket, region) in [
            (&[][..], "lake", "eu-west-1"),
            (&[], "lake", "us-east-1"),
            (&[], "with.dot", "eu-west-1"),
            (&[], "lake", "cn-north-1"),
            (&[("FIPS", yes.clone())], "lake", "us-east-2"),
            (&[("DUALSTACK", yes.clone())], "lake", "us-east-2"),
            (&[("ACCELERATE", yes.clone())], "lake", "us-east-2"),
            (&[("ADDRESSING_STYLE", OptionValue::Word("PATH".to_owned()))], "lake", "us-east-2"),
            (&local, "lake", "us-east-1"),
            (&named, "lake", "us-east-1"),
            (&named, "with.dot", "us-east-1"),
            (&[], "arn:aws:s3:eu-west-1:123456789012:accesspoint/a", "eu-west-1"),
            (&[], "arn:aws:s3::123456789012:accesspoint/a.mrap", "eu-west-1"),
            (&[], "fast--use1-az4--x-s3", "us-east-1"),
            (&[], "Not A Bucket", "us-east-1"),
        ] {
            let line = address(options, bucket, region).await;
            writeln!(lines, "{bucket} {region}: {line}").unwrap();
        }
        insta::assert_snapshot!(lines);
    }
}
