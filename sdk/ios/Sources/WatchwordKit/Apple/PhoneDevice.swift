import CryptoKit
import DeviceCheck
import Foundation

/// App Attest's calls: Apple's, or those of a simulated phone.
///
/// What they throw is Apple's `DCError`; anything else is taken for a fault.
@_spi(Phone)
public protocol AppAttestService: Sendable {
    /// Whether the phone has App Attest.
    var isSupported: Bool { get }

    /// Returns the id of a new key, in standard base64.
    func generateKey() async throws -> String

    /// Returns the attestation object of a key, once for each.
    func attestKey(_ id: String, clientDataHash: Data) async throws -> Data

    /// Returns an assertion by an attested key.
    func generateAssertion(_ id: String, clientDataHash: Data) async throws -> Data
}

/// Apple's service. Asked for anew at each call, as it isn't said to be `Sendable`.
struct SystemAppAttest: AppAttestService {
    var isSupported: Bool { DCAppAttestService.shared.isSupported }

    func generateKey() async throws -> String { try await DCAppAttestService.shared.generateKey() }

    func attestKey(_ id: String, clientDataHash: Data) async throws -> Data {
        try await DCAppAttestService.shared.attestKey(id, clientDataHash: clientDataHash)
    }

    func generateAssertion(_ id: String, clientDataHash: Data) async throws -> Data {
        try await DCAppAttestService.shared.generateAssertion(id, clientDataHash: clientDataHash)
    }
}

/// A P-256 key and what it does: sign a message (to DER), or agree with a public key (65 bytes, to the shared x coordinate).
@_spi(Phone)
public struct PhoneKey: Sendable {
    /// What opens it again on this phone alone.
    public let representation: Data

    /// The public key as an uncompressed point.
    public let point: Data

    /// Signs, or agrees.
    public let perform: @Sendable (Data) throws -> Data

    /// Makes one of its parts.
    public init(representation: Data, point: Data, perform: @escaping @Sendable (Data) throws -> Data) {
        self.representation = representation
        self.point = point
        self.perform = perform
    }
}

/// A key in software is its representation.
extension PhoneKey: Redacted {}

/// Where a phone's own two keys live.
@_spi(Phone)
public protocol PhoneKeys: Sendable {
    /// Opens a key that signs; nil makes one.
    func signingKey(_ representation: Data?) throws -> PhoneKey

    /// Opens a key that agrees (ECDH); nil makes one.
    func agreementKey(_ representation: Data?) throws -> PhoneKey
}

/// Keys in the Secure Enclave: usable from the first unlock on, on this device alone, which is CryptoKit's own default
/// (https://developer.apple.com/tutorials/data/documentation/cryptokit/secureenclave/p256/signing/privatekey/init(compactrepresentable:accesscontrol:authenticationcontext:).md,
/// read 2026-11-30).
struct EnclaveKeys: PhoneKeys {
    func signingKey(_ representation: Data?) throws -> PhoneKey {
        let key = try representation.map { try SecureEnclave.P256.Signing.PrivateKey(dataRepresentation: $0) } ?? .init()
        return PhoneKey(representation: key.dataRepresentation, point: key.publicKey.x963Representation) {
            try key.signature(for: $0).derRepresentation
        }
    }

    func agreementKey(_ representation: Data?) throws -> PhoneKey {
        let key = try representation.map { try SecureEnclave.P256.KeyAgreement.PrivateKey(dataRepresentation: $0) } ?? .init()
        return PhoneKey(representation: key.dataRepresentation, point: key.publicKey.x963Representation) {
            let peer = try P256.KeyAgreement.PublicKey(x963Representation: $0)
            return try key.sharedSecretFromKeyAgreement(with: peer).withUnsafeBytes { Data($0) }
        }
    }
}

/// Who vouches for this phone's two keys, and how.
@_spi(Phone)
public protocol Attestor: Sendable {
    /// Begins an enrolment: returns what names the vouching key, kept beside the phone's own.
    func begin() async throws -> String

