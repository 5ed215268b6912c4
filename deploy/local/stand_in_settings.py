"""How the AWS stand-in is set up, by `make run` and in its container alike; needs nothing but Python."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

ACCESS_KEY = "panzoto"
# What the service uses, and `aws sts get-caller-identity`; some of ministack's other services run code or
# containers.
SERVICES = "dynamodb,s3,ses,sqs,sts"


@dataclass(frozen=True, slots=True)
class StandInSettings:
    """What one stand-in serves: `secret` is the secret access key by which presigned requests are judged."""

    folder: Path
    port: int
    region: str
    bucket: str
    secret: str = field(repr=False)

    def environment(self) -> dict[str, str]:
        """Return the variables that ministack and `stand_in.py` read; they are to get no others but these.

        ministack reads far more, some of which start containers or open ports.
        """
        return {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "S3_BUCKET": self.bucket,
            "GATEWAY_PORT": str(self.port),
            # A name under ministack's own, which is localhost by itself, would be taken for a bucket's.
            "MINISTACK_HOST": "127.0.0.1",
            "SERVICES": SERVICES,
            "PERSIST_STATE": "1",
            "STATE_DIR": str(self.folder / "state"),
            "S3_PERSIST": "1",
            "S3_DATA_DIR": str(self.folder / "objects"),
            "MINISTACK_REGION": self.region,
            "SFTP_ENABLED": "0",
            "IOT_MTLS_ENABLED": "0",
            # A daemon of this machine would be asked for left-over containers otherwise.
            "DOCKER_HOST": f"unix://{self.folder / 'no-docker'}",
        }

    def make_folders(self) -> None:
        """Make the folders of the state, for nobody else to read. Raises `OSError`."""
        for name in (".", "state", "objects"):
            (self.folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
