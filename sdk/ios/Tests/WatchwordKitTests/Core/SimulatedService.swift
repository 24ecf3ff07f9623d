import CryptoKit
import Foundation

@testable import WatchwordKit

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

/// Counts every step that a client takes outside of itself: each call of a port, and each answer on its way back.
///
/// A test may have something happen at one of them: a caller goes away, the app is killed, the phone sleeps.
final class Steps: Sendable {
    private struct State: Sendable {
        var taken = 0
        var at = 0
        var event: @Sendable () async throws -> Void = {}
        var isDead = false
        var isBusy = false
        var meetings = 0
    }

    private let state = Locked(State())

    /// How many steps were taken since the last ``plan(at:_:)``.
    var taken: Int { state.withLock { $0.taken } }

    /// Has something happen at the n-th step from now on.
    func plan(at step: Int, _ event: @escaping @Sendable () async throws -> Void) {
        state.withLock { $0 = State(at: step, event: event) }
    }

    /// Ends the app: none of its steps has any effect from now on.
    func die() { state.withLock { $0.isDead = true } }

    func take() async throws {
        try live()
        let event = state.withLock { state -> (@Sendable () async throws -> Void)? in
            state.taken += 1
            return state.taken == state.at ? state.event : nil
        }
        try await event?()
        try live()
    }

    /// Does what nothing else of this kind may be done beside; notes where something is.
    func alone<Result: Sendable>(_ work: @Sendable () async throws -> Result) async throws -> Result {
        state.withLock { state in
            if state.isBusy { state.meetings += 1 }
            state.isBusy = true
        }
        // Whoever doesn't wait for their turn comes in now.
        for _ in 0..<5 { await Task.yield() }
        defer { state.withLock { $0.isBusy = false } }
        return try await work()
    }

    /// How often two met that mustn't.
    var meetings: Int { state.withLock { $0.meetings } }

    /// Throws where the app was ended; the step is no one's then.
    func live() throws {
        if state.withLock({ $0.isDead }) { throw CancellationError() }
    }
}

/// A service that judges what comes: a challenge counts once, an instance's evidence is by its own key, tokens live for 300 s.
///
/// Shares no code with the client but the reader of JSON.
final class SimulatedService: Sendable {
    struct State: Sendable {
        var challenges: Set<String> = []
        var made = 0
        var keys: [String: P256.Signing.PublicKey] = [:]
        var tokens: [String: Double] = [:]
        var enrolments = 0
        var renewals = 0
        var deliveries = 0
        /// Challenges that came again: right after a kill alone, since nobody knows then what was sent.
        var repeated: [String] = []
        /// What is answered in place of the next answers.
        var next: [Answer] = []
        /// What a client did that none ever may.
        var offences: [String] = []
    }

    static let life = 300.0
    static let audience = "https://api.example"
    let clock: SimulatedClock
    private let state = Locked(State())

    init(clock: SimulatedClock) { self.clock = clock }

    var seen: State { state.withLock { $0 } }

    /// What is answered in place of the next answers.
    var next: [Answer] {
        get { seen.next }
        set { state.withLock { $0.next = newValue } }
    }

    /// Tells whether a token would pass a gate now.
    func isAlive(_ token: String) -> Bool { state.withLock { $0.tokens[token].map { clock.boot() < $0 } ?? false } }

    func answer(_ url: String, _ body: Data) throws -> Answer {
        if let other = state.withLock({ $0.next.isEmpty ? nil : $0.next.removeFirst() }) { return other }
        let asked = try JSONObject.read(body, limit: 64 * 1024)
        switch url.replacingOccurrences(of: "https://attest.example", with: "") {
        case "/v1/challenges": return answer(["challenge": .text(challenge()), "expires_in": 300, "protocol": "1.1"])
        case "/v1/attestations": return try enrolled(asked)
        case "/v1/tokens": return try renewed(asked)
        case "/v1/secrets": return try delivered(asked)
        default: throw URLError(.badURL)
        }
    }

