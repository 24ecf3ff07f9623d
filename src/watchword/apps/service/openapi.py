"""Describe the public listener: OpenAPI 3.1 as data; a test holds it to the table of routes."""

from collections.abc import Mapping
from typing import Any, Final

from watchword import __version__
from watchword.pins.interface import ROOTS_MEDIA_TYPE, SET_MEDIA_TYPE

_Schema = Mapping[str, Any]


def _object(properties: Mapping[str, _Schema], optional: tuple[str, ...] = ()) -> _Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
    }


def _text(description: str, limit: int | None = None) -> _Schema:
    schema: dict[str, Any] = {"type": "string", "description": description}
    if limit is not None:
        schema["maxLength"] = limit
    return schema


def _base64url(description: str) -> _Schema:
    return {"type": "string", "pattern": "^[A-Za-z0-9_-]*$", "description": description}


def _constant(value: str) -> _Schema:
    return {"type": "string", "const": value}


def _reference(name: str) -> _Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(schema: _Schema) -> Mapping[str, Any]:
    return {"application/json": {"schema": schema}}


def _signed(media_type: str, schema: str) -> Mapping[str, Any]:
    found = {
        "description": "As it was signed.",
        "content": {media_type: {"schema": _reference(schema)}},
    }
    return {"200": found, "default": {"$ref": "#/components/responses/Refusal"}}


def _in_path(*names: str) -> list[_Schema]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in names
    ]


def _body(schema: str) -> Mapping[str, Any]:
    return {"required": True, "content": _json(_reference(schema))}


def _answers(status: int, description: str, schema: str) -> Mapping[str, Any]:
    return {
        str(status): {"description": description, "content": _json(_reference(schema))},
        "default": {"$ref": "#/components/responses/Refusal"},
    }


def _of_instance(purpose: str) -> _Schema:
    """Return what an enrolled instance sends: a statement with this purpose, and evidence that renews."""
    return _object(
        {
            "instance": _text("The instance's id.", 64),
            "statement": _base64url(f"The statement's bytes, with purpose {purpose}."),
            "evidence": {
                "oneOf": [
                    _reference("AppAttestAssertion"),
                    _reference("AndroidKeySignature"),
                    _reference("OperatorCodeSignature"),
                ]
            },
        }
    )


_SECONDS: Final = {"type": "integer", "minimum": 1, "description": "Seconds from now."}

