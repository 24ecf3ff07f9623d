import Foundation

/// Says why there is no token, no secret or no answer; there is never a placeholder instead.
///
/// No message holds a token, a key or what was sent. A caller whose task is cancelled gets `CancellationError` instead.
public enum WatchwordError: Error, Sendable {
    /// The service (or the vendor) couldn't be reached, asked to come back later, or something else answered in its place.
    /// The same call may succeed later.
    case offline(Offline)

    /// The service said no.
    case refused(Refused)

    /// This phone can't attest: a simulator, an app extension, or a system that is too old.
    case deviceUnsupported(DeviceError)

    /// The device lost its keys, and enrolling anew with new ones failed too.
    case keyLost(DeviceError)

    /// The device's keystore or vendor failed, or is locked; the same call may succeed later.
    case deviceFailed(DeviceFailed)

    /// A connection to a pinned host isn't used; nothing was sent over it.
    case pin(Pin)

    /// The answer to a request was lost, or its proof had been used: the API may have carried it out. It wasn't sent again.
    /// Ask the API, or send an `Idempotency-Key` that the API honours.
    case outcomeUnknown(OutcomeUnknown)

    /// A body without a length was refused, and is larger than what is kept of a stream. Nothing was carried out: send it
    /// with a length.
    case lengthRequired(LengthRequired)

    /// See ``WatchwordError/offline(_:)``.
    public struct Offline: Sendable {
        /// `service-unavailable` or `unreadable-answer`.
        public let code: String

        /// What happened.
        public let message: String

        /// Seconds that the service asked to wait, or what is left of them; nil if it named none.
        public let retryAfter: Double?

        init(code: String = "service-unavailable", _ message: String, retryAfter: Double? = nil) {
            self.code = code
            self.message = message
            self.retryAfter = retryAfter
        }
    }

    /// See ``WatchwordError/refused(_:)``.
    public struct Refused: Sendable {
        /// The public class of the refusal, for example `evidence-refused`.
        public let type: String

        /// The HTTP status.
        public let status: Int

        let title: String

        /// What support needs to find the reason (`watchword explain REF`); nil if none came.
        public let ref: String?

        /// Dotted reason codes, which only a lab service tells.
        public let reasons: [String]

        let signed: String?

        init(type: String, status: Int, title: String, ref: String?, reasons: [String] = [], signed: String? = nil) {
            self.type = type
            self.status = status
            self.title = title
            self.ref = ref
            self.reasons = reasons
            self.signed = signed
        }

        /// Whether trying again is of no use: nothing is sent any more until the app calls ``Watchword/enrol()``, or until the
        /// cool-down of at most one hour has passed.
        public var isFinal: Bool { type == "evidence-refused" || type == "instance-refused" }

        /// The language-neutral name of the error.
        public var code: String {
            isFinal || type == "challenge-refused" || type == "secret-refused" ? type : "service-refused"
        }

        /// What happened.
        public var message: String {
            let why = reasons.isEmpty ? "" : " (\(reasons.joined(separator: ", ")))"
            return "the service refused: \(status) \(type): \(title)\(why)" + (ref.map { "; ref \($0)" } ?? "")
        }
    }

    /// See ``WatchwordError/deviceFailed(_:)``.
    public struct DeviceFailed: Sendable {
        /// What failed.
        public let kind: DeviceError.Kind

        /// `device-error`, or `secret-unopened`.
        public let code: String

        /// What happened.
        public let message: String

        /// Seconds until the device is asked again, nil if at once.
        public let retryAfter: Double?

        init(_ kind: DeviceError.Kind, _ message: String, retryAfter: Double? = nil, code: String = "device-error") {
            self.kind = kind
            self.code = code
            self.message = message
            self.retryAfter = retryAfter
        }
    }

    /// See ``WatchwordError/pin(_:)``.
    public struct Pin: Sendable {
        /// That was to be reached.
        public let host: String

        /// What happened.
        public let message: String
    }

    /// See ``WatchwordError/outcomeUnknown(_:)``.
    public struct OutcomeUnknown: Sendable {
        /// Of the request.
        public let method: String

        /// Scheme, host and port of the API, nothing else of the URL.
        public let origin: String

        let why: String

        /// What happened.
        public var message: String {
            "the outcome of \(method) to \(origin) is unknown (\(why)): it wasn't sent again; ask the API whether it was "
                + "carried out, or send an Idempotency-Key to have it repeated"
        }
    }

    /// See ``WatchwordError/lengthRequired(_:)``.
    public struct LengthRequired: Sendable {
        /// Of the request.
        public let method: String

        /// Scheme, host and port of the API.
        public let origin: String

        /// Most bytes of a stream that are kept.
        public let limit: Int

        /// What happened.
        public var message: String {
            "\(method) to \(origin) needs a Content-Length, and its body is a stream of more than \(limit) bytes: "
                + "send it with a length"
        }
    }

    /// The language-neutral name of the error, the same in every SDK, for example `service-unavailable`.
    public var code: String {
        switch self {
        case .offline(let error): error.code
        case .refused(let error): error.code
        case .deviceUnsupported: "device-unsupported"
        case .keyLost: "key-lost"
        case .deviceFailed(let error): error.code
        case .pin: "pin"
        case .outcomeUnknown: "outcome-unknown"
        case .lengthRequired: "length-required"
        }
    }

    /// What happened, for developers.
    public var message: String {
        switch self {
        case .offline(let error): error.message
        case .refused(let error): error.message
        case .deviceUnsupported(let error): "this device can't attest: \(error.message)"
        case .keyLost(let error): "the device's keys are lost: \(error.message)"
        case .deviceFailed(let error): error.message
        case .pin(let error): error.message
        case .outcomeUnknown(let error): error.message
        case .lengthRequired(let error): error.message
        }
    }

    /// Seconds until the same call is worth another try; nil where nobody named any.
    public var retryAfter: Double? {
        switch self {
        case .offline(let error): error.retryAfter
        case .deviceFailed(let error): error.retryAfter
        default: nil
        }
    }
}

extension WatchwordError: CustomStringConvertible, LocalizedError {
    /// Code and message.
    public var description: String { "\(code): \(message)" }

    /// What happened, for developers.
    public var errorDescription: String? { message }
}

extension WatchwordError {
    /// Returns the error of an answer that isn't the service's.
    static func unreadable(_ what: String) -> WatchwordError {
        .offline(Offline(code: "unreadable-answer", "the answer isn't the service's: \(what)"))
    }

    /// Returns what the app is told of a device's failure.
    static func of(_ error: DeviceError) -> WatchwordError {
        switch error.kind {
        case .unsupported: .deviceUnsupported(error)
        case .keyLost: .keyLost(error)
        case .offline: .offline(Offline("the device's vendor can't be reached", retryAfter: error.retryAfter))
        case .transient, .locked, .fault:
            .deviceFailed(DeviceFailed(error.kind, "the device failed: \(error.message)", retryAfter: error.retryAfter))
        }
    }
}
