"""Once this is loaded, botocore's sessions share what has been read of the services' descriptions.

Reading them, and making of them the rules of endpoints and the names of events, is most of what a new client
costs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import boto3
from botocore import hooks, loaders, regions, session
from botocore.client import ClientCreator
from botocore.endpoint_provider import EndpointProvider
from botocore.hooks import EventAliaser
from botocore.model import ServiceModel

_loader = loaders.create_loader()
session.create_loader = lambda *_: _loader

# By the description, of which the loader has one for each service; they remember nothing but answers.
_providers: dict[int, EndpointProvider] = {}
_names: dict[str, str] = {}
_methods: dict[str, dict[str, Callable[..., Any]]] = {}
_create_methods = ClientCreator._create_methods
_init = EventAliaser.__init__
_accepts = lru_cache(1024)(hooks.accepts_kwargs)


def _provider(ruleset_data: dict[str, Any], **how: Any) -> EndpointProvider:
    if id(ruleset_data) not in _providers:
        _providers[id(ruleset_data)] = EndpointProvider(ruleset_data, **how)
    return _providers[id(ruleset_data)]


def _init_with_names(
    aliaser: EventAliaser, emitter: Any, event_aliases: dict[str, str] | None = None
) -> None:
    _init(aliaser, emitter, event_aliases)
    if event_aliases is None:
        aliaser._alias_name_cache = _names


def _accepts_keywords(handler: Callable[..., Any]) -> bool:
    # Of a method it is told once, and not for each client that it is bound to.
    return _accepts(getattr(handler, "__func__", handler))


def _methods_of(creator: ClientCreator, service_model: ServiceModel) -> dict[str, Callable[..., Any]]:
    # Each knows the name of its operation and nothing else; some clients are given more of them.
    name = service_model.service_name
    if name not in _methods:
        _methods[name] = _create_methods(creator, service_model)
    return dict(_methods[name])


regions.EndpointProvider = _provider
ClientCreator._create_methods = _methods_of
hooks.accepts_kwargs = _accepts_keywords
EventAliaser.__init__ = _init_with_names
for name in ("s3", "dynamodb", "sqs"):
    boto3.session.Session().client(
        name, "us-east-1", aws_access_key_id="nobody", aws_secret_access_key="nobody"
    )