_SCHEMAS: Final[Mapping[str, _Schema]] = {
    "ChallengeRequest": _object(
        {
            "app": _text("The app's id in watchword.yaml.", 256),
            "purpose": {"type": "string", "enum": ["enrol", "renew", "secret"]},
        }
    ),
    "Challenge": _object(
        {"challenge": _base64url("To be put into the statement."), "expires_in": _SECONDS}
    ),
    "AttestationRequest": _object(
        {
            "statement": _base64url("The statement's bytes (protocol, section 1)."),
            "evidence": {
                "oneOf": [
                    _reference("AppAttestAttestation"),
                    _reference("AndroidKeyChain"),
                    _reference("OperatorCode"),
                ]
            },
        }
    ),
    "AppAttestAttestation": _object(
        {
            "format": _constant("app-attest"),
            "attestation": _base64url("What DCAppAttestService.attestKey returned (CBOR)."),
            "key_id": _base64url("The key id that it was called with."),
        }
    ),
    "AndroidKeyChain": _object(
        {
            "format": _constant("android-key"),
            "chain": {
                "type": "array",
                "items": _base64url("A DER certificate."),
                "description": "What KeyStore.getCertificateChain returned, leaf first.",
            },
        }
    ),
    "OperatorCode": _object(
        {
            "format": _constant("operator_code"),
            "code": _text("A one-time code of the operator's, for a test instance.", 48),
            "key_signature": _base64url(
                "ECDSA-SHA256 (DER) by the proof key (protocol, section 3)."
            ),
        }
    ),
    "TokenRequest": _of_instance("renew"),
    "AppAttestAssertion": _object(
        {
            "format": _constant("app-attest"),
            "assertion": _base64url("What DCAppAttestService.generateAssertion returned (CBOR)."),
        }
    ),
    "AndroidKeySignature": _object(
        {
            "format": _constant("android-key"),
            "signature": _base64url(
                "ECDSA-SHA256 (DER) by the attested key (protocol, section 1)."
            ),
        }
    ),
    "OperatorCodeSignature": _object(
        {
            "format": _constant("operator_code"),
            "signature": _base64url("ECDSA-SHA256 (DER) by the proof key (protocol, section 1)."),
        }
    ),
    "Tokens": _object(
        {
            "instance": _text("The instance's id; keep it for renewals, and show it to no API."),
            "level": {"type": "string", "enum": ["hardware", "verified", "software"]},
            "tokens": {
                "type": "array",
                "items": _object(
                    {
                        "aud": _text("The API that it is for."),
                        "token": _text("To be sent as Watchword-Token.", 2048),
                        "expires_in": _SECONDS,
                        "session_key": _base64url(
                            "Sealed to the statement's seal_jwk; opened, it makes session proofs "
                            "(protocol, section 5)."
                        ),
                    }
                ),
            },
            "pins": {
                "type": "integer",
                "minimum": 1,
                "description": "Version of the app's newest pin set, where one is published.",
            },
        },
        optional=("pins",),
    ),
    "SecretRequest": _of_instance("secret"),
    "SealedSecret": _object(
        {
            "name": _text("The secret's name, as the statement asked for it.", 64),
            "version": {"type": "integer", "minimum": 1, "description": "Of the secret."},
            "lease": _text("Id of the lease; the same while it is continued.", 22),
            "expires_in": _SECONDS,
            "expires_at": {
                "type": "integer",
                "minimum": 1,
                "description": "End of the lease, seconds since 1970 on the service's clock.",
            },
            "sealed": _base64url(
                "The value, sealed to the enrolled seal_jwk (protocol, section 10)."
            ),
        }
    ),
    "PinSet": _text("A compact JWS of type watchword-pins+jwt (protocol, section 9)."),
    "PinRoots": _object(
        {
            "payload": _base64url("What the list says (protocol, section 9)."),
            "signatures": {
                "type": "array",
                "items": _object(
                    {
                        "protected": _base64url("Header: alg, kid, typ."),
                        "signature": _base64url("ES256."),
                    }
                ),
            },
        }
    ),
    "PinReport": {
        "oneOf": [_reference("OwnPinReport"), _reference("TrustKitPinReport")],
        "description": "At most 32 KiB.",
    },
    "OwnPinReport": _object(
        {
            "app": _text("The app's id in watchword.yaml.", 128),
            "app_version": _text("The app's version.", 128),
            "host": _text("The host that was to be reached.", 253),
            "set": {"type": "integer", "minimum": 0, "description": "Version of the pin set."},
            "basis": {
                "type": "string",
                "enum": ["pins", "builtin-authorities", "platform", "unpinned"],
            },
            "mismatch": {"type": "boolean", "description": "No pin matched."},
            "refused": {"type": "boolean", "description": "The connection wasn't used."},
            "chain": {
                "type": "array",
                "maxItems": 12,
                "items": _base64url("A pin of the chain that was seen, the leaf's first."),
            },
            "at": {"type": "integer", "minimum": 0, "description": "Seconds since 1970."},
        }
    ),
    "TrustKitPinReport": {
        "type": "object",
        "description": "What TrustKit sends to a TSKReportUri; of its members these are read.",
        "required": [
            "app-bundle-id",
            "app-version",
            "hostname",
            "validated-certificate-chain",
            "validation-result",
        ],
    },
    "KeySet": _object(
        {
            "keys": {
                "type": "array",
                "items": _object(
                    {
                        "kty": _constant("EC"),
                        "crv": _constant("P-256"),
                        "x": _base64url("Coordinate."),
                        "y": _base64url("Coordinate."),
                        "kid": _text("RFC 7638 thumbprint."),
                        "alg": _constant("ES256"),
                        "use": _constant("sig"),
                    }
                ),
            }
        }
    ),
    "Health": _object({"status": _constant("ok"), "pins": _constant("fault")}, optional=("pins",)),
    "Description": {"type": "object", "description": "This document."},
    "Problem": _object(
        {
            "type": _text("urn:watchword:problem: and the public class of the refusal."),
            "title": _text("The class in English."),
            "status": {"type": "integer"},
            "ref": _text("Opaque; `watchword explain REF` tells an operator the reason."),
            "reasons": {
                "type": "array",
                "items": _text("A reason; only in the lab environment."),
            },
        },
        optional=("ref", "reasons"),
    ),
}


