//! Packets that MQTT forbids, and the Reason Code each is refused with: one table.
//!
//! A line: who sends it (`c` client, `s` server) and the version; the reason; the bytes in hexadecimal, where `_` stands
//! for the right Remaining Length; what is wrong.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use mqtt::frame::split;
use mqtt::{DecodeError, Version, client_packet, server_packet};

const TABLE: &str = "
c4 MalformedPacket  10 ffffffff7f                                  // Remaining Length of five bytes
c4 MalformedPacket  c0 80808080                                    // Remaining Length that does not end
c4 PacketTooLarge   30 ffffff7f                                    // 256 MB announced
c4 PacketTooLarge   30 808004                                      // 65,536 bytes announced, 65,540 in all

c4 ProtocolError    00 _                                           // type 0 is reserved
c4 ProtocolError    f0 _                                           // type 15 is reserved in 3.1.1
c4 ProtocolError    20 _ 0000                                      // CONNACK from a client
c5 ProtocolError    90 _ 0001 00 00                                // SUBACK from a client
c5 ProtocolError    b0 _ 0001 00 00                                // UNSUBACK from a client
c4 ProtocolError    d0 _                                           // PINGRESP from a client
s4 ProtocolError    c0 _                                           // PINGREQ from a server
s5 ProtocolError    10 _ 00044d515454 05 02 003c 00 000161         // CONNECT from a server
s5 ProtocolError    82 _ 0001 00 000161 00                         // SUBSCRIBE from a server
s4 ProtocolError    e0 _                                           // DISCONNECT from a 3.1.1 server
s4 ProtocolError    f0 _                                           // AUTH from a 3.1.1 server

c4 MalformedPacket  11 _ 00044d515454 04 02 003c 000161            // CONNECT with flags
c4 MalformedPacket  41 _ 0001                                      // PUBACK with flags
c4 MalformedPacket  60 _ 0001                                      // PUBREL without its flag
c4 MalformedPacket  80 _ 0001 000161 00                            // SUBSCRIBE without its flag
c5 MalformedPacket  a0 _ 0001 00 000161                            // UNSUBSCRIBE without its flag
c4 MalformedPacket  c1 _                                           // PINGREQ with flags
c5 MalformedPacket  e2 _                                           // DISCONNECT with flags
s4 MalformedPacket  21 _ 0000                                      // CONNACK with flags
s4 MalformedPacket  d8 _                                           // PINGRESP with flags

