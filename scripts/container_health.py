"""Whether the service of this container is ready: exit code 0 or 1. What HEALTHCHECK runs every few seconds.

Standard library only, and little of it: it must cost next to nothing.
"""

import http.client
import os
import sys

TIMEOUT_S = 4.0


def is_ready(service: str) -> bool:
    """Whether ``/health`` of ``asr`` or ``tts`` answers 200 at the address that the environment gives it."""
    prefix, port = {"asr": ("ASR", 5001), "tts": ("TTS", 5002)}[service]
    host = os.environ.get(f"{prefix}_HOST", "")
    # Docker's links put an address here.
    given = os.environ.get(f"{prefix}_PORT", "")
    # No proxy of the environment comes between: http.client knows none.
    connection = http.client.HTTPConnection(
        "127.0.0.1" if host in {"", "0.0.0.0", "::"} else host,  # noqa: S104 - compared, not listened on
        int(given) if given.isdecimal() else port,
        timeout=TIMEOUT_S,
    )
    # Where HEALTH_OPEN is false, it takes one of the keys.
    key = os.environ.get("API_KEYS", "").strip(", ").split(",")[0].strip()
    try:
        connection.request("GET", "/health", headers={"Authorization": f"Bearer {key}"} if key else {})
        answer = connection.getresponse()
        sys.stdout.write(answer.read(2000).decode("utf-8", "replace"))
    except OSError as error:
        sys.stdout.write(f"{error}\n")
        return False
    return answer.status == 200


if __name__ == "__main__":
    sys.exit(0 if is_ready(sys.argv[1]) else 1)
