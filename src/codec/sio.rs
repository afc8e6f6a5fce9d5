//! Socket.IO packets as text (protocol revision 5): `<type>[<n>-][/nsp,][id][json]`.
//!
//! Not here: JSON (it is passed through as text; whoever reads the arguments validates it),
//! binary attachments, and whether a packet is legal in its connection's state.
//!
//! What always holds: parsing looks at the header and the payload's first characters only,
//! allocates nothing, and everything in a `Packet` is a span of the text it came from.

use std::{fmt, io::Write as _, ops::Deref};

use super::json;

/// The first character of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    Connect = 0,
    Disconnect = 1,
    Event = 2,
    Ack = 3,
    ConnectError = 4,
    BinaryEvent = 5,
    BinaryAck = 6,
}

impl Kind {
    /// Whether the packet says how many binary messages follow it.
    pub fn has_attachments(self) -> bool {
        matches!(self, Kind::BinaryEvent | Kind::BinaryAck)
    }

    fn from_digit(digit: u8) -> Option<Kind> {
        Some(match digit {
            b'0' => Kind::Connect,
            b'1' => Kind::Disconnect,
            b'2' => Kind::Event,
            b'3' => Kind::Ack,
            b'4' => Kind::ConnectError,
            b'5' => Kind::BinaryEvent,
            b'6' => Kind::BinaryAck,
            _ => return None,
        })
    }
}

/// A packet's header, and its payload as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    pub kind: Kind,
    /// How many binary messages complete the packet. A binary kind with none is complete as it
    /// stands: waiting for attachments after it would take the next text for a fault.
    pub attachments: u32,
    /// "/" if the packet names none.
    pub namespace: &'a str,
    pub id: Option<u64>,
    /// Not validated, but it starts as its kind demands. Without surrounding whitespace; empty
    /// if there is none.
    pub json: &'a str,
}

/// Why a packet is refused. The reference implementation closes the whole connection for any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The first character is not a digit from 0 to 6, or there is none.
    Kind,
    /// A binary packet without a count of attachments, or without the dash behind it.
    Attachments,
    /// More attachments than we wait for.
    AttachmentsTooMany,
    /// An ack id beyond 64 bits.
    IdTooLarge,
    /// An event, an ack or a refusal without a payload.
    PayloadMissing,
    /// A DISCONNECT with a payload.
    PayloadUnexpected,
    /// A payload that does not start as the packet's kind demands.
    PayloadShape,
    /// An event without even a name.
    EventEmpty,
    /// An event whose name is neither a string nor a number.
    EventName,
    /// An event with a name that only the library itself may raise.
    EventReserved,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::Kind => "unknown packet type",
            Fault::Attachments => "illegal attachments",
            Fault::AttachmentsTooMany => "too many attachments",
            Fault::IdTooLarge => "ack id too large",
            Fault::PayloadMissing => "payload missing",
            Fault::PayloadUnexpected => "unexpected payload",
            Fault::PayloadShape => "invalid payload",
            Fault::EventEmpty => "event without a name",
            Fault::EventName => "invalid event name",
            Fault::EventReserved => "reserved event name",
        })
    }
}

impl std::error::Error for Fault {}

/// Parses a packet's header and checks what needs no JSON parser. Whitespace around the payload
/// is allowed, as JSON allows it.
pub fn parse(text: &str, attachments_max: u32) -> Result<Packet<'_>, Fault> {
    let kind = text
        .bytes()
        .next()
        .and_then(Kind::from_digit)
        .ok_or(Fault::Kind)?;
    let mut rest = &text[1..];
    let mut attachments = 0;
    if kind.has_attachments() {
        let (digits, after) = split_digits(rest);
        rest = after.strip_prefix('-').ok_or(Fault::Attachments)?;
        if digits.is_empty() {
            return Err(Fault::Attachments);
        }
        // All digits, so what does not fit in 32 bits is too many.
        attachments = digits.parse().unwrap_or(u32::MAX);
        if attachments > attachments_max {
            return Err(Fault::AttachmentsTooMany);
        }
    }
    let mut namespace = "/";
    if rest.starts_with('/') {
        // `0/news` ends without a comma: the name is all the rest.
        (namespace, rest) = rest.split_once(',').unwrap_or((rest, ""));
    }
    let (digits, rest) = split_digits(rest);
    let id = match digits {
        "" => None,
        _ => Some(digits.parse().map_err(|_| Fault::IdTooLarge)?),
    };
    let json = trim(rest);
    check_shape(kind, json)?;
    Ok(Packet {
        kind,
        attachments,
        namespace,
        id,
        json,
    })
}

