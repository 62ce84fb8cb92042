//! The audit log: what people and programs did to the inventory, accounts, leases and installs,
//! and who logged in.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{Denied, Limits, OutsideLimits, Role};

/// How somebody reached the inventory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Entrance {
    /// By the server itself.
    #[default]
    Server,
    /// By the web UI.
    Web,
    /// By the API, or with a token at the address that hosts fetch from.
    Api,
    /// By a command.
    CommandLine,
    /// Not known: recorded by a version that did not store it.
    Unknown,
}

impl Entrance {
    const ALL: [Self; 5] = [Self::Server, Self::Web, Self::Api, Self::CommandLine, Self::Unknown];

    /// The word shown and stored.
    pub fn label(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Web => "web",
            Self::Api => "api",
            Self::CommandLine => "command-line",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Entrance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

impl FromStr for Entrance {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let named = Self::ALL.into_iter().find(|entrance| entrance.label() == text);
        named.ok_or_else(|| UnknownWord(text.to_owned()))
    }
}

/// Where a request came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Which way.
    pub via: Entrance,
    /// The client's address; none for what happens on the server.
    pub address: Option<IpAddr>,
}

impl Origin {
    /// From a command.
    pub const COMMAND_LINE: Self = Self { via: Entrance::CommandLine, address: None };
}

/// Who does something, and from where.
#[derive(Clone, Copy, Debug)]
pub struct Author<'a> {
    /// A user's name, `token NAME`, or the login name of whoever runs a command.
    pub who: &'a str,
    /// From where.
    pub origin: Origin,
}

impl<'a> From<&'a str> for Author<'a> {
    fn from(who: &'a str) -> Self {
        Self { who, origin: Origin::default() }
    }
}

/// An entry of the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// When, in Unix milliseconds; the first time, if it happened several times.
    pub at_ms: i64,
    /// The last time, in Unix milliseconds.
    pub last_ms: i64,
    /// How many times it happened within an hour.
    pub times: u64,
    /// Who did it.
    pub who: String,
    /// From where.
    pub origin: Origin,
    /// What was done.
    pub action: AuditAction,
}

/// How many characters of a name that somebody claims are kept.
const CLAIMED_NAME_CHARACTERS: usize = 64;

impl AuditEntry {
    /// Something that was done once, at a moment (Unix milliseconds).
    pub fn new(author: Author<'_>, action: AuditAction, at_ms: i64) -> Self {
        let who = author.who.chars().take(CLAIMED_NAME_CHARACTERS).collect();
        Self { at_ms, last_ms: at_ms, times: 1, who, origin: author.origin, action }
    }

    /// What is counted instead of being stored again within an hour; none for what is always an
    /// entry of its own.
    pub fn same_as(&self) -> Option<String> {
        let is_counted = match &self.action {
            AuditAction::TokenUsed { .. }
            | AuditAction::TokenRefused
            | AuditAction::TokenReadOnly { .. }
            | AuditAction::Forbidden { .. }
            | AuditAction::OutsideLimits { .. }
            | AuditAction::LoginRefused
            | AuditAction::ProviderLoginRefused { .. }
            | AuditAction::SecondFactorRefused => true,
            AuditAction::Changed { .. }
            | AuditAction::LeasesImported { .. }
            | AuditAction::BackedUp { .. }
            | AuditAction::Restored { .. }
            | AuditAction::Migrated { .. }
            | AuditAction::LeaseRemoved { .. }
            | AuditAction::UserAdded { .. }
            | AuditAction::UserRemoved { .. }
            | AuditAction::RoleChanged { .. }
            | AuditAction::LimitsChanged { .. }
            | AuditAction::UserDisabled { .. }
            | AuditAction::UserEnabled { .. }
            | AuditAction::SessionsEnded { .. }
            | AuditAction::PasswordChanged { .. }
            | AuditAction::PasswordRefused
            | AuditAction::SecondFactorSet { .. }
            | AuditAction::SecondFactorRemoved { .. }
            | AuditAction::RecoveryCodesMade { .. }
            | AuditAction::RecoveryCodeUsed { .. }
            | AuditAction::TokenAdded { .. }
            | AuditAction::TokenRemoved { .. }
            | AuditAction::InstallArmed { .. }
            | AuditAction::InstallCancelled { .. }
            | AuditAction::RollOut { .. }
            | AuditAction::LoggedIn { .. }
            | AuditAction::LoggedOut
            | AuditAction::ConfigurationReloaded { .. }
            | AuditAction::AuthorityCreated { .. }
            | AuditAction::Recorded { .. } => false,
        };
        let Origin { via, address } = self.origin;
        let address = address.map(|address| address.to_string()).unwrap_or_default();
        let what = match &self.action {
            AuditAction::Forbidden { path, .. } => path.clone(),
            AuditAction::OutsideLimits { denied, .. } => format!("{} {}", denied.noun, denied.name),
            AuditAction::ProviderLoginRefused { reason } => reason.label().to_owned(),
            _ => String::new(),
        };
        is_counted.then(|| {
            let (hour, kind) = (self.at_ms / HOUR_MS, self.action.kind());
            format!("{hour} {kind} {via} {address} {}{what}", self.who)
        })
    }
}

