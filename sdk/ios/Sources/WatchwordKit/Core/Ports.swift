import Foundation

/// A public P-256 key as a JWK (RFC 7518 section 6.2.1).
public struct PublicKeyJWK: Sendable, Equatable {
    /// The coordinate's 32 bytes in base64url without padding.
    public let x: String

    /// Likewise.
    public let y: String

    /// Makes one of coordinates that are in base64url already.
    public init(x: String, y: String) {
        self.x = x
        self.y = y
    }

    /// Makes one of an uncompressed point: byte 4, then both coordinates, 65 bytes in all (ANSI X9.63), as `SecKey` and CryptoKit
    /// export public keys.
    ///
    /// - Throws: ``DeviceError`` of kind `fault` if it has another form; whether the point is on the curve is the service's to tell.
    public init(x963Representation point: Data) throws {
        guard point.count == 1 + 2 * Self.coordinateBytes, point.first == Self.uncompressed else {
            throw DeviceError(.fault, "got a public key of \(point.count) bytes, expected an uncompressed P-256 point of 65")
        }
        x = Base64URL.encode(Data(point.dropFirst().prefix(Self.coordinateBytes)))
        y = Base64URL.encode(Data(point.suffix(Self.coordinateBytes)))
    }

    /// Returns the members `kty`, `crv`, `x` and `y`, in this order.
    func members() -> JSONObject {
        ["kty": "EC", "crv": "P-256", "x": .text(x), "y": .text(y)]
    }

    private static let coordinateBytes = 32
    private static let uncompressed: UInt8 = 4
}

/// The `evidence` member of an enrolment or a renewal.
public struct Evidence: Sendable {
    /// Names the format, for example `app-attest`.
    public let format: String

    /// All other members by name; binary ones are in base64url already.
    public let members: [String: String]

    /// Makes evidence of its parts.
    public init(format: String, members: [String: String]) {
        self.format = format
        self.members = members
    }

    /// Returns the member as it is sent.
    func written() -> JSON {
        var object: JSONObject = ["format": .text(format)]
        for (name, value) in members.sorted(by: { $0.key < $1.key }) where name != "format" {
            object[name] = .text(value)
        }
        return .object(object)
    }
}

/// A test instance's evidence is its operator's code.
extension Evidence: Redacted {}

/// Keeps an instance's keys in hardware and makes evidence with them: the one interface that a platform implements.
///
/// Every method may throw a ``DeviceError``; anything else that it throws is taken for one of kind `fault`. ``createKeys()``,
/// ``attest(binding:)`` and ``renew(statement:)`` are called one at a time, all others from any number of tasks at once. Only
/// ``sign(_:)`` is called in a task of the app's, which may be cancelled.
public protocol Device: Sendable {
    /// Whether ``openSealed(info:sealed:)`` can work at all on this device; if not, the device's own key signs requests. Returns at once.
    var canOpen: Bool { get }

    /// Returns the public proof key that the statement names; nil where the attested key is the proof key.
    func proofKey() async throws -> PublicKeyJWK?

    /// Returns the public key to which session keys and secrets for this instance are sealed.
    func sealKey() async throws -> PublicKeyJWK

    /// Makes new keys for a new enrolment and forgets the old ones; called before every enrolment.
    func createKeys() async throws

    /// Returns the evidence of an enrolment.
    ///
    /// - Parameter binding: SHA-256 of the statement, 32 bytes.
    func attest(binding: Data) async throws -> Evidence

    /// Returns the evidence of a renewal, or of a request for a secret.
    ///
    /// - Parameter statement: the bytes that are sent.
    func renew(statement: Data) async throws -> Evidence

    /// Returns ECDSA with SHA-256 over `message` by the proof key, in DER.
    func sign(_ message: Data) async throws -> Data

