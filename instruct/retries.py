"""When a failed request is sent again, after how long, and when a failure ends the whole run."""

from __future__ import annotations

import math
import random
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import Enum

import openai

ATTEMPTS = 8  # of one request against errors, time-outs and broken replies
RATE_LIMIT_ATTEMPTS = 60  # of one request against status 429, which shows that the endpoint lives
FIRST_CONTACT_ATTEMPTS = 4  # while the endpoint has never answered anything
REJECTED_IN_A_ROW = 5  # rejected requests of an endpoint that has never completed one
_LONGEST_DELAY = 30.0
_LONGEST_PAUSE = 3600.0  # whatever an endpoint asks
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_UNSENT = ("ConnectError", "ConnectTimeout", "PoolTimeout")  # httpx: the request never left


class Action(Enum):
    """What a failure calls for."""

    RETRY = "retry"
    WAIT = "wait"  # rate limited: retry, with more patience
    GIVE_UP = "give_up"  # this request only
    STOP = "stop"  # no request can succeed


@dataclass(frozen=True)
class Failure:
    """A failed attempt: what to do, why in one line, and whether the endpoint may have charged for it.

    `retry_after` (seconds) is for this request, `pause` for all of them.
    """

    action: Action
    message: str
    answered: bool = True
    maybe_paid: bool = False
    retry_after: float | None = None
    pause: float = 0.0

    @property
    def unsent(self) -> bool:
        """Whether the request never left: nobody listens at the address."""
        return not self.answered and not self.maybe_paid


class BrokenReplyError(Exception):
    """A reply with status 200 whose body is not a chat completion."""


def classify(error: Exception, api_key: str) -> Failure:
    """Judge the error of one attempt; the message never holds the key."""
    if isinstance(error, openai.APIStatusError):
        return _classify_status(error, api_key)
    if isinstance(error, (openai.APITimeoutError, TimeoutError)):
        return Failure(Action.RETRY, "no reply within the time limit", answered=False, maybe_paid=True)
    if isinstance(error, openai.APIConnectionError):
        cause = error.__cause__
        unsent = type(cause).__name__ in _UNSENT
        message = one_line(str(cause or error), api_key) or "connection lost"
        return Failure(Action.RETRY, message, answered=not unsent, maybe_paid=not unsent)
    return Failure(Action.RETRY, one_line(str(error), api_key), maybe_paid=True)


def _classify_status(error: openai.APIStatusError, api_key: str) -> Failure:
    message = one_line(_server_message(error), api_key)
    return judge_status(error.status_code, message, error.code, error.response.headers)


def judge_status(status: int, message: str, code: str | None, headers: Mapping[str, str]) -> Failure:
    """Judge an answer with a status of 400 or more, by its message (one line), code and headers."""
    message = f"status {status}: {message}"
    if status in (401, 403):
        return Failure(Action.STOP, f"the endpoint refuses the key (status {status}); check OPENAI_API_KEY")
    if status == 404:
        return Failure(Action.STOP, f"the endpoint knows no such model or address ({message})")
    if status == 402 or (status == 429 and code == "insufficient_quota"):
        return Failure(Action.STOP, f"the account's quota is used up ({message})")
    pause = exhausted(headers)
    wait = retry_after(headers, time.time())
    if status == 429:
        return Failure(Action.WAIT, message, retry_after=pause or None if wait is None else wait, pause=pause)
    if status in (408, 409, 425) or status >= 500:
        return Failure(Action.RETRY, message, retry_after=wait)
    return Failure(Action.GIVE_UP, message)


def refuses_schema(message: str) -> bool:
    """Whether a rejection's message says that the endpoint cannot hold a reply to a JSON schema."""
    return re.search(r"response_format|json_schema|guided|structured", message, re.IGNORECASE) is not None


def _server_message(error: openai.APIStatusError) -> str:
    body = error.body
    if isinstance(body, dict) and isinstance(body.get("message"), str):
        return str(body["message"])
    return error.message


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds that a reply's Retry-After header asks to wait (a number or an HTTP date), or None.

    `now` is the time of the clock in seconds since the epoch (RFC 9110, section 10.2.3).
    """
    value = headers.get("retry-after", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - now
        except (ValueError, OverflowError):
            return None
    return min(_LONGEST_PAUSE, max(0.0, seconds)) if math.isfinite(seconds) else None


def exhausted(headers: Mapping[str, str]) -> float:
    """Seconds until more may be sent, where a reply's headers say that nothing is left of a limit; else 0.

    OpenAI's `x-ratelimit-remaining-requests` and `-tokens`, with `x-ratelimit-reset-...` as `1s` or `6m0s`.
    """
    waits = [0.0]
    for kind in ("requests", "tokens"):
        if headers.get(f"x-ratelimit-remaining-{kind}", "").strip() == "0":
            waits.append(duration(headers.get(f"x-ratelimit-reset-{kind}", "")) or 0.0)
    return min(_LONGEST_PAUSE, max(waits))


def duration(text: str) -> float | None:
    """Seconds of a duration such as `6m0s`, `1.5s`, `20ms`, or a plain number of seconds; None for others."""
    text = text.strip()
    if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text, re.ASCII):
        return float(text)
    if not re.fullmatch(r"(?:\d{1,9}(?:\.\d{1,9})?(?:ms|[dhms]))+", text, re.ASCII):
        return None
    parts = re.findall(r"([\d.]+)(ms|[dhms])", text)
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def delay(attempt: int, base: float, asked: float | None) -> float:
    """Seconds before attempt number `attempt` + 1: what the endpoint asked, else exponential with jitter."""
    if asked is not None:
        return asked + random.uniform(0.0, min(base, 0.1 * asked + 0.05))
    return float(min(_LONGEST_DELAY, base * 2 ** (attempt - 1)) * random.uniform(0.5, 1.0))


def one_line(text: str, api_key: str, longest: int = 200) -> str:
    """A message on one line, cut to `longest` characters, with the key blotted out."""
    if api_key:
        text = text.replace(api_key, "***")
    line = " ".join(text.split())
    return line if len(line) <= longest else line[: longest - 3] + "..."
