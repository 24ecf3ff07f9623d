import Foundation

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

    private static let refresh = "refresh"
    private static let enrolment = "enrol"
    private static let renewal = "renew"
    private static let nonceBytes = 16

    private let ports: Ports
    private let instance: Instance
    private let work: Work
    private let secrets: Secrets
    private let apis: [Origin: (api: API, memory: GateMemory)]
    private let audiences: Set<String>

    /// Makes one of its parts. `Watchword(_:)` takes those of this phone.
    ///
    /// - Throws: ``ConfigurationError`` on what can't be right, naming what was got and what was expected.
    public init(_ configuration: Configuration, ports: Ports) throws {
        let apis = try configuration.apisByOrigin()
        let pins = try Pins.of(configuration, ports)
        let ports = pins?.guarded(ports) ?? ports
        let instance = Instance(configuration, ports)
        let host = try Origin.safe(configuration.service).host
        self.configuration = configuration
        self.pins = pins
        self.ports = ports
        self.instance = instance
        work = Work(early: ports.early)
        secrets = Secrets(ports.clock) { name, attempts in
            try pins?.checkSecret(host)
            return try await instance.fetchSecret(name, attempts: attempts)
        }
        // What a gate said counts for all of its API's origins.
        let memories = Dictionary(uniqueKeysWithValues: configuration.apis.map { ($0.audience, GateMemory()) })
        self.apis = apis.mapValues { ($0, memories[$0.audience] ?? GateMemory()) }
        audiences = Set(configuration.apis.map(\.audience))
    }

    /// The level that the service attested, for example `hardware`; nil before the enrolment, and after a start of the app
    /// until what was kept has been read, which the first call does.
    public var level: String? { instance.memory.level }

    /// Gets tokens in the background where none is valid. Returns at once and throws nothing.
    public func prefetch() {
        pins?.refresh()
        Task(priority: .userInitiated) { try? await self.untilValid() }
    }

    /// Waits until there is a valid token, however long that takes.
    ///
    /// - Throws: ``WatchwordError`` if there is none to be had; `CancellationError` if the task is cancelled.
    public func ready() async throws {
        pins?.refresh()
        try await untilValid()
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
        try await work.run(Self.enrolment, within: configuration.wait) { [instance] in try await instance.enrol() }
    }

    /// Binds tokens to a user's session from now on: to the value of the API's `binding_header`, for example what the app
    /// sends as `Authorization`. Nil binds them to nothing. Returns at once.
    ///
    /// A token that is bound to another value isn't used any more; the next call that needs one asks the service. The value
    /// itself goes nowhere: its SHA-256 stands in the token.
    public func bind(_ value: String?) {
        instance.memory.bound = value.map(Statement.boundTo)
    }

    /// Returns a secret that the service hands to this instance for a while; fetches it where none is held, and again in the
    /// background when most of its time has passed.
    ///
    /// `try await watchword.secret("push").use { key in library.start(key) }`
    ///
    /// - Throws: ``WatchwordError`` if there is none to be had; ``ConfigurationError`` on a name that no secret can have;
    ///   `CancellationError` if the task is cancelled while it waits.
    public func secret(_ name: String) async throws -> Secret {
        guard Self.isName(name) else {
            throw ConfigurationError("secret: got the name '\(name)', expected 1 to 64 of a-z, 0-9 and -")
        }
        let key = "secret \(name)"
        if secrets.isDue(name) {
            await work.beginEarly(key) { [secrets] in try await secrets.refreshEarly(name) }
        }
        return try await work.wait(
            key, within: configuration.wait, for: { secrets.copy(name) },
            doing: { [secrets] in
                try await secrets.refresh(name)
            })
    }

    /// Overwrites a secret now; who needs it again fetches it. Copies that the app was given are the app's.
    public func forgetSecret(_ name: String) {
        secrets.forget(name)
    }

    /// Tells whether a request to this URL goes to one of the configured APIs, and is proved therefore. Returns at once.
    public func covers(_ url: URL) -> Bool {
        Origin.of(url.absoluteString).map { apis[$0] != nil } ?? false
    }

    /// Returns what carries a request through its attempts; nil where it goes to none of the configured APIs.
    ///
    /// - Parameters:
    ///   - request: as the app asks for it.
    ///   - earlier: what was returned for the same call of the app, which something above the adapter sends again; nil the first
    ///     time.
    /// - Throws: ``WatchwordError/outcomeUnknown(_:)`` if the request may have been carried out already and mustn't be repeated.
    public func attempts(_ request: AppRequest, after earlier: Attempts? = nil) async throws -> Attempts? {
        guard let origin = Origin.of(request.url), let (api, memory) = apis[origin] else { return nil }
        let next = Attempts(self, api: api, memory: memory, origin: origin, request: request)
        try await earlier?.forbidRepetition(next)
        return next
    }

    /// Returns a valid token at once, nil where ``credential(_:)`` has to be asked: there is none, or its early renewal is to begin.
    func heldToken(_ audience: String) -> HeldToken? {
        guard let (held, isDue) = instance.memory.valid(audience), !isDue || work.isUnderway(Self.refresh) else { return nil }
        pins?.refresh()
        return held
    }

    /// Returns a token and the keys of its proofs; see ``token(for:)``.
    func credential(_ audience: String) async throws -> HeldToken {
        guard audiences.contains(audience) else {
            throw ConfigurationError("audience: got '\(audience)', expected one of \(audiences.sorted())")
        }
        pins?.refresh()
        if instance.memory.valid(audience)?.isDue == true {
            await work.beginEarly(Self.refresh) { [instance] in try await instance.refreshEarly(audience) }
        }
        return try await renewed(within: configuration.wait) { [memory = instance.memory] in memory.valid(audience)?.held }
    }

    /// Returns another token than `refused`, which an API's gate turned down; of several callers only the first renews.
    ///
    /// - Parameter isLost: whether it was turned down by the device instead, whose key is gone.
    func replaceToken(_ audience: String, refused: String, isLost: Bool) async throws -> HeldToken {
        try await renewed(
            lost: isLost ? refused : nil, refused: isLost ? nil : refused, within: configuration.wait
        ) { [memory = instance.memory] in
            guard let held = memory.valid(audience)?.held, held.token != refused else { return nil }
            return held
        }
    }

    /// Renews now, or enrols where there is nothing to renew.
    func renew() async throws {
        try await work.run(Self.renewal, within: configuration.wait) { [instance] in try await instance.refresh { true } }
    }

    /// Returns ECDSA over `message` by the proof key, DER; a busy device is asked again.
    ///
    /// - Throws: ``DeviceError``, nothing else.
    func sign(_ message: Data) async throws -> Data {
        try await instance.sign(message)
    }

    /// Returns what is known of times and of the service now.
    func reading() -> Reading { instance.memory.reading() }

    /// Returns 22 characters of base64url that were never used before.
    func nonce() -> String { Base64URL.encode(ports.entropy(Self.nonceBytes)) }

    private func untilValid() async throws {
        let audience = configuration.apis.first?.audience ?? ""
        let memory = instance.memory
        _ = try await renewed(within: nil) { memory.valid(audience)?.held }
    }

    /// Returns what `wanted` finds, after a renewal or an enrolment if need be.
    private func renewed(
        lost: String? = nil, refused: String? = nil, within limit: Double?, _ wanted: @escaping @Sendable () -> HeldToken?
    ) async throws -> HeldToken {
        try await work.wait(
            Self.refresh, within: limit, for: wanted,
            doing: { [instance] in
                try await instance.refresh(lost: lost, refused: refused) { wanted() == nil }
            })
    }

    private static func isName(_ name: String) -> Bool {
        (1...64).contains(name.utf8.count)
            && name.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"): true
                default: false
                }
            }
    }
}

extension Watchword: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// Names the app, and tells whether it is enrolled.
    public var description: String { "Watchword(app=\(configuration.app), \(level == nil ? "not enrolled" : "enrolled"))" }

    /// The same.
    public var debugDescription: String { description }

    /// Shows nothing.
    public var customMirror: Mirror { Mirror(self, children: [:]) }
}