fn check_shape(kind: Kind, json: &str) -> Result<(), Fault> {
    match (kind, json.bytes().next()) {
        (Kind::Connect | Kind::Disconnect, None) => Ok(()),
        (_, None) => Err(Fault::PayloadMissing),
        (Kind::Disconnect, Some(_)) => Err(Fault::PayloadUnexpected),
        (Kind::Connect, Some(b'{')) => Ok(()),
        (Kind::ConnectError, Some(b'{' | b'"')) => Ok(()),
        (Kind::Ack | Kind::BinaryAck, Some(b'[')) => Ok(()),
        (Kind::Event | Kind::BinaryEvent, Some(b'[')) => {
            if trim(&json[1..]).starts_with(']') {
                return Err(Fault::EventEmpty);
            }
            Ok(())
        }
        (_, Some(_)) => Err(Fault::PayloadShape),
    }
}

/// An event's name. Text of the packet, unless it had to be unescaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventName<'a> {
    Borrowed(&'a str),
    Unescaped(String),
}

impl EventName<'_> {
    pub fn as_str(&self) -> &str {
        match self {
            EventName::Borrowed(name) => name,
            EventName::Unescaped(name) => name,
        }
    }
}

impl Deref for EventName<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

/// Splits an event's payload into its name and the text of its arguments, without brackets.
///
/// `json` must be a JSON array that was found valid; of any other text the answer means nothing,
/// or is a fault. A number is a name too, as it was written. A lone surrogate in a name is
/// U+FFFD, as it is everywhere (spec 2.6.17).
pub fn split_event(json: &str) -> Result<(EventName<'_>, &str), Fault> {
    let elements = elements(json).ok_or(Fault::PayloadShape)?;
    let name_bytes = match elements.bytes().next() {
        None => return Err(Fault::EventEmpty),
        Some(b'"') => string_bytes(elements).ok_or(Fault::EventName)?,
        Some(b'-' | b'0'..=b'9') => elements
            .find(|c| c == ',' || is_json_space(c))
            .unwrap_or(elements.len()),
        Some(_) => return Err(Fault::EventName),
    };
    let (text, rest) = elements.split_at(name_bytes);
    let name = match text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
    {
        None => EventName::Borrowed(text),
        Some(inner) if !inner.contains('\\') => EventName::Borrowed(inner),
        Some(_) => {
            let name = json::read_element(text, 0, &[]);
            EventName::Unescaped(name.map_err(|_| Fault::EventName)?)
        }
    };
    if is_reserved(&name) {
        return Err(Fault::EventReserved);
    }
    let rest = trim(rest);
    let arguments = match rest {
        "" => "",
        _ => trim(rest.strip_prefix(',').ok_or(Fault::PayloadShape)?),
    };
    Ok((name, arguments))
}

/// The text of an ack's arguments, without brackets. `json` must be a valid JSON array; of
/// anything that is no array, nothing is left.
pub fn split_ack(json: &str) -> &str {
    elements(json).unwrap_or("")
}

fn elements(json: &str) -> Option<&str> {
    trim(json).strip_prefix('[')?.strip_suffix(']').map(trim)
}

/// The length of the JSON string at the start of `text`, both quotes included.
fn string_bytes(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// Event names that the libraries raise themselves. A peer that sends one would forge them.
pub const RESERVED: [&str; 6] = [
    "connect",
    "connect_error",
    "disconnect",
    "disconnecting",
    "newListener",
    "removeListener",
];

/// Whether an event of this name may neither be sent nor received.
pub fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
}

/// Appends a packet up to its payload, which the caller appends next.
///
/// `namespace` starts with a slash and has no comma; "/" is not written. `attachments` is written
/// for the two binary kinds only.
pub fn put_head(
    out: &mut Vec<u8>,
    kind: Kind,
    attachments: usize,
    namespace: &str,
    id: Option<u64>,
) {
    out.push(b'0' + kind as u8);
    if kind.has_attachments() {
        write!(out, "{attachments}-").expect("a Vec takes every write");
    }
    if namespace != "/" {
        out.extend_from_slice(namespace.as_bytes());
        out.push(b',');
    }
    if let Some(id) = id {
        write!(out, "{id}").expect("a Vec takes every write");
    }
}

fn split_digits(text: &str) -> (&str, &str) {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    text.split_at(digits)
}

