import Foundation

/// Begins work, and returns at once.
public typealias Background = @Sendable (_ work: @escaping @Sendable () async -> Void) -> Void

/// What pins need of a platform. `Watchword(_:)` makes one for this phone.
public struct PinPorts: Sendable {
    /// Most bytes of an answer.
    public static let answerBytes = PinDocuments.maxSetBytes

    /// Most bytes that ``store`` has to keep.
    public static let storeBytes = KeptPins.maxBytes

    /// Where fetched pins are kept; nil for nowhere: after each start the app has what it was built with.
    public let store: (any Store)?

    /// The way to the service's pins and to where failures are reported: not pinned, since what comes is signed, and reports tell of pins
    /// that fail. Takes answers of ``answerBytes``.
    public let transport: any Transport

    /// Says which chain the platform verified: of the certificates that a peer presented (DER, its own first) and the host that TLS
    /// checked it returns the chain, leaf first, up to the anchor. Throws, or returns none, if they lead to no anchor.
    ///
    /// It is never what was presented: whoever intercepts can present a genuine authority's certificate beside their own.
    public let chains: @Sendable (_ presented: [Data], _ host: String) throws -> [Data]

    /// Runs fetches and reports.
    public let background: Background

    /// Makes ports; what is left out is the system's own.
    public init(
        store: (any Store)?,
        transport: any Transport,
        chains: @escaping @Sendable (_ presented: [Data], _ host: String) throws -> [Data] = PinPorts.systemChains,
        background: @escaping Background = { work in Task.detached(priority: .utility) { await work() } }
    ) {
        (self.store, self.transport, self.chains, self.background) = (store, transport, chains, background)
    }
}

/// A way to the service that can be had with every connection judged.
protocol GuardedTransport: Transport {
    /// Returns the same, but that it sends nothing over a connection that these pins don't let pass.
    func guarded(by pins: Pins) -> any Transport
}

/// Which keys of servers this app accepts: by the file that was built into it, and by newer pins from the service, each signed by keys
/// that the service doesn't have.
///
/// The SDK's own sessions ask by themselves, before the first byte of a request is written. Safe to use from any number of threads.
public final class Pins: Sendable, CustomStringConvertible {
    private static let reportTimeout = 10.0
    /// Seconds for which a TLS session may be resumed, without the platform saying so: the read me of Apple's sample code
    /// AdvancedURLConnections (TLS session cache; read 2026-11-30 at codehunter.cc/a/ios/how-to-cancel-a-persistent-connection-using-nsurlconnection).
    private static let resumable = 600.0
    private static let maxHosts = 64

    /// What the last handshake with a host showed, and when a request went there last, by the device's boot time.
    private struct Shown {
        let chain: [PinText]
        var used: Double
    }

    let updater: PinUpdater
    private let app: String
    private let platform: PinPorts
    private let boot: @Sendable () -> Double
    private let shown = Locked<[String: Shown]>([:])

    init(service: String, builtin: Builtin, ports: Ports) {
        let platform = ports.pins ?? PinPorts(store: nil, transport: ports.transport)
        let (clock, transport) = (ports.clock, platform.transport)
        let reports = PinReports(
            post: { url, report in
                let headers = ["Content-Type": "application/json", "Accept-Encoding": "identity"]
                let answer = try? await transport.post(url, headers: headers, body: report, timeout: Self.reportTimeout)
                return answer.map { (200...299).contains($0.status) } ?? false
            }, background: platform.background)
        app = builtin.app
        self.platform = platform
        boot = { clock.boot() }
        updater = PinUpdater(
            builtin, source: HTTPPinSource(service: service, app: builtin.app, transport: transport), store: platform.store,
            now: { clock.wall() }, jitter: ports.jitter, tell: { reports.tell($0) })
    }

    /// The version of the installed set; 0 where there is none.
    public var version: Int64 { updater.keeper.installed.set?.version ?? 0 }

    /// Why pins that were kept aren't used (the app goes by those that it was built with), or why the last fetch failed; nil if all is well.
    public var fault: String? { updater.fault ?? updater.failure }

    /// Tells whether anything is checked at this host.
    public func isPinned(_ host: String) -> Bool { isUnspelled(host) || updater.keeper.isPinned(host) }

    /// Tells whether a secret mustn't go to this host now: its pins have expired or were withdrawn, and the platform's trust or an
    /// authority's decides. Secrets of ``Watchword/secret(_:)`` aren't fetched then.
    public func withholdsSecrets(_ host: String) -> Bool { isUnspelled(host) || updater.keeper.withholds(host) }

    /// Returns if a request may be sent over a TLS connection; to be asked before each, since pins change.
    ///
    /// - Parameters:
    ///   - host: the name that TLS checked.
    ///   - presented: the certificates in DER that the peer presented, its own first. Empty ones match nothing.
    /// - Throws: ``WatchwordError/pin(_:)`` if it mustn't.
    public func check(host: String, presented: [Data]) throws {
        guard isPinned(host) else { return }
        try check(host: host, verifiedBy: { presented.isEmpty ? [] : try platform.chains(presented, host) })
    }

