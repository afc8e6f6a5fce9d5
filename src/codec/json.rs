//! JSON argument lists: the text between the brackets of a packet, its binary attachments, and
//! serde.
//!
//! Not here: packet headers, event names, limits' defaults, and who receives what. What always
//! holds: nothing outlives a call (the two thread-local lists are put back even when serde
//! unwinds), no input panics, and nothing recurses over a peer's text but serde_json's typed reads,
//! which stop at 127 levels. Only this file and `args` name `serde_json`.
//!
//! The *elements* of a list are its JSON texts with commas between them and no brackets: an event
//! is `["name"` + `,` + elements + `]`, an acknowledgement is `[` + elements + `]`.

use std::{cell::Cell, fmt, marker::PhantomData, mem, ops::Deref, sync::Arc};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, DeserializeOwned, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
    forward_to_deserialize_any,
    ser::{self, SerializeStruct as _},
};

/// A binary value: anywhere inside emitted arguments it travels as an attachment, and back.
///
/// A clone shares the bytes. Outside an argument list it is what serde calls bytes, so a value that
/// `json!` made of it holds an array of numbers: emit a struct, a map or a tuple instead. For the
/// same reason a `serde_json::Value` read from a packet shows a placeholder where a `Bytes` was.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Bytes(Arc<[u8]>);

/// What is wrong with a peer's JSON text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is not exactly one JSON value. RFC 8259 §2.
    Invalid,
    /// Arrays and objects nest deeper than the limit.
    TooDeep,
    /// A placeholder names no attachment of its packet: "illegal attachments" in the reference
    /// parser.
    Placeholder,
}

/// Why arguments could not be read as a type, or a value could not be written as arguments.
///
/// Arguments are counted from 0. The message may quote the peer; it is cut at 256 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(Box<str>);

/// Appends the JSON text of a packet: an array of the event's name, if there is one, and the
/// arguments. When this fails both vectors are as long as before.
///
/// An object of the application's that looks like a placeholder is refused where binary travels as
/// well: receivers would take it for one, and give up the connection.
pub fn write_packet<T: Serialize + ?Sized>(
    out: &mut Vec<u8>,
    attachments: &mut Vec<Bytes>,
    event: Option<&str>,
    args: &T,
) -> Result<(), Error> {
    let (from, base) = (out.len(), attachments.len());
    out.push(b'[');
    let name = match event {
        Some(event) => serde_json::to_writer(&mut *out, event).map_err(Error::new),
        None => Ok(()),
    };
    let list = name.and_then(|()| write_list(out, attachments, args, event.is_some()));
    out.push(b']');
    let count = attachments.len() - base;
    let checked = list.and_then(|()| {
        if count == 0 {
            return Ok(());
        }
        let text = std::str::from_utf8(&out[from..]).map_err(Error::new)?;
        check_placeholders(text, count)
            .map_err(|_| Error::new("an object looks like a placeholder"))
    });
    if checked.is_err() {
        out.truncate(from);
        attachments.truncate(base);
    }
    checked
}

/// Appends the elements of the list `value` stands for, and its binary values to `attachments`.
///
/// A tuple, an array `[T; N]` and a tuple struct are several arguments, `()` and a unit struct
/// none, and everything else one, `Vec` and slices included; a newtype struct is what it holds. The
/// first element gets a comma before it if `after_first`. `Args` is written as its sender wrote it.
/// (`&()` is one null: to serde it is a `Value::Null`. Pass on the value, not a reference to it.)
///
/// Placeholders count from the length `attachments` had on entry: the vector may already hold other
/// packets' attachments, and the placeholders inside spliced `Args` stay right. When this fails, or
/// `value` panics, both vectors are as long as before.
pub fn write_list<T: Serialize + ?Sized>(
    out: &mut Vec<u8>,
    attachments: &mut Vec<Bytes>,
    value: &T,
    after_first: bool,
) -> Result<(), Error> {
    let mut writing = Writing::begin(out, attachments);
    let list = ListWriter {
        out: writing.out,
        json: &mut None,
        comma: after_first,
        verbatim: false,
        // serde has one unit for both; only the one without a size is nothing.
        empty: size_of_val(value) == 0,
    };
    value.serialize(list).map_err(Error::new)?;
    writing.complete = true;
    Ok(())
}

/// Reads `T` from the elements of a checked list.
///
/// A tuple, array or tuple struct takes as many arguments as it has fields: more are ignored, and a
/// missing one is `None` for an `Option`, else an error. A sequence takes all. `()` and a unit
/// struct accept any list. Every other type is the first argument; a newtype struct is what it
/// holds.
pub fn read_list<T: DeserializeOwned>(elements: &str, attachments: &[Bytes]) -> Result<T, Error> {
    read_with(elements, attachments, |text| {
        T::deserialize(ListReader::new(text, 0))
    })
}

/// Reads `T` from the argument at `index`, by the rules for a field of a tuple.
pub fn read_element<T: DeserializeOwned>(
    elements: &str,
    index: usize,
    attachments: &[Bytes],
) -> Result<T, Error> {
    read_with(skip(elements, index), attachments, |text| {
        let mut list = ListReader::new(text, index);
        match list.next(PhantomData::<T>)? {
            Some(value) => Ok(value),
            None => T::deserialize(Missing { index }),
        }
    })
}

/// Reads one element by a seed, which is asked a second time if there are surrogates to be mended.
/// Binary data shows as its placeholder object.
#[cfg(feature = "stream")]
pub fn read_seeded<T>(
    element: &str,
    seed: impl for<'de> DeserializeSeed<'de, Value = T> + Copy,
) -> Result<T, Error> {
    read_with(element, &[], |text| {
        seed.deserialize(&mut serde_json::Deserializer::from_str(text))
    })
}

/// Checks that `text` is exactly one JSON value whose arrays and objects nest at most `depth_max`
/// deep.
///
/// Whatever `depth_max` says, 128 levels are the most: typed reads would refuse more. Allocates
/// nothing.
pub fn check(text: &str, depth_max: usize) -> Result<(), Fault> {
    let mut walk = Walk::new(text, depth_max, None);
    walk.value()?;
    walk.whitespace();
    if walk.at == text.len() {
        Ok(())
    } else {
        Err(Fault::Invalid)
    }
}

/// Checks that every placeholder names one of the packet's attachments. `text` has passed
/// [`check`], or is the elements of such a list.
///
/// Without this, a packet sent on verbatim would end its receivers' connections: "illegal
/// attachments" is an error to them as well.
pub fn check_placeholders(text: &str, attachments: usize) -> Result<(), Fault> {
    let mut walk = Walk::new(text, DEPTH_MAX, Some(attachments));
    walk.whitespace();
    while walk.at < text.len() {
        walk.value()?;
        walk.whitespace();
        // The comma after an element; there is none after a whole text.
        walk.at += 1;
        walk.whitespace();
    }
    Ok(())
}

/// The elements of a checked list, one text at a time.
pub fn elements(text: &str) -> Elements<'_> {
    Elements { rest: trim(text) }
}

/// The elements of a checked list without the first `count`.
pub fn skip(text: &str, count: usize) -> &str {
    let mut elements = elements(text);
    for _ in 0..count {
        if elements.next().is_none() {
            break;
        }
    }
    elements.rest
}

