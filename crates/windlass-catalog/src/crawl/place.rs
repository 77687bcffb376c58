//! Names, prefixes, paths and links of a container, as OpenMetadata writes them (reference section 7).

use crate::model::{ContainerKind, Figures, Found, Seen};

/// How links to containers are made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Links {
    /// Instead of the AWS console; without `/` at its end.
    pub console: Option<String>,
    /// Region of a bucket that does not say where it is.
    pub region: String,
    /// It is not Amazon's service: without `console` there are no links.
    pub elsewhere: bool,
    /// Name of the connection, where it is none to S3: full paths are then what a person types.
    pub connection: Option<String>,
}

impl Links {
    /// `s3://bucket/path`, without a trailing `/`; of what is no S3, `connection:bucket/path`.
    pub fn full_path(&self, bucket: &str, path: &str) -> String {
        let (before, bucket) = match &self.connection {
            // A folder of this machine is a bucket without a name of its own.
            Some(name) => (format!("{name}:"), if bucket == "." { "" } else { bucket }),
            None => ("s3://".to_owned(), bucket),
        };
        let slash = if bucket.is_empty() || path.is_empty() { "" } else { "/" };
        format!("{before}{bucket}{slash}{path}")
    }

    /// The link of a container; empty where there is none.
    pub fn of(&self, bucket: &str, path: &str, region: Option<&str>) -> String {
        if let Some(base) = &self.console {
            let base = base.trim_end_matches('/');
            return match path {
                "" => format!("{base}/{bucket}/"),
                path => format!("{base}/{bucket}/{path}/"),
            };
        }
        if self.elsewhere {
            return String::new();
        }
        let region = region.unwrap_or(&self.region);
        let console = "https://s3.console.aws.amazon.com/s3/buckets";
        match path {
            "" => format!("{console}/{bucket}?region={region}&tab=objects"),
            path => format!("{console}/{bucket}?region={region}&prefix={path}/&showversions=false"),
        }
    }
}

/// A bucket, by what its containers have in common.
#[derive(Debug, Clone)]
pub(crate) struct BucketPlace {
    pub(crate) name: String,
    pub(crate) region: Option<String>,
    pub(crate) links: Links,
}

impl BucketPlace {
    fn blank(&self, path: &str, kind: ContainerKind) -> Found {
        Found {
            bucket: self.name.clone(),
            path: path.to_owned(),
            name: path.to_owned(),
            parents: vec![self.name.clone()],
            kind,
            prefix: format!("/{path}"),
            full_path: self.links.full_path(&self.name, path),
            source_url: self.links.of(&self.name, path, self.region.as_deref()),
            formats: Vec::new(),
            compression: Vec::new(),
            separator: None,
            partitioned: None,
            columns: None,
            figures: Figures::default(),
            tags: Vec::new(),
            samples: Vec::new(),
            why: Vec::new(),
            fingerprint: String::new(),
            seen: Seen::Yes,
        }
    }

    /// The bucket itself.
    pub(crate) fn bucket(&self) -> Found {
        Found {
            name: self.name.clone(),
            parents: Vec::new(),
            prefix: "/".to_owned(),
            full_path: self.links.full_path(&self.name, ""),
            ..self.blank("", ContainerKind::Bucket)
        }
    }

    /// A container whose parent is the bucket, whatever lies between.
    pub(crate) fn flat(&self, path: &str, kind: ContainerKind) -> Found {
        self.blank(path, kind)
    }

    /// A folder or file in a tree: its name is the last level, its prefix the parent's full path.
    pub(crate) fn in_tree(&self, path: &str, kind: ContainerKind) -> Found {
        let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
        let mut parents = vec![self.name.clone()];
        parents.extend(above.split('/').filter(|level| !level.is_empty()).map(str::to_owned));
        let prefix = self.links.full_path(&self.name, above);
        Found { name: name.to_owned(), parents, prefix, ..self.blank(path, kind) }
    }

    /// A file within an archive. Its name is that of the file, or its path where another file of the
    /// archive has that name too.
    pub(crate) fn member(&self, archive: &str, inner: &str, alone: bool) -> Found {
        let path = format!("{archive}/{inner}");
        let name = if alone { inner.rsplit('/').next().unwrap_or(inner) } else { inner };
        Found {
            name: name.to_owned(),
            parents: vec![self.name.clone(), archive.to_owned()],
            ..self.blank(&path, ContainerKind::Member)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_prefixes_and_links_are_those_of_openmetadata_and_links_of_trees_work() {
        let links = Links { region: "us-east-1".to_owned(), ..Links::default() };
        let place =
            BucketPlace { name: "b".to_owned(), region: Some("eu-west-1".to_owned()), links };
        let said = |found: &Found| {
            [
                found.name.clone(),
                found.parents.join(">"),
                found.prefix.clone(),
                found.full_path.clone(),
                found.source_url.clone(),
            ]
            .join(" | ")
        };
        insta::assert_snapshot!(
            [
                said(&place.bucket()),
                said(&place.flat("a/b", ContainerKind::Dataset)),
                said(&place.in_tree("photos", ContainerKind::Folder)),
                said(&place.in_tree("photos/2024/a.png", ContainerKind::File)),
                said(&place.member("arc/x.zip", "sub/two.csv", true)),
            ]
            .join("\n")
        );
        let console =
            Links { console: Some("http://minio:9001/browser/".to_owned()), ..Links::default() };
        assert_eq!(console.of("b", "", None), "http://minio:9001/browser/b/");
        assert_eq!(console.of("b", "x/y", None), "http://minio:9001/browser/b/x/y/");
        let folder =
            Links { elsewhere: true, connection: Some("disk".to_owned()), ..Links::default() };
        assert_eq!(folder.of(".", "x/y", None), "", "no console of Amazon's shows it");
        let paths = [(".", "x/y"), (".", ""), ("b", "x"), ("b", "")];
        assert_eq!(
            paths.map(|(bucket, path)| folder.full_path(bucket, path)),
            ["disk:x/y", "disk:", "disk:b/x", "disk:b"]
        );
    }
}
