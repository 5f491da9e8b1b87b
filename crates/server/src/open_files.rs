//! How many files and connections the operating system lets this program have open.

/// What is needed besides MQTT connections: connections on their way in or out, the pages', history files, threads'
/// own.
const BESIDES: u64 = 6_000;

/// Raises the limit as far as it may be, and says so when it is too low for this many connections.
pub fn raise_limit(connections_max: usize) {
    let needed = connections_max as u64 + BESIDES;
    match rlimit::increase_nofile_limit(rlimit::INFINITY) {
        Ok(allowed) if allowed < needed => tracing::warn!(
            "the system allows {allowed} open files, but {connections_max} connections (`mqtt.max_connections`) need \
             {needed}: further connections will be refused before that; raise it with `LimitNOFILE=` of the service \
             or `ulimit -Hn`"
        ),
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "the limit of open files could not be raised"),
    }
}
