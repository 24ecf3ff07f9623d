import CryptoKit
import Foundation

/// HPKE in base mode, one shot, without associated data (RFC 9180): DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-128-GCM.
///
/// CryptoKit's own HPKE is of iOS 17, and takes no key that only agrees. The names are the RFC's.
enum HPKE {
    private static let version = Data("HPKE-v1".utf8)
    private static let kem = Data("KEM".utf8) + [0, 0x10]
    private static let suite = Data("HPKE".utf8) + [0, 0x10, 0, 1, 0, 1]
    private static let pointBytes = 65
    private static let tagBytes = 16

    /// Returns what was sealed.
    ///
    /// - Parameters:
    ///   - sealKey: the public seal key.
    ///   - info: what the sealing was bound to.
    ///   - sealed: the encapsulated key (65 bytes, uncompressed) and the ciphertext.
    ///   - agree: returns the shared x coordinate, 32 bytes, of the device's private seal key and a point in X9.63 that was
    ///     seen to be on P-256.
    /// - Throws: `MalformedError` if it wasn't sealed to this key with this info, or isn't well formed; what `agree` throws.
    static func open(sealKey: PublicKeyJWK, info: Data, sealed: Data, agree: (_ x963: Data) throws -> Data) throws -> Data {
        let sealed = [UInt8](sealed)
        guard sealed.count >= pointBytes + tagBytes, sealed[0] == 4 else {
            throw MalformedError(message: "got something that isn't sealed")
        }
        let enc = Data(sealed.prefix(pointBytes))
        _ = try P256Points.publicKey(x: enc[1..<33], y: enc[33...])
        let recipient = try P256Points.publicKey(sealKey).x963Representation
        let dh = try agree(enc)
        guard dh.count == P256Points.coordinateBytes else { throw MalformedError(message: "got a shared coordinate of another length") }
        let eaePRK = extract(kem, salt: Data(), "eae_prk", dh)
        let shared = expand(kem, eaePRK, "shared_secret", enc + recipient, size: 32)
        let context = Data([0]) + extract(suite, salt: Data(), "psk_id_hash", Data()) + extract(suite, salt: Data(), "info_hash", info)
        let secret = extract(suite, salt: shared, "secret", Data())
        let key = SymmetricKey(data: expand(suite, secret, "key", context, size: 16))
        do {
            let nonce = try AES.GCM.Nonce(data: expand(suite, secret, "base_nonce", context, size: 12))
            let ciphertext = sealed[pointBytes..<sealed.count - tagBytes]
            let box = try AES.GCM.SealedBox(nonce: nonce, ciphertext: Data(ciphertext), tag: Data(sealed.suffix(tagBytes)))
            return try AES.GCM.open(box, using: key)
        } catch {
            throw MalformedError(message: "got something that wasn't sealed to this key with this info")
        }
    }

    /// LabeledExtract.
    private static func extract(_ suite: Data, salt: Data, _ label: String, _ material: Data) -> Data {
        hmacSHA256(key: salt, version + suite + Data(label.utf8) + material)
    }

    /// LabeledExpand, of one block: `size` is at most that of the hash.
    private static func expand(_ suite: Data, _ key: Data, _ label: String, _ info: Data, size: UInt8) -> Data {
        let labeled = Data([0, size]) + version + suite + Data(label.utf8) + info + [1]
        return hmacSHA256(key: key, labeled).prefix(Int(size))
    }
}
