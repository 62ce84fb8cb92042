//! A tree of YAML values as a serde deserializer, with the operator's words for what is
//! wrong. Pure.

use std::sync::Arc;

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess,
    SeqAccess, VariantAccess, Visitor,
};

use super::{Content, Key, Node, Refusal};

/// Whether a value must have the type that its schema names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Typing {
    /// As people write YAML: `"5"` is a number where one is needed, `5` a text, and nothing at
    /// all an empty mapping or list.
    Loose,
    /// As programs write JSON.
    Strict,
}

/// Reads a value of the model from the tree.
pub(crate) fn value<T: DeserializeOwned>(node: &Node) -> Result<T, Refusal> {
    value_typed(node, Typing::Loose)
}

/// Reads a value of the model from the tree, with or without regard to the type of each scalar.
pub(crate) fn value_typed<T: DeserializeOwned>(node: &Node, typing: Typing) -> Result<T, Refusal> {
    T::deserialize(Reader(node, typing)).map_err(|refusal| refusal.or_at(node.position))
}

/// Reads one node.
#[derive(Clone, Copy)]
struct Reader<'a>(&'a Node, Typing);

impl<'a> Reader<'a> {
    fn is_strict(self) -> bool {
        self.1 == Typing::Strict
    }

    /// Refuses a quoted scalar where a number or a boolean is needed.
    fn unquoted(self, wanted: &str) -> Result<(), Refusal> {
        match &self.0.content {
            Content::Scalar { plain: false, .. } if self.is_strict() => Err(self.0.refuse(wanted)),
            _ => Ok(()),
        }
    }

    /// Refuses nothing at all where a mapping or a list is needed.
    fn something(self, wanted: &str) -> Result<(), Refusal> {
        if self.is_strict() && self.0.is_null() { Err(self.0.refuse(wanted)) } else { Ok(()) }
    }

    fn text(self, wanted: &str) -> Result<&'a str, Refusal> {
        match &self.0.content {
            Content::Scalar { text, .. } if !self.0.is_null() => Ok(text),
            _ => Err(self.0.refuse(wanted)),
        }
    }

    fn number<T: std::str::FromStr>(self, wanted: &str) -> Result<T, Refusal> {
        self.unquoted(wanted)?;
        let text = self.text(wanted)?;
        text.parse().map_err(|_| self.0.refuse(wanted))
    }

    fn boolean(self) -> Result<bool, Refusal> {
        self.unquoted("true or false")?;
        match self.text("true or false")? {
            "true" | "True" | "TRUE" => Ok(true),
            "false" | "False" | "FALSE" => Ok(false),
            _ => Err(self.0.refuse("true or false")),
        }
    }
}

/// A number that is written as the text has it.
pub(crate) fn number<T: std::str::FromStr + ToString>(text: &str) -> Option<T> {
    text.parse().ok().filter(|number: &T| number.to_string() == text)
}