/// An hour, in milliseconds.
pub const HOUR_MS: i64 = 3_600_000;

/// An entry as JSON.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AuditEntry")]
struct Document<'a> {
    /// When, in Unix milliseconds; the first time, if it happened several times.
    at_ms: i64,
    /// The last time, in Unix milliseconds.
    last_ms: i64,
    /// How many times it happened within an hour.
    times: u64,
    /// Who did it.
    who: &'a str,
    /// By which way.
    via: Entrance,
    /// The client's address.
    address: Option<IpAddr>,
    /// What kind of thing was done.
    kind: ActionKind,
    /// What was done.
    data: &'a AuditAction,
    /// The sentence for a person.
    text: String,
}

impl Serialize for AuditEntry {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { at_ms, last_ms, times, who, origin: Origin { via, address }, action } = self;
        let document = Document {
            at_ms: *at_ms,
            last_ms: *last_ms,
            times: *times,
            who,
            via: *via,
            address: *address,
            kind: action.kind(),
            data: action,
            text: self.text(),
        };
        document.serialize(serializer)
    }
}

impl JsonSchema for AuditEntry {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        Document::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        Document::json_schema(generator)
    }
}

/// What was done. As JSON an object whose `kind` names the variant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum AuditAction {
    /// The inventory was changed.
    Changed {
        /// The revision that it became.
        revision: i64,
        /// What was changed, as whoever changed it put it.
        summary: String,
    },
    /// Leases of another DHCP server were taken over.
    LeasesImported {
        /// The name of its lease file.
        file: String,
        /// How many.
        leases: u64,
    },
    /// A backup was made.
    BackedUp {
        /// The file.
        file: String,
    },
    /// The inventory was restored from a backup.
    Restored {
        /// The file.
        file: String,
        /// When the backup was made, in Unix seconds.
        made_at: i64,
    },
    /// The inventory was copied here from another database.
    Migrated {
        /// That database, without its password.
        from: String,
    },
    /// A lease was taken back.
    LeaseRemoved {
        /// The address.
        address: Ipv4Addr,
        /// The client that leased it.
        client: String,
    },
    /// A user was created.
    UserAdded {
        /// The user.
        user: String,
        /// What the user may do; none in entries of versions without roles.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        role: Option<Role>,
    },
    /// A user got another role.
    RoleChanged {
        /// The user.
        user: String,
        /// The new role.
        role: Role,
        /// The role until then; none in entries of versions that did not store it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        before: Option<Role>,
    },
    /// What a user may change was limited, or is not any more.
    LimitsChanged {
        /// The user.
        user: String,
        /// The new limits; none where they are empty.
        limits: Limits,
        /// The limits until then; missing in entries of versions that did not store them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        before: Option<Limits>,
    },
    /// A user may not log in any more.
    UserDisabled {
        /// The user.
        user: String,
    },
    /// A user may log in again.
    UserEnabled {
        /// The user.
        user: String,
    },
    /// Sessions of a user were ended.
    SessionsEnded {
        /// The user.
        user: String,
        /// How many.
        count: u64,
    },
    /// A user asked for what the user's role does not allow.
    Forbidden {
        /// The path of the request, as the routes have it.
        path: String,
        /// The role that it needs.
        needs: Role,
    },
    /// A user or a token wanted to change what is outside the limits.
    OutsideLimits {
        /// What it was; of several the first.
        denied: Denied,
        /// How many more there were.
        #[serde(default)]
        more: u64,
    },
    /// A user was removed.
    UserRemoved {
        /// The user.
        user: String,
    },
    /// A user's password was changed.
    PasswordChanged {
        /// The user.
        user: String,
    },
    /// A user who wanted to change the password or the second factor gave a wrong current password.
    PasswordRefused,
    /// A user set up a second factor.
    SecondFactorSet {
        /// The user.
        user: String,
    },
    /// A user's second factor was removed.
    SecondFactorRemoved {
        /// The user.
        user: String,
    },
    /// The password was right and the code was not, or was given before.
    SecondFactorRefused,
    /// A user got new recovery codes.
    RecoveryCodesMade {
        /// The user.
        user: String,
    },
    /// A recovery code stood for a code.
    RecoveryCodeUsed {
        /// How many the user has left.
        left: u64,
    },
    /// An API token was created.
    TokenAdded {
        /// The token's name.
        token: String,
        /// Whether it can change the inventory.
        #[serde(default)]
        may_change: bool,
        /// What it may do; none in entries of versions without roles.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        role: Option<Role>,
        /// Expiry, in Unix seconds; none for never.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<i64>,
        /// Which hosts it may change.
        #[serde(default, skip_serializing_if = "Limits::is_empty")]
        limits: Limits,
    },
    /// An API token was removed.
    TokenRemoved {
        /// The token's name.
        token: String,
    },
    /// A token was used.
    TokenUsed {
        /// The token's name.
        token: String,
    },
    /// A token that does not exist or has expired was shown.
    TokenRefused,
    /// A token that can only read was used for a change.
    TokenReadOnly {
        /// The token's name.
        token: String,
    },
    /// The next boot of a host may install.
    InstallArmed {
        /// The host.
        host: String,
        /// The image.
        image: String,
    },
    /// An install was cancelled.
    InstallCancelled {
        /// The host.
        host: String,
    },
    /// A roll-out was started, resumed or ended.
    RollOut {
        /// Its number.
        roll_out: i64,
        /// Which of these.
        action: RollOutAction,
    },
    /// The user logged in.
    LoggedIn {
        /// The OpenID Connect provider that said who it is; none for a password.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        issuer: Option<String>,
    },
    /// A login was refused.
    LoginRefused,
    /// A login by an OpenID Connect provider was refused.
    ProviderLoginRefused {
        /// Why.
        reason: ProviderRefusal,
    },
    /// The user logged out.
    LoggedOut,
    /// A server read its configuration again, and keys have changed.
    ConfigurationReloaded {
        /// The keys that it took on.
        changed: Vec<String>,
        /// The keys that it takes on when it is restarted.
        waiting: Vec<String>,
    },
    /// A CA that firmware is to trust was created.
    AuthorityCreated {
        /// Its certificate's SHA-256, as `rackstrap ca show` has it.
        sha256: String,
        /// Whether there was another one.
        replaced: bool,
    },
    /// An entry of a version that stored sentences only.
    Recorded {
        /// The sentence.
        text: String,
    },
}

