import Foundation
import Testing

@testable import CryptoKit

/// `cases.json` is what another library says; a test in Python holds it to that.
private struct Cases: Decodable {
    let hash: [[String: String]]
    let hmac: [[String: String]]
    let hkdf: [Derived]
    let gcm: [[String: String]]
    let agree: [[String: String]]
    let verify: [[String: String]]

    struct Derived: Decodable {
        let material: String
        let salt: String
        let info: String
        let count: Int
        let digest: String
    }

    static func read() throws -> Cases {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("cases.json")
        return try JSONDecoder().decode(Cases.self, from: Data(contentsOf: file))
    }
}

private func bytes(_ hex: String) -> Data {
    let digits = Array(hex)
    return Data(stride(from: 0, to: digits.count, by: 2).compactMap { UInt8(String(digits[$0...($0 + 1)]), radix: 16) })
}

extension [String: String] {
    fileprivate func data(_ name: String) throws -> Data { bytes(try #require(self[name])) }
}

extension ContiguousBytes {
    fileprivate var data: Data { withUnsafeBytes { Data($0) } }
}

@Suite struct ShimTests {
    @Test func hashesAsOthersDo() throws {
        for each in try Cases.read().hash {
            let (data, digest) = (try each.data("data"), try each.data("digest"))
            #expect(SHA256.hash(data: data).data == digest)
            var parts = SHA256()
            for byte in data { parts.update(data: [byte]) }
            let early = parts.finalize()
            #expect(early.data == digest)
            let before = parts
            parts.update(data: [0])
            #expect(parts.finalize() != early)
            #expect(before.finalize() == early)
        }
    }

    @Test func authenticatesAsOthersDo() throws {
        for each in try Cases.read().hmac {
            let (key, data) = (SymmetricKey(data: try each.data("key")), try each.data("data"))
            var code = try each.data("code")
            #expect(HMAC<SHA256>.authenticationCode(for: data, using: key).data == code)
            #expect(HMAC<SHA256>.isValidAuthenticationCode(code, authenticating: data, using: key))
            #expect(!HMAC<SHA256>.isValidAuthenticationCode(code.dropLast(), authenticating: data, using: key))
            code[code.endIndex - 1] ^= 1
            #expect(!HMAC<SHA256>.isValidAuthenticationCode(code, authenticating: data, using: key))
        }
    }

    @Test func derivesAsOthersDo() throws {
        for each in try Cases.read().hkdf {
            let key = HKDF<SHA256>.deriveKey(
                inputKeyMaterial: SymmetricKey(data: bytes(each.material)), salt: bytes(each.salt), info: bytes(each.info),
                outputByteCount: each.count)
            #expect(key.bitCount == each.count * 8)
            #expect(SHA256.hash(data: key.data).data == bytes(each.digest))
        }
    }

    @Test func sealsAndOpensAsOthersDo() throws {
        for each in try Cases.read().gcm {
            let (key, data, sealed) = (SymmetricKey(data: try each.data("key")), try each.data("data"), try each.data("sealed"))
            let (nonce, message) = (try each.data("nonce"), try each.data("message"))
            let box = try AES.GCM.seal(message, using: key, nonce: AES.GCM.Nonce(data: nonce), authenticating: data)
            #expect(box.ciphertext + box.tag == sealed)
            let combined = try AES.GCM.SealedBox(combined: nonce + sealed)
            #expect(combined.combined == box.combined)
            #expect(try AES.GCM.open(combined, using: key, authenticating: data) == message)
            for index in sealed.indices {
                var other = sealed
                other[index] ^= 1
                let changed = try AES.GCM.SealedBox(combined: nonce + other)
                #expect(throws: CryptoKitError.authenticationFailure) {
                    try AES.GCM.open(changed, using: key, authenticating: data)
                }
            }
            #expect(throws: CryptoKitError.authenticationFailure) {
                try AES.GCM.open(combined, using: key, authenticating: data + [0])
            }
            #expect(throws: CryptoKitError.incorrectKeySize) {
                try AES.GCM.open(combined, using: SymmetricKey(data: [1, 2, 3]), authenticating: data)
            }
        }
        #expect(throws: CryptoKitError.incorrectParameterSize) { try AES.GCM.SealedBox(combined: Data(count: 27)) }
        #expect(throws: CryptoKitError.incorrectParameterSize) { try AES.GCM.Nonce(data: Data(count: 11)) }
        #expect(AES.GCM.Nonce().data != AES.GCM.Nonce().data)
    }

    @Test func agreesAsOthersDo() throws {
        for each in try Cases.read().agree {
            let key = try P256.KeyAgreement.PrivateKey(rawRepresentation: each.data("scalar"))
            let (own, secret) = (try each.data("own"), try each.data("secret"))
            #expect(key.publicKey.x963Representation == own)
            #expect(key.publicKey.rawRepresentation == own.dropFirst())
            let other = try P256.KeyAgreement.PublicKey(x963Representation: each.data("point"))
            #expect(try key.sharedSecretFromKeyAgreement(with: other).data == secret)
            let whole = try P256.KeyAgreement.PrivateKey(x963Representation: key.x963Representation)
            #expect(whole.rawRepresentation == key.rawRepresentation)
        }
    }

    @Test func verifiesWhatOthersSigned() throws {
        for each in try Cases.read().verify {
            let key = try P256.Signing.PublicKey(x963Representation: each.data("point"))
            let message = try each.data("message")
            let (der, wanted) = (try each.data("der"), try each.data("raw"))
            let signature = try P256.Signing.ECDSASignature(derRepresentation: der)
            #expect(signature.rawRepresentation == wanted)
            #expect(signature.derRepresentation == der)
            #expect(key.isValidSignature(signature, for: message))
            #expect(!key.isValidSignature(signature, for: message + [0]))
            var raw = signature.rawRepresentation
            raw[raw.endIndex - 1] ^= 1
            #expect(!key.isValidSignature(try P256.Signing.ECDSASignature(rawRepresentation: raw), for: message))
            #expect(throws: CryptoKitError.invalidParameter) {
                try P256.Signing.ECDSASignature(derRepresentation: der + [0])
            }
        }
    }

    @Test func whatItSignsHolds() throws {
        for round in 0..<200 {
            let key = P256.Signing.PrivateKey()
            let message = Data("message \(round)".utf8)
            let signature = try key.signature(for: message)
            let again = try P256.Signing.ECDSASignature(derRepresentation: signature.derRepresentation)
            #expect(again == signature)
            let restored = try P256.Signing.PrivateKey(rawRepresentation: key.rawRepresentation)
            #expect(restored.publicKey.isValidSignature(again, for: SHA256.hash(data: message)))
            #expect(!P256.Signing.PrivateKey().publicKey.isValidSignature(again, for: message))
        }
    }

    @Test func whatIsNoKeyIsRefused() throws {
        let point = P256.Signing.PrivateKey().publicKey.x963Representation
        var off = point
        off[off.endIndex - 1] ^= 1
        #expect(throws: CryptoKitError.invalidParameter) { try P256.Signing.PublicKey(x963Representation: off) }
        #expect(throws: CryptoKitError.incorrectParameterSize) { try P256.Signing.PublicKey(x963Representation: point.dropLast()) }
        #expect(throws: CryptoKitError.incorrectParameterSize) { try P256.Signing.PublicKey(x963Representation: [2] + point.dropFirst()) }
        #expect(throws: CryptoKitError.incorrectKeySize) { try P256.Signing.PrivateKey(rawRepresentation: Data(count: 31)) }
        #expect(throws: CryptoKitError.invalidParameter) { try P256.Signing.PrivateKey(rawRepresentation: Data(count: 32)) }
        let large = Data(repeating: 0xff, count: 32)
        #expect(throws: CryptoKitError.invalidParameter) { try P256.Signing.PrivateKey(rawRepresentation: large) }
        let (one, two) = (P256.Signing.PrivateKey(), P256.Signing.PrivateKey())
        let mixed = one.publicKey.x963Representation + two.rawRepresentation
        #expect(throws: CryptoKitError.invalidParameter) { try P256.Signing.PrivateKey(x963Representation: mixed) }
    }
}

