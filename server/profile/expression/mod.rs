//! Expressions of profiles, such as `=100 + rail` and `=gateway of rail<rail>`. Pure.
//!
//! An expression has a type and is computed; it never makes text out of texts. The one place
//! where a number becomes part of a name is `<...>`: `rail<rail>` is rail0, rail1 and so on.

mod arithmetic;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use crate::model::{Site, Subnet, tenant_role};
use crate::tree::nearest::hint;
use arithmetic::sum;

/// What an expression comes to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Term {
    /// A whole number.
    Number(i64),
    /// True or false.
    Truth(bool),
    /// A word, a name, an address.
    Text(String),
}

impl Term {
    /// The value that stands in the expression's place.
    pub fn into_json(self) -> Value {
        match self {
            Self::Number(number) => number.into(),
            Self::Truth(truth) => truth.into(),
            Self::Text(text) => text.into(),
        }
    }

    fn number(self, name: &str) -> Result<i64, String> {
        match self {
            Self::Number(number) => Ok(number),
            other => Err(format!("{name} is \"{other}\", and only numbers can be reckoned with")),
        }
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Truth(truth) => write!(f, "{truth}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// A part of an expression and all that it is made of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Expression {
    /// A number that stands there.
    Number(i64),
    /// A parameter, the number of a loop, or `index`.
    Name(String),
    /// Two numbers and `+`, `-` or `*` between them.
    Arithmetic(Box<Expression>, char, Box<Expression>),
    /// Something that a subnet says: `gateway of SUBNET`.
    Fact(Fact, String),
    /// The address of a number in a subnet: `address NUMBER of SUBNET`.
    Address(Box<Expression>, String),
}

crate::model::words::words! {
    /// What can be asked of a subnet.
    Fact {
        /// Its default router.
        Gateway = "gateway",
        /// Its prefix.
        Network = "network",
        /// Its VLAN id.
        Vlan = "vlan",
        /// Its MTU.
        Mtu = "mtu",
    }
}

/// What the names in an expression stand for.
pub struct Scope<'a> {
    /// The values of parameters and loops, by name.
    pub names: BTreeMap<String, Term>,
    /// The tenant of the host.
    pub tenant: Option<String>,
    /// The site with its subnets; none where no subnet can be asked.
    pub site: Option<&'a Site>,
    /// The subnets that were asked for, and what they were.
    pub asked: RefCell<BTreeMap<String, Option<Subnet>>>,
    /// The roles that were asked for, and the tenant's subnets that have them.
    pub served: RefCell<BTreeMap<String, Option<String>>>,
}

impl Scope<'_> {
    fn find(&self, name: &str) -> Result<Term, String> {
        let found = self.names.get(name).cloned();
        found.ok_or_else(|| unknown_name(name, self.names.keys().map(String::as_str)))
    }

    /// The subnet that a text names: a parameter, a name with numbers in it, or plainly a name.
    fn subnet(&self, text: &str) -> Result<(String, &Subnet), String> {
        let name = match self.names.get(text) {
            Some(term) => term.to_string(),
            None => fill(text, self)?,
        };
        let name = self.of_tenant(name)?;
        let found = self.site.and_then(|site| site.subnets.get(&name));
        self.asked.borrow_mut().insert(name.clone(), found.cloned());
        match found {
            Some(subnet) => Ok((name, subnet)),
            None => {
                let known = self.site.into_iter().flat_map(|site| site.subnets.keys());
                let hint = hint(&name, known.map(String::as_str));
                Err(format!("there is no subnet \"{name}\"{hint}"))
            }
        }
    }

    /// The name of the tenant's subnet, for `tenant/ROLE`.
    fn of_tenant(&self, name: String) -> Result<String, String> {
        let Some(role) = tenant_role(&name) else { return Ok(name) };
        let tenant = self.tenant.as_deref();
        let found = self.site.and_then(|site| site.subnet_of_tenant(tenant, role));
        let found = found.map(str::to_owned);
        self.served.borrow_mut().insert(role.to_owned(), found.clone());
        found.ok_or_else(|| {
            let whose =
                tenant.map_or_else(|| "nobody".into(), |tenant| format!("tenant \"{tenant}\""));
            format!("no subnet of {whose} has the role \"{role}\"")
        })
    }
}

/// Says that a name in an expression stands for nothing.
pub fn unknown_name<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let hint = hint(name, known);
    let spaces = if name.contains('-') { " (a minus has spaces around it)" } else { "" };
    format!("there is no parameter \"{name}\"{spaces}{hint}")
}

