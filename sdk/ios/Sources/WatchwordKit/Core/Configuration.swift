import Foundation

/// How a request proves that it comes from this instance.
public enum ProofKind: String, Sendable {
    /// By the token alone.
    case bearer
    /// By the token's session key: an HMAC, a few microseconds.
    case session
    /// By the device's own key: a signature of 5 to 50 ms.
    case device
}

/// Chooses the proof that a request carries first; where a route asks for another one, the request is sent once more with that.
public struct Proofs: Sendable {
    private let choice: @Sendable (_ method: String, _ path: String) -> ProofKind
    private let patterns: [String]

    /// Chooses by the path, in the words of the routes in `watchword.yaml`: the first list that fits.
    ///
    /// `*` is one segment, a last `**` any rest (also none). A pattern that would never fit, since it doesn't begin with a slash, or
    /// has a star anywhere else, makes `Watchword.init` throw a ``ConfigurationError``.
    ///
    /// - Parameters:
    ///   - device: patterns of paths that ask for the device's own key, such as `/payments/**`.
    ///   - session: patterns of paths that ask for a session proof.
    ///   - bearer: patterns of paths that are sent with the token alone.
    ///   - otherwise: for every other path.
    public init(device: [String] = [], session: [String] = [], bearer: [String] = [], otherwise: ProofKind = .session) {
        patterns = device + session + bearer
        choice = { _, path in
            if device.contains(where: { Self.fits($0, path) }) { return .device }
            if session.contains(where: { Self.fits($0, path) }) { return .session }
            if bearer.contains(where: { Self.fits($0, path) }) { return .bearer }
            return otherwise
        }
    }

    /// Chooses by the app's own rule.
    ///
    /// - Parameter choice: is given the method as it is sent, and the URL's path as it is sent: percent-encoded, at least `/`.
    public init(_ choice: @escaping @Sendable (_ method: String, _ path: String) -> ProofKind) {
        patterns = []
        self.choice = choice
    }

    func choose(_ method: String, _ path: String) -> ProofKind { choice(method, path) }

    /// Throws a ``ConfigurationError`` that names the first pattern which would never fit.
    func check() throws {
        for pattern in patterns {
            let segments = pattern.components(separatedBy: "/")
            let isRight = segments.dropLast().allSatisfy { $0 == "*" || !$0.contains("*") }
            let isLastRight = ["*", "**"].contains(segments.last) || segments.last?.contains("*") == false
            if !pattern.hasPrefix("/") || !isRight || !isLastRight {
                throw ConfigurationError("proofs: got the pattern '\(pattern)', expected a path such as /login or /payments/**")
            }
        }
    }

    private static func fits(_ pattern: String, _ path: String) -> Bool {
        var wanted = pattern.components(separatedBy: "/")
        var got = path.components(separatedBy: "/")
        if wanted.last == "**" {
            wanted.removeLast()
            got = Array(got.prefix(wanted.count))
        }
        return wanted.count == got.count && zip(wanted, got).allSatisfy { $0 == "*" || $0 == $1 }
    }
}

/// Says what can't be right in a ``Watchword/Configuration``: the field, what was got and what was expected.
public struct ConfigurationError: Error, Sendable, Equatable, CustomStringConvertible, LocalizedError {
    /// Field, what was got, and what was expected.
    public let message: String

    init(_ message: String) { self.message = message }

    public var description: String { message }
    public var errorDescription: String? { message }
}

extension Watchword {
    /// One API that the app talks to.
    public struct API: Sendable {
        /// The API's `audience` in `watchword.yaml`, for example `https://api.clinic.example`.
        public let audience: String
        /// Where the API is reached: `https`, or `http` on loopback. Nothing of Watchword's is sent anywhere else.
        public let origins: [String]
        /// Which proof a request carries first.
        public let proofs: Proofs
        /// Whether device proofs are made as DPoP (RFC 9449), which covers neither query nor body.
        public let dpop: Bool
        /// Whether a request goes without a token where none is to be had, with `Watchword-Status` in its place once the service
        /// speaks protocol 1.1. For a roll-out: a gate in `monitor` counts it, one in `enforce` refuses it.
        public let sendUnproved: Bool