impl AuditAction {
    /// That something goes beyond the limits of its author.
    pub fn outside(OutsideLimits(denied): &OutsideLimits) -> Option<Self> {
        let [first, rest @ ..] = denied.as_slice() else { return None };
        let more = u64::try_from(rest.len()).unwrap_or(u64::MAX);
        Some(Self::OutsideLimits { denied: first.clone(), more })
    }
}

/// Why a login by an OpenID Connect provider is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ProviderRefusal {
    /// The answer belongs to no login that this browser began a moment ago.
    NotBegun,
    /// The login was completed before.
    Replayed,
    /// The provider did not let the user in.
    Denied,
    /// What the provider said about the user does not hold.
    Invalid,
    /// None of the user's groups has a role here.
    NoGroup,
    /// The user's name cannot be one here, or is somebody else's.
    Name,
    /// The user is disabled here.
    Disabled,
}

impl ProviderRefusal {
    /// The word that is stored.
    pub fn label(self) -> &'static str {
        match self {
            Self::NotBegun => "not-begun",
            Self::Replayed => "replayed",
            Self::Denied => "denied",
            Self::Invalid => "invalid",
            Self::NoGroup => "no-group",
            Self::Name => "name",
            Self::Disabled => "disabled",
        }
    }
}

/// What somebody does to a roll-out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RollOutAction {
    /// It began.
    Started,
    /// It had halted, and goes on.
    Resumed,
    /// No further host applies.
    Ended,
}

