//! Keeps requests to addresses that users give outside the house: nobody may have the service
//! knock at doors that they themselves cannot reach (SSRF).

use crate::error::{Fault, Result};
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address is one of the public internet.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

/// All but what IANA lists as special.
fn is_public_v4(v4: Ipv4Addr) -> bool {
    let [a, b, c, _] = v4.octets();
    let special = v4.is_private()
        || v4.is_loopback()
        || v4.is_link_local()
        || v4.is_documentation()
        || a == 0
        || a >= 224 // multicast, reserved, broadcast
        || (a == 100 && (64..128).contains(&b)) // shared by carriers
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (18..20).contains(&b)); // benchmarks
    !special
}

fn is_public_v6(v6: Ipv6Addr) -> bool {
    let segments = v6.segments();
    // An IPv4 address in other clothes: mapped, and translated by NAT64.
    if let Some(v4) = v6.to_ipv4_mapped() {
        return is_public_v4(v4);
    }
    if segments[..6] == [0x64, 0xff9b, 0, 0, 0, 0] {
        let [.., a, b] = segments;
        let ([a, b], [c, d]) = (a.to_be_bytes(), b.to_be_bytes());
        return is_public_v4(Ipv4Addr::new(a, b, c, d));
    }
    // Of what is global unicast, not the documentation's, Teredo and other special uses, 6to4.
    (0x2000..0x4000).contains(&segments[0])
        && segments[0] != 0x2002
        && !(segments[0] == 0x2001 && segments[1] < 0x0200)
        && !(segments[0] == 0x2001 && segments[1] == 0x0db8)
        && !(segments[0] == 0x3fff && segments[1] < 0x1000)
}

/// The address of a push service, if it may be one: https, at the usual port, of the public
/// internet as far as it shows. What its name resolves to is checked when it is used.
/// `inside` is an origin the operator has named.
pub fn check(endpoint: &str, inside: Option<&str>) -> Result<Url> {
    let wrong = |detail: &str| {
        Fault::invalid("推送地址不可用", format!("This push endpoint cannot be used: {detail}"))
            .field("endpoint", detail)
    };
    if endpoint.len() > 1000 {
        return Err(wrong("too long"));
    }
    let url = Url::parse(endpoint).map_err(|_| wrong("not an address"))?;
    if inside.is_some_and(|inside| url.origin().ascii_serialization() == inside) {
        return Ok(url);
    }
    if url.scheme() != "https" || url.port().is_some() {
        return Err(wrong("https at its usual port"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("no credentials"));
    }
    // The parser has brought all the ways to write an address into one.
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let usable = match host.parse::<IpAddr>() {
        Ok(address) => is_public(address),
        Err(_) => host.contains('.'),
    };
    if !usable {
        return Err(wrong("not an address of the internet"));
    }
    Ok(url)
}

/// Resolves names to public addresses only; the connection then goes to what was checked.
pub struct PublicOnly {
    /// The host of the origin that the operator has named.
    pub inside: Option<String>,
}

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        let any = self.inside.as_deref() == Some(name.as_str());
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let usable: Vec<_> = found.filter(|a| any || is_public(a.ip())).collect();
            if usable.is_empty() {
                return Err("no public address".into());
            }
            Ok(Box::new(usable.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_public() {
        for public in ["8.8.8.8", "142.250.1.1", "2607:f8b0:4005::1", "::ffff:8.8.8.8"] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for inner in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "192.0.2.1",
            "192.0.0.8",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001:db8::1",
            "2001::1",
            "::7f00:1",
        ] {
            assert!(!is_public(inner.parse().unwrap()), "{inner}");
        }
    }

    #[test]
    fn endpoints_are_public_https_addresses() {
        for good in ["https://updates.push.services.mozilla.com/wpush/v2/x", "https://8.8.8.8/x"] {
            check(good, None).unwrap();
        }
        for bad in [
            "",
            "x",
            "http://push.example.com/x",
            "https://localhost/x",
            "https://127.0.0.1/",
            "https://[::1]/",
            "https://0x7f.1/",
            "https://2130706433/",
            "https://169.254.169.254/",
            "https://push.example.com:8443/",
            "https://user:pw@push.example.com/",
            "file:///etc/passwd",
            "https://[::ffff:10.0.0.1]/",
            "https://intranet/x",
        ] {
            assert!(check(bad, None).is_err(), "{bad}");
        }
        let inside = "http://127.0.0.1:4000";
        check("http://127.0.0.1:4000/x", Some(inside)).unwrap();
        assert!(check("http://127.0.0.1:4001/x", Some(inside)).is_err());
        assert!(check("http://127.0.0.1:4000@10.0.0.1/", Some(inside)).is_err());
    }
}
