//! The section `[http]`: address, certificate, bounds and quotas of the API (`spec/http.md`, "Settings").

use std::path::Path;

use zkbureau_ledger::keys::PublicKey;

use super::read::{ConfigError, Mistake, Section};
use super::{Http, size};
use crate::http::settings::{Limits, Quota, Quotas, Settings, TlsFiles};

/// Keys of the section.
const KEYS: &[&str] = &[
    "listen",
    "tls",
    "insecure_http",
    "trust_loopback",
    "names",
    "operator_keys",
    "client_keys",
    "connections",
    "connections_per_address",
    "header_s",
    "body_s",
    "write_s",
    "subscribers",
    "workers",
    "quota",
];

/// Reads the section; relative paths start at `folder`.
pub fn read(top: &Section<'_>, folder: &Path) -> Result<Http, ConfigError> {
    let section = top.required_section("http", KEYS)?;
    let expected = "an address with a port, such as 127.0.0.1:7600";
    let listen = section
        .parsed("listen", expected)?
        .ok_or_else(|| section.error("listen", Mistake::Missing))?;
    let tls = match section.section("tls", &["certificate", "key"])? {
        None => None,
        Some(tls) => Some(TlsFiles {
            certificate: folder.join(tls.required_text("certificate")?),
            key: folder.join(tls.required_text("key")?),
        }),
    };
    let usual = Settings::default();
    let settings = Settings {
        tls,
        insecure_http: section.boolean("insecure_http", usual.insecure_http)?,
        trust_loopback: section.boolean("trust_loopback", usual.trust_loopback)?,
        names: section
            .texts("names")?
            .into_iter()
            .map(str::to_owned)
            .collect(),
        operator_keys: keys(&section, "operator_keys")?,
        client_keys: keys(&section, "client_keys")?,
        workers: section.optional_number("workers", 1..=1_024)?.map(size),
        limits: limits(&section, &usual.limits)?,
        quota: quotas(&section, &usual.quota)?,
    };
    settings
        .validate(listen)
        .map_err(|e| section.error("listen", Mistake::Invalid(e.to_string())))?;
    Ok(Http { listen, settings })
}

fn limits(section: &Section<'_>, usual: &Limits) -> Result<Limits, ConfigError> {
    let count = |key, usual: usize| -> Result<usize, ConfigError> {
        Ok(size(section.number(key, 1..=65_536, usual as u64)?))
    };
    let seconds = |key, usual| section.number(key, 1..=3_600, usual);
    Ok(Limits {
        connections: count("connections", usual.connections)?,
        connections_per_address: count("connections_per_address", usual.connections_per_address)?,
        header_seconds: seconds("header_s", usual.header_seconds)?,
        body_seconds: seconds("body_s", usual.body_seconds)?,
        write_seconds: seconds("write_s", usual.write_seconds)?,
        subscribers: count("subscribers", usual.subscribers)?,
    })
}

fn quotas(section: &Section<'_>, usual: &Quotas) -> Result<Quotas, ConfigError> {
    let mut quotas = *usual;
    let Some(section) = section.section("quota", &["address", "key", "anchors"])? else {
        return Ok(quotas);
    };
    for (key, quota) in [
        ("address", &mut quotas.address),
        ("key", &mut quotas.key),
        ("anchors", &mut quotas.anchors),
    ] {
        if let Some(section) = section.section(key, &["per_second", "burst"])? {
            let number = |key, usual: u32| -> Result<u32, ConfigError> {
                let n = section.number(key, 1..=1_000_000, usual.into())?;
                Ok(u32::try_from(n).unwrap_or(u32::MAX))
            };
            *quota = Quota {
                per_second: number("per_second", quota.per_second)?,
                burst: number("burst", quota.burst)?,
            };
        }
    }
    Ok(quotas)
}

fn keys(section: &Section<'_>, key: &str) -> Result<Vec<PublicKey>, ConfigError> {
    section
        .texts(key)?
        .into_iter()
        .map(|text| {
            let mut bytes = [0; 32];
            hex::decode_to_slice(text, &mut bytes)
                .ok()
                .and_then(|()| PublicKey::from_bytes(&bytes).ok())
                .ok_or_else(|| {
                    let what = "an Ed25519 key is 64 hexadecimal digits".to_owned();
                    section.error(key, Mistake::Invalid(what))
                })
        })
        .collect()
}
