import Foundation

/// What a proof says of a request, exactly as it is sent.
struct Covered: Sendable, Equatable {
    let scheme: String
    let method: String
    /// `Host` in lower case.
    let authority: String
    /// Raw, at least `/`.
    let path: String
    /// Raw, without the question mark.
    let query: String
    /// The value of `Content-Digest`; nil where there is no body.
    let contentDigest: String?

    /// Returns what a proof covers of a URL.
    ///
    /// - Parameters:
    ///   - url: the text that is sent. Bytes that no request line has are refused: whatever mended them later, the proof
    ///     would be over another request than the one that arrives.
    ///   - host: the header `Host`, nil for what the URL says.
    ///   - known: the URL's origin, where it was read already.
    /// - Throws: `MalformedError` if the URL isn't an absolute one of `http` or `https`.
    static func of(method: String, url: String, host: String?, contentDigest: String?, known: Origin? = nil) throws -> Covered {
        guard let origin = known ?? Origin.of(url) else {
            throw MalformedError(message: "got a URL that isn't an absolute one of http or https")
        }
        let behind = (Origin.afterScheme(url) ?? url.utf8[...]).prefix { $0 != UInt8(ascii: "#") }
        let target = behind.drop { $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "?") }
        guard target.allSatisfy({ (0x21...0x7e).contains($0) }) else {
            throw MalformedError(message: "got a URL with characters that aren't percent-encoded")
        }
        let path = target.prefix { $0 != UInt8(ascii: "?") }
        return Covered(
            scheme: origin.scheme,
            method: method,
            authority: host?.lowercased() ?? origin.authority,
            path: path.isEmpty ? "/" : String(Substring(path)),
            query: String(Substring(target.dropFirst(path.count + 1))),
            contentDigest: contentDigest)
    }
}

/// What makes a proof one that nobody has seen.
struct Freshness: Sendable {
    /// Whole seconds since 1970, on the gate's clock as far as it is known.
    let created: Int64

    /// 16 to 34 characters of base64url, used once.
    let own: String

    /// The nonce that the gate asked for, nil if it asked for none.
    let ofGate: String?
}

/// Makes the headers of proofs over requests that carry a token (protocol: request and proof).
struct Proof: Sendable {
    let covered: Covered
    let token: String
    let own: OwnToken
    let fresh: Freshness

    private static let label = "watchword"
    private static let components = #""watchword-token" "@method" "@authority" "@path" "@query""#

    /// Returns the `Content-Digest` of a body with this SHA-256 (RFC 9530 section 2).
    static func contentDigest(hash: Data) -> String { "sha-256=:\(hash.base64EncodedString()):" }

    /// Returns a proof by the token's session key: `hmac-sha256`.
    func bySession(key: Data) -> [String: String] {
        let parameters = parameters("hmac-sha256", keyID: own.sessionID)
        return headers(parameters, signature: hmacSHA256(key: key, signatureBase(parameters)))
    }

    /// Returns a proof by the device's own key: `ecdsa-p256-sha256`.
    ///
    /// - Parameter sign: returns ECDSA with SHA-256, DER; what isn't is a `DeviceError` of kind `fault`.
    func byDevice(sign: (Data) async throws -> Data) async throws -> [String: String] {
        let parameters = parameters("ecdsa-p256-sha256", keyID: own.thumbprint)
        return headers(parameters, signature: try Self.fixed(try await sign(signatureBase(parameters))))
    }

    /// Returns a DPoP proof by the device's own key (RFC 9449 section 4.2); it covers neither query nor body.
    func byDPoP(sign: (Data) async throws -> Data) async throws -> [String: String] {
        let header: JSONObject = ["typ": "dpop+jwt", "alg": "ES256", "jwk": .object(own.key)]
        var claims: JSONObject = [
            "jti": .text(fresh.own),
            "htm": .text(covered.method),
            "htu": .text("\(covered.scheme)://\(covered.authority)\(covered.path)"),
            "iat": .integer(fresh.created),
            "ath": .text(sha256(Data(token.utf8)).base64URL()),
        ]
        claims["nonce"] = fresh.ofGate.map(JSON.text)
        let input = "\(header.written().base64URL()).\(claims.written().base64URL())"
        let signature = try Self.fixed(try await sign(Data(input.utf8)))
        return ["DPoP": "\(input).\(signature.base64URL())"]
    }

    private static func fixed(_ der: Data) throws -> Data {
        do {
            return try P256Points.fixedSignature(der: der)
        } catch let error as MalformedError {
            throw DeviceError(.fault, "the device's key: \(error.message)")
        }
    }

    /// Returns what is signed as `@signature-params`, and sent behind the label.
    private func parameters(_ algorithm: String, keyID: String) -> String {
        let digest = covered.contentDigest == nil ? "" : #" "content-digest""#
        let nonce = (fresh.ofGate ?? "") + fresh.own
        return #"(\#(Self.components)\#(digest));created=\#(fresh.created);nonce="\#(nonce)";alg="\#(algorithm)";keyid="\#(keyID)""#
    }

    /// Returns what is signed (RFC 9421 section 2.5).
    private func signatureBase(_ parameters: String) -> Data {
        var lines = [
            #""watchword-token": \#(token)"#,
            #""@method": \#(covered.method)"#,
            #""@authority": \#(covered.authority)"#,
            #""@path": \#(covered.path)"#,
            #""@query": ?\#(covered.query)"#,
        ]
        if let digest = covered.contentDigest { lines.append(#""content-digest": \#(digest)"#) }
        lines.append(#""@signature-params": \#(parameters)"#)
        return Data(lines.joined(separator: "\n").utf8)
    }

    private func headers(_ parameters: String, signature: Data) -> [String: String] {
        ["Signature-Input": "\(Self.label)=\(parameters)", "Signature": "\(Self.label)=:\(signature.base64EncodedString()):"]
    }
}
