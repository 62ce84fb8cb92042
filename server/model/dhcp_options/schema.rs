//! The JSON Schema of DHCP options: every name, and every number that may be set. Pure.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use super::{DhcpOptions, ENCAPSULATING, KNOWN, Kind, RESERVED};

/// A number of one byte.
const BYTE: &str = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";

/// The longest option is of 255 bytes.
const ADDRESSES: usize = 255 / 4;

/// A route takes up to nine bytes (RFC 3442).
const ROUTES: usize = 255 / 9;

impl JsonSchema for DhcpOptions {
    fn schema_name() -> Cow<'static, str> {
        "DhcpOptions".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let named = KNOWN.iter().map(|(code, name, kind)| {
            let mut schema = kind.schema();
            schema["description"] = format!("DHCP option {code}.").into();
            ((*name).to_owned(), schema)
        });
        let named: Map<String, Value> = named.collect();
        json_schema!({
            "type": "object",
            "description": "DHCP options by name or number, such as {150: 10.0.0.1, 43.1: \"hex:0a0b\"}.",
            "properties": named,
            "patternProperties": numbered(),
            "additionalProperties": false,
        })
    }
}

/// The schemas of the options by number: those of one kind have one pattern.
fn numbered() -> Map<String, Value> {
    let mut codes: BTreeMap<String, (Vec<String>, Value)> = BTreeMap::new();
    for code in (0..=u8::MAX).filter(|code| !RESERVED.contains(code)) {
        let known = KNOWN.iter().find(|(known, ..)| *known == code);
        let schema = known.map_or(Kind::Any, |(_, _, kind)| *kind).schema();
        let of_kind = codes.entry(schema.to_string()).or_insert_with(|| (Vec::new(), schema));
        of_kind.0.push(code.to_string());
    }
    let patterns = codes.into_values();
    let mut patterns: Map<String, Value> =
        patterns.map(|(codes, schema)| (format!("^({})$", codes.join("|")), schema)).collect();
    let holders = ENCAPSULATING.map(|code| code.to_string()).join("|");
    patterns.insert(format!("^({holders})\\.{BYTE}$"), Kind::Any.schema());
    patterns
}

impl Kind {
    /// What a value of this kind looks like. Each may be given in hexadecimal digits.
    fn schema(self) -> Value {
        let hexadecimal = json!({"type": "string", "pattern": "^hex:([0-9A-Fa-f]{2}){1,255}$"});
        let address = format!("{BYTE}(\\.{BYTE}){{3}}");
        let of = |pattern: &str| json!({"type": "string", "pattern": format!("^{pattern}$")});
        let list = |pattern: &str, least: usize, most: usize| json!({"type": "array", "items": of(pattern), "minItems": least, "maxItems": most});
        // One that begins with hex: is hexadecimal.
        let text = json!({"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^([^h]|h$|h[^e]|he$|he[^x]|hex$|hex[^:])"});
        let mut forms = match self {
            Self::Flag => vec![json!({"type": "boolean"})],
            Self::Number(bounds) => {
                vec![json!({"type": "integer", "minimum": bounds.min, "maximum": bounds.max})]
            }
            Self::NodeType => vec![json!({"enum": [1, 2, 4, 8]})],
            Self::Text => vec![text],
            Self::Address => vec![of(&address)],
            Self::Addresses => vec![of(&address), list(&address, 1, ADDRESSES)],
            Self::Pairs => vec![list(&address, 2, ADDRESSES - 1)],
            Self::Routes => {
                let route = format!("(default|{address}/([12]?[0-9]|3[0-2])) via {address}");
                vec![of(&route), list(&route, 1, ROUTES)]
            }
            Self::Any => vec![text, list(&address, 1, ADDRESSES)],
        };
        forms.push(hexadecimal);
        json!({"anyOf": forms})
    }
}
