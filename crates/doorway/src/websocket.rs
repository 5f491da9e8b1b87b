//! WebSocket frames for MQTT: payload out of what clients send, and frames around what is sent to them.
//!
//! MQTT packets may span frames and frames may hold several [MQTT-6.0.0-2], so payload is passed on as it arrives and
//! nothing is put together here: a connection keeps one frame header and one control frame at most.

use std::io::Cursor;

use tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};
use tungstenite::protocol::frame::{Frame, FrameHeader};

/// What has been read of a client's frames.
#[derive(Debug, Default)]
pub struct Incoming {
    /// The begin of a frame whose header is not whole.
    header: [u8; HEADER_BYTES_MAX],
    header_len: u8,
    frame: Option<FrameBody>,
    /// Whether a message has begun and its last frame has not.
    is_in_message: bool,
    /// Payload of a control frame; empty otherwise.
    control: Vec<u8>,
}

#[derive(Debug)]
struct FrameBody {
    is_control: Option<Control>,
    remaining: u64,
    mask: [u8; 4],
    /// Which byte of the mask is next.
    mask_at: u8,
}

/// Two bytes, eight of length, four of mask.
const HEADER_BYTES_MAX: usize = 14;
/// RFC 6455, section 5.5.
const CONTROL_BYTES_MAX: u64 = 125;
/// Largest frame taken. Nothing is reserved for it; it only keeps lengths sane.
const FRAME_BYTES_MAX: u64 = 1 << 30;
/// Replies that wait because the client does not read: further pings go unanswered, which RFC 6455 (5.5.3) allows.
const REPLIES_BYTES_MAX: usize = 256;

/// Why a WebSocket connection is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The client closes; its close frame has been answered.
    Closed,
    /// The client breaks the protocol; the close frame that says so has been written.
    Broken(&'static str),
}

impl Incoming {
    /// Takes bytes in any portions and unmasks them in place. Payload goes to `payload` as it arrives; answers to
    /// control frames are appended to `replies`.
    ///
    /// # Errors
    /// When the connection is over; nothing may be fed to this value after that.
    pub fn receive(
        &mut self,
        mut bytes: &mut [u8],
        payload: &mut impl FnMut(&[u8]),
        replies: &mut Vec<u8>,
    ) -> Result<(), End> {
        loop {
            bytes = match &mut self.frame {
                None if bytes.is_empty() => return Ok(()),
                None => {
                    let used = self.take_header(bytes).inspect_err(|end| say_why(*end, replies))?;
                    &mut bytes[used..]
                }
                Some(body) => {
                    let known = usize::try_from(body.remaining).unwrap_or(usize::MAX).min(bytes.len());
                    let (part, rest) = bytes.split_at_mut(known);
                    body.unmask(part);
                    match body.is_control {
                        Some(_) => self.control.extend_from_slice(part),
                        None if part.is_empty() => {}
                        None => payload(part),
                    }
                    body.remaining -= known as u64;
                    let is_over = body.remaining == 0;
                    if is_over && let Some(FrameBody { is_control: Some(control), .. }) = self.frame.take() {
                        self.on_control(control, replies).inspect_err(|end| say_why(*end, replies))?;
                    } else if !is_over {
                        return Ok(());
                    }
                    rest
                }
            };
        }
    }

    /// Takes bytes of a frame header; the frame begins when it is whole. Returns how many bytes were used.
    fn take_header(&mut self, bytes: &[u8]) -> Result<usize, End> {
        let mut used = 0;
        while self.header_len < 2 || usize::from(self.header_len) < header_bytes(self.header[1]) {
            let Some(byte) = bytes.get(used) else { return Ok(used) };
            self.header[usize::from(self.header_len)] = *byte;
            self.header_len += 1;
            used += 1;
        }
        let header = &self.header[..usize::from(self.header_len)];
        self.header_len = 0;
        let parsed = FrameHeader::parse(&mut Cursor::new(header));
        let Ok(Some((header, length))) = parsed else { return Err(End::Broken("an unknown kind of frame")) };
        self.frame = Some(self.begin_frame(&header, length)?);
        Ok(used)
    }

