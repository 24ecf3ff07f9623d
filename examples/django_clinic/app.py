"""A clinic's API on Django that only the genuine app can call: settings, views and WSGI in one file.

Run the service and the API beside each other, both on the watchword.yaml of this folder::

    watchword up
    gunicorn --threads 8 "app:clinic()"
"""

import json
from pathlib import Path

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path

from watchword.apps.gateway import WatchwordWsgiMiddleware, gate_from, verified_claims

CONFIGURATION = Path(__file__).with_name("watchword.yaml")


def health(_request: HttpRequest) -> JsonResponse:
    """Answer the load balancer."""
    return JsonResponse({"status": "ok"})


def patient(request: HttpRequest, number: int) -> JsonResponse:
    """Return a patient's record."""
    # From the middleware, and not from a header: without it in front this is an error, and no answer.
    # None where nobody was verified: in off, and for what monitor and canary let pass.
    instance = verified_claims(request.META)
    if instance is None:
        return JsonResponse({"patient": number, "asked_by": None})
    return JsonResponse({"patient": number, "asked_by": instance.subject, "level": instance.level})


def notes(request: HttpRequest, number: int) -> JsonResponse:
    """Add a note to a record; the proof covers the body, so that it is the one that the phone sent."""
    return JsonResponse({"patient": number, "note": json.loads(request.body)["text"]}, status=201)


urlpatterns = [
    path("health", health),
    path("v1/patients/<int:number>", patient),
    path("v1/patients/<int:number>/notes", notes),
]


def clinic(configuration: Path = CONFIGURATION) -> WatchwordWsgiMiddleware:
    """Return the API; in a project of yours this is ``wsgi.py``, and its last line is all that changes.

    Django's own middleware would come too late: it runs when Django has read the request already.
    """
    if not settings.configured:
        # The gate demands exactly one Host, and verifies it where a proof covers it.
        settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], USE_I18N=False)
        django.setup()
    application = get_wsgi_application()
    return WatchwordWsgiMiddleware(application, gate=gate_from(configuration, api="clinic"))