    private func challenge() -> String {
        state.withLock {
            $0.made += 1
            $0.challenges.insert("c\($0.made)")
            return "c\($0.made)"
        }
    }

    private func enrolled(_ asked: JSONObject) throws -> Answer {
        let statement = try statement(asked, "enrol")
        guard let statement else { return refusal("challenge-refused") }
        let jwk = try statement.object("proof_jwk")
        let point = try Data([4]) + Base64URL.decode(jwk.text("x")) + Base64URL.decode(jwk.text("y"))
        let key = try P256.Signing.PublicKey(x963Representation: point)
        let instance = state.withLock { state in
            state.enrolments += 1
            state.keys["i\(state.enrolments)"] = key
            return "i\(state.enrolments)"
        }
        return try tokens(instance, statement, asked)
    }

    private func renewed(_ asked: JSONObject) throws -> Answer {
        guard let statement = try statement(asked, "renew") else { return refusal("challenge-refused") }
        guard try isProven(asked) else { return refusal("instance-unknown") }
        state.withLock { $0.renewals += 1 }
        return try tokens(asked.text("instance"), statement, asked)
    }

    private func delivered(_ asked: JSONObject) throws -> Answer {
        guard let statement = try statement(asked, "secret") else { return refusal("challenge-refused") }
        guard try isProven(asked) else { return refusal("instance-unknown") }
        state.withLock { $0.deliveries += 1 }
        let name = try statement.text("secret")
        let end = Int64(clock.now) + 600
        let parts = ["clinic", name, "1", "lease-1", String(end)].map { Data($0.utf8) }
        let fields = parts.reduce(into: Data()) { $0 += Data([0, 0, 0, UInt8($1.count)]) + $1 }
        let binding = Data(SHA256.hash(data: try Base64URL.decode(asked.text("statement"))))
        let sealed = try sealed(to: sealKey(statement), info: Data("watchword/secret/v1\0".utf8) + binding + fields, Data("hush".utf8))
        return answer([
            "name": .text(name), "version": 1, "lease": "lease-1", "expires_in": 600, "expires_at": .integer(end),
            "sealed": .text(sealed.base64URL()),
        ])
    }

    /// Returns the statement, nil where its challenge doesn't count.
    private func statement(_ asked: JSONObject, _ purpose: String) throws -> JSONObject? {
        let statement = try JSONObject.read(Base64URL.decode(asked.text("statement")), limit: 64 * 1024)
        let challenge = try statement.text("challenge")
        return try state.withLock { state in
            if try statement.text("purpose") != purpose { state.offences.append("a statement for \(purpose) says otherwise") }
            let isFresh = state.challenges.remove(challenge) != nil
            if !isFresh { state.repeated.append(challenge) }
            return isFresh ? statement : nil
        }
    }

    private func isProven(_ asked: JSONObject) throws -> Bool {
        let signature = try Base64URL.decode(asked.object("evidence").text("signature"))
        guard let key = try state.withLock({ try $0.keys[asked.text("instance")] }) else { return false }
        let isRight = key.isValidSignature(
            try P256.Signing.ECDSASignature(derRepresentation: signature), for: try Base64URL.decode(asked.text("statement")))
        if !isRight { state.withLock { $0.offences.append("an instance's evidence is by another key") } }
        return isRight
    }