impl RollOutAction {
    /// The word that is shown.
    pub fn label(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Resumed => "resumed",
            Self::Ended => "ended",
        }
    }
}

macro_rules! action_kinds {
    ($($variant:ident = $label:literal),* $(,)?) => {
        /// What kind of thing was done: the word that is stored, shown and filtered by.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "kebab-case")]
        #[allow(missing_docs)]
        pub enum ActionKind { $($variant),* }

        impl ActionKind {
            /// All kinds.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The word shown and stored.
            pub fn label(self) -> &'static str {
                match self { $(Self::$variant => $label),* }
            }
        }

        impl AuditAction {
            /// What kind of thing was done.
            pub fn kind(&self) -> ActionKind {
                match self { $(Self::$variant { .. } => ActionKind::$variant),* }
            }
        }
    };
}

action_kinds! {
    Changed = "changed",
    InstallArmed = "install-armed",
    InstallCancelled = "install-cancelled",
    RollOut = "roll-out",
    LeasesImported = "leases-imported",
    BackedUp = "backed-up",
    Restored = "restored",
    Migrated = "migrated",
    LeaseRemoved = "lease-removed",
    LoggedIn = "logged-in",
    LoginRefused = "login-refused",
    ProviderLoginRefused = "provider-login-refused",
    LoggedOut = "logged-out",
    UserAdded = "user-added",
    UserRemoved = "user-removed",
    RoleChanged = "role-changed",
    LimitsChanged = "limits-changed",
    UserDisabled = "user-disabled",
    UserEnabled = "user-enabled",
    SessionsEnded = "sessions-ended",
    Forbidden = "forbidden",
    OutsideLimits = "outside-limits",
    PasswordChanged = "password-changed",
    PasswordRefused = "password-refused",
    SecondFactorSet = "second-factor-set",
    SecondFactorRemoved = "second-factor-removed",
    SecondFactorRefused = "second-factor-refused",
    RecoveryCodesMade = "recovery-codes-made",
    RecoveryCodeUsed = "recovery-code-used",
    TokenAdded = "token-added",
    TokenRemoved = "token-removed",
    TokenUsed = "token-used",
    TokenRefused = "token-refused",
    TokenReadOnly = "token-read-only",
    ConfigurationReloaded = "configuration-reloaded",
    AuthorityCreated = "authority-created",
    Recorded = "recorded",
}

impl fmt::Display for ActionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// A word that is not in the list of such words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a kind of audit entry: expected {kinds}", kinds = words(ActionKind::ALL.iter()))]
pub struct UnknownWord(pub String);

fn words<T: fmt::Display>(all: impl Iterator<Item = T>) -> String {
    all.map(|word| word.to_string()).collect::<Vec<_>>().join(", ")
}