/// See [`elements`].
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    /// Starts with the next element, or is empty.
    rest: &'a str,
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let mut walk = Walk::new(self.rest, DEPTH_MAX, None);
        if walk.value().is_err() {
            // The list has ended: in checked text nothing else stops a walk.
            self.rest = "";
            return None;
        }
        let (element, rest) = self.rest.split_at(walk.at);
        self.rest = trim(trim(rest).strip_prefix(',').unwrap_or(""));
        Some(element)
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Bytes {
        Bytes(bytes.into())
    }
}

impl<const N: usize> From<[u8; N]> for Bytes {
    fn from(bytes: [u8; N]) -> Bytes {
        Bytes(Arc::new(bytes))
    }
}

impl<const N: usize> From<&[u8; N]> for Bytes {
    fn from(bytes: &[u8; N]) -> Bytes {
        Bytes(Arc::new(*bytes))
    }
}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Bytes {
        Bytes(bytes.into())
    }
}

impl From<Arc<[u8]>> for Bytes {
    fn from(bytes: Arc<[u8]>) -> Bytes {
        Bytes(bytes)
    }
}

/// Shows the length and the first bytes: an attachment may be a megabyte.
impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bytes({}:", self.len())?;
        for byte in self.iter().take(8) {
            write!(f, " {byte:02x}")?;
        }
        f.write_str(if self.len() > 8 { " …)" } else { ")" })
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some(num) = attach(self) else {
            return serializer.serialize_bytes(self);
        };
        let mut placeholder = serializer.serialize_struct("Bytes", 2)?;
        placeholder.serialize_field(MARK, &true)?;
        placeholder.serialize_field(NUM, &num)?;
        placeholder.end()
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        // Asked for bytes, serde_json refuses an object; other formats may not answer "any".
        if is_reading() {
            deserializer.deserialize_any(BytesVisitor)
        } else {
            deserializer.deserialize_byte_buf(BytesVisitor)
        }
    }
}

struct BytesVisitor;

impl<'de> Visitor<'de> for BytesVisitor {
    type Value = Bytes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("binary data")
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Bytes, E> {
        Ok(Bytes::from(bytes))
    }

    fn visit_byte_buf<E: de::Error>(self, bytes: Vec<u8>) -> Result<Bytes, E> {
        Ok(Bytes::from(bytes))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Bytes, A::Error> {
        // Grows as bytes arrive: a size hint is the peer's word.
        let mut bytes = Vec::new();
        while let Some(byte) = seq.next_element()? {
            bytes.push(byte);
        }
        Ok(Bytes::from(bytes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Bytes, A::Error> {
        let (mut marked, mut num) = (false, None);
        while let Some(member) = map.next_key::<Member>()? {
            match member {
                Member::Mark => marked = map.next_value()?,
                Member::Num => num = Some(map.next_value::<usize>()?),
                Member::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        let (true, Some(num)) = (marked, num) else {
            return Err(de::Error::invalid_type(de::Unexpected::Map, &self));
        };
        attachment(num).ok_or_else(|| de::Error::custom(format_args!("no attachment {num}")))
    }
}

/// A member of an object, as far as placeholders care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Member {
    Mark,
    Num,
    Other,
}

const MARK: &str = "_placeholder";
const NUM: &str = "num";

impl Member {
    fn named(name: &str) -> Member {
        match name {
            MARK => Member::Mark,
            NUM => Member::Num,
            _ => Member::Other,
        }
    }

    /// Of a key in JSON text, with its quotes.
    fn quoted(key: &[u8]) -> Member {
        if key.contains(&b'\\') {
            // A key nobody escapes; a lone surrogate is an error here, and in neither name.
            let name = serde_json::from_slice::<String>(key);
            return name.map_or(Member::Other, |name| Member::named(&name));
        }
        match key {
            b"\"_placeholder\"" => Member::Mark,
            b"\"num\"" => Member::Num,
            _ => Member::Other,
        }
    }
}

impl<'de> Deserialize<'de> for Member {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Member, D::Error> {
        struct Name;

        impl Visitor<'_> for Name {
            type Value = Member;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a member name")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<Member, E> {
                Ok(Member::named(name))
            }
        }

        deserializer.deserialize_identifier(Name)
    }
}

impl Error {
    pub(crate) fn new(reason: impl fmt::Display) -> Error {
        let mut clip = Clip {
            text: String::new(),
        };
        // `Clip` stops a `Display` with an error once it is full, which is no failure.
        let _ = fmt::write(&mut clip, format_args!("{reason}"));
        Error(clip.text.into_boxed_str())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

/// The longest error message, since serde quotes the strings it did not expect.
const ERROR_BYTES_MAX: usize = 256;

struct Clip {
    text: String,
}

impl fmt::Write for Clip {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let mut end = part.len().min(ERROR_BYTES_MAX - self.text.len());
        while !part.is_char_boundary(end) {
            end -= 1;
        }
        self.text.push_str(&part[..end]);
        if end == part.len() {
            Ok(())
        } else {
            Err(fmt::Error)
        }
    }
}

// ---- the thread-local lists ---------------------------------------------------------------------

// serde hands a `Bytes` nothing but its (de)serializer, so the list travels beside it. Take,
// change, put back: no borrow lives long enough to be met twice. A list is here only within one
// call of this file.
thread_local! {
    static WRITTEN: Cell<Written> = const { Cell::new(Written::Nowhere) };
    static READ: Cell<Option<Vec<Bytes>>> = const { Cell::new(None) };
}

/// How many attachments are looked through for the same one.
const SAME_LOOKED_AT: usize = 32;

/// Where a `Bytes` goes that is being serialized on this thread.
#[derive(Default)]
enum Written {
    /// Into its serializer, as bytes.
    #[default]
    Nowhere,
    /// On the list of the packet being written, which starts at `base`.
    List { list: Vec<Bytes>, base: usize },
    /// The same, while `ListWriter` is ready to take an `Args` verbatim.
    Splice { list: Vec<Bytes>, base: usize },
}

/// Lends the caller's vectors to one `write_list`, and takes them back however that ends.
struct Writing<'a> {
    out: &'a mut Vec<u8>,
    out_len: usize,
    attachments: &'a mut Vec<Bytes>,
    base: usize,
    outer: Written,
    complete: bool,
}

impl<'a> Writing<'a> {
    fn begin(out: &'a mut Vec<u8>, attachments: &'a mut Vec<Bytes>) -> Writing<'a> {
        let (out_len, base) = (out.len(), attachments.len());
        let outer = WRITTEN.replace(Written::List {
            list: mem::take(attachments),
            base,
        });
        Writing {
            out,
            out_len,
            attachments,
            base,
            outer,
            complete: false,
        }
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        match WRITTEN.replace(mem::take(&mut self.outer)) {
            Written::List { list, .. } | Written::Splice { list, .. } => *self.attachments = list,
            Written::Nowhere => {}
        }
        if !self.complete {
            self.out.truncate(self.out_len);
            self.attachments.truncate(self.base);
        }
    }
}

/// Puts `bytes` on the list being written, and says under which number.
fn attach(bytes: &Bytes) -> Option<usize> {
    let mut written = WRITTEN.take();
    let num = match &mut written {
        Written::List { list, base } => {
            // A client may name one attachment a thousand times; sent on, it travels once.
            let own = &list[*base..];
            let looked_at = &own[..own.len().min(SAME_LOOKED_AT)];
            let same = looked_at
                .iter()
                .position(|other| Arc::ptr_eq(&other.0, &bytes.0));
            Some(same.unwrap_or_else(|| {
                list.push(bytes.clone());
                list.len() - 1 - *base
            }))
        }
        Written::Splice { list, base } => {
            list.push(bytes.clone());
            Some(list.len() - 1 - *base)
        }
        Written::Nowhere => None,
    };
    WRITTEN.set(written);
    num
}

/// The newtype name under which `Args` offers itself to [`write_list`]; no Rust type is called
/// this.
pub(crate) const SPLICE: &str = "emio::Args";

/// Whether the list now being written takes the elements verbatim: then their attachments are on
/// it, and the one `serialize_str` that must follow is their text. Else they are values like any
/// other.
pub(crate) fn splice(attachments: &[Bytes]) -> bool {
    match WRITTEN.take() {
        Written::Splice { mut list, base } => {
            list.extend_from_slice(attachments);
            WRITTEN.set(Written::List { list, base });
            true
        }
        other => {
            WRITTEN.set(other);
            false
        }
    }
}

/// Makes the attachments of one packet readable on this thread, until dropped.
struct Reading {
    outer: Option<Vec<Bytes>>,
}

impl Reading {
    fn begin(attachments: &[Bytes]) -> Reading {
        // Allocates only for a binary packet.
        Reading {
            outer: READ.replace(Some(attachments.to_vec())),
        }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        READ.set(self.outer.take());
    }
}

fn is_reading() -> bool {
    let list = READ.take();
    let reading = list.is_some();
    READ.set(list);
    reading
}

fn attachment(num: usize) -> Option<Bytes> {
    let list = READ.take();
    let bytes = list.as_ref().and_then(|list| list.get(num)).cloned();
    READ.set(list);
    bytes
}

// ---- writing ------------------------------------------------------------------------------------

/// The serializer of a whole list: it learns whether the value is none, one or several arguments.
struct ListWriter<'j, 'o> {
    out: &'o mut Vec<u8>,
    /// Where the serializer of a single argument lives while its compound borrows it.
    json: &'j mut Option<serde_json::Serializer<&'o mut Vec<u8>>>,
    /// Whether the next element needs a comma before it.
    comma: bool,
    /// Whether a string is the elements themselves: see [`splice`].
    verbatim: bool,
    /// Whether serde's unit is `()`, and no argument, rather than a `Value::Null`, which is one.
    empty: bool,
}

/// The serializer of one argument. (An alias, because serde's seven associated types name it.)
type Json<'j, 'o> = &'j mut serde_json::Serializer<&'o mut Vec<u8>>;

impl<'j, 'o> ListWriter<'j, 'o> {
    fn one(self) -> Json<'j, 'o> {
        if self.comma {
            self.out.push(b',');
        }
        self.json.insert(serde_json::Serializer::new(self.out))
    }

    fn several(self) -> Several<'o> {
        Several {
            out: self.out,
            comma: self.comma,
        }
    }
}

macro_rules! one_argument {
    ($($method:ident($($name:ident: $type:ty),*) -> $answer:ty;)*) => {$(
        fn $method(self $(, $name: $type)*) -> Result<$answer, Self::Error> {
            self.one().$method($($name),*)
        }
    )*};
}

impl<'j, 'o> Serializer for ListWriter<'j, 'o> {
    type Ok = ();
    type Error = serde_json::Error;
    type SerializeSeq = <Json<'j, 'o> as Serializer>::SerializeSeq;
    type SerializeTuple = Several<'o>;
    type SerializeTupleStruct = Several<'o>;
    type SerializeTupleVariant = <Json<'j, 'o> as Serializer>::SerializeTupleVariant;
    type SerializeMap = <Json<'j, 'o> as Serializer>::SerializeMap;
    type SerializeStruct = <Json<'j, 'o> as Serializer>::SerializeStruct;
    type SerializeStructVariant = <Json<'j, 'o> as Serializer>::SerializeStructVariant;

