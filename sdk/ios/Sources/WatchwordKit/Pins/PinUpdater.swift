import Foundation

/// A signed set as it came, with the ETag that came with it.
struct FetchedSet: Sendable {
    let data: Data
    let etag: String?
}

/// Hands out what the service publishes for an app; throws where nobody knows.
protocol PinSource: Sendable {
    /// Returns the root list of a version, nil where there is none yet.
    func roots(_ version: Int64) async throws -> Data?

    /// Returns the newest set, nil where it is the one of this ETag, or there is none.
    func newest(etag: String?) async throws -> FetchedSet?
}

/// Fetches over HTTP. What comes is signed, so that the connection needs no pins.
struct HTTPPinSource: PinSource {
    private static let timeout = 15.0
    private let url: String
    private let transport: any Transport

    /// - Parameter transport: one that takes answers of `PinDocuments.maxSetBytes`.
    init(service: String, app: String, transport: any Transport) {
        url = "\(service)/v1/pins/\(app)"
        self.transport = transport
    }

    func roots(_ version: Int64) async throws -> Data? {
        try await get("\(url)/roots/\(version)", etag: nil, limit: PinDocuments.maxRootsBytes)?.data
    }

    func newest(etag: String?) async throws -> FetchedSet? { try await get(url, etag: etag, limit: PinDocuments.maxSetBytes) }

    private func get(_ url: String, etag: String?, limit: Int) async throws -> FetchedSet? {
        var headers = ["Accept-Encoding": "identity"]
        headers["If-None-Match"] = etag
        let answer = try await transport.get(url, headers: headers, timeout: Self.timeout)
        if answer.status == 304 || answer.status == 404 { return nil }
        guard answer.status == 200 else { throw UnreadableAnswerError("got HTTP \(answer.status), expected 200") }
        let encoding = answer.headers["content-encoding"]?.trimmingCharacters(in: .whitespaces) ?? "identity"
        guard encoding.lowercased() == "identity" else {
            throw UnreadableAnswerError("got a compressed answer, which wasn't asked for")
        }
        guard answer.body.count <= limit else {
            throw UnreadableAnswerError("got \(answer.body.count) bytes, expected at most \(limit)")
        }
        return FetchedSet(data: answer.body, etag: answer.headers["etag"])
    }
}

/// What is kept over restarts.
struct KeptPins: Sendable {
    static let maxLists = 64

    /// Most bytes: signed bytes are text, and JSON makes two of some characters.
    static let maxBytes = 2 * (maxLists * PinDocuments.maxRootsBytes + PinDocuments.maxSetBytes)

    /// Root lists since the one that shipped, in order, as they came.
    let lists: [Data]
    /// The set as it came, nil for none.
    let signed: Data?

    init(lists: [Data], signed: Data?) { (self.lists, self.signed) = (lists, signed) }

    /// Reads what was written; anything else is a `MalformedError`.
    init(_ data: Data) throws {
        let members = try JSONObject.read(data, limit: Self.maxBytes)
        guard Set(members.names) == ["roots", "set"], members["set"] == .null || members["set"]?.text != nil,
            let lists = members["roots"]?.list, lists.count <= Self.maxLists
        else { throw MalformedError(message: "expected exactly the members roots and set of kept pins") }
        self.lists = try lists.map { list in
            guard let text = list.text else { throw MalformedError(message: "expected documents as text") }
            return Data(text.utf8)
        }
        signed = members["set"]?.text.map { Data($0.utf8) }
    }

    func written() -> Data {
        let document: JSONObject = [
            "roots": .list(lists.map { .text(String(decoding: $0, as: UTF8.self)) }),
            "set": signed.map { .text(String(decoding: $0, as: UTF8.self)) } ?? .null,
        ]
        return document.written()
    }

    /// Puts this in place of what a store holds, unless that verifies and is newer.
    ///
    /// It is looked at now: another process may have put something there since this one's start.
    ///
    /// - Parameter installed: what this is of.
    func save(in store: any Store, as installed: Installed) throws {
        guard lists.count <= Self.maxLists else {
            throw MalformedError(message: "got \(lists.count) root lists, expected at most \(Self.maxLists)")
        }
        let held = try store.read().flatMap { data -> Installed? in
            guard let kept = try? KeptPins(data) else { return nil }
            return try? Installed(installed.builtin, lists: kept.lists, signed: kept.signed)
        }
        if let held, held.age > installed.age { return }
        try store.write(written())
    }
}

/// Holds one installation's pins over restarts, and fetches newer ones.
final class PinUpdater: Sendable {
    /// What is trusted, with the bytes that it came as.
    private struct Held {
        var installed: Installed
        var lists: [Data] = []
        var signed: Data?
        var etag: String?

        mutating func fetch(from source: any PinSource, now: () -> Double) async throws {
            // Root lists first: one may withdraw the installed set, and counts also where the set that follows doesn't come.
            for _ in 0..<PinUpdater.maxWalk {
                guard let data = try await source.roots(installed.roots.version + 1) else { break }
                try installed.take(roots: data)
                lists.append(data)
                etag = nil  // The same set may have to be signed by another key now.
            }
            guard let fetched = try await source.newest(etag: etag) else { return }
            try installed.take(set: fetched.data, now: now())
            signed = fetched.data
            etag = fetched.etag
        }
    }

    private struct State {
        var held: Held
        /// What was kept wasn't read yet: at the start, or because the phone wasn't unlocked since its own.
        var isUnread = true
        var isUpdating = false
        var isUnkept = false
        var fault: String?
        var failure: String?
        var failures = 0
        var next = 0.0

