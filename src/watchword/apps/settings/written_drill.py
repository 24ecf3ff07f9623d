"""Describe the ``drill`` section as it is written: where an API is attacked, and with which requests."""

from typing import Annotated, TypeAlias

from pydantic import Field

from watchword.apps.settings.written_types import FilePath, Origin, Written

MAX_REQUESTS = 50
"""Most sample requests of one API: every one of them is sent by several attacks."""

_HeaderName: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,63}$")]
_HeaderValue: TypeAlias = Annotated[str, Field(pattern=r"^[ -~]{0,2000}$")]
_Target: TypeAlias = Annotated[str, Field(pattern=r"^/[!-~]{0,2000}$")]

_Status: TypeAlias = (
    Annotated[int, Field(ge=200, le=599)] | Annotated[str, Field(pattern=r"^[2-5]xx$")]
)


class WrittenRequest(Written):
    """Describe a request that the API serves to the genuine app; nothing in it may do harm if it's served."""

    method: Annotated[str, Field(pattern=r"^[A-Z]{1,16}$")] = "GET"
    path: Annotated[_Target, Field(description="with its query, as it is sent")]
    body: Annotated[str | None, Field(max_length=64 * 1024)] = None
    content_type: Annotated[str, Field(pattern=r"^[ -~]{1,100}$")] = "application/json"
    status: Annotated[
        list[_Status],
        Field(
            min_length=1,
            max_length=20,
            description="what the API answers to the genuine app, by code or class, such as [2xx, 404]; "
            "any other answer makes the run unsure",
        ),
    ] = ["2xx"]
    echo: Annotated[
        bool, Field(description="its answer repeats the headers that the API was sent")
    ] = False
    login: Annotated[
        bool, Field(description="it signs a user in; {name} and {password} in its body are filled")
    ] = False


class WrittenDrill(Written):
    """Say how `watchword drill` reaches one API, and what it asks of it."""

    target: Annotated[
        Origin | None, Field(description="the gate; left out: where the API's proxy listens")
    ] = None
    service: Annotated[
        Origin | None, Field(description="left out: the issuer, in a lab where it listens")
    ] = None
    upstream: Annotated[
        Origin | None,
        Field(description="the API itself, behind the gate; left out: nobody goes around it"),
    ] = None
    consent: Annotated[
        FilePath | None,
        Field(description="the consent that the API's proxy serves at its well-known path"),
    ] = None
    service_consent: Annotated[
        FilePath | None, Field(description="the same for the service, an origin of its own")
    ] = None
    headers: Annotated[
        dict[_HeaderName, _HeaderValue],
        Field(max_length=20, description="what every copy of the app sends, such as its key"),
    ] = {}
    headers_file: Annotated[
        FilePath | None, Field(description="file with more of them, a line each: name: value")
    ] = None
    requests: Annotated[
        list[WrittenRequest],
        Field(max_length=MAX_REQUESTS, description="left out: a GET made from each route"),
    ] = []
