import CryptoKit
import DeviceCheck
import Foundation
@_spi(Phone) import WatchwordKit

#if canImport(LabAttester)
    // In a pod it is part of this module.
    import LabAttester
#endif

#if !DEBUG
    #error("WatchwordTestInstance is for debug builds: whoever has its files is this instance. Link it to tests and debug apps alone.")
#endif

extension Watchword {
    /// Makes an instance that uses a real deployment without a phone: by an operator's one-time code in place of attestation.
    ///
    /// Its keys lie in the Keychain, in clear: whoever reads it is this instance until that ends. It can't enrol a second time, as each
    /// code is good for one instance, once.
    ///
    /// - Parameters:
    ///   - configuration: as the app's.
    ///   - code: of `watchword instances invite`; nil where the instance was enrolled by an earlier start.
    /// - Throws: ``ConfigurationError`` on what can't be right.
    public static func testInstance(_ configuration: Configuration, code: String?) throws -> Watchword {
        let phone = Phone(configuration, kind: "test")
        return try Watchword(configuration, ports: phone.ports(phone.device(OperatorCode(code: code), keys: SoftwareKeys())))
    }

    /// Makes an instance that runs the SDK whole, App Attest and all, on a simulator or in CI: `watchword lab attester` is its Secure
    /// Enclave, and its Apple.
    ///
    /// For a service in environment `lab`. The attester's keys go with its process: after that the app enrols anew, as on a restored phone.
    ///
    /// - Parameters:
    ///   - configuration: as the app's.
    ///   - attester: where it listens; on a simulator 127.0.0.1 is the Mac.
    ///   - kind: one of `watchword lab phones`.
    ///   - device: the phone's name, 1 to 64 of letters, digits, `_` and `-`.
    /// - Throws: ``ConfigurationError`` on what can't be right.
    public static func lab(
        _ configuration: Configuration, attester: URL, kind: String = "genuine-iphone", device: String = "ci"
    ) throws -> Watchword {
        let phone = Phone(configuration, kind: "lab-\(kind)-\(device)")
        let service = LabAppAttest(phone: LabAttester(url: attester.absoluteString, kind: kind, device: device))
        return try Watchword(configuration, ports: phone.ports(phone.device(service: service, keys: SoftwareKeys())))
    }
}

/// An operator's word in place of a vendor's.
struct OperatorCode: Attestor {
    /// Spent by the first enrolment that succeeds; nil where there is none.
    let code: String?

    private static let format = "operator_code"
    private static let keyPrefix = Data("watchword/test/v1\u{0}".utf8)
    private static let renewalPrefix = Data("watchword/renew/v1\u{0}".utf8)

    func begin() async throws -> String {
        _ = try spendable()
        return "test"
    }

    func attest(_ id: String, binding: Data, sign: @Sendable (Data) async throws -> Data) async throws -> Evidence {
        // Shows that the code is spent on a key of ours.
        let signature = try await sign(Self.keyPrefix + binding)
        return Evidence(format: Self.format, binary: ["key_signature": signature], text: ["code": try spendable()])
    }

    func renew(_ id: String, statement: Data, sign: @Sendable (Data) async throws -> Data) async throws -> Evidence {
        Evidence(format: Self.format, binary: ["signature": try await sign(Self.renewalPrefix + statement)])
    }

    private func spendable() throws -> String {
        guard let code else {
            throw DeviceError(
                .unsupported,
                "this test instance has no operator code to enrol with: `watchword instances invite` makes another")
        }
        return code
    }
}

/// A code is good for an instance.
extension OperatorCode: CustomStringConvertible, CustomReflectable {
    var description: String { "OperatorCode(...)" }
    var customMirror: Mirror { Mirror(self, children: []) }
}

/// App Attest by the lab's attester.
struct LabAppAttest: AppAttestService {
    let phone: LabAttester

    var isSupported: Bool { true }

    func generateKey() async throws -> String { try await asked { try await phone.generateKey() } }

    func attestKey(_ id: String, clientDataHash: Data) async throws -> Data {
        try await asked { try await phone.attest(id, clientDataHash) }
    }

    func generateAssertion(_ id: String, clientDataHash: Data) async throws -> Data {
        try await asked { try await phone.assert(id, clientDataHash) }
    }

    private func asked<Value>(_ action: () async throws -> Value) async throws -> Value {
        do {
            return try await action()
        } catch let fault as LabAttester.Fault {
            guard let code = DCError.Code(rawValue: fault.code) else { throw fault }
            throw DCError(code)
        }
    }
}

/// Keys in memory and in what keeps them.
struct SoftwareKeys: PhoneKeys {
    func signingKey(_ representation: Data?) throws -> PhoneKey {
        let key = try representation.map { try P256.Signing.PrivateKey(rawRepresentation: $0) } ?? P256.Signing.PrivateKey()
        return PhoneKey(representation: key.rawRepresentation, point: key.publicKey.x963Representation) {
            try key.signature(for: $0).derRepresentation
        }
    }

    func agreementKey(_ representation: Data?) throws -> PhoneKey {
        let key = try representation.map { try P256.KeyAgreement.PrivateKey(rawRepresentation: $0) } ?? P256.KeyAgreement.PrivateKey()
        return PhoneKey(representation: key.rawRepresentation, point: key.publicKey.x963Representation) {
            let peer = try P256.KeyAgreement.PublicKey(x963Representation: $0)
            return try key.sharedSecretFromKeyAgreement(with: peer).withUnsafeBytes { Data($0) }
        }
    }
}
