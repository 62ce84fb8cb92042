//! What the claims about a user mean here: a name and a role. Pure.

use serde_json::{Map, Value};

use crate::config::Config;
use crate::model::Role;

/// The claims of an ID token, and those of the provider's userinfo.
pub(super) type Claims = Map<String, Value>;

/// The value of a claim. A name with dots that is no claim itself is a path into objects.
fn find<'a>(claims: &'a Claims, name: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(name) {
        return Some(value);
    }
    let (first, rest) = name.split_once('.')?;
    find(claims.get(first)?.as_object()?, rest)
}

/// The name of the user; none if there is no such claim, or it is not a text.
pub(super) fn name<'a>(claims: &'a Claims, config: &Config) -> Option<&'a str> {
    find(claims, &config.oidc_name_claim)?.as_str()
}

/// Whether the claims that the configuration names are there.
pub(super) fn are_complete(claims: &Claims, config: &Config) -> bool {
    let is_there = |name: &str| find(claims, name).is_some_and(|value| !value.is_null());
    is_there(&config.oidc_name_claim) && is_there(&config.oidc_groups_claim)
}

/// The highest role of the user's groups; none if no group has one.
pub(super) fn role(claims: &Claims, config: &Config) -> Option<Role> {
    let groups: Vec<&str> = match find(claims, &config.oidc_groups_claim)? {
        Value::Array(groups) => groups.iter().filter_map(Value::as_str).collect(),
        Value::String(group) => vec![group],
        _ => return None,
    };
    let roles = [
        (Role::Admin, &config.oidc_admins),
        (Role::Operator, &config.oidc_operators),
        (Role::Viewer, &config.oidc_viewers),
    ];
    let has = |listed: &Vec<String>| listed.iter().any(|group| groups.contains(&group.as_str()));
    roles.into_iter().find(|(_, listed)| has(listed)).map(|(role, _)| role)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config(groups_claim: &str) -> Config {
        Config {
            oidc_groups_claim: groups_claim.into(),
            oidc_admins: vec!["root".into()],
            oidc_operators: vec!["infra".into(), "night shift".into()],
            oidc_viewers: vec!["staff".into()],
            ..Config::default()
        }
    }

    #[test]
    fn the_highest_role_of_all_groups_counts() {
        let cases = [
            (json!({"groups": ["staff"]}), Some(Role::Viewer)),
            (json!({"groups": ["staff", "infra"]}), Some(Role::Operator)),
            (json!({"groups": ["night shift"]}), Some(Role::Operator)),
            (json!({"groups": ["infra", "root", "x"]}), Some(Role::Admin)),
            (json!({"groups": "root"}), Some(Role::Admin)),
            (json!({"groups": ["Root", "root "]}), None),
            (json!({"groups": [1, null, {"root": 1}, ["root"]]}), None),
            (json!({"groups": {"root": true}}), None),
            (json!({"groups": "staff,root"}), None),
            (json!({"groups": []}), None),
            (json!({"groups": null}), None),
            (json!({"group": ["root"]}), None),
            (json!({}), None),
        ];
        for (claims, expected) in cases {
            let found = role(claims.as_object().unwrap(), &config("groups"));
            assert_eq!(found, expected, "{claims}");
        }
    }

    #[test]
    fn a_claim_may_be_within_another() {
        let claims = json!({
            "realm_access": {"roles": ["infra"]},
            "https://example.net/groups": ["staff"],
            "a.b": ["root"], "a": {"b": ["staff"]},
        });
        let claims = claims.as_object().unwrap();
        for (claim, expected) in [
            ("realm_access.roles", Some(Role::Operator)),
            ("https://example.net/groups", Some(Role::Viewer)),
            ("a.b", Some(Role::Admin)),
            ("realm_access.groups", None),
            ("realm_access.roles.x", None),
            (".", None),
        ] {
            assert_eq!(role(claims, &config(claim)), expected, "{claim}");
        }
    }

    #[test]
    fn a_name_is_a_text() {
        for (claims, expected) in [
            (json!({"preferred_username": "ann"}), Some("ann")),
            (json!({"preferred_username": 7}), None),
            (json!({"name": "Ann"}), None),
        ] {
            assert_eq!(name(claims.as_object().unwrap(), &config("groups")), expected, "{claims}");
        }
    }
}
