import CryptoKit
import Foundation
import Testing

@testable import WatchwordKit

/// Reads what nobody would write: whatever the bytes, each reader answers or throws its own error, and what it takes it takes rightly.
///
/// A trap ends the app, and with it this test run. `WATCHWORD_FUZZ_ROUNDS` sets how many inputs each test makes.
@Suite struct HostileBytesTests {
    private static let rounds = ProcessInfo.processInfo.environment["WATCHWORD_FUZZ_ROUNDS"].flatMap(Int.init) ?? 300

    /// Documents of the protocol, as they stand in the vectors: what an attacker begins with.
    private static let documents: [Data] = [
        Data("{\"a\":[1,-0.5e+3,true,null,{\"\\ud83d\\ude00\":\"é\\n\"}],\"b\":\"\"}".utf8),
        (ProtocolVector.document["statements"]?.list?.first?.object ?? [:]).written(),
        (ProtocolVector.document["refusals"]?.object?["jwks"]?.object ?? [:]).written(),
    ]

    /// Lets other tests go on: they share a few threads, and some of them wait for answers.
    private func turn(_ round: Int) async {
        if round % 10 == 0 { await Task.yield() }
    }

    /// Changes a few bytes: sets, inserts, removes, or repeats them.
    private func mutated(_ data: Data, _ random: inout SeededGenerator) -> Data {
        var bytes = [UInt8](data)
        let telling = [UInt8]("{}[]\",:\\ud-+.eE0919\u{0}\u{1}\u{7f}é\u{212a}/@?#%".utf8) + [0xff, 0xc0, 0xed]
        for _ in 0...Int.random(in: 0..<4, using: &random) {
            let place = Int.random(in: 0...bytes.count, using: &random)
            let byte = Bool.random(using: &random) ? UInt8.random(in: 0...255, using: &random) : telling.randomElement(using: &random) ?? 0
            switch Int.random(in: 0..<4, using: &random) {
            case 0 where place < bytes.count: bytes[place] = byte
            case 1 where place < bytes.count: bytes.remove(at: place)
            case 2: bytes.append(contentsOf: bytes[place...].prefix(12))
            default: bytes.insert(byte, at: place)
            }
        }
        return Data(bytes)
    }

    private func input(_ seeds: [Data], _ random: inout SeededGenerator) -> Data {
        let count = Int.random(in: 0..<100, using: &random)
        if Int.random(in: 0..<4, using: &random) == 0 { return random.bytes(count) }
        return mutated(seeds.randomElement(using: &random) ?? Data(), &random)
    }

    private func isTotal(_ data: Data) {
        do {
            let object = try JSONObject.read(data, limit: 1 << 16)
            #expect(try JSONObject.read(object.written(), limit: 1 << 17) == object, Comment(rawValue: data.hex))
        } catch {
            #expect(error is MalformedError)
        }
    }

    @Test func documentsWithEachByteChanged() async {
        for document in Self.documents.map({ $0.prefix(300) }) {
            for place in document.indices {
                await turn(place)
                for byte in [0x00, 0x22, 0x5c, 0x7b, 0x7d, 0x39, 0xff, document[place] ^ 0x20, document[place] ^ 1] as [UInt8] {
                    var changed = document
                    changed[place] = byte
                    isTotal(changed)
                }
                isTotal(document[..<place])
                isTotal(document[place...])
            }
        }
    }

    @Test func documentsOfAnyBytes() async {
        var random = SeededGenerator(seed: 1)
        for round in 0..<Self.rounds {
            await turn(round)
            isTotal(input(Self.documents, &random))
        }
    }

    @Test func objectsThatAreWrittenAreRead() async throws {
        var random = SeededGenerator(seed: 2)
        for round in 0..<Self.rounds {
            await turn(round)
            let value = object(depth: 1, &random)
            #expect(try JSONObject.read(value.written(), limit: 1 << 20) == value)
        }
    }

    private func text(_ random: inout SeededGenerator) -> String {
        var scalars = String.UnicodeScalarView()
        for _ in 0..<Int.random(in: 0..<6, using: &random) {
            let most: UInt32 = Bool.random(using: &random) ? 0x80 : 0x10ffff
            if let scalar = Unicode.Scalar(UInt32.random(in: 0...most, using: &random)) { scalars.append(scalar) }
        }
        return String(scalars)
    }

    private func object(depth: Int, _ random: inout SeededGenerator) -> JSONObject {
        var object = JSONObject()
        for _ in 0..<Int.random(in: 0..<4, using: &random) { object[text(&random)] = value(depth: depth, &random) }
        return object
    }

