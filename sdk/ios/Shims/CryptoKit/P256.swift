import COpenSSL
import Foundation

/// One key of the curve. It is never changed after it is made, and freed once, by `deinit`: so threads may share it.
final class CurveKey: @unchecked Sendable {
    let key: OpaquePointer

    private init(_ key: OpaquePointer) { self.key = key }

    deinit { EC_KEY_free(key) }

    private static func empty() throws -> CurveKey {
        guard let key = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1) else { throw coreError() }
        return CurveKey(key)
    }

    static func generated() throws -> CurveKey {
        let made = try empty()
        try check(EC_KEY_generate_key(made.key))
        return made
    }

    /// The private key of 32 bytes, big-endian; zero and what isn't below the order are refused.
    static func secret(_ raw: [UInt8]) throws -> CurveKey {
        guard raw.count == 32 else { throw CryptoKitError.incorrectKeySize }
        let made = try empty()
        guard let scalar = BN_bin2bn(raw, 32, nil), let group = EC_KEY_get0_group(made.key), let point = EC_POINT_new(group) else {
            throw coreError()
        }
        defer {
            BN_clear_free(scalar)
            EC_POINT_free(point)
        }
        guard BN_is_zero(scalar) == 0, BN_cmp(scalar, EC_GROUP_get0_order(group)) < 0 else { throw CryptoKitError.invalidParameter }
        try check(EC_KEY_set_private_key(made.key, scalar))
        try check(EC_POINT_mul(group, point, scalar, nil, nil, nil))
        try check(EC_KEY_set_public_key(made.key, point))
        return made
    }

    /// The public key as 0x04, x, y; a point off the curve is refused.
    static func point(_ x963: [UInt8]) throws -> CurveKey {
        guard x963.count == 65, x963[0] == 4 else { throw CryptoKitError.incorrectParameterSize }
        let made = try empty()
        guard EC_KEY_oct2key(made.key, x963, x963.count, nil) == 1 else {
            ERR_clear_error()
            throw CryptoKitError.invalidParameter
        }
        return made
    }

    var x963: [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 65)
        EC_POINT_point2oct(EC_KEY_get0_group(key), EC_KEY_get0_public_key(key), POINT_CONVERSION_UNCOMPRESSED, &bytes, 65, nil)
        return bytes
    }

    var scalar: [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 32)
        BN_bn2binpad(EC_KEY_get0_private_key(key), &bytes, 32)
        return bytes
    }

    func sign(_ digest: [UInt8]) throws -> P256.Signing.ECDSASignature {
        var bytes = [UInt8](repeating: 0, count: Int(ECDSA_size(key)))
        var length: UInt32 = 0
        try check(ECDSA_sign(0, digest, Int32(digest.count), &bytes, &length, key))
        return try P256.Signing.ECDSASignature(derRepresentation: bytes.prefix(Int(length)))
    }

    func verify(_ signature: P256.Signing.ECDSASignature, _ digest: [UInt8]) -> Bool {
        let der = Array(signature.derRepresentation)
        let result = ECDSA_verify(0, digest, Int32(digest.count), der, Int32(der.count), key)
        ERR_clear_error()
        return result == 1
    }

    func agree(with other: CurveKey) throws -> SharedSecret {
        var bytes = [UInt8](repeating: 0, count: 32)
        let length = ECDH_compute_key(&bytes, 32, EC_KEY_get0_public_key(other.key), key, nil)
        guard length == 32 else { throw coreError() }
        return SharedSecret(bytes: bytes)
    }
}

public struct SharedSecret: ContiguousBytes, Sendable {
    let bytes: [UInt8]

    public func withUnsafeBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R { try bytes.withUnsafeBytes(body) }

    public func hkdfDerivedSymmetricKey<H: HashFunction, Salt: DataProtocol, Info: DataProtocol>(
        using: H.Type, salt: Salt, sharedInfo: Info, outputByteCount: Int
    ) -> SymmetricKey {
        HKDF<H>.deriveKey(inputKeyMaterial: SymmetricKey(data: bytes), salt: salt, info: sharedInfo, outputByteCount: outputByteCount)
    }
}

public enum P256 {
    public enum Signing {
        public struct ECDSASignature: ContiguousBytes, Sendable, Equatable {
            /// r and s, 32 bytes each.
            public let rawRepresentation: Data

            public init<D: DataProtocol>(rawRepresentation: D) throws {
                guard rawRepresentation.count == 64 else { throw CryptoKitError.incorrectParameterSize }
                self.rawRepresentation = Data(rawRepresentation)
            }

