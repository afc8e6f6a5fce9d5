//! The argument list of one packet as its sender wrote it, to be read by type or sent on verbatim.
//!
//! Not here: how lists are written and read (`codec::json`), and who sends them. What always holds:
//! the text has been checked, so stepping over an argument cannot fail; reading one as a type can.

use std::fmt;

use serde::{
    Serialize, Serializer,
    de::DeserializeOwned,
    ser::{Error as _, SerializeMap as _, SerializeSeq as _},
};
use serde_json::Value;

use crate::codec::json::{self, Bytes, Error};

/// The arguments of one event or acknowledgement, borrowed from the packet.
///
/// Emitting them (`socket.broadcast().emit("draw", args)`) sends the same text and attachments,
/// neither parsed nor copied before they are on their way. Inside another value they are one array
/// argument.
#[derive(Clone, Copy)]
pub struct Args<'a> {
    raw: &'a str,
    attachments: &'a [Bytes],
}

/// [`Args`] that own their text, to be kept beyond the handler.
#[derive(Clone, Default)]
pub struct OwnedArgs {
    raw: Box<str>,
    attachments: Box<[Bytes]>,
}

/// What a handler may take as its arguments: every type serde can read, and [`OwnedArgs`]. A tuple
/// takes so many arguments, `Vec` all of them, any other type the first one; further arguments are
/// skipped, and a missing one is `None`, or an error for a type that is not optional.
pub trait FromArgs: Sized {
    /// Reads the list; the error says which argument was wrong.
    fn from_args(args: &Args<'_>) -> Result<Self, Error>;
}

impl<T: DeserializeOwned + 'static> FromArgs for T {
    fn from_args(args: &Args<'_>) -> Result<T, Error> {
        args.parse()
    }
}

impl FromArgs for OwnedArgs {
    fn from_args(args: &Args<'_>) -> Result<OwnedArgs, Error> {
        Ok(args.to_owned())
    }
}

impl<'a> Args<'a> {
    /// `raw` are the elements of a JSON array that has passed [`json::check`], without its
    /// brackets.
    pub(crate) fn new(raw: &'a str, attachments: &'a [Bytes]) -> Args<'a> {
        Args { raw, attachments }
    }

    /// The arguments' JSON texts with commas between them, without brackets.
    pub fn raw(&self) -> &'a str {
        self.raw
    }

    /// The binary attachments of the packet, in the order its placeholders number them.
    pub fn attachments(&self) -> &'a [Bytes] {
        self.attachments
    }

    /// Reads the list as `T`: a tuple is several arguments, a `Vec` all of them, `()` any list, and
    /// every other type the first one. Arguments beyond a tuple are ignored; missing ones are
    /// `None`.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, Error> {
        json::read_list(self.raw, self.attachments)
    }

    /// Reads the argument at `index` as `T`; beyond the last, that is `None` for an `Option`, or an
    /// error.
    pub fn get<T: DeserializeOwned>(&self, index: usize) -> Result<T, Error> {
        json::read_element(self.raw, index, self.attachments)
    }

    /// Every argument as a JSON value. Binary data shows as its placeholder object, and an argument
    /// too large for a `Value` (`1e999`) as null.
    pub fn values(&self) -> Vec<Value> {
        let value = |text| json::read_element(text, 0, &[]).unwrap_or_default();
        json::elements(self.raw).map(value).collect()
    }

    /// Whether the event came without arguments.
    pub fn is_empty(&self) -> bool {
        self.raw.trim_ascii().is_empty()
    }

    /// The number of arguments. This walks over all of them.
    pub fn len(&self) -> usize {
        json::elements(self.raw).count()
    }

    /// The list without its first `count` arguments. Every attachment stays, since the placeholders
    /// that remain keep their numbers: emitted again, those of skipped arguments still travel.
    pub fn skip(&self, count: usize) -> Args<'a> {
        Args {
            raw: json::skip(self.raw, count),
            attachments: self.attachments,
        }
    }

    /// The list with one more argument in front of it, which may hold no binary. An error if it
    /// cannot be written as JSON.
    pub fn after<T: Serialize + ?Sized>(&self, first: &T) -> Result<OwnedArgs, Error> {
        let mut attachments = Vec::new();
        let mut text = Vec::new();
        json::write_list(&mut text, &mut attachments, &(first,), false)?;
        if !attachments.is_empty() {
            return Err(Error::new("binary cannot be put in front of a list"));
        }
        if !self.raw.is_empty() {
            text.push(b',');
        }
        text.extend_from_slice(self.raw.as_bytes());
        let raw = String::from_utf8(text).map_err(Error::new)?;
        Ok(OwnedArgs {
            raw: raw.into(),
            attachments: self.attachments.into(),
        })
    }

    /// Copies the text; the attachments' bytes are shared.
    pub fn to_owned(&self) -> OwnedArgs {
        OwnedArgs {
            raw: self.raw.into(),
            attachments: self.attachments.into(),
        }
    }
}

