import CryptoKit
import Foundation

@testable import WatchwordKit

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

/// A part of docs/sdk-scenarios.json, or of what is sent.
///
/// Not the SDK's own JSON, which is read by no more than eight levels, and is under test.
enum Script: Sendable, Equatable, Codable {
    case null
    case flag(Bool)
    case whole(Int)
    case number(Double)
    case text(String)
    case list([Script])
    case object([String: Script])

    init(from decoder: any Decoder) throws {
        let value = try decoder.singleValueContainer()
        if value.decodeNil() {
            self = .null
        } else if let flag = try? value.decode(Bool.self) {
            self = .flag(flag)
        } else if let whole = try? value.decode(Int.self) {
            self = .whole(whole)
        } else if let number = try? value.decode(Double.self) {
            self = .number(number)
        } else if let text = try? value.decode(String.self) {
            self = .text(text)
        } else if let list = try? value.decode([Script].self) {
            self = .list(list)
        } else {
            self = .object(try value.decode([String: Script].self))
        }
    }

    func encode(to encoder: any Encoder) throws {
        var value = encoder.singleValueContainer()
        switch self {
        case .null: try value.encodeNil()
        case .flag(let flag): try value.encode(flag)
        case .whole(let whole): try value.encode(whole)
        case .number(let number): try value.encode(number)
        case .text(let text): try value.encode(text)
        case .list(let list): try value.encode(list)
        case .object(let members): try value.encode(members)
        }
    }

    static func read(_ data: Data) throws -> Script { try JSONDecoder().decode(Script.self, from: data) }

    var written: Data { get throws { try JSONEncoder().encode(self) } }

    /// A member; nil where it is absent, or this is no object.
    subscript(_ name: String) -> Script? { members[name] }

    var members: [String: Script] { if case .object(let members) = self { members } else { [:] } }
    var list: [Script] { if case .list(let list) = self { list } else { [] } }
    var text: String? { if case .text(let text) = self { text } else { nil } }
    var flag: Bool { self == .flag(true) }
    var whole: Int? { if case .whole(let whole) = self { whole } else { nil } }
    var number: Double? {
        switch self {
        case .whole(let whole): Double(whole)
        case .number(let number): number
        default: nil
        }
    }

    func text(_ name: String) throws -> String {
        guard let text = self[name]?.text else { throw Mismatch("expected the text '\(name)' in \(self)") }
        return text
    }

    func number(_ name: String) throws -> Double {
        guard let number = self[name]?.number else { throw Mismatch("expected the number '\(name)' in \(self)") }
        return number
    }
}

extension Script: ExpressibleByStringInterpolation, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    init(stringLiteral value: String) { self = .text(value) }
    init(integerLiteral value: Int) { self = .whole(value) }
    init(booleanLiteral value: Bool) { self = .flag(value) }
    init(arrayLiteral elements: Script...) { self = .list(elements) }
    init(dictionaryLiteral elements: (String, Script)...) { self = .object(Dictionary(elements) { $1 }) }
}

/// Says in what a client differs from what a scenario expects.
struct Mismatch: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

/// Throws where `got` isn't what is expected.
func same<Value: Equatable>(_ what: String, _ expected: Value, _ got: Value) throws {
    if expected != got { throw Mismatch("\(what): got \(got), expected \(expected)") }
}

/// A request as the service, the gate or another host gets it; header names in lower case.
struct Received: Sendable {
    let method: String
    let url: String
    let headers: [String: String]
    let body: Data?
    let isStream: Bool

    var origin: String { url.components(separatedBy: "/").prefix(3).joined(separator: "/") }
    var target: String { url == origin ? "/" : String(url.dropFirst(origin.count)) }
    var path: String { target.components(separatedBy: "?")[0] }
    var query: String { target.components(separatedBy: "?").dropFirst().joined(separator: "?") }
    var json: Script { get throws { try Script.read(body ?? Data()) } }
    var statementBytes: Data { get throws { try Base64URL.decode(json.text("statement")) } }
    var statement: Script { get throws { try Script.read(statementBytes) } }
}

