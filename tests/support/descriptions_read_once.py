"""Once this is loaded, botocore's sessions share what has been read of the services' descriptions.

Reading them is most of what a new client costs.
"""

from __future__ import annotations

from botocore import loaders, session

_loader = loaders.create_loader()
session.create_loader = lambda *_: _loader
for name in ("s3", "dynamodb", "sqs"):
    session.Session().create_client(
        name, "us-east-1", aws_access_key_id="nobody", aws_secret_access_key="nobody"
    )
