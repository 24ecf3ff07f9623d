import Foundation

/// Tells whether a final refusal is the service's: signed over the statement that it refuses.
struct Refusals: Sendable {
    private static let maxCharacters = 2048
    private static let members: Set<String> = ["v", "iss", "app", "binding", "type", "now"]

    let exchange: Exchange
    let issuer: String
    let app: String

    /// Tells whether `signed` refuses the statement with this `binding` for this `type`.
    ///
    /// Asks the service for its keys once. Where they can't be had the answer is no: an hour's pause needs a proof.
    func verifies(_ signed: String, binding: Data, type: String) async throws -> Bool {
        let parts = signed.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        guard signed.utf8.count <= Self.maxCharacters, parts.count == 3,
            let header = read(parts[0]), let payload = read(parts[1]),
            let signature = try? Base64URL.decode(parts[2], limit: Self.maxCharacters),
            let kid = header["kid"]?.text, !kid.isEmpty,
            let jwk = try await keys().first(where: { $0["kid"] == .text(kid) }), jwk["kty"] == "EC", jwk["crv"] == "P-256",
            let x = jwk["x"]?.text, let y = jwk["y"]?.text
        else { return false }
        return header == ["alg": "ES256", "kid": .text(kid), "typ": "watchword-refusal+jwt"]
            && Set(payload.names) == Self.members
            && payload["v"] == 1
            && payload["iss"] == .text(issuer)
            && payload["app"] == .text(app)
            && payload["binding"] == .text(Base64URL.encode(binding))
            && payload["type"] == .text(type)
            && time(payload["now"]) != nil
            && P256Points.verifies(PublicKeyJWK(x: x, y: y), message: Data("\(parts[0]).\(parts[1])".utf8), fixed: signature)
    }

    private func read(_ part: String) -> JSONObject? {
        guard let data = try? Base64URL.decode(part, limit: Self.maxCharacters) else { return nil }
        return try? JSONObject.read(data, limit: Self.maxCharacters)
    }

    private func keys() async throws -> [JSONObject] {
        (try await exchange.get("/.well-known/jwks.json")?["keys"]?.list ?? []).compactMap(\.object)
    }
}