    private func value(depth: Int, _ random: inout SeededGenerator) -> JSON {
        switch Int.random(in: 0..<(depth < JSONObject.maxDepth ? 7 : 5), using: &random) {
        case 0: return .null
        case 1: return .bool(Bool.random(using: &random))
        case 2: return .integer(Int64.random(in: .min ... .max, using: &random))
        case 3:
            let number = Double(bitPattern: random.next())
            return .number(number.isFinite ? number : 0.5)
        case 4: return .text(text(&random))
        case 5: return .list((0..<Int.random(in: 0..<4, using: &random)).map { _ in value(depth: depth + 1, &random) })
        default: return .object(object(depth: depth + 1, &random))
        }
    }

    @Test func base64URLOfAnyText() async throws {
        var random = SeededGenerator(seed: 3)
        for round in 0..<Self.rounds {
            await turn(round)
            let data = random.bytes(Int.random(in: 0..<50, using: &random))
            #expect(try Base64URL.decode(Base64URL.encode(data)) == data)
            let text = String(decoding: input([Data(data.base64URL().utf8)], &random), as: UTF8.self)
            if let decoded = try? Base64URL.decode(text, limit: 200) { #expect(decoded.base64URL() == text) }
        }
    }

    @Test func signaturesOfAnyBytes() async throws {
        var random = SeededGenerator(seed: 4)
        let key = P256.Signing.PrivateKey()
        let seeds = try (0..<8).map { _ in try key.signature(for: Data("a".utf8)).derRepresentation }
        for seed in seeds { #expect(try P256Points.fixedSignature(der: seed).count == 64) }
        for round in 0..<Self.rounds {
            await turn(round)
            let der = input(seeds, &random)
            guard let fixed = try? P256Points.fixedSignature(der: der) else { continue }
            let written = try P256.Signing.ECDSASignature(rawRepresentation: fixed).derRepresentation
            #expect(written == der, Comment(rawValue: der.hex))
        }
    }

    @Test func urlsOfAnyText() async {
        var random = SeededGenerator(seed: 5)
        let seeds = [
            "https://ada@api.example:8443/a%2Fb?c=d#e", "http://[2001:db8::1]:80/", "https://api.example", "HTTP://127.0.0.1:8080/?x",
        ].map { Data($0.utf8) }
        for round in 0..<Self.rounds {
            await turn(round)
            let url = String(decoding: input(seeds, &random), as: UTF8.self)
            let origin = Origin.of(url)
            if let origin { #expect(Origin.of(origin.description) == origin, Comment(rawValue: url)) }
            _ = try? Origin.safe(url)
            guard let covered = try? Covered.of(method: "GET", url: url, host: nil, contentDigest: nil) else { continue }
            #expect(covered.authority == origin?.authority)
            // What is covered stands in the URL as it does in the proof.
            let target = (covered.path == "/" ? "" : covered.path) + (covered.query.isEmpty ? "" : "?\(covered.query)")
            let sent = url.utf8.prefix { $0 != UInt8(ascii: "#") }.map { $0 }
            #expect(sent.suffix(target.utf8.count).elementsEqual(target.utf8) || sent.last == UInt8(ascii: "?"), Comment(rawValue: url))
            #expect(covered.path.hasPrefix("/"))
        }
    }

    @Test func tokensOfAnyBytes() async throws {
        var random = SeededGenerator(seed: 6)
        let token = try ProtocolVector.document.object("proofs").text("token")
        let claims = try Base64URL.decode(String(token.split(separator: ".")[1]))
        #expect(OwnToken.read(token) != nil)
        for round in 0..<Self.rounds {
            await turn(round)
            if let own = OwnToken.read("a.\(input([claims], &random).base64URL()).b") { #expect(!own.sessionID.isEmpty) }
            if let own = OwnToken.read(String(decoding: input([Data(token.utf8)], &random), as: UTF8.self)) {
                #expect(own.key.names == ["crv", "kty", "x", "y"])
            }
        }
    }

    @Test func sealedOfAnyBytes() async throws {
        var random = SeededGenerator(seed: 7)
        let vector = try #require(try ProtocolVector.document.object("secret")["keys"]?.list?.first?.object)
        let seal = try vector.object("seal_key")
        let own = try P256.KeyAgreement.PrivateKey(rawRepresentation: try Base64URL.decode(seal.text("d")))
        let jwk = PublicKeyJWK(x: try seal.text("x"), y: try seal.text("y"))
        let sealed = try Base64URL.decode(vector.text("sealed"))
        let info = try Data(hex: ProtocolVector.document.object("secret").text("info"))
        #expect(try HPKE.open(sealKey: jwk, info: info, sealed: sealed) { try sharedSecret(own, $0) }.isEmpty == false)
        for round in 0..<Self.rounds {
            await turn(round)
            let changed = input([sealed], &random)
            guard changed != sealed else { continue }
            #expect(throws: MalformedError.self) { try HPKE.open(sealKey: jwk, info: info, sealed: changed) { try sharedSecret(own, $0) } }
        }
    }
}