/// Plays the service, the gate and every other host by the exchanges of a scenario's step, and compares what comes with what the
/// scenario expects. What differs ends the app's run, as nothing that a port throws would: the SDK catches that.
actor ScriptedWorld {
    /// Texts that no description may show: tokens, session keys, values of secrets.
    private(set) var secrets: [String] = []

    private let config: Script
    private let clock: SimulatedClock
    private let phone: SimulatedPhone
    private let audience: String
    private let serviceKey = P256.Signing.PrivateKey()
    private let otherKey = P256.Signing.PrivateKey()
    private var sessionKeys: [String: Data] = [:]
    private var proofKeys: [String: PublicKeyJWK] = [:]
    private var nonces: Set<String> = []
    private var exchanges: [Script] = []
    private var next = 0
    private var arrived = 0
    private var waiting: [CheckedContinuation<Void, Never>] = []

    init(config: Script, clock: SimulatedClock, phone: SimulatedPhone) {
        self.config = config
        self.clock = clock
        self.phone = phone
        audience = config["audiences"]?.list.first?.text ?? ""
    }

    /// Takes the exchanges of a step.
    func begin(_ exchanges: [Script]) {
        self.exchanges = exchanges
        next = 0
        arrived = 0
    }

    /// Sees that all exchanges came about.
    func end() throws {
        if next != exchanges.count { throw Mismatch("\(exchanges.count - next) requests didn't come: \(exchanges[next])") }
    }

    /// Lets go of whoever waits for others that never came.
    func close() {
        let all = waiting
        waiting = []
        all.forEach { $0.resume() }
    }

    /// Compares a request with the next exchange and answers it.
    func exchange(_ got: Received, of run: AppRun) async throws -> Answer {
        do {
            let exchange = try await taken(got)
            if let steps = exchange["meanwhile"] { try await run.meanwhile(steps.list) }
            if exchange["answer"]?["fails"]?.text == "dies" { try await run.end(.died) }
            return try answer(exchange["answer"] ?? .null, got)
        } catch let mismatch as Mismatch {
            try await run.end(.mismatch(mismatch))
        }
    }

    /// Returns the exchange that a request is the next of, when all that belong to it have come.
    private func taken(_ got: Received) async throws -> Script {
        guard next < exchanges.count else { throw Mismatch("unexpected \(got.method) \(got.url)") }
        let exchange = exchanges[next]
        try compare(exchange["expect"] ?? .null, got)
        arrived += 1
        if arrived == exchange["times"]?.whole ?? 1 {
            next += 1
            arrived = 0
            close()
        } else {
            await withCheckedContinuation { waiting.append($0) }
        }
        return exchange
    }
}

// MARK: - What comes

extension ScriptedWorld {
    private func compare(_ expect: Script, _ got: Received) throws {
        let to = got.origin == config["service"]?.text ? "service" : got.origin == audience ? "api" : "other"
        try same("to", expect["to"]?.text, to)
        try same("method", expect["method"]?.text, got.method)
        try same("path", expect["path"]?.text, got.target)
        for (name, value) in expect["json"]?.members ?? [:] { try same(name, value, try got.json[name] ?? .null) }
        for (name, value) in expect["statement"]?.members ?? [:] {
            try same("statement \(name)", value, try got.statement[name] ?? .null)
        }
        if let value = expect["bound_to"] {
            try same("bnd", value.text.map { Data(SHA256.hash(data: Data($0.utf8))).base64URL() }, try got.statement["bnd"]?.text)
        }
        if let keys = expect["keys"]?.whole {
            let x = try got.statement["seal_jwk"]?["x"]?.text
            try same("keys", keys, (phone.sealKeys.firstIndex { $0.x == x } ?? -1) + 1)
        }
        try same("Watchword-Status", expect["status"]?.text, got.headers["watchword-status"])
        if to != "service" { try compareProof(expect, got) }
        for (name, value) in expect["headers"]?.members ?? [:] { try same(name, value.text, got.headers[name]) }
        try compareBody(expect, got)
    }

    private func compareBody(_ expect: Script, _ got: Received) throws {
        let text = String(decoding: got.body ?? Data(), as: UTF8.self)
        if let body = expect["body"]?.text {
            try same("body", body, text)
            try same("stream", false, got.isStream)
        }
        if let stream = expect["stream"]?.text { try same("stream", stream, text) }
        if let size = expect["stream_size"]?.whole { try same("stream_size", size, got.body?.count ?? 0) }
        if expect["stream"] != nil || expect["stream_size"] != nil { try same("stream", true, got.isStream) }
    }

