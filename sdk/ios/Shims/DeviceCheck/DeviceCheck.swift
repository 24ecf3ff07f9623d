// Apple's DeviceCheck as far as WatchwordKit uses it, for Linux alone: `watchword lab attester` stands for the phone and for Apple.
//
// Names and signatures, read 2026-11-30:
// https://developer.apple.com/documentation/devicecheck/dcappattestservice.md
// https://developer.apple.com/documentation/devicecheck/dcappattestservice/generateassertion(_:clientdatahash:completionhandler:).md
// https://developer.apple.com/documentation/devicecheck/dcerror-swift.struct/code.md
// https://onestack.dev/ios-reference/DeviceCheck/DCError (members of the Swift type)
// https://learn.microsoft.com/en-us/dotnet/api/devicecheck.dcerror (the numbers)
// The domain's text is that of the lab, which took it from the same pages. What Apple changes later isn't here by itself.

import Foundation
import LabAttester

/// What DeviceCheck and App Attest throw.
public struct DCError: Error, CustomNSError, Equatable, Sendable {
    /// The errors by Apple's numbers.
    public enum Code: Int, Sendable {
        case unknownSystemFailure = 0
        case featureUnsupported = 1
        case invalidInput = 2
        case invalidKey = 3
        case serverUnavailable = 4
    }

    public let code: Code

    public init(_ code: Code) {
        self.code = code
    }

    public static let errorDomain = "com.apple.devicecheck.error"
    public static let unknownSystemFailure = Code.unknownSystemFailure
    public static let featureUnsupported = Code.featureUnsupported
    public static let invalidInput = Code.invalidInput
    public static let invalidKey = Code.invalidKey
    public static let serverUnavailable = Code.serverUnavailable

    public var errorCode: Int { code.rawValue }
}

/// App Attest of one simulated phone.
public final class DCAppAttestService: Sendable {
    /// The phone that the environment names: `WATCHWORD_LAB_ATTESTER` (URL), and at will `WATCHWORD_LAB_KIND` and `WATCHWORD_LAB_DEVICE`.
    /// Without the first it is a phone without App Attest.
    public static let shared = DCAppAttestService(phone: environment(ProcessInfo.processInfo.environment))

    private let phone: LabAttester?

    /// Apple has only ``shared``; nil is a phone without App Attest.
    public init(phone: LabAttester?) {
        self.phone = phone
    }

    public var isSupported: Bool { phone != nil }

    public func generateKey() async throws -> String { try await asked { try await $0.generateKey() } }

    public func attestKey(_ keyId: String, clientDataHash: Data) async throws -> Data {
        try await asked { try await $0.attest(keyId, clientDataHash) }
    }

    public func generateAssertion(_ keyId: String, clientDataHash: Data) async throws -> Data {
        try await asked { try await $0.assert(keyId, clientDataHash) }
    }

    public func generateKey(completionHandler: @escaping @Sendable (String?, (any Error)?) -> Void) {
        complete(completionHandler) { try await self.generateKey() }
    }

    public func attestKey(_ keyId: String, clientDataHash: Data, completionHandler: @escaping @Sendable (Data?, (any Error)?) -> Void) {
        complete(completionHandler) { try await self.attestKey(keyId, clientDataHash: clientDataHash) }
    }

    public func generateAssertion(
        _ keyId: String,
        clientDataHash: Data,
        completionHandler: @escaping @Sendable (Data?, (any Error)?) -> Void
    ) {
        complete(completionHandler) { try await self.generateAssertion(keyId, clientDataHash: clientDataHash) }
    }

    private static func environment(_ values: [String: String]) -> LabAttester? {
        guard let url = values["WATCHWORD_LAB_ATTESTER"] else { return nil }
        let kind = values["WATCHWORD_LAB_KIND"] ?? "genuine-iphone"
        return LabAttester(url: url, kind: kind, device: values["WATCHWORD_LAB_DEVICE"] ?? "phone")
    }

    private func asked<Value: Sendable>(_ action: @Sendable (LabAttester) async throws -> Value) async throws -> Value {
        guard let phone else { throw DCError(.featureUnsupported) }
        do {
            return try await action(phone)
        } catch let fault as LabAttester.Fault {
            throw DCError.Code(rawValue: fault.code).map { DCError($0) as any Error } ?? fault
        }
    }

    private func complete<Value: Sendable>(
        _ handler: @escaping @Sendable (Value?, (any Error)?) -> Void,
        _ action: @escaping @Sendable () async throws -> Value
    ) {
        Task {
            do {
                handler(try await action(), nil)
            } catch {
                handler(nil, error)
            }
        }
    }
}
