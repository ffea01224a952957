"""Requests to the API: authenticated, tried again where that is safe, and with errors as exceptions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

import httpx

from longshore.client.problems import ClientError, NotAuthenticated, Unavailable, problem_error
from longshore.client.retrying import Attempts, retry_after
from longshore.settings import ClientSettings

API = "/api/v1"
_OVERLOADED = frozenset({429, 503})
"""The broker did nothing: any request may be sent again."""
_LOST_ON_THE_WAY = frozenset({502, 504})
"""A proxy does not know what became of the request: only a repeatable one may be sent again."""
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

Body = Callable[[], Iterable[bytes]]
"""Opens the body anew for each attempt."""
Parameters = Mapping[str, Any]


@dataclass(frozen=True)
class Call:
    """One request. `repeatable`: doing it twice is the same as doing it once."""

    method: str
    path: str
    parameters: Parameters = field(default_factory=dict)
    json: Any = None
    body: Body | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool = True
    patience: float | None = None
    read_timeout: float | None = None


class Transport:
    """The connection to one broker."""

    def __init__(
        self,
        settings: ClientSettings,
        *,
        basic: tuple[str, str] | None = None,
        timeout: float = 30.0,
        http_transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.settings = settings
        self._timeout = timeout
        headers = {"Accept": "application/json", "User-Agent": "longshore-client"}
        if settings.token and not basic:
            headers["Authorization"] = f"Bearer {settings.token}"
        self._http = httpx.Client(
            base_url=settings.url,
            headers=headers,
            auth=basic,
            timeout=httpx.Timeout(timeout, connect=min(timeout, 5.0)),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=20),  # streams hold one each
            transport=http_transport,
            verify=settings.url.startswith("https"),  # certificates are read only where there are some to check
            trust_env=urlsplit(settings.url).hostname not in _LOOPBACK,  # no proxy leads to this machine
        )
        self._is_anonymous = not (settings.token or basic)

    def close(self) -> None:
        """Give back the connections."""
        self._http.close()

    # --------------------------------------------------------------------------------- answers of JSON

    def get(self, path: str, parameters: Parameters | None = None, *, patience: float | None = None) -> Any:
        """GET a JSON document."""
        return self.send(Call("GET", path, parameters or {}, patience=patience)).json()

    def post(self, path: str, document: Any = None, *, repeatable: bool = True) -> Any:
        """POST a JSON document and give the answer's."""
        return self.send(Call("POST", path, json=document or {}, repeatable=repeatable)).json()

    def delete(self, path: str) -> None:
        """DELETE a thing; the answer is lost only if the connection is, so it is not sent twice blindly."""
        self.send(Call("DELETE", path, repeatable=False))

    def health(self, path: str) -> Any:
        """GET one of the health pages at the root; an ill broker answers too, with 503."""
        try:
            return self._once(Call("GET", path), stream=False).json()
        except httpx.TransportError as error:
            raise self._unreachable(error) from error
        except ValueError as error:
            raise Unavailable(f"{self.settings.url} does not answer like a broker") from error

    def pages(self, path: str, parameters: Parameters) -> Iterator[Any]:
        """Go through all items of a list, page by page."""
        cursor: str | None = None
        while True:
            page = self.get(path, parameters if cursor is None else {**parameters, "cursor": cursor})
            yield from page.get("items", [])
            cursor = page.get("next")
            if not cursor:
                return

    # ----------------------------------------------------------------------------------------- requests

    def send(self, call: Call) -> httpx.Response:
        """Send a request and give its whole answer; anything but success is an exception."""
        with self._answered(call, stream=False) as response:
            return response

    @contextmanager
    def stream(self, call: Call) -> Iterator[httpx.Response]:
        """Send a request and give its answer while the body still comes in."""
        with self._answered(call, stream=True) as response:
            yield response

    @contextmanager
    def _answered(self, call: Call, *, stream: bool) -> Iterator[httpx.Response]:
        response = self._accepted(call, stream=stream)
        try:
            yield response
        except httpx.TransportError as error:
            raise self._unreachable(error) from error
        finally:
            response.close()

    def _accepted(self, call: Call, *, stream: bool) -> httpx.Response:
        attempts = Attempts(self.settings.patience if call.patience is None else call.patience)
        while True:
            try:
                response = self._once(call, stream=stream)
            except httpx.TransportError as error:
                if self._may_repeat(call, error) and attempts.pause():
                    continue
                raise self._unreachable(error) from error
            if response.is_success or response.status_code == httpx.codes.NOT_MODIFIED:
                return response
            if not (self._asks_again(call, response) and attempts.pause(_pause_asked(response))):
                raise self._refusal(response)

    def _once(self, call: Call, *, stream: bool) -> httpx.Response:
        path = call.path if call.path.startswith("/") else f"{API}/{call.path}"
        request = self._http.build_request(
            call.method,
            path,
            params={name: value for name, value in call.parameters.items() if value is not None},
            json=call.json,
            content=call.body() if call.body else None,
            headers=call.headers,
        )
        if call.read_timeout is not None:
            request.extensions = {**request.extensions, "timeout": self._limits(call.read_timeout)}
        response = self._http.send(request, stream=stream)
        if stream and not response.is_success:
            response.read()
        return response

    def _limits(self, read: float) -> dict[str, float | None]:
        return httpx.Timeout(self._timeout, read=read).as_dict()

    @staticmethod
    def _may_repeat(call: Call, error: httpx.TransportError) -> bool:
        return call.repeatable or isinstance(error, _NEVER_SENT)

    @staticmethod
    def _asks_again(call: Call, response: httpx.Response) -> bool:
        status = response.status_code
        return status in _OVERLOADED or (call.repeatable and status in _LOST_ON_THE_WAY)

    # ------------------------------------------------------------------------------------------- errors

    def _unreachable(self, error: httpx.TransportError) -> Unavailable:
        what = str(error) or type(error).__name__
        return Unavailable(f"The broker at {self.settings.url} cannot be reached: {what}")

    def _refusal(self, response: httpx.Response) -> ClientError:
        error = problem_error(response.status_code, _document(response))
        if isinstance(error, NotAuthenticated) and self._is_anonymous:
            error.detail += " No token was given: set LONGSHORE_TOKEN or LONGSHORE_DATA_DIR."
        return error


def with_key(call: Call, key: str) -> Call:
    """Let a request be sent again without being done twice."""
    return replace(call, headers={**call.headers, "Idempotency-Key": key}, repeatable=True)


def _pause_asked(response: httpx.Response) -> float | None:
    return retry_after(response.headers.get("Retry-After"))


def _document(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return None
