//! Arguments read by type: what serde makes of a list through emio is what it makes of an array
//! through serde_json, where the two mean the same.

use std::{collections::BTreeMap, fmt::Debug};

use emio::{
    Bytes,
    fuzzing::{read_args, sio_packet},
};
use serde::{
    Deserialize, Serialize,
    de::{DeserializeOwned, IgnoredAny},
};
use serde_json::Value;

#[derive(Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
struct Message {
    user: String,
    tags: Vec<String>,
    at: Option<f64>,
    more: BTreeMap<String, Value>,
}

#[derive(Debug, Deserialize, PartialEq, Serialize)]
enum Shape {
    Dot,
    Circle(u8),
    Box(u8, i16),
    Named { name: String },
}

#[derive(Debug, Deserialize, PartialEq, Serialize)]
#[serde(untagged)]
enum Either {
    Number(i64),
    Text(String),
    List(Vec<Either>),
}

#[derive(Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "type")]
enum Tagged {
    A { n: u32 },
    B { s: char },
}

#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Pair(u8, String);

#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Wrapped(Vec<u8>);

#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Nothing;

/// The elements of a list; the first byte says as which type they are read.
pub fn args(data: &[u8]) {
    let [kind, data @ ..] = data else { return };
    let Ok(elements) = std::str::from_utf8(data) else {
        return;
    };
    // Only lists that were checked are read.
    if sio_packet(&format!("2[\"e\",{elements}]")).is_none() {
        return;
    }
    match kind % 16 {
        0 => list::<(String,)>(elements, 1),
        1 => list::<(String, u32, bool)>(elements, 3),
        2 => list::<(i8, u16, i64, u64, f32)>(elements, 5),
        3 => list::<(Message, Option<Message>)>(elements, 2),
        4 => list::<(Shape, Shape)>(elements, 2),
        5 => list::<[Either; 2]>(elements, 2),
        6 => list::<Pair>(elements, 2),
        7 => list::<(char, (), Nothing, Wrapped)>(elements, 4),
        8 => every::<Value>(elements),
        9 => every::<Either>(elements),
        10 => every::<BTreeMap<String, Vec<Shape>>>(elements),
        11 => first::<Message>(elements),
        12 => first::<Tagged>(elements),
        13 => first::<f64>(elements),
        14 => first::<Option<String>>(elements),
        _ => binary(elements),
    }
}

/// A tuple of `len`: of a list of the same length it means what an array means.
fn list<T: DeserializeOwned + Serialize + Debug + PartialEq>(elements: &str, len: usize) {
    let texts = split(elements);
    let ours = read_args::<T>(elements);
    if texts.len() >= len {
        let exact = texts[..len].join(",");
        compare(ours, &format!("[{exact}]"));
    }
}

fn every<T: DeserializeOwned + Serialize + Debug + PartialEq>(elements: &str) {
    compare(read_args::<Vec<T>>(elements), &format!("[{elements}]"));
}

fn first<T: DeserializeOwned + Serialize + Debug + PartialEq>(elements: &str) {
    if let Some(text) = split(elements).first() {
        compare(read_args::<T>(elements), text);
    }
}

fn compare<T: DeserializeOwned + Serialize + Debug + PartialEq>(ours: Option<T>, text: &str) {
    match serde_json::from_str::<T>(text) {
        Ok(value) => {
            assert_eq!(ours.as_ref(), Some(&value));
            comes_back(&value);
        }
        // Lone surrogates are mended.
        Err(error) => assert!(ours.is_none() || text.contains("\\u"), "{error}"),
    }
}

/// What is written is read again.
fn comes_back<T: DeserializeOwned + Serialize + Debug + PartialEq>(value: &T) {
    let mut out = Vec::new();
    let written = emio::fuzzing::write_event(&mut out, "e", &(value,));
    assert_ne!(written, 0, "it was read from JSON");
    let text = std::str::from_utf8(&out).expect("JSON is text");
    let elements = text
        .strip_prefix("[\"e\",")
        .and_then(|text| text.strip_suffix(']'));
    let again = read_args::<(T,)>(elements.expect("it is an event"));
    assert_eq!(again.as_ref().map(|(again,)| again), Some(value));
}

/// Placeholders without attachments, and arrays of numbers.
fn binary(elements: &str) {
    for bytes in read_args::<Vec<Bytes>>(elements).into_iter().flatten() {
        let numbers: Vec<u8> = bytes.to_vec();
        assert_eq!(read_args::<Bytes>(&format!("{numbers:?}")), Some(bytes));
    }
    let _ = read_args::<(Option<Bytes>, BTreeMap<String, Bytes>)>(elements);
    let _ = read_args::<IgnoredAny>(elements);
}

/// The texts of the elements.
fn split(elements: &str) -> Vec<&str> {
    let (mut texts, mut rest) = (Vec::new(), elements.trim_ascii());
    while !rest.is_empty() {
        let mut json = serde_json::Deserializer::from_str(rest).into_iter::<IgnoredAny>();
        let is_element = json.next().is_some_and(|element| element.is_ok());
        assert!(is_element, "it was checked");
        let (text, behind) = rest.split_at(json.byte_offset());
        texts.push(text.trim_ascii());
        rest = behind
            .trim_ascii()
            .strip_prefix(',')
            .unwrap_or_default()
            .trim_ascii();
    }
    texts
}
