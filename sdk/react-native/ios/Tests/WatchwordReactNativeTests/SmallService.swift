import CryptoKit
import Foundation
import WatchwordKit

/// A service in this process that hands out tokens without asking who for, and a phone with a key in software. What its gate looks at
/// are proofs by the phone's key.
final class SmallService: Transport, Device, Store, DeviceClock, @unchecked Sendable {  // `lock` guards all that changes.
    private let lock = NSLock()
    private let key = P256.Signing.PrivateKey()
    private var number = 0
    private var revoked: Set<String> = []
    private var document: Data?
    private var failing = false
    private var nonces: Set<String> = []

    /// What the phone's clock says; nil for this machine's time.
    private let fixed: Double?

    init(at time: Double? = nil) { fixed = time }

    /// Whether the service answers; false: there is no network.
    var isDown: Bool {
        get { locked { failing } }
        set { locked { failing = newValue } }
    }

    func watchword(_ apis: [Watchword.API]) throws -> Watchword {
        try Watchword(
            .init(service: "https://attest.example", app: "clinic", apis: apis),
            ports: Ports(device: self, store: self, clock: self, transport: self))
    }

    /// Refuses all tokens that were handed out so far.
    func revoke() { locked { revoked = Set((0...number).map(token)) } }

    /// Returns why a gate would refuse a request, nil where it wouldn't.
    func refusal(_ request: LoopbackServer.Request) -> String? {
        guard let token = request.headers["watchword-token"] else { return "token-required" }
        if locked({ revoked.contains(token) }) { return "token-refused" }
        guard let input = request.headers["signature-input"]?.dropFirst("watchword=".count),
            let signature = request.headers["signature"]?.dropFirst("watchword=:".count).dropLast()
        else { return "proof-required" }
        let digest = "sha-256=:\(Data(SHA256.hash(data: request.body)).base64EncodedString()):"
        if !request.body.isEmpty && request.headers["content-digest"] != digest { return "proof-refused" }
        let parts = request.target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        var lines = [
            "\"watchword-token\": \(token)", "\"@method\": \(request.method)", "\"@authority\": \(request.headers["host"] ?? "")",
            "\"@path\": \(parts[0])", "\"@query\": ?\(parts.count > 1 ? parts[1] : "")",
        ]
        if !request.body.isEmpty { lines.append("\"content-digest\": \(digest)") }
        lines.append("\"@signature-params\": \(input)")
        guard let bytes = Data(base64Encoded: String(signature)), let made = try? P256.Signing.ECDSASignature(rawRepresentation: bytes),
            key.publicKey.isValidSignature(made, for: Data(lines.joined(separator: "\n").utf8))
        else { return "proof-refused" }
        return locked { nonces.insert(String(input)).inserted } ? nil : "proof-used"
    }

    // MARK: Transport

    func post(_ url: String, headers: [String: String], body: Data, timeout: Double) async throws -> Answer {
        if isDown { throw URLError(.notConnectedToInternet) }
        let path = URL(string: url)?.path ?? ""
        if path == "/v1/challenges" {
            return try answer(["challenge": "Y2hhbGxlbmdl", "expires_in": 300, "protocol": "1.1"])
        }
        let asked = try JSONSerialization.jsonObject(with: body) as? [String: Any] ?? [:]
        let statement = try JSONSerialization.jsonObject(with: decoded(asked["statement"] as? String ?? "")) as? [String: Any] ?? [:]
        let jwk: [String: Any] = ["kty": "EC", "crv": "P-256", "x": encoded(point.prefix(32)), "y": encoded(point.suffix(32))]
        let tokens = (statement["aud"] as? [String] ?? []).map { audience -> [String: Any] in
            let next = locked {
                number += 1
                return number
            }
            let claims = try? JSONSerialization.data(
                withJSONObject: ["sid": "sid-\(next)", "aud": audience, "cnf": ["jwk": jwk]], options: .sortedKeys)
            return ["aud": audience, "token": locked { made(next, claims ?? Data()) }, "expires_in": 300]
        }
        return try answer(["instance": "i", "level": "hardware", "tokens": tokens, "now": Int(wall())])
    }

    func get(_ url: String, headers: [String: String], timeout: Double) async throws -> Answer { throw URLError(.badURL) }

    private var tokens: [Int: String] = [:]

    private func made(_ number: Int, _ claims: Data) -> String {
        let token = "e30.\(encoded(claims)).c2ln"
        tokens[number] = token
        return token
    }

    private func token(_ number: Int) -> String { tokens[number] ?? "" }

    private func answer(_ document: [String: Any]) throws -> Answer {
        Answer(
            status: document["tokens"] == nil ? 200 : 201, headers: ["content-type": "application/json"],
            body: try JSONSerialization.data(withJSONObject: document))
    }

    // MARK: Device

    var canOpen: Bool { false }

    func proofKey() async throws -> PublicKeyJWK? { try PublicKeyJWK(x963Representation: key.publicKey.x963Representation) }

    func sealKey() async throws -> PublicKeyJWK { try PublicKeyJWK(x963Representation: key.publicKey.x963Representation) }

    func createKeys() async throws {}

    func attest(binding: Data) async throws -> Evidence { Evidence(format: "simulated", members: [:]) }

    func renew(statement: Data) async throws -> Evidence { Evidence(format: "simulated", members: [:]) }

    func sign(_ message: Data) async throws -> Data { try key.signature(for: message).derRepresentation }

    func openSealed(info: Data, sealed: Data) async throws -> Data { throw DeviceError(.unsupported, "it can't") }

    private var point: Data { key.publicKey.x963Representation.dropFirst() }

    // MARK: Store and clock

    func read() throws -> Data? { locked { document } }

    func write(_ data: Data) throws { locked { document = data } }

    func clear() throws { locked { document = nil } }

    func wall() -> Double { fixed ?? Date().timeIntervalSince1970 }

    func boot() -> Double { ProcessInfo.processInfo.systemUptime }

    var bootID: String { "linux" }

    private func locked<Result>(_ body: () -> Result) -> Result {
        lock.lock()
        defer { lock.unlock() }
        return body()
    }
}

private func encoded(_ data: Data) -> String {
    data.base64EncodedString().replacingOccurrences(of: "+", with: "-").replacingOccurrences(of: "/", with: "_")
        .replacingOccurrences(of: "=", with: "")
}

private func decoded(_ text: String) -> Data {
    let standard = text.replacingOccurrences(of: "-", with: "+").replacingOccurrences(of: "_", with: "/")
    return Data(base64Encoded: standard + String(repeating: "=", count: (4 - standard.count % 4) % 4)) ?? Data()
}
