//! An OpenID Connect provider: what it says about itself, where it logs people in, and whom it
//! vouches for.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreAuthenticationFlow, CoreClientAuthMethod,
    CoreErrorResponseType, CoreGenderClaim, CoreJsonWebKey, CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm, CoreProviderMetadata, CoreRevocableToken, CoreRevocationErrorResponse,
    CoreTokenIntrospectionResponse, CoreTokenType,
};
use openidconnect::{
    AdditionalClaims, AuthType, AuthorizationCode, ClaimsVerificationError, Client, ClientId,
    ClientSecret, CsrfToken, DiscoveryError, EmptyExtraTokenFields, EndpointMaybeSet,
    EndpointNotSet, EndpointSet, HttpRequest, HttpResponse, IdTokenFields, IssuerUrl, Nonce,
    OAuth2TokenResponse, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RequestTokenError,
    Scope, StandardErrorResponse, StandardTokenResponse, TokenResponse, UserInfoClaims,
    UserInfoError,
};
use reqwest::redirect;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::{Mutex, Semaphore};

use super::answer::shown;
use super::claims::{Claims, are_complete};
use super::pending::{LASTS, PendingLogin};
use crate::causes::WithCauses;
use crate::config::{Config, OidcIssuer};
use crate::http::ui::state::now_ms;

/// How long a provider may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long it is known what a provider says about itself.
const KNOWN: Duration = Duration::from_secs(60);
/// How long it is known that a provider does not answer, so that a crowd does not wait for it one
/// after the other.
const SILENT: Duration = Duration::from_secs(2);
/// The largest answer of a provider, in bytes.
const ANSWER_BYTES: usize = 1 << 20;
/// How many logins are asked about at a time.
const AT_ONCE: usize = 8;

/// Every claim that the standard does not name.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
struct OtherClaims(Claims);

impl AdditionalClaims for OtherClaims {}

type Tokens = StandardTokenResponse<
    IdTokenFields<
        OtherClaims,
        EmptyExtraTokenFields,
        CoreGenderClaim,
        CoreJweContentEncryptionAlgorithm,
        CoreJwsSigningAlgorithm,
    >,
    CoreTokenType,
>;

type ProviderClient = Client<
    OtherClaims,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    Tokens,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// Whom a provider vouches for.
pub(super) struct Person {
    pub subject: String,
    pub claims: Claims,
}

/// Why a provider cannot be asked, or does not vouch for somebody.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum ProviderError {
    #[error("{issuer} is unreachable: {cause}")]
    Unreachable { issuer: String, cause: String },
    #[error(
        "{issuer} is not an OpenID Connect provider, or not the one that is configured: {cause}"
    )]
    NoProvider { issuer: String, cause: String },
    #[error("cannot read {path} (oidc_client_secret_file): {cause}")]
    Secret { path: String, cause: String },
    #[error("too many logins at once: try again in a few seconds")]
    Busy,
    #[error("{issuer} rejected the login: {cause}")]
    Refused { issuer: String, cause: String },
    #[error("the answer of {issuer} is not valid: {cause}")]
    Invalid { issuer: String, cause: String },
}

/// What a provider says about itself, or that it does not answer.
struct Known {
    issuer: String,
    found: Result<Arc<CoreProviderMetadata>, ProviderError>,
    at: Instant,
}

/// The provider, as far as this process knows it.
pub(crate) struct Provider {
    web: OnceLock<reqwest::Client>,
    known: ArcSwapOption<Known>,
    /// Whose turn it is to ask what it says about itself.
    turn: Mutex<()>,
    logins: Semaphore,
}

impl Default for Provider {
    fn default() -> Self {
        let (web, known, turn) = Default::default();
        Self { web, known, turn, logins: Semaphore::new(AT_ONCE) }
    }
}