    /// Returns what was sealed to the seal key (HPKE, RFC 9180: base mode, one shot).
    ///
    /// - Parameters:
    ///   - info: what the sealing was bound to.
    ///   - sealed: the encapsulated key and the ciphertext, one after the other.
    /// - Throws: ``DeviceError`` of any kind if this device can't open it. A token is kept without its session key then.
    func openSealed(info: Data, sealed: Data) async throws -> Data
}

/// Says that the device's keystore or vendor failed.
public struct DeviceError: Error, Sendable, CustomStringConvertible, LocalizedError {
    /// What can be wrong with a device, by what there is to do.
    public enum Kind: String, Sendable, CaseIterable {
        /// This phone can't attest at all: a simulator, an extension, an old system.
        case unsupported

        /// The keys are gone or void: a restored backup, a phone that was moved to. The app enrols anew, once.
        case keyLost

        /// The vendor or the keystore is busy: the same call may succeed later, with the same keys.
        case transient

        /// The phone is locked, or its user has to authenticate first.
        case locked

        /// The vendor must be reached over the network, and can't be.
        case offline

        /// Anything else: a defect of the device or of the app.
        case fault
    }

    /// What the SDK does about it.
    public let kind: Kind

    /// For developers; holds no key.
    public let message: String

    /// Seconds that the vendor asks to wait; nothing is repeated before. Nil where it names none: a `transient` call is repeated
    /// at once then, after short pauses, up to three times.
    public let retryAfter: Double?

    /// Makes one.
    public init(_ kind: Kind, _ message: String, retryAfter: Double? = nil) {
        self.kind = kind
        self.message = message
        // A number that isn't one would hold the phone back for ever.
        self.retryAfter = retryAfter.flatMap { $0.isFinite && $0 >= 0 ? $0 : nil }
    }

    /// Kind and message.
    public var description: String { "\(kind.rawValue): \(message)" }

    /// The same.
    public var errorDescription: String? { description }
}

/// Keeps one document of the SDK on this device: atomically, readable by this app alone, and in no backup.
///
/// Its calls aren't asynchronous, because they are short: a Keychain's item or a file of a few kilobytes. The SDK makes them on
/// whatever thread it is on, at most two for each enrolment or renewal and one at its start. What they throw loses nothing but
/// the session: the app renews or enrols after its next start.
public protocol Store: Sendable {
    /// Returns what was written last, nil if nothing is there.
    ///
    /// - Throws: ``DeviceError`` of kind `locked` while the phone can't tell, since nobody unlocked it since its start: nothing is
    ///   asked of the service then, and the store is read again at the next call. Anything else counts as nothing stored.
    func read() throws -> Data?

    /// Replaces what is there: after a crash either the old or the new document is there, whole.
    func write(_ data: Data) throws

    /// Removes what is there.
    func clear() throws
}

/// Tells the time. (Swift's own `Clock` measures; this one also knows the device's start.)
public protocol DeviceClock: Sendable {
    /// Returns the wall clock: seconds since 1970. It may be wrong, and may jump.
    func wall() -> Double

    /// Returns seconds since the device's start, including those that it slept.
    func boot() -> Double

    /// Names the present start of the device: another text after each.
    var bootID: String { get }
}

/// An answer as it came over the wire.
public struct Answer: Sendable {
    /// The HTTP status.
    public let status: Int

    /// By name in lower case.
    public let headers: [String: String]

    /// At most 64 KiB; see ``Transport``.
    public let body: Data

    /// Makes one.
    public init(status: Int, headers: [String: String], body: Data) {
        self.status = status
        self.headers = headers
        self.body = body
    }
}

/// Its body holds tokens.
extension Answer: Redacted {}

