"""Patience: how long a request waits for the database before it is answered that there is none."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds. `turn` is for a connection and the turn to write, in which an import or a storm of uploads may
    be ahead; `statement` for each statement on PostgreSQL, where one waits for others' locks; `phone` for all
    that a phone's fetch needs, since a phone asks again; `health` for /health and /metrics.

    A connection that was kept has `ping` to show that it is not dead. After `abandoned` PostgreSQL ends a
    transaction of which it hears nothing.
    """

    turn: float = 30.0
    statement: float = 30.0
    phone: float = 10.0
    health: float = 5.0
    ping: float = 2.0
    abandoned: float = 30.0