    one_argument! {
        serialize_bool(value: bool) -> ();
        serialize_i8(value: i8) -> ();
        serialize_i16(value: i16) -> ();
        serialize_i32(value: i32) -> ();
        serialize_i64(value: i64) -> ();
        serialize_i128(value: i128) -> ();
        serialize_u8(value: u8) -> ();
        serialize_u16(value: u16) -> ();
        serialize_u32(value: u32) -> ();
        serialize_u64(value: u64) -> ();
        serialize_u128(value: u128) -> ();
        serialize_f32(value: f32) -> ();
        serialize_f64(value: f64) -> ();
        serialize_char(value: char) -> ();
        serialize_bytes(value: &[u8]) -> ();
        serialize_none() -> ();
        serialize_unit_variant(name: &'static str, index: u32, variant: &'static str) -> ();
        serialize_seq(len: Option<usize>) -> Self::SerializeSeq;
        serialize_map(len: Option<usize>) -> Self::SerializeMap;
        serialize_struct(name: &'static str, len: usize) -> Self::SerializeStruct;
        serialize_tuple_variant(
            name: &'static str, index: u32, variant: &'static str, len: usize
        ) -> Self::SerializeTupleVariant;
        serialize_struct_variant(
            name: &'static str, index: u32, variant: &'static str, len: usize
        ) -> Self::SerializeStructVariant;
    }

    fn serialize_str(self, text: &str) -> Result<(), Self::Error> {
        if !self.verbatim {
            return self.one().serialize_str(text);
        }
        if self.comma && !text.is_empty() {
            self.out.push(b',');
        }
        self.out.extend_from_slice(text.as_bytes());
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Self::Error> {
        self.one().serialize_some(value)
    }

    fn serialize_unit(self) -> Result<(), Self::Error> {
        if self.empty {
            return Ok(());
        }
        self.one().serialize_unit()
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Self::Error> {
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Self::Error> {
        if name != SPLICE {
            return value.serialize(self);
        }
        match WRITTEN.take() {
            Written::List { list, base } => WRITTEN.set(Written::Splice { list, base }),
            other => WRITTEN.set(other),
        }
        value.serialize(ListWriter {
            verbatim: true,
            ..self
        })
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Self::Error> {
        self.one()
            .serialize_newtype_variant(name, index, variant, value)
    }

    fn serialize_tuple(self, _: usize) -> Result<Several<'o>, Self::Error> {
        Ok(self.several())
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Several<'o>, Self::Error> {
        Ok(self.several())
    }
}

/// The fields of a top-level tuple: each is one argument.
struct Several<'o> {
    out: &'o mut Vec<u8>,
    comma: bool,
}

impl Several<'_> {
    fn argument<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), serde_json::Error> {
        if self.comma {
            self.out.push(b',');
        }
        self.comma = true;
        value.serialize(&mut serde_json::Serializer::new(&mut *self.out))
    }
}

impl ser::SerializeTuple for Several<'_> {
    type Ok = ();
    type Error = serde_json::Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Self::Error> {
        self.argument(value)
    }

    fn end(self) -> Result<(), Self::Error> {
        Ok(())
    }
}

impl ser::SerializeTupleStruct for Several<'_> {
    type Ok = ();
    type Error = serde_json::Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Self::Error> {
        self.argument(value)
    }

    fn end(self) -> Result<(), Self::Error> {
        Ok(())
    }
}

// ---- reading ------------------------------------------------------------------------------------

fn read_with<T>(
    elements: &str,
    attachments: &[Bytes],
    read: impl Fn(&str) -> Result<T, serde_json::Error>,
) -> Result<T, Error> {
    let _reading = Reading::begin(attachments);
    read(elements)
        .or_else(|error| match mend_surrogates(elements) {
            Some(mended) => read(&mended),
            None => Err(error),
        })
        .map_err(Error::new)
}

