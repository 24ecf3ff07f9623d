import CryptoKit
import Foundation

@testable import WatchwordKit

/// A time of the vectors at which their documents count.
let pinsNow = 1_795_521_600.0

/// The documents of the pins' vectors, by name.
enum PinFile {
    static func data(_ name: String) throws -> Data {
        let documents = try ProtocolVector.document.object("pins").object("documents")
        // One of them is empty on purpose.
        guard let text = documents[name]?.text else { throw MalformedError(message: "got no document \(name)") }
        return Data(text.utf8)
    }

    static func builtin(_ name: String) throws -> Builtin { try PinDocuments.builtin(data(name)) }
}

/// A phone's place for pins: may be locked or full, and counts what is written.
final class PinStore: Store {
    private struct State {
        var data: Data?
        var isFull = false
        var isLocked = false
        var writes = 0
    }

    private let state = Locked(State())

    var isFull: Bool {
        get { state.withLock { $0.isFull } }
        set { state.withLock { $0.isFull = newValue } }
    }

    var isLocked: Bool {
        get { state.withLock { $0.isLocked } }
        set { state.withLock { $0.isLocked = newValue } }
    }

    var writes: Int { state.withLock { $0.writes } }

    func read() throws -> Data? {
        try state.withLock { state in
            if state.isLocked { throw DeviceError(.locked, "not unlocked yet") }
            return state.data
        }
    }

    func write(_ data: Data) throws {
        try state.withLock { state in
            state.writes += 1
            if state.isFull { throw CocoaError(.fileWriteOutOfSpace) }
            state.data = data
        }
    }

    func clear() throws { state.withLock { $0.data = nil } }
}

/// What a service publishes of the vectors' documents.
final class PublishedPins: PinSource {
    struct State: Sendable {
        var lists: [Int64: String] = [:]
        var set: String?
        var isOut = false
        /// The ETags that were sent along, nil for none.
        var tags: [String?] = []
    }

    private let state = Locked(State())

    func change<T>(_ body: (inout State) -> T) -> T { state.withLock { body(&$0) } }

    func roots(_ version: Int64) async throws -> Data? {
        let (name, isOut) = change { ($0.lists[version], $0.isOut) }
        if isOut { throw URLError(.timedOut) }
        return try name.map(PinFile.data)
    }

    func newest(etag: String?) async throws -> FetchedSet? {
        let name = change { state -> String? in
            state.tags.append(etag)
            return state.set
        }
        guard let name, name != etag else { return nil }
        return FetchedSet(data: try PinFile.data(name), etag: name)
    }
}

/// Clocks that a test sets.
final class PinClock: DeviceClock {
    private let times = Locked((wall: pinsNow, boot: 0.0))
    let bootID = "boot"

    var now: Double {
        get { times.withLock { $0.wall } }
        set { times.withLock { $0.wall = newValue } }
    }

    var uptime: Double {
        get { times.withLock { $0.boot } }
        set { times.withLock { $0.boot = newValue } }
    }

    func wall() -> Double { now }
    func boot() -> Double { uptime }
}

/// Signs root lists and pin sets of one app, and hands them out as the service does.
final class PinPublisher: Transport {
    fileprivate struct Signer: Sendable {
        let key = P256.Signing.PrivateKey()

        var jwk: JSONObject {
            let point = key.publicKey.rawRepresentation
            return ["crv": "P-256", "kty": "EC", "x": .text(point.prefix(32).base64URL()), "y": .text(Data(point.suffix(32)).base64URL())]
        }

        func header(_ type: String, kid: (String) -> String = { $0 }) -> String {
            let header: JSONObject = ["alg": "ES256", "kid": .text(kid(sha256(jwk.written()).base64URL())), "typ": .text(type)]
            return header.written().base64URL()
        }

        func sign(_ text: String) throws -> String { try key.signature(for: Data(text.utf8)).rawRepresentation.base64URL() }
    }

    struct State: Sendable {
        fileprivate let root = Signer()
        fileprivate var pinKey = Signer()
        fileprivate var version: Int64 = 0
        fileprivate var lists: [String] = []
        fileprivate var set: String?
        /// Paths that were asked for, in order.
        var asked: [String] = []
        /// What was reported, with its address.
        var reports: [(url: String, report: JSONObject)] = []
        /// Answers reports and fetches, where it isn't nil.
        var status: Int?
    }

    private let app: String
    private let state = Locked(State())

    init(app: String = "clinic") throws {
        self.app = app
        try publishRoots()
    }

    func change<T>(_ body: (inout State) throws -> T) rethrows -> T { try state.withLock { try body(&$0) } }

