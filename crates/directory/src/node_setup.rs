//! What a gateway's owner pastes: the `meshtastic` commands that point a node at this broker.

use std::fmt::Write;

use crate::Token;

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
}