/// A copy of JSON text with U+FFFD for every lone surrogate, if it has one.
///
/// `JSON.stringify` escapes them (ECMA-262 §25.5.2.3 QuoteJSONString), and serde_json reads no such
/// string. JavaScript itself turns them into U+FFFD when it encodes UTF-8.
fn mend_surrogates(text: &str) -> Option<String> {
    const ESCAPE_BYTES: usize = 6;
    let unit = |at: usize| {
        let digits = text.get(at..at + ESCAPE_BYTES)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok()
    };
    let (mut mended, mut copied, mut at) = (String::new(), 0, 0);
    // Every turn moves past a backslash and what it escapes.
    while let Some(found) = text[at..].find('\\') {
        at += found;
        match (unit(at), unit(at + ESCAPE_BYTES)) {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => at += 2 * ESCAPE_BYTES,
            (Some(0xD800..=0xDFFF), _) => {
                mended.push_str(&text[copied..at]);
                mended.push_str("\\ufffd");
                at += ESCAPE_BYTES;
                copied = at;
            }
            (Some(_), _) => at += ESCAPE_BYTES,
            (None, _) => at += 1 + text[at + 1..].chars().next().map_or(0, char::len_utf8),
        }
    }
    if copied == 0 {
        return None;
    }
    mended.push_str(&text[copied..]);
    Some(mended)
}

/// The deserializer of a whole list. It stands before an element, or at the end.
struct ListReader<'de> {
    rest: &'de str,
    /// Of the element it stands before.
    index: usize,
}

impl<'de> ListReader<'de> {
    fn new(elements: &'de str, index: usize) -> ListReader<'de> {
        ListReader {
            rest: trim(elements),
            index,
        }
    }

    fn next<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, serde_json::Error> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let mut json = serde_json::Deserializer::from_str(self.rest);
        let value = seed
            .deserialize(&mut json)
            .map_err(|error| at_argument(self.index, error))?;
        // The stream is never read: it knows where the deserializer stands.
        let end = json.into_iter::<IgnoredAny>().byte_offset();
        let rest = trim(&self.rest[end..]);
        self.rest = match rest.strip_prefix(',') {
            Some(rest) => trim(rest),
            None if rest.is_empty() => rest,
            // A `Deserialize` that left its value unread, or half read.
            None => return Err(at_argument(self.index, "not read to its end")),
        };
        self.index += 1;
        Ok(Some(value))
    }
}

fn at_argument(index: usize, reason: impl fmt::Display) -> serde_json::Error {
    de::Error::custom(format_args!("argument {index}: {reason}"))
}

macro_rules! first_argument {
    ($($method:ident($($name:ident: $type:ty),*);)*) => {$(
        fn $method<V: Visitor<'de>>(
            self,
            $($name: $type,)*
            visitor: V,
        ) -> Result<V::Value, Self::Error> {
            if self.rest.is_empty() {
                return Missing { index: self.index }.$method($($name,)* visitor);
            }
            serde_json::Deserializer::from_str(self.rest)
                .$method($($name,)* visitor)
                .map_err(|error| at_argument(self.index, error))
        }
    )*};
}

impl<'de> Deserializer<'de> for ListReader<'de> {
    type Error = serde_json::Error;

    first_argument! {
        deserialize_any();
        deserialize_bool();
        deserialize_i8();
        deserialize_i16();
        deserialize_i32();
        deserialize_i64();
        deserialize_i128();
        deserialize_u8();
        deserialize_u16();
        deserialize_u32();
        deserialize_u64();
        deserialize_u128();
        deserialize_f32();
        deserialize_f64();
        deserialize_char();
        deserialize_str();
        deserialize_string();
        deserialize_bytes();
        deserialize_byte_buf();
        deserialize_option();
        deserialize_map();
        deserialize_struct(name: &'static str, fields: &'static [&'static str]);
        deserialize_enum(name: &'static str, variants: &'static [&'static str]);
        deserialize_identifier();
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_unit()
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_seq(All { list: self })
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_seq(Exactly {
            list: self,
            left: len,
        })
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_seq(Exactly {
            list: self,
            left: len,
        })
    }
}

/// Every argument there is, for a `Vec`.
struct All<'de> {
    list: ListReader<'de>,
}

impl<'de> SeqAccess<'de> for All<'de> {
    type Error = serde_json::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Self::Error> {
        self.list.next(seed)
    }
}

/// As many arguments as a tuple has fields, whether they were sent or not.
struct Exactly<'de> {
    list: ListReader<'de>,
    left: usize,
}

impl<'de> SeqAccess<'de> for Exactly<'de> {
    type Error = serde_json::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Self::Error> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        if !self.list.rest.is_empty() {
            return self.list.next(seed);
        }
        let missing = Missing {
            index: self.list.index,
        };
        self.list.index += 1;
        seed.deserialize(missing).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

/// The deserializer of an argument nobody sent: JavaScript's `undefined`.
struct Missing {
    index: usize,
}

impl<'de> Deserializer<'de> for Missing {
    type Error = serde_json::Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(de::Error::custom(format_args!(
            "missing argument {}",
            self.index
        )))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_none()
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_unit()
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        seq tuple tuple_struct map struct enum identifier
    }
}

// ---- walking over text --------------------------------------------------------------------------

/// The most levels of arrays and objects: one bit each in `Walk`, and one more than serde_json
/// reads.
const DEPTH_MAX: usize = 128;

/// One pass over JSON text that keeps nothing but a few bits per open array or object.
///
/// serde_json judges strings, numbers and literals; brackets, commas and colons are judged here,
/// because its own way of skipping values is iterative too, but knows no depth and allocates from
/// the second level on, so that `["move",{"x":1}]` would cost a heap block.
struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: usize,
    depth_max: usize,
    /// How many attachments there are, if placeholders matter.
    attachments: Option<usize>,
    // One bit per open level, the lowest for the outermost: is it an object, has it
    // `"_placeholder":true`, has it a `num` in range? Of equal names the last counts, as in
    // JavaScript.
    objects: u128,
    marked: u128,
    numbered: u128,
}

/// What may stand next in JSON text.
#[derive(Clone, Copy)]
enum Expect {
    Value(Member),
    FirstElement,
    Key,
    FirstKey,
    CommaOrEnd,
}

