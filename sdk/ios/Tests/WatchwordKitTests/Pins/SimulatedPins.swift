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

/// A wall clock that a test sets.
final class PinClock: DeviceClock {
    private let time = Locked(pinsNow)
    let bootID = "boot"

    var now: Double {
        get { time.withLock { $0 } }
        set { time.withLock { $0 = newValue } }
    }

    func wall() -> Double { now }
    func boot() -> Double { 0 }
}
