import Foundation

/// Reports connections that pins speak against: few of them, nothing of a request in them, and never over what is reported.
final class PinReports: Sendable {
    private struct Kind: Hashable {
        let host: String
        let version: Int64
        let basis: Judgement.Basis
        let isMismatch: Bool
        let leaf: PinText?
    }

    private struct State {
        /// When each kind was told, the latest last.
        var told: [(kind: Kind, at: Double)] = []
        var sent: [Double] = []
        var waiting = 0
    }

    private static let maxAnHour = 12
    private static let maxWaiting = 16
    private static let maxRemembered = 256
    private static let hour = 3600.0
    private static let repeatSeconds = 24 * hour

    private let state = Locked(State())
    private let post: @Sendable (String, Data) async -> Bool
    private let background: Background

    /// - Parameters:
    ///   - post: sends JSON to a URL and tells whether it was taken.
    ///   - background: begins it, and returns at once.
    init(post: @escaping @Sendable (String, Data) async -> Bool, background: @escaping Background) {
        self.post = post
        self.background = background
    }

    /// Takes a connection; returns at once.
    func tell(_ sighting: Sighting) {
        guard let url = Self.url(for: sighting) else { return }
        let judgement = sighting.judgement
        let kind = Kind(
            host: plainHost(sighting.host), version: judgement.version, basis: judgement.basis, isMismatch: judgement.isMismatch,
            leaf: sighting.chain.first)
        guard begins(kind, at: sighting.at) else { return }
        let report = Self.document(of: sighting)
        background { [self] in
            let hasArrived = await post(url, report)
            state.withLock { state in
                state.waiting -= 1
                // Whoever keeps it back doesn't silence the next one of its kind; the bound by the hour holds.
                if !hasArrived { state.told.removeAll { $0.kind == kind } }
            }
        }
    }

    private func begins(_ kind: Kind, at now: Double) -> Bool {
        state.withLock { state in
            // A clock that was set back silences nothing.
            if state.told.contains(where: { $0.kind == kind && now >= $0.at && now - $0.at < Self.repeatSeconds }) { return false }
            state.sent.removeAll { now < $0 || now - $0 >= Self.hour }
            guard state.sent.count < Self.maxAnHour, state.waiting < Self.maxWaiting else { return false }
            state.waiting += 1
            state.sent.append(now)
            state.told.removeAll { $0.kind == kind }
            state.told = state.told.suffix(Self.maxRemembered - 1) + [(kind, now)]
            return true
        }
    }

    /// Returns where a connection is reported, nil for nowhere.
    ///
    /// The address of a withdrawn set may be a thief's, who could aim all phones at anybody: the shipped set's counts then.
    static func url(for sighting: Sighting) -> String? {
        let held = sighting.installed
        let set = held.set.flatMap { held.isWithdrawn($0) ? held.builtin.set : $0 }
        return set.flatMap { $0.reportsToItself ? nil : $0.reports }
    }

    /// Returns a report: hashes of public keys and versions, nothing of the request, the user or the device.
    static func document(of sighting: Sighting) -> Data {
        let report: JSONObject = [
            "app": .text(sighting.installed.builtin.app),
            "app_version": .text(sighting.installed.builtin.appVersion),
            "host": .text(plainHost(sighting.host)),
            "set": .integer(sighting.judgement.version),
            "basis": .text(sighting.judgement.basis.rawValue),
            "mismatch": .bool(sighting.judgement.isMismatch),
            "refused": .bool(!sighting.judgement.passes),
            "chain": .list(sighting.chain.prefix(Installed.maxChain).map { .text($0) }),
            "at": .integer(Int64(exactly: sighting.at.rounded(.down)) ?? 0),
        ]
        return report.written()
    }
}