def _operation(summary: str, answers: Mapping[str, Any], body: str | None = None) -> _Schema:
    operation: dict[str, Any] = {"summary": summary, "responses": answers}
    if body is not None:
        operation["requestBody"] = _body(body)
    return operation


DOCUMENT: Final[Mapping[str, Any]] = {
    "openapi": "3.1.0",
    "info": {
        "title": "Watchword service",
        "version": __version__,
        "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        "description": "Enrols genuine app instances and issues their tokens. "
        "Bodies have at most 64 KiB; unknown members are refused.",
    },
    "paths": {
        "/v1/challenges": {
            "post": _operation(
                "Ask for a challenge",
                _answers(200, "A challenge for one statement.", "Challenge"),
                "ChallengeRequest",
            )
        },
        "/v1/attestations": {
            "post": _operation(
                "Enrol an instance",
                _answers(201, "The instance and its first tokens.", "Tokens"),
                "AttestationRequest",
            )
        },
        "/v1/tokens": {
            "post": _operation(
                "Renew an instance's tokens",
                _answers(200, "Fresh tokens.", "Tokens"),
                "TokenRequest",
            )
        },
        "/v1/secrets": {
            "post": _operation(
                "Get a secret for a while",
                _answers(200, "The secret, sealed to the instance.", "SealedSecret"),
                "SecretRequest",
            )
        },
        "/v1/pins/{app}": {
            "get": {
                **_operation(
                    "Read an app's newest pin set",
                    {
                        **_signed(SET_MEDIA_TYPE, "PinSet"),
                        "304": {"description": "If-None-Match has its ETag."},
                    },
                ),
                "parameters": _in_path("app"),
            }
        },
        "/v1/pins/{app}/roots/{version}": {
            "get": {
                **_operation("Read a root list of pins", _signed(ROOTS_MEDIA_TYPE, "PinRoots")),
                "parameters": _in_path("app", "version"),
            }
        },
        "/v1/pins/reports": {
            "post": _operation(
                "Report a connection that pins speak against",
                {
                    "204": {"description": "It was read; whether it counts isn't told."},
                    "default": {"$ref": "#/components/responses/Refusal"},
                },
                "PinReport",
            )
        },
        "/.well-known/jwks.json": {
            "get": _operation("Read the token keys", _answers(200, "A JWK Set.", "KeySet"))
        },
        "/.well-known/verdicts/{api}/jwks.json": {
            "get": {
                **_operation(
                    "Read the key that signs verdicts for an API",
                    _answers(200, "A JWK Set.", "KeySet"),
                ),
                "parameters": _in_path("api"),
            }
        },
        "/healthz": {
            "get": _operation(
                "Ask whether the service could enrol now", _answers(200, "It could.", "Health")
            )
        },
        "/openapi.json": {
            "get": _operation("Read this document", _answers(200, "OpenAPI 3.1.", "Description"))
        },
    },
    "components": {
        "schemas": _SCHEMAS,
        "responses": {
            "Refusal": {
                "description": "A refusal (RFC 9457). 503 carries Retry-After.",
                "headers": {
                    "Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}
                },
                "content": {"application/problem+json": {"schema": _reference("Problem")}},
            }
        },
    },
}
"""The document that ``GET /openapi.json`` returns."""