    private func compareProof(_ expect: Script, _ got: Received) throws {
        let token = got.headers["watchword-token"]
        try same("token", expect["token"]?.text, try token.map(Self.name(of:)))
        let signed = got.headers["signature-input"]
        var kind = token == nil ? nil : "bearer"
        if let signed { kind = signed.contains(#"alg="hmac-sha256""#) ? "session" : "device" }
        if got.headers["dpop"] != nil { kind = "dpop" }
        try same("proof", expect["proof"]?.text, kind)
        guard let token, kind != "bearer" else { return }
        if kind == "dpop" {
            try compareDPoP(expect, token, got)
        } else {
            try compareSignature(expect, token, isSession: kind == "session", got)
        }
    }

    private func compareSignature(_ expect: Script, _ token: String, isSession: Bool, _ got: Received) throws {
        let input = got.headers["signature-input"] ?? ""
        let parameters = input.hasPrefix("watchword=") ? String(input.dropFirst(10)) : ""
        let parts = parameters.components(separatedBy: ";")
        guard parts.count == 5, let created = Int(parts[1].dropFirst("created=".count)) else {
            throw Mismatch("got the signature's parameters \(input)")
        }
        let nonce = String(parts[2].dropFirst("nonce=".count + 1).dropLast())
        let digest = got.isStream || (got.body ?? Data()).isEmpty ? nil : "sha-256=:\(Self.sha256(got.body).base64EncodedString()):"
        let keyID = isSession ? try Self.claims(of: token).text("sid") : try thumbprint(of: token)
        let components = #"("watchword-token" "@method" "@authority" "@path" "@query"\#(digest == nil ? "" : #" "content-digest""#))"#
        let algorithm = isSession ? "hmac-sha256" : "ecdsa-p256-sha256"
        try same(
            "the signature's parameters",
            #"\#(components);created=\#(created);nonce="\#(nonce)";alg="\#(algorithm)";keyid="\#(keyID)""#, parameters)
        if let digest { try same("the digest", digest, got.headers["content-digest"] ?? "") }
        let lines = [
            #""watchword-token": \#(token)"#, #""@method": \#(got.method)"#,
            #""@authority": \#(got.origin.components(separatedBy: "://")[1])"#, #""@path": \#(got.path)"#, #""@query": ?\#(got.query)"#,
            digest.map { #""content-digest": \#($0)"# }, #""@signature-params": \#(parameters)"#,
        ]
        let base = Data(lines.compactMap { $0 }.joined(separator: "\n").utf8)
        let signature = got.headers["signature"] ?? ""
        guard signature.hasPrefix("watchword=:"), signature.hasSuffix(":"),
            let bytes = Data(base64Encoded: String(signature.dropFirst(11).dropLast()))
        else { throw Mismatch("got the signature \(signature)") }
        if isSession {
            let key = SymmetricKey(data: sessionKeys[token] ?? Data([0]))
            let isRight = HMAC<SHA256>.isValidAuthenticationCode(bytes, authenticating: base, using: key)
            if !isRight { throw Mismatch("got a session proof that doesn't verify") }
        } else {
            try verify(token, base, bytes)
        }
        try compareFreshness(expect, nonce, created)
    }

    private func compareFreshness(_ expect: Script, _ nonce: String, _ created: Int) throws {
        let gate = expect["gate_nonce"]?.text ?? ""
        if !nonce.hasPrefix(gate) || nonce.count != gate.count + 22 {
            throw Mismatch("got the nonce \(nonce), expected \(gate) and 22 more")
        }
        if !nonces.insert(nonce).inserted { throw Mismatch("got a nonce twice") }
        // One second less is right too: the client rounds down what it has heard.
        let ahead = Double(created) - (clock.now + (expect["created_ahead"]?.number ?? 0)).rounded(.down)
        if ahead != 0 && ahead != -1 { throw Mismatch("got created \(ahead) s ahead of what was expected") }
    }

    private func compareDPoP(_ expect: Script, _ token: String, _ got: Received) throws {
        let parts = (got.headers["dpop"] ?? "").components(separatedBy: ".")
        try same("the DPoP proof's parts", 3, parts.count)
        let header = try Script.read(Base64URL.decode(parts[0]))
        let claims = try Script.read(Base64URL.decode(parts[1]))
        try same("typ", "dpop+jwt", try header.text("typ"))
        try same("alg", "ES256", try header.text("alg"))
        try same("htm", got.method, try claims.text("htm"))
        try same("htu", got.origin + got.path, try claims.text("htu"))
        try same("ath", Self.sha256(Data(token.utf8)).base64URL(), try claims.text("ath"))
        try same("nonce", expect["gate_nonce"]?.text, claims["nonce"]?.text)
        if !nonces.insert(try claims.text("jti")).inserted { throw Mismatch("got a nonce twice") }
        try verify(token, Data("\(parts[0]).\(parts[1])".utf8), Base64URL.decode(parts[2]))
    }

    private func verify(_ token: String, _ message: Data, _ fixed: Data) throws {
        guard let jwk = proofKeys[token] else { throw Mismatch("got a token that nobody made") }
        let point = try Data([4]) + Base64URL.decode(jwk.x) + Base64URL.decode(jwk.y)
        let key = try P256.Signing.PublicKey(x963Representation: point)
        let signature = try P256.Signing.ECDSASignature(rawRepresentation: fixed)
        if !key.isValidSignature(signature, for: message) { throw Mismatch("got a device proof that doesn't verify") }
    }

    private func thumbprint(of token: String) throws -> String {
        guard let key = proofKeys[token] else { throw Mismatch("got a token that nobody made") }
        return Self.sha256(Data(#"{"crv":"P-256","kty":"EC","x":"\#(key.x)","y":"\#(key.y)"}"#.utf8)).base64URL()
    }

    /// Returns the name that a scenario has for a token.
    static func name(of token: String) throws -> String { try claims(of: token).text("jti") }

    private static func claims(of token: String) throws -> Script {
        let parts = token.components(separatedBy: ".")
        try same("a token's parts", 3, parts.count)
        return try Script.read(Base64URL.decode(parts[1]))
    }

    private static func sha256(_ data: Data?) -> Data { Data(SHA256.hash(data: data ?? Data())) }
}

// MARK: - What is answered

extension ScriptedWorld {
    private func answer(_ answer: Script, _ got: Received) throws -> Answer {
        clock.advance(answer["takes"]?.number ?? 0)
        switch answer["fails"]?.text {
        case "unsent": throw URLError(.cannotConnectToHost)
        case "lost": throw URLError(.networkConnectionLost)
        case "timeout": throw URLError(.timedOut)
        default: break
        }
        var headers: [String: String] = [:]
        var body = Data()
        if var document = try document(answer, got) {
            if let ahead = answer["now_ahead"]?.number { document["now"] = .whole(Int((clock.now + ahead).rounded(.down))) }
            if let now = answer["now"] { document["now"] = now }
            headers["content-type"] = answer["problem"] == nil ? "application/json" : "application/problem+json"
            body = try Script.object(document).written
        }
        if let text = answer["text"]?.text {
            headers["content-type"] = "text/html"
            body = Data(text.utf8)
        }
        if let size = answer["filler"]?.whole ?? answer["gzip"]?.whole {
            // The right answer, but for how much there is of it, or for its form.
            headers["content-type"] = "application/json"
            let filler = Script.text(String(repeating: "x", count: size))
            body = try Script.object(
                ["challenge": "c0", "expires_in": 300, "protocol": "1.1", "filler": filler]
            ).written
        }
        // As a library hands it on that undoes the compression and keeps the header.
        if answer["gzip"] != nil { headers["content-encoding"] = "gzip" }
        if let ahead = answer["date_ahead"]?.number { headers["date"] = Self.date(clock.now + ahead) }
        for (name, value) in answer["headers"]?.members ?? [:] { headers[name] = value.text }
        return Answer(status: Int(try answer.number("status")), headers: headers, body: body)
    }

    private func document(_ answer: Script, _ got: Received) throws -> [String: Script]? {
        if let json = answer["json"] { return json.members }
        if let session = answer["session"] { return try self.session(session, got) }
        if let secret = answer["secret"] { return try self.secret(secret, got) }
        if let problem = answer["problem"] { return try self.problem(problem, try answer.number("status"), got) }
        if answer["jwks"] != nil { return try jwks() }
        return nil
    }

    private func session(_ session: Script, _ got: Received) throws -> [String: Script] {
        let proof = try phone.presentProofKey()
        let jwk: [String: Script] = ["kty": "EC", "crv": "P-256", "x": .text(proof.x), "y": .text(proof.y)]
        let tokens = try (got.statement["aud"]?.list ?? []).map { audience in
            let (sid, key) = (random(16).base64URL(), random(32))
            var claims: [String: Script] = ["sid": .text(sid), "cnf": .object(["jwk": .object(jwk)])]
            claims["jti"] = session["tokens"]
            claims["prf"] = session["prf"]
            let parts = [try Self.encoded(["alg": "ES256"]), try Self.encoded(claims), random(64).base64URL()]
            let token = parts.joined(separator: ".")
            sessionKeys[token] = key
            proofKeys[token] = proof
            secrets += [token, key.base64URL(), key.base64EncodedString()]
            var each: [String: Script] = ["aud": audience, "token": .text(token)]
            each["expires_in"] = session["life"]
            if session["seal"]?.text != "none" {
                let info = try Data("watchword/seal/v1\0".utf8) + Self.sha256(got.statementBytes) + Self.prefixed([sid])
                let recipient = try sealKey(got, isBroken: session["seal"]?.text == "broken")
                each["session_key"] = .text(try sealed(to: recipient, info: info, key).base64URL())
            }
            return Script.object(each)
        }
        var answer: [String: Script] = ["level": "hardware", "tokens": .list(tokens)]
        for name in ["instance", "next", "pins"] { answer[name] = session[name] }
        return answer
    }

    private func secret(_ secret: Script, _ got: Received) throws -> [String: Script] {
        let (lease, value) = (random(16).base64URL(), try secret.text("value"))
        let (name, life) = (try secret.text("name"), Int(try secret.number("life")))
        let end = Int(clock.now) + life
        let parts = [try config.text("app"), name, "1", lease, String(end)]
        let info = try Data("watchword/secret/v1\0".utf8) + Self.sha256(got.statementBytes) + Self.prefixed(parts)
        secrets.append(value)
        return [
            "name": .text(name), "version": 1, "lease": .text(lease), "expires_in": .whole(life), "expires_at": .whole(end),
            "sealed": .text(try sealed(to: sealKey(got, isBroken: false), info: info, Data(value.utf8)).base64URL()),
        ]
    }

    private func problem(_ problem: Script, _ status: Double, _ got: Received) throws -> [String: Script] {
        let slug = try problem.text("slug")
        var document: [String: Script] = [
            "type": "urn:watchword:problem:\(slug)", "title": "No", "status": .whole(Int(status)),
        ]
        for name in ["ref", "place"] { document[name] = problem[name] }
        if let difference = problem["signed"]?.text { document["signed"] = .text(try refusal(difference, slug, got)) }
        return document
    }

    /// Returns a signed refusal that differs in one thing from a good one.
    private func refusal(_ difference: String, _ slug: String, _ got: Received) throws -> String {
        let type = difference == "other-type" ? "watchword+jwt" : "watchword-refusal+jwt"
        let header = try Self.encoded(["alg": "ES256", "kid": "k1", "typ": .text(type)])
        let binding = try difference == "other-binding" ? random(32) : Self.sha256(got.statementBytes)
        let payload = try Self.encoded([
            "v": 1,
            "iss": .text(difference == "other-issuer" ? "https://other.example" : try config.text("issuer")),
            "app": .text(difference == "other-app" ? "other" : try config.text("app")),
            "binding": .text(binding.base64URL()),
            "type": .text(difference == "other-class" ? "instance-unknown" : slug),
            "now": .whole(Int(clock.now)),
        ])
        if difference == "no-signature" { return "\(header).\(payload)." }
        let key = difference == "other-key" ? otherKey : serviceKey
        return "\(header).\(payload).\(try key.signature(for: Data("\(header).\(payload)".utf8)).rawRepresentation.base64URL())"
    }

    private func jwks() throws -> [String: Script] {
        let jwk = try PublicKeyJWK(x963Representation: serviceKey.publicKey.x963Representation)
        let key: [String: Script] = [
            "kty": "EC", "crv": "P-256", "x": .text(jwk.x), "y": .text(jwk.y), "kid": "k1", "alg": "ES256",
        ]
        return ["keys": .list([.object(key)])]
    }

    private func sealKey(_ got: Received, isBroken: Bool) throws -> PublicKeyJWK {
        if isBroken { return try PublicKeyJWK(x963Representation: P256.KeyAgreement.PrivateKey().publicKey.x963Representation) }
        let jwk = try got.statement["seal_jwk"] ?? .null
        return PublicKeyJWK(x: try jwk.text("x"), y: try jwk.text("y"))
    }

    private static func encoded(_ members: [String: Script]) throws -> String { try Script.object(members).written.base64URL() }

    /// Returns each text behind its length in 4 bytes.
    private static func prefixed(_ texts: [String]) -> Data {
        texts.reduce(into: Data()) { $0 += Data([0, 0, UInt8($1.utf8.count >> 8), UInt8($1.utf8.count & 255)]) + Data($1.utf8) }
    }

    private static func date(_ time: Double) -> String {
        let format = DateFormatter()
        format.locale = Locale(identifier: "en_US_POSIX")
        format.timeZone = TimeZone(secondsFromGMT: 0)
        format.dateFormat = "EEE, dd MMM yyyy HH:mm:ss 'GMT'"
        return format.string(from: Date(timeIntervalSince1970: time.rounded(.down)))
    }
}
