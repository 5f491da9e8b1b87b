//! PROXY protocol, versions 1 and 2: who the client behind a proxy is. Only the receiver's side.
//!
//! The rules are those of HAProxy's `proxy-protocol.txt` (revision 2020-03-05), sections 2.1 and 2.2.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Which versions are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Versions {
    /// Version 1, a line of text.
    One,
    /// Version 2, binary.
    Two,
    /// Either.
    Any,
}

/// A whole header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The client's address; `None` when the proxy speaks for itself (a health check) or cannot tell.
    pub source: Option<IpAddr>,
    /// Its length in bytes; what follows is the client's.
    pub len: usize,
}

/// Why bytes are no PROXY header that may be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Malformed {}

/// Longest header taken: version 2 allows 65,551 bytes, but a path of proxies needs a few hundred.
pub const BYTES_MAX: usize = 2048;

/// Longest line of version 1, with its end.
const LINE_BYTES_MAX: usize = 107;
const LINE_BEGIN: &[u8] = b"PROXY ";
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family, length.
const FIXED_BYTES: usize = 16;

/// Reads a header from the begin of a connection; `None` while bytes are missing.
///
/// # Errors
/// As soon as the bytes cannot become a header of a version that is taken.
pub fn parse(bytes: &[u8], versions: Versions) -> Result<Option<Header>, Malformed> {
    if versions != Versions::Two && may_begin_with(bytes, LINE_BEGIN) {
        return parse_line(bytes);
    }
    if versions != Versions::One && may_begin_with(bytes, SIGNATURE) {
        return parse_binary(bytes);
    }
    Err(Malformed("the connection does not begin with a PROXY header of a version that is taken"))
}

/// Whether the bytes, or as many as there are, begin with `begin`.
fn may_begin_with(bytes: &[u8], begin: &[u8]) -> bool {
    let known = bytes.len().min(begin.len());
    bytes[..known] == begin[..known]
}

fn parse_line(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    let within = &bytes[..bytes.len().min(LINE_BYTES_MAX)];
    let Some(end) = within.windows(2).position(|pair| pair == b"\r\n") else {
        return if bytes.len() < LINE_BYTES_MAX { Ok(None) } else { Err(Malformed("the line does not end")) };
    };
    let len = end + 2;
    let line = std::str::from_utf8(&within[..end]).map_err(|_| Malformed("the line is not text"))?;
    let mut words = line.split(' ').skip(1);
    let family = words.next();
    if family == Some("UNKNOWN") {
        return Ok(Some(Header { source: None, len })); // the rest of the line must be ignored
    }
    let mut next = || words.next().ok_or(Malformed("the line lacks a field"));
    let [source, destination, source_port, destination_port] = [next()?, next()?, next()?, next()?];
    let source = match family {
        Some("TCP4") => IpAddr::V4(ipv4(source).and_then(|source| ipv4(destination).map(|_| source))?),
        Some("TCP6") => IpAddr::V6(ipv6(source).and_then(|source| ipv6(destination).map(|_| source))?),
        _ => return Err(Malformed("the line names no family that is known")),
    };
    for port in [source_port, destination_port] {
        let is_port = port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok();
        if !is_port {
            return Err(Malformed("the line has a wrong port"));
        }
    }
    if words.next().is_some() {
        return Err(Malformed("the line has too many fields"));
    }
    Ok(Some(Header { source: Some(plain(source)), len }))
}

fn ipv4(text: &str) -> Result<Ipv4Addr, Malformed> {
    text.parse().map_err(|_| Malformed("the line has a wrong IPv4 address"))
}

fn ipv6(text: &str) -> Result<Ipv6Addr, Malformed> {
    text.parse().map_err(|_| Malformed("the line has a wrong IPv6 address"))
}

fn parse_binary(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    let Some((fixed, rest)) = bytes.split_first_chunk::<FIXED_BYTES>() else { return Ok(None) };
    let &[.., version_and_command, family, high, low] = fixed;
    if version_and_command >> 4 != 2 {
        return Err(Malformed("the binary header has an unknown version"));
    }
    let body_bytes = usize::from(u16::from_be_bytes([high, low]));
    let len = FIXED_BYTES + body_bytes;
    if len > BYTES_MAX {
        return Err(Malformed("the binary header is too long"));
    }
    let is_local = match version_and_command & 0x0f {
        0 => true,
        1 => false,
        _ => return Err(Malformed("the binary header has an unknown command")),
    };
    let Some(body) = rest.get(..body_bytes) else { return Ok(None) };
    let source = match family {
        _ if is_local => None,
        // TCP over IPv4: source, destination, ports; what follows (TLVs) is of no use here.
        0x11 => {
            Some(IpAddr::from(*body.first_chunk::<12>().and_then(|b| b.first_chunk::<4>()).ok_or(SHORT)?))
        }
        0x21 => {
            Some(IpAddr::from(*body.first_chunk::<36>().and_then(|b| b.first_chunk::<16>()).ok_or(SHORT)?))
        }
        // Unspecified, datagrams and Unix sockets: no address to speak of.
        0x00 | 0x12 | 0x22 | 0x31 | 0x32 => None,
        _ => return Err(Malformed("the binary header names no family that is known")),
    };
    Ok(Some(Header { source: source.map(plain), len }))
}

const SHORT: Malformed = Malformed("the binary header is too short for its addresses");