impl<'a> Walk<'a> {
    fn new(text: &'a str, depth_max: usize, attachments: Option<usize>) -> Walk<'a> {
        Walk {
            bytes: text.as_bytes(),
            at: 0,
            depth: 0,
            depth_max: depth_max.min(DEPTH_MAX),
            attachments,
            objects: 0,
            marked: 0,
            numbered: 0,
        }
    }

    /// Moves past one value, and past nothing after it.
    fn value(&mut self) -> Result<(), Fault> {
        let mut expect = Expect::Value(Member::Other);
        // Every turn consumes at least one byte, or ends.
        loop {
            self.whitespace();
            let byte = *self.bytes.get(self.at).ok_or(Fault::Invalid)?;
            expect = match (expect, byte) {
                (Expect::Value(_) | Expect::FirstElement, b'[' | b'{') => {
                    if let Expect::Value(member) = expect {
                        self.note(member, b"");
                    }
                    self.open(byte)?
                }
                (Expect::FirstElement, b']') | (Expect::FirstKey, b'}') => self.close()?,
                (Expect::FirstElement, _) => self.scalar(Member::Other)?,
                (Expect::Value(member), _) => self.scalar(member)?,
                (Expect::Key | Expect::FirstKey, b'"') => self.key()?,
                (Expect::CommaOrEnd, b']') if !self.in_object() => self.close()?,
                (Expect::CommaOrEnd, b'}') if self.in_object() => self.close()?,
                (Expect::CommaOrEnd, b',') => {
                    self.at += 1;
                    if self.in_object() {
                        Expect::Key
                    } else {
                        Expect::Value(Member::Other)
                    }
                }
                _ => return Err(Fault::Invalid),
            };
            if self.depth == 0 {
                return Ok(());
            }
        }
    }

    fn open(&mut self, bracket: u8) -> Result<Expect, Fault> {
        if self.depth == self.depth_max {
            return Err(Fault::TooDeep);
        }
        self.at += 1;
        self.depth += 1;
        let level = self.level();
        self.marked &= !level;
        self.numbered &= !level;
        if bracket == b'{' {
            self.objects |= level;
            return Ok(Expect::FirstKey);
        }
        self.objects &= !level;
        Ok(Expect::FirstElement)
    }

    fn close(&mut self) -> Result<Expect, Fault> {
        if self.marked & !self.numbered & self.level() != 0 {
            return Err(Fault::Placeholder);
        }
        self.at += 1;
        self.depth -= 1;
        Ok(Expect::CommaOrEnd)
    }

    fn key(&mut self) -> Result<Expect, Fault> {
        let key = self.token()?;
        self.whitespace();
        if self.bytes.get(self.at) != Some(&b':') {
            return Err(Fault::Invalid);
        }
        self.at += 1;
        Ok(Expect::Value(match self.attachments {
            Some(_) => Member::quoted(key),
            None => Member::Other,
        }))
    }

    fn scalar(&mut self, member: Member) -> Result<Expect, Fault> {
        let value = self.token()?;
        self.note(member, value);
        Ok(Expect::CommaOrEnd)
    }

    /// Remembers what a placeholder's `member` was; an array or object comes as no text.
    fn note(&mut self, member: Member, value: &[u8]) {
        let (bits, holds) = match (member, self.attachments) {
            (Member::Mark, _) => (&mut self.marked, value == b"true"),
            (Member::Num, Some(count)) => {
                let num = std::str::from_utf8(value)
                    .ok()
                    .and_then(|text| text.parse().ok());
                (
                    &mut self.numbered,
                    num.is_some_and(|num: usize| num < count),
                )
            }
            _ => return,
        };
        let level = 1 << (self.depth - 1);
        *bits = if holds { *bits | level } else { *bits & !level };
    }

    /// Moves past one string, number or literal. The byte here opens no array or object, so that
    /// serde_json looks at nothing behind the token, and accepts lone surrogates.
    fn token(&mut self) -> Result<&'a [u8], Fault> {
        let rest = &self.bytes[self.at..];
        if let Some(end) = plain_string_bytes(rest) {
            self.at += end;
            return Ok(&rest[..end]);
        }
        let mut json = serde_json::Deserializer::from_slice(rest);
        IgnoredAny::deserialize(&mut json).map_err(|_| Fault::Invalid)?;
        // The stream is never read: it knows where the deserializer stands.
        let end = json.into_iter::<IgnoredAny>().byte_offset();
        self.at += end;
        Ok(&rest[..end])
    }

    fn whitespace(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.bytes.get(self.at) {
            self.at += 1;
        }
    }

    fn in_object(&self) -> bool {
        self.objects & self.level() != 0
    }

    /// The bit of the innermost open array or object; there is one.
    fn level(&self) -> u128 {
        1 << (self.depth - 1)
    }
}

/// The length of the short string at the start of `text`, if it is one without escapes: most are,
/// and need no parser to be found.
fn plain_string_bytes(text: &[u8]) -> Option<usize> {
    let inner = text.strip_prefix(b"\"")?;
    let looked_at = &inner[..inner.len().min(PLAIN_BYTES_MAX)];
    let is_end = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    let end = looked_at.iter().position(is_end)?;
    (looked_at[end] == b'"').then_some(end + 2)
}

/// Longer strings are left to serde_json, which looks at eight bytes at a time.
const PLAIN_BYTES_MAX: usize = 48;

/// Without the whitespace of RFC 8259 §2 in front.
fn trim(text: &str) -> &str {
    text.trim_start_matches([' ', '\t', '\n', '\r'])
}

const _: () = assert!(size_of::<Fault>() == 1 && size_of::<Error>() == size_of::<&str>());

#[cfg(test)]
mod tests {
    use std::{
        collections::{BTreeMap, HashMap},
        panic::{AssertUnwindSafe, catch_unwind},
    };

    use serde_json::{Value, json};

    use super::*;

    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    struct Message {
        user: String,
        file: Option<Bytes>,
    }

    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    struct Pair(u8, String);

    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    struct Wrapped<T>(T);

    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    struct Nothing;

    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    enum Shape {
        Dot,
        Circle(u8),
        Box(u8, u8),
        Named { name: String },
    }

    #[derive(Deserialize, Debug, PartialEq)]
    #[serde(untagged)]
    enum Either {
        Binary(Bytes),
        Text(String),
    }

    fn bytes(text: &str) -> Bytes {
        Bytes::from(text.as_bytes())
    }

    fn written<T: Serialize + ?Sized>(value: &T) -> (String, Vec<Bytes>) {
        let (mut out, mut attachments) = (Vec::new(), Vec::new());
        write_list(&mut out, &mut attachments, value, false).unwrap();
        (String::from_utf8(out).unwrap(), attachments)
    }

    #[track_caller]
    fn writes<T: Serialize + ?Sized>(value: &T, elements: &str) {
        let (text, attachments) = written(value);
        assert_eq!((text.as_str(), attachments.len()), (elements, 0));
        let mut out = b"[0".to_vec();
        write_list(&mut out, &mut Vec::new(), value, true).unwrap();
        let comma = if elements.is_empty() { "" } else { "," };
        assert_eq!(out, format!("[0{comma}{elements}").as_bytes());
    }

    #[track_caller]
    fn reads<T: DeserializeOwned + fmt::Debug + PartialEq>(elements: &str, value: T) {
        assert_eq!(read_list::<T>(elements, &[]), Ok(value), "{elements}");
    }

    #[track_caller]
    fn refuses<T: DeserializeOwned + fmt::Debug>(elements: &str, reason: &str) {
        let error = read_list::<T>(elements, &[]).unwrap_err().to_string();
        assert!(error.contains(reason), "{elements}: {error}");
    }

    /// The lists are put back: outside a call, bytes are numbers.
    #[track_caller]
    fn no_list_is_left() {
        assert_eq!(serde_json::to_string(&bytes("A")).unwrap(), "[65]");
        assert!(!is_reading());
    }

