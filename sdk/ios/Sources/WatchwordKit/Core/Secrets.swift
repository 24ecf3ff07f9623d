import Foundation

/// A secret that was handed to this instance, and for how long; times are those of the boot clock.
struct Delivery: Sendable {
    /// Whoever lets go of it closes it.
    let value: Secret

    /// When it must be forgotten.
    let expiresAt: Double

    /// From then on it is fetched again, while it may still be used.
    var refetchAt: Double

    private static let maxLease = 31.0 * 86400
    private static let numbers: Range<Int64> = 1..<(1 << 53)
    private static let maxSealed = 8192

    /// Returns the secret of an answer.
    ///
    /// - Parameters:
    ///   - share: the part of the lease after which it is fetched again.
    ///   - open: returns what is sealed with this info, nil where the device can't.
    static func read(
        _ answer: JSONObject, statement: Statement, sentAt: Double, app: String, name: String, share: Double,
        open: @Sendable (_ info: Data, _ sealed: Data) async throws -> Data?
    ) async throws -> Delivery {
        guard answer["name"] == .text(name),
            let version = answer["version"]?.integer, numbers.contains(version),
            let end = answer["expires_at"]?.integer, numbers.contains(end),
            let lease = answer["lease"]?.text, Base64URL.isText(lease, of: 1...64),
            let left = answer["expires_in"]?.seconds, left > 0, left <= maxLease,
            let text = answer["sealed"]?.text, let sealed = try? Base64URL.decode(text, limit: maxSealed)
        else { throw WatchwordError.unreadable("the secret that was asked for, its version or its lease is missing") }
        let fields = lengthPrefixed(
            Data(app.utf8), Data(name.utf8), Data(String(version).utf8), Data(lease.utf8), Data(String(end).utf8))
        let info = Data("watchword/secret/v1\0".utf8) + statement.binding + fields
        guard var opened = try await open(info, sealed) else {
            throw WatchwordError.deviceFailed(
                .init(.fault, "this device can't open the secret '\(name)', which was sealed to its key", code: "secret-unopened"))
        }
        // In place where nobody else holds these bytes; see Secret for what can't be promised.
        defer { opened.resetBytes(in: opened.startIndex..<opened.endIndex) }
        return Delivery(value: Secret(opened), expiresAt: sentAt + left, refetchAt: sentAt + left * share)
    }
}

/// Holds secrets, in memory alone, for as long as their leases; what ended is overwritten.
final class Secrets: Sendable {
    private struct Held {
        var delivery: Delivery
        let timer: Task<Void, any Error>
    }

    private static let postponedShare = 0.2

    private let clock: any DeviceClock
    private let fetch: @Sendable (_ name: String, _ attempts: Int) async throws -> Delivery
    private let held = Locked<[String: Held]>([:])

    /// - Parameter fetch: asks the service.
    init(_ clock: any DeviceClock, fetch: @escaping @Sendable (_ name: String, _ attempts: Int) async throws -> Delivery) {
        self.clock = clock
        self.fetch = fetch
    }

    deinit {
        held.withLock { held in
            for name in held.keys { Self.drop(name, &held) }
        }
    }

    /// Returns a copy of what is held under a name, nil if that is nothing or has ended.
    func copy(_ name: String) -> Secret? {
        let now = clock.boot()
        return held.withLock { held in
            // A device that slept has timers that are late.
            if let delivery = held[name]?.delivery, now >= delivery.expiresAt { Self.drop(name, &held) }
            return held[name]?.delivery.value.copy()
        }
    }

    /// Tells whether a held secret is to be fetched again while it may still be used.
    func isDue(_ name: String) -> Bool {
        let now = clock.boot()
        return held.withLock { held in held[name].map { now >= $0.delivery.refetchAt } ?? false }
    }

    /// Fetches a secret where none is held.
    func refresh(_ name: String) async throws {
        // Between a caller's look and its work another's may have brought it.
        guard !isHeld(name) else { return }
        keep(name, try await fetched(name, attempts: Exchange.maxAttempts))
    }

    /// Tries once to fetch a secret that is still held, and puts it off where that fails.
    func refreshEarly(_ name: String) async throws {
        guard isDue(name) else { return }
        do {
            keep(name, try await fetched(name, attempts: 1), inPlace: true)
        } catch is WatchwordError {
            postpone(name)
        }
    }

    private func isHeld(_ name: String) -> Bool {
        let now = clock.boot()
        return held.withLock { held in held[name].map { now < $0.delivery.expiresAt } ?? false }
    }

    func forget(_ name: String) {
        held.withLock { Self.drop(name, &$0) }
    }

    private func fetched(_ name: String, attempts: Int) async throws -> Delivery {
        do {
            return try await fetch(name, attempts)
        } catch WatchwordError.refused(let refusal) {
            // The service means what it says, and nothing of the secret stays here.
            if refusal.isFinal || refusal.type == "secret-refused" { forget(name) }
            throw WatchwordError.refused(refusal)
        }
    }

    /// - Parameter inPlace: whether it is kept only where one is held still: what the app forgot meanwhile doesn't come back unasked.
    private func keep(_ name: String, _ delivery: Delivery, inPlace: Bool = false) {
        let left = delivery.expiresAt - clock.boot()
        held.withLock { held in
            guard !inPlace || held[name] != nil else { return delivery.value.close() }
            Self.drop(name, &held)
            // Begun in here: one that were over before would find nothing to end.
            let timer = Task { [weak self] in
                try await Ports.systemSleep(left)
                self?.end(name, delivery.value)
            }
            held[name] = Held(delivery: delivery, timer: timer)
        }
    }

    private func end(_ name: String, _ value: Secret) {
        held.withLock { held in
            // The same value under another date of its next fetch is the same secret.
            if held[name]?.delivery.value === value { Self.drop(name, &held) }
        }
    }

    private func postpone(_ name: String) {
        let now = clock.boot()
        held.withLock { held in
            guard let delivery = held[name]?.delivery else { return }
            held[name]?.delivery.refetchAt = now + (delivery.expiresAt - now) * Self.postponedShare
        }
    }

    private static func drop(_ name: String, _ held: inout [String: Held]) {
        guard let ended = held.removeValue(forKey: name) else { return }
        ended.timer.cancel()
        ended.delivery.value.close()
    }
}