@Suite struct SimulatedEnclaveTests {
    @Test func keysComeBack() throws {
        let key = try SecureEnclave.P256.Signing.PrivateKey()
        let again = try SecureEnclave.P256.Signing.PrivateKey(dataRepresentation: key.dataRepresentation)
        let message = Data("message".utf8)
        #expect(key.publicKey.isValidSignature(try again.signature(for: message), for: message))
        let seal = try SecureEnclave.P256.KeyAgreement.PrivateKey()
        let restored = try SecureEnclave.P256.KeyAgreement.PrivateKey(dataRepresentation: seal.dataRepresentation)
        let other = P256.KeyAgreement.PrivateKey()
        let secret = try restored.sharedSecretFromKeyAgreement(with: other.publicKey)
        let same = try other.sharedSecretFromKeyAgreement(with: seal.publicKey)
        #expect(secret.data == same.data)
    }

    @Test(arguments: [SimulatedEnclave.Call.create, .restore, .sign, .agree])
    func eachCallFailsWhereATestSaysSo(call: SimulatedEnclave.Call) async throws {
        struct Refused: Error {}
        let signs = try SecureEnclave.P256.Signing.PrivateKey()
        let agrees = try SecureEnclave.P256.KeyAgreement.PrivateKey()
        let failing = SimulatedEnclave(isAvailable: false) { if $0 == call { throw Refused() } }
        let calls: [(SimulatedEnclave.Call, @Sendable () throws -> Void)] = [
            (.create, { _ = try SecureEnclave.P256.Signing.PrivateKey() }),
            (.create, { _ = try SecureEnclave.P256.KeyAgreement.PrivateKey() }),
            (.restore, { _ = try SecureEnclave.P256.Signing.PrivateKey(dataRepresentation: signs.dataRepresentation) }),
            (.restore, { _ = try SecureEnclave.P256.KeyAgreement.PrivateKey(dataRepresentation: agrees.dataRepresentation) }),
            (.sign, { _ = try signs.signature(for: Data()) }),
            (.sign, { _ = try signs.signature(for: SHA256.hash(data: Data())) }),
            (.agree, { _ = try agrees.sharedSecretFromKeyAgreement(with: agrees.publicKey) }),
        ]
        #expect(SecureEnclave.isAvailable)
        SimulatedEnclave.$current.withValue(failing) {
            #expect(!SecureEnclave.isAvailable)
            for (kind, made) in calls {
                if kind == call { #expect(throws: Refused.self, performing: made) } else { #expect(throws: Never.self, performing: made) }
            }
        }
        // A task that a task starts is below it.
        let inherited = SimulatedEnclave.$current.withValue(failing) { Task { SecureEnclave.isAvailable } }
        #expect(await inherited.value == false)
    }
}
