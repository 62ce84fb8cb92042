//! Expressions of profiles, such as `=100 + rail` and `=gateway of rail<rail>`. Pure.
//!
//! An expression has a type and is computed; it never makes text out of texts. The one place
//! where a number becomes part of a name is `<...>`: `rail<rail>` is rail0, rail1 and so on.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use crate::model::formula::{Formula, InvalidFormula, Overflow};
use crate::model::{NoSuchAddress, Site, Subnet, tenant_role};
use crate::tree::nearest::hint;

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

    fn number(self, name: &str) -> Result<i64, ExpressionError> {
        match self {
            Self::Number(number) => Ok(number),
            value => Err(ExpressionError::NotANumber { name: name.to_owned(), value }),
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

/// What stands after a `=`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Expression {
    /// Numbers, parameters, loops and `index`.
    Formula(Formula),
    /// A setting of a subnet: `gateway of SUBNET`.
    Fact(Fact, String),
    /// The address of a number in a subnet: `address NUMBER of SUBNET`.
    Address(Formula, String),
}

/// Why an expression cannot be read or computed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ExpressionError {
    #[error(transparent)]
    Formula(#[from] InvalidFormula),
    #[error(transparent)]
    Overflow(#[from] Overflow),
    #[error("\"{0}\" names no subnet")]
    SubnetMissing(String),
    #[error(
        "a subnet has no \"{0}\"; expected one of: gateway, network, vlan, mtu and \"address NUMBER\""
    )]
    UnknownFact(String),
    #[error("\"{0}\" has a < without a >; write << for the character itself")]
    Unclosed(String),
    /// The hint is the end of the sentence: see [`hint`].
    #[error("parameter \"{name}\" does not exist{}{hint}", minus_hint(.name))]
    UnknownName { name: String, hint: String },
    #[error("{name} is \"{value}\", which is not a number")]
    NotANumber { name: String, value: Term },
    /// The hint is the end of the sentence: see [`hint`].
    #[error("subnet \"{name}\" does not exist{hint}")]
    UnknownSubnet { name: String, hint: String },
    #[error("no subnet {} has the role \"{role}\"", whose(.tenant.as_deref()))]
    UnknownRole { tenant: Option<String>, role: String },
    #[error("subnet \"{subnet}\" has no {fact}")]
    FactMissing { subnet: String, fact: Fact },
    #[error(transparent)]
    NoSuchAddress(#[from] NoSuchAddress),
    /// A number is needed that each host computes for itself.
    #[error("{0} is not a number")]
    NotAFormula(Expression),
}

fn minus_hint(name: &str) -> &'static str {
    if name.contains('-') { " (a minus needs a space on both sides)" } else { "" }
}

fn whose(tenant: Option<&str>) -> String {
    tenant.map_or_else(|| "without a tenant".into(), |tenant| format!("of tenant \"{tenant}\""))
}

crate::model::words::words! {
    /// What can be asked of a subnet.
    pub(crate) Fact {
        /// The gateway.
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
pub(crate) struct Scope<'a> {
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
    fn find(&self, name: &str) -> Result<Term, ExpressionError> {
        let found = self.names.get(name).cloned();
        found.ok_or_else(|| unknown_name(name, self.names.keys().map(String::as_str)))
    }

    fn number(&self, formula: &Formula) -> Result<i64, ExpressionError> {
        formula.compute(&|name| self.find(name)?.number(name))
    }

    /// The subnet that a text names: a parameter, a name with numbers in it, or plainly a name.
    fn subnet(&self, text: &str) -> Result<(String, &Subnet), ExpressionError> {
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
                Err(ExpressionError::UnknownSubnet { name, hint })
            }
        }
    }

    /// The name of the tenant's subnet, for `tenant/ROLE`.
    fn of_tenant(&self, name: String) -> Result<String, ExpressionError> {
        let Some(role) = tenant_role(&name) else { return Ok(name) };
        let tenant = self.tenant.as_deref();
        let found = self.site.and_then(|site| site.subnet_of_tenant(tenant, role));
        let found = found.map(str::to_owned);
        self.served.borrow_mut().insert(role.to_owned(), found.clone());
        found.ok_or_else(|| ExpressionError::UnknownRole {
            tenant: self.tenant.clone(),
            role: role.to_owned(),
        })
    }
}

/// The error about a name that stands for nothing.
pub(crate) fn unknown_name<'a>(
    name: &str,
    known: impl Iterator<Item = &'a str>,
) -> ExpressionError {
    ExpressionError::UnknownName { name: name.to_owned(), hint: hint(name, known) }
}

