//! How gateways reach this broker, as an address that a node takes.

/// Longest `mqtt.address` that firmware holds (meshtastic.md § 8.2).
const ADDRESS_BYTES_MAX: usize = 63;

/// Port that firmware uses when the address names none.
const fn default_port(is_tls: bool) -> u16 {
    if is_tls { 8883 } else { 1883 }
}

/// Checks an address that was given, or makes one of this machine's name.
pub fn broker_address(given: Option<&str>, (port, is_tls): (u16, bool)) -> Result<String, String> {
    let address = match given {
        Some(address) => address.to_owned(),
        None => {
            let host = machine_name().ok_or("cannot find this machine's name: give --address HOST")?;
            if port == default_port(is_tls) || port == 0 { host } else { format!("{host}:{port}") }
        }
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-_:[]".contains(c);
    if address.is_empty() || address.starts_with('-') || !address.chars().all(plain) {
        let seen = address.escape_debug();
        return Err(format!(
            "address must be a host name or IP address, with `:port` if it is not 1883, but is `{seen}`"
        ));
    }
    if address.len() > ADDRESS_BYTES_MAX {
        let bytes = address.len();
        return Err(format!("address must be at most {ADDRESS_BYTES_MAX} bytes, but is {bytes}"));
    }
    Ok(address)
}

/// Linux tells the name in a file; other systems are asked by environment.
fn machine_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .or_else(|_| std::fs::read_to_string("/etc/hostname"))
        .ok()
        .or_else(|| std::env::var("HOSTNAME").ok())?;
    let name = name.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_hosts_that_fit_the_firmware() {
        for good in ["mesh.example.org", "10.0.0.1:1884", "[2001:db8::1]:1883"] {
            assert_eq!(broker_address(Some(good), (1883, false)).as_deref(), Ok(good));
        }
        for bad in ["", "mqtt://x", "a b", "--set", "x'y"] {
            assert!(broker_address(Some(bad), (1883, false)).is_err(), "{bad}");
        }
        assert!(broker_address(Some(&"a".repeat(64)), (1883, false)).is_err());
    }
}
