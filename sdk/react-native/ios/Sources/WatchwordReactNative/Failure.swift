import Foundation
import WatchwordKit

/// What JavaScript is told of an error: its name, what it says, and what stands beside it. Holds no token and no key.
struct Failure: Error, Sendable {
    /// A value that crosses the bridge.
    enum Detail: Sendable, Equatable {
        case text(String)
        case number(Double)
        case flag(Bool)

        var value: Any {
            switch self {
            case .text(let text): text
            case .number(let number): number
            case .flag(let flag): flag
            }
        }
    }

    /// A mistake of the app.
    static let configuration = "configuration"
    /// A body that can't be read whole, or for which there is no room.
    static let bodyUnreadable = "body-unreadable"
    static let notConfigured = Failure(code: configuration, message: "configure() comes first: say where service and APIs are")

    let code: String
    let message: String
    var details: [String: Detail] = [:]

    /// Returns what an error of Watchword's is called; nil for any other.
    static func of(_ error: any Error) -> Failure? {
        switch error {
        case let failure as Failure: return failure
        case let mistake as ConfigurationError: return Failure(code: configuration, message: mistake.message)
        case let error as WatchwordError: return Failure(code: error.code, message: error.message, details: beside(error))
        default: return nil
        }
    }

    private static func beside(_ error: WatchwordError) -> [String: Detail] {
        var details: [String: Detail] = [:]
        if let seconds = error.retryAfter { details["retryAfter"] = .number(seconds) }
        switch error {
        case .refused(let refused):
            if let ref = refused.ref { details["ref"] = .text(ref) }
            if refused.isFinal { details["isFinal"] = .flag(true) }
        case .deviceUnsupported: details["isFinal"] = .flag(true)
        case .pin(let pin): details["host"] = .text(pin.host)
        case .outcomeUnknown(let unknown):
            details["method"] = .text(unknown.method)
            details["origin"] = .text(unknown.origin)
        case .lengthRequired(let required):
            details["method"] = .text(required.method)
            details["origin"] = .text(required.origin)
        case .offline, .keyLost, .deviceFailed: break
        }
        return details
    }

    /// What `onError` hands out.
    var event: [String: Any] { details.mapValues(\.value).merging(["code": code, "message": message]) { $1 } }

    /// What `URLSession` is told, and so React Native: it shows JavaScript the description alone.
    var asNSError: NSError { NSError(domain: "dev.watchword", code: 1, userInfo: [NSLocalizedDescriptionKey: "\(code): \(message)"]) }
}