impl Expression {
    /// Reads what stands after the `=`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some((asked, subnet)) = text.rsplit_once(" of ") else { return sum(text) };
        let (asked, subnet) = (asked.trim(), subnet.trim());
        if subnet.is_empty() {
            return Err(format!("\"{text}\" names no subnet"));
        }
        if let Some(number) = asked.strip_prefix("address ") {
            return Ok(Self::Address(Box::new(sum(number)?), subnet.to_owned()));
        }
        match Fact::ALL.iter().find(|fact| fact.label() == asked) {
            Some(fact) => Ok(Self::Fact(*fact, subnet.to_owned())),
            None => Err(format!(
                "\"{asked}\" cannot be asked of a subnet; there are: gateway, network, vlan, mtu and \
                 \"address NUMBER\""
            )),
        }
    }

    /// What it comes to.
    pub fn compute(&self, scope: &Scope<'_>) -> Result<Term, String> {
        match self {
            Self::Number(number) => Ok(Term::Number(*number)),
            Self::Name(name) => scope.find(name),
            Self::Arithmetic(left, sign, right) => {
                let left = left.compute(scope)?.number(&left.to_string())?;
                let right = right.compute(scope)?.number(&right.to_string())?;
                reckon(left, *sign, right).map(Term::Number)
            }
            Self::Fact(fact, subnet) => asked_of(*fact, scope.subnet(subnet)?),
            Self::Address(number, subnet) => {
                let number = number.compute(scope)?.number(&number.to_string())?;
                let (name, subnet) = scope.subnet(subnet)?;
                subnet.host(&name, number).map(|address| Term::Text(address.to_string()))
            }
        }
    }

    /// The same with every name but `kept` in place of which its number stands.
    pub fn fold(&self, scope: &Scope<'_>, kept: &str) -> Result<Self, String> {
        match self {
            Self::Name(name) if name == kept => Ok(self.clone()),
            Self::Arithmetic(left, sign, right) => {
                match (left.fold(scope, kept)?, right.fold(scope, kept)?) {
                    (Self::Number(left), Self::Number(right)) => {
                        reckon(left, *sign, right).map(Self::Number)
                    }
                    (left, right) => Ok(Self::Arithmetic(left.into(), *sign, right.into())),
                }
            }
            Self::Fact(..) | Self::Address(..) => Err(format!("{self} is no number")),
            _ => self.compute(scope)?.number(&self.to_string()).map(Self::Number),
        }
    }

    /// Calls `each` with every name in it.
    pub fn names(&self, each: &mut impl FnMut(&str)) {
        match self {
            Self::Number(_) => {}
            Self::Name(name) => each(name),
            Self::Arithmetic(left, _, right) => {
                left.names(each);
                right.names(each);
            }
            Self::Fact(_, _) => {}
            Self::Address(number, _) => number.names(each),
        }
    }

    /// The text that names the subnet which it asks.
    pub fn subnet(&self) -> Option<&str> {
        match self {
            Self::Fact(_, subnet) | Self::Address(_, subnet) => Some(subnet),
            _ => None,
        }
    }
}

fn reckon(left: i64, sign: char, right: i64) -> Result<i64, String> {
    let result = match sign {
        '+' => left.checked_add(right),
        '-' => left.checked_sub(right),
        _ => left.checked_mul(right),
    };
    result.ok_or_else(|| format!("{left} {sign} {right} is too large"))
}

fn asked_of(fact: Fact, (name, subnet): (String, &Subnet)) -> Result<Term, String> {
    let found = match fact {
        Fact::Gateway => subnet.gateway.map(|gateway| Term::Text(gateway.to_string())),
        Fact::Network => Some(Term::Text(subnet.cidr.trunc().to_string())),
        Fact::Vlan => subnet.vlan.map(|vlan| Term::Number(vlan.into())),
        Fact::Mtu => Some(Term::Number(subnet.mtu.unwrap_or(1500).into())),
    };
    found.ok_or_else(|| format!("subnet \"{name}\" has no {fact}"))
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = |f: &mut fmt::Formatter<'_>, part: &Self| match part {
            Self::Arithmetic(..) => write!(f, "({part})"),
            _ => write!(f, "{part}"),
        };
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Name(name) => f.write_str(name),
            Self::Arithmetic(left, sign, right) => {
                inner(f, left)?;
                write!(f, " {sign} ")?;
                inner(f, right)
            }
            Self::Fact(fact, subnet) => write!(f, "{fact} of {subnet}"),
            Self::Address(number, subnet) => write!(f, "address {number} of {subnet}"),
        }
    }
}

/// A piece of a text that may have numbers in it.
enum Piece<'a> {
    Text(&'a str),
    Number(Expression),
}

/// The pieces of a text, in which `<rail + 1>` stands for a number and `<<` for `<`.
fn pieces(text: &str) -> Result<Vec<Piece<'_>>, String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find('<') {
        found.push(Piece::Text(&rest[..start]));
        rest = &rest[start + 1..];
        if let Some(after) = rest.strip_prefix('<') {
            found.push(Piece::Text("<"));
            rest = after;
            continue;
        }
        let Some((inner, after)) = rest.split_once('>') else {
            return Err(format!("\"{text}\" has a < without its >; write << for the sign itself"));
        };
        found.push(Piece::Number(sum(inner)?));
        rest = after;
    }
    found.push(Piece::Text(rest));
    Ok(found)
}

/// A text with its numbers filled in.
pub fn fill(text: &str, scope: &Scope<'_>) -> Result<String, String> {
    let mut filled = String::new();
    for piece in pieces(text)? {
        match piece {
            Piece::Text(text) => filled.push_str(text),
            Piece::Number(number) => {
                let number = number.compute(scope)?.number(&number.to_string())?;
                filled.push_str(&number.to_string());
            }
        }
    }
    Ok(filled)
}

/// Calls `each` with every name in the numbers of a text.
pub fn names_in(text: &str, each: &mut impl FnMut(&str)) -> Result<(), String> {
    for piece in pieces(text)? {
        if let Piece::Number(number) = piece {
            number.names(each);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
