//! The whole broker, driven by arbitrary interleavings of connections, bytes, lost connections, time and history. It must
//! not panic, must hold no more than its limits allow at any moment, and nothing once everybody has left.
#![no_main]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use broker::{Broker, ConnectionId, Holdings, Limits, Now, Options};
use libfuzzer_sys::fuzz_target;

const PEERS: usize = 4;

/// Limits so small that they are met all the time.
fn limits() -> Limits {
    Limits {
        packet_bytes_max: 600,
        connect_bytes_max: 200,
        connections_max: PEERS,
        sessions_max: 6,
        receive_maximum: 3,
        queue_messages_max: 5,
        queue_bytes_max: 1_000,
        subscriptions_max: 4,
        subscriptions_total_max: 10,
        retained_max: 3,
        retained_bytes_max: 600,
        partial_bytes_max: 900,
        memory_bytes_max: 8_000,
        seen_packets_max: 1_000,
        connects_per_second_max: u32::MAX,
        ..Limits::default()
    }
}

/// Control packets that are right, so that the fuzzer need not find them: the first bytes choose, the rest is theirs.
fn packet(choice: u8, rest: &[u8]) -> Vec<u8> {
    let name = [b'a' + choice % 3];
    let id = choice % 5 + 1;
    let body = match choice % 10 {
        0 => [b"\x00\x04MQTT\x04\x00\x00\x0a\x00\x01", &name[..]].concat(),
        1 => [b"\x00\x04MQTT\x05\x00\x00\x0a\x05\x11\x00\x00\x00\x3c\x00\x01", &name[..]].concat(),
        2 => [b"\x00\x04MQTT\x05\x06\x00\x0a\x00\x00\x01", &name[..], b"\x00\x00\x01t\x00\x01w"].concat(),
        3 => vec![0, id, 0, 1, b'#', choice / 10 % 3],
        4 => vec![0, id, 0, 3, b't', b'/', b'+', choice / 10 % 3],
        5 => [b"\x00\x01t", rest].concat(),
        6 | 7 => [b"\x00\x03t/x\x00", &[id][..], rest].concat(),
        8 => vec![0, id],
        _ => Vec::new(),
    };
    let header = match choice % 10 {
        0..=2 => 0x10,
        3 | 4 => 0x82,
        5 => 0x30 | (choice / 10 & 1),
        6 => 0x32 | (choice / 10 & 1),
        7 => 0x34 | (choice / 10 & 1),
        8 => [0x40, 0x50, 0x62, 0x70][usize::from(choice / 10 % 4)],
        _ => [0xc0, 0xe0][usize::from(choice / 10 % 2)],
    };
    let length = body.len();
    let mut out = vec![header];
    if length > 127 {
        out.extend([(length % 128) as u8 | 0x80, (length / 128) as u8]);
    } else {
        out.push(length as u8);
    }
    out.extend(body);
    out
}

struct Shell {
    broker: Broker,
    now: Now,
    peers: [Option<ConnectionId>; PEERS],
    last_seq: u64,
}

impl Shell {
    fn carry_out(&mut self, reads: u8) {
        let last_seq = &mut self.last_seq;
        self.broker.take_records(&mut |record| {
            if let record::Record::Reception(reception) = record {
                *last_seq = reception.seq;
            }
        });
        while let Some(id) = self.broker.next_dirty() {
            let peer = self.peers.iter().position(|p| *p == Some(id));
            // Peers whose bit is not set read nothing.
            if peer.is_some_and(|p| reads >> p & 1 == 1)
                && let Some(outbox) = self.broker.outbox(id)
            {
                let count = outbox.len();
                outbox.advance(count);
            }
        }
        while let Some((id, reason)) = self.broker.next_closing() {
            self.peers.iter_mut().filter(|p| **p == Some(id)).for_each(|p| *p = None);
            self.broker.closed(self.now, id, reason);
        }
    }

