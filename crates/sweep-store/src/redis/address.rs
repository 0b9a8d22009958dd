//! The URL of a Redis store, read without asking anybody: servers, credentials, namespace.
//!
//! `redis://[USER[:PASSWORD]@]HOST[:PORT][/DB]`, `rediss://…` with TLS, and
//! `redis+sentinel://[USER[:PASSWORD]@]HOST[:PORT][,HOST[:PORT]…]/SERVICE[/DB]`, where user and password are those of the store's
//! servers. Options after `?`, joined by `&`: `namespace=NAME` (default `default`), `password_file=PATH`, `tls=true` (sentinel).
//! A password is better kept out of the URL: in that file, or in the environment variable [`PASSWORD`].

use std::fmt;
use std::path::Path;

use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo, TlsMode};

use crate::error::StoreError;

/// The environment variable that holds the password where neither the URL nor a file does.
pub const PASSWORD: &str = "SWEEP_REDIS_PASSWORD";
const SERVER_PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;
/// Where runs are kept when the URL names no namespace.
pub(crate) const NAMESPACE: &str = "default";
/// Characters of a namespace at most.
const NAMESPACE_MAX: usize = 32;

/// Where a store is and how to get in. Shown without credentials.
#[derive(Clone)]
pub(super) struct Address {
    /// Server, or sentinels.
    hosts: Vec<(String, u16)>,
    /// Of the servers that the sentinels watch.
    service: Option<String>,
    tls: bool,
    db: i64,
    user: Option<String>,
    password: Option<String>,
    /// `[a-z0-9-]{1,32}`: the atomic unit, one per pool of workers.
    pub(super) namespace: String,
}

impl Address {
    /// Reads a URL and, where it names one, the file with the password.
    pub(super) fn parse(url: &str) -> Result<Self, StoreError> {
        let refused = |why: &'static str| StoreError::RedisUrl { url: hidden(url), why };
        let (scheme, rest) = url.split_once("://").ok_or_else(|| refused("`://` is missing"))?;
        let (rest, options) = rest.split_once('?').unwrap_or((rest, ""));
        let (credentials, rest) =
            rest.rsplit_once('@').map_or((None, rest), |(before, after)| (Some(before), after));
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        let sentinel = scheme == "redis+sentinel";
        let port = if sentinel { SENTINEL_PORT } else { SERVER_PORT };
        let hosts: Option<Vec<_>> = hosts.split(',').map(|host| host_port(host, port)).collect();
        let hosts = hosts.ok_or_else(|| refused("the host must be HOST or HOST:PORT"))?;
        if !sentinel && hosts.len() > 1 {
            return Err(refused("several hosts are allowed with redis+sentinel:// only"));
        }
        let (service, db) = if sentinel {
            let (service, db) = path.split_once('/').unwrap_or((path, ""));
            if service.is_empty() {
                return Err(refused("the name of the service is missing, as in HOST/SERVICE"));
            }
            (Some(service.to_owned()), db)
        } else {
            (None, path)
        };
        let db = if db.is_empty() { Ok(0) } else { db.parse::<u16>() };
        let db = i64::from(db.map_err(|_| refused("the database must be a number"))?);
        let (user, password) = match credentials {
            None => (None, None),
            Some(text) => {
                let (user, password) = match text.split_once(':') {
                    Some((user, password)) => (user, Some(password)),
                    None => (text, None),
                };
                let wrong = || refused("the credentials have a wrong percent escape");
                let user = unescaped(user).ok_or_else(wrong)?;
                let password =
                    password.map(|text| unescaped(text).ok_or_else(wrong)).transpose()?;
                (Some(user).filter(|user| !user.is_empty()), password)
            }
        };
        let mut address = Self {
            hosts,
            service,
            tls: scheme == "rediss",
            db,
            user,
            password,
            namespace: NAMESPACE.to_owned(),
        };
        for option in options.split('&').filter(|option| !option.is_empty()) {
            match option.split_once('=') {
                Some(("namespace", name)) => address.namespace = name.to_owned(),
                Some(("password_file", path)) => {
                    address.password = Some(password_of(Path::new(path))?)
                }
                Some(("tls", "true")) if sentinel => address.tls = true,
                _ => {
                    return Err(refused(
                        "an option is unknown (known: namespace, password_file, and tls=true with redis+sentinel://)",
                    ));
                }
            }
        }
        if address.password.is_none() {
            address.password = std::env::var(PASSWORD).ok().filter(|text| !text.is_empty());
        }
        if !is_namespace(&address.namespace) {
            return Err(refused("the namespace must be 1 to 32 characters of a-z, 0-9 and `-`"));
        }
        Ok(address)
    }

    /// How to reach the server, or nothing where sentinels must be asked.
    pub(super) fn server(&self) -> Result<Option<ConnectionInfo>, redis::RedisError> {
        if self.service.is_some() {
            return Ok(None);
        }
        let mut settings = RedisConnectionInfo::default().set_db(self.db);
        if let Some(user) = &self.user {
            settings = settings.set_username(user);
        }
        if let Some(password) = &self.password {
            settings = settings.set_password(password);
        }
        let addresses = self.addresses(self.tls);
        let Some(address) = addresses.into_iter().next() else { return Ok(None) };
        Ok(Some(address.into_connection_info()?.set_redis_settings(settings)))
    }

