import Foundation

/// Whether a connection may be used.
struct Judgement: Sendable, Equatable {
    /// What it rests on, in the words of reports.
    enum Basis: String, Sendable {
        case pins
        case authorities = "builtin-authorities"
        case platform
        case unpinned
    }

    /// Whether anything may be sent over it.
    let passes: Bool
    let basis: Basis
    /// Whether the app reports it.
    var isReported = false
    /// Whether secrets must not be sent or fetched over it.
    var withholds = false
    var isMismatch = false
    /// The version of the set that was asked, 0 for none.
    var version: Int64 = 0

    /// Why a connection isn't used, nil if it is.
    var reason: String? {
        if passes { return nil }
        return isMismatch ? "pins.mismatch" : "pins.closed"
    }
}

/// What one installation trusts: what shipped with it and what it took since. Whatever is refused changes nothing.
///
/// A set counts for less in two states. *Expired*: somebody may be keeping newer ones back. *Withdrawn*: a later root list names the key
/// that signed it no more, or has a floor above it; what it says may be a thief's. Its hosts don't become unpinned then: they fall back
/// on the authorities that the app was built with, or on the platform's, and get no secrets.
struct Installed: Sendable, Equatable {
    /// Of the root list, then of the set.
    struct Age: Comparable {
        let roots: Int64
        let seen: Int64

        static func < (left: Age, right: Age) -> Bool { (left.roots, left.seen) < (right.roots, right.seen) }
    }

    /// Most certificates of a chain that are looked at.
    static let maxChain = 12
    private static let day: Int64 = 86_400
    private static let maxSkew = day
    private static let maxLifetime = 400 * day

    let builtin: Builtin
    private(set) var roots: RootList
    private(set) var set: PinSet?

    /// What is trusted before anything was fetched or kept.
    init(_ builtin: Builtin) { (self.builtin, roots, set) = (builtin, builtin.roots, builtin.set) }

    /// What was trusted when the app was stopped, verified anew but for its age.
    ///
    /// - Parameters:
    ///   - lists: root lists that were taken, in order; those that the package is past are passed over.
    ///   - signed: the set that was taken last, nil for none.
    /// - Throws: `PinRefusal` for what doesn't verify, or is another app's.
    init(_ builtin: Builtin, lists: [Data], signed: Data?) throws {
        self.init(builtin)
        var walked = [builtin.roots]
        for data in lists {
            if walked.count == 1, try PinDocuments.version(ofRoots: data) <= builtin.roots.version { continue }
            try take(roots: data)
            walked.append(roots)
        }
        // A key that the package's list doesn't name may come with a later list that was walked.
        guard let kept = try signed.flatMap({ try Self.read($0, underAny: walked) }), kept.version >= builtin.roots.floors[kept.app] ?? 1
        else { return }
        guard kept.app == builtin.app else {
            throw PinRefusal(reason: "pins.set_app", detail: "got a set for \(kept.app), expected \(builtin.app)")
        }
        if let shipped = builtin.set, shipped.version >= kept.version, !isWithdrawn(shipped) { return }
        set = kept
    }

    /// The highest version that was taken under the present pin keys, 0 for none.
    var seen: Int64 { self.set.map { isWithdrawn($0) ? 0 : $0.version } ?? 0 }

    /// Tells which of two installations is newer: a new list may let the versions of sets begin anew.
    var age: Age { Age(roots: roots.version, seen: seen) }

    /// Tells whether a set counts no more under the newest root list.
    func isWithdrawn(_ set: PinSet) -> Bool { roots.pinKeys[set.key] == nil || set.version < roots.floors[set.app] ?? 1 }

    /// Takes the next root list; it may have expired: an app that was away must get past it.
    mutating func take(roots data: Data) throws { roots = try PinDocuments.roots(data, after: roots) }

    /// Takes a set; the same one again changes nothing.
    ///
    /// - Parameter now: seconds since 1970, by the phone's wall clock.
    /// - Throws: `PinRefusal` with the reason of the first rule that doesn't hold.
    mutating func take(set data: Data, now: Double) throws {
        func refuse(_ isRefused: Bool, _ reason: String, _ detail: @autoclosure () -> String) throws {
            if isRefused { throw PinRefusal(reason: reason, detail: detail()) }
        }
        try refuse(now >= Double(roots.expires), "pins.roots_expired", "root list \(roots.version)")
        let found = try PinDocuments.set(data, under: roots)
        try refuse(found.app != builtin.app, "pins.set_app", "got a set for \(found.app), expected \(builtin.app)")
        try refuse(found.roots > roots.version, "pins.roots_behind", "got root list \(roots.version), expected \(found.roots)")
        let floor = max(builtin.floor, roots.floors[builtin.app] ?? 1, seen)
        try refuse(found.version < floor, "pins.set_old", "got version \(found.version), expected \(floor) or more")
        // The same content under another pin key is the same set: keys are exchanged by signing anew.
        let differs = found.version == seen && set?.signed(by: found.key) != found
        try refuse(differs, "pins.set_differs", "got another version \(found.version)")
        try refuse(now >= Double(found.hard), "pins.set_expired", "version \(found.version)")
        try refuse(Double(found.issued) > now + Double(Self.maxSkew), "pins.set_early", "got a set of the future")
        try refuse(found.hard - found.issued > Self.maxLifetime, "pins.set_lifetime", "expected at most \(Self.maxLifetime) seconds")
        set = found
    }

    /// Tells whether there is no need to look for a newer set.
    func isFresh(now: Double) -> Bool { set.map { !isWithdrawn($0) && now < Double($0.soft) } ?? false }

