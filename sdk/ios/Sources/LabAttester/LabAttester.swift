import Foundation

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

/// A simulated phone whose Secure Enclave, and whose Apple, is `watchword lab attester`.
///
/// On Linux it stands behind the framework's name; on a simulator behind `Watchword.lab`.
public struct LabAttester: Sendable {
    /// Says that the phone or Apple failed, as scripted or as a real one would.
    public struct Fault: Error, Sendable {
        /// The number of the `DCError`.
        public let code: Int
    }

    /// Says that the attester isn't there, or took the request for a mistake: nothing that a phone would answer.
    public struct Misuse: Error, Sendable, CustomStringConvertible {
        public let description: String
    }

    private let url: String
    private let kind: String
    private let device: String

    /// - Parameters:
    ///   - url: where the attester listens, for example `http://127.0.0.1:8450`.
    ///   - kind: one of `watchword lab phones`.
    ///   - device: the phone's name; two names are two phones.
    public init(url: String, kind: String, device: String) {
        self.url = url.hasSuffix("/") ? String(url.dropLast()) : url
        self.kind = kind
        self.device = device
    }

    /// Returns the id of a new App Attest key, in standard base64 as Apple gives it.
    public func generateKey() async throws -> String {
        try await ask("/v1/app-attest/keys", ["kind": kind, "device": device], for: "key_id")
    }

    /// Returns the attestation object of a key, CBOR; once for each.
    public func attest(_ key: String, _ clientDataHash: Data) async throws -> Data {
        try await object("attestation", of: "/v1/app-attest/attestations", key, clientDataHash)
    }

    /// Returns an assertion, CBOR; each has the next counter.
    public func assert(_ key: String, _ clientDataHash: Data) async throws -> Data {
        try await object("assertion", of: "/v1/app-attest/assertions", key, clientDataHash)
    }

    private func object(_ member: String, of path: String, _ key: String, _ hash: Data) async throws -> Data {
        let text = try await ask(path, ["key_id": key, "client_data_hash": base64URL(hash)], for: member)
        guard let data = decoded(base64URL: text) else { throw Misuse(description: "got \(member) that isn't base64url") }
        return data
    }

    private func ask(_ path: String, _ members: [String: String], for member: String) async throws -> String {
        let (status, answer) = try await post(path, try JSONEncoder().encode(members))
        guard let object = try? JSONSerialization.jsonObject(with: answer) as? [String: Any] else {
            throw Misuse(description: "the attester answered \(status) without a JSON object")
        }
        if let fault = object["fault"] as? [String: Any], let code = fault["code"] as? Int { throw Fault(code: code) }
        guard status == 200, let text = object[member] as? String else {
            throw Misuse(description: "the attester answered \(status): \(object["details"] ?? object["title"] ?? "no details")")
        }
        return text
    }

    private func post(_ path: String, _ body: Data) async throws -> (Int, Data) {
        guard let address = URL(string: url + path) else { throw Misuse(description: "got the attester '\(url)', expected a URL") }
        var request = URLRequest(url: address)
        request.httpMethod = "POST"
        request.setValue("application/json", forHTTPHeaderField: "Content-Type")
        request.httpBody = body
        let asked = request
        return try await withCheckedThrowingContinuation { continuation in
            URLSession.shared.dataTask(with: asked) { data, response, error in
                if let data, let response = response as? HTTPURLResponse {
                    continuation.resume(returning: (response.statusCode, data))
                } else {
                    continuation.resume(throwing: error ?? Misuse(description: "no answer from the attester"))
                }
            }.resume()
        }
    }

    private func base64URL(_ data: Data) -> String {
        data.base64EncodedString()
            .replacingOccurrences(of: "+", with: "-").replacingOccurrences(of: "/", with: "_").replacingOccurrences(of: "=", with: "")
    }

    private func decoded(base64URL text: String) -> Data? {
        let standard = text.replacingOccurrences(of: "-", with: "+").replacingOccurrences(of: "_", with: "/")
        return Data(base64Encoded: standard + String(repeating: "=", count: (4 - standard.count % 4) % 4))
    }
}