    /// As ``check(host:presented:)``, where the platform has said in a handshake which chain it verified; an empty one matches nothing.
    func check(host: String, verified: [Data]) throws { try check(host: host, verifiedBy: { verified }) }

    private func check(host: String, verifiedBy verified: () throws -> [Data]) throws {
        try refuseUnspelled(host)
        let chain = (try? verified().prefix(Installed.maxChain).map(CertificatePins.pin)) ?? []
        if let reason = updater.keeper.judge(host: host, chain: chain).reason { throw Self.refusal(host, reason) }
        let (name, last) = (plainHost(host), Shown(chain: chain, used: boot()))
        shown.withLock { shown in
            // Of a host that isn't pinned too: a newer set may pin it.
            shown[name] = last
            if shown.count > Self.maxHosts, let oldest = shown.min(by: { $0.value.used < $1.value.used })?.key { shown[oldest] = nil }
        }
    }

    /// Returns if a request may be given to a session of the app's own, whose server-trust challenges ``Watchword`` answers; to be asked
    /// before each.
    ///
    /// A request may go over a connection that is open, or that resumes a TLS session; the system shows no certificate of either. So
    /// what the last handshake with the host showed is judged by the pins of now. Fetches newer pins as ``refresh()`` does.
    ///
    /// - Throws: ``WatchwordError/pin(_:)`` if it mustn't.
    public func admit(_ url: URL) throws {
        refresh()
        guard let host = url.host else { return }
        guard ["https", "wss"].contains(url.scheme?.lowercased()) else { return try checkCleartext(host: host) }
        let (name, at) = (plainHost(host), boot())
        guard let last = shown.withLock({ $0[name] }), at - last.used < Self.resumable else { return }
        if let reason = updater.keeper.judge(host: host, chain: last.chain).reason { throw Self.refusal(host, reason) }
        shown.withLock { $0[name]?.used = at }
    }

    /// Returns if a request may be sent without TLS.
    ///
    /// - Throws: ``WatchwordError/pin(_:)`` if the host is pinned.
    public func checkCleartext(host: String) throws {
        try refuseUnspelled(host)
        if updater.keeper.refusesCleartext(to: host) { throw Self.refusal(host, "the host is pinned, and this isn't TLS") }
    }

    /// Fetches newer pins in the background where that is due, as ``Watchword/prefetch()`` and each request do. Returns at once.
    public func refresh() {
        guard updater.takeTurnIfDue() else { return }
        platform.background { [updater] in await updater.updateInTurn() }
    }

    public var description: String { "Pins(app: \(app), version: \(version))" }

    /// A number that changes with the pins, and when they expire. A connection of another one is judged anew before it is written to.
    var generation: Int64 { updater.keeper.generation }

    /// Returns ports whose way to the service is judged, and which hear of newer pins.
    func guarded(_ ports: Ports) -> Ports {
        var guarded = ports
        if let transport = ports.transport as? any GuardedTransport { guarded.transport = transport.guarded(by: self) }
        guarded.hearPins = { version in
            ports.hearPins(version)
            self.updater.hear(version)
            self.refresh()
        }
        return guarded
    }

    /// Throws where a secret mustn't be fetched from this host.
    func checkSecret(_ host: String) throws {
        guard withholdsSecrets(host) else { return }
        let message = "no secret is fetched from \(host): its pins have expired or were withdrawn"
        throw WatchwordError.pin(.init(host: host, message: message))
    }

    /// Returns the pins of an app that has a built-in file, nil for any other.
    ///
    /// - Throws: `ConfigurationError` if the file can't be used.
    static func of(_ configuration: Watchword.Configuration, _ ports: Ports) throws -> Pins? {
        guard let file = configuration.pins else { return nil }
        let builtin: Builtin
        do {
            builtin = try PinDocuments.builtin(file)
        } catch {
            throw ConfigurationError(
                "got a file of pins that can't be used, expected what `watchword pins release` wrote: \(error)")
        }
        guard builtin.app == configuration.app else {
            throw ConfigurationError("got the pins of \(builtin.app), expected those of \(configuration.app)")
        }
        return Pins(service: configuration.service, builtin: builtin, ports: ports)
    }

    /// Tells whether this may be a pinned host's name in another script, which the system can't write as A-labels.
    private func isUnspelled(_ host: String) -> Bool {
        !PinNames.isASCII(host) && updater.keeper.installed.set != nil && !PinNames.isASCII(plainHost(host))
    }

    private func refuseUnspelled(_ host: String) throws {
        if isUnspelled(host) { throw Self.refusal(host, "it isn't a host's name in ASCII; hand over its A-labels") }
    }

    private static func refusal(_ host: String, _ reason: String) -> WatchwordError {
        .pin(.init(host: host, message: "the connection to \(host) isn't used, nothing was sent: \(reason)"))
    }
}
