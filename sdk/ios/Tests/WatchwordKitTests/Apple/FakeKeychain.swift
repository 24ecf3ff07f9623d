import Foundation

@testable import WatchwordKit

/// A Keychain in memory that answers as Apple's does, and fails as a test says.
final class FakeKeychain: KeychainItems {
    enum Call: CaseIterable { case read, add, update, delete }

    private struct State {
        var items: [String: Data] = [:]
        var isLocked = false
        var failures: [Call: Int32] = [:]
        var rival: Data?
        var log: [Call] = []
    }

    private let state = Locked(State())

    var log: [Call] { state.withLock { $0.log } }
    var isEmpty: Bool { state.withLock { $0.items.isEmpty } }

    func item(_ account: String) -> Data? { state.withLock { $0.items[account] } }
    func put(_ account: String, _ data: Data) { state.withLock { $0.items[account] = data } }

    /// Before the first unlock, or after it.
    func setLocked(_ isLocked: Bool) { state.withLock { $0.isLocked = isLocked } }

    /// Every such call fails from now on; nil ends that.
    func fail(_ call: Call, _ status: Int32?) { state.withLock { $0.failures[call] = status } }

    /// Has another process add the item between our update and our add.
    func raceNextAdd(with data: Data) { state.withLock { $0.rival = data } }

    /// Moves to another phone: items of this device alone stay behind.
    func wipe() { state.withLock { $0.items = [:] } }

    func read(_ account: String) -> (status: Int32, data: Data?) {
        state.withLock { state in
            if let status = begin(.read, &state) { return (status, nil) }
            guard let data = state.items[account] else { return (KeychainStatus.itemNotFound, nil) }
            return (KeychainStatus.success, data)
        }
    }

    func add(_ account: String, _ data: Data) -> Int32 {
        state.withLock { state in
            if let status = begin(.add, &state) { return status }
            if let rival = state.rival {
                state.items[account] = rival
                state.rival = nil
            }
            if state.items[account] != nil { return KeychainStatus.duplicateItem }
            state.items[account] = data
            return KeychainStatus.success
        }
    }

    func update(_ account: String, _ data: Data) -> Int32 {
        state.withLock { state in
            if let status = begin(.update, &state) { return status }
            if state.items[account] == nil { return KeychainStatus.itemNotFound }
            state.items[account] = data
            return KeychainStatus.success
        }
    }

    func delete(_ account: String) -> Int32 {
        state.withLock { state in
            if let status = begin(.delete, &state) { return status }
            return state.items.removeValue(forKey: account) == nil ? KeychainStatus.itemNotFound : KeychainStatus.success
        }
    }

    private func begin(_ call: Call, _ state: inout State) -> Int32? {
        state.log.append(call)
        return state.failures[call] ?? (state.isLocked ? KeychainStatus.interactionNotAllowed : nil)
    }
}

/// A directory of a test's own, removed with its last reference.
final class Scratch: Sendable {
    let url = FileManager.default.temporaryDirectory.appendingPathComponent("watchword-\(UUID().uuidString)")

    init() throws { try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true) }

    deinit { try? FileManager.default.removeItem(at: url) }

    func file(_ name: String) -> URL { url.appendingPathComponent(name) }
}

/// A store in memory that fails as a test says.
final class FailingStore: Store {
    private let state = Locked((data: Data?.none, failure: DeviceError?.none))

    func fail(_ error: DeviceError?) { state.withLock { $0.failure = error } }

    func read() throws -> Data? { try state.withLock { try $0.failure.map { throw $0 } ?? $0.data } }

    func write(_ data: Data) throws {
        try state.withLock {
            if let failure = $0.failure { throw failure }
            $0.data = data
        }
    }

    func clear() throws { state.withLock { $0.data = nil } }
}
