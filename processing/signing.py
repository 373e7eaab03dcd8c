"""Addresses in a bucket, signed for who has its keys.

Source: Amazon, "Authenticating Requests: Using Query Parameters (AWS Signature Version 4)". Other houses' stores of
objects take the same.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

#: A signed address is good for so long. [s]
LIFE = 6 * 3600


def signed(
    url: str, key: str, secret: str, region: str, now: datetime, *, method: str = "GET", life: int = LIFE
) -> str:
    """An address with its signature in the query.

    Parameters
    ----------
    url : str
        Percent-encoded as it is asked for.
    key, secret, region : str
    now : datetime
        From when on it is good.
    method : str
        That it is good for.
    life : int
        Seconds.
    """
    parts, moment = urlsplit(url), f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    scope = f"{moment[:8]}/{region}/s3/aws4_request"
    given = dict(part.split("=", 1) for part in parts.query.split("&") if part)
    given |= {
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": quote(f"{key}/{scope}", safe=""),
        "X-Amz-Date": moment,
        "X-Amz-Expires": str(life),
        "X-Amz-SignedHeaders": "host",
    }
    query = "&".join(f"{name}={given[name]}" for name in sorted(given))
    asked = "\n".join([method, parts.path, query, f"host:{parts.netloc}", "", "host", "UNSIGNED-PAYLOAD"])
    said = "\n".join(["AWS4-HMAC-SHA256", moment, scope, hashlib.sha256(asked.encode()).hexdigest()])
    digest = f"AWS4{secret}".encode()
    for word in scope.split("/"):
        digest = hmac.new(digest, word.encode(), "sha256").digest()
    signature = hmac.new(digest, said.encode(), "sha256").hexdigest()
    return f"{parts.scheme}://{parts.netloc}{parts.path}?{query}&X-Amz-Signature={signature}"
