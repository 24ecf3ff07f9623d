import CryptoKit
import Foundation
import Testing

@testable import WatchwordKit

/// The walk through a certificate: it finds the key, and no bytes end the app.
@Suite struct CertificatePinsTests {
    /// The certificate of the vectors, and its pin.
    private func vector() throws -> (certificate: Data, pin: PinText) {
        let vectors = try ProtocolVector.document.object("pins")["vectors"]?.list ?? []
        let step = try #require(vectors.first { $0.object?["id"] == "pins-certificate" }?.object?["steps"]?.list?.first?.object)
        return (try #require(Data(base64Encoded: step.text("certificate"))), try step.text("expect"))
    }

    @Test func pinIsOfTheKeyAsItStandsThere() throws {
        let (certificate, pin) = try vector()
        #expect(try CertificatePins.pin(of: certificate) == pin)
        let key = P256.Signing.PrivateKey().publicKey
        let info = DER.sequence(DER.sequence(DER.p256), DER.bits(key.x963Representation))
        #expect(try CertificatePins.pin(of: DER.certificate(key)) == sha256(info).base64URL())
        // Of version 1, which isn't written.
        #expect(try CertificatePins.pin(of: DER.certificate(key, version: nil)) == sha256(info).base64URL())
    }

    @Test func everyByteMayBeAnyOther() throws {
        let (certificate, pin) = try vector()
        var refused = 0
        for place in certificate.indices {
            // Another bit, or the first byte of another length.
            for byte in (0..<8).map({ certificate[place] ^ 1 << $0 }) + [0, 0x7f, 0x80, 0x81, 0x82, 0x84, 0x85, 0xff] {
                guard byte != certificate[place] else { continue }
                var other = certificate
                other[place] = byte
                // Most bytes aren't looked at: pins vouch for no certificate.
                guard let found = try? CertificatePins.pin(of: other) else {
                    refused += 1
                    continue
                }
                #expect(found.utf8.count == 43)
            }
        }
        #expect(refused > 300)
        #expect(try CertificatePins.pin(of: certificate) == pin)
    }

    @Test func everyCutIsRefused() throws {
        let (certificate, _) = try vector()
        for count in 0..<certificate.count {
            #expect(throws: PinRefusal.self) { try CertificatePins.pin(of: certificate.prefix(count)) }
        }
        #expect(throws: PinRefusal.self) { try CertificatePins.pin(of: certificate + Data([0])) }
        #expect(throws: PinRefusal.self) { try CertificatePins.pin(of: certificate + certificate) }
    }

    @Test func bytesByChanceAreRefusedOrTaken() throws {
        let (certificate, _) = try vector()
        var random = SeededGenerator(seed: 48)
        for _ in 0..<20_000 {
            var other = certificate
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                let place = Int.random(in: 0..<other.count, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: other[place] = UInt8.random(in: 0...255, using: &random)
                case 1: other.insert(contentsOf: [0x84, 0xff, 0xff, 0xff, 0xff].prefix(Int.random(in: 1...5, using: &random)), at: place)
                default: other.remove(at: place)
                }
            }
            _ = try? CertificatePins.pin(of: other)
        }
        for count in 0..<64 { _ = try? CertificatePins.pin(of: random.bytes(count)) }
    }

    /// Each is refused for one thing alone.
    @Test func onlyExactlyOneCertificateHasAPin() throws {
        let key = P256.Signing.PrivateKey().publicKey
        let info = DER.sequence(DER.sequence(DER.p256), DER.bits(key.x963Representation))
        func refuses(_ certificate: Data) -> Bool { (try? CertificatePins.pin(of: certificate)) == nil }
        #expect(!refuses(DER.certificate(key)))
        #expect(refuses(DER.certificate(key, info: Data())))
        #expect(refuses(DER.certificate(key, info: DER.element(0x31, DER.sequence(DER.p256) + DER.bits(Data([4]))))))
        #expect(refuses(DER.certificate(key, info: DER.sequence(DER.bits(Data([4]))))))
        #expect(refuses(DER.certificate(key, info: DER.sequence(DER.sequence(DER.p256), DER.bits(Data([4])), DER.bits(Data([4]))))))
        #expect(refuses(DER.sequence()))
        #expect(refuses(DER.sequence(DER.sequence())))
        #expect(refuses(DER.element(0x31, DER.certificate(key).dropFirst(3))))
        // Lengths that aren't in their shortest form.
        let body = DER.certificate(key).dropFirst(3)
        #expect(!refuses(DER.element(0x30, body)))
        #expect(refuses(Data([0x30, 0x82, 0, UInt8(body.count)]) + body))
        #expect(refuses(Data([0x30, 0x80]) + body + Data([0, 0])))
        #expect(refuses(Data([0x30, 0x85, 0, 0, 0, 0, UInt8(body.count)]) + body))
        #expect(refuses(DER.certificate(key, info: Data([0x30, 0x81, UInt8(info.count - 2)]) + info.dropFirst(2))))
        // The largest that is looked at, and one byte more.
        let largest = DER.certificate(key, padding: CertificatePins.maxBytes)
        #expect(!refuses(largest.whole))
        #expect(refuses(largest.more))
    }
}

