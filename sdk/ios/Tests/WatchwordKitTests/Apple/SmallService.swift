import Foundation

@testable import WatchwordKit

/// A service in memory that takes every phone, and counts.
final class SmallService: Transport {
    private let counts = Locked([String: Int]())

    func count(_ path: String) -> Int { counts.withLock { $0[path] ?? 0 } }

    func get(_ url: String, headers: [String: String], timeout: Double) async throws -> Answer {
        Answer(status: 404, headers: [:], body: Data())
    }

    func post(_ url: String, headers: [String: String], body: Data, timeout: Double) async throws -> Answer {
        let path = String(url.dropFirst("https://attest.example".count))
        let number = counts.withLock { counts -> Int in
            counts[path, default: 0] += 1
            return counts.values.reduce(0, +)
        }
        if path == "/v1/challenges" { return json(200, ["challenge": .text("c\(number)"), "expires_in": 300, "protocol": "1.1"]) }
        let request = try JSONObject.read(body, limit: 65536)
        let statement = try JSONObject.read(try Base64URL.decode(request.text("statement"), limit: 65536), limit: 65536)
        let audiences = statement["aud"]?.list?.compactMap(\.text) ?? []
        let tokens = try audiences.map { audience -> JSON in
            let claims: JSONObject = ["sid": .text("sid\(number)"), "cnf": ["jwk": .object(try statement.object("proof_jwk"))]]
            let token = "e30.\(claims.written().base64URL()).token\(number)"
            return .object(["aud": .text(audience), "token": .text(token), "expires_in": 300])
        }
        let now = JSON.integer(Int64(Date().timeIntervalSince1970))
        let answer: JSONObject = ["instance": "i", "level": "hardware", "tokens": .list(tokens), "now": now]
        return json(path == "/v1/attestations" ? 201 : 200, answer)
    }

    private func json(_ status: Int, _ object: JSONObject) -> Answer {
        Answer(status: status, headers: ["content-type": "application/json"], body: object.written())
    }
}