    private func tokens(_ instance: String, _ statement: JSONObject, _ asked: JSONObject) throws -> Answer {
        let (sid, key) = (random(16).base64URL(), random(32))
        let claims: JSONObject = ["sid": .text(sid), "cnf": ["jwk": .object(try statement.object("proof_jwk"))]]
        let token = "e30.\(claims.written().base64URL()).\(random(64).base64URL())"
        state.withLock { $0.tokens[token] = clock.boot() + Self.life }
        let binding = Data(SHA256.hash(data: try Base64URL.decode(asked.text("statement"))))
        let info = Data("watchword/seal/v1\0".utf8) + binding + Data([0, 0, 0, UInt8(sid.utf8.count)]) + Data(sid.utf8)
        let sealedKey = try sealed(to: sealKey(statement), info: info, key).base64URL()
        let next = JSON.object(["challenge": .text(challenge()), "expires_in": 600])
        return answer([
            "instance": .text(instance), "level": "hardware", "next": next, "now": .integer(Int64(clock.now)),
            "tokens": [["aud": .text(Self.audience), "token": .text(token), "expires_in": 300, "session_key": .text(sealedKey)]],
        ])
    }

    private func sealKey(_ statement: JSONObject) throws -> PublicKeyJWK {
        let jwk = try statement.object("seal_jwk")
        return PublicKeyJWK(x: try jwk.text("x"), y: try jwk.text("y"))
    }

    private func answer(_ document: JSONObject) -> Answer {
        Answer(status: 200, headers: ["content-type": "application/json"], body: document.written())
    }

    private func refusal(_ slug: String) -> Answer {
        let document: JSONObject = ["type": .text("urn:watchword:problem:\(slug)"), "title": "No"]
        return Answer(status: 400, headers: ["content-type": "application/problem+json"], body: document.written())
    }
}

/// One run of an app, each call of whose ports is a step.
struct SteppedApp: Sendable {
    let steps = Steps()
    let watchword: Watchword

    init(
        _ service: SimulatedService, _ phone: SimulatedPhone, _ store: MemoryStore, wait: Double = 600,
        api: Watchword.API = Watchword.API(audience: SimulatedService.audience)
    ) throws {
        let stepped = SteppedPorts(steps: steps, phone: phone, service: service, store: store)
        let ports = Ports(
            device: stepped, store: stepped, clock: service.clock, transport: stepped, sleep: { [steps] _ in try await steps.take() },
            jitter: { 0.5 })
        let configuration = Watchword.Configuration(
            service: "https://attest.example", app: "clinic", apis: [api], wait: wait)
        watchword = try Watchword(configuration, ports: ports)
    }

    func token() async throws -> String { try await watchword.token(for: SimulatedService.audience) }
}

private struct SteppedPorts: Device, Transport, Store {
    let steps: Steps
    let phone: SimulatedPhone
    let service: SimulatedService
    let store: MemoryStore
    var canOpen: Bool { true }

    private func step<Result: Sendable>(_ work: @Sendable () async throws -> Result) async throws -> Result {
        try await steps.take()
        return try await work()
    }

    func proofKey() async throws -> PublicKeyJWK? { try await step { try await phone.proofKey() } }
    func sealKey() async throws -> PublicKeyJWK { try await step { try await phone.sealKey() } }
    func createKeys() async throws { try await step { try await steps.alone { try await phone.createKeys() } } }
    func attest(binding: Data) async throws -> Evidence {
        try await step { try await steps.alone { try await phone.attest(binding: binding) } }
    }
    func renew(statement: Data) async throws -> Evidence {
        try await step { try await steps.alone { try await phone.renew(statement: statement) } }
    }
    func sign(_ message: Data) async throws -> Data { try await step { try await phone.sign(message) } }
    func openSealed(info: Data, sealed: Data) async throws -> Data {
        try await step { try await phone.openSealed(info: info, sealed: sealed) }
    }

    func post(_ url: String, headers: [String: String], body: Data, timeout: Double) async throws -> Answer {
        let answer = try await step { try await steps.alone { try service.answer(url, body) } }
        try await steps.take()
        return answer
    }

    func get(_ url: String, headers: [String: String], timeout: Double) async throws -> Answer {
        try await step { throw URLError(.badURL) }
    }

    func read() throws -> Data? { store.read() }
    func clear() { store.clear() }
    func write(_ data: Data) throws {
        try steps.live()
        store.write(data)
    }
}
