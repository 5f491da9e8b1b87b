//! Messages of SCRAM-SHA-256 from a client: whatever they say, nobody signs in without the password, and a name that does
//! not exist is answered as one that does.
#![no_main]

use std::sync::LazyLock;

use directory::{Command, Directory, ScramExchange, ScramVerifier, Token, TokenKey};
use libfuzzer_sys::fuzz_target;

static WORLD: LazyLock<(Directory, TokenKey)> = LazyLock::new(|| {
    let key = TokenKey::new([7; 32]);
    let token = Token::from_random([9; 17]);
    let add = Command::AddObserver { name: "reader".to_owned(), owner: None, note: String::new(), token };
    let directory = Directory::default().apply(add, &key, 1).expect("an observer can be added").directory;
    (directory, key)
});

fuzz_target!(|bytes: &[u8]| {
    let (directory, key) = &*WORLD;
    let cut = bytes.iter().position(|b| *b == b'\n').unwrap_or(bytes.len());
    let (first, last) = (&bytes[..cut], bytes.get(cut + 1..).unwrap_or_default());
    if let Ok((exchange, answer)) = ScramExchange::start(directory, key, "nonce", first) {
        assert!(answer.starts_with("r=") && answer.ends_with(",i=4096"));
        assert!(exchange.finish(directory, last).is_err());
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(verifier) = text.parse::<ScramVerifier>()
    {
        assert!(verifier.to_text().parse() == Ok(verifier));
    }
});