impl OwnedArgs {
    /// The list that `value` stands for, as an emitted event would have it.
    #[cfg(feature = "stream")]
    pub(crate) fn write<T: Serialize + ?Sized>(value: &T) -> Result<OwnedArgs, Error> {
        let (mut text, mut attachments) = (Vec::new(), Vec::new());
        json::write_list(&mut text, &mut attachments, value, false)?;
        let raw = String::from_utf8(text).map_err(Error::new)?;
        Ok(OwnedArgs {
            raw: raw.into(),
            attachments: attachments.into(),
        })
    }

    /// How many bytes it holds.
    pub(crate) fn bytes(&self) -> usize {
        let attachments = self.attachments.iter().map(|bytes| bytes.len());
        self.raw.len() + attachments.sum::<usize>()
    }

    /// The list, to be read or emitted.
    pub fn as_args(&self) -> Args<'_> {
        Args {
            raw: &self.raw,
            attachments: &self.attachments,
        }
    }
}

impl fmt::Debug for Args<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Args([{}]", self.raw)?;
        for bytes in self.attachments {
            write!(f, ", {bytes:?}")?;
        }
        f.write_str(")")
    }
}

impl fmt::Debug for OwnedArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_args().fmt(f)
    }
}

impl Serialize for Args<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(json::SPLICE, &Spliced(*self))
    }
}

impl Serialize for OwnedArgs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.as_args().serialize(serializer)
    }
}

/// What is inside that newtype: the text itself where [`json::write_list`] asks for it, else
/// values.
struct Spliced<'a>(Args<'a>);

impl Serialize for Spliced<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Spliced(args) = self;
        if json::splice(args.attachments) {
            return serializer.serialize_str(args.raw);
        }
        let mut seq = serializer.serialize_seq(None)?;
        for text in json::elements(args.raw) {
            let value: Value = json::read_element(text, 0, &[]).map_err(S::Error::custom)?;
            seq.serialize_element(&Restored {
                value: &value,
                attachments: args.attachments,
            })?;
        }
        seq.end()
    }
}

/// A value in which placeholders are their attachments again, so that another packet can number
/// them. It recurses as deep as serde_json has read.
struct Restored<'a> {
    value: &'a Value,
    attachments: &'a [Bytes],
}

impl Serialize for Restored<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let restored = |value| Restored {
            value,
            attachments: self.attachments,
        };
        match self.value {
            Value::Array(values) => serializer.collect_seq(values.iter().map(restored)),
            Value::Object(members) => {
                if let Some(bytes) = self.attachment() {
                    return bytes.serialize(serializer);
                }
                let mut map = serializer.serialize_map(Some(members.len()))?;
                for (name, value) in members {
                    map.serialize_entry(name, &restored(value))?;
                }
                map.end()
            }
            plain => plain.serialize(serializer),
        }
    }
}

