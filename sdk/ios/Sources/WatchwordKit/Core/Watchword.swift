import Foundation

/// One instance of an app at one service: enrols, holds tokens, renews them in time, proves requests.
///
/// Made once for each process; safe to use from any number of tasks and threads. Work with service and device is done in tasks of
/// its own, at most one enrolment or renewal at a time. While a token is valid nothing waits for its renewal.
///
/// A caller whose task is cancelled stops waiting and gets `CancellationError`; the work goes on for all others, so that no
/// half-made enrolment is left. Never logs; no token, key or secret is in a description, a `dump` or an error.
public final class Watchword: Sendable {
    /// What the app said of its service and its APIs.
    public let configuration: Configuration

    /// The keys of servers that this app accepts; nil where it was built without pins.
    public let pins: Pins?

    let ports: Ports
    private let instance: Instance
    private let work: Work
    private let secrets: Secrets
    private let apis: [Origin: (api: API, memory: GateMemory)]
    private let audiences: Set<String>
    private let serviceHost: String

    /// What is known of times and of the service at one moment.
    struct Reading: Sendable {
        /// Seconds since the device's start.
        let boot: Double

        /// The wall clock, seconds since 1970.
        let wall: Double

        /// The service's time, seconds since 1970; nil while it told none since the device's start.
        let serviceTime: Double?

        /// Whether the service said that it speaks protocol 1.1.
        let speaks: Bool
    }

    /// Makes one of its parts. `Watchword(_:)` takes those of this phone.
    ///
    /// - Throws: ``ConfigurationError`` on what can't be right, naming what was got and what was expected.
    public init(_ configuration: Configuration, ports: Ports) throws {
        try configuration.check()
        let pins = try Pins.of(configuration, ports)
        let ports = pins?.guarded(ports) ?? ports
        let instance = Instance(configuration, ports)
        let host = try Origin.safe(configuration.service).host
        self.configuration = configuration
        self.pins = pins
        self.ports = ports
        self.instance = instance
        work = Work(wait: configuration.wait)
        secrets = Secrets(ports.clock) { name, attempts in
            try pins?.checkSecret(host)
            return try await instance.fetchSecret(name, attempts: attempts)
        }
        var apis: [Origin: (api: API, memory: GateMemory)] = [:]
        for api in configuration.apis {
            for origin in api.origins {
                apis[try Origin.safe(origin)] = (api, GateMemory())
            }
        }
        self.apis = apis
        audiences = Set(configuration.apis.map(\.audience))
        serviceHost = host
    }

    /// The level that the service attested, for example `hardware`; nil before the enrolment.
    public var level: String? { instance.level }

    /// Gets tokens in the background where none is valid. Returns at once and throws nothing.
    public func prefetch() {
        Task { try? await ready() }
    }

    /// Waits until there is a valid token, however long that takes.
    ///
    /// - Throws: ``WatchwordError`` if there is none to be had; `CancellationError` if the task is cancelled.
    public func ready() async throws {
    }

    /// Returns a token for one API that is valid now; waits at most ``Configuration/wait``. For libraries without an adapter: a
    /// token alone passes only `bearer` routes.
    ///
    /// - Throws: ``WatchwordError`` if there is none to be had; ``ConfigurationError`` if the audience isn't configured;
    ///   `CancellationError` if the task is cancelled while it waits.
    public func token(for audience: String) async throws -> String {
        try await credential(audience).token
    }

    /// Enrols a new instance with new keys. Only for an app that wants to try again after a final refusal: everything else
    /// enrols by itself.
    ///
    /// Waits at most ``Configuration/wait``. After that it throws ``WatchwordError/offline(_:)``, and the enrolment goes on in the
    /// background; a second call waits for that one, and begins none of its own.
    ///
    /// - Throws: ``WatchwordError`` if it fails, or takes longer; `CancellationError` if the task is cancelled.
    public func enrol() async throws {
    }

    /// Binds tokens to a user's session from now on: to the value of the API's `binding_header`, for example what the app
    /// sends as `Authorization`. Nil binds them to nothing. Returns at once.
    ///
    /// A token that is bound to another value isn't used any more; the next call that needs one asks the service. The value
    /// itself goes nowhere: its SHA-256 stands in the token.
    public func bind(_ value: String?) {
        instance.bind(value.map(Statement.boundTo))
    }

    /// Returns a secret that the service hands to this instance for a while; fetches it where none is held, and again in the
    /// background when most of its time has passed.
    ///
    /// `try await watchword.secret("push").use { key in library.start(key) }`
    ///
    /// - Throws: ``WatchwordError`` if there is none to be had; ``ConfigurationError`` on a name that no secret can have;
    ///   `CancellationError` if the task is cancelled while it waits.
    public func secret(_ name: String) async throws -> Secret {
        fatalError()
    }

    /// Overwrites a secret now; who needs it again fetches it. Copies that the app was given are the app's.
    public func forgetSecret(_ name: String) {
        secrets.forget(name)
    }

    /// Returns what carries a request through its attempts; nil where it goes to none of the configured APIs.
    ///
    /// - Parameter earlier: what was returned for the same call of the app, which something above the adapter sends again; nil the
    ///   first time.
    /// - Throws: ``WatchwordError/outcomeUnknown(_:)`` if the request may have been carried out already and mustn't be repeated.
    public func attempts(_ request: AppRequest, after earlier: Attempts? = nil) async throws -> Attempts? {
        guard let origin = Origin.of(request.url), let (api, memory) = apis[origin] else { return nil }
        let next = Attempts(self, api: api, memory: memory, origin: origin, request: request)
        try await earlier?.forbidRepetition(next)
        return next
    }

    /// Returns a valid token at once, nil where ``credential(_:)`` has to be asked; begins its early renewal where that is due.
    func heldToken(_ audience: String) -> HeldToken? {
        nil
    }

    /// Returns a token and the keys of its proofs; see ``token(for:)``.
    func credential(_ audience: String) async throws -> HeldToken {
        fatalError()
    }

    /// Returns another token than `refused`, which an API's gate turned down; of several callers only the first renews.
    ///
    /// - Parameter isLost: whether it was turned down by the device instead, whose key is gone.
    func replaceToken(_ audience: String, refused: String, isLost: Bool) async throws -> HeldToken {
        fatalError()
    }

    /// Returns ECDSA over `message` by the proof key, DER; a busy device is asked again.
    ///
    /// - Throws: ``DeviceError``, nothing else.
    func sign(_ message: Data) async throws -> Data {
        fatalError()
    }

    /// Returns what the app is told of a device's failure while it signs a request: nothing else changes.
    func signFailure(_ error: DeviceError) -> WatchwordError { .of(error) }

    /// Returns what is known of times and of the service now.
    func reading() -> Reading { instance.reading() }

    /// Returns 22 characters of base64url that were never used before.
    func nonce() -> String { Base64URL.encode(ports.entropy(16)) }
}

extension Watchword: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    public var description: String { "Watchword(app=\(configuration.app), \(level == nil ? "not enrolled" : "enrolled"))" }
    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: [:]) }
}
