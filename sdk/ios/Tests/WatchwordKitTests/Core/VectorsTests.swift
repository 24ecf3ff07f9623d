import CryptoKit
import Foundation
import Testing

@testable import WatchwordKit

/// A vector of docs/protocol-vectors.json, and the path that leads to it.
struct ProtocolVector: Sendable, CustomTestStringConvertible {
    let group: String
    let members: JSONObject

    var testDescription: String { members["id"]?.text ?? "without an id" }

    /// The whole document; without it nothing here can pass.
    static let document: JSONObject = {
        let read = try? JSONObject.read(documentData("protocol-vectors.json"), limit: 1 << 24)
        return read ?? [:]
    }()

    /// All of the document, with who checks each: nil for every client.
    static let all: [(vector: ProtocolVector, by: String?)] = {
        var found: [(ProtocolVector, String?)] = []
        walk(.object(document), [], &found)
        return found
    }()

    static let ofClients: [ProtocolVector] = all.filter { $0.by == nil }.map(\.vector)

    /// Those that are run here.
    static let ofBytes: [ProtocolVector] = ofClients.filter { $0.group != "pins.vectors" }

    private static func walk(_ value: JSON, _ path: [String], _ found: inout [(ProtocolVector, String?)]) {
        for item in value.list ?? [] { walk(item, path, &found) }
        guard let members = value.object else { return }
        if members["id"] != nil {
            let group = path.first == "enrolments" ? "enrolments" : path.joined(separator: ".")
            found.append((ProtocolVector(group: group, members: members), members["by"]?.text))
        }
        for name in members.names {
            if let member = members[name] { walk(member, path + [name], &found) }
        }
    }
}

/// Checks every vector that is a client's, but those of pins: `PinVectorsTests` runs these, and the count here holds both.
@Suite struct VectorsTests {
    private static let renewal = Data("watchword/renew/v1\0".utf8)
    private let document = ProtocolVector.document

    @Test func countIsThatOfAllClients() throws {
        let count = try document.object("count")
        let groups = Dictionary(grouping: ProtocolVector.ofClients, by: \.group).mapValues(\.count)
        let pins = try document.object("pins")["vectors"]?.list
        #expect(groups["pins.vectors"] == pins?.count)
        #expect(Int64(groups.values.reduce(0, +)) == count["client"]?.integer)
        // This SDK makes P-256 keys alone: what is sealed to X25519 never comes its way.
        let optional = ProtocolVector.all.filter { $0.by == "optional" }.map(\.vector.testDescription)
        #expect(optional.sorted() == ["secret-x25519", "session-key-x25519", "statement-x25519"])
        #expect(Int64(optional.count) == count["optional"]?.integer)
        print("vectors: \(groups.values.reduce(0, +)) of \(count["client"]?.integer ?? 0)")
    }

    @Test(arguments: ProtocolVector.ofBytes)
    func holds(_ vector: ProtocolVector) async throws {
        switch vector.group {
        case "enrolments": try enrolment(vector.members)
        case "statements": try statement(vector.members)
        case "test_instance": try testInstance(vector.members)
        case "proofs.sealed.keys": try sessionKey(vector.members)
        case "secret.keys": try secret(vector.members)
        case "proofs.requests": try await request(vector.members)
        case "der.vectors": try der(vector.members)
        case "refusals.vectors": try await refusal(vector.members)
        default: Issue.record("got vectors of the group \(vector.group), which this runner doesn't know")
        }
    }