impl Restored<'_> {
    fn attachment(&self) -> Option<&Bytes> {
        if self.value.get("_placeholder")?.as_bool() != Some(true) {
            return None;
        }
        let num = usize::try_from(self.value.get("num")?.as_u64()?).ok()?;
        self.attachments.get(num)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PLACEHOLDER: &str = r#"{"_placeholder":true,"num":0}"#;

    fn bytes(text: &str) -> Bytes {
        Bytes::from(text.as_bytes())
    }

    fn written<T: Serialize + ?Sized>(value: &T, after_first: bool) -> (String, Vec<Bytes>) {
        let (mut out, mut attachments) = (Vec::new(), Vec::new());
        json::write_list(&mut out, &mut attachments, value, after_first).unwrap();
        (String::from_utf8(out).unwrap(), attachments)
    }

    #[test]
    fn a_list_is_sent_on_as_it_came() {
        let attachments = [bytes("a"), bytes("b")];
        let table = [
            "",
            "1",
            "1.0, \"\\u0041\\ud800\" ,{\"z\":1,\"a\":2,\"z\":3}",
            r#"{"_placeholder":true,"num":1},[{"_placeholder":true,"num":0}]"#,
        ];
        for raw in table {
            let args = Args::new(raw, &attachments);
            assert_eq!(
                written(&args, false),
                (raw.to_string(), attachments.to_vec())
            );
            assert_eq!(
                written(&&args.to_owned(), false),
                (raw.to_string(), attachments.to_vec())
            );
            let comma = if raw.is_empty() { "" } else { "," };
            assert_eq!(written(&args, true).0, format!("{comma}{raw}"));
        }
    }

    #[test]
    fn a_list_sent_on_keeps_its_numbers_behind_other_packets() {
        let attachments = [bytes("a")];
        let (mut out, mut list) = (Vec::new(), vec![bytes("other packet")]);
        let args = Args::new(PLACEHOLDER, &attachments);
        json::write_list(&mut out, &mut list, &args, false).unwrap();
        assert_eq!(out, PLACEHOLDER.as_bytes());
        assert_eq!(list, [bytes("other packet"), bytes("a")]);
    }

    #[test]
    fn a_list_inside_another_is_one_argument() {
        let attachments = [bytes("a")];
        let raw = format!(r#"1.0,{{"k":[{PLACEHOLDER}]}},"\ud800",{{"num":0}}"#);
        let args = Args::new(&raw, &attachments);
        let (text, list) = written(&(bytes("mine"), "from", args), false);
        assert_eq!(
            text,
            [
                r#"{"_placeholder":true,"num":0},"from""#,
                r#"[1.0,{"k":[{"_placeholder":true,"num":1}]},"�",{"num":0}]"#,
            ]
            .join(",")
        );
        assert_eq!(list, [bytes("mine"), bytes("a")]);
        assert_eq!(
            written(&Some(args), true).0,
            format!(",[1.0,{{\"k\":[{PLACEHOLDER}]}},\"�\",{{\"num\":0}}]")
        );
        assert_eq!(written(&(Args::new("", &[]),), false).0, "[]");
    }

    #[test]
    fn other_serializers_see_a_sequence() {
        let attachments = [bytes("A")];
        let raw = format!("1,{PLACEHOLDER},\"x\"");
        let args = Args::new(&raw, &attachments);
        assert_eq!(serde_json::to_value(args).unwrap(), json!([1, [65], "x"]));
        assert_eq!(
            serde_json::to_string(&args.to_owned()).unwrap(),
            r#"[1,[65],"x"]"#
        );
    }

    #[test]
    fn after_a_splice_strings_are_strings_again() {
        let args = Args::new("1", &[]);
        assert_eq!(written(&args, false).0, "1");
        assert_eq!(written("1", false).0, r#""1""#);
        assert_eq!(written(&(args, "1"), false).0, r#"[1],"1""#);
    }

    #[test]
    fn arguments_are_counted_skipped_and_picked() {
        let attachments = [bytes("a")];
        let raw = format!(r#" "x" , [1,2],{PLACEHOLDER}, null"#);
        let args = Args::new(&raw, &attachments);
        assert_eq!((args.len(), args.is_empty()), (4, false));
        assert_eq!(args.get::<String>(0), Ok("x".into()));
        assert_eq!(args.get::<Vec<u8>>(1), Ok(vec![1, 2]));
        assert_eq!(args.get::<Bytes>(2), Ok(bytes("a")));
        assert_eq!(args.get::<Option<u8>>(3), Ok(None));
        assert_eq!(args.get::<Option<u8>>(4), Ok(None));
        assert!(args.get::<u8>(4).is_err());

        let rest = args.skip(2);
        assert_eq!(rest.raw(), format!("{PLACEHOLDER}, null"));
        assert_eq!(rest.attachments(), attachments);
        assert_eq!(rest.get::<Bytes>(0), Ok(bytes("a")));
        assert_eq!(args.skip(4).len(), 0);
        assert!(args.skip(9).is_empty());
        assert!(Args::new(" ", &[]).is_empty());
        assert!(OwnedArgs::default().as_args().is_empty());
    }

    #[test]
    fn values_show_every_argument() {
        let raw = format!(r#"1,"\ud800",{PLACEHOLDER},1e999,[[]]"#);
        let expected = [
            json!(1),
            json!("�"),
            json!({"_placeholder": true, "num": 0}),
            json!(null),
        ];
        let values = Args::new(&raw, &[]).values();
        assert_eq!(values[..4], expected);
        assert_eq!(values[4], json!([[]]));
    }

    #[test]
    fn a_handler_takes_a_type_or_the_list() {
        fn call<T: FromArgs>(args: &Args<'_>, handler: impl FnOnce(T)) -> Result<(), Error> {
            T::from_args(args).map(handler)
        }

        let attachments = [bytes("a")];
        let raw = format!("\"hi\",2,{PLACEHOLDER}");
        let args = Args::new(&raw, &attachments);
        call(&args, |(text, number): (String, u8)| {
            assert_eq!((&*text, number), ("hi", 2))
        })
        .unwrap();
        call(&args, |text: String| assert_eq!(text, "hi")).unwrap();
        call(&args, |(): ()| ()).unwrap();
        call(&args, |all: Vec<Value>| assert_eq!(all.len(), 3)).unwrap();
        call(&args, |owned: OwnedArgs| {
            assert_eq!(owned.as_args().raw(), raw)
        })
        .unwrap();
        let last = |(_, _, file): (Value, Value, Bytes)| assert_eq!(file, bytes("a"));
        call(&args, last).unwrap();
        assert!(call(&args, |_: (u8,)| ()).is_err());
    }

    #[test]
    fn debug_shows_the_text_and_the_sizes() {
        let attachments = [bytes("0123456789")];
        let args = Args::new("1,2", &attachments);
        let shown = "Args([1,2], Bytes(10: 30 31 32 33 34 35 36 37 …))";
        assert_eq!(format!("{args:?}"), shown);
        assert_eq!(format!("{:?}", args.to_owned()), shown);
    }
}