    /// Whom to ask for the server; `None` where it is known.
    pub(super) fn sentinels(&self) -> Result<Option<SentinelClient>, redis::RedisError> {
        let Some(service) = &self.service else { return Ok(None) };
        let addresses = self.addresses(false);
        let mut builder =
            SentinelClientBuilder::new(addresses, service, SentinelServerType::Master)?
                .set_client_to_redis_db(self.db);
        if self.tls {
            builder = builder.set_client_to_redis_tls_mode(TlsMode::Secure);
        }
        if let Some(user) = &self.user {
            builder = builder.set_client_to_redis_username(user);
        }
        if let Some(password) = &self.password {
            builder = builder.set_client_to_redis_password(password);
        }
        builder.build().map(Some)
    }

    fn addresses(&self, tls: bool) -> Vec<ConnectionAddr> {
        let address = |(host, port): &(String, u16)| {
            let (host, port) = (host.clone(), *port);
            if tls {
                ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
            } else {
                ConnectionAddr::Tcp(host, port)
            }
        };
        self.hosts.iter().map(address).collect()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match (&self.service, self.tls) {
            (Some(_), _) => "redis+sentinel",
            (None, true) => "rediss",
            (None, false) => "redis",
        };
        let host = |(host, port): &(String, u16)| format!("{host}:{port}");
        let hosts: Vec<_> = self.hosts.iter().map(host).collect();
        write!(f, "{scheme}://{}", hosts.join(","))?;
        if let Some(service) = &self.service {
            write!(f, "/{service}")?;
        }
        write!(f, "/{}?namespace={}", self.db, self.namespace)
    }
}

/// The URL of the namespace `pool` on the server of `url`, which may name that namespace itself, but no other.
pub(crate) fn with_pool(url: &str, pool: &str) -> Result<String, StoreError> {
    let refused =
        |why: String| Err(StoreError::Pool { pool: pool.to_owned(), url: hidden(url), why });
    if !is_namespace(pool) {
        return refused("a pool has 1 to 32 characters of a-z, 0-9 and `-`".to_owned());
    }
    let Some((_, options)) = url.split_once('?') else {
        return Ok(format!("{url}?namespace={pool}"));
    };
    let named =
        options.split('&').filter_map(|option| option.strip_prefix("namespace=")).next_back();
    match named {
        Some(named) if named == pool => Ok(url.to_owned()),
        Some(named) => {
            refused(format!("the address names the namespace `{named}`: leave one of them out"))
        }
        None if options.is_empty() => Ok(format!("{url}namespace={pool}")),
        None => Ok(format!("{url}&namespace={pool}")),
    }
}

fn is_namespace(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !name.is_empty() && name.len() <= NAMESPACE_MAX && name.bytes().all(allowed)
}

/// A URL without whatever may be a password.
fn hidden(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://…@{rest}"),
        _ => url.to_owned(),
    }
}

/// `HOST`, `HOST:PORT`, `[V6]` or `[V6]:PORT`.
fn host_port(text: &str, port: u16) -> Option<(String, u16)> {
    let (host, given) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']')?;
            (host, if after.is_empty() { None } else { Some(after.strip_prefix(':')?) })
        }
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let port = given.map_or(Some(port), |given| given.parse().ok())?;
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

/// Percent escapes resolved: a password may hold characters that mean something in a URL.
fn unescaped(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let hex = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&hex).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

fn password_of(path: &Path) -> Result<String, StoreError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| StoreError::Io { path: path.to_owned(), source })?;
    // Editors and `kubectl create secret --from-file` leave a line break at the end.
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(url: &str) -> String {
        Address::parse(url).map_or_else(|error| error.to_string(), |address| address.to_string())
    }

    #[test]
    fn an_address_is_shown_in_full_but_without_credentials() {
        assert_eq!(shown("redis://localhost"), "redis://localhost:6379/0?namespace=default");
        assert_eq!(
            shown("rediss://me:s%40cret@[::1]:1234/3?namespace=cuda"),
            "rediss://::1:1234/3?namespace=cuda"
        );
        assert_eq!(
            shown("redis+sentinel://:secret@a,b:7/main/2"),
            "redis+sentinel://a:26379,b:7/main/2?namespace=default"
        );
    }

    #[test]
    fn a_wrong_address_is_refused_without_its_password() {
        for url in [
            "redis://me:secret@",
            "redis://me:secret@a,b",
            "redis://me:secret@a/x",
            "redis://me:secret@a?namespace=Ab",
            "redis://me:secret@a?what=1",
            "redis://me:secret%zz@a",
            "redis+sentinel://me:secret@a",
        ] {
            let error = Address::parse(url).err().unwrap();
            assert!(!error.is_retryable());
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_password_comes_from_the_url_or_a_file() {
        let password = |url: &str| Address::parse(url).unwrap().password;
        assert_eq!(password("redis://me:s%40cret@a").as_deref(), Some("s@cret"));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "from file\n").unwrap();
        let url = format!("redis://a?password_file={}", file.path().display());
        assert_eq!(password(&url).as_deref(), Some("from file"));
        assert!(matches!(
            Address::parse("redis://a?password_file=/nowhere"),
            Err(StoreError::Io { .. })
        ));
    }
}
