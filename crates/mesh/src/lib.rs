//! Meshtastic: envelopes, packets, keys, crypto, facts and airtime. Knows no MQTT, no sockets and no clock.