impl Expression {
    /// Reads what stands after the `=`.
    pub(crate) fn parse(text: &str) -> Result<Self, ExpressionError> {
        let Some((asked, subnet)) = text.rsplit_once(" of ") else {
            return Ok(Self::Formula(Formula::parse(text)?));
        };
        let (asked, subnet) = (asked.trim(), subnet.trim());
        if subnet.is_empty() {
            return Err(ExpressionError::SubnetMissing(text.to_owned()));
        }
        if let Some(number) = asked.strip_prefix("address ") {
            return Ok(Self::Address(Formula::parse(number)?, subnet.to_owned()));
        }
        match Fact::ALL.iter().find(|fact| fact.label() == asked) {
            Some(fact) => Ok(Self::Fact(*fact, subnet.to_owned())),
            None => Err(ExpressionError::UnknownFact(asked.to_owned())),
        }
    }

    /// What it comes to.
    pub(crate) fn compute(&self, scope: &Scope<'_>) -> Result<Term, ExpressionError> {
        match self {
            Self::Formula(Formula::Name(name)) => scope.find(name),
            Self::Formula(formula) => scope.number(formula).map(Term::Number),
            Self::Fact(fact, subnet) => {
                let (name, subnet) = scope.subnet(subnet)?;
                fact.of(subnet).ok_or(ExpressionError::FactMissing { subnet: name, fact: *fact })
            }
            Self::Address(number, subnet) => {
                let number = scope.number(number)?;
                let (name, subnet) = scope.subnet(subnet)?;
                Ok(Term::Text(subnet.host(&name, number)?.to_string()))
            }
        }
    }

    /// A number with the value in place of every name but `kept`.
    pub(crate) fn fold(&self, scope: &Scope<'_>, kept: &str) -> Result<Formula, ExpressionError> {
        match self {
            Self::Formula(formula) => formula.fold(kept, &|name| scope.find(name)?.number(name)),
            Self::Fact(..) | Self::Address(..) => Err(ExpressionError::NotAFormula(self.clone())),
        }
    }

    /// Calls `each` with every name in it.
    pub(crate) fn names(&self, each: &mut impl FnMut(&str)) {
        match self {
            Self::Formula(formula) | Self::Address(formula, _) => formula.names(each),
            Self::Fact(..) => {}
        }
    }

    /// The text that names the subnet which it asks.
    pub(crate) fn subnet(&self) -> Option<&str> {
        match self {
            Self::Fact(_, subnet) | Self::Address(_, subnet) => Some(subnet),
            _ => None,
        }
    }
}

impl Fact {
    fn of(self, subnet: &Subnet) -> Option<Term> {
        match self {
            Self::Gateway => subnet.gateway.map(|gateway| Term::Text(gateway.to_string())),
            Self::Network => Some(Term::Text(subnet.cidr.trunc().to_string())),
            Self::Vlan => subnet.vlan.map(|vlan| Term::Number(vlan.into())),
            Self::Mtu => Some(Term::Number(subnet.mtu.unwrap_or(1500).into())),
        }
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Formula(formula) => write!(f, "{formula}"),
            Self::Fact(fact, subnet) => write!(f, "{fact} of {subnet}"),
            Self::Address(number, subnet) => write!(f, "address {number} of {subnet}"),
        }
    }
}

/// A piece of a text that may have numbers in it.
enum TextPart<'a> {
    Text(&'a str),
    Number(Formula),
}

/// The pieces of a text, in which `<rail + 1>` stands for a number and `<<` for `<`.
fn pieces(text: &str) -> Result<Vec<TextPart<'_>>, ExpressionError> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find('<') {
        found.push(TextPart::Text(&rest[..start]));
        rest = &rest[start + 1..];
        if let Some(after) = rest.strip_prefix('<') {
            found.push(TextPart::Text("<"));
            rest = after;
            continue;
        }
        let Some((inner, after)) = rest.split_once('>') else {
            return Err(ExpressionError::Unclosed(text.to_owned()));
        };
        found.push(TextPart::Number(Formula::parse(inner)?));
        rest = after;
    }
    found.push(TextPart::Text(rest));
    Ok(found)
}

/// A text with its numbers filled in.
pub(crate) fn fill(text: &str, scope: &Scope<'_>) -> Result<String, ExpressionError> {
    let mut filled = String::new();
    for piece in pieces(text)? {
        match piece {
            TextPart::Text(text) => filled.push_str(text),
            TextPart::Number(number) => filled.push_str(&scope.number(&number)?.to_string()),
        }
    }
    Ok(filled)
}

/// Calls `each` with every name in the numbers of a text.
pub(crate) fn names_in(text: &str, each: &mut impl FnMut(&str)) -> Result<(), ExpressionError> {
    for piece in pieces(text)? {
        if let TextPart::Number(number) = piece {
            number.names(each);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
