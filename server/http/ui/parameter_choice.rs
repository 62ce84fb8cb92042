//! The fields for the parameters of a host's profile. Pure.

use indexmap::IndexMap;

use crate::model::{Parameter, ParameterKind, Scalar, Site};

/// A parameter in the form.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ParameterChoice {
    /// The name of the parameter.
    pub name: String,
    /// Purpose, range and default.
    pub hint: String,
    /// The value if the host sets none; empty if the host has to.
    pub otherwise: String,
    /// The possible values; empty for a free text.
    pub options: Vec<String>,
    /// Lower and upper bound of a number, as attributes.
    pub number: Option<(String, String)>,
}

/// The parameters of a profile, for a host in a rack.
pub(crate) fn parameter_choices(
    site: &Site,
    rack: &str,
    parameters: &IndexMap<String, Parameter>,
) -> Vec<ParameterChoice> {
    let of_rack = site.racks.get(rack).map(|rack| &rack.parameters);
    let choice = |(name, parameter): (&String, &Parameter)| {
        let given = of_rack.and_then(|of_rack| of_rack.get(name));
        let otherwise = given.or_else(|| site.parameters.get(name)).or(parameter.default.as_ref());
        let whose = match (given, site.parameters.get(name)) {
            (Some(_), _) => "from the rack:",
            (None, Some(_)) => "from the site:",
            (None, None) => "default:",
        };
        ParameterChoice {
            name: name.clone(),
            hint: hint(parameter, otherwise, whose),
            otherwise: otherwise.map(ToString::to_string).unwrap_or_default(),
            options: options(site, parameter),
            number: (parameter.kind == ParameterKind::Number).then(|| bounds(parameter)),
        }
    };
    parameters.iter().map(choice).collect()
}

fn hint(parameter: &Parameter, otherwise: Option<&Scalar>, whose: &str) -> String {
    let help = parameter.help.clone().unwrap_or_else(|| parameter.kind.label().to_owned());
    let range = match (parameter.min, parameter.max) {
        (None, None) => String::new(),
        (Some(min), None) => format!(", {min} or more"),
        (None, Some(max)) => format!(", up to {max}"),
        (Some(min), Some(max)) => format!(", {min} to {max}"),
    };
    match otherwise {
        None => format!("{help}{range}; required"),
        Some(value) if value.0.is_empty() => format!("{help}{range}"),
        Some(value) => format!("{help}{range}; {whose} {value}"),
    }
}

fn options(site: &Site, parameter: &Parameter) -> Vec<String> {
    match parameter.kind {
        ParameterKind::Word => parameter.words.clone(),
        ParameterKind::Boolean => ["true", "false"].map(str::to_owned).into(),
        ParameterKind::Subnet => {
            let own = site.subnets.keys().cloned();
            let mut roles: Vec<&str> =
                site.subnets.values().filter_map(|subnet| subnet.role.as_deref()).collect();
            roles.sort_unstable();
            roles.dedup();
            own.chain(roles.into_iter().map(|role| format!("tenant/{role}"))).collect()
        }
        _ => Vec::new(),
    }
}

fn bounds(parameter: &Parameter) -> (String, String) {
    let text = |bound: Option<i64>| bound.map(|bound| bound.to_string()).unwrap_or_default();
    (text(parameter.min), text(parameter.max))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_offered_as_what_it_is() {
        let site: Site = serde_json::from_value(serde_json::json!({
            "parameters": {"rails": 4, "net": "lan"},
            "racks": {"r1": {"parameters": {"rails": 2}}},
            "subnets": {"lan": {"cidr": "10.0.0.0/24"}, "a": {"cidr": "10.0.1.0/24", "role": "internal"}},
        }))
        .unwrap();
        let parameters = serde_json::from_value(serde_json::json!({
            "rails": {"type": "number", "min": 1, "max": 8, "default": 8, "help": "how many rails"},
            "net": {"type": "subnet"},
            "why": {"type": "word", "words": ["one", "two"]},
            "fast": {"type": "boolean", "default": true},
            "note": {"type": "text", "default": ""},
        }))
        .unwrap();
        let told = |rack: &str| -> Vec<String> {
            let choices = parameter_choices(&site, rack, &parameters);
            let line = |choice: &ParameterChoice| {
                format!(
                    "{} ({}) {:?} {:?}",
                    choice.hint, choice.otherwise, choice.options, choice.number
                )
            };
            choices.iter().map(line).collect()
        };
        let expected = [
            r#"how many rails, 1 to 8; from the rack: 2 (2) [] Some(("1", "8"))"#,
            r#"subnet; from the site: lan (lan) ["a", "lan", "tenant/internal"] None"#,
            r#"word; required () ["one", "two"] None"#,
            r#"boolean; default: true (true) ["true", "false"] None"#,
            "text () [] None",
        ];
        assert_eq!(told("r1"), expected);
        assert!(told("r2")[0].starts_with("how many rails, 1 to 8; from the site: 4 (4)"));
    }
}