    #[test]
    fn tuples_are_several_arguments_and_everything_else_is_one() {
        writes(&(), "");
        writes(&Nothing, "");
        writes(&[0u8; 0], "");
        writes(&(1, "a"), r#"1,"a""#);
        writes(&[1, 2, 3], "1,2,3");
        writes(&Pair(1, "a".into()), r#"1,"a""#);
        writes(&Wrapped((1, 2)), "1,2");
        writes(&Wrapped(vec![1, 2]), "[1,2]");
        writes(&((1, 2), [3, 4]), "[1,2],[3,4]");
        writes(&vec![1, 2], "[1,2]");
        writes(&[1, 2][..], "[1,2]");
        writes(&Vec::<u8>::new(), "[]");
        writes("text", r#""text""#);
        writes(&'c', r#""c""#);
        writes(&true, "true");
        writes(&-7, "-7");
        writes(&u64::MAX, "18446744073709551615");
        writes(&1.5, "1.5");
        writes(&f64::NAN, "null");
        writes(&None::<(u8, u8)>, "null");
        writes(&Some((1, 2)), "[1,2]");
        writes(&json!([1, 2]), "[1,2]");
        writes(&json!({"a": [null]}), r#"{"a":[null]}"#);
        writes(&Value::Null, "null");
        writes(&&Value::Null, "null");
        writes(&(Value::Null, ()), "null,null");
        writes(&BTreeMap::from([("a", 1)]), r#"{"a":1}"#);
        writes(
            &Message {
                user: "u".into(),
                file: None,
            },
            r#"{"user":"u","file":null}"#,
        );
        writes(&Shape::Dot, r#""Dot""#);
        writes(&Shape::Circle(1), r#"{"Circle":1}"#);
        writes(&Shape::Box(1, 2), r#"{"Box":[1,2]}"#);
        writes(
            &Shape::Named { name: "n".into() },
            r#"{"Named":{"name":"n"}}"#,
        );
        writes(&("é😀\u{1}", "\"\\"), r#""é😀\u0001","\"\\""#);
    }

    #[test]
    fn binary_values_become_attachments_at_any_depth() {
        let value = (
            bytes("a"),
            vec![Some(bytes("b")), None],
            BTreeMap::from([("k".to_string(), bytes("c"))]),
        );
        let (text, attachments) = written(&value);
        assert_eq!(
            text,
            [
                r#"{"_placeholder":true,"num":0}"#,
                r#"[{"_placeholder":true,"num":1},null]"#,
                r#"{"k":{"_placeholder":true,"num":2}}"#,
            ]
            .join(",")
        );
        assert_eq!(attachments, [bytes("a"), bytes("b"), bytes("c")]);
        assert_eq!(read_list(&text, &attachments), Ok(value));
        no_list_is_left();
    }

    #[test]
    fn one_binary_value_is_one_argument() {
        let (text, attachments) = written(&bytes("a"));
        assert_eq!(text, r#"{"_placeholder":true,"num":0}"#);
        assert_eq!(read_list(&text, &attachments), Ok(bytes("a")));
        assert_eq!(
            read_list(&text, &attachments),
            Ok((bytes("a"), None::<Bytes>))
        );
        assert_eq!(
            read_list(&text, &attachments),
            Ok(Either::Binary(bytes("a")))
        );
        assert_eq!(
            read_list(r#""a""#, &attachments),
            Ok(Either::Text("a".into()))
        );
    }

    #[test]
    fn placeholders_count_from_what_the_list_held_before() {
        let (mut out, mut attachments) = (Vec::new(), vec![bytes("other packet")]);
        write_list(&mut out, &mut attachments, &(bytes("a"),), false).unwrap();
        assert_eq!(out, br#"{"_placeholder":true,"num":0}"#);
        assert_eq!(attachments, [bytes("other packet"), bytes("a")]);
    }

    #[test]
    fn other_serializers_see_bytes() {
        assert_eq!(serde_json::to_value(bytes("AB")).unwrap(), json!([65, 66]));
        assert_eq!(
            serde_json::from_str::<Bytes>("[65,66]").unwrap(),
            bytes("AB")
        );
        assert_eq!(
            serde_json::from_value::<Bytes>(json!([65, 66])).unwrap(),
            bytes("AB")
        );
        let placeholder = r#"{"_placeholder":true,"num":0}"#;
        assert!(serde_json::from_str::<Bytes>(placeholder).is_err());
    }

    #[test]
    fn a_binary_value_may_also_arrive_as_numbers() {
        reads("[65,66]", (bytes("AB"),));
        refuses::<Bytes>("[256]", "u8");
        refuses::<Bytes>("\"AB\"", "expected binary data");
    }

    #[test]
    fn a_placeholder_without_its_attachment_is_an_error() {
        refuses::<Bytes>(r#"{"_placeholder":true,"num":0}"#, "no attachment 0");
        refuses::<Bytes>(r#"{"_placeholder":false,"num":0}"#, "expected binary data");
        refuses::<Bytes>(r#"{"_placeholder":true}"#, "expected binary data");
        refuses::<Bytes>(r#"{"_placeholder":true,"num":-1}"#, "-1");
        refuses::<Bytes>(r#"{"a":1}"#, "expected binary data");
        let spaced = r#" { "num" : 1 , "more" : [ {} ] , "_placeholder" : true } "#;
        assert_eq!(read_list(spaced, &[bytes("a"), bytes("b")]), Ok(bytes("b")));
    }

    #[test]
    fn a_failed_write_leaves_no_trace() {
        let unwritable = (bytes("b"), HashMap::from([((1, 2), 3)]));
        let (mut out, mut attachments) = (b"[0".to_vec(), vec![bytes("a")]);
        assert!(write_list(&mut out, &mut attachments, &unwritable, true).is_err());
        assert_eq!(
            (out.as_slice(), attachments),
            (&b"[0"[..], vec![bytes("a")])
        );
        no_list_is_left();
    }

    struct Panics;

    impl Serialize for Panics {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            panic!("a user's Serialize")
        }
    }

    impl<'de> Deserialize<'de> for Panics {
        fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Panics, D::Error> {
            panic!("a user's Deserialize")
        }
    }

    #[test]
    fn a_panic_leaves_no_trace() {
        let (mut out, mut attachments) = (b"[0".to_vec(), vec![bytes("a")]);
        let write = || write_list(&mut out, &mut attachments, &(bytes("b"), Panics), true);
        assert!(catch_unwind(AssertUnwindSafe(write)).is_err());
        assert_eq!(
            (out.as_slice(), attachments),
            (&b"[0"[..], vec![bytes("a")])
        );
        no_list_is_left();

        let read = || read_list::<(u8, Panics)>("1,2", &[bytes("a")]);
        assert!(catch_unwind(read).is_err());
        no_list_is_left();
    }

    /// Writes and reads other lists while one is being written or read.
    #[derive(Debug, PartialEq)]
    struct Nested;

    impl Nested {
        fn run() {
            let inner = (bytes("x"), bytes("y"));
            let (text, attachments) = written(&inner);
            assert_eq!(attachments.len(), 2);
            assert_eq!(read_list(&text, &attachments), Ok(inner));
        }
    }

    impl Serialize for Nested {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            Nested::run();
            serializer.serialize_bool(true)
        }
    }

    impl<'de> Deserialize<'de> for Nested {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Nested, D::Error> {
            Nested::run();
            bool::deserialize(deserializer).map(|_| Nested)
        }
    }

    #[test]
    fn lists_nest() {
        let value = (bytes("a"), Nested, bytes("b"));
        let (text, attachments) = written(&value);
        assert_eq!(
            text,
            r#"{"_placeholder":true,"num":0},true,{"_placeholder":true,"num":1}"#
        );
        assert_eq!(attachments, [bytes("a"), bytes("b")]);
        assert_eq!(read_list(&text, &attachments), Ok(value));
        no_list_is_left();
    }

    #[test]
    fn a_tuple_ignores_what_it_does_not_name() {
        reads("1,2,3", (1,));
        reads("1,2,3", [1, 2]);
        reads(r#"1,"a",{}"#, Pair(1, "a".into()));
        reads(
            r#" 1 , "a,]" , [2 , 3 ] "#,
            (1, String::from("a,]"), vec![2, 3]),
        );
        reads("1,2", Wrapped((1,)));
    }

    #[test]
    fn a_missing_argument_is_none_or_an_error() {
        reads("", (None::<u8>,));
        reads("1", (1, None::<u8>, ()));
        reads("1", (1, Wrapped(None::<u8>)));
        reads("null", (None::<u8>, None::<u8>));
        reads("", [None::<u8>; 3]);
        reads("", None::<u8>);
        refuses::<(u8,)>("", "missing argument 0");
        refuses::<(Option<u8>, u8)>("", "missing argument 1");
        refuses::<(u8, Value)>("1", "missing argument 1");
        refuses::<(u8, Vec<u8>)>("1", "missing argument 1");
        refuses::<String>("", "missing argument 0");
        refuses::<Message>("  ", "missing argument 0");
        refuses::<Bytes>("", "missing argument 0");
    }

    #[test]
    fn unit_accepts_any_list() {
        for elements in ["", "1", "null,2", r#"{"a":1},"b""#] {
            reads(elements, ());
            reads(elements, Nothing);
        }
    }

    #[test]
    fn a_sequence_takes_all_arguments() {
        reads("", Vec::<u8>::new());
        reads("1,2,3", vec![1, 2, 3]);
        reads("1,2,3", Wrapped(vec![1, 2, 3]));
        reads(
            r#"1,"a",[null,{}]"#,
            vec![json!(1), json!("a"), json!([null, {}])],
        );
        refuses::<Vec<u8>>("1,2,true", "argument 2");
    }

    #[test]
    fn any_other_type_is_the_first_argument() {
        reads(r#""a",1"#, String::from("a"));
        reads("-1", -1);
        reads("1.5", 1.5);
        reads("true,1", true);
        reads("[1,2],3", json!([1, 2]));
        reads("[1,2],3", Some((1, 2)));
        reads("null,3", None::<u8>);
        reads(
            r#"{"user":"u"}"#,
            Message {
                user: "u".into(),
                file: None,
            },
        );
        reads(r#"{"a":1}"#, BTreeMap::from([(String::from("a"), 1)]));
        reads(r#""Dot""#, Shape::Dot);
        reads(r#"{"Box":[1,2]}"#, Shape::Box(1, 2));
        reads(
            r#"{"Named":{"name":"n"}}"#,
            Shape::Named { name: "n".into() },
        );
        reads("18446744073709551615", u64::MAX);
    }

    #[test]
    fn an_error_names_the_argument_and_stays_short() {
        refuses::<(u8, u8)>(r#"1,"x""#, "argument 1: invalid type: string");
        refuses::<u8>(r#""x""#, "argument 0: invalid type: string");
        let long = format!("\"{}\"", "é".repeat(100_000));
        let error = read_list::<u8>(&long, &[]).unwrap_err().to_string();
        assert!(
            error.len() <= ERROR_BYTES_MAX && error.len() > ERROR_BYTES_MAX - 4,
            "{error}"
        );
    }

    #[test]
    fn an_argument_left_unread_is_an_error() {
        #[derive(Debug)]
        struct Lazy;

        impl<'de> Deserialize<'de> for Lazy {
            fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Lazy, D::Error> {
                Ok(Lazy)
            }
        }

        refuses::<(Lazy, u8)>("1,2", "argument 0: not read to its end");
        assert!(read_list::<Lazy>("1,2", &[]).is_ok());
    }

    #[test]
    fn an_element_is_read_by_its_index() {
        let elements = r#"1,[2,3],{"_placeholder":true,"num":0}"#;
        assert_eq!(read_element(elements, 0, &[]), Ok(1));
        assert_eq!(read_element(elements, 1, &[]), Ok((2, 3)));
        assert_eq!(read_element(elements, 1, &[]), Ok(vec![2, 3]));
        assert_eq!(read_element(elements, 2, &[bytes("a")]), Ok(bytes("a")));
        assert_eq!(read_element(elements, 3, &[]), Ok(None::<u8>));
        let error = read_element::<u8>(elements, 3, &[]).unwrap_err();
        assert_eq!(error.to_string(), "missing argument 3");
        let error = read_element::<(u8,)>(elements, 1, &[])
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("argument 1: "), "{error}");
    }

    #[test]
    fn lone_surrogates_read_as_the_replacement_character() {
        let table = [
            (r#""\ud800""#, "\u{fffd}"),
            (r#""\uDFFF\uD800""#, "\u{fffd}\u{fffd}"),
            (r#""a\ud83dz""#, "a\u{fffd}z"),
            (r#""\ud83d\u0041""#, "\u{fffd}A"),
            (r#""\ud83d\ud83d\ude00""#, "\u{fffd}😀"),
            (r#""\ud83d\ude00""#, "😀"),
            (r#""\ude00\ud83d\ude00\ude00""#, "\u{fffd}😀\u{fffd}"),
            (r#""\\ud800""#, r"\ud800"),
            (r#""\\\ud800""#, "\\\u{fffd}"),
            (r#""é\ud800😀\n""#, "é\u{fffd}😀\n"),
        ];
        for (text, string) in table {
            assert_eq!(check(text, 0), Ok(()), "{text}");
            reads(text, (String::from(string),));
            reads(text, String::from(string));
            reads(text, json!(string));
            reads(&format!("{{{text}:[{text}]}}"), json!({string: [string]}));
        }
        let (text, binary) = (r#"{"_placeholder":true,"num":0},"\ud800""#, [bytes("a")]);
        assert_eq!(
            read_list(text, &binary),
            Ok((bytes("a"), String::from("\u{fffd}")))
        );
    }

    #[test]
    fn mending_needs_no_checked_text() {
        for text in [
            "",
            "\\",
            "\\u",
            "\\ud8",
            "\\ud800",
            "\\é",
            "\\u12é4",
            "\\ud800\\u",
        ] {
            let mended = mend_surrogates(text);
            assert_eq!(mended.is_some(), text.starts_with("\\ud800"), "{text}");
        }
    }

    #[test]
    fn exactly_one_json_value_passes() {
        for text in [
            "0",
            " [] ",
            "{}",
            "null",
            "-0.5e+10",
            "1e999",
            r#""""#,
            r#"["a",{"b":[true,false,null,{}]},[]]"#,
            "\t{ \"a\" : [ 1 , 2 ] ,\r\n\"a\" : { } } ",
            "\"é😀\u{7f}\u{2028}\"",
        ] {
            assert_eq!(check(text, 8), Ok(()), "{text}");
        }
        for text in [
            "",
            " ",
            "[",
            "]",
            "{",
            "}",
            ",",
            ":",
            "\"",
            "[1",
            "[1,",
            "[1,]",
            "[,1]",
            "[1 2]",
            "[1}",
            "{]",
            "{\"a\"",
            "{\"a\":",
            "{\"a\":}",
            "{\"a\":1",
            "{\"a\":1,",
            "{\"a\":1,}",
            "{\"a\",1}",
            "{1:2}",
            "{a:1}",
            "{,}",
            "[1]]",
            "[1][2]",
            "1 2",
            "1,2",
            "01",
            "1.",
            "+1",
            ".5",
            "-",
            "1e",
            "tru",
            "nul",
            "nullx",
            "True",
            "'a'",
            "\"\n\"",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\u{feff}1",
            "[1]\0",
            "NaN",
            "\u{a0}1",
            "[1]é",
            "é",
        ] {
            assert_eq!(check(text, 8), Err(Fault::Invalid), "{text}");
        }
    }

    #[test]
    fn nesting_has_a_limit() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        let objects = |depth: usize| "{\"a\":".repeat(depth) + "1" + &"}".repeat(depth);
        for depth in [0, 1, 2, 64, 128] {
            assert_eq!(check(&objects(depth), depth), Ok(()));
            assert_eq!(check(&nested(depth + 1), depth), Err(Fault::TooDeep));
            assert_eq!(check(&objects(depth + 1), depth), Err(Fault::TooDeep));
        }
        assert_eq!(check(&nested(128), usize::MAX), Ok(()));
        assert_eq!(check(&nested(129), usize::MAX), Err(Fault::TooDeep));
        assert_eq!(check(&nested(100_000), 64), Err(Fault::TooDeep));
        assert_eq!(check(&"[".repeat(1_000_000), 64), Err(Fault::TooDeep));
        let brackets_in_a_string = format!("[\"{}\"]", "[{".repeat(1000));
        assert_eq!(check(&brackets_in_a_string, 1), Ok(()));
        let wide = format!("[{}[]]", "[],".repeat(1000));
        assert_eq!(check(&wide, 2), Ok(()));
    }

    #[test]
    fn whatever_passes_the_check_can_be_read() {
        let list = "[".repeat(DEPTH_MAX) + &"]".repeat(DEPTH_MAX);
        assert_eq!(check(&list, DEPTH_MAX), Ok(()));
        let elements = &list[1..list.len() - 1];
        assert!(read_list::<(Value,)>(elements, &[]).is_ok());
        assert!(read_list::<Value>(elements, &[]).is_ok());
    }

    #[test]
    fn the_check_and_serde_json_agree() {
        let mut random = Random(1);
        for _ in 0..20_000 {
            let mut text = random.value(3).to_string().into_bytes();
            for _ in 0..random.below(3) {
                let at = random.below(text.len());
                match random.below(3) {
                    0 => drop(text.remove(at)),
                    1 => text.insert(at, b"[]{},:\"\\ 0e.-tu"[random.below(15)]),
                    _ => text.truncate(at),
                }
                if text.is_empty() {
                    break;
                }
            }
            let Ok(text) = String::from_utf8(text) else {
                continue;
            };
            let oracle = serde_json::from_str::<IgnoredAny>(&text).is_ok();
            assert_eq!(check(&text, DEPTH_MAX).is_ok(), oracle, "{text}");
        }
    }

    #[test]
    fn a_placeholder_names_an_attachment() {
        let fine = [
            ("", 0),
            ("[]", 0),
            (r#"["e",{"_placeholder":true,"num":0}]"#, 1),
            (
                r#"{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}"#,
                2,
            ),
            (
                r#"[{"a":[{"num":1,"more":{"num":9},"_placeholder":true}]}]"#,
                2,
            ),
            (
                r#"[{"_placeholder":false,"num":7},{"num":7},{"_placeholder":"true"}]"#,
                0,
            ),
            (
                r#"[{"_placeholder":1},{"_placeholder":[true]},["_placeholder",true]]"#,
                0,
            ),
            (r#"[{"_placeholder":true,"_placeholder":false}]"#, 0),
            (r#"[{"_placeholder":true,"num":7,"num":0}]"#, 1),
            (
                r#"["\ud800",{"\ud800":"\udc00","_placeholder":true,"num":0}]"#,
                1,
            ),
        ];
        for (text, attachments) in fine {
            assert_eq!(check_placeholders(text, attachments), Ok(()), "{text}");
        }
        let wrong = [
            (r#"[{"_placeholder":true,"num":0}]"#, 0),
            (r#"1 , {"_placeholder" : true , "num" : 1}"#, 1),
            (r#"[{"_placeholder":true,"num":-1}]"#, 1),
            (r#"[{"_placeholder":true,"num":0.5}]"#, 1),
            (r#"[{"_placeholder":true,"num":"0"}]"#, 1),
            (r#"[{"_placeholder":true,"num":99999999999999999999}]"#, 1),
            (r#"[{"_placeholder":true}]"#, 1),
            (r#"[{"_placeholder":true,"num":null}]"#, 1),
            (r#"[{"_placeholder":true,"num":0,"num":[0]}]"#, 1),
            (r#"[{"_placeholder":true,"num":{"num":0}}]"#, 1),
            (
                r#"[{"_placeholder":true,"a":{"_placeholder":true,"num":0}}]"#,
                1,
            ),
            (r#"[{"num":0},{"_placeholder":true}]"#, 1),
            (r#"[[[{"a":{"_placeholder":true,"num":3}}]]]"#, 3),
            (r#"[{"\u005fplaceholder":true,"num":3}]"#, 3),
            (r#"["\ud800",{"_placeholder":true,"num":3}]"#, 3),
        ];
        for (text, attachments) in wrong {
            let fault = check_placeholders(text, attachments);
            assert_eq!(fault, Err(Fault::Placeholder), "{text}");
        }
    }

    #[test]
    fn elements_are_the_texts_between_commas() {
        let table: [(&str, &[&str]); 6] = [
            ("", &[]),
            ("  ", &[]),
            ("1", &["1"]),
            (
                " 1 ,\t[2, 3 ] , {\"a,\":\"]\"} ",
                &["1", "[2, 3 ]", "{\"a,\":\"]\"}"],
            ),
            (
                "\"é,😀\",\"\\ud800\",null",
                &["\"é,😀\"", "\"\\ud800\"", "null"],
            ),
            ("[[[]]],{}", &["[[[]]]", "{}"]),
        ];
        for (text, expected) in table {
            assert_eq!(elements(text).collect::<Vec<_>>(), expected, "{text}");
            assert_eq!(skip(text, 0), trim(text));
            for count in 0..=expected.len() {
                let left = elements(skip(text, count)).collect::<Vec<_>>();
                assert_eq!(left, expected[count..], "{text}");
            }
            assert_eq!(skip(text, expected.len() + 1), "");
        }
    }

    #[test]
    fn what_was_written_reads_the_same() {
        let mut random = Random(2);
        for _ in 0..2_000 {
            let values = [random.value(4), random.value(4), random.value(0)];
            let (text, attachments) = written(&values);
            assert_eq!(check(&format!("[{text}]"), DEPTH_MAX), Ok(()));
            assert_eq!(check_placeholders(&text, 0), Ok(()));
            assert!(attachments.is_empty());
            reads(&text, values.to_vec());
            let [a, b, c] = values.clone();
            reads(&text, (a, b, c));
            assert_eq!(elements(&text).count(), 3);

            let (text, _) = written(&values[0]);
            reads(&text, values[0].clone());
        }
    }

    /// xorshift64 (Marsaglia 2003), and JSON values made of it.
    struct Random(u64);

    impl Random {
        fn below(&mut self, limit: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 % limit as u64) as usize
        }

        fn string(&mut self) -> String {
            let characters = [
                'a', '"', '\\', '\n', '\0', 'é', '😀', '[', '}', ',', '\u{fffd}', '/',
            ];
            (0..self.below(12))
                .map(|_| characters[self.below(characters.len())])
                .collect()
        }

        fn value(&mut self, depth: usize) -> Value {
            match self.below(if depth == 0 { 6 } else { 8 }) {
                0 => Value::Null,
                1 => json!(self.below(2) == 0),
                2 => json!(self.below(1 << 40) as i64 - (1 << 39)),
                3 => json!(self.below(1 << 20) as f64 / 8.0),
                4 | 5 => json!(self.string()),
                6 => (0..self.below(4)).map(|_| self.value(depth - 1)).collect(),
                _ => (0..self.below(4))
                    .map(|_| (self.string(), self.value(depth - 1)))
                    .collect(),
            }
        }
    }
}