c4 MalformedPacket  10 _                                           // CONNECT that is empty
c4 ProtocolError    10 _ 00044d515458 04 02 003c 000161            // Protocol Name MQTX
c4 ProtocolError    10 _ 00046d717474 04 02 003c 000161            // Protocol Name in lower case
c4 UnsupportedProtocolVersion 10 _ 00064d514973647003 02 003c 000161 // MQTT 3.1
c4 UnsupportedProtocolVersion 10 _ 00044d515454 06 02 003c 000161  // version 6
c4 UnsupportedProtocolVersion 10 _ 00044d515454 84 02 003c 000161  // a bridge's version bit
c4 MalformedPacket  10 _ 00044d515454 04 03 003c 000161            // reserved Connect Flag
c4 MalformedPacket  10 _ 00044d515454 04 02 00                     // Keep Alive cut off
c4 MalformedPacket  10 _ 00044d515454 04 02 003c                   // no Client Identifier
c4 MalformedPacket  10 _ 00044d515454 04 02 003c 000261            // Client Identifier cut off
c4 MalformedPacket  10 _ 00044d515454 04 02 003c 0001ff            // Client Identifier is not UTF-8
c4 MalformedPacket  10 _ 00044d515454 04 02 003c 0003eda080        // Client Identifier holds a surrogate
c4 MalformedPacket  10 _ 00044d515454 04 02 003c 000100            // Client Identifier holds the null character
c4 MalformedPacket  10 _ 00044d515454 04 02 003c 000161 62         // a byte too many
c4 MalformedPacket  10 _ 00044d515454 04 42 003c 000161 000162     // 3.1.1: Password without User Name
c4 MalformedPacket  10 _ 00044d515454 04 82 003c 000161            // User Name announced and missing
c4 MalformedPacket  10 _ 00044d515454 04 c2 003c 000161 000162     // Password announced and missing
c4 MalformedPacket  10 _ 00044d515454 04 22 003c 000161            // Will Retain without a Will
c4 MalformedPacket  10 _ 00044d515454 04 0a 003c 000161            // Will QoS without a Will
c4 MalformedPacket  10 _ 00044d515454 04 1e 003c 000161 000174 000170 // Will QoS 3
c4 MalformedPacket  10 _ 00044d515454 04 06 003c 000161 000174     // Will Payload missing
c4 TopicNameInvalid 10 _ 00044d515454 04 06 003c 000161 000123 000170 // Will Topic is a wildcard
c4 TopicNameInvalid 10 _ 00044d515454 04 06 003c 000161 0000 000170   // Will Topic is empty
c5 MalformedPacket  10 _ 00044d515454 05 02 003c 05 000161         // Property Length past the end
c5 MalformedPacket  10 _ 00044d515454 05 02 003c 8000 000161       // Property Length padded
c5 ProtocolError    10 _ 00044d515454 05 02 003c 03 210000 000161  // Receive Maximum 0
c5 ProtocolError    10 _ 00044d515454 05 02 003c 05 2700000000 000161 // Maximum Packet Size 0
c5 ProtocolError    10 _ 00044d515454 05 02 003c 02 1702 000161    // Request Problem Information 2
c5 ProtocolError    10 _ 00044d515454 05 02 003c 02 19ff 000161    // Request Response Information 255
c5 ProtocolError    10 _ 00044d515454 05 02 003c 0a 1100000001 1100000002 000161 // Session Expiry twice
c5 ProtocolError    10 _ 00044d515454 05 02 003c 03 230001 000161  // Topic Alias in CONNECT
c5 ProtocolError    10 _ 00044d515454 05 02 003c 05 1800000001 000161 // Will Delay outside the Will
c5 ProtocolError    10 _ 00044d515454 05 02 003c 04 16000161 000161 // Authentication Data without a method
c5 MalformedPacket  10 _ 00044d515454 05 02 003c 02 7f00 000161    // property identifier that does not exist
c5 MalformedPacket  10 _ 00044d515454 05 02 003c 03 110000 000161  // Session Expiry cut off
c5 MalformedPacket  10 _ 00044d515454 05 02 003c 04 26000161 000161 // User Property without a value
c5 ProtocolError    10 _ 00044d515454 05 06 003c 00 000161 03 210001 000174 000170 // Receive Maximum in the Will
c5 ProtocolError    10 _ 00044d515454 05 06 003c 00 000161 02 0102 000174 000170 // Payload Format 2 in the Will
c5 ProtocolError    10 _ 00044d515454 05 06 003c 00 000161 04 08000123 000174 000170 // Response Topic of the Will is a wildcard

