"""Google's service accounts for tests: keys made here, and what stands for the server that gives
tokens for them, https://developers.google.com/identity/protocols/oauth2/service-account.
"""

from __future__ import annotations

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from google.auth import jwt

_AUDIENCE = "https://oauth2.googleapis.com/token"  # whatever the key file says of the server


class Account:
    """A service account with a fresh key."""

    email = "worker@example.iam.gserviceaccount.com"

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    @property
    def public(self) -> bytes:
        return self._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def write(self, path: Path, token_uri: str) -> Path:
        """Writes the key as Google's console gives it."""
        pem = self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        told = {
            "type": "service_account",
            "project_id": "example",
            "private_key_id": "1",
            "private_key": pem.decode(),
            "client_email": self.email,
            "token_uri": token_uri,
        }
        path.write_text(json.dumps(told))
        return path

    def check(self, url: str) -> dict[str, str]:
        """The query of a signed address; raises InvalidSignature for one that is not good (V4,
        https://cloud.google.com/storage/docs/authentication/canonical-requests).
        """
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query, strict_parsing=True))
        signature = bytes.fromhex(query.pop("X-Goog-Signature"))
        told = urlencode(sorted(query.items()), safe="~")
        request = f"GET\n{parts.path}\n{told}\nhost:{parts.netloc}\n\nhost\nUNSIGNED-PAYLOAD"
        login, _, scope = query["X-Goog-Credential"].partition("/")
        digest = hashlib.sha256(request.encode()).hexdigest()
        text = f"GOOG4-RSA-SHA256\n{query['X-Goog-Date']}\n{scope}\n{digest}"
        self._key.public_key().verify(signature, text.encode(), padding.PKCS1v15(), SHA256())
        assert login == self.email
        return query


class Accounts:
    """Gives tokens to whom it knows, while its `with` block lasts."""

    def __init__(self) -> None:
        self._known: set[bytes] = set()
        outer = self

        class Answering(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                status, told = outer._answer(form["assertion"][0])
                body = json.dumps(told).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
        self.url = f"http://127.0.0.1:{self._server.server_port}/token"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def know(self, account: Account) -> None:
        self._known.add(account.public)

    def __enter__(self) -> Accounts:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _answer(self, assertion: str) -> tuple[int, dict[str, object]]:
        for public in self._known:
            try:
                jwt.decode(assertion, certs=public, audience=_AUDIENCE)
            except ValueError:
                continue
            return 200, {"access_token": "ya29.t0ken", "expires_in": 3600, "token_type": "Bearer"}
        return 400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}
