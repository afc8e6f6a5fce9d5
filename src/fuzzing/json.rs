//! Properties of our JSON: what we let pass, serde_json reads; lists, escapes and numbers mean to
//! us what they mean to it, and lone surrogates what they mean to JavaScript.

use serde::de::IgnoredAny;
use serde_json::Value;

use crate::codec::json::{self, Fault};

/// Any text.
pub fn text(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let checked = json::check(text, DEPTH_MAX);
    // Without values serde_json knows neither depth nor surrogates.
    let is_json = serde_json::from_str::<IgnoredAny>(text).is_ok();
    match checked {
        Ok(()) => assert!(is_json, "we let pass what is no JSON"),
        Err(Fault::Invalid) => assert!(!is_json, "we refuse JSON"),
        Err(Fault::TooDeep) => assert!(brackets(text) > DEPTH_MAX),
        Err(Fault::Placeholder) => unreachable!("there are none to be checked"),
    }
    if checked.is_ok() {
        is_read(text);
        let _ = json::check_placeholders(text, 3);
    }
}

fn brackets(text: &str) -> usize {
    text.bytes().filter(|byte| b"[{".contains(byte)).count()
}

/// The text as the only element of a list.
fn is_read(text: &str) {
    let ours = json::read_element::<Value>(text, 0, &[]);
    match serde_json::from_str::<Value>(text) {
        Ok(value) => {
            assert_eq!(ours.as_ref(), Ok(&value));
            is_written(&value);
        }
        Err(_) if ours.is_ok() => assert!(has_escape(text), "we read what is no JSON"),
        // A number beyond what a float can be.
        Err(_) => assert!(text.contains(['e', 'E']) || text.len() > 300),
    }
    let trimmed = text.trim_matches([' ', '\t', '\n', '\r']);
    let elements: Vec<_> = json::elements(text).collect();
    assert_eq!(elements, [trimmed]);
    if let Some(units) = utf16(trimmed) {
        let read = json::read_element::<String>(text, 0, &[]);
        assert_eq!(read, Ok(String::from_utf16_lossy(&units)));
    }
    let inner = trimmed
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    if let (Some(inner), Ok(Value::Array(values))) = (inner, ours) {
        let each = json::elements(inner).map(|text| json::read_element(text, 0, &[]));
        assert_eq!(
            each.collect::<Result<Vec<Value>, _>>().as_ref(),
            Ok(&values)
        );
        assert_eq!(
            json::read_list::<Vec<Value>>(inner, &[]),
            Ok(values.clone())
        );
        for index in [0, 1, values.len()] {
            let rest = json::read_list::<Vec<Value>>(json::skip(inner, index), &[]);
            assert_eq!(rest.as_deref(), Ok(values.get(index..).unwrap_or_default()));
        }
    }
}

fn is_written(value: &Value) {
    let (mut out, mut attachments) = (Vec::new(), Vec::new());
    json::write_packet(&mut out, &mut attachments, Some("name"), &(value, "last"))
        .expect("nothing is binary");
    let expected = serde_json::to_string(&("name", value, "last")).expect("it is a value");
    assert_eq!(out, expected.as_bytes());
}

fn has_escape(text: &str) -> bool {
    text.contains("\\u")
}

/// What a JSON string is to JavaScript; `None` if the text is no string.
fn utf16(text: &str) -> Option<Vec<u16>> {
    let text = text.strip_prefix('"')?.strip_suffix('"')?;
    let (mut units, mut chars) = (Vec::new(), text.chars());
    while let Some(char) = chars.next() {
        let char = match (char, char == '\\') {
            (char, false) => char,
            (_, true) => match chars.next()? {
                'u' => {
                    let digits = chars.as_str().get(..4)?;
                    units.push(u16::from_str_radix(digits, 16).ok()?);
                    chars.nth(3);
                    continue;
                }
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                'b' => '\u{8}',
                'f' => '\u{c}',
                plain => plain,
            },
        };
        units.extend(char.encode_utf16(&mut [0; 2]).iter());
    }
    Some(units)
}

/// Of `Config`.
const DEPTH_MAX: usize = 100;
