//! Serves the pages over a small made-up town, to look at them: `cargo run -p web --example preview [ADDRESS:PORT]`.

#[path = "../tests/town/mod.rs"]
mod town;

use std::net::{IpAddr, TcpListener};

use mesh::node::NodeNum;
use town::{Client, Copy, LONG_FAST, STRANGERS, Town, WORKS, node_info, position, telemetry, waypoint};

const HOUR_MS: i64 = 3_600_000;
const NODES: [(u32, &str, &str); 6] = [
    (0x7c5a_0a01, "Liberty Router 1", "LIB1"),
    (0x7c5a_0a02, "Overland Park Roof", "OPRF"),
    (0x7c5a_0a03, "Crown Center", "CRWN"),
    (0x4f21_00aa, "Ana's hiking node", "ANA"),
    (0x4f21_00bb, "Blue Springs Solar", "BLUE"),
    (0x4f21_00cc, "Mo", "MO"),
];
const TEXTS: [&str; 6] = [
    "Good morning from the river market",
    "Anyone hear the new router on the water tower? I get 3 hops from Lee's Summit.",
    "net starts in 10 minutes",
    "73, going home",
    "Storm cell west of Olathe, gusts to 60 mph",
    "copy, -97 dBm here",
];

fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8099".to_owned());
    let listener = TcpListener::bind(address)?;
    let mut town = Town::new();
    let now_ms = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |d| d.as_millis() as i64);
    town.set_now_ms(now_ms - HOUR_MS);
    let gateways = people(&mut town);
    doubts(&mut town, &gateways, now_ms);
    history(&mut town, &gateways, now_ms);
    town.set_now_ms(now_ms);
    let code = town.setup_code();
    let at = listener.local_addr()?;
    println!("pages on http://{at}/, sign in with http://{at}/setup#{code}");
    let (_ending, shutdown) = tokio::sync::watch::channel(false);
    let (state, live) = (town.state(), town.live.clone());
    let pages = std::thread::spawn(move || web::serve(listener, None, state, shutdown));
    let mut id = 900_000;
    while !pages.is_finished() {
        std::thread::sleep(std::time::Duration::from_secs(2));
        town.wait_ms(2000);
        id += 1;
        let copy = Copy::text(NODES[id as usize % 6].0, id, TEXTS[id as usize % 6]);
        for record in town.hear(gateways[id as usize % 3], &copy) {
            // Nobody listening is no failure.
            let _ = live.send(record);
        }
    }
    pages.join().unwrap_or(Ok(()))
}

fn people(town: &mut Town) -> Vec<Client> {
    let address = |last| IpAddr::from([198, 51, 100, last]);
    let gateways = NODES[..3]
        .iter()
        .zip(1..)
        .map(|((node, name, _), i)| town.gateway(*node, name, &format!("!{node:08x}"), address(i)))
        .collect();
    town.observer("home-assistant", address(77));
    gateways
}

/// Somebody uses Mo's id, and a router was carried away.
fn doubts(town: &mut Town, gateways: &[Client], now_ms: i64) {
    town.set_now_ms(now_ms - 4 * HOUR_MS);
    let with_key = |id, key| {
        let (port, payload) = mesh::compose::nodeinfo_with_key(NodeNum(NODES[5].0), "Mo", "MO", 43, 0, &key);
        Copy::new(NODES[5].0, id, port, payload)
    };
    town.hear(gateways[0], &with_key(305_418_001, [0x3a; 32]));
    let tells = |town: &mut Town, gateway: usize, id, latitude_i| {
        let own = Copy { rssi: 0, snr: 0.0, ..position(NODES[gateway].0, id, latitude_i, -944_191_457, 32) };
        town.hear(gateways[gateway], &own);
        town.wait_ms(HOUR_MS / 2);
    };
    for (step, latitude_i) in (0..).zip([392_468_123, 394_000_000, 394_100_000]) {
        tells(town, 1, 305_418_010 + step, latitude_i);
        tells(town, 0, 305_418_020 + step, 392_468_123);
    }
    town.hear(gateways[0], &Copy { rssi: 0, snr: 0.0, ..telemetry(NODES[0].0, 305_418_030) });
    town.hear(gateways[2], &with_key(305_418_002, [0x7e; 32]));
    town.hear(gateways[2], &position(NODES[5].0, 305_418_003, 392_468_123, -944_191_457, 16));
    town.hear(gateways[2], &position(NODES[5].0, 305_418_004, 352_468_123, -944_191_457, 16));
}

fn history(town: &mut Town, gateways: &[Client], until_ms: i64) {
    let mut id = 305_419_000;
    for (node, long, short) in NODES {
        id += 1;
        town.hear(gateways[0], &node_info(node, id, long, short));
    }
    let mut step = 0u32;
    while town.now_ms() < until_ms - 30_000 {
        step += 1;
        town.wait_ms(i64::from(2_000 + step * 7919 % 9_000 + 12_000 * u32::from(step % 50 < 15)));
        id += 1;
        let (node, _, _) = NODES[(step * 5 % 6) as usize];
        let copy = match step % 10 {
            0 | 5 => Copy::text(node, id, TEXTS[(step % 6) as usize]),
            1 | 6 => telemetry(node, id),
            2 => position(node, id, 392_468_123, -944_191_457, 32),
            3 => Copy::text(node, id, "this one did not agree").opted_out(),
            4 => Copy::text(node, id, "crew meets at six").on(WORKS),
            7 => Copy::text(node, id, "nobody here can read this").on(STRANGERS),
            8 => waypoint(node, id, 390_997_000, -945_786_000, "Checkpoint"),
            _ => Copy {
                to: 0x7c5a_0a01,
                ..Copy::text(node, id, "direct on the default channel").on(LONG_FAST)
            },
        };
        for (i, gateway) in gateways.iter().enumerate().take(1 + step as usize % 3) {
            let hops = i as u32;
            town.hear(
                *gateway,
                &copy.clone().after(hops, -91 - 9 * hops as i32, 6.25 - 5.5 * hops as f32, 0xaa + i as u8),
            );
            town.wait_ms(140 + 65 * i64::from(hops));
        }
    }
    town.publish(gateways[1], "msh/US/MO/KC/2/e/LongFast/!7c5a0a02", b"not an envelope at all");
    town.publish(gateways[2], "msh/US/MO/KC/2/e/LongFast/!7c5a0a01", b"\x0a\x00");
}
