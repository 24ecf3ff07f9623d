import Foundation

/// What an own token says of its keys; it is the gate's to verify, not the app's.
struct OwnToken: Sendable {
    /// `sid`, which a session proof names as its key.
    let sessionID: String

    /// The public proof key as a JWK, members in the order of a thumbprint.
    let key: JSONObject

    /// RFC 7638 thumbprint of it, which a device proof names as its key.
    let thumbprint: String

    /// Whether a device proof stands for a session proof: the claim `prf` is `device`.
    let isProvenByDevice: Bool

    private static let maxCharacters = 2048

    /// Returns what the token's proofs need; nil if it isn't a token of the protocol.
    static func read(_ token: String) -> OwnToken? {
        let segments = token.split(separator: ".", omittingEmptySubsequences: false)
        guard token.utf8.count <= maxCharacters, segments.count == 3 else { return nil }
        return try? read(payload: String(segments[1]))
    }

    private static func read(payload: String) throws -> OwnToken {
        let claims = try JSONObject.read(try Base64URL.decode(payload, limit: maxCharacters), limit: maxCharacters)
        let jwk = try claims.object("cnf").object("jwk")
        var key = JSONObject()
        for name in ["crv", "kty", "x", "y"] { key[name] = .text(try jwk.text(name)) }
        return OwnToken(
            sessionID: try claims.text("sid"), key: key, thumbprint: sha256(key.written()).base64URL(),
            isProvenByDevice: claims["prf"] == "device")
    }
}