        /// Describes an API.
        ///
        /// - Parameters:
        ///   - audience: see ``audience``.
        ///   - origins: see ``origins``; nil for the audience itself.
        ///   - proofs: see ``proofs``; a session proof for every path unless said otherwise.
        ///   - dpop: see ``dpop``.
        ///   - sendUnproved: see ``sendUnproved``.
        public init(
            audience: String, origins: [String]? = nil, proofs: Proofs = Proofs(), dpop: Bool = false, sendUnproved: Bool = false
        ) {
            self.audience = audience
            self.origins = origins ?? [audience]
            self.proofs = proofs
            self.dpop = dpop
            self.sendUnproved = sendUnproved
        }
    }

    /// What an app says once of its service and its APIs.
    ///
    /// Making one neither throws nor asks anybody: `Watchword.init` throws a ``ConfigurationError`` on what can't be right.
    public struct Configuration: Sendable {
        /// A call waits at most 10 seconds unless ``wait`` says otherwise.
        public static let defaultWait = 10.0
        /// Most seconds that ``wait`` may be.
        static let maxWait = 3600.0

        /// Where the service listens: `https`, or `http` on loopback; no path.
        public let service: String
        /// The app's name under `apps` in `watchword.yaml`.
        public let app: String
        /// At least one; no audience and no origin twice.
        public let apis: [API]
        /// The service's `issuer`.
        public let issuer: String
        /// Most seconds that a call waits for a token or a secret, above 0 and at most 3600; the work goes on without it.
        public let wait: Double
        /// The file that `watchword pins release` wrote for this version of the app: root list, pin set and authorities that it
        /// is built with. Nil pins no host.
        public let pins: Data?

        /// Describes a service and its APIs.
        ///
        /// - Parameters:
        ///   - service: see ``service``.
        ///   - app: see ``app``.
        ///   - apis: see ``apis``.
        ///   - issuer: see ``issuer``; nil where it is the service's URL.
        ///   - wait: see ``wait``.
        ///   - pins: see ``pins``.
        public init(
            service: String, app: String, apis: [API], issuer: String? = nil, wait: Double = defaultWait, pins: Data? = nil
        ) {
            self.service = service.hasSuffix("/") ? String(service.dropLast()) : service
            self.app = app
            self.apis = apis
            self.issuer = issuer ?? self.service
            self.wait = wait
            self.pins = pins
        }

        /// Describes an app whose APIs each have one origin, which is their audience too.
        public init(service: String, app: String, audiences: [String]) {
            self.init(service: service, app: app, apis: audiences.map { API(audience: $0) })
        }

        /// Returns the APIs by their origins, having checked everything.
        ///
        /// Throws a ``ConfigurationError`` on the first thing that can't be right.
        func apisByOrigin() throws -> [Origin: API] {
            _ = try Self.origin(service, of: "service")
            if app.isEmpty { throw ConfigurationError("app: got no name, expected the app's name in watchword.yaml") }
            if apis.isEmpty { throw ConfigurationError("apis: got none, expected at least one") }
            if !(wait > 0 && wait <= Self.maxWait) {
                throw ConfigurationError("wait: got \(wait) s, expected more than 0 and at most \(Int(Self.maxWait)) s")
            }
            var audiences = Set<String>()
            var found: [Origin: API] = [:]
            for api in apis {
                if !audiences.insert(api.audience).inserted {
                    throw ConfigurationError("apis: got the audience '\(api.audience)' twice, expected each once")
                }
                if api.origins.isEmpty {
                    throw ConfigurationError("origins: got none for '\(api.audience)', expected at least one")
                }
                try api.proofs.check()
                for origin in Set(try api.origins.map { try Self.origin($0, of: "origins") }) {
                    if found.updateValue(api, forKey: origin) != nil {
                        throw ConfigurationError("origins: got '\(origin)' for two APIs, expected each origin once")
                    }
                }
            }
            return found
        }

        private static func origin(_ url: String, of field: String) throws -> Origin {
            do {
                return try Origin.safe(url)
            } catch let error as MalformedError {
                throw ConfigurationError("\(field): \(error.message)")
            }
        }
    }
}