        func isDue(at now: Double) -> Bool { now >= next || next - now > PinUpdater.interval }

        mutating func plan(at now: Double, factor: Double, isFailure: Bool) {
            failures = isFailure ? failures + 1 : 0
            let pause = PinUpdater.firstPause * Double(1 << max(0, min(failures - 1, PinUpdater.maxDoublings)))
            let success = held.installed.isFresh(now: now) ? PinUpdater.interval : PinUpdater.staleInterval
            next = now + factor * (isFailure ? min(PinUpdater.interval, pause) : success)
        }
    }

    private static let maxWalk = 32
    private static let interval = 6 * 3600.0
    private static let staleInterval = 900.0
    private static let firstPause = 60.0
    private static let maxDoublings = 16

    private let builtin: Builtin
    private let source: any PinSource
    private let store: (any Store)?
    private let now: @Sendable () -> Double
    private let jitter: @Sendable () -> Double
    private let state: Locked<State>
    private let judging: PinKeeper

    /// - Parameters:
    ///   - store: nil where nothing is kept.
    ///   - now: returns seconds since 1970.
    ///   - jitter: returns a number from 0 to below 1.
    init(
        _ builtin: Builtin, source: any PinSource, store: (any Store)?, now: @escaping @Sendable () -> Double,
        jitter: @escaping @Sendable () -> Double, tell: @escaping @Sendable (Sighting) -> Void = { _ in }
    ) {
        (self.builtin, self.source, self.store, self.now, self.jitter) = (builtin, source, store, now, jitter)
        state = Locked(State(held: Held(installed: Installed(builtin))))
        judging = PinKeeper(Installed(builtin), now: now, tell: tell)
    }

    /// Judges by what is installed, once what was kept has been read.
    var keeper: PinKeeper {
        restore()
        return judging
    }

    /// Why what was kept isn't used, nil where it is or where nothing was kept.
    var fault: String? {
        restore()
        return state.withLock { $0.fault }
    }

    /// Why the last update didn't go to its end, nil where it did.
    var failure: String? { state.withLock { $0.failure } }

    /// Tells whether it is time to ask the service. A clock that was set back doesn't put it off.
    var isDue: Bool {
        let at = now()
        return state.withLock { $0.isDue(at: at) }
    }

    /// Hears of a version, for example beside a token.
    func hear(_ version: Int64) {
        let isNewer = version > keeper.installed.seen
        state.withLock { if isNewer, $0.failures == 0 { $0.next = 0 } }
    }

    /// Takes the turn of an update where one is due and nobody is at it; who gets it calls ``updateInTurn()``.
    func takeTurnIfDue() -> Bool {
        let at = now()
        return state.withLock { state in
            guard state.isDue(at: at), !state.isUpdating else { return false }
            state.isUpdating = true
            return true
        }
    }

    /// Fetches and takes what is newer. Returns at once if another task is at it.
    func update() async {
        let isTurn = state.withLock { state in
            defer { state.isUpdating = true }
            return !state.isUpdating
        }
        if isTurn { await updateInTurn() }
    }

    /// Fetches and takes what is newer, and gives the turn back.
    func updateInTurn() async {
        restore()
        let (isUnread, before) = state.withLock { ($0.isUnread, $0.held) }
        // What is kept may be newer than what came now, and mustn't be written over unread.
        if !isUnread { await update(from: before) }
        state.withLock { $0.isUpdating = false }
    }

    private func update(from before: Held) async {
        var held = before
        var failure: String?
        do {
            try await held.fetch(from: source, now: now)
        } catch {
            failure = "\(error)"
        }
        let (found, isFailure, at, factor) = (held, failure != nil, now(), 0.5 + jitter() / 2)
        judging.replace(by: found.installed)
        let isUnkept = state.withLock { state in
            state.held = found
            state.isUnkept = state.isUnkept || found.installed != before.installed
            state.plan(at: at, factor: factor, isFailure: isFailure)
            return state.isUnkept
        }
        // A disk that is full for good doesn't keep the app from hearing of new pins.
        let unkept = isUnkept ? keep(found) : nil
        let why = failure ?? unkept
        state.withLock { $0.failure = why }
    }

    /// Keeps what is trusted now; returns what went wrong.
    private func keep(_ held: Held) -> String? {
        do {
            if let store { try KeptPins(lists: held.lists, signed: held.signed).save(in: store, as: held.installed) }
        } catch {
            return "\(error)"
        }
        state.withLock { ($0.fault, $0.isUnkept) = (nil, false) }
        return nil
    }

    /// Reads what was kept, where that couldn't be done yet.
    private func restore() {
        state.withLock { state in
            guard state.isUnread else { return }
            do {
                state.held = try restored()
            } catch let error as DeviceError where error.kind == .locked {
                return
            } catch {
                state.fault = "\(error)"
            }
            state.isUnread = false
            judging.replace(by: state.held.installed)
        }
    }

    private func restored() throws -> Held {
        guard let kept = try store?.read().map(KeptPins.init) else { return Held(installed: Installed(builtin)) }
        let installed = try Installed(builtin, lists: kept.lists, signed: kept.signed)
        // Those that the package is past are of no use any more, and would fill the store over the years.
        let lists = try kept.lists.filter { try PinDocuments.version(ofRoots: $0) > builtin.roots.version }
        return Held(installed: installed, lists: lists, signed: kept.signed)
    }
}
