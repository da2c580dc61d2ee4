"""A message queue as a sink: durable, persistent messages, confirmed by the broker, by AMQP 0-9-1.

pika: it is what runqy's documents use, needs nothing but itself, and its heartbeats end a wait for
a broker that went silent. A connection an attempt: one that lies idle would have to be kept alive.
"""

from __future__ import annotations

import json
import logging
import time
from typing import Any
from urllib.parse import quote, unquote

from runqy_notebook.deliver.sink import Attempt, Delivered, Failed, Limits, Message
from runqy_notebook.deliver.urls import SinkURL, shown
from runqy_notebook.errors import DestinationError

logging.getLogger("pika").addHandler(logging.NullHandler())  # else Python prints what we tell

_QUERY = ("routing_key", "vhost", "declare")
_KINDS = ("direct", "fanout", "topic", "headers")


class Exchange:
    """`amqp://user:password@host/exchange?routing_key=...`. Without an exchange the routing key is
    the name of a queue, which is made where it is missing, durable. `&declare=topic` makes a
    missing exchange, durable too. `&vhost=NAME` is the virtual host, `/` by default.

    A message has a body {"task_id", "result"} (and what else is told of the task) and the
    delivery's id as its `message_id`.
    """

    suffix = None
    largest = 2**26

    def __init__(self, url: str) -> None:
        self._parts = parts = SinkURL.of(url)
        parts.check_query(_QUERY)
        login, _, place = parts.rest.rpartition("@")
        self._server, _, path = place.partition("/")
        self._login = login
        self._exchange = unquote(path)
        self._routing_key = parts.query.get("routing_key", "")
        self._declares = parts.query.get("declare", "")
        if not self._server or not (self._exchange or self._routing_key):
            raise DestinationError(
                f"{shown(url)} must say where to: amqp://host/EXCHANGE?routing_key=KEY, or "
                "amqp://host/?routing_key=QUEUE"
            )
        if self._declares and self._declares not in _KINDS:
            raise DestinationError(f"declare is one of {', '.join(_KINDS)}")
        self._parameters(1.0)

    def __str__(self) -> str:
        return shown(f"{self._parts.scheme}://{self._parts.rest}")

    def __repr__(self) -> str:
        return f"<Exchange {self}>"

    def deliver(self, message: Message, limits: Limits) -> Attempt:
        import pika
        from pika import exceptions

        began = time.monotonic()
        told = message.told()
        body = json.dumps(_ordered(told), ensure_ascii=False).encode("utf-8", "replace")
        properties = pika.BasicProperties(
            content_type="application/json",
            delivery_mode=2,  # persistent
            message_id=message.id,
            correlation_id=_short(message.task_id),
        )
        try:
            connection = pika.BlockingConnection(self._parameters(limits.deadline))
            try:
                channel = connection.channel()
                self._declare(channel)
                channel.confirm_delivery()
                channel.basic_publish(
                    self._exchange, self._routing_key, body, properties, mandatory=True
                )
            finally:
                if connection.is_open:
                    connection.close()
        except exceptions.UnroutableError:
            return Failed(
                f"no queue is bound to the exchange {self._exchange!r} for the key "
                f"{self._routing_key!r}",
                time.monotonic() - began,
            )
        except (exceptions.AMQPError, OSError) as error:
            return Failed(self._described(error), time.monotonic() - began)
        return Delivered(None, time.monotonic() - began)

    def close(self) -> None:
        """Nothing is kept open."""

    # --- inside ---------------------------------------------------------------------------------

    def _parameters(self, seconds: float) -> Any:
        import pika

        vhost = quote(self._parts.query.get("vhost", "/"), safe="")
        login = f"{self._login}@" if self._login else ""
        try:
            made = pika.URLParameters(f"{self._parts.scheme}://{login}{self._server}/{vhost}")
        except ValueError as error:
            raise DestinationError(
                f"{self} is no URL of a message broker: {self._parts.scrubbed(error)}"
            ) from None
        made.socket_timeout = made.stack_timeout = made.blocked_connection_timeout = seconds
        made.heartbeat = max(4, round(seconds / 2))  # ends a wait for a broker that went silent
        made.connection_attempts = 1
        return made

    def _declare(self, channel: Any) -> None:
        if not self._exchange:
            channel.queue_declare(queue=self._routing_key, durable=True)
        elif self._declares:
            channel.exchange_declare(self._exchange, self._declares, durable=True)

    def _described(self, error: BaseException) -> str:
        """Pika wraps errors in errors, and says little itself."""
        texts = [f"{type(error).__name__}: {error}"]
        if not str(error):
            causes = [*getattr(error, "args", ()), error.__cause__, error.__context__]
            texts = [type(error).__name__, *(str(c) or repr(c) for c in causes if c)]
        return self._parts.scrubbed(": ".join(texts))


def _ordered(told: dict[str, Any]) -> dict[str, Any]:
    """As documented, {"task_id", "result"} first."""
    first = {"task_id": told.get("task_id"), "result": told.get("result")}
    return {**first, **{name: value for name, value in told.items() if name not in first}}


def _short(text: str) -> str:
    """Cut to the 255 bytes that AMQP gives a short string."""
    return text.encode("utf-8", "replace")[:255].decode("utf-8", "ignore")
