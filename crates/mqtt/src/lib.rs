//! MQTT 3.1.1 and 5.0 control packets: bytes to values and back. Knows no sockets, no clock and no Meshtastic.