fn trim(text: &str) -> &str {
    text.trim_matches(is_json_space)
}

/// JSON's whitespace, which is less than Unicode's (RFC 8259 §2).
fn is_json_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    const ATTACHMENTS_MAX: u32 = 10;

    #[test]
    fn packets_are_taken_apart() {
        use Kind::*;
        check("0", Connect, 0, "/", None, "");
        check(r#"0{"a":"b"}"#, Connect, 0, "/", None, r#"{"a":"b"}"#);
        check("0/admin,{}", Connect, 0, "/admin", None, "{}");
        check("0/admin,", Connect, 0, "/admin", None, "");
        check("0/admin", Connect, 0, "/admin", None, "");
        check("0/grüße?a=b,{}", Connect, 0, "/grüße?a=b", None, "{}");
        check("0/,", Connect, 0, "/", None, "");
        check("1", Disconnect, 0, "/", None, "");
        check("1/admin,", Disconnect, 0, "/admin", None, "");
        check(r#"2["a"]"#, Event, 0, "/", None, r#"["a"]"#);
        check(r#"212["a",1]"#, Event, 0, "/", Some(12), r#"["a",1]"#);
        check(r#"2/b,456["a"]"#, Event, 0, "/b", Some(456), r#"["a"]"#);
        check("2 \t\r\n[ 1 ] ", Event, 0, "/", None, "[ 1 ]");
        check(r#"2["a,/b"]"#, Event, 0, "/", None, r#"["a,/b"]"#);
        check(
            "218446744073709551615[1]",
            Event,
            0,
            "/",
            Some(u64::MAX),
            "[1]",
        );
        check("3/admin,456[]", Ack, 0, "/admin", Some(456), "[]");
        check("30[1]", Ack, 0, "/", Some(0), "[1]");
        check(r#"4{"a":1}"#, ConnectError, 0, "/", None, r#"{"a":1}"#);
        check(r#"4/a,"no""#, ConnectError, 0, "/a", None, r#""no""#);
        check("51-[1,{}]", BinaryEvent, 1, "/", None, "[1,{}]");
        check("510-/a,7[1]", BinaryEvent, 10, "/a", Some(7), "[1]");
        check("50-[1]", BinaryEvent, 0, "/", None, "[1]");
        check("61-/a,3[{}]", BinaryAck, 1, "/a", Some(3), "[{}]");
    }

    #[test]
    fn every_fault_is_found() {
        let check = |text, fault| assert_eq!(parse(text, ATTACHMENTS_MAX), Err(fault), "{text}");
        for text in ["", "7", "9[]", "abc", "-", " 2[\"a\"]", "é", "/"] {
            check(text, Fault::Kind);
        }
        for text in [
            "5", "5[1]", "5-[1]", "51", "51[1]", "5x-[]", "5-1-[]", "6+1-[]",
        ] {
            check(text, Fault::Attachments);
        }
        for text in ["511-[1]", "64294967296-[]", "699999999999999999999999-[]"] {
            check(text, Fault::AttachmentsTooMany);
        }
        check("218446744073709551616[\"a\"]", Fault::IdTooLarge);
        for text in [
            "2", "2 ", "2/a", "2/a,", "21", "3", "31", "4", "51-", "61-7",
        ] {
            check(text, Fault::PayloadMissing);
        }
        for text in ["1{}", "1/a,[]", "1null"] {
            check(text, Fault::PayloadUnexpected);
        }
        for text in ["0[]", "0null", "0\"a\"", "3{}", "3\"a\"", "4[]", "4null"] {
            check(text, Fault::PayloadShape);
        }
        for text in [
            "2{}",
            "2abc[]",
            "2\"a\"",
            "2/a,null",
            "2\u{A0}[1]",
            "2-1[1]",
        ] {
            check(text, Fault::PayloadShape);
        }
        for text in ["51-{}", "61-{}"] {
            check(text, Fault::PayloadShape);
        }
        for text in ["2[]", "2[ ]", "50-[\n]", "2/a,1 [] "] {
            check(text, Fault::EventEmpty);
        }
    }

    #[test]
    fn events_are_split_into_name_and_arguments() {
        let check = |json, name: EventName, arguments| {
            assert_eq!(split_event(json), Ok((name, arguments)), "{json}");
        };
        let borrowed = EventName::Borrowed;
        let unescaped = |name: &str| EventName::Unescaped(name.into());
        check(r#"["a"]"#, borrowed("a"), "");
        check(r#"[""]"#, borrowed(""), "");
        check(r#"["a",1,{"b":[2]}]"#, borrowed("a"), r#"1,{"b":[2]}"#);
        check(" [ \"a\" ,\n1 , 2 ] ", borrowed("a"), "1 , 2");
        check(r#"["grüße 😀","]"]"#, borrowed("grüße 😀"), r#""]""#);
        check(r#"["a\"b\\",1]"#, unescaped("a\"b\\"), "1");
        check(r#"["\u00e9\ud83d\ude00",""]"#, unescaped("é😀"), r#""""#);
        check(r#"["\ud800"]"#, unescaped("\u{FFFD}"), "");
        check("[7]", borrowed("7"), "");
        check("[-1.5e3,null]", borrowed("-1.5e3"), "null");
        check("[0 , 1]", borrowed("0"), "1");
    }

    #[test]
    fn events_without_a_proper_name_are_refused() {
        let check = |json: &str, fault| assert_eq!(split_event(json), Err(fault), "{json}");
        for json in ["[]", "[ ]"] {
            check(json, Fault::EventEmpty);
        }
        for json in ["[null]", "[true,1]", "[{}]", "[[\"a\"]]"] {
            check(json, Fault::EventName);
        }
        for name in RESERVED {
            check(&format!("[\"{name}\",1]"), Fault::EventReserved);
        }
        check(r#"["\u0063onnect"]"#, Fault::EventReserved);
        for json in ["", "[", "]", "{}", "[\"a\" 1]", "[\"a\""] {
            check(json, Fault::PayloadShape);
        }
        check("[\"]", Fault::EventName);
    }

    #[test]
    fn acks_lose_their_brackets() {
        let check = |json, arguments| assert_eq!(split_ack(json), arguments, "{json}");
        check("[]", "");
        check(" [ 1, [2] ] ", "1, [2]");
        check("[\"a]\"]", "\"a]\"");
        check("nothing", "");
    }

    #[test]
    fn names_are_reserved_to_the_letter() {
        assert!(is_reserved("connect") && is_reserved("newListener"));
        assert!(!is_reserved("Connect") && !is_reserved("message") && !is_reserved(""));
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let cases = [
            (Kind::Connect, "{\"sid\":\"x\"}"),
            (Kind::Disconnect, ""),
            (Kind::Event, "[\"a\",1]"),
            (Kind::Ack, "[]"),
            (Kind::ConnectError, "{}"),
            (Kind::BinaryEvent, "[\"a\",{\"num\":0}]"),
            (Kind::BinaryAck, "[{\"num\":0}]"),
        ];
        for (kind, json) in cases {
            for namespace in ["/", "/a", "/grüße/1?x=[2]"] {
                for id in [None, Some(0), Some(42), Some(u64::MAX)] {
                    for attachments in [0, 1, 10] {
                        let mut out = Vec::new();
                        put_head(&mut out, kind, attachments, namespace, id);
                        out.extend_from_slice(json.as_bytes());
                        let written = attachments * usize::from(kind.has_attachments());
                        let text = String::from_utf8(out).unwrap();
                        check(&text, kind, written as u32, namespace, id, json);
                    }
                }
            }
        }
    }

    #[test]
    fn no_text_makes_it_panic() {
        let alphabet: Vec<char> = "0123569-/,,[[]{}\"\"\\u a\té€😀\u{A0}".chars().collect();
        let mut state = 0x5EED_0003_u64;
        let mut random = |bound: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 16) as usize % bound
        };
        let (mut parsed, mut split) = (0, 0);
        for _ in 0..100_000 {
            let len = random(16);
            let text: String = (0..len).map(|_| alphabet[random(alphabet.len())]).collect();
            if let Ok(packet) = parse(&text, ATTACHMENTS_MAX) {
                parsed += 1;
                assert!(text.contains(packet.json) && packet.attachments <= ATTACHMENTS_MAX);
            }
            let json = format!("[{text}]");
            split += usize::from(split_event(&json).is_ok());
            let _ = (split_event(&text), split_ack(&text));
        }
        assert!(parsed > 100 && split > 100, "{parsed} {split}");
    }

    fn check(
        text: &str,
        kind: Kind,
        attachments: u32,
        namespace: &str,
        id: Option<u64>,
        json: &str,
    ) {
        let packet = Packet {
            kind,
            attachments,
            namespace,
            id,
            json,
        };
        assert_eq!(parse(text, ATTACHMENTS_MAX), Ok(packet), "{text}");
    }
}
