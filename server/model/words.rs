//! Enumerations whose members are words of the site file, networkd's where networkd has them. Pure.

/// Defines an enumeration that reads, writes and shows each member as one word.
macro_rules! words {
    ($(#[$meta:meta])* $vis:vis $name:ident { $($(#[$member:meta])* $variant:ident = $word:literal),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        $vis enum $name { $($(#[$member])* #[serde(rename = $word)] $variant),* }

        impl $name {
            /// All members, in order.
            $vis const ALL: &[Self] = &[$(Self::$variant),*];

            /// The word of the site file.
            $vis fn label(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.label())
            }
        }
    };
}

/// Defines such an enumeration of which the first two members are also `false` and `true`,
/// and are written so.
macro_rules! switch_words {
    ($(#[$meta:meta])* $vis:vis $name:ident {
        $(#[$no_doc:meta])* $no:ident, $(#[$yes_doc:meta])* $yes:ident = $yes_word:literal,
        $($(#[$member:meta])* $variant:ident = $word:literal),* $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $vis enum $name { $(#[$no_doc])* #[default] $no, $(#[$yes_doc])* $yes, $($(#[$member])* $variant),* }

        impl $name {
            /// networkd's word.
            $vis fn label(self) -> &'static str {
                match self { Self::$no => "no", Self::$yes => "yes", $(Self::$variant => $word),* }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.label())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self {
                    Self::$no => serializer.serialize_bool(false),
                    Self::$yes => serializer.serialize_bool(true),
                    other => serializer.serialize_str(other.label()),
                }
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Word;
                impl serde::de::Visitor<'_> for Word {
                    type Value = $name;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        let words: [&str; 3] = ["true", "false", $yes_word];
                        f.write_str(&[&words[..], &[$($word),*]].concat().join(", "))
                    }

                    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<$name, E> {
                        Ok(if value { $name::$yes } else { $name::$no })
                    }

                    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<$name, E> {
                        match value {
                            "true" | "yes" | $yes_word => Ok($name::$yes),
                            "false" | "no" => Ok($name::$no),
                            $($word => Ok($name::$variant),)*
                            other => Err(E::invalid_value(serde::de::Unexpected::Str(other), &self)),
                        }
                    }
                }
                deserializer.deserialize_any(Word)
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "enum": [true, false, "true", "yes", "false", "no", $yes_word, $($word),*],
                })
            }
        }
    };
}

pub(crate) use switch_words;
pub(crate) use words;
