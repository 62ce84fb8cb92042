//! Subnets and their ranges in the database.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::inventory::Error;
use crate::inventory::database::{Transaction, execute, insert_rows, with_connection};
use crate::inventory::specs::to_json;
use crate::model::{Range, Subnet};

/// Reads every subnet with its ranges.
pub(crate) async fn list(transaction: &mut Transaction) -> Result<BTreeMap<String, Subnet>, Error> {
    const SUBNETS: &str = "SELECT name, cidr, tenant, spec FROM subnets";
    const RANGES: &str = "SELECT subnet, first_address, last_address, used_for
         FROM subnet_ranges ORDER BY subnet, position";
    let rows: Vec<(String, String, Option<String>, String)> = with_connection!(transaction, connection =>
            sqlx::query_as(SUBNETS).fetch_all(connection).await)?;
    let ranges: Vec<(String, String, String, String)> = with_connection!(transaction, connection =>
            sqlx::query_as(RANGES).fetch_all(connection).await)?;

    let mut ranges_of: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for (subnet, from, to, used_for) in ranges {
        let range = json!({"from": from, "to": to, "for": used_for});
        ranges_of.entry(subnet).or_default().push(range);
    }
    rows.into_iter()
        .map(|(name, cidr, tenant, spec)| {
            let ranges = ranges_of.remove(&name).unwrap_or_default();
            let subnet = read(&cidr, tenant, &spec, ranges)
                .map_err(|error| Error::unreadable("subnet", &name, error))?;
            Ok((name, subnet))
        })
        .collect()
}

fn read(
    cidr: &str,
    tenant: Option<String>,
    spec: &str,
    ranges: Vec<Value>,
) -> serde_json::Result<Subnet> {
    let mut spec: serde_json::Map<String, Value> = serde_json::from_str(spec)?;
    spec.insert("cidr".into(), cidr.into());
    spec.insert("tenant".into(), tenant.into());
    spec.insert("ranges".into(), ranges.into());
    serde_json::from_value(Value::Object(spec))
}

/// Writes the subnets of `after` that `before` lacks or has otherwise.
pub(crate) async fn set_changed(
    transaction: &mut Transaction,
    before: &BTreeMap<String, Subnet>,
    after: &BTreeMap<String, Subnet>,
) -> Result<(), Error> {
    // A prefix may pass from one subnet to another: each first lets go of its own. A name
    // holds no slash, so that it is nobody's prefix.
    const LET_GO: &str = "UPDATE subnets SET cidr = name WHERE name = $1";
    const IN_DOMAIN: &str = "UPDATE subnets SET vrf = $2 WHERE name = $1 AND vrf <> $2";
    for (name, old) in before {
        let stays = |new: &Subnet| (new.cidr, &new.vrf) == (old.cidr, &old.vrf);
        if !after.get(name).is_some_and(stays) {
            execute!(transaction, LET_GO, name)?;
        } else if let Some(vrf) = &old.vrf {
            // The row may be of a version whose subnets had no domain in the database.
            execute!(transaction, IN_DOMAIN, name, vrf)?;
        }
    }
    for (name, subnet) in after.iter().filter(|(name, new)| before.get(*name) != Some(*new)) {
        set(transaction, name, subnet).await?;
    }
    Ok(())
}

async fn set(transaction: &mut Transaction, name: &str, subnet: &Subnet) -> Result<(), Error> {
    const SET: &str = "INSERT INTO subnets (name, cidr, vrf, tenant, spec)
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT (name) DO UPDATE SET cidr = excluded.cidr,
         vrf = excluded.vrf, tenant = excluded.tenant, spec = excluded.spec";
    const FORGET_RANGES: &str = "DELETE FROM subnet_ranges WHERE subnet = $1";
    const ADD_RANGES: &str = "INSERT INTO subnet_ranges
         (subnet, position, first_address, last_address, used_for) ";
    let unreadable = |error| Error::unreadable("subnet", name, error);
    let mut spec = serde_json::to_value(subnet).map_err(unreadable)?;
    for in_column in ["cidr", "tenant", "ranges"] {
        spec.as_object_mut().map(|spec| spec.shift_remove(in_column));
    }
    let spec = to_json("subnet", name, &spec)?;
    let (cidr, vrf) = (subnet.cidr.to_string(), subnet.vrf.as_deref().unwrap_or_default());
    execute!(transaction, SET, name, cidr, vrf, &subnet.tenant, spec)?;
    execute!(transaction, FORGET_RANGES, name)?;
    let ranges: Vec<(i64, &Range)> = (0..).zip(&subnet.ranges).collect();
    insert_rows!(
        transaction,
        ADD_RANGES,
        &ranges,
        |(position, range)| [
            name,
            position,
            range.from.to_string(),
            range.to.to_string(),
            range.used_for.label(),
        ],
        ""
    );
    Ok(())
}

/// Removes the subnets of `before` that `after` lacks.
pub(crate) async fn remove_missing(
    transaction: &mut Transaction,
    before: &BTreeMap<String, Subnet>,
    after: &BTreeMap<String, Subnet>,
) -> Result<(), Error> {
    const REMOVE: &str = "DELETE FROM subnets WHERE name = $1";
    for name in before.keys().filter(|name| !after.contains_key(*name)) {
        execute!(transaction, REMOVE, name)?;
    }
    Ok(())
}
