import CryptoKit
import Foundation
import Testing

@testable import WatchwordKit

/// Shows what is read and what is refused of JSON.
@Suite struct StrictJSONTests {
    private func read(_ text: String, limit: Int = 1000) throws -> JSONObject { try JSONObject.read(Data(text.utf8), limit: limit) }

    private func refuses(_ text: String, limit: Int = 1000, at location: SourceLocation = #_sourceLocation) {
        #expect(throws: MalformedError.self, Comment(rawValue: String(text.prefix(80))), sourceLocation: location) {
            try read(text, limit: limit)
        }
    }

    @Test func objectIsRead() throws {
        let text = " {\"a\" : [1, -2, 0, -0, 1.5, 1e3, 1E-2, true, false, null, {}],\t\"\\u00E9\\n\\\"\\ud83d\\ude00\":\"x\\/\"}\r\n"
        let wanted: JSONObject = ["a": [1, -2, 0, 0, 1.5, 1000.0, 0.01, true, false, .null, [:]], "é\n\"😀": "x/"]
        #expect(try read(text) == wanted)
        #expect(try read(text).names == ["a", "é\n\"😀"])
        #expect(try read("{\"n\":9223372036854775807,\"m\":-9223372036854775808}") == ["n": .integer(.max), "m": .integer(.min)])
        #expect(try read("{\"n\":1e-999999999}") == ["n": 0.0])
        #expect(try read("{\"a\":\"\\u0000\u{7f}\u{feff}\"}") == ["a": "\0\u{7f}\u{feff}"])
        let whole = "1" + String(repeating: "0", count: 400)
        refuses("{\"a\":\(whole)}")
        #expect(try read("{\"a\":\(whole)e-400}") == ["a": 1.0])
        refuses("{\"a\":\(whole)0e-400}")
    }

    @Test func otherTextIsRefused() {
        let wrong = [
            "", "[]", "1", "{", "{}x", "{}{}", "{'a':1}", "{a:1}", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{,}", "{\"a\":1 \"b\":2}",
            "{\"a\":1,\"a\":2}", "{\"a\":{\"b\":1,\"b\":1}}", "{\"a\":1,\"\\u0061\":2}", "{\"a\":NaN}", "{\"a\":Infinity}",
            "{\"a\":-Infinity}", "{\"a\":1e999}", "{\"a\":-1e999}", "{\"a\":01}", "{\"a\":00}", "{\"a\":-01}", "{\"a\":+1}",
            "{\"a\":1.}", "{\"a\":.5}", "{\"a\":-}", "{\"a\":1e}", "{\"a\":1e+}", "{\"a\":1e1234567890}", "{\"a\":0x1}", "{\"a\":1_0}",
            "{\"a\":9223372036854775808}", "{\"a\":-9223372036854775809}", "{\"a\":[1,]}", "{\"a\":[,1]}", "{\"a\":tru}", "{\"a\":truE}",
            "{\"a\":nullx}", "{\"a\":\"\\x\"}", "{\"a\":\"\\u12\"}", "{\"a\":\"\\u12g4\"}", "{\"a\":\"\\u\u{12}234\"}",
            "{\"a\":\"\\ud800\"}", "{\"a\":\"\\udc00\\ud800\"}", "{\"a\":\"\\ud800\\ud800\"}", "{\"a\":\"\\ud800x\"}",
            "{\"a\":\"\\ud800\\n\"}", "{\"a\":\"\\ud800\\", "{\"a\":\"\\ud800\\u", "{\"a\":\"\\ud800\\u\"}", "{\"a\":\"\\udfff\"}",
            "{\"a\":\"\u{1}\"}", "{\"a\":\"\u{1f}\"}", "{\"a\":\"\n\"}", "{\"a\":\"x}", "{\"a\":\"\\", "{\"a\":\"\\u", "\u{feff}{}",
            "{\"a\":1}\0",
            "{\"a\":\u{a0}1}", "{/**/}", "{\"a\":1;}", "{\"a\";1}", "{\"a\":١}",
        ]
        for text in wrong { refuses(text) }
    }

    @Test func textsAreTheirBytes() throws {
        // What Unicode calls equivalent is alike to Swift's `==`; here neither stands for the other.
        let (composed, decomposed) = ("\u{e9}", "e\u{301}")
        #expect(composed == decomposed)
        let both = try read("{\"\(composed)\":1,\"\(decomposed)\":2,\"K\":3,\"\u{212a}\":4}")
        #expect(both.names.count == 4)
        #expect(both[composed] == 1)
        #expect(both[decomposed] == 2)
        #expect(both["K"] == 3)
        #expect(both["\u{212a}"] == 4)
        #expect(JSON.text(composed) != .text(decomposed))
        #expect(try read("{\"prf\":\"\u{212a}\"}") != ["prf": "K"])
        // A line break of two characters is one to Swift, and a sign that joins the next brace isn't part of it.
        #expect(try read("{\r\n\"a\":\r\n1\r\n}") == ["a": 1])
        #expect(try read("{\"a\":\"x\",\"\u{301}\":\"\u{301}\"}") == ["a": "x", "\u{301}": "\u{301}"])
    }

    @Test func depthIsBounded() throws {
        func lists(_ count: Int) -> String { "{\"a\":" + String(repeating: "[", count: count) + String(repeating: "]", count: count) + "}" }
        #expect(try read(lists(7)).names == ["a"])
        refuses(lists(8))
        refuses("{\"a\":" + String(repeating: "[", count: 100_000), limit: 1 << 20)
        refuses(String(repeating: "{\"a\":", count: 8) + "{}" + String(repeating: "}", count: 8))
        // Brackets in a text aren't levels.
        #expect(try read("{\"a\":\"\(String(repeating: "[", count: 50))\"}").names == ["a"])
    }

    @Test func sizeAndEncodingAreChecked() throws {
        #expect(try read("{}", limit: 2) == [:])
        refuses("{} ", limit: 2)
        refuses("{\"a\":\"\(String(repeating: "x", count: 70 * 1024))\"}", limit: 64 * 1024)
        let names = (0..<7000).map { "\"\($0)\":0" }.joined(separator: ",")
        #expect(try read("{\(names)}", limit: 1 << 20).names.count == 7000)
        refuses("{\(names),\"6999\":0}", limit: 1 << 20)
        let wrong: [[UInt8]] = [[0xff], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xe2, 0x82], [0x80]]
        for bytes in wrong {
            let data = Data("{\"a\":\"".utf8) + Data(bytes) + Data("\"}".utf8)
            #expect(throws: MalformedError.self) { try JSONObject.read(data, limit: 1000) }
        }
        #expect(throws: MalformedError.self) { try JSONObject.read("{\"a\":1}".data(using: .utf16) ?? Data(), limit: 1000) }
        // A slice has indices of its own.
        #expect(try JSONObject.read(Data("xx{\"a\":1}".utf8).dropFirst(2), limit: 100) == ["a": 1])
    }

    @Test func objectIsWrittenInItsOrder() throws {
        var object: JSONObject = ["b": [1, 2.5, .null, true], "a": "é\"\\\n\u{1}\u{7f}/😀", "c": ["d": ""]]
        let text = "{\"b\":[1,2.5,null,true],\"a\":\"é\\\"\\\\\\n\\u0001\u{7f}/😀\",\"c\":{\"d\":\"\"}}"
        #expect(String(decoding: object.written(), as: UTF8.self) == text)
        #expect(try JSONObject.read(object.written(), limit: 1000) == object)
        let control = String(decoding: (UInt8(0)..<33), as: UTF8.self)
        #expect(try JSONObject.read((["a": .text(control)] as JSONObject).written(), limit: 1000) == ["a": .text(control)])
        for number in [Double.leastNonzeroMagnitude, 1.7976931348623157e308, 1e20, -0.1, 123_456_789_012_345_680.0] {
            #expect(try JSONObject.read((["a": .number(number)] as JSONObject).written(), limit: 1000)["a"]?.seconds == number)
        }
        object["a"] = 7
        object["b"] = nil
        object["z"] = false
        #expect(String(decoding: object.written(), as: UTF8.self) == "{\"a\":7,\"c\":{\"d\":\"\"},\"z\":false}")
        // JSON has no such numbers: null is refused where a number is read.
        #expect((["a": .number(.nan), "b": .number(-.infinity)] as JSONObject).written() == Data("{\"a\":null,\"b\":null}".utf8))
    }

    @Test func membersAreOfTheirKind() throws {
        let object: JSONObject = ["t": "x", "e": "", "i": 3, "n": -0.5, "o": ["a": 1], "l": [1], "z": .null]
        #expect(try object.text("t") == "x")
        #expect(try object.seconds("i") == 3)
        #expect(try object.object("o") == ["a": 1])
        for name in ["e", "i", "z", "none"] { #expect(throws: MalformedError.self) { try object.text(name) } }
        for name in ["n", "t", "z", "none"] { #expect(throws: MalformedError.self) { try object.seconds(name) } }
        for name in ["l", "t", "z", "none"] { #expect(throws: MalformedError.self) { try object.object(name) } }
        #expect(object["n"]?.seconds == -0.5)
        #expect(object["l"]?.list == [1])
        #expect(object["i"]?.text == nil)
        #expect(object != ["t": "x"])
        #expect((["a": 1, "b": 2] as JSONObject) == ["b": 2, "a": 1])
        #expect((["a": 1, "b": 2] as JSONObject) != ["b": 2, "c": 1])
        #expect(JSON.integer(1) != .number(1))
        #expect(JSON.null != .bool(false))
    }
}

/// Shows what is read and what is refused of base64url, signatures, points and what is sealed.
@Suite struct BytesTests {
    private static let order = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"
    private static let one = String(repeating: "0", count: 63) + "1"

    @Test func base64URLIsCanonical() throws {
        let vectors = ["": "", "f": "Zg", "fo": "Zm8", "foo": "Zm9v", "foob": "Zm9vYg", "fooba": "Zm9vYmE", "foobar": "Zm9vYmFy"]
        for (bytes, text) in vectors {
            #expect(Base64URL.encode(Data(bytes.utf8)) == text)
            #expect(try Base64URL.decode(text) == Data(bytes.utf8))
        }
        #expect(Data([0xfb, 0xff]).base64URL() == "-_8")
        #expect((Data([7, 0xfb, 0xff]).dropFirst()).base64URL() == "-_8")
        let wrong = [
            "Zg==", "Zh", "Zm9", "Z", "Zm9vY", "+/8", "+_8", "Zm 9v", "Zm9v\n", "\nZm9v", "Zm9v\r\n", "Zmé", "Zm９v", "Zm9v=", "=", "====",
            "Zm9v====", "Zm=v", "Zm9v\0", "Z\u{301}m9v",
        ]
        for text in wrong { #expect(throws: MalformedError.self, Comment(rawValue: text)) { try Base64URL.decode(text) } }
        #expect(try Base64URL.decode("Zm9v", limit: 4) == Data("foo".utf8))
        #expect(throws: MalformedError.self) { try Base64URL.decode("Zm9v", limit: 3) }
        // Of the 64 last characters that two bytes can end with, 16 are canonical.
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        #expect(alphabet.filter { (try? Base64URL.decode("AA\($0)")) != nil }.count == 16)
        #expect(alphabet.filter { (try? Base64URL.decode("A\($0)")) != nil }.count == 4)
    }

    @Test func hashesAreThose() throws {
        #expect(sha256(Data()).hex == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        let message = Data("what do ya want for nothing?".utf8)
        let wanted = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        #expect(hmacSHA256(key: Data("Jefe".utf8), message).hex == wanted)
        #expect(hmacSHA256(key: Data(), message) == hmacSHA256(key: Data(count: 64), message))
        #expect(lengthPrefixed(Data("ab".utf8), Data(), Data(count: 256)).prefix(14).hex == "00000002616200000000000001000000".prefix(28))
        #expect(lengthPrefixed() == Data())
    }

    @Test func pointsAreOfTheCurve() throws {
        let point = P256.Signing.PrivateKey().publicKey.x963Representation
        let (x, y) = (point[1..<33], point[33...])
        #expect(try P256Points.publicKey(x: x, y: y).x963Representation == point)
        let key = try PublicKeyJWK(x963Representation: point)
        #expect(try P256Points.publicKey(key).x963Representation == point)
        let prime = try Data(hex: "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff")
        var other = y
        other[y.endIndex - 1] ^= 1
        let wrong = [(x, x), (x, other), (Data(count: 32), Data(count: 32)), (prime, y), (x + [0], y), (x.dropLast(), y), (Data(), Data())]
        for (left, right) in wrong {
            #expect(throws: MalformedError.self) { try P256Points.publicKey(x: left, y: right) }
            let jwk = PublicKeyJWK(x: left.base64URL(), y: right.base64URL())
            #expect(!P256Points.verifies(jwk, message: Data(), fixed: Data(count: 64)))
        }
        #expect(throws: MalformedError.self) { try P256Points.publicKey(PublicKeyJWK(x: "\(key.x)=", y: key.y)) }
    }

    /// DER of two integers, each in the bytes that are given.
    private func der(_ parts: Data...) -> Data {
        let both = parts.reduce(Data()) { $0 + [2, UInt8($1.count)] + $1 }
        return Data([0x30, UInt8(both.count)]) + both
    }

    private func refuses(_ der: Data, at location: SourceLocation = #_sourceLocation) {
        #expect(throws: MalformedError.self, Comment(rawValue: der.hex), sourceLocation: location) {
            try P256Points.fixedSignature(der: der)
        }
    }

    @Test func signaturesAreStrictDER() throws {
        let last = try Data(hex: String(Self.order.dropLast()) + "0")
        let zeros = Data(count: 31)
        #expect(try P256Points.fixedSignature(der: der(Data([1]), [0] + last)) == zeros + [1] + last)
        #expect(try P256Points.fixedSignature(der: der(Data([0, 0x80]), Data([0x7f]))) == zeros + [0x80] + zeros + [0x7f])
        #expect(try P256Points.fixedSignature(der: (Data([7]) + der(Data([1]), Data([2]))).dropFirst()) == zeros + [1] + zeros + [2])
        let outOfRange = [
            Data([0]), [0] + (try Data(hex: Self.order)), [0] + Data(repeating: 0xff, count: 32), Data([0x80]), Data([0xff]),
            Data(repeating: 0x7f, count: 33), Data(), Data([0, 1]), Data([0, 0]), Data([0, 0, 0x80]),
        ]
        for wrong in outOfRange {
            refuses(der(wrong, Data([1])))
            refuses(der(Data([1]), wrong))
        }
        let good = der(Data([1]), Data([2]))
        for length in [0, 5, 7, 0x80, 0x81, 0xff] as [UInt8] {
            for place in [1, 3, 6] {
                var changed = good
                changed[place] = length
                refuses(changed)
            }
        }
        for size in 0..<good.count { refuses(good.prefix(size)) }
        refuses(good + [0])
        refuses(der(Data([1]), Data([2]), Data([3])))
        refuses(Data([0x30, 0x81, UInt8(good.count - 2)]) + good.dropFirst(2))
        refuses(Data([0x31]) + good.dropFirst())
        refuses(Data([0x30, 6, 3]) + good.dropFirst(3))
        refuses(Data([0x30, 0xff]) + Data(repeating: 2, count: 255))
    }

    @Test func signaturesAreOfTheirKeyAndMessage() throws {
        let key = P256.Signing.PrivateKey()
        let message = Data("a".utf8)
        let fixed = try key.signature(for: message).rawRepresentation
        #expect(P256Points.verifies(key.publicKey, message: message, fixed: fixed))
        #expect(!P256Points.verifies(P256.Signing.PrivateKey().publicKey, message: message, fixed: fixed))
        for place in fixed.indices {
            var changed = fixed
            changed[place] ^= 1
            #expect(!P256Points.verifies(key.publicKey, message: message, fixed: changed))
        }
        for wrong in [Data(), Data(count: 64), Data(repeating: 0xff, count: 64), fixed + [0], fixed.dropLast()] {
            #expect(!P256Points.verifies(key.publicKey, message: message, fixed: wrong))
        }
    }

    @Test func sealedBytesThatAreHostile() throws {
        let own = P256.KeyAgreement.PrivateKey()
        let jwk = try PublicKeyJWK(x963Representation: own.publicKey.x963Representation)
        let peer = P256.KeyAgreement.PrivateKey().publicKey.x963Representation
        func asked(_ sealed: Data, _ seal: PublicKeyJWK, answer: Data? = nil) -> Bool {
            var isAsked = false
            #expect(throws: MalformedError.self) {
                try HPKE.open(sealKey: seal, info: Data(), sealed: sealed) { point in
                    isAsked = true
                    return try answer ?? sharedSecret(own, point)
                }
            }
            return isAsked
        }
        // The key isn't asked about what is no point: each answer would tell something of it.
        var off = peer
        off[64] ^= 1
        for point in [off, Data([4]) + Data(count: 64), [2] + peer.dropFirst(), [0] + peer.dropFirst(), [6] + peer.dropFirst()] {
            #expect(!asked(point + Data(count: 40), jwk))
        }
        for size in [0, 1, 64, 65, 66, 80] { #expect(!asked((peer + Data(count: 40)).prefix(size), jwk)) }
        #expect(!asked(peer + Data(count: 40), PublicKeyJWK(x: "", y: jwk.y)))
        #expect(asked(peer + Data(count: 40), jwk))
        #expect(asked(peer + Data(count: 16), jwk))
        for size in [0, 31, 33] { #expect(asked(peer + Data(count: 40), jwk, answer: Data(count: size))) }
        // What the port says goes to the caller as it is.
        #expect(throws: DeviceError.self) {
            try HPKE.open(sealKey: jwk, info: Data(), sealed: peer + Data(count: 40)) { _ in throw DeviceError(.locked, "locked") }
        }
    }
}

/// Shows how the text of a URL is read, and what a proof covers of it.
@Suite struct OriginTests {
    @Test func originsOfURLs() {
        let wanted = [
            "HTTPS://API.example:443/a?b#c": "https://api.example", "https://api.example:8443?x": "https://api.example:8443",
            "https://[::1]:8443/": "https://[::1]:8443", "https://[2001:DB8::A]": "https://[2001:db8::a]",
            "https://ada:pw@api.example/": "https://api.example", "https://api.example:": "https://api.example",
            "https://api.example:00443#x": "https://api.example", "http://api.example:443": "http://api.example:443",
            "https://api.example/@evil.example": "https://api.example", "https://api.example?@evil.example/": "https://api.example",
            "https://api.example#@evil.example": "https://api.example", "https://ada%40b@api.example": "https://api.example",
            "https://%61pi.example": "https://%61pi.example", "https://api.example./": "https://api.example.",
            "https://api.example://x": "https://api.example",
        ]
        for (url, origin) in wanted { #expect(Origin.of(url)?.description == origin, Comment(rawValue: url)) }
        let others = ["http://api.example", "https://api.example.evil", "https://api.example.", "https://api.example:444"]
        for other in others { #expect(Origin.of(other) != Origin.of("https://api.example")) }
        let none = [
            "", ":", "://", "api.example", "//api.example", "ftp://api.example", "https://", "https:///x", "https://?x", "https://a b/",
            "https://evil\\@api.example/", "https://e vil@api.example/", "https://a@b@api.example", "https://api.example:70000/",
            "https://api.example:0", "https://api.example:65536", "https://api.example:+443", "https://api.example:4 4",
            "https://api.example:123456", "https://[::1", "https://[]", "https://[::1]x", "https://[::g]", "https://[::1%25en0]",
            "https://api.example\\x", "https:/api.example", "https:api.example", " https://api.example", "https://api.example\n",
            "https://api.example/\nx", "https://api.example/\r\nx", "https ://api.example", "httpſ://api.example", "https://ápi.example",
            "https://\u{212a}.example", "1https://api.example", "https+x://api.example",
        ]
        for url in none { #expect(Origin.of(url) == nil, Comment(rawValue: url)) }
    }

    @Test func originsThatAreSafe() throws {
        let safe = [
            "https://api.example", "https://api.example/", "http://127.0.0.1:8080", "http://127.255.255.254", "http://localhost:1",
            "http://[::1]:1", "HTTP://LOCALHOST",
        ]
        for url in safe { #expect(throws: Never.self) { try Origin.safe(url) } }
        let wrong = [
            "http://api.example", "http://10.0.2.2:8080", "http://127.0.0.1.evil.example", "http://localhost.evil.example",
            "https://api.example/v1", "https://api.example//", "https://api.example?x", "https://api.example/?", "https://api.example#x",
            "http://[::2]", "ftp://localhost", "http://127.0.0.256", "http://127.0.1", "http://127.0.0.+1", "http://127.0.0.01",
            "http://127.0.0.", "http://127.0.0.1.1", "http://128.0.0.1", "",
        ]
        for url in wrong { #expect(throws: MalformedError.self, Comment(rawValue: url)) { try Origin.safe(url) } }
    }

    @Test func targetsOfURLs() throws {
        let wanted = [
            "https://api.example": ("/", ""), "https://api.example?x=1": ("/", "x=1"), "https://api.example#x": ("/", ""),
            "https://api.example/a/../b%2Fc?": ("/a/../b%2Fc", ""), "https://api.example/a?b?c/d#e?f": ("/a", "b?c/d"),
            "https://ada@api.example/a#/b": ("/a", ""),
            "https://api.example//a;b=c,d@e:f!$&'()*+~|?x=%20+": ("//a;b=c,d@e:f!$&'()*+~|", "x=%20+"),
            "https://api.example/%c3%A9/%2e%2E/.": ("/%c3%A9/%2e%2E/.", ""), "https://api.example/a://b?c://d": ("/a://b", "c://d"),
        ]
        for (url, target) in wanted {
            let covered = try Covered.of(method: "GET", url: url, host: nil, contentDigest: nil)
            #expect((covered.path, covered.query) == target, Comment(rawValue: url))
            #expect(covered.authority == "api.example")
            #expect(covered.scheme == "https")
            let known = try Covered.of(method: "GET", url: url, host: "API.example:443", contentDigest: nil, known: Origin.of(url))
            #expect(known.authority == "api.example:443")
        }
        // What is sent would be mended on its way: the proof would be over something else.
        for url in ["/a", "https://api.example/a b", "https://api.example/é", "https://api.example/a?\u{7f}", "https://api.example/\t"] {
            #expect(throws: MalformedError.self, Comment(rawValue: url)) {
                try Covered.of(method: "GET", url: url, host: nil, contentDigest: nil)
            }
        }
    }

    @Test func signatureThatIsNoneIsTheDevices() async throws {
        let token =
            "e30.\(Data("{\"sid\":\"s\",\"cnf\":{\"jwk\":{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"a\",\"y\":\"b\"}}}".utf8).base64URL()).x"
        let covered = try Covered.of(method: "GET", url: "https://api.example", host: nil, contentDigest: nil)
        let own = try #require(OwnToken.read(token))
        let proof = Proof(covered: covered, token: token, own: own, fresh: Freshness(created: 1, own: "n", ofGate: nil))
        await #expect(throws: DeviceError.self) { try await proof.byDevice { _ in Data(count: 64) } }
        await #expect(throws: DeviceError.self) { try await proof.byDPoP { _ in Data() } }
        await #expect(throws: CancellationError.self) { try await proof.byDevice { _ in throw CancellationError() } }
    }

    @Test func tokensThatSayWhatTheyAre() {
        func token(_ claims: String) -> String { "e30.\(Data(claims.utf8).base64URL()).x" }
        let key = "\"cnf\":{\"jwk\":{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"a\",\"y\":\"b\",\"use\":\"sig\"}}"
        #expect(OwnToken.read(token("{\"sid\":\"s\",\(key),\"prf\":\"device\"}"))?.isProvenByDevice == true)
        for prf in ["\"session\"", "null", "true", "[\"device\"]", "\"Device\""] {
            #expect(OwnToken.read(token("{\"sid\":\"s\",\(key),\"prf\":\(prf)}"))?.isProvenByDevice == false)
        }
        let own = OwnToken.read(token("{\"sid\":\"s\",\(key)}"))
        #expect(own?.isProvenByDevice == false)
        #expect(own?.sessionID == "s")
        #expect(own?.key.names == ["crv", "kty", "x", "y"])
        #expect(own?.thumbprint == sha256(Data("{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"a\",\"y\":\"b\"}".utf8)).base64URL())
        let none = [
            "", ".", "..", "a.b", "a.b.c.d", token("{\(key)}"), token("{\"sid\":7,\(key)}"), token("{\"sid\":\"\",\(key)}"),
            token("{\"sid\":\"s\"}"), token("[]"), "e30.e30=.x", token("{\"sid\":\"s\",\"cnf\":{\"jwk\":[]}}"),
            token("{\"sid\":\"\(String(repeating: "s", count: 2048))\",\(key)}"),
        ]
        for text in none { #expect(OwnToken.read(text) == nil, Comment(rawValue: String(text.prefix(80)))) }
        // The whole counts, not the claims alone.
        let short = token("{\"sid\":\"s\",\(key)}")
        let longest = short + String(repeating: "x", count: 2048 - short.utf8.count)
        #expect(OwnToken.read(longest) != nil && OwnToken.read(longest + "x") == nil)
    }
}
