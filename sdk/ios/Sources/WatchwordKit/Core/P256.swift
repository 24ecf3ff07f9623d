import CryptoKit
import Foundation

/// What the protocol does on the curve P-256 (FIPS 186) that CryptoKit does not.
enum P256Points {
    static let coordinateBytes = 32
    private static let order: [UInt8] = [
        0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ]

    /// Returns the public key with these coordinates.
    ///
    /// - Throws: `MalformedError` if they are no point of the curve: a secret agreed with one could be had by asking.
    static func publicKey(x: Data, y: Data) throws -> P256.Signing.PublicKey {
        guard x.count == coordinateBytes, y.count == coordinateBytes else {
            throw MalformedError(message: "got a coordinate that isn't of 32 bytes")
        }
        guard let key = try? P256.Signing.PublicKey(x963Representation: Data([4]) + x + y) else {
            throw MalformedError(message: "got a point that isn't on P-256")
        }
        return key
    }

    /// Returns the public key of a JWK; see the other `publicKey`.
    static func publicKey(_ jwk: PublicKeyJWK) throws -> P256.Signing.PublicKey {
        try publicKey(x: try Base64URL.decode(jwk.x, limit: 64), y: try Base64URL.decode(jwk.y, limit: 64))
    }

    /// Returns r and s, 32 bytes each, of an ECDSA signature in DER (RFC 3279 section 2.2.3).
    ///
    /// - Throws: `MalformedError` unless it is strict DER with r and s from 1 to the order less 1.
    static func fixedSignature(der: Data) throws -> Data {
        let bytes = [UInt8](der)
        guard (8...72).contains(bytes.count), bytes[0] == 0x30, Int(bytes[1]) == bytes.count - 2 else {
            throw MalformedError(message: "got a signature that isn't one in DER")
        }
        let (r, next) = try integer(bytes, at: 2)
        let (s, end) = try integer(bytes, at: next)
        guard end == bytes.count else { throw MalformedError(message: "got a signature with something behind it") }
        return Data(r + s)
    }

    /// Tells whether `fixed` (r and s) is a signature of `message` by `key`, ECDSA with SHA-256.
    static func verifies(_ key: P256.Signing.PublicKey, message: Data, fixed: Data) -> Bool {
        guard fixed.count == 2 * coordinateBytes, let signature = try? P256.Signing.ECDSASignature(rawRepresentation: fixed) else {
            return false
        }
        return key.isValidSignature(signature, for: message)
    }

    /// Tells the same by a JWK, which may be no key at all.
    static func verifies(_ jwk: PublicKeyJWK, message: Data, fixed: Data) -> Bool {
        guard let key = try? publicKey(jwk) else { return false }
        return verifies(key, message: message, fixed: fixed)
    }

    /// Returns the integer at `start` in 32 bytes, and where it ends.
    private static func integer(_ der: [UInt8], at start: Int) throws -> (scalar: [UInt8], end: Int) {
        guard start + 2 < der.count, der[start] == 0x02 else { throw MalformedError(message: "got a signature without an integer") }
        let first = start + 2
        let size = Int(der[start + 1])
        guard size > 0, first + size <= der.count else { throw MalformedError(message: "got an integer that is cut off") }
        guard der[first] < 0x80 else { throw MalformedError(message: "got a signature with a number out of range") }
        var magnitude = der[first..<first + size]
        if size > 1, der[first] == 0 {
            guard der[first + 1] >= 0x80 else { throw MalformedError(message: "got an integer that isn't in its shortest form") }
            magnitude = magnitude.dropFirst()
        }
        let isInRange = magnitude.count <= coordinateBytes && magnitude.contains { $0 != 0 }
        let scalar = [UInt8](repeating: 0, count: max(0, coordinateBytes - magnitude.count)) + magnitude
        guard isInRange, scalar.lexicographicallyPrecedes(order) else {
            throw MalformedError(message: "got a signature with a number out of range")
        }
        return (scalar, first + size)
    }
}
