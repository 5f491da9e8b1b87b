//! Backhaul: the controlled MQTT backhaul of a community LoRa mesh. One file per subcommand.

fn main() {}