            public init<D: DataProtocol>(derRepresentation: D) throws {
                let der = Array(derRepresentation)
                let read: OpaquePointer? = der.withUnsafeBufferPointer { buffer in
                    var position = buffer.baseAddress
                    let signature = d2i_ECDSA_SIG(nil, &position, buffer.count)
                    guard let base = buffer.baseAddress, position == base + buffer.count else {
                        ECDSA_SIG_free(signature)
                        return nil
                    }
                    return signature
                }
                ERR_clear_error()
                guard let read else { throw CryptoKitError.invalidParameter }
                defer { ECDSA_SIG_free(read) }
                var raw = [UInt8](repeating: 0, count: 64)
                let fits = raw.withUnsafeMutableBufferPointer { buffer -> Bool in
                    guard let base = buffer.baseAddress else { return false }
                    return BN_bn2binpad(ECDSA_SIG_get0_r(read), base, 32) == 32
                        && BN_bn2binpad(ECDSA_SIG_get0_s(read), base + 32, 32) == 32
                }
                guard fits else { throw CryptoKitError.invalidParameter }
                rawRepresentation = Data(raw)
            }

            public var derRepresentation: Data {
                let raw = Array(rawRepresentation)
                func integer(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
                    let digits = Array(bytes.drop { $0 == 0 })
                    let positive = digits.first.map { $0 < 0x80 } ?? false ? digits : [0] + digits
                    return [2, UInt8(positive.count)] + positive
                }
                let body = integer(raw.prefix(32)) + integer(raw.suffix(32))
                return Data([0x30, UInt8(body.count)] + body)
            }

            public func withUnsafeBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
                try rawRepresentation.withUnsafeBytes(body)
            }
        }

        public typealias PublicKey = CurvePublicKey<Signing>
        public typealias PrivateKey = CurvePrivateKey<Signing>
    }

    public enum KeyAgreement {
        public typealias PublicKey = CurvePublicKey<KeyAgreement>
        public typealias PrivateKey = CurvePrivateKey<KeyAgreement>
    }
}

/// A public key for one use, by which the compiler tells it from those for another.
public struct CurvePublicKey<Use>: Sendable {
    let key: CurveKey

    public init<D: ContiguousBytes>(rawRepresentation: D) throws {
        key = try CurveKey.point([4] + rawRepresentation.withUnsafeBytes { Array($0) })
    }

    public init<D: ContiguousBytes>(x963Representation: D) throws {
        key = try CurveKey.point(x963Representation.withUnsafeBytes { Array($0) })
    }

    init(_ key: CurveKey) { self.key = key }

    public var rawRepresentation: Data { Data(key.x963.dropFirst()) }
    public var x963Representation: Data { Data(key.x963) }
}

/// A private key for one use.
public struct CurvePrivateKey<Use>: Sendable {
    let key: CurveKey

    public init(compactRepresentable: Bool = true) {
        guard let made = try? CurveKey.generated() else { preconditionFailure("OpenSSL makes no key") }
        key = made
    }

    public init<D: ContiguousBytes>(rawRepresentation: D) throws {
        key = try CurveKey.secret(rawRepresentation.withUnsafeBytes { Array($0) })
    }

    public init<D: ContiguousBytes>(x963Representation: D) throws {
        key = try secretOf(x963Representation)
    }

    public var publicKey: CurvePublicKey<Use> { CurvePublicKey(key) }
    public var rawRepresentation: Data { Data(key.scalar) }
    public var x963Representation: Data { Data(key.x963 + key.scalar) }
}

extension CurvePublicKey where Use == P256.Signing {
    public func isValidSignature<D: DataProtocol>(_ signature: P256.Signing.ECDSASignature, for data: D) -> Bool {
        isValidSignature(signature, for: SHA256.hash(data: data))
    }

    public func isValidSignature<D: Digest>(_ signature: P256.Signing.ECDSASignature, for digest: D) -> Bool {
        key.verify(signature, Array(digest))
    }
}

extension CurvePrivateKey where Use == P256.Signing {
    public func signature<D: DataProtocol>(for data: D) throws -> P256.Signing.ECDSASignature {
        try signature(for: SHA256.hash(data: data))
    }

    public func signature<D: Digest>(for digest: D) throws -> P256.Signing.ECDSASignature { try key.sign(Array(digest)) }
}

extension CurvePrivateKey where Use == P256.KeyAgreement {
    public func sharedSecretFromKeyAgreement(with publicKeyShare: P256.KeyAgreement.PublicKey) throws -> SharedSecret {
        try key.agree(with: publicKeyShare.key)
    }
}

/// The private key of 0x04, x, y, k, where point and scalar belong together.
private func secretOf<D: ContiguousBytes>(_ x963: D) throws -> CurveKey {
    let bytes = x963.withUnsafeBytes { Array($0) }
    guard bytes.count == 97 else { throw CryptoKitError.incorrectParameterSize }
    let key = try CurveKey.secret(Array(bytes.suffix(32)))
    guard key.x963 == Array(bytes.prefix(65)) else { throw CryptoKitError.invalidParameter }
    return key
}
