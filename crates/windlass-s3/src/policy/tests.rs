use super::*;
use windlass_types::{OptionMap, OptionValue};

fn spec(options: &[(&str, &str)]) -> S3Spec {
    let mut map = OptionMap::default();
    for (name, text) in options {
        let value = match *text {
            "TRUE" => OptionValue::Bool(true),
            text => OptionValue::Text(text.to_owned()),
        };
        map.insert((*name).to_owned(), value);
    }
    S3Spec::build(&map).unwrap()
}

fn printed(options: &[(&str, &str)], purpose: Purpose) -> String {
    let spec = spec(options);
    let mut text = serde_json::to_string_pretty(&policy(&spec, purpose).unwrap()).unwrap();
    for note in notes(&spec, purpose) {
        text.push_str("\nnote: ");
        text.push_str(&note);
    }
    text
}

/// M-C5 and U-C21.
#[test]
fn a_policy_for_reading_is_limited_to_the_folder() {
    insta::assert_snapshot!(printed(
        &[("BUCKET", "lake"), ("PREFIX", "raw/orders")],
        Purpose::Read
    ));
}

/// M-C4.
#[test]
fn a_policy_for_everything_adds_writing_and_deleting() {
    insta::assert_snapshot!(printed(&[("BUCKET", "lake")], Purpose::Full));
}

/// OpenMetadata 2.
#[test]
fn a_policy_for_the_catalog_adds_metrics_and_tags() {
    insta::assert_snapshot!(printed(&[], Purpose::Catalog));
}

fn all_actions(options: &[(&str, &str)], purpose: Purpose) -> Vec<String> {
    let policy = policy(&spec(options), purpose).unwrap();
    let mut actions: Vec<String> = policy["Statement"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|statement| statement["Action"].as_array().unwrap().clone())
        .map(|action| action.as_str().unwrap().to_owned())
        .collect();
    actions.sort();
    actions.dedup();
    actions
}

#[test]
fn the_lists_of_the_four_systems_are_granted() {
    let read = all_actions(&[("BUCKET", "lake")], Purpose::Read);
    // M-C5 and U-C21, exactly.
    assert_eq!(
        read,
        ["s3:GetBucketLocation", "s3:GetObject", "s3:GetObjectVersion", "s3:ListBucket"]
    );
    // M-C4; ACLs only for who sets one.
    let plain = all_actions(&[("BUCKET", "lake")], Purpose::Full);
    assert!(!plain.iter().any(|action| action.contains("Acl")), "{plain:?}");
    let full = all_actions(&[("BUCKET", "lake"), ("ACL", "private")], Purpose::Full);
    for action in [
        "ListBucket",
        "GetBucketLocation",
        "PutObject",
        "PutObjectAcl",
        "GetObject",
        "GetObjectAcl",
        "DeleteObject",
        "AbortMultipartUpload",
        "ListMultipartUploadParts",
    ] {
        assert!(full.contains(&format!("s3:{action}")), "{action} in {full:?}");
    }
    assert!(!full.iter().any(|action| action.contains('*') || action.ends_with("DeleteBucket")));
    // OpenMetadata 2.
    assert_eq!(
        all_actions(&[], Purpose::Catalog),
        [
            "cloudwatch:GetMetricData",
            "s3:GetBucketLocation",
            "s3:GetBucketTagging",
            "s3:GetObject",
            "s3:GetObjectTagging",
            "s3:ListAllMyBuckets",
            "s3:ListBucket"
        ]
    );
}

/// U-C7.
#[test]
fn display_filters_take_the_place_of_listing_all_buckets() {
    let mut map = OptionMap::default();
    let filters = ["s3://lake/raw/", "s3://lake/ord", "s3://logs", "s3://logs/app/"];
    map.insert(
        "PATH_DISPLAY_FILTERS".to_owned(),
        OptionValue::List(filters.iter().map(|f| OptionValue::Text((*f).to_owned())).collect()),
    );
    let policy = policy(&S3Spec::build(&map).unwrap(), Purpose::Read).unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(&policy).unwrap());
}

#[test]
fn access_points_keys_and_roles_have_their_own_resources() {
    insta::assert_snapshot!(printed(
        &[
            ("BUCKET", "arn:aws-us-gov:s3:us-gov-west-1:123456789012:accesspoint/finance"),
            ("PREFIX", "a*b/"),
            ("ENCRYPTION_KMS_KEY", "alias/lake"),
            ("AWS_ROLE", "arn:aws-us-gov:iam::123456789012:role/loader"),
            ("EXTERNAL_ID", "x-17"),
            ("ROLE_SOURCE_IDENTITY", "ada"),
            ("REGION", "us-gov-west-1"),
        ],
        Purpose::Full,
    ));
}

#[test]
fn a_key_becomes_a_resource_that_iam_accepts() {
    let resource = |key: &str, region: &str| {
        let spec = spec(&[("ENCRYPTION_KMS_KEY", key), ("REGION", region)]);
        let (resource, condition) = key_resource(&spec, key, partition(&spec));
        format!("{resource} {}", condition.map(|c| c.to_string()).unwrap_or_default())
    };
    insta::assert_snapshot!(
        [
            resource("1234abcd-12ab-34cd-56ef-1234567890ab", "cn-north-1"),
            resource("alias/lake", "eu-west-1"),
            resource("arn:aws:kms:eu-west-1:123456789012:key/mrk-1", "eu-west-1"),
            resource("arn:aws:kms:eu-west-1:123456789012:alias/lake", "eu-west-1"),
        ]
        .join("\n"),
        @r#"
    arn:aws-cn:kms:cn-north-1:*:key/1234abcd-12ab-34cd-56ef-1234567890ab 
    arn:aws:kms:eu-west-1:*:key/* {"ForAnyValue:StringEquals":{"kms:ResourceAliases":"alias/lake"}}
    arn:aws:kms:eu-west-1:123456789012:key/mrk-1 
    arn:aws:kms:eu-west-1:123456789012:key/* {"ForAnyValue:StringEquals":{"kms:ResourceAliases":"alias/lake"}}
    "#
    );
}

#[test]
fn outposts_and_object_lambda_name_actions_after_themselves() {
    let bucket = "arn:aws:s3-outposts:us-west-2:123456789012:outpost/op-1/accesspoint/lake";
    let actions = all_actions(&[("BUCKET", bucket)], Purpose::Read);
    assert!(actions.iter().all(|action| action.starts_with("s3-outposts:")), "{actions:?}");
}

#[test]
fn a_read_only_connection_has_no_policy_for_writing() {
    let refused = policy(&spec(&[("READ_ONLY", "TRUE")]), Purpose::Full).unwrap_err();
    insta::assert_snapshot!(format!("{refused:?}"), @r"
    error[connection.read_only]: the connection is READ_ONLY, so a policy for writing is not for it
    hint: ask for the policy `--for read` or `--for catalog`, or create a connection without READ_ONLY
    ");
    assert!(policy(&spec(&[("READ_ONLY", "TRUE")]), Purpose::Read).is_ok());
}

#[test]
fn actions_are_found_by_verb_and_by_call() {
    assert_eq!(actions("read"), ["s3:GetObject"]);
    assert_eq!(actions("HeadObject"), ["s3:GetObject"]);
    assert_eq!(actions("ListObjectsV2"), ["s3:ListBucket"]);
    assert_eq!(actions_for(Verb::AssumeRole), ["sts:AssumeRole"]);
    assert!(actions("fly").is_empty());
    for (index, row) in VERBS.iter().enumerate() {
        assert!(
            !VERBS[..index].iter().any(|other| other.name == row.name || other.verb == row.verb)
        );
    }
}