macro_rules! numbers {
    ($($method:ident $visit:ident $type:ident,)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
            let wanted = format!("a number from {} to {}", $type::MIN, $type::MAX);
            visitor.$visit(self.number::<$type>(&wanted)?)
        }
    )*};
}

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = Refusal;

    numbers! {
        deserialize_i8 visit_i8 i8,
        deserialize_i16 visit_i16 i16,
        deserialize_i32 visit_i32 i32,
        deserialize_i64 visit_i64 i64,
        deserialize_u8 visit_u8 u8,
        deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32,
        deserialize_u64 visit_u64 u64,
        deserialize_f32 visit_f32 f32,
        deserialize_f64 visit_f64 f64,
    }

    /// For a type that takes more than one kind of value: plain text is what it would be
    /// written as, so that `007` and `True` stay the texts that somebody typed.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        match &self.0.content {
            Content::List(_) => self.deserialize_seq(visitor),
            Content::Map(_) => self.deserialize_map(visitor),
            Content::Scalar { plain: false, .. } => self.deserialize_str(visitor),
            Content::Scalar { text, .. } => {
                if self.0.is_null() {
                    visitor.visit_unit()
                } else if let Ok(value) = text.parse::<bool>() {
                    visitor.visit_bool(value)
                } else if let Some(value) = number::<u64>(text) {
                    visitor.visit_u64(value)
                } else if let Some(value) = number::<i64>(text) {
                    visitor.visit_i64(value)
                } else {
                    // Such as 1.5, which stays the text that somebody typed.
                    visitor
                        .visit_str(text)
                        .map_err(|refusal: Refusal| refusal.about(text).or_at(self.0.position))
                }
            }
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_bool(self.boolean()?)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        let text = match &self.0.content {
            Content::Scalar { text, plain: false } => text,
            _ if self.is_strict() => return Err(self.0.refuse("a text")),
            _ => self.text("a text")?,
        };
        visitor
            .visit_str(text)
            .map_err(|refusal: Refusal| refusal.about(text).or_at(self.0.position))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        self.deserialize_str(visitor)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        match &self.0.content {
            Content::List(items) => visitor.visit_seq(Items(items.iter().enumerate(), self.1)),
            _ if self.0.is_null() && !self.is_strict() => {
                visitor.visit_seq(Items([].iter().enumerate(), self.1))
            }
            _ => Err(self.0.refuse("a list (in brackets, or a line with \"- \" for each)")),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        self.something("a mapping (key: value)")?;
        let entries = self.0.entries()?.iter();
        visitor.visit_map(Entries { entries, value: None, typing: self.1 })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        self.deserialize_map(visitor)
    }

    /// A word is a variant; a mapping with one entry is one with a value, as serde has it.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        let variant = match &self.0.content {
            Content::Map(entries) if entries.len() == 1 => {
                Variant { word: &entries[0].0.text, value: Some(&entries[0].1), typing: self.1 }
            }
            Content::Scalar { plain: true, .. } if self.is_strict() => {
                return Err(self.0.refuse("a word"));
            }
            _ => Variant { word: self.text("a word")?, value: None, typing: self.1 },
        };
        visitor.visit_enum(variant)
    }

    serde::forward_to_deserialize_any! {
        bytes byte_buf unit unit_struct tuple tuple_struct ignored_any i128 u128
    }
}

/// The items of a list.
struct Items<'a>(std::iter::Enumerate<std::slice::Iter<'a, Arc<Node>>>, Typing);

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Refusal;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Refusal> {
        let Some((index, node)) = self.0.next() else { return Ok(None) };
        let within = |refusal: Refusal| refusal.or_at(node.position).within(&index.to_string());
        seed.deserialize(Reader(node, self.1)).map(Some).map_err(within)
    }
}

/// The entries of a mapping.
struct Entries<'a> {
    entries: std::slice::Iter<'a, (Key, Arc<Node>)>,
    value: Option<(&'a Key, &'a Node)>,
    typing: Typing,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Refusal;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Refusal> {
        let Some((key, node)) = self.entries.next() else { return Ok(None) };
        self.value = Some((key, node));
        // Of its own kind: a key may be a number to who reads it.
        let content = Content::Scalar { text: key.text.clone(), plain: false };
        let text = Node { position: key.position, ..Node::made(content) };
        seed.deserialize(Reader(&text, Typing::Loose))
            .map(Some)
            .map_err(|refusal| refusal.or_at(key.position).of_key(&key.text))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Refusal> {
        let Some((key, node)) = self.value.take() else {
            return Err(serde::de::Error::custom("a value was asked for before its key"));
        };
        seed.deserialize(Reader(node, self.typing))
            .map_err(|refusal| refusal.or_at(node.position).within(&key.text))
    }
}

/// One word of several, with a value or without.
struct Variant<'a> {
    word: &'a str,
    value: Option<&'a Node>,
    typing: Typing,
}

impl<'de, 'a> EnumAccess<'de> for Variant<'a> {
    type Error = Refusal;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Refusal> {
        let word: StrDeserializer<'_, Refusal> = self.word.into_deserializer();
        Ok((seed.deserialize(word)?, self))
    }
}

impl<'a> Variant<'a> {
    fn value(&self) -> Result<&'a Node, Refusal> {
        self.value.ok_or_else(|| {
            serde::de::Error::custom(format_args!(
                "\"{}\" needs a value: {}: ...",
                self.word, self.word
            ))
        })
    }
}

impl<'de> VariantAccess<'de> for Variant<'_> {
    type Error = Refusal;

    fn unit_variant(self) -> Result<(), Refusal> {
        match self.value {
            None => Ok(()),
            Some(node) => {
                Err(Refusal::at(node.position, format!("\"{}\" takes no value", self.word)))
            }
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Refusal> {
        seed.deserialize(Reader(self.value()?, self.typing))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, Refusal> {
        Reader(self.value()?, self.typing).deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        Reader(self.value()?, self.typing).deserialize_map(visitor)
    }
}