    fn check(&self) {
        let (held, max) = (self.broker.holdings(), limits());
        assert!(held.connections <= max.connections_max && held.sessions <= max.sessions_max, "{held:?}");
        assert!(held.subscriptions <= max.subscriptions_total_max, "{held:?}");
        assert!(held.queued_messages <= held.sessions * max.queue_messages_max, "{held:?}");
        assert!(held.queued_bytes <= held.sessions * max.queue_bytes_max, "{held:?}");
        assert!(held.incoming_qos2 <= held.sessions * usize::from(max.receive_maximum), "{held:?}");
        assert!(held.retained <= max.retained_max && held.retained_bytes <= max.retained_bytes_max, "{held:?}");
        assert!(held.partial_bytes <= max.partial_bytes_max, "{held:?}");
        let packet_bytes_max = max.packet_bytes_max as usize;
        let outbox_bytes_max = 2 * max.queue_bytes_max + 2 * packet_bytes_max;
        assert!(held.outbox_bytes <= held.connections * outbox_bytes_max, "{held:?}");
        let bytes = held.queued_bytes + held.outbox_bytes + held.partial_bytes + held.retained_bytes;
        // A sixty-fourth may come in unseen, and one packet may go to everybody in the same call.
        let bytes_max = max.memory_bytes_max + max.memory_bytes_max / 64 + PEERS * 2 * packet_bytes_max;
        assert!(bytes <= bytes_max, "{bytes} of {bytes_max}: {held:?}");
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((first, mut rest)) = input.split_first() else { return };
    let lab = first & 1 == 0;
    let mut shell = Shell {
        broker: Broker::new(Options {
            lab,
            limits: limits(),
            policy: Default::default(),
            keyring: mesh::keyring::Keyring::default(),
            preset: mesh::airtime::ModemPreset::LongFast,
            directory: Arc::new(directory::Directory::default()),
            token_key: directory::TokenKey::new([0; 32]),
            last_seq: 0,
            acknowledge_when_durable: first & 2 == 0,
            seed: 1,
        }),
        now: Now { mono_ms: 1, unix_ms: 1_795_000_000_000 },
        peers: [None; PEERS],
        last_seq: 0,
    };
    let mut reads = u8::MAX;
    while let [what, how, left @ ..] = rest {
        let peer = usize::from(what >> 4) % PEERS;
        let (bytes, after) = left.split_at(usize::from(*how).min(left.len()));
        rest = left;
        match (what % 10, shell.peers[peer]) {
            (0, None) => shell.peers[peer] = shell.broker.open(shell.now, IpAddr::V4(Ipv4Addr::LOCALHOST)),
            (1..=5, Some(id)) => {
                let packet = packet(*how, &left[..left.len().min(usize::from(what >> 4) * 16)]);
                let (one, two) = packet.split_at(packet.len().min(usize::from(what >> 6) * 3));
                shell.broker.receive(shell.now, id, one);
                shell.broker.receive(shell.now, id, two);
            }
            (6, Some(id)) => {
                shell.broker.receive(shell.now, id, bytes);
                rest = after;
            }
            (7, Some(id)) => {
                shell.peers[peer] = None;
                shell.broker.closed(shell.now, id, "lost");
            }
            (8, _) => {
                shell.now.mono_ms += u64::from(*how) * u64::from(*how) * 10;
                shell.now.unix_ms -= i64::from(*how);
                shell.broker.tick(shell.now);
            }
            (9, _) if how % 3 == 0 => reads = *how,
            (9, _) if how % 3 == 1 => shell.broker.durable(shell.last_seq),
            (9, _) => shell.broker.lost(shell.last_seq),
            _ => {}
        }
        if what & 0x08 == 0 {
            shell.carry_out(reads);
            shell.check();
        }
    }
    shell.carry_out(u8::MAX);
    for id in shell.peers.iter_mut().filter_map(Option::take) {
        shell.broker.closed(shell.now, id, "lost");
    }
    for _ in 0..3 {
        shell.now.mono_ms += 604_801_000;
        shell.broker.tick(shell.now);
    }
    let held = shell.broker.holdings();
    let retained = Holdings {
        retained: held.retained,
        retained_bytes: held.retained_bytes,
        ..Holdings::default()
    };
    assert_eq!(held, retained, "everybody has left");
});