c4 MalformedPacket  36 _ 000174 0001                               // QoS 3
c4 MalformedPacket  38 _ 000174                                    // DUP with QoS 0
c4 MalformedPacket  30 _ 0005 7474                                 // Topic Name cut off
c4 MalformedPacket  30 _ 00                                        // length of the Topic Name cut off
c4 MalformedPacket  30 _ 0002 c328                                 // Topic Name is not UTF-8
c4 MalformedPacket  30 _ 0003 610062                               // Topic Name holds the null character
c4 ProtocolError    30 _ 0000                                      // 3.1.1: Topic Name is empty
c4 TopicNameInvalid 30 _ 0003 612f2b                               // Topic Name a/+
c4 TopicNameInvalid 30 _ 0003 612f23                               // Topic Name a/#
c4 ProtocolError    32 _ 000174 0000                               // Packet Identifier 0
c4 MalformedPacket  32 _ 000174 00                                 // Packet Identifier cut off
c5 ProtocolError    30 _ 0000 00                                   // empty Topic Name without a Topic Alias
c5 TopicAliasInvalid 30 _ 0000 03 230000                           // Topic Alias 0
c5 MalformedPacket  30 _ 000174                                    // no Property Length
c5 ProtocolError    30 _ 000174 02 0102                            // Payload Format Indicator 2
c5 ProtocolError    30 _ 000174 02 0b00                            // Subscription Identifier 0
c5 ProtocolError    30 _ 000174 06 230001 230001                   // Topic Alias twice
c5 ProtocolError    30 _ 000174 04 08000123                        // Response Topic is a wildcard
c5 ProtocolError    30 _ 000174 05 1100000001                      // Session Expiry in PUBLISH
c5 MalformedPacket  30 _ 000174 06 0bffffffff01                    // Subscription Identifier of five bytes
c5 MalformedPacket  30 _ 000174 03 0b8100                          // Subscription Identifier padded
c5 MalformedPacket  30 _ 000174 04 030001ff                        // Content Type is not UTF-8
c5 MalformedPacket  30 _ 000174 03 8b0001                          // property identifier padded

c4 MalformedPacket  40 _ 00                                        // Packet Identifier of one byte
c4 ProtocolError    40 _ 0000                                      // Packet Identifier 0
c4 MalformedPacket  40 _ 0001 00                                   // 3.1.1: PUBACK with a Reason Code
c5 ProtocolError    40 _ 0001 92                                   // PUBACK may not say 0x92
c5 ProtocolError    50 _ 0001 01                                   // PUBREC may not say 0x01
c5 ProtocolError    62 _ 0001 80                                   // PUBREL may not say 0x80
c5 ProtocolError    70 _ 0001 10                                   // PUBCOMP may not say 0x10
c5 ProtocolError    40 _ 0001 ff                                   // a Reason Code that does not exist
c5 MalformedPacket  40 _ 0001 00 01                                // properties cut off
c5 ProtocolError    40 _ 0001 00 02 0101                           // a property of PUBLISH in PUBACK
c5 MalformedPacket  40 _ 0001 00 00 00                             // a byte too many

c4 MalformedPacket  82 _                                           // SUBSCRIBE that is empty
c4 ProtocolError    82 _ 0000 000161 00                            // Packet Identifier 0
c4 ProtocolError    82 _ 0001                                      // no Topic Filter
c5 ProtocolError    82 _ 0001 00                                   // 5.0: no Topic Filter
c4 MalformedPacket  82 _ 0001 000161                               // no Subscription Options
c4 MalformedPacket  82 _ 0001 000161 03                            // 3.1.1: QoS 3
c4 MalformedPacket  82 _ 0001 000161 04                            // 3.1.1: reserved bits
c5 ProtocolError    82 _ 0001 00 000161 03                         // 5.0: Maximum QoS 3
c5 ProtocolError    82 _ 0001 00 000161 30                         // Retain Handling 3
c5 MalformedPacket  82 _ 0001 00 000161 40                         // reserved bits
c5 ProtocolError    82 _ 0001 02 0b00 000161 00                    // Subscription Identifier 0
c5 ProtocolError    82 _ 0001 04 0b01 0b02 000161 00               // Subscription Identifier twice
c4 MalformedPacket  82 _ 0001 000161 00 0002 62                    // second Topic Filter cut off
c4 ProtocolError    a2 _ 0001                                      // UNSUBSCRIBE without a Topic Filter
c5 ProtocolError    a2 _ 0000 00 000161                            // Packet Identifier 0
c5 ProtocolError    a2 _ 0001 02 0b01 000161                       // Subscription Identifier in UNSUBSCRIBE
c4 MalformedPacket  a2 _ 0001 0002 61                              // Topic Filter cut off