/// Carries requests to the service.
///
/// It follows no redirect, asks for no compression (`Accept-Encoding: identity`) and refuses a compressed answer or one of more
/// than 64 KiB by an ``UnreadableAnswerError``. It repeats nothing by itself.
public protocol Transport: Sendable {
    /// Sends a POST.
    ///
    /// - Parameters:
    ///   - url: `https`, or `http` to a loopback address.
    ///   - headers: to be sent, `Content-Type` among them.
    ///   - body: sent as it is.
    ///   - timeout: most seconds until the answer has been read, above 0.
    /// - Throws: ``WatchwordError/pin(_:)`` if the host is pinned and the connection isn't used, which isn't tried again;
    ///   ``UnreadableAnswerError`` as above; anything else if no answer came, which is tried again.
    func post(_ url: String, headers: [String: String], body: Data, timeout: Double) async throws -> Answer

    /// Sends a GET; all else as ``post(_:headers:body:timeout:)``.
    func get(_ url: String, headers: [String: String], timeout: Double) async throws -> Answer
}

/// Says that an answer isn't the service's: compressed, too large, or no HTTP. Nothing is concluded from it.
public struct UnreadableAnswerError: Error, Sendable, CustomStringConvertible, LocalizedError {
    /// What came; holds nothing of a body.
    public let message: String

    /// Makes one.
    public init(_ message: String) {
        self.message = message
    }

    /// What came.
    public var description: String { message }

    /// The same.
    public var errorDescription: String? { message }
}

/// What the core needs of its platform. `Watchword(_:)` makes one for this phone.
public struct Ports: Sendable {
    /// Keys and evidence.
    public let device: any Device

    /// Where the session is kept.
    public let store: any Store

    /// The time.
    public let clock: any DeviceClock

    /// The way to the service.
    public internal(set) var transport: any Transport

    /// Waits so many seconds between attempts.
    public let sleep: @Sendable (Double) async throws -> Void

    /// Returns a number from 0 to below 1, another each time.
    public let jitter: @Sendable () -> Double

    /// Returns so many bytes that nobody can guess; nonces are made of them.
    public let entropy: @Sendable (Int) -> Data

    /// Is told which version of the app's pins the service has now; must return at once.
    public internal(set) var hearPins: @Sendable (Int64) -> Void

    /// What pins need of the platform; nil for a phone that keeps none of what it fetches.
    public let pins: PinPorts?

    /// Runs work that nobody waits for, and returns at once.
    var early: @Sendable (_ work: @escaping @Sendable () async -> Void) async -> Void = { work in
        // Somebody may come and wait for it, who can't raise its priority any more.
        Task(priority: .userInitiated) { await work() }
    }

    /// Makes ports; what is left out is the system's own.
    public init(
        device: any Device,
        store: any Store,
        clock: any DeviceClock,
        transport: any Transport,
        sleep: @escaping @Sendable (Double) async throws -> Void = Ports.systemSleep,
        jitter: @escaping @Sendable () -> Double = { Double.random(in: 0..<1) },
        entropy: @escaping @Sendable (Int) -> Data = Ports.systemEntropy,
        hearPins: @escaping @Sendable (Int64) -> Void = { _ in },
        pins: PinPorts? = nil
    ) {
        self.device = device
        self.store = store
        self.clock = clock
        self.transport = transport
        self.sleep = sleep
        self.jitter = jitter
        self.entropy = entropy
        self.hearPins = hearPins
        self.pins = pins
    }

    /// Waits so many seconds; a number that isn't one, or below 0, is none.
    @Sendable public static func systemSleep(_ seconds: Double) async throws {
        try await Task.sleep(nanoseconds: nanoseconds(seconds))
    }

    /// Returns so many bytes of the system's generator.
    @Sendable public static func systemEntropy(_ count: Int) -> Data {
        var generator = SystemRandomNumberGenerator()
        return Data((0..<max(0, count)).map { _ in UInt8.random(in: .min ... .max, using: &generator) })
    }

    /// Returns whole nanoseconds: a conversion that can't trap, whatever a server or an app made of the number.
    static func nanoseconds(_ seconds: Double) -> UInt64 {
        guard seconds > 0 else { return 0 }
        return UInt64(min(seconds, longestSleep) * 1e9)
    }

    private static let longestSleep = 100.0 * 366 * 86400
}
