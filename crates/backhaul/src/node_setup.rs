//! What a gateway's owner pastes: the `meshtastic` commands that point a node at this broker.

use std::fmt::Write;

use directory::Token;

/// Longest `mqtt.address` that firmware holds (meshtastic.md § 8.2).
const ADDRESS_BYTES_MAX: usize = 63;

/// Port that firmware uses when the address names none.
const fn default_port(is_tls: bool) -> u16 {
    if is_tls { 8883 } else { 1883 }
}

/// Everything that a node must be told.
pub struct NodeSetup<'a> {
    /// `host` or `host:port`.
    pub address: &'a str,
    /// Whether TLS is spoken there.
    pub is_tls: bool,
    /// The topic root.
    pub root: &'a str,
    /// The gateway's username.
    pub username: &'a str,
    /// The gateway's password.
    pub password: &'a Token,
}

impl NodeSetup<'_> {
    /// Writes the commands for a POSIX shell, one per line. All settings of one command make one restart of the node.
    pub fn commands(&self) -> Vec<String> {
        let settings = [
            ("mqtt.address", self.address),
            ("mqtt.username", self.username),
            ("mqtt.password", self.password.reveal()),
            ("mqtt.root", self.root),
            ("mqtt.encryption_enabled", "true"),
            ("mqtt.enabled", "true"),
        ];
        // Builds without TLS refuse the setting, whatever its value.
        let tls = self.is_tls.then_some(("mqtt.tls_enabled", "true"));
        let mut set = String::from("meshtastic");
        for (name, value) in settings.into_iter().chain(tls) {
            // Writing to a `String` cannot fail.
            let _ = write!(set, " --set {name} {}", shell_word(value));
        }
        vec![set, "meshtastic --ch-index 0 --ch-set uplink_enabled true".to_owned()]
    }

    /// Writes the command that changes the password only.
    pub fn password_command(username: &str, password: &Token) -> String {
        let (username, password) = (shell_word(username), shell_word(password.reveal()));
        format!("meshtastic --set mqtt.username {username} --set mqtt.password {password}")
    }
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

/// Quotes a word for a POSIX shell. `true` and `false` stay bare, as people write them.
fn shell_word(text: &str) -> String {
    if matches!(text, "true" | "false") {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_survive_a_shell() {
        assert_eq!(shell_word("msh/US"), "'msh/US'");
        assert_eq!(shell_word("O'Hara $x"), r"'O'\''Hara $x'");
    }

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