/// Writes and reads what a certificate consists of (ITU-T X.690).
enum DER {
    /// The algorithm's members: id-ecPublicKey, and the curve.
    static let p256 = Data([0x06, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7])

    static func element(_ tag: UInt8, _ content: Data) -> Data {
        let count = content.count
        let length: [UInt8]
        switch count {
        case ..<0x80: length = [UInt8(count)]
        case ..<0x100: length = [0x81, UInt8(count)]
        case ..<0x10000: length = [0x82, UInt8(count >> 8), UInt8(count & 255)]
        default: length = [0x83, UInt8(count >> 16), UInt8(count >> 8 & 255), UInt8(count & 255)]
        }
        return Data([tag] + length) + content
    }

    static func sequence(_ members: Data...) -> Data { element(0x30, members.reduce(Data(), +)) }
    static func bits(_ content: Data) -> Data { element(0x03, Data([0]) + content) }

    /// A certificate whose signature nobody looks at: pins don't.
    static func certificate(
        _ key: P256.Signing.PublicKey, version: Data? = Data([2, 1, 2]), info: Data? = nil, extra: Data = Data()
    ) -> Data {
        signed(key, version, info, extra) { _ in Data([1, 2, 3]) }
    }

    /// A certificate that another key signed.
    static func certificate(_ key: P256.Signing.PublicKey, by issuer: P256.Signing.PrivateKey) throws -> Data {
        try signed(key, Data([2, 1, 2]), nil, Data()) { try issuer.signature(for: $0).derRepresentation }
    }

    /// Tells whether a key signed a certificate.
    static func isSigned(_ certificate: Data, by key: P256.Signing.PublicKey) -> Bool {
        let bytes = [UInt8](certificate)
        guard let whole = content(bytes, at: 0), let signed = content(bytes, at: whole.lowerBound),
            let algorithm = content(bytes, at: signed.upperBound), let signature = content(bytes, at: algorithm.upperBound),
            let read = try? P256.Signing.ECDSASignature(derRepresentation: Data(bytes[signature].dropFirst()))
        else { return false }
        return key.isValidSignature(read, for: Data(bytes[whole.lowerBound..<signed.upperBound]))
    }

    private static func content(_ bytes: [UInt8], at start: Int) -> Range<Int>? {
        guard start + 4 <= bytes.count else { return nil }
        let long = bytes[start + 1] == 0x81
        let first = start + (long ? 3 : 2)
        let end = first + Int(bytes[start + (long ? 2 : 1)])
        return end <= bytes.count ? first..<end : nil
    }

    private static func signed(
        _ key: P256.Signing.PublicKey, _ version: Data?, _ info: Data?, _ extra: Data, sign: (Data) throws -> Data
    ) rethrows -> Data {
        let algorithm = sequence(Data([0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2]))
        let signed = sequence(
            version.map { element(0xa0, $0) } ?? Data(), Data([2, 1, 1]), algorithm, sequence(), sequence(), sequence(),
            info ?? sequence(sequence(p256), bits(key.x963Representation)), extra)
        return try sequence(signed, algorithm, bits(sign(signed)))
    }

    /// A certificate of exactly so many bytes, and one of one byte more.
    static func certificate(_ key: P256.Signing.PublicKey, padding size: Int) -> (whole: Data, more: Data) {
        let short = certificate(key, extra: element(0xa3, Data(count: 0x8000))).count
        let missing = size - short + 0x8000
        return (
            certificate(key, extra: element(0xa3, Data(count: missing))), certificate(key, extra: element(0xa3, Data(count: missing + 1)))
        )
    }
}
