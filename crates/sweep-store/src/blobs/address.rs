//! Which place an address names, and whether the environment holds credentials for it.
//!
//! Credentials come from the environment under the names that the vendors' own tools use; none may stand in the address,
//! which is logged. Without them nothing is sent: asking the machine for its role must be asked for (`?credentials=instance`).

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path;
use object_store::{ClientOptions, ObjectStore, RetryConfig};
use url::Url;

use super::error::BlobError;

/// One request may take this long: a part of 8 MiB at 70 kB/s.
const REQUEST: Duration = Duration::from_secs(120);
/// `object_store` tries a request again for at most this long; callers try again with the next checkpoint or run.
const RETRY: Duration = Duration::from_secs(60);

/// A place for blobs, not opened yet.
#[derive(Debug)]
pub(super) enum Address {
    /// A folder of this machine.
    Directory(PathBuf),
    /// A bucket or container.
    Bucket(Bucket),
    /// A coordinator, which serves its own place.
    Coordinator(Url),
}

/// A bucket or container, and the prefix of everything in it that is ours.
pub(super) struct Bucket {
    pub(super) store: Box<dyn ObjectStore>,
    pub(super) prefix: Path,
    /// Without query.
    pub(super) shown: String,
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The client inside holds credentials.
        f.debug_tuple("Bucket").field(&self.shown).finish()
    }
}

/// Reads `address`; `variables` are those of the environment.
pub(super) fn parse(address: &str, variables: &[(String, String)]) -> Result<Address, BlobError> {
    let Some((scheme, _)) = address.split_once("://") else {
        let path = address.strip_prefix("file:").unwrap_or(address);
        let empty = BlobError::Address { address: address.to_owned(), why: "it is empty" };
        return if path.is_empty() { Err(empty) } else { Ok(Address::Directory(path.into())) };
    };
    // Until it is parsed, what stands before an `@` may be a secret, and so may a query.
    let unparsed = address.split('?').next().unwrap_or_default();
    let unparsed =
        unparsed.rsplit_once('@').map_or(unparsed.to_owned(), |(_, rest)| format!("…@{rest}"));
    let wrong = |why| BlobError::Address { address: unparsed.clone(), why };
    let url = Url::parse(address).map_err(|_| wrong("it is no URL"))?;
    match scheme {
        "file" => url
            .to_file_path()
            .map(Address::Directory)
            .map_err(|()| wrong("it names no path of this machine")),
        "http" | "https" => {
            if !url.username().is_empty() || url.password().is_some() {
                return Err(wrong("a token belongs into SWEEP_TOKEN, not into the address"));
            }
            if url.query().is_some() || url.fragment().is_some() {
                return Err(wrong("a coordinator's address ends with its path"));
            }
            Ok(Address::Coordinator(url))
        }
        "s3" | "gs" | "az" => bucket(&url, variables).map(Address::Bucket),
        _ => Err(wrong("its scheme is unknown")),
    }
}

/// Whose credentials are used.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Credentials {
    Environment,
    Instance,
}

fn bucket(url: &Url, variables: &[(String, String)]) -> Result<Bucket, BlobError> {
    let scheme = url.scheme();
    let host = url.host_str().unwrap_or_default();
    let shown = format!("{scheme}://{host}{}", url.path().trim_end_matches('/'));
    let wrong = |why| BlobError::Address { address: shown.clone(), why };
    if host.is_empty() {
        return Err(wrong("it names no bucket"));
    }
    if url.password().is_some() || !url.username().is_empty() {
        return Err(wrong("credentials belong into the environment, not into the address"));
    }
    let mut credentials = Credentials::Environment;
    for (key, value) in url.query_pairs() {
        credentials = match (&*key, &*value) {
            ("credentials", "environment") => Credentials::Environment,
            ("credentials", "instance") => Credentials::Instance,
            _ => return Err(wrong("only `?credentials=environment` or `instance` may follow it")),
        };
    }
    let prefix =
        Path::from_url_path(url.path()).map_err(|_| wrong("its prefix is no path of objects"))?;
    let environment = Environment(variables);
    if credentials == Credentials::Environment {
        environment.check(scheme, &shown)?;
    }
    environment.check_endpoint(&wrong)?;
    let bare = format!("{scheme}://{host}");
    let store = environment
        .open(scheme, &bare)
        .map_err(|error| BlobError::Objects { address: shown.clone(), error: Box::new(error) })?;
    Ok(Bucket { store, prefix, shown })
}

