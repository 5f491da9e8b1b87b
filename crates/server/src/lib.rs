//! The shell: listeners, the core loop, the recorder, wiring and shutdown.
//!
//! Threads: the core (broker and established connections), the doorman (connections on their way in and out), the
//! recorder (history files), the keepers (watch directory and certificates for changes), the pages. They speak in values
//! over queues; nothing is shared but counters and the certificates in force.

mod acme;
mod alert_samples;
mod alert_silences;
mod alerting_desk;
mod bridge_board_keeper;
mod bridge_wire;
mod bridging;
mod entrances;
mod folder_lock;
mod listener;
mod memory_keeper;
mod private_file;
mod telling;
mod tls;

mod arriving;
mod clock;
mod core_loop;
mod doorman;
mod leaving;
mod transport;

mod certificate_keeper;
mod consent_keeper;
mod directory_keeper;
pub mod erasing;
mod pages;
mod policy_desk;
mod redecode_keeper;
mod replay_pace;
mod replaying;
pub mod retention_keeper;
mod session_keeper;
mod start;

pub mod backup;
mod open_files;
mod service_manager;

pub use acme::{AcmeSettings, Proof};
pub use alerting_desk::{AlertSource, ReadAlerts};
pub use bridge_board_keeper::BRIDGES_FILE;
pub use bridge_wire::Peer;
pub use bridging::{BridgeBoard, BridgeSettings};
pub use core_loop::{Arrival, Command, CoreHandle};
pub use entrances::{InheritedSockets, OpenListener};
pub use listener::{ListenerSettings, ProxySettings};
pub use memory_keeper::MEMORY_FILE;
pub use open_files::raise_limit;
pub use pages::PagesSettings;
pub use policy_desk::{EditPolicy, PolicyDesk, PolicySource, ReadPolicy, Started};
pub use service_manager::{ServiceNotice, inherited_sockets};
pub use start::{Running, Settings, StartError, own_node, start};
pub use tls::{CertificateSource, ClientCertificates, TlsError, TlsSettings};
pub use web::{MapTiles, Setting};
