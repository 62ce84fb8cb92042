//! Triggers by which the database itself refuses to rewrite the audit log, whoever asks.
//!
//! An entry is added, and its count grows within its hour: earlier versions count by an UPDATE. What
//! a link of the chain allows to be trimmed can be removed. All else fails.

use sqlx::postgres::PgConnection;
use sqlx::sqlite::SqlitePool;

/// In SQLite. `RAISE(IGNORE)` skips a count that comes when its hour is closed, as a server of an
/// earlier version sends it that had no database for an hour; an error would stop all its entries.
const SQLITE: &str = "
CREATE TRIGGER IF NOT EXISTS audit_is_not_replaced BEFORE INSERT ON audit
WHEN EXISTS (SELECT 1 FROM audit WHERE id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'the audit log takes no second entry with the same id'); END;

CREATE TRIGGER IF NOT EXISTS audit_only_counts BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'entries of the audit log cannot be changed') WHERE NOT (
        NEW.id IS OLD.id AND NEW.at_ms IS OLD.at_ms AND NEW.who IS OLD.who AND NEW.via IS OLD.via
        AND NEW.address IS OLD.address AND NEW.kind IS OLD.kind AND NEW.data IS OLD.data
        AND NEW.same_as IS OLD.same_as AND OLD.same_as IS NOT NULL AND NEW.times > OLD.times
        AND NEW.last_ms / 3600000 = OLD.at_ms / 3600000);
    SELECT RAISE(IGNORE) WHERE EXISTS (
        SELECT 1 FROM audit_chain WHERE what = 'counted' AND id = OLD.id);
END;

CREATE TRIGGER IF NOT EXISTS audit_is_only_trimmed BEFORE DELETE ON audit
WHEN OLD.id >= COALESCE((SELECT max(id) FROM audit_chain WHERE what = 'trimmed'), '')
BEGIN SELECT RAISE(ABORT, 'entries of the audit log cannot be removed'); END;

CREATE TRIGGER IF NOT EXISTS audit_chain_keeps_a_day BEFORE INSERT ON audit_chain
WHEN NEW.what = 'trimmed' AND NEW.id > printf('%013d', (strftime('%s', 'now') - 82800) * 1000)
BEGIN SELECT RAISE(ABORT, 'entries of the last 23 hours cannot be trimmed'); END;

CREATE TRIGGER IF NOT EXISTS audit_chain_is_not_replaced BEFORE INSERT ON audit_chain
WHEN EXISTS (SELECT 1 FROM audit_chain WHERE number = NEW.number)
BEGIN SELECT RAISE(ABORT, 'links of the audit log cannot be replaced'); END;

CREATE TRIGGER IF NOT EXISTS audit_chain_stays BEFORE UPDATE ON audit_chain
BEGIN SELECT RAISE(ABORT, 'links of the audit log cannot be changed'); END;

CREATE TRIGGER IF NOT EXISTS audit_chain_is_only_trimmed BEFORE DELETE ON audit_chain
WHEN OLD.number > COALESCE(
    (SELECT base FROM audit_chain WHERE what = 'trimmed' ORDER BY id DESC LIMIT 1), 0)
BEGIN SELECT RAISE(ABORT, 'links of the audit log cannot be removed'); END;
";

/// The same in PostgreSQL, where one function is the trigger of both tables. Two processes that start
/// together take turns.
const POSTGRES: &str = "
BEGIN;
SELECT pg_advisory_xact_lock(7261636761756469);

CREATE OR REPLACE FUNCTION rackstrap_guard_audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF OLD.same_as IS NULL OR NEW.times <= OLD.times
            OR NEW.last_ms / 3600000 <> OLD.at_ms / 3600000
            OR (NEW.id, NEW.at_ms, NEW.who, NEW.via, NEW.address, NEW.kind, NEW.data, NEW.same_as)
                IS DISTINCT FROM
               (OLD.id, OLD.at_ms, OLD.who, OLD.via, OLD.address, OLD.kind, OLD.data, OLD.same_as)
        THEN
            RAISE EXCEPTION 'entries of the audit log cannot be changed';
        END IF;
        IF EXISTS (SELECT FROM audit_chain WHERE what = 'counted' AND id = OLD.id) THEN
            RETURN NULL;
        END IF;
        RETURN NEW;
    ELSIF TG_OP = 'DELETE' THEN
        IF OLD.id < (SELECT max(id) FROM audit_chain WHERE what = 'trimmed') THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'entries of the audit log cannot be removed';
END $$;

CREATE OR REPLACE FUNCTION rackstrap_guard_audit_chain() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.what = 'trimmed' AND NEW.id >
            lpad((extract(epoch FROM now())::bigint * 1000 - 82800000)::text, 13, '0')
        THEN
            RAISE EXCEPTION 'entries of the last 23 hours cannot be trimmed';
        END IF;
        RETURN NEW;
    ELSIF TG_OP = 'DELETE' THEN
        IF OLD.number <=
            (SELECT base FROM audit_chain WHERE what = 'trimmed' ORDER BY id DESC LIMIT 1)
        THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'links of the audit log cannot be changed or removed';
END $$;

DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgname = 'rackstrap_guard_audit'
                   AND tgrelid = 'audit'::regclass) THEN
        CREATE TRIGGER rackstrap_guard_audit BEFORE UPDATE OR DELETE ON audit
            FOR EACH ROW EXECUTE FUNCTION rackstrap_guard_audit();
        CREATE TRIGGER rackstrap_guard_audit_whole BEFORE TRUNCATE ON audit
            FOR EACH STATEMENT EXECUTE FUNCTION rackstrap_guard_audit();
        CREATE TRIGGER rackstrap_guard_audit_chain BEFORE INSERT OR UPDATE OR DELETE ON audit_chain
            FOR EACH ROW EXECUTE FUNCTION rackstrap_guard_audit_chain();
        CREATE TRIGGER rackstrap_guard_audit_chain_whole BEFORE TRUNCATE ON audit_chain
            FOR EACH STATEMENT EXECUTE FUNCTION rackstrap_guard_audit_chain();
    END IF;
END $$;
COMMIT;
";

/// Guards the audit log of a SQLite database.
pub(super) async fn guard_sqlite(pool: &SqlitePool) -> sqlx::Result<()> {
    const COUNT: &str =
        "SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'audit%'";
    let found: i64 = sqlx::query_scalar(COUNT).fetch_one(pool).await?;
    // A command that finds them all waits for no writer.
    if usize::try_from(found) != Ok(SQLITE.matches("CREATE TRIGGER").count()) {
        sqlx::raw_sql(SQLITE).execute(pool).await?;
    }
    Ok(())
}

/// Guards the audit log of a PostgreSQL database.
pub(super) async fn guard_postgres(connection: &mut PgConnection) -> sqlx::Result<()> {
    const COUNT: &str = "SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'rackstrap_guard_audit%' \
         AND tgrelid IN (to_regclass('audit'), to_regclass('audit_chain'))";
    let found: i64 = sqlx::query_scalar(COUNT).fetch_one(&mut *connection).await?;
    // Creating them waits for whoever writes to the tables.
    if usize::try_from(found) != Ok(POSTGRES.matches("CREATE TRIGGER").count()) {
        sqlx::raw_sql(POSTGRES).execute(connection).await?;
    }
    Ok(())
}