impl FromStr for ActionKind {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let named = Self::ALL.iter().copied().find(|kind| kind.label() == text);
        named.ok_or_else(|| UnknownWord(text.to_owned()))
    }
}

/// An entry that an earlier version stored among the events: its data, where it had some, else its
/// sentence.
pub fn carried_over(at_ms: i64, data: Option<&str>, text: String) -> AuditEntry {
    let unknown = Origin { via: Entrance::Unknown, address: None };
    let read = data.and_then(|data| {
        let mut value: serde_json::Value = serde_json::from_str(data).ok()?;
        let who = value.get("who")?.as_str()?.to_owned();
        let address = value.get("from").and_then(|from| from.as_str()?.parse().ok());
        // Its kind told changes and logins apart.
        value["kind"] = value.get("action")?.clone();
        let action = serde_json::from_value(value).ok()?;
        Some((Author { who: &who, origin: Origin { address, ..unknown } }, action))
            .map(|(author, action)| AuditEntry::new(author, action, at_ms))
    });
    read.unwrap_or_else(|| {
        let author = Author { who: "", origin: unknown };
        AuditEntry::new(author, AuditAction::Recorded { text }, at_ms)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token_use(who: &str, at_ms: i64) -> AuditEntry {
        let address = Some(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 9)));
        let origin = Origin { via: Entrance::Api, address };
        AuditEntry::new(
            Author { who, origin },
            AuditAction::TokenUsed { token: "ci".into() },
            at_ms,
        )
    }

    #[test]
    fn uses_of_a_token_are_one_entry_an_hour() {
        let first = token_use("token ci", 5 * HOUR_MS).same_as();
        assert!(first.is_some());
        assert_eq!(first, token_use("token ci", 6 * HOUR_MS - 1).same_as());
        assert_ne!(first, token_use("token ci", 6 * HOUR_MS).same_as());
        assert_ne!(first, token_use("token cd", 5 * HOUR_MS).same_as());
        let logged_in =
            AuditEntry::new("ann".into(), AuditAction::LoggedIn { issuer: None }, 5 * HOUR_MS);
        assert_eq!(logged_in.same_as(), None);
    }

    #[test]
    fn a_kind_is_the_tag_of_its_data() {
        for kind in ActionKind::ALL {
            assert_eq!(kind.label().parse(), Ok(*kind));
            assert_eq!(serde_json::to_string(kind).unwrap(), format!("\"{kind}\""));
        }
        for entrance in Entrance::ALL {
            assert_eq!(entrance.label().parse(), Ok(entrance));
        }
    }

    #[test]
    fn what_earlier_versions_stored_is_read() {
        let from: IpAddr = "10.0.0.5".parse().unwrap();
        let changed =
            r#"{"kind":"change","who":"ann","action":"changed","revision":7,"summary":"x"}"#;
        let login = r#"{"kind":"login","who":"bob","action":"login-refused","from":"10.0.0.5"}"#;
        let added = r#"{"kind":"change","who":"ann","action":"token-added","token":"ci"}"#;
        let token_added = AuditAction::TokenAdded {
            token: "ci".into(),
            may_change: false,
            role: None,
            expires_at: None,
            limits: Limits::default(),
        };
        let text = "ann: x (revision 7)";
        let cases = [
            (Some(changed), "ann", None, AuditAction::Changed { revision: 7, summary: "x".into() }),
            (Some(login), "bob", Some(from), AuditAction::LoginRefused),
            (Some(added), "ann", None, token_added),
            (None, "", None, AuditAction::Recorded { text: text.into() }),
            (Some("{"), "", None, AuditAction::Recorded { text: text.into() }),
        ];
        for (data, who, address, action) in cases {
            let entry = carried_over(7, data, text.into());
            assert_eq!((entry.at_ms, entry.who.as_str()), (7, who), "{data:?}");
            assert_eq!(entry.origin, Origin { via: Entrance::Unknown, address }, "{data:?}");
            assert_eq!(entry.action, action, "{data:?}");
        }
    }
}
