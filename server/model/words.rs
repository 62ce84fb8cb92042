//! Enumerations whose members are words of the site file, networkd's where networkd has them. Pure.

/// Defines an enumeration that reads, writes and shows each member as one word.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$member:meta])* $variant:ident = $word:literal),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[derive(serde::Serialize, serde::Deserialize)]
        pub enum $name { $($(#[$member])* #[serde(rename = $word)] $variant),* }

        impl $name {
            /// All members, in order.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The word of the site file.
            pub fn label(self) -> &'static str {
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

pub(crate) use words;
