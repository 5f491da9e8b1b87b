//! Sessions, subscriptions and the journey of a packet. Knows no sockets, files or clock.