    /// Returns the evidence of an enrolment.
    ///
    /// - Parameters:
    ///   - id: what ``begin()`` returned.
    ///   - sign: signs by the proof key, in DER.
    func attest(_ id: String, binding: Data, sign: @Sendable (Data) async throws -> Data) async throws -> Evidence

    /// Returns the evidence of a renewal.
    func renew(_ id: String, statement: Data, sign: @Sendable (Data) async throws -> Data) async throws -> Evidence
}

extension Evidence {
    /// Makes evidence whose binary members aren't in base64url yet.
    @_spi(Phone)
    public init(format: String, binary: [String: Data], text: [String: String] = [:]) {
        self.init(format: format, members: text.merging(binary.mapValues { Base64URL.encode($0) }) { $1 })
    }
}

/// App Attest: a third key, in Apple's keeping, which vouches for the phone's two by the statement that names them.
struct AppAttestor: Attestor {
    let service: any AppAttestService
    /// Whether this is an app extension, most of which App Attest doesn't serve.
    let isExtension: Bool

    func begin() async throws -> String {
        guard service.isSupported else {
            throw DeviceError(.unsupported, "App Attest isn't supported here: a simulator, a Mac before macOS 27, or an extension")
        }
        do {
            return try await service.generateKey()
        } catch {
            // Apple: in an extension `isSupported` may be true, and this call fails all the same
            // (https://developer.apple.com/forums/thread/662462, read 2026-11-30).
            throw isExtension ? DeviceError(.unsupported, "App Attest doesn't serve this extension") : appAttestError(error, "generateKey")
        }
    }

    func attest(_ id: String, binding: Data, sign: @Sendable (Data) async throws -> Data) async throws -> Evidence {
        guard let bytes = Data(base64Encoded: id) else { throw DeviceError(.fault, "got an App Attest key id that isn't base64") }
        do {
            let object = try await service.attestKey(id, clientDataHash: binding)
            return Evidence(format: Self.format, binary: ["attestation": object, "key_id": bytes])
        } catch {
            throw appAttestError(error, "attestKey")
        }
    }

    func renew(_ id: String, statement: Data, sign: @Sendable (Data) async throws -> Data) async throws -> Evidence {
        do {
            let object = try await service.generateAssertion(id, clientDataHash: sha256(statement))
            return Evidence(format: Self.format, binary: ["assertion": object])
        } catch {
            throw appAttestError(error, "generateAssertion")
        }
    }

    private static let format = "app-attest"
}