/// The variables of a process. Not read here, so that tests need not change those of theirs.
struct Environment<'a>(&'a [(String, String)]);

impl Environment<'_> {
    fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(key, value)| key == name && !value.is_empty());
        found.map(|(_, value)| value.as_str())
    }

    fn is_true(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| matches!(value, "1" | "true" | "TRUE" | "True"))
    }

    fn check(&self, scheme: &str, shown: &str) -> Result<(), BlobError> {
        let all = |names: &[&str]| names.iter().all(|name| self.has(name));
        let (found, needs) = match scheme {
            "s3" => (
                all(&["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
                    || all(&["AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN"])
                    || self.has("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
                    || self.has("AWS_CONTAINER_CREDENTIALS_FULL_URI")
                    || self.is_true("AWS_SKIP_SIGNATURE"),
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (files of ~/.aws are not read), or AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN",
            ),
            "gs" => (
                [
                    "GOOGLE_APPLICATION_CREDENTIALS",
                    "GOOGLE_SERVICE_ACCOUNT",
                    "GOOGLE_SERVICE_ACCOUNT_PATH",
                    "GOOGLE_SERVICE_ACCOUNT_KEY",
                ]
                .iter()
                .any(|name| self.has(name))
                    || self.is_true("GOOGLE_SKIP_SIGNATURE"),
                "set GOOGLE_APPLICATION_CREDENTIALS to a key file, or GOOGLE_SERVICE_ACCOUNT_KEY to its content",
            ),
            _ => (
                [
                    "AZURE_STORAGE_ACCOUNT_KEY",
                    "AZURE_STORAGE_ACCESS_KEY",
                    "AZURE_STORAGE_SAS_KEY",
                    "AZURE_STORAGE_SAS_TOKEN",
                    "AZURE_STORAGE_TOKEN",
                    "AZURE_FEDERATED_TOKEN_FILE",
                ]
                .iter()
                .any(|name| self.has(name))
                    || all(&["AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_TENANT_ID"])
                    || self.is_true("AZURE_STORAGE_USE_EMULATOR")
                    || self.is_true("AZURE_SKIP_SIGNATURE"),
                "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, AZURE_STORAGE_SAS_TOKEN, or AZURE_CLIENT_ID, AZURE_CLIENT_SECRET and AZURE_TENANT_ID",
            ),
        };
        let address = shown.to_owned();
        if found { Ok(()) } else { Err(BlobError::Credentials { address, needs }) }
    }

    /// An endpoint without TLS is refused by `object_store` at the first request; better at the start, and with the way out.
    fn check_endpoint(&self, wrong: &impl Fn(&'static str) -> BlobError) -> Result<(), BlobError> {
        for name in ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"] {
            let plain = self.get(name).is_some_and(|value| value.starts_with("http://"));
            if plain && !self.is_true("AWS_ALLOW_HTTP") {
                return Err(wrong(
                    "the endpoint that AWS_ENDPOINT_URL names has no TLS; set AWS_ALLOW_HTTP=true if that is meant",
                ));
            }
        }
        Ok(())
    }

    fn open(&self, scheme: &str, bare: &str) -> object_store::Result<Box<dyn ObjectStore>> {
        // object_store's own reading of the environment, from a list.
        macro_rules! configured {
            ($builder:ty, $prefix:literal) => {
                self.0
                    .iter()
                    .filter(|(key, value)| key.starts_with($prefix) && !value.is_empty())
                    .filter_map(|(key, value)| {
                        Some((key.to_ascii_lowercase().parse().ok()?, value))
                    })
                    .fold(<$builder>::new(), |builder, (key, value)| {
                        builder.with_config(key, value)
                    })
                    .with_url(bare)
                    .with_retry(RetryConfig { retry_timeout: RETRY, ..RetryConfig::default() })
            };
        }
        let options = |http: &str| {
            ClientOptions::new().with_timeout(REQUEST).with_allow_http(self.is_true(http))
        };
        Ok(match scheme {
            "s3" => Box::new(
                configured!(AmazonS3Builder, "AWS_")
                    .with_client_options(options("AWS_ALLOW_HTTP"))
                    .build()?,
            ),
            "gs" => Box::new(
                configured!(GoogleCloudStorageBuilder, "GOOGLE_")
                    .with_client_options(options("GOOGLE_ALLOW_HTTP"))
                    .build()?,
            ),
            _ => Box::new(
                configured!(MicrosoftAzureBuilder, "AZURE_")
                    .with_client_options(options("AZURE_ALLOW_HTTP"))
                    .build()?,
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)], address: &str) -> Result<Address, BlobError> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let variables: Vec<_> =
            variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        parse(address, &variables)
    }

    #[test]
    fn paths_are_directories_and_schemes_are_not() {
        for (text, path) in [("a/b", "a/b"), ("file:a/b", "a/b"), ("file:///a/b", "/a/b")] {
            let Ok(Address::Directory(found)) = with(&[], text) else { panic!("{text}") };
            assert_eq!(found, PathBuf::from(path));
        }
        assert!(matches!(with(&[], "http://host:7878"), Ok(Address::Coordinator(_))));
        for text in
            ["", "ftp://host/x", "file:", "s3:///x", "s3://b?credentials=mine", "http://h?x=1"]
        {
            assert!(matches!(with(&[], text), Err(BlobError::Address { .. })), "{text}");
        }
    }

    #[test]
    fn a_bucket_without_credentials_is_refused_with_what_to_set() {
        for (address, name) in [
            ("s3://bucket/runs", "AWS_ACCESS_KEY_ID"),
            ("gs://bucket/runs", "GOOGLE_APPLICATION_CREDENTIALS"),
            ("az://container/runs", "AZURE_STORAGE_ACCOUNT_KEY"),
        ] {
            let error = with(&[], address).unwrap_err();
            assert!(matches!(error, BlobError::Credentials { .. }), "{error}");
            let text = error.to_string();
            assert!(text.contains(name) && text.contains("?credentials=instance"), "{text}");
        }
        // Half a pair is none.
        assert!(with(&[("AWS_ACCESS_KEY_ID", "k")], "s3://bucket").is_err());
    }

    #[test]
    fn a_bucket_with_credentials_of_the_environment_is_opened_below_its_prefix() {
        let s3 = [("AWS_ACCESS_KEY_ID", "k"), ("AWS_SECRET_ACCESS_KEY", "hush")];
        let azure =
            [("AZURE_STORAGE_ACCOUNT_NAME", "me"), ("AZURE_STORAGE_ACCOUNT_KEY", "aHVzaA==")];
        for (variables, address) in [
            (&s3[..], "s3://bucket/team/runs"),
            (&azure[..], "az://bucket/team/runs"),
            (&[("AWS_REGION", "eu-central-1")][..], "s3://bucket/team/runs?credentials=instance"),
        ] {
            let Address::Bucket(bucket) = with(variables, address).unwrap() else { panic!() };
            assert_eq!(bucket.prefix.as_ref(), "team/runs");
            assert!(
                !format!("{bucket:?}").contains('?') && !format!("{bucket:?}").contains("hush")
            );
            assert!(!bucket.shown.contains('?'));
        }
    }

    #[test]
    fn secrets_in_an_address_are_refused_and_not_repeated() {
        let text = with(&[], "s3://key:secret@bucket/x").unwrap_err().to_string();
        assert!(text.contains("environment") && !text.contains("secret@"), "{text}");
        let text = with(&[], "http://me:secret@host/").unwrap_err().to_string();
        assert!(text.contains("SWEEP_TOKEN") && !text.contains("secret"), "{text}");
        let text = with(&[], "ht tp://me:secret@host/").unwrap_err().to_string();
        assert!(!text.contains("secret"), "{text}");
    }

    #[test]
    fn an_endpoint_without_tls_must_be_meant() {
        let plain = [
            ("AWS_ACCESS_KEY_ID", "k"),
            ("AWS_SECRET_ACCESS_KEY", "s"),
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:9000"),
            ("AWS_ALLOW_HTTP", "true"),
        ];
        let error = with(&plain[..3], "s3://bucket").unwrap_err().to_string();
        assert!(error.contains("AWS_ALLOW_HTTP"), "{error}");
        assert!(with(&plain, "s3://bucket").is_ok());
    }
}
