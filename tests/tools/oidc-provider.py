"""The OpenID Connect provider of oidc-provider-mock, with what it leaves out: PKCE is checked (RFC 7636),
and claims that a user has under "userinfo" are in the userinfo only. Usage: oidc-provider.py PORT [CERTIFICATE KEY]"""

import base64
import hashlib
import os
import sys

import flask
import uvicorn
from oidc_provider_mock import _app as provider

CHALLENGES = {}

save = provider.AuthorizationCodeGrant.save_authorization_code
query = provider.AuthorizationCodeGrant.query_authorization_code
claims_for_scope = provider._user_claims_for_scope


def save_with_challenge(self, code, request):
    assert flask.request.args["code_challenge_method"] == "S256"
    CHALLENGES[code] = flask.request.args["code_challenge"]
    save(self, code, request)


def query_with_verifier(self, code, client):
    digest = hashlib.sha256(flask.request.form.get("code_verifier", "").encode()).digest()
    challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    return query(self, code, client) if CHALLENGES.get(code) == challenge else None


def claims(user, scope):
    found = claims_for_scope(user, scope)
    more = found.pop("userinfo", {})
    return {**found, **more} if flask.request.path == "/userinfo" else found


provider.AuthorizationCodeGrant.save_authorization_code = save_with_challenge
provider.AuthorizationCodeGrant.query_authorization_code = query_with_verifier
provider._user_claims_for_scope = claims
os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"
port, *files = sys.argv[1:]
tls = dict(zip(("ssl_certfile", "ssl_keyfile"), files))
uvicorn.run(provider.app(require_nonce=True), interface="wsgi", port=int(port), host="127.0.0.1", **tls)