/// A phone with a proof key and a seal key of its own, and somebody who vouches for them.
///
/// App Attest's key makes assertions only, so it can't sign requests. What belongs together is kept in one document.
actor PhoneDevice: Device {
    private struct Held {
        let id: String
        let proof: PhoneKey
        let seal: PhoneKey
    }

    private let attestor: any Attestor
    private let keys: any PhoneKeys
    private let store: any Store
    private var held: Held?

    /// - Parameter store: keeps the keys' document.
    init(_ attestor: any Attestor, keys: any PhoneKeys, store: any Store) {
        self.attestor = attestor
        self.keys = keys
        self.store = store
    }

    nonisolated var canOpen: Bool { true }

    func proofKey() throws -> PublicKeyJWK? { try PublicKeyJWK(x963Representation: current().proof.point) }

    func sealKey() throws -> PublicKeyJWK { try PublicKeyJWK(x963Representation: current().seal.point) }

    func createKeys() async throws {
        // A locked phone is told before Apple is asked: each key that is made and not used harms the device's standing.
        _ = try store.read()
        let proof = try made("a proof key") { try keys.signingKey(nil) }
        let seal = try made("a seal key") { try keys.agreementKey(nil) }
        let fresh = Held(id: try await attestor.begin(), proof: proof, seal: seal)
        try store.write(Self.written(fresh))
        held = fresh
    }

    func attest(binding: Data) async throws -> Evidence {
        try await attestor.attest(current().id, binding: binding) { try await self.sign($0) }
    }

    func renew(statement: Data) async throws -> Evidence {
        try await attestor.renew(current().id, statement: statement) { try await self.sign($0) }
    }

    func sign(_ message: Data) throws -> Data { try used("sign") { try $0.proof.perform(message) } }

    func openSealed(info: Data, sealed: Data) throws -> Data {
        let key = try sealKey()
        do {
            return try HPKE.open(sealKey: key, info: info, sealed: sealed) { peer in
                try used("agree") { try $0.seal.perform(peer) }
            }
        } catch let error as DeviceError {
            throw error
        } catch {
            throw DeviceError(.fault, "got something that wasn't sealed to this key")
        }
    }

    private func current() throws -> Held {
        if let held { return held }
        guard let document = try store.read() else { throw DeviceError(.keyLost, "this installation has no keys") }
        let opened = try opened(document)
        held = opened
        return opened
    }

    /// Opens what was kept; what can't be read or opened is another phone's, or older than this format.
    private func opened(_ document: Data) throws -> Held {
        do {
            let members = try JSONObject.read(document, limit: Self.maxBytes)
            let bytes = { (name: String) in try Base64URL.decode(members.text(name), limit: Self.maxBytes) }
            return Held(
                id: try members.text("id"), proof: try keys.signingKey(bytes("proof")), seal: try keys.agreementKey(bytes("seal")))
        } catch {
            throw isLocked(error) ? locked() : DeviceError(.keyLost, "the keys that were kept can't be opened")
        }
    }

    private static func written(_ held: Held) -> Data {
        let object: JSONObject = [
            "id": .text(held.id), "proof": .text(Base64URL.encode(held.proof.representation)),
            "seal": .text(Base64URL.encode(held.seal.representation)),
        ]
        return object.written()
    }

    /// Uses a key; where that fails it is opened anew and used once more, and is lost if that fails too.
    ///
    /// Not a fault: App Attest's own key would go on renewing, and no request could ever be proved.
    private func used(_ doing: String, _ action: (Held) throws -> Data) throws -> Data {
        do {
            return try action(current())
        } catch let error as DeviceError {
            throw error
        } catch {
            if isLocked(error) { throw locked() }
            held = nil
        }
        do {
            return try action(current())
        } catch let error as DeviceError {
            throw error
        } catch {
            throw isLocked(error) ? locked() : DeviceError(.keyLost, "the Secure Enclave can't \(doing) with this phone's key")
        }
    }

    private func made(_ what: String, _ action: () throws -> PhoneKey) throws -> PhoneKey {
        do {
            return try action()
        } catch {
            throw isLocked(error) ? locked() : DeviceError(.fault, "the Secure Enclave can't make \(what)")
        }
    }

    private static let maxBytes = 16 * 1024
}

/// Returns what the client does about an error of App Attest (DV6).
private func appAttestError(_ error: any Error, _ call: String) -> DeviceError {
    guard let code = (error as? DCError)?.code else {
        let other = error as NSError
        return DeviceError(.fault, "\(call) failed: \(other.domain) \(other.code)")
    }
    switch code {
    case .featureUnsupported: return DeviceError(.unsupported, "\(call): featureUnsupported")
    case .invalidKey: return DeviceError(.keyLost, "\(call): invalidKey; a restored backup, a transferred phone or a new installation")
    case .serverUnavailable: return DeviceError(.transient, "\(call): serverUnavailable")
    default: return DeviceError(.fault, "\(call): DCError \(code.rawValue)")
    }
}

/// Whether the phone is locked, and wasn't unlocked since its start.
private func isLocked(_ error: any Error) -> Bool { (error as NSError).code == Int(KeychainStatus.interactionNotAllowed) }

private func locked() -> DeviceError { DeviceError(.locked, "the phone's keys can't be used before it is unlocked") }
