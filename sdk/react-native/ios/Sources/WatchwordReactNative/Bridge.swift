import Foundation
import WatchwordKit

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

/// The one instance of this process, whichever JavaScript runs in it: a reload finds what is there.
///
/// React Native makes its session before JavaScript says where service and APIs are. So ``WatchwordURLProtocol`` asks here, for each
/// request.
final class Bridge: @unchecked Sendable {  // `lock` guards `held`, `told` and `listeners`.
    /// An instance, and the session that carries requests to its APIs.
    struct Held: Sendable {
        let watchword: Watchword
        let session: WatchwordSession

        /// Tells whether a request is carried here: to an API of Watchword's, or to a host whose keys are pinned.
        func carries(_ url: URL) -> Bool {
            if watchword.covers(url) { return true }
            guard let host = url.host, ["http", "https"].contains(url.scheme?.lowercased()) else { return false }
            return watchword.pins?.isPinned(host) ?? false
        }
    }

    static let shared = Bridge()

    private let lock = NSLock()
    private var held: Held?
    private var told: Data?
    private var listeners: [UUID: @Sendable (Failure) -> Void] = [:]

    /// What requests are carried by; nil before JavaScript has configured it.
    var current: Held? { locked { held } }

    /// Makes the instance of what JavaScript said; returns what can't be right, or an empty text.
    func configure(_ said: [String: Any]) -> String {
        do {
            let written = try JSONSerialization.data(withJSONObject: said, options: .sortedKeys)
            return try locked {
                if told == written { return "" }
                if told != nil {
                    return "got another configuration than before, expected one for each start of the app: start it again"
                }
                held = try Self.made(said)
                told = written
                return ""
            }
        } catch {
            return Failure.of(error)?.message ?? "the configuration can't be read"
        }
    }

    /// Takes an instance in place of one that is configured; nil for none.
    func use(_ watchword: Watchword?, _ configuration: URLSessionConfiguration = .default) {
        let made = watchword.map { Self.held($0, configuration) }
        locked {
            held = made
            told = nil
        }
    }

    func listen(_ listener: @escaping @Sendable (Failure) -> Void) -> UUID {
        let id = UUID()
        locked { listeners[id] = listener }
        return id
    }

    func forget(_ id: UUID) {
        locked { _ = listeners.removeValue(forKey: id) }
    }

    /// Tells JavaScript why a request failed.
    func tell(_ failure: Failure) {
        for listener in locked({ Array(listeners.values) }) { listener(failure) }
    }

    func bind(_ value: String?) -> Bool {
        guard let watchword = current?.watchword else { return false }
        watchword.bind(value)
        return true
    }

    func ready() async throws { try await configured().ready() }

    func enrol() async throws { try await configured().enrol() }

    /// Returns a secret's bytes in base64.
    func secret(_ name: String) async throws -> String {
        try await configured().secret(name).use { Data($0).base64EncodedString() }
    }

    var status: [String: Any] {
        guard let watchword = current?.watchword else { return ["isConfigured": false] }
        return watchword.level.map { ["isConfigured": true, "level": $0] } ?? ["isConfigured": true]
    }

    /// Adds the interception to a session's configuration, before all others.
    static func intercept(_ configuration: URLSessionConfiguration) {
        configuration.protocolClasses = [WatchwordURLProtocol.self] + others(configuration)
    }

    private func configured() throws -> Watchword {
        guard let watchword = current?.watchword else { throw Failure.notConfigured }
        return watchword
    }

    private func locked<Result>(_ body: () throws -> Result) rethrows -> Result {
        lock.lock()
        defer { lock.unlock() }
        return try body()
    }

    private static func made(_ said: [String: Any]) throws -> Held {
        let pins = try optional(said, "pins").map { Data($0.utf8) }
        let configuration = Watchword.Configuration(
            service: try text(said, "service"), app: try text(said, "app"), apis: try list(said, "apis").map(api),
            issuer: try optional(said, "issuer"), wait: said["waitSeconds"] as? Double ?? Watchword.Configuration.defaultWait, pins: pins)
        let watchword = try testBuild(configuration, said) ?? Watchword(configuration)
        return held(watchword, .default)
    }

    private static func api(_ said: Any) throws -> Watchword.API {
        guard let said = said as? [String: Any] else { throw misread("apis") }
        let proofs = Proofs(
            device: try texts(said, "device"), session: try texts(said, "session"), bearer: try texts(said, "bearer"),
            otherwise: ProofKind(rawValue: try text(said, "otherwise")) ?? .session)
        return Watchword.API(
            audience: try text(said, "audience"), origins: try texts(said, "origins"), proofs: proofs, dpop: said["dpop"] as? Bool ?? false,
            sendUnproved: said["sendUnproved"] as? Bool ?? false)
    }

    private static func held(_ watchword: Watchword, _ configuration: URLSessionConfiguration) -> Held {
        let own = configuration.copy() as? URLSessionConfiguration ?? configuration
        // What carries intercepted requests isn't intercepted.
        own.protocolClasses = others(own)
        let audience = watchword.configuration.apis.first?.audience ?? ""
        return Held(watchword: watchword, session: URLSession.watchword(watchword, audience: audience, configuration: own))
    }

    private static func others(_ configuration: URLSessionConfiguration) -> [AnyClass] {
        (configuration.protocolClasses ?? []).filter { $0 != WatchwordURLProtocol.self }
    }

    static func text(_ said: [String: Any], _ name: String) throws -> String {
        guard let text = said[name] as? String else { throw misread(name) }
        return text
    }

    private static func optional(_ said: [String: Any], _ name: String) throws -> String? {
        said[name] == nil ? nil : try text(said, name)
    }

    private static func texts(_ said: [String: Any], _ name: String) throws -> [String] {
        guard let texts = said[name] as? [String] else { throw misread(name) }
        return texts
    }

    private static func list(_ said: [String: Any], _ name: String) throws -> [Any] {
        guard let list = said[name] as? [Any] else { throw misread(name) }
        return list
    }

    private static func misread(_ name: String) -> Failure {
        Failure(code: Failure.configuration, message: "\(name): got something else than what the package's TypeScript sends")
    }
}