    /// The rules of RFC 6455, sections 5.1 to 5.5, and of MQTT for one frame.
    fn begin_frame(&mut self, header: &FrameHeader, length: u64) -> Result<FrameBody, End> {
        let broken = |why| Err(End::Broken(why));
        let Some(mask) = header.mask else { return broken("a frame is not masked") };
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return broken("a frame uses an extension that was not agreed");
        }
        if length > FRAME_BYTES_MAX {
            return broken("a frame is too long");
        }
        let is_control = match header.opcode {
            OpCode::Control(Control::Reserved(_)) | OpCode::Data(Data::Reserved(_)) => {
                return broken("an unknown kind of frame");
            }
            OpCode::Control(_) if !header.is_final || length > CONTROL_BYTES_MAX => {
                return broken("a control frame is too long or in parts");
            }
            OpCode::Control(control) => Some(control),
            OpCode::Data(Data::Text) => return broken(NOT_BINARY), // [MQTT-6.0.0-1]
            OpCode::Data(Data::Continue) if !self.is_in_message => {
                return broken("a message continues that never began");
            }
            OpCode::Data(Data::Binary) if self.is_in_message => {
                return broken("a message begins inside another");
            }
            OpCode::Data(Data::Continue | Data::Binary) => {
                self.is_in_message = !header.is_final;
                None
            }
        };
        Ok(FrameBody { is_control, remaining: length, mask, mask_at: 0 })
    }

    fn on_control(&mut self, control: Control, replies: &mut Vec<u8>) -> Result<(), End> {
        let body = std::mem::take(&mut self.control);
        match control {
            Control::Ping => {
                if replies.len() < REPLIES_BYTES_MAX {
                    write_frame(Frame::pong(body), replies);
                }
                Ok(())
            }
            Control::Pong | Control::Reserved(_) => Ok(()),
            Control::Close => {
                let code = body.first_chunk::<2>().map(|code| CloseCode::from(u16::from_be_bytes(*code)));
                if body.len() == 1 || code.is_some_and(|code| !code.is_allowed()) {
                    return Err(End::Broken("a close frame with a wrong code"));
                }
                if std::str::from_utf8(body.get(2..).unwrap_or_default()).is_err() {
                    return Err(End::Broken("a close frame with a wrong reason"));
                }
                write_close(CloseCode::Normal, replies);
                Err(End::Closed)
            }
        }
    }
}

const NOT_BINARY: &str = "a frame of text; MQTT is binary";

/// Length of a whole client frame header, known from its second byte.
const fn header_bytes(second: u8) -> usize {
    let mask = if second & 0x80 != 0 { 4 } else { 0 };
    2 + mask
        + match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        }
}

impl FrameBody {
    fn unmask(&mut self, bytes: &mut [u8]) {
        let mut mask = self.mask;
        mask.rotate_left(usize::from(self.mask_at));
        for chunk in bytes.chunks_mut(4) {
            for (byte, key) in chunk.iter_mut().zip(mask) {
                *byte ^= key;
            }
        }
        self.mask_at = (self.mask_at + (bytes.len() % 4) as u8) % 4;
    }
}

fn say_why(end: End, replies: &mut Vec<u8>) {
    match end {
        End::Closed => {}
        End::Broken(NOT_BINARY) => write_close(CloseCode::Unsupported, replies),
        End::Broken(_) => write_close(CloseCode::Protocol, replies),
    }
}

/// Writes the header of a binary frame with `payload_bytes` of payload, which must follow. Servers do not mask.
pub fn write_binary_header(payload_bytes: usize, out: &mut impl std::io::Write) -> std::io::Result<()> {
    let header = FrameHeader { opcode: OpCode::Data(Data::Binary), ..FrameHeader::default() };
    header.format(payload_bytes as u64, out).map_err(std::io::Error::other)
}

/// Appends the close frame of a server that ends the connection in order.
pub fn write_goodbye(out: &mut Vec<u8>) {
    write_close(CloseCode::Normal, out);
}

fn write_close(code: CloseCode, out: &mut Vec<u8>) {
    write_frame(Frame::close(Some(tungstenite::protocol::CloseFrame { code, reason: "".into() })), out);
}