/// The IPv4 address behind an IPv4-mapped IPv6 one, so that one client has one address.
fn plain(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(bytes: &[u8], expected: Result<Option<(Option<&str>, usize)>, &str>) {
        let seen = parse(bytes, Versions::Any);
        let expected = expected
            .map(|some| some.map(|(s, len)| Header { source: s.map(|s| s.parse().unwrap()), len }))
            .map_err(|_| ());
        assert_eq!(seen.map_err(|_| ()), expected, "{}: {seen:?}", bytes.escape_ascii());
    }

    fn binary(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let len = u16::try_from(body.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &len, body].concat()
    }

    #[test]
    fn lines_tell_the_source() {
        check(b"PROXY TCP4 192.0.2.1 10.0.0.1 56324 443\r\nrest", Ok(Some((Some("192.0.2.1"), 41))));
        check(b"PROXY TCP6 2001:db8::1 ::1 1 2\r\n", Ok(Some((Some("2001:db8::1"), 32))));
        check(b"PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n", Ok(Some((Some("192.0.2.1"), 37))));
        check(b"PROXY UNKNOWN\r\n", Ok(Some((None, 15))));
        check(b"PROXY UNKNOWN ffff:: whatever\r\n", Ok(Some((None, 31))));
    }

    #[test]
    fn wrong_lines_are_refused() {
        for line in [
            "PROXY TCP4 192.0.2.1 10.0.0.1 56324\r\n",
            "PROXY TCP4 192.0.2.1 10.0.0.1 56324 443 5\r\n",
            "PROXY TCP4 192.0.2.1 10.0.0.1 56324 65536\r\n",
            "PROXY TCP4 192.0.2.1 10.0.0.1 +1 443\r\n",
            "PROXY TCP4 2001:db8::1 ::1 1 2\r\n",
            "PROXY TCP6 192.0.2.1 10.0.0.1 1 2\r\n",
            "PROXY UDP4 192.0.2.1 10.0.0.1 1 2\r\n",
            "PROXY  TCP4 192.0.2.1 10.0.0.1 1 2\r\n",
            "PROXY\r\n",
            "proxy TCP4 192.0.2.1 10.0.0.1 1 2\r\n",
        ] {
            check(line.as_bytes(), Err(""));
        }
        let mut endless = b"PROXY TCP4 ".to_vec();
        endless.resize(LINE_BYTES_MAX - 1, b'1');
        check(&endless, Ok(None));
        endless.push(b'1');
        check(&endless, Err(""));
    }

    #[test]
    fn binary_headers_tell_the_source() {
        let v4 = [192, 0, 2, 1, 10, 0, 0, 1, 0xdc, 4, 1, 0xbb];
        check(&binary(0x21, 0x11, &v4), Ok(Some((Some("192.0.2.1"), 28))));
        let with_tlv = [&v4[..], &[4, 0, 1, 0]].concat();
        check(&binary(0x21, 0x11, &with_tlv), Ok(Some((Some("192.0.2.1"), 32))));
        let mut v6 = [0; 36];
        v6[..16].copy_from_slice(&"2001:db8::1".parse::<Ipv6Addr>().unwrap().octets());
        check(&binary(0x21, 0x21, &v6), Ok(Some((Some("2001:db8::1"), 52))));
        check(&binary(0x20, 0x00, &[]), Ok(Some((None, 16))));
        check(&binary(0x20, 0x11, &v4), Ok(Some((None, 28))));
        check(&binary(0x21, 0x31, &[0; 216]), Ok(Some((None, 232))));
    }

    #[test]
    fn wrong_binary_headers_are_refused() {
        check(&binary(0x11, 0x11, &[0; 12]), Err("version"));
        check(&binary(0x22, 0x11, &[0; 12]), Err("command"));
        check(&binary(0x21, 0x11, &[0; 11]), Err("short"));
        check(&binary(0x21, 0x21, &[0; 35]), Err("short"));
        check(&binary(0x21, 0x41, &[0; 12]), Err("family"));
        check(&binary(0x21, 0x11, &[0; BYTES_MAX]), Err("long"));
    }

    #[test]
    fn a_version_that_is_not_taken_is_refused_at_its_first_byte() {
        assert!(parse(b"P", Versions::Two).is_err() && parse(b"\r", Versions::One).is_err());
        assert_eq!(parse(b"P", Versions::One), Ok(None));
        assert_eq!(parse(b"", Versions::Any), Ok(None));
        assert!(parse(b"\x10", Versions::Any).is_err(), "a CONNECT without a header");
    }

    proptest! {
        #[test]
        fn a_header_is_whole_exactly_when_its_last_byte_came(
            choice in 0..3_usize, rest in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let header = [
                b"PROXY TCP4 192.0.2.1 10.0.0.1 56324 443\r\n".to_vec(),
                binary(0x21, 0x11, &[7; 20]),
                binary(0x21, 0x21, &[7; 40]),
            ][choice].clone();
            for known in 0..header.len() {
                prop_assert_eq!(parse(&header[..known], Versions::Any), Ok(None));
            }
            let all = [&header[..], &rest].concat();
            let seen = parse(&all, Versions::Any).unwrap().unwrap();
            prop_assert_eq!(seen.len, header.len());
        }

        #[test]
        fn anything_is_read_or_refused(begin in 0..3_usize, bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let begin: &[u8] = [&b""[..], LINE_BEGIN, SIGNATURE][begin];
            let bytes = [begin, &bytes].concat();
            if let Ok(Some(header)) = parse(&bytes, Versions::Any) {
                prop_assert!(header.len <= bytes.len() && header.len <= BYTES_MAX);
            }
        }
    }
}