impl Provider {
    fn web(&self) -> Result<reqwest::Client, WebError> {
        if let Some(web) = self.web.get() {
            return Ok(web.clone());
        }
        let built = reqwest::Client::builder()
            .timeout(TIMEOUT)
            // A provider's answer that is elsewhere is not the provider's.
            .redirect(redirect::Policy::none())
            .user_agent(concat!("rackstrap/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(self.web.get_or_init(|| built).clone())
    }

    /// What the provider says about itself, asked again if that is older than `most`.
    async fn metadata(
        &self,
        issuer: &OidcIssuer,
        most: Duration,
    ) -> Result<Arc<CoreProviderMetadata>, ProviderError> {
        if let Some(found) = self.recent(issuer, most) {
            return found;
        }
        let _turn = self.turn.lock().await;
        // Somebody else may have asked meanwhile.
        if let Some(found) = self.recent(issuer, most) {
            return found;
        }
        let at = Instant::now();
        let found = self.discover(issuer).await.map(Arc::new);
        if let Err(error) = &found {
            // As often as it is asked again at most: the answer is kept for seconds.
            tracing::warn!("nobody can log in by the OpenID Connect provider: {error}");
        }
        let known = Known { issuer: issuer.as_str().to_owned(), found: found.clone(), at };
        self.known.store(Some(Arc::new(known)));
        found
    }

    fn recent(
        &self,
        issuer: &OidcIssuer,
        most: Duration,
    ) -> Option<Result<Arc<CoreProviderMetadata>, ProviderError>> {
        let known = self.known.load_full().filter(|known| known.issuer == issuer.as_str())?;
        let lasts = if known.found.is_ok() { most } else { SILENT };
        (known.at.elapsed() < lasts).then(|| known.found.clone())
    }

    async fn discover(&self, issuer: &OidcIssuer) -> Result<CoreProviderMetadata, ProviderError> {
        let shown_issuer = || issuer.to_string();
        let unreachable = |error: &WebError| ProviderError::Unreachable {
            issuer: shown_issuer(),
            cause: error.cause(),
        };
        let no_provider =
            |cause: String| ProviderError::NoProvider { issuer: shown_issuer(), cause };
        let web = self.web().map_err(|error| unreachable(&error))?;
        let url = IssuerUrl::new(issuer.to_string()).map_err(|e| no_provider(e.to_string()))?;
        let ask = |request| fetch(web.clone(), request);
        CoreProviderMetadata::discover_async(url, &ask).await.map_err(|error| match error {
            DiscoveryError::Request(error) => unreachable(&error),
            error => no_provider(shown(&WithCauses(&error).to_string())),
        })
    }

    /// Where somebody logs in there, and what is needed to end that login here.
    pub(super) async fn begin(
        &self,
        config: &Config,
        issuer: &OidcIssuer,
        redirect_url: String,
        then: String,
    ) -> Result<(String, PendingLogin), ProviderError> {
        let metadata = self.metadata(issuer, KNOWN).await?;
        let client = client(&metadata, config, None, &redirect_url, issuer)?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let (url, state, nonce) = client
            .authorize_url(
                CoreAuthenticationFlow::AuthorizationCode,
                CsrfToken::new_random,
                Nonce::new_random,
            )
            .add_scopes(config.oidc_scopes.iter().cloned().map(Scope::new))
            .set_pkce_challenge(challenge)
            .url();
        let pending = PendingLogin {
            issuer: issuer.to_string(),
            state: state.secret().clone(),
            nonce: nonce.secret().clone(),
            verifier: verifier.secret().clone(),
            redirect_url,
            then,
            expires_at: now_ms() / 1000 + LASTS,
        };
        Ok((url.to_string(), pending))
    }

    /// Whom the provider vouches for with a code.
    pub(super) async fn identify(
        &self,
        config: &Config,
        issuer: &OidcIssuer,
        pending: &PendingLogin,
        code: String,
    ) -> Result<Person, ProviderError> {
        let _place = self.logins.try_acquire().map_err(|_| ProviderError::Busy)?;
        let secret = config.oidc_client_secret_file.as_deref().map(read_secret).transpose()?;
        let metadata = self.metadata(issuer, KNOWN).await?;
        let of = |metadata: &CoreProviderMetadata| {
            client(metadata, config, secret.clone(), &pending.redirect_url, issuer)
        };
        let client = of(&metadata)?;
        let shown_issuer = || issuer.to_string();
        let unreachable = |error: &WebError| ProviderError::Unreachable {
            issuer: shown_issuer(),
            cause: error.cause(),
        };
        let invalid = |cause: String| ProviderError::Invalid { issuer: shown_issuer(), cause };
        let web = self.web().map_err(|error| unreachable(&error))?;
        let ask = |request| fetch(web.clone(), request);

        let request = client
            .exchange_code(AuthorizationCode::new(code))
            .map_err(|error| invalid(error.to_string()))?
            .set_pkce_verifier(PkceCodeVerifier::new(pending.verifier.clone()));
        let tokens = request.request_async(&ask).await.map_err(|error| match error {
            RequestTokenError::Request(error) => unreachable(&error),
            RequestTokenError::ServerResponse(response) => ProviderError::Refused {
                issuer: shown_issuer(),
                cause: shown(&response.to_string()),
            },
            error => invalid(shown(&WithCauses(&error).to_string())),
        })?;
        let token = tokens.id_token().ok_or_else(|| invalid("it gave no ID token".into()))?;
        let nonce = Nonce::new(pending.nonce.clone());
        let checked = token.claims(&client.id_token_verifier(), &nonce).cloned();
        let claims = match checked {
            Ok(claims) => claims,
            Err(first @ ClaimsVerificationError::SignatureVerification(_)) => {
                // It may sign with a key that is newer than what is known of it.
                let metadata = self.metadata(issuer, Duration::ZERO).await?;
                let renewed = of(&metadata)?;
                let again = token.claims(&renewed.id_token_verifier(), &nonce).cloned();
                again.map_err(|_| invalid(shown(&WithCauses(&first).to_string())))?
            }
            Err(error) => return Err(invalid(shown(&WithCauses(&error).to_string()))),
        };
        let subject = claims.subject().to_string();
        let mut all = as_object(&claims).ok_or_else(|| invalid("its claims".into()))?;
        // Some providers put groups into the userinfo only.
        if !are_complete(&all, config)
            && let Ok(request) =
                client.user_info(tokens.access_token().clone(), Some(claims.subject().clone()))
        {
            let more: UserInfoClaims<OtherClaims, CoreGenderClaim> =
                request.request_async(&ask).await.map_err(|error| match error {
                    UserInfoError::Request(error) => unreachable(&error),
                    error => invalid(shown(&WithCauses(&error).to_string())),
                })?;
            for (name, value) in as_object(&more).unwrap_or_default() {
                all.entry(name).or_insert(value);
            }
        }
        Ok(Person { subject, claims: all })
    }
}

fn as_object(claims: &impl Serialize) -> Option<Claims> {
    match serde_json::to_value(claims) {
        Ok(Value::Object(mut claims)) => {
            // The library writes what is missing as nothing.
            claims.retain(|_, value| !value.is_null());
            Some(claims)
        }
        _ => None,
    }
}

/// This server as a client of a provider.
fn client(
    metadata: &CoreProviderMetadata,
    config: &Config,
    secret: Option<ClientSecret>,
    redirect_url: &str,
    issuer: &OidcIssuer,
) -> Result<ProviderClient, ProviderError> {
    let redirect_url = RedirectUrl::new(redirect_url.to_owned()).map_err(|error| {
        ProviderError::Invalid { issuer: issuer.to_string(), cause: error.to_string() }
    })?;
    let id = ClientId::new(config.oidc_client_id.clone());
    let methods = metadata.token_endpoint_auth_methods_supported();
    let by_body_only = methods.is_some_and(|methods| {
        methods.contains(&CoreClientAuthMethod::ClientSecretPost)
            && !methods.contains(&CoreClientAuthMethod::ClientSecretBasic)
    });
    let auth_type = if by_body_only { AuthType::RequestBody } else { AuthType::BasicAuth };
    let client = ProviderClient::from_provider_metadata(metadata.clone(), id, secret);
    Ok(client.set_auth_type(auth_type).set_redirect_uri(redirect_url))
}

fn read_secret(path: &Path) -> Result<ClientSecret, ProviderError> {
    let refused = |cause: String| ProviderError::Secret { path: path.display().to_string(), cause };
    let text = std::fs::read_to_string(path).map_err(|error| refused(error.to_string()))?;
    match text.trim() {
        "" => Err(refused("it is empty".into())),
        secret => Ok(ClientSecret::new(secret.to_owned())),
    }
}

/// Why a provider's answer did not arrive.
#[derive(Debug, thiserror::Error)]
enum WebError {
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    #[error("its answer has more than {ANSWER_BYTES} bytes")]
    TooLarge,
}

impl WebError {
    /// The reason, in words for a person.
    fn cause(&self) -> String {
        match self {
            Self::Http(error) if error.is_timeout() => {
                format!("no answer within {} s", TIMEOUT.as_secs())
            }
            Self::Http(error) => {
                let mut cause: &dyn std::error::Error = error;
                while let Some(inner) = cause.source() {
                    cause = inner;
                }
                cause.to_string()
            }
            Self::TooLarge => self.to_string(),
        }
    }
}

async fn fetch(web: reqwest::Client, request: HttpRequest) -> Result<HttpResponse, WebError> {
    let mut response = web.execute(request.try_into()?).await?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > ANSWER_BYTES {
            return Err(WebError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    let mut answer = HttpResponse::new(body);
    *answer.status_mut() = response.status();
    *answer.headers_mut() = std::mem::take(response.headers_mut());
    Ok(answer)
}