fn write_frame(frame: Frame, out: &mut Vec<u8>) {
    frame.format(out).expect("writing to memory does not fail");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tungstenite::protocol::{Role, WebSocketConfig};
    use tungstenite::{Message, WebSocket};

    use super::*;

    /// A client's frame, masked with a key that differs per frame.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![first];
        match payload.len() {
            len @ 0..126 => bytes.push(0x80 | u8::try_from(len).unwrap()),
            len @ 126..65_536 => {
                bytes.push(0x80 | 126);
                bytes.extend(u16::try_from(len).unwrap().to_be_bytes());
            }
            len => {
                bytes.push(0x80 | 127);
                bytes.extend((len as u64).to_be_bytes());
            }
        }
        let mask = [first, 0x5a, payload.len() as u8, 0xff];
        bytes.extend(mask);
        bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
        bytes
    }

    /// Feeds bytes in portions; gives payload, replies and how it ended.
    fn feed(bytes: &[u8], portion: usize) -> (Vec<u8>, Vec<u8>, Result<(), End>) {
        let (mut incoming, mut payload, mut replies) = (Incoming::default(), Vec::new(), Vec::new());
        for part in bytes.to_vec().chunks_mut(portion) {
            let end = incoming.receive(part, &mut |bytes| payload.extend_from_slice(bytes), &mut replies);
            if end.is_err() {
                return (payload, replies, end);
            }
        }
        (payload, replies, Ok(()))
    }

    #[test]
    fn payload_comes_out_whatever_the_frames_and_portions() {
        let big = vec![7; 70_000];
        let bytes = [
            frame(0x82, b"one"),
            frame(0x02, b"tw"),
            frame(0x89, b"ping between"),
            frame(0x00, b""),
            frame(0x80, b"o"),
            frame(0x82, &[3; 300]),
            frame(0x8a, b"pong nobody asked for"),
            frame(0x82, &big),
        ]
        .concat();
        let expected = [&b"onetwo"[..], &[3; 300], &big].concat();
        for portion in [1, 2, 3, 7, 64, 4_096, bytes.len()] {
            let (payload, replies, end) = feed(&bytes, portion);
            assert_eq!((payload == expected, end), (true, Ok(())), "{portion}");
            assert_eq!(replies, [b"\x8a\x0c".as_slice(), b"ping between"].concat());
        }
    }

    #[test]
    fn what_the_protocol_forbids_ends_the_connection_with_its_code() {
        let mut bare = frame(0x82, b"");
        bare[1] = 0;
        for (bytes, code) in [
            (vec![0x82, 0x01, b'x'], 1002), // not masked
            (frame(0x81, b"text"), 1003),
            (frame(0xc2, b"rsv1"), 1002),
            (frame(0x83, b"unknown"), 1002),
            (frame(0x8b, b"unknown"), 1002),
            (frame(0x80, b"no message"), 1002),
            ([frame(0x02, b"a"), frame(0x82, b"b")].concat(), 1002),
            (frame(0x09, b"ping in parts"), 1002),
            (frame(0x89, &[0; 126]), 1002),
            (frame(0x88, &[3]), 1002),
            (frame(0x88, &[0x03, 0xed]), 1002),       // 1005 is never sent
            (frame(0x88, &[0x03, 0xe8, 0xff]), 1002), // not UTF-8
            (vec![0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4], 1002),
        ] {
            for portion in [1, bytes.len()] {
                let (_, replies, end) = feed(&bytes, portion);
                assert!(matches!(end, Err(End::Broken(_))), "{bytes:x?}: {end:?}");
                let close = [&[0x88, 2][..], &u16::to_be_bytes(code)].concat();
                assert!(replies.ends_with(&close), "{bytes:x?}: {replies:x?}");
            }
        }
    }

    #[test]
    fn a_close_is_answered() {
        for body in [&b""[..], &[0x03, 0xe8], b"\x03\xe9going away"] {
            let (payload, replies, end) = feed(&[frame(0x82, b"last"), frame(0x88, body)].concat(), 5);
            assert_eq!(
                (payload.as_slice(), replies.as_slice(), end),
                (&b"last"[..], &[0x88, 2, 3, 0xe8][..], Err(End::Closed))
            );
        }
    }

    #[test]
    fn a_client_that_pings_and_does_not_read_takes_no_memory() {
        let (_, replies, end) = feed(&frame(0x89, &[1; 125]).repeat(1_000), 4_096);
        assert!(end.is_ok() && replies.len() < 2 * REPLIES_BYTES_MAX, "{}", replies.len());
    }

    proptest! {
        #[test]
        fn frames_written_are_read_by_another_implementation(payload in prop::collection::vec(any::<u8>(), 1..70_000)) {
            let mut bytes = Vec::new();
            write_binary_header(payload.len(), &mut bytes).unwrap();
            bytes.extend(&payload);
            let config = Some(WebSocketConfig::default());
            let mut client = WebSocket::from_raw_socket(Cursor::new(bytes), Role::Client, config);
            prop_assert_eq!(client.read().unwrap(), Message::binary(payload));
        }

        #[test]
        fn portions_make_no_difference(bytes in prop::collection::vec(any::<u8>(), 0..300), portion in 1..50_usize) {
            let whole = feed(&bytes, bytes.len().max(1));
            prop_assert_eq!(feed(&bytes, portion), whole);
        }
    }
}
