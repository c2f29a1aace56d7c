"""The secrets of the compose file, drawn once: files in infra/compose/secrets, and two in .env.

    python -m infra.compose.secrets

What is there already is kept. Containers read the files as users of their own, so the files may be read by all, and the
folder by its owner alone. Neither is ever committed.
"""

from __future__ import annotations

import base64
import json
import secrets
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
DRAWN = ("LOREGRAPH_UI_TOKEN", "SIMULATOR_KEY")  # in .env


def main() -> int:
    """Make what is missing and say where the login stands."""
    make_secrets(HERE)
    sys.stdout.write(f"Airflow: user admin, password in {HERE / 'secrets' / 'airflow_users'}\n")
    sys.stdout.write(f"page: LOREGRAPH_UI_TOKEN in {HERE / '.env'}\n")
    return 0


def make_secrets(folder: Path) -> None:
    """Every secret that the compose file in `folder` names, where it is not there yet."""
    place = folder / "secrets"
    place.mkdir(mode=0o700, exist_ok=True)
    place.chmod(0o700)
    password = _once(place / "postgres_password", secrets.token_urlsafe(32))
    _once(place / "airflow_database", f"postgresql+psycopg://airflow:{password}@postgres/airflow")
    _once(place / "airflow_session", secrets.token_urlsafe(48))
    _once(place / "airflow_jwt", secrets.token_urlsafe(48))
    _once(place / "airflow_fernet", base64.urlsafe_b64encode(secrets.token_bytes(32)).decode())
    _once(place / "airflow_users", json.dumps({"admin": secrets.token_urlsafe(12)}))
    environment = folder / ".env"
    if not environment.exists():
        environment.touch(mode=0o600)
        example = (folder / ".env.example").read_text(encoding="utf-8")
        for name in DRAWN:
            example = example.replace(f"\n{name}=\n", f"\n{name}={secrets.token_urlsafe(24)}\n")
        environment.write_text(example, encoding="utf-8")


def _once(file: Path, text: str) -> str:
    """Write a file that is not there; what stands in it."""
    if not file.exists():
        file.write_text(text, encoding="utf-8")
        file.chmod(0o644)
    return file.read_text(encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
