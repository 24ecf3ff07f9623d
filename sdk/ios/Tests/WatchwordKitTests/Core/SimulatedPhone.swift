import CryptoKit
import Foundation

@testable import WatchwordKit

/// The right time, and the phone's clocks beside it.
final class SimulatedClock: DeviceClock {
    private struct State: Sendable {
        var now: Double
        var wallAhead: Double
        var boot: Double
        var bootID: String
    }

    private let state: Locked<State>

    init(now: Double, wallAhead: Double, boot: Double, bootID: String) {
        state = Locked(State(now: now, wallAhead: wallAhead, boot: boot, bootID: bootID))
    }

    var now: Double { state.withLock { $0.now } }
    var bootID: String { state.withLock { $0.bootID } }

    func wall() -> Double { state.withLock { $0.now + $0.wallAhead } }
    func boot() -> Double { state.withLock { $0.boot } }

    func advance(_ seconds: Double) {
        state.withLock {
            $0.now += seconds
            $0.boot += seconds
        }
    }

    func set(wallAhead: Double) { state.withLock { $0.wallAhead = wallAhead } }

    func start(at boot: Double, _ bootID: String) {
        state.withLock {
            $0.boot = boot
            $0.bootID = bootID
        }
    }
}

/// Keeps one document in memory.
final class MemoryStore: Store {
    private let document = Locked<Data?>(nil)

    func read() -> Data? { document.withLock { $0 } }
    func write(_ data: Data) { document.withLock { $0 = data } }
    func clear() { document.withLock { $0 = nil } }
}

/// A phone's keys in software, whose calls fail as a script says.
final class SimulatedPhone: Device {
    private struct Keys: Sendable {
        var script: [String: [String]] = [:]
        var made: [PublicKeyJWK] = []
        var isLost = false
        var proof: P256.Signing.PrivateKey?
        var seal: P256.KeyAgreement.PrivateKey?
    }

    let canOpen: Bool
    private let isStated: Bool
    private let keys = Locked(Keys())

    init(isStated: Bool, canOpen: Bool) {
        self.isStated = isStated
        self.canOpen = canOpen
    }

    /// The public seal keys in the order in which they were made.
    var sealKeys: [PublicKeyJWK] { keys.withLock { $0.made } }

    /// Says how the next calls of a method end, by its name in a scenario.
    func script(_ calls: [String: [String]]) { keys.withLock { $0.script.merge(calls) { $1 } } }

    /// Returns how the next call of a method ends: `OK`, `dies`, or the kind of a `DeviceError`.
    func next(_ call: String) -> String {
        keys.withLock {
            guard var ends = $0.script[call], !ends.isEmpty else { return "OK" }
            let next = ends.removeFirst()
            $0.script[call] = ends
            return next
        }
    }

    /// Takes the keys away until new ones are made.
    func lose() { keys.withLock { $0.isLost = true } }

    /// Returns the public proof key.
    func presentProofKey() throws -> PublicKeyJWK { try PublicKeyJWK(x963Representation: proof().publicKey.x963Representation) }

    func proofKey() async throws -> PublicKeyJWK? { isStated ? try presentProofKey() : nil }

    func sealKey() async throws -> PublicKeyJWK { try PublicKeyJWK(x963Representation: seal().publicKey.x963Representation) }

    func createKeys() async throws {
        let seal = P256.KeyAgreement.PrivateKey()
        let jwk = try PublicKeyJWK(x963Representation: seal.publicKey.x963Representation)
        let proof = isStated ? P256.Signing.PrivateKey() : nil
        keys.withLock {
            $0.isLost = false
            $0.made.append(jwk)
            $0.seal = seal
            $0.proof = proof
        }
    }

    func attest(binding: Data) async throws -> Evidence {
        if !isStated { keys.withLock { $0.proof = P256.Signing.PrivateKey() } }
        return Evidence(format: "simulated", members: ["binding": binding.base64URL()])
    }

    func renew(statement: Data) async throws -> Evidence {
        Evidence(format: "simulated", members: ["signature": try await sign(statement).base64URL()])
    }

    func sign(_ message: Data) async throws -> Data { try proof().signature(for: message).derRepresentation }

    func openSealed(info: Data, sealed: Data) async throws -> Data {
        let seal = try seal()
        let jwk = try PublicKeyJWK(x963Representation: seal.publicKey.x963Representation)
        do {
            return try HPKE.open(sealKey: jwk, info: info, sealed: sealed) { try agreed(seal, $0) }
        } catch let error as MalformedError {
            throw DeviceError(.fault, "can't open it: \(error.message)")
        }
    }

    private func proof() throws -> P256.Signing.PrivateKey {
        let key = keys.withLock { $0.isLost ? nil : $0.proof }
        guard let key else { throw DeviceError(.keyLost, "the keys are gone") }
        return key
    }

    private func seal() throws -> P256.KeyAgreement.PrivateKey {
        let key = keys.withLock { $0.isLost ? nil : $0.seal }
        guard let key else { throw DeviceError(.keyLost, "the keys are gone") }
        return key
    }
}

/// Returns so many bytes of the system's generator.
func random(_ count: Int) -> Data { Data((0..<count).map { _ in UInt8.random(in: .min ... .max) }) }

private func agreed(_ own: P256.KeyAgreement.PrivateKey, _ x963: Data) throws -> Data {
    try own.sharedSecretFromKeyAgreement(with: P256.KeyAgreement.PublicKey(x963Representation: x963)).withUnsafeBytes { Data($0) }
}

/// Seals `value` to a P-256 key (RFC 9180, base mode), as the service does. Shares no code with what opens it.
func sealed(to recipient: PublicKeyJWK, info: Data, _ value: Data) throws -> Data {
    let ephemeral = P256.KeyAgreement.PrivateKey()
    let enc = Data(ephemeral.publicKey.x963Representation)
    let point = try Data([4]) + Base64URL.decode(recipient.x) + Base64URL.decode(recipient.y)
    let kem = Data("KEM".utf8) + [0, 16]
    let suite = Data("HPKE".utf8) + [0, 16, 0, 1, 0, 1]
    let zeros = Data(count: 32)

    func mac(_ key: Data, _ message: Data) -> Data {
        Data(HMAC<SHA256>.authenticationCode(for: message, using: SymmetricKey(data: key)))
    }
    func extract(_ id: Data, _ salt: Data, _ label: String, _ ikm: Data) -> Data {
        mac(salt, Data("HPKE-v1".utf8) + id + Data(label.utf8) + ikm)
    }
    func expand(_ id: Data, _ key: Data, _ label: String, _ context: Data, _ size: UInt8) -> Data {
        mac(key, Data([0, size]) + Data("HPKE-v1".utf8) + id + Data(label.utf8) + context + [1]).prefix(Int(size))
    }

    let shared = expand(kem, extract(kem, zeros, "eae_prk", try agreed(ephemeral, point)), "shared_secret", enc + point, 32)
    let schedule = Data([0]) + extract(suite, zeros, "psk_id_hash", Data()) + extract(suite, zeros, "info_hash", info)
    let secret = extract(suite, shared, "secret", Data())
    let nonce = try AES.GCM.Nonce(data: expand(suite, secret, "base_nonce", schedule, 12))
    let box = try AES.GCM.seal(value, using: SymmetricKey(data: expand(suite, secret, "key", schedule, 16)), nonce: nonce)
    return enc + box.ciphertext + box.tag
}