    /// Publishes the next root list; with `newKey` another key signs sets from now on, and what the old one signed is withdrawn.
    func publishRoots(newKey: Bool = false) throws {
        try change { state in
            if newKey { state.pinKey = Signer() }
            let payload: JSONObject = [
                "ver": .integer(Int64(state.lists.count + 1)), "exp": .integer(Int64(pinsNow) + 86_400), "threshold": 1,
                "keys": [.object(state.root.jwk)], "pin_keys": [.object(state.pinKey.jwk)], "floors": [:],
            ]
            let (protected, encoded) = (state.root.header("watchword-pin-roots+jwt"), payload.written().base64URL())
            let signature: JSON = ["protected": .text(protected), "signature": .text(try state.root.sign("\(protected).\(encoded)"))]
            let list: JSONObject = ["payload": .text(encoded), "signatures": [signature]]
            state.lists.append(String(decoding: list.written(), as: UTF8.self))
        }
    }

    /// Publishes the next set.
    ///
    /// - Parameter hosts: by host, pins to their roles.
    func publish(
        _ hosts: [String: [PinText: String]], reports: String? = nil, isReport: Bool = false, hard: Double = pinsNow + 86_400
    ) throws {
        try change { state in
            state.version += 1
            var entries: JSONObject = [:]
            for (host, pins) in hosts {
                var entry: JSONObject = ["pins": .object(pins.reduce(into: [:]) { $0[$1.key] = .text($1.value) })]
                if isReport { entry["mode"] = "report" }
                entries[host] = .object(entry)
            }
            let end = Int64(hard)
            var payload: JSONObject = [
                "app": .text(app), "ver": .integer(state.version), "iat": .integer(end - 2 * 86_400), "soft": .integer(end),
                "hard": .integer(end), "roots": 1, "hosts": .object(entries),
            ]
            payload["reports"] = reports.map { .text($0) }
            let signed = "\(state.pinKey.header("watchword-pins+jwt")).\(payload.written().base64URL())"
            state.set = "\(signed).\(try state.pinKey.sign(signed))"
        }
    }

    /// Returns a set of any payload.
    ///
    /// - Parameter kid: makes another id of the key's.
    func signed(_ payload: Data, kid: (String) -> String = { $0 }) throws -> Data {
        try change { state in
            let signed = "\(state.pinKey.header("watchword-pins+jwt", kid: kid)).\(payload.base64URL())"
            return Data("\(signed).\(try state.pinKey.sign(signed))".utf8)
        }
    }

    /// Returns the file that a version of the app is built with now.
    func builtin() throws -> Data {
        try change { state in
            let list = try JSONObject.read(Data((state.lists.last ?? "").utf8), limit: PinDocuments.maxRootsBytes)
            let file: JSONObject = [
                "app": .text(app), "app_version": "1.0", "floor": 1, "roots": .object(list), "set": state.set.map { .text($0) } ?? .null,
                "authorities": [:],
            ]
            return file.written()
        }
    }

    func get(_ url: String, headers: [String: String], timeout: Double) async throws -> Answer {
        let path = URL(string: url)?.path ?? ""
        return change { state in
            state.asked.append(path)
            if let status = state.status { return Answer(status: status, headers: [:], body: Data()) }
            let prefix = "/v1/pins/\(app)"
            let wanted = path.hasPrefix("\(prefix)/roots/") ? Int(path.dropFirst("\(prefix)/roots/".count)).map { $0 - 1 } : nil
            let list = wanted.flatMap { state.lists.indices.contains($0) ? state.lists[$0] : nil }
            guard let found = path == prefix ? state.set : list else { return Answer(status: 404, headers: [:], body: Data()) }
            let tag = "\"\(sha256(Data(found.utf8)).base64URL())\""
            if headers["If-None-Match"] == tag { return Answer(status: 304, headers: [:], body: Data()) }
            return Answer(status: 200, headers: ["etag": tag], body: Data(found.utf8))
        }
    }

    func post(_ url: String, headers: [String: String], body: Data, timeout: Double) async throws -> Answer {
        guard headers == ["Content-Type": "application/json", "Accept-Encoding": "identity"] else {
            throw MalformedError(message: "got a report with the headers \(headers.keys)")
        }
        let report = try JSONObject.read(body, limit: 32 * 1024)
        return change { state in
            state.reports.append((url, report))
            return Answer(status: state.status ?? 204, headers: [:], body: Data())
        }
    }
}

/// Issues certificates that verify, with keys made on the spot.
struct SimulatedAuthority: Sendable {
    let key = P256.Signing.PrivateKey()

    /// Its own, signed by itself.
    func certificate() throws -> Data { try DER.certificate(key.publicKey, by: key) }

    func pin() throws -> PinText { try CertificatePins.pin(of: certificate()) }

    /// A server's: another key each time.
    func server() throws -> Data { try DER.certificate(P256.Signing.PrivateKey().publicKey, by: key) }
}

/// What a platform does that trusts some authorities: it verifies the leaf's signature, whatever else was presented.
struct SimulatedTrust: Sendable {
    let authorities: [SimulatedAuthority]

    func chain(_ presented: [Data], _ host: String) throws -> [Data] {
        guard let leaf = presented.first else { return [] }
        for authority in authorities where DER.isSigned(leaf, by: authority.key.publicKey) {
            return [leaf, try authority.certificate()]
        }
        throw MalformedError(message: "got a certificate of nobody who is trusted")
    }
}
