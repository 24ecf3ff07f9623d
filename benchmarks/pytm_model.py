"""Say the seed's case to pytm: an app, its API, its records, the key in the package, a phone in other hands.

It has the kind and size of the sample in pytm's own repository, which the package doesn't carry: one actor, three parts,
two stores, eight flows.  Run: ``python -m benchmarks.pytm_model --json FILE``.
"""

from pytm import (  # type: ignore[import-untyped]
    TM,
    Actor,
    Boundary,
    Classification,
    Data,
    Dataflow,
    Datastore,
    DatastoreType,
    ExternalEntity,
    Process,
    Server,
)


def build() -> TM:
    """Return the model; pytm keeps what is in it by itself."""
    model = TM("API key and script", description="A mobile app, its API and the records behind it.")
    model.isOrdered = True
    model.mergeResponses = True

    phone = Boundary("Phone")
    internet = Boundary("Internet")
    cloud = Boundary("Cloud")

    records = Data("Records of all users", classification=Classification.TOP_SECRET, isPII=True)
    live = Data("Live data of one user", classification=Classification.SENSITIVE, isPII=True)
    key = Data("API key", classification=Classification.SECRET, isCredentials=True)

    user = Actor("User", inBoundary=phone)
    script = ExternalEntity("Script", inBoundary=internet)
    app = Process("Mobile app", inBoundary=phone)
    cache = Datastore("Storage of the app", inBoundary=phone, type=DatastoreType.FILE_SYSTEM)
    api = Server("API", inBoundary=cloud)
    api.controls.isHardened = True
    api.controls.sanitizesInput = True
    store = Datastore("Records", inBoundary=cloud, type=DatastoreType.SQL)
    store.maxClassification = Classification.TOP_SECRET

    def flow(source: object, sink: object, name: str, protocol: str, data: Data) -> Dataflow:
        return Dataflow(source, sink, name, protocol=protocol, data=data)

    flow(user, app, "Opens the app", "touch", live)
    flow(app, cache, "Keeps live data", "file", live)
    asks = flow(app, api, "Asks with the key", "HTTPS", key)
    answers = flow(api, app, "Hands out one user's records", "HTTPS", records)
    answers.responseTo = asks
    reads = flow(api, store, "Reads records", "SQL", records)
    found = flow(store, api, "Returns records", "SQL", records)
    found.responseTo = reads
    says = flow(script, api, "Says the same words", "HTTPS", key)
    gets = flow(api, script, "Hands out record after record", "HTTPS", records)
    gets.responseTo = says
    return model


if __name__ == "__main__":
    build().process()
