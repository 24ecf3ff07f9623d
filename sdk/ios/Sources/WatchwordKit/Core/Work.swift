import Foundation

/// Runs what asks the service and the device, and lets callers wait for it for a while.
///
/// Of each kind of work, named by a key, at most one is under way; who needs the same waits for that. Work runs in a task of its
/// own, which no caller's cancellation ends: half an enrolment would be lost otherwise, and a renewal that others wait for. Its
/// priority is that of something that a user waits for, always: whoever joins it later can't raise it.
///
/// Nobody blocks a thread here; who waits is suspended.
final class Work: Sendable {
    private static let maxRounds = 4

    private let flights = Locked<[String: Flight]>([:])
    private let early: @Sendable (@escaping @Sendable () async -> Void) async -> Void

    /// - Parameter early: runs work that nobody waits for, and returns at once.
    init(early: @escaping @Sendable (@escaping @Sendable () async -> Void) async -> Void) {
        self.early = early
    }

    /// Tells whether work of this key is under way.
    func isUnderway(_ key: String) -> Bool {
        flights.withLock { $0[key] != nil }
    }

    /// Begins work that nobody waits for, unless some of this key is under way.
    func beginEarly(_ key: String, _ work: @escaping @Sendable () async throws -> Void) async {
        let (flight, isNew) = joined(key, isEarly: true)
        if isNew { await early { await self.fly(key, flight, work) } }
    }

    /// Waits until `result` gives one, for which `work` is done if need be.
    ///
    /// - Parameter limit: most seconds of waiting; nil for no limit.
    /// - Throws: the work's error; ``WatchwordError/offline(_:)`` when the time is over, or `CancellationError` where the caller's
    ///   task is cancelled: the work goes on then.
    func wait<Result>(
        _ key: String, within limit: Double?, for result: () -> Result?, doing work: @escaping @Sendable () async throws -> Void
    ) async throws -> Result {
        if let got = result() { return got }
        let end = limit.map { ProcessInfo.processInfo.systemUptime + $0 }
        for _ in 0..<Self.maxRounds {
            try await join(key, until: end, limit: limit, doing: work)
            if let got = result() { return got }
        }
        throw WatchwordError.offline(.init("what was got was void at once, \(Self.maxRounds) times"))
    }

    /// Does `work`, or joins what is under way of this key, and waits for it; see ``wait(_:within:for:doing:)``.
    func run(_ key: String, within limit: Double?, doing work: @escaping @Sendable () async throws -> Void) async throws {
        try await join(key, until: limit.map { ProcessInfo.processInfo.systemUptime + $0 }, limit: limit, doing: work)
    }

    private func join(
        _ key: String, until end: Double?, limit: Double?, doing work: @escaping @Sendable () async throws -> Void
    ) async throws {
        // Who doesn't want it any more begins nothing.
        try Task.checkCancellation()
        let (flight, isNew) = joined(key, isEarly: false)
        if isNew { Task(priority: .userInitiated) { await self.fly(key, flight, work) } }
        let left = end.map { max(0, $0 - ProcessInfo.processInfo.systemUptime) }
        try await flight.landed(within: left) {
            .offline(.init("nothing came within \(limit ?? 0) s; the work goes on in the background"))
        }
    }

    private func joined(_ key: String, isEarly: Bool) -> (flight: Flight, isNew: Bool) {
        flights.withLock { flights in
            if let flight = flights[key] { return (flight, false) }
            let flight = Flight(isEarly: isEarly)
            flights[key] = flight
            return (flight, true)
        }
    }

    private func fly(_ key: String, _ flight: Flight, _ work: @Sendable () async throws -> Void) async {
        var failure: (any Error)?
        do {
            try await work()
        } catch is CancellationError {
            // A port's, since nobody cancels this task; to who waits it means another thing.
            failure = WatchwordError.offline(.init("the work was ended from outside"))
        } catch {
            failure = error
        }
        // Before anybody hears of it: who comes now begins anew.
        flights.withLock { $0[key] = nil }
        flight.land(failure)
    }
}

/// Work that is under way, and who waits for it.
private final class Flight: Sendable {
    private enum State {
        case flying([Waiter])
        case landed((any Error)?)
    }

    /// Whether it was begun while there was no need yet: its failure says nothing to who needs it now.
    private let isEarly: Bool
    private let state = Locked(State.flying([]))

    init(isEarly: Bool) {
        self.isEarly = isEarly
    }

    func land(_ failure: (any Error)?) {
        let outcome = isEarly ? nil : failure
        let waiters = state.withLock { state -> [Waiter] in
            guard case .flying(let waiters) = state else { return [] }
            state = .landed(outcome)
            return waiters
        }
        for waiter in waiters { waiter.settle(outcome) }
    }

    /// Suspends until the work has ended.
    ///
    /// - Parameters:
    ///   - limit: most seconds; nil for no limit. Counted by a clock that may stand still while the phone sleeps.
    ///   - late: what is thrown when they are over.
    func landed(within limit: Double?, late: @escaping @Sendable () -> WatchwordError) async throws {
        let waiter = Waiter()
        let outcome: (any Error)?? = state.withLock { state in
            switch state {
            case .landed(let failure): return .some(failure)
            case .flying(let waiters):
                state = .flying(waiters + [waiter])
                return nil
            }
        }
        if let outcome { waiter.settle(outcome) }
        let timer = limit.map { seconds in
            Task {
                try await Ports.systemSleep(seconds)
                waiter.settle(late())
            }
        }
        defer { timer?.cancel() }
        try await waiter.settled()
    }
}

/// One caller that waits: for the work, its own deadline or its own cancellation, whichever comes first.
private final class Waiter: Sendable {
    private enum State {
        case fresh
        case waiting(CheckedContinuation<Void, any Error>)
        case settled((any Error)?)
    }

    private let state = Locked(State.fresh)

    /// Ends the wait; only the first time counts.
    func settle(_ failure: (any Error)?) {
        let continuation = state.withLock { state -> CheckedContinuation<Void, any Error>? in
            switch state {
            case .fresh:
                state = .settled(failure)
                return nil
            case .waiting(let continuation):
                state = .settled(failure)
                return continuation
            case .settled:
                return nil
            }
        }
        continuation?.resume(with: Self.result(failure))
    }

    func settled() async throws {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
                let outcome = state.withLock { state -> Result<Void, any Error>? in
                    // A cancellation or a short flight may have been quicker.
                    if case .settled(let failure) = state { return Self.result(failure) }
                    state = .waiting(continuation)
                    return nil
                }
                if let outcome { continuation.resume(with: outcome) }
            }
        } onCancel: {
            settle(CancellationError())
        }
    }

    private static func result(_ failure: (any Error)?) -> Result<Void, any Error> {
        failure.map { .failure($0) } ?? .success(())
    }
}