c4 MalformedPacket  c0 _ 00                                        // PINGREQ with a body
c4 MalformedPacket  e0 _ 00                                        // 3.1.1: DISCONNECT with a body
c5 ProtocolError    e0 _ 8b                                        // Server shutting down, says the client
c5 ProtocolError    e0 _ 01                                        // DISCONNECT may not say 0x01
c5 ProtocolError    e0 _ 00 04 1c000161                            // Server Reference from a client
c5 ProtocolError    e0 _ 00 03 210001                              // Receive Maximum in DISCONNECT
c5 MalformedPacket  e0 _ 00 00 00                                  // a byte too many
c5 ProtocolError    f0 _ 80                                        // AUTH may not say 0x80
c5 ProtocolError    f0 _ 18 00                                     // AUTH without a method
c5 MalformedPacket  f0 _ 18 05 150002                              // AUTH cut off

s4 MalformedPacket  20 _ 00                                        // CONNACK cut off
s4 MalformedPacket  20 _ 0200                                      // reserved Connect Acknowledge Flags
s4 ProtocolError    20 _ 0006                                      // 3.1.1: return code 6
s4 ProtocolError    20 _ 0105                                      // Session Present in a refusal
s4 MalformedPacket  20 _ 0000 00                                   // 3.1.1: a byte too many
s5 MalformedPacket  20 _ 0000                                      // 5.0: no Property Length
s5 ProtocolError    20 _ 0001 00                                   // CONNACK may not say 0x01
s5 ProtocolError    20 _ 0000 02 2402                              // Maximum QoS 2
s5 ProtocolError    20 _ 0000 02 0b01                              // Subscription Identifier in CONNACK
s4 MalformedPacket  90 _ 0001 03                                   // 3.1.1: SUBACK code 3
s5 ProtocolError    90 _ 0000 00 00                                // SUBACK with Packet Identifier 0
s4 MalformedPacket  b0 _ 0001 00                                   // 3.1.1: UNSUBACK with a code
s5 ProtocolError    e0 _ 04                                        // Disconnect with Will Message, says the server
s5 ProtocolError    e0 _ 8e 05 1100000001                          // Session Expiry from a server
";

#[test]
fn what_mqtt_forbids_is_refused_with_its_reason() {
    let mut wrong = Vec::new();
    let mut packets = BTreeSet::new();
    for line in TABLE.lines().filter(|line| !line.is_empty()) {
        let (packet, meaning) = line.split_once("//").unwrap();
        let (who, packet) = packet.split_once(' ').unwrap();
        let (reason, hex) = packet.trim().split_once(' ').unwrap();
        let found = match decode(who, &bytes_of(hex)) {
            Ok(packet) => packet,
            Err(error) => format!("{:?}", error.reason),
        };
        if found != reason {
            wrong.push(format!("{who} {hex}: {reason} expected for {}, found {found}", meaning.trim()));
        }
        assert!(packets.insert((who, hex.trim())), "{line} stands twice");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(packets.len() >= 100, "{}", packets.len());
}

/// The packet's name, or why it is refused.
fn decode(who: &str, bytes: &[u8]) -> Result<String, DecodeError> {
    let version = if who.ends_with('4') { Version::V311 } else { Version::V5 };
    let frame = split(bytes, 65_536)?.expect("the line holds a whole packet, or none that could be");
    assert_eq!(frame.len, bytes.len(), "{bytes:02x?}");
    Ok(match who.starts_with('c') {
        true => format!("{:?}", client_packet::decode(&frame, version)?),
        false => format!("{:?}", server_packet::decode(&frame, version)?),
    })
}

fn bytes_of(hex: &str) -> Vec<u8> {
    let unhex = |text: &str| -> Vec<u8> {
        let digits: String = text.split_whitespace().collect();
        assert_eq!(digits.len() % 2, 0, "{text}");
        (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
    };
    match hex.split_once('_') {
        Some((header, body)) => {
            let body = unhex(body);
            assert!(body.len() < 128, "one byte of length");
            [unhex(header), vec![body.len() as u8], body].concat()
        }
        None => unhex(hex),
    }
}