    private func enrolment(_ vector: JSONObject) throws {
        let bytes = try Base64URL.decode(vector.text("statement"))
        #expect(try vector.text("binding") == sha256(bytes).hex)
        #expect(try JSONObject.read(bytes, limit: 4096)["challenge"] == vector["challenge"])
        let evidence = try vector.object("evidence")
        if evidence["format"] == "android-key", let signature = evidence["signature"]?.text {
            let chain = document["enrolments"]?.list?.last?.object?["enrol"]?.object?["evidence"]?.object?["chain"]
            let leaf = try Base64URL.decode(try #require(chain?.list?.first?.text))
            // The SubjectPublicKeyInfo of a key on P-256 is these bytes and the point.
            let prefix = try Data(hex: "3059301306072a8648ce3d020106082a8648ce3d030107034200")
            let point = leaf[try #require(leaf.range(of: prefix)).upperBound...].prefix(65)
            let key = try P256.Signing.PublicKey(x963Representation: Data(point))
            try verify(key, Self.renewal + bytes, try Base64URL.decode(signature))
        }
    }

    private func statement(_ vector: JSONObject) throws {
        let members = try vector.object("members")
        let bytes = try Base64URL.decode(vector.text("statement"))
        #expect(try vector.text("binding") == sha256(bytes).hex)
        let built = Statement(
            try #require(Purpose(rawValue: try members.text("purpose"))), issuer: try members.text("iss"),
            audiences: members["aud"]?.list?.compactMap(\.text) ?? [], app: try members.text("app"),
            challenge: try members.text("challenge"), proofKey: try members["proof_jwk"]?.object.map(jwk),
            sealKey: try jwk(members.object("seal_jwk")), bound: members["bnd"]?.text, isProvenByDevice: members["prf"] == "device",
            secret: members["secret"]?.text)
        let wanted = try JSONObject.read(bytes, limit: 4096)
        #expect(try JSONObject.read(built.bytes, limit: 4096) == wanted)
        #expect(built.binding == sha256(built.bytes))
        if let value = vector["header_value"]?.text { #expect(Statement.boundTo(value) == members["bnd"]?.text) }
    }

    private func testInstance(_ vector: JSONObject) throws {
        let key = try P256Points.publicKey(jwk(vector.object("proof_jwk")))
        let signed = Data("watchword/test/v1\0".utf8) + (try Data(hex: vector.text("binding")))
        #expect(try vector.text("signed") == signed.hex)
        try verify(key, signed, try Base64URL.decode(vector.object("evidence").text("key_signature")))
        let renewal = try vector.object("renewal")
        let statement = try Base64URL.decode(renewal.text("statement"))
        try verify(key, Self.renewal + statement, try Base64URL.decode(renewal.object("evidence").text("signature")))
    }

    private func sessionKey(_ vector: JSONObject) throws {
        let sealed = try document.object("proofs").object("sealed")
        let prefix = Data("watchword/seal/v1\0".utf8) + (try Data(hex: sealed.text("binding")))
        let key = try opened(vector, info: prefix + lengthPrefixed(Data(try sealed.text("sid").utf8)))
        #expect(try document.object("proofs").object("session_key").text("key") == key.hex)
    }

    private func secret(_ vector: JSONObject) throws {
        let secret = try document.object("secret")
        let parts = try ["app", "name", "version", "lease", "expires_at"].map { name -> Data in
            if let number = secret[name]?.integer { return Data(String(number).utf8) }
            return Data(try secret.text(name).utf8)
        }
        let prefix = Data("watchword/secret/v1\0".utf8) + (try Data(hex: secret.text("binding")))
        let info = prefix + lengthPrefixed(parts[0], parts[1], parts[2], parts[3], parts[4])
        #expect(try secret.text("info") == info.hex)
        let value = try opened(vector, info: info)
        #expect(try secret.text("value") == String(decoding: value, as: UTF8.self))
    }

    /// Opens what is sealed, and sees that nothing else opens.
    private func opened(_ vector: JSONObject, info: Data) throws -> Data {
        let seal = try vector.object("seal_key")
        let own = try P256.KeyAgreement.PrivateKey(rawRepresentation: try Base64URL.decode(seal.text("d")))
        let sealed = try Base64URL.decode(vector.text("sealed"))
        func open(_ info: Data, _ sealed: Data) throws -> Data {
            try HPKE.open(sealKey: jwk(seal), info: info, sealed: sealed) { try sharedSecret(own, $0) }
        }
        for place in sealed.indices {
            var changed = sealed
            changed[place] ^= 1
            #expect(throws: MalformedError.self) { try open(info, changed) }
        }
        for size in 0..<sealed.count { #expect(throws: MalformedError.self) { try open(info, sealed.prefix(size)) } }
        #expect(throws: MalformedError.self) { try open(info + [0], sealed) }
        // A slice of a document has indices of its own.
        let value = try open(info, sealed)
        #expect(try open((Data([7]) + info).dropFirst(), (Data([7]) + sealed).dropFirst()) == value)
        return value
    }

    private func request(_ vector: JSONObject) async throws {
        let proofs = try document.object("proofs")
        let token = try proofs.text("token")
        let own = try #require(OwnToken.read(token))
        let key = try P256Points.publicKey(jwk(own.key))
        let digest = try vector["body"]?.text.map { Proof.contentDigest(hash: sha256(try Data(hex: $0))) }
        #expect(vector["content_digest"]?.text == digest)
        let (host, target) = (try vector.text("host"), try vector.text("target"))
        let covered = try Covered.of(
            method: vector.text("method"), url: "https://\(host)\(target)", host: host, contentDigest: digest)
        #expect(covered.authority == vector["authority"]?.text)
        #expect(covered.path == vector["path"]?.text)
        #expect(covered.query == vector["query"]?.text)
        let gate = vector["gate_nonce"]?.text
        let created = try #require(proofs["created"]?.integer)
        func fresh(_ headers: JSONObject) throws -> Freshness {
            let nonce = try #require(try headers.text("Signature-Input").components(separatedBy: "nonce=\"").last)
            let value = try #require(nonce.split(separator: "\"").first)
            return Freshness(created: created, own: String(value.dropFirst(gate?.count ?? 0)), ofGate: gate)
        }
        let session = try vector.object("session")
        let sessionKey = try Data(hex: proofs.object("session_key").text("key"))
        let bySession = Proof(covered: covered, token: token, own: own, fresh: try fresh(session)).bySession(key: sessionKey)
        #expect(bySession == texts(session))
        let device = try vector.object("device")
        let fixed = try #require(Data(base64Encoded: String(try device.text("Signature").dropFirst("watchword=:".count).dropLast())))
        let byDevice = try await Proof(covered: covered, token: token, own: own, fresh: try fresh(device)).byDevice { base in
            let der = try P256.Signing.ECDSASignature(rawRepresentation: fixed).derRepresentation
            try verify(key, base, der)
            return der
        }
        #expect(byDevice == texts(device))
        if let proof = vector["dpop"]?.object {
            try await dpop(proof.text("DPoP"), covered, token, own, gate, created)
        }
    }

    private func dpop(_ proof: String, _ covered: Covered, _ token: String, _ own: OwnToken, _ gate: String?, _ created: Int64) async throws
    {
        let parts = proof.split(separator: ".").map(String.init)
        let claims = try JSONObject.read(Base64URL.decode(parts[1]), limit: 4096)
        let fixed = try Base64URL.decode(parts[2])
        let key = try P256Points.publicKey(jwk(own.key))
        #expect(P256Points.verifies(key, message: Data("\(parts[0]).\(parts[1])".utf8), fixed: fixed))
        // Members may stand in another order: what is made has to say the same, and its own base is what is signed.
        var signed = Data()
        let fresh = Freshness(created: created, own: try claims.text("jti"), ofGate: gate)
        let made = try await Proof(covered: covered, token: token, own: own, fresh: fresh).byDPoP { base in
            signed = base
            return try P256.Signing.ECDSASignature(rawRepresentation: fixed).derRepresentation
        }
        let ownParts = try #require(made["DPoP"]).split(separator: ".").map(String.init)
        #expect(signed == Data("\(ownParts[0]).\(ownParts[1])".utf8))
        #expect(ownParts[2] == parts[2])
        for place in 0...1 {
            let wanted = try JSONObject.read(Base64URL.decode(parts[place]), limit: 4096)
            #expect(try JSONObject.read(Base64URL.decode(ownParts[place]), limit: 4096) == wanted)
        }
    }

    private func der(_ vector: JSONObject) throws {
        let der = try Data(hex: try #require(vector["der"]?.text))
        guard let raw = vector["raw"]?.text else {
            #expect(throws: MalformedError.self) { try P256Points.fixedSignature(der: der) }
            return
        }
        let fixed = try P256Points.fixedSignature(der: der)
        #expect(fixed.hex == raw)
        let key = try jwk(document.object("der").object("key"))
        let message = try Data(hex: vector.text("message"))
        #expect(P256Points.verifies(key, message: message, fixed: fixed))
        #expect(!P256Points.verifies(key, message: message + [0], fixed: fixed))
        #expect(!P256Points.verifies(key, message: message, fixed: fixed.dropLast()))
    }

    private func refusal(_ vector: JSONObject) async throws {
        let refusals = try document.object("refusals")
        let clock = SimulatedClock(now: 0, wallAhead: 0, boot: 0, bootID: "boot")
        let transport = KeyPublisher(keys: try refusals.object("jwks").written())
        let ports = Ports(device: SimulatedPhone(isStated: false, canOpen: true), store: MemoryStore(), clock: clock, transport: transport)
        let issuer = try document.text("issuer")
        let type = String(try vector.text("type").dropFirst("urn:watchword:problem:".count))
        let exchange = Exchange(service: issuer, ports: ports) { _ in }
        let taken = try await Refusals(exchange: exchange, issuer: issuer, app: try refusals.text("app"))
            .verifies(try #require(vector["signed"]?.text), binding: try Data(hex: refusals.text("binding")), type: type)
        #expect(vector["taken"] == .bool(taken && ["evidence-refused", "instance-refused"].contains(type)))
    }

    private func verify(_ key: P256.Signing.PublicKey, _ message: Data, _ der: Data) throws {
        #expect(P256Points.verifies(key, message: message, fixed: try P256Points.fixedSignature(der: der)))
    }

    private func jwk(_ key: JSONObject) throws -> PublicKeyJWK { PublicKeyJWK(x: try key.text("x"), y: try key.text("y")) }

    private func texts(_ document: JSONObject) -> [String: String?] {
        Dictionary(uniqueKeysWithValues: document.names.map { ($0, document[$0]?.text) })
    }
}

/// Answers every GET with the service's public keys.
private struct KeyPublisher: Transport {
    let keys: Data

    func post(_ url: String, headers: [String: String], body: Data, timeout: Double) async throws -> Answer {
        throw MalformedError(message: "nothing is posted")
    }

    func get(_ url: String, headers: [String: String], timeout: Double) async throws -> Answer {
        Answer(status: 200, headers: ["content-type": "application/json"], body: keys)
    }
}

/// Agrees by a key in software, as a phone does by one in hardware.
func sharedSecret(_ own: P256.KeyAgreement.PrivateKey, _ x963: Data) throws -> Data {
    let peer = try P256.KeyAgreement.PublicKey(x963Representation: x963)
    return try own.sharedSecretFromKeyAgreement(with: peer).withUnsafeBytes { Data($0) }
}
