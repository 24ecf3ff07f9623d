import Foundation

/// Keys in software by the names of the hardware's. What the hardware refuses, a test says by ``SimulatedEnclave``.
public enum SecureEnclave {
    public static var isAvailable: Bool { SimulatedEnclave.current.isAvailable }

    public enum P256 {
        public enum Signing { public typealias PrivateKey = EnclavePrivateKey<CryptoKit.P256.Signing> }
        public enum KeyAgreement { public typealias PrivateKey = EnclavePrivateKey<CryptoKit.P256.KeyAgreement> }
    }
}

/// A private key for one use, which never leaves what would be the hardware.
public struct EnclavePrivateKey<Use>: Sendable {
    private let key: CurvePrivateKey<Use>
    /// What a Secure Enclave would have encrypted for itself.
    public let dataRepresentation: Data

    public init(compactRepresentable: Bool = true) throws {
        try SimulatedEnclave.current.call(.create)
        key = CurvePrivateKey()
        dataRepresentation = key.rawRepresentation
    }

    public init(dataRepresentation: Data) throws {
        try SimulatedEnclave.current.call(.restore)
        key = try CurvePrivateKey(rawRepresentation: dataRepresentation)
        self.dataRepresentation = dataRepresentation
    }

    public var publicKey: CurvePublicKey<Use> { key.publicKey }
}

extension EnclavePrivateKey where Use == P256.Signing {
    public func signature<D: DataProtocol>(for data: D) throws -> P256.Signing.ECDSASignature {
        try SimulatedEnclave.current.call(.sign)
        return try key.signature(for: data)
    }

    public func signature<D: Digest>(for digest: D) throws -> P256.Signing.ECDSASignature {
        try SimulatedEnclave.current.call(.sign)
        return try key.signature(for: digest)
    }
}

extension EnclavePrivateKey where Use == P256.KeyAgreement {
    public func sharedSecretFromKeyAgreement(with publicKeyShare: P256.KeyAgreement.PublicKey) throws -> SharedSecret {
        try SimulatedEnclave.current.call(.agree)
        return try key.sharedSecretFromKeyAgreement(with: publicKeyShare)
    }
}

/// What a test makes of the enclave, for the tasks below it alone: tests run side by side in one process.
///
///     try await SimulatedEnclave.$current.withValue(SimulatedEnclave { if $0 == .sign { throw … } }) { … }
public struct SimulatedEnclave: Sendable {
    public enum Call: Sendable { case create, restore, sign, agree }

    @TaskLocal public static var current = SimulatedEnclave()

    public let isAvailable: Bool
    let call: @Sendable (Call) throws -> Void

    /// - Parameter call: hears each call before it is done; what it throws, the caller gets.
    public init(isAvailable: Bool = true, call: @escaping @Sendable (Call) throws -> Void = { _ in }) {
        self.isAvailable = isAvailable
        self.call = call
    }
}
