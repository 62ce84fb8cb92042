use super::*;

fn with_scope<T>(run: impl FnOnce(&Scope<'_>) -> T) -> T {
    let subnet = |json: &str| serde_json::from_str::<Subnet>(json).unwrap();
    let subnets = [
        ("rail3".to_owned(), subnet(r#"{"cidr": "10.13.0.0/24", "gateway": "10.13.0.1"}"#)),
        ("six".to_owned(), subnet(r#"{"cidr": "fd00::/64", "vlan": 7, "mtu": 9000}"#)),
    ];
    let site = Site { subnets: subnets.into(), ..Site::default() };
    let text = |text: &str| Term::Text(text.to_owned());
    let names = [
        ("index", Term::Number(7)),
        ("rail", Term::Number(3)),
        ("front", text("six")),
        ("jumbo", Term::Truth(true)),
    ];
    let names = names.map(|(name, term)| (name.to_owned(), term)).into();
    let (asked, served) = Default::default();
    run(&Scope { names, tenant: None, site: Some(&site), asked, served })
}

#[test]
fn an_expression_comes_to_a_value_with_a_type() {
    let cases = [
        ("100 + rail", "103"),
        ("index + 10 * rail", "37"),
        ("(index + 10) * rail - 1", "50"),
        ("10 - 2 - 3", "5"),
        ("front", "six"),
        ("jumbo", "true"),
        ("gateway of rail<rail>", "10.13.0.1"),
        ("network of rail<rail>", "10.13.0.0/24"),
        ("vlan of front", "7"),
        ("mtu of rail3", "1500"),
        ("mtu of six", "9000"),
        ("address index + 10 of rail3", "10.13.0.17"),
        ("address 255 * 256 of six", "fd00::ff00"),
    ];
    for (text, expected) in cases {
        let found = with_scope(|scope| Expression::parse(text)?.compute(scope));
        assert_eq!(found.unwrap().to_string(), expected, "{text}");
    }
}

#[test]
fn what_cannot_be_computed_is_refused_in_words() {
    let cases = [
        ("", "is not an expression"),
        ("1 +", "is not an expression"),
        ("1 2", "is not an expression"),
        ("(1", "is not an expression"),
        ("1 / 2", "\"/\" has no meaning"),
        ("raill", "did you mean \"rail\"?"),
        ("rail-1", "a minus needs a space on both sides"),
        ("front + 1", "front is \"six\", which is not a number"),
        ("9223372036854775807 + 1", "is too large"),
        ("99999999999999999999", "is too large"),
        ("gateway of six", "subnet \"six\" has no gateway"),
        ("gateway of nowhere", "subnet \"nowhere\" does not exist"),
        ("colour of six", "a subnet has no \"colour\""),
        ("address 255 of rail3", "broadcast"),
        ("address 0 of rail3", "network"),
        ("address 1 of rail3", "gateway"),
        ("address 256 of rail3", "is outside 10.13.0.0/24"),
        ("address 0 - 1 of rail3", "is outside 10.13.0.0/24"),
    ];
    for (text, expected) in cases {
        let found = with_scope(|scope| Expression::parse(text)?.compute(scope));
        let found = found.unwrap_err().to_string();
        assert!(found.contains(expected), "{text}: {found}");
    }
    let deep = format!("{}1{}", "(".repeat(5000), ")".repeat(5000));
    assert!(Expression::parse(&deep).is_err());
}

#[test]
fn numbers_are_filled_into_names() {
    let cases = [
        ("rail<rail>", Ok("rail3")),
        ("eth<rail + 1>.<index>", Ok("eth4.7")),
        ("a<<b", Ok("a<b")),
        ("plain", Ok("plain")),
        ("rail<front>", Err("not a number")),
        ("rail<rail", Err("without a >")),
    ];
    for (text, expected) in cases {
        match (with_scope(|scope| fill(text, scope)), expected) {
            (found, Ok(expected)) => assert_eq!(found.as_deref(), Ok(expected), "{text}"),
            (found, Err(part)) => assert!(found.unwrap_err().to_string().contains(part), "{text}"),
        }
    }
}

#[test]
fn what_is_kept_is_all_that_is_left_of_an_expression() {
    let cases = [
        ("index + 10 * rail", "index + 30"),
        ("(index - 1) * 2 + rail", "((index - 1) * 2) + 3"),
        ("10 * rail", "30"),
    ];
    for (text, expected) in cases {
        let found = with_scope(|scope| Expression::parse(text)?.fold(scope, "index"));
        let found = found.unwrap();
        assert_eq!(Formula::parse(&found.to_string()).as_ref(), Ok(&found), "{text}");
        assert_eq!(found.to_string(), expected, "{text}");
    }
}