    /// Decides on a connection.
    ///
    /// - Parameters:
    ///   - host: the name that TLS checks.
    ///   - chain: pins of the verified chain, the leaf first; an empty one matches nothing.
    ///   - now: seconds since 1970, by the phone's wall clock.
    func judge(host: String, chain: [PinText], now: Double) -> Judgement {
        guard let set else { return Judgement(passes: true, basis: .unpinned) }
        let looked = Array(chain.prefix(Self.maxChain))
        if isWithdrawn(set) { return judge(underWithdrawn: set, host: host, chain: looked) }
        guard let entry = set.entry(for: host) else { return Judgement(passes: true, basis: .unpinned, version: set.version) }
        if now < Double(set.hard) {
            if entry.matches(looked) { return Judgement(passes: true, basis: .pins, version: set.version) }
            let passes = entry.isReported
            return Judgement(
                passes: passes, basis: .pins, isReported: true, withholds: !passes, isMismatch: true, version: set.version)
        }
        if entry.isReported { return Judgement(passes: true, basis: .platform, isReported: true, version: set.version) }
        return fallBack(host: host, entry: entry, chain: looked, version: set.version, isClosed: entry.isClosedAfter)
    }

    /// Decides under a set that may be a thief's: only what makes the app more careful is taken from it. It closes no host.
    private func judge(underWithdrawn kept: PinSet, host: String, chain: [PinText]) -> Judgement {
        let shipped = builtin.set?.entry(for: host)
        let found = kept.entry(for: host)
        guard let entry = shipped ?? found else { return Judgement(passes: true, basis: .unpinned, version: kept.version) }
        if shipped?.isReported ?? true, found?.isReported ?? true {
            return Judgement(passes: true, basis: .platform, isReported: true, withholds: true, version: kept.version)
        }
        let isClosed = shipped.map { !$0.isReported && $0.isClosedAfter } ?? false
        return fallBack(host: host, entry: entry, chain: chain, version: kept.version, isClosed: isClosed)
    }

    /// Decides without pins: refuses where the operator chose that, else asks the authorities of the build, else the platform.
    private func fallBack(host: String, entry: HostPins, chain: [PinText], version: Int64, isClosed: Bool) -> Judgement {
        if isClosed { return Judgement(passes: false, basis: .pins, isReported: true, withholds: true, version: version) }
        guard let authorities = builtin.authorities[plainHost(host)] ?? builtin.authorities[entry.host] else {
            return Judgement(passes: true, basis: .platform, isReported: true, withholds: true, version: version)
        }
        let passes = !authorities.isDisjoint(with: chain.dropFirst())
        return Judgement(
            passes: passes, basis: .authorities, isReported: true, withholds: true, isMismatch: !passes, version: version)
    }

    /// Reads a set by the newest list that names its key, since the last may have withdrawn it; nil if none does.
    private static func read(_ data: Data, underAny lists: [RootList]) throws -> PinSet? {
        for roots in lists.reversed() {
            do {
                return try PinDocuments.set(data, under: roots)
            } catch let error as PinRefusal where error.reason == "pins.set_key" {
                continue
            }
        }
        return nil
    }
}

/// A connection that is worth a report.
struct Sighting: Sendable {
    let host: String
    /// Pins of the verified chain, the leaf first.
    let chain: [PinText]
    let judgement: Judgement
    /// Seconds since 1970.
    let at: Double
    let installed: Installed
}

/// Judges connections by what is installed; safe to use from many threads.
final class PinKeeper: Sendable {
    private let state: Locked<(installed: Installed, changes: Int64)>
    private let now: @Sendable () -> Double
    private let tell: @Sendable (Sighting) -> Void

    /// - Parameters:
    ///   - now: returns seconds since 1970, by the phone's wall clock: whoever intercepts could end every pin by another.
    ///   - tell: is told of each connection that is worth a report; returns at once.
    init(_ installed: Installed, now: @escaping @Sendable () -> Double, tell: @escaping @Sendable (Sighting) -> Void = { _ in }) {
        state = Locked((installed, 0))
        self.now = now
        self.tell = tell
    }

    var installed: Installed { state.withLock { $0.installed } }

    /// Goes by this from now on; connections that are open are judged anew before they are written to.
    func replace(by next: Installed) {
        state.withLock { held in
            guard held.installed != next else { return }
            held = (next, held.changes + 1)
        }
    }

    /// A number that changes with the pins, and when they expire.
    var generation: Int64 {
        let at = now()
        return state.withLock { held in 2 * held.changes + (held.installed.set.map { at >= Double($0.hard) } ?? false ? 1 : 0) }
    }

    /// Judges a connection, and tells of it where that is due.
    func judge(host: String, chain: [PinText]) -> Judgement {
        let (held, at) = (installed, now())
        let judgement = held.judge(host: host, chain: chain, now: at)
        if judgement.isReported { tell(Sighting(host: host, chain: chain, judgement: judgement, at: at, installed: held)) }
        return judgement
    }

    func isPinned(_ host: String) -> Bool { bare(host).basis != .unpinned }

    /// Tells whether a request without TLS may not go to this host; in report mode it may, and is told of.
    func refusesCleartext(to host: String) -> Bool {
        let judgement = bare(host)
        if !judgement.passes || judgement.withholds { return true }
        if judgement.basis != .unpinned { _ = judge(host: host, chain: []) }
        return false
    }

    /// Tells whether secrets must not go over a connection to this host that passes. No chain changes that: where pins are enforced, a
    /// connection that matches none doesn't pass.
    func withholds(_ host: String) -> Bool {
        let judgement = bare(host)
        return judgement.withholds && !(judgement.basis == .pins && judgement.isMismatch)
    }

    private func bare(_ host: String) -> Judgement { installed.judge(host: host, chain: [], now: now()) }
}
