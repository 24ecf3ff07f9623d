import Foundation

/// What an instance asks for.
enum Purpose: String, Sendable, CaseIterable {
    case enrol
    case renew
    case secret
}

/// What evidence is bound to (protocol: statement). Its bytes are sent and hashed as they are, never written anew.
struct Statement: Sendable {
    let bytes: Data

    /// SHA-256 of the statement, 32 bytes: what evidence carries.
    var binding: Data { sha256(bytes) }

    /// - Parameters:
    ///   - proofKey: nil where the attested key is the proof key: the member is absent then.
    ///   - bound: what the tokens are to be bound to (`bnd`); nil leaves it out.
    ///   - isProvenByDevice: whether tokens are asked for whose device proofs stand for session proofs (`prf`).
    ///   - secret: the name of the secret that is asked for, with this purpose alone.
    init(
        _ purpose: Purpose, issuer: String, audiences: [String], app: String, challenge: String, proofKey: PublicKeyJWK?,
        sealKey: PublicKeyJWK, bound: String? = nil, isProvenByDevice: Bool = false, secret: String? = nil
    ) {
        var members: JSONObject = [
            "v": 1,
            "purpose": .text(purpose.rawValue),
            "iss": .text(issuer),
            "aud": .list(audiences.map(JSON.text)),
            "app": .text(app),
            "challenge": .text(challenge),
        ]
        members["proof_jwk"] = proofKey.map { .object($0.members()) }
        members["seal_jwk"] = .object(sealKey.members())
        members["bnd"] = bound.map(JSON.text)
        members["prf"] = isProvenByDevice ? "device" : nil
        members["secret"] = secret.map(JSON.text)
        bytes = members.written()
    }

    /// Returns the `bnd` that binds tokens to the value of a header, which itself stays out of them.
    static func boundTo(_ value: String) -> String { sha256(Data(value.utf8)).base64URL() }
}
