import Foundation

/// SHA-256 of a SubjectPublicKeyInfo, in base64url. Compared as text: each has one spelling, of ASCII alone.
typealias PinText = String

/// Takes pins of certificates: SHA-256 of the SubjectPublicKeyInfo as it stands there, byte for byte (RFC 7469 section 2.4).
///
/// Whoever intercepts chooses these bytes. So every index is checked before it is used, nothing is entered more than three levels deep,
/// and the walk passes each byte at most once a level.
struct CertificatePins {
    /// Most bytes of a certificate that is looked at; those of the web have a few thousand.
    static let maxBytes = 65_536
    private static let sequence: UInt8 = 0x30
    private static let bitString: UInt8 = 0x03
    private static let version: UInt8 = 0xa0
    private static let maxLengthBytes = 4
    /// Members of what is signed before the key, the version not counted (RFC 5280 section 4.1).
    private static let beforeKey = 5

    private struct Element {
        let tag: UInt8
        let start: Int
        let content: Range<Int>
    }

    private let der: [UInt8]

    /// Returns the pin of a certificate in DER.
    ///
    /// - Throws: `PinRefusal` for anything else than exactly one certificate.
    static func pin(of certificate: Data) throws -> PinText {
        guard certificate.count <= maxBytes else {
            throw refusal("got a certificate of \(certificate.count) bytes, expected at most \(maxBytes)")
        }
        return try CertificatePins(der: [UInt8](certificate)).pin()
    }

    private func pin() throws -> PinText {
        let whole = try element(in: der.indices)
        guard whole.tag == Self.sequence, whole.content.upperBound == der.count else {
            throw Self.refusal("got something beside the certificate")
        }
        guard let signed = try members(of: whole).first else { throw Self.refusal("got an empty certificate") }
        let inside = try members(of: signed)
        let place = Self.beforeKey + (inside.first?.tag == Self.version ? 1 : 0)
        guard inside.indices.contains(place), inside[place].tag == Self.sequence,
            try members(of: inside[place]).map(\.tag) == [Self.sequence, Self.bitString]
        else { throw Self.refusal("got a certificate without a key") }
        return sha256(Data(der[inside[place].start..<inside[place].content.upperBound])).base64URL()
    }

    private func members(of parent: Element) throws -> [Element] {
        var out: [Element] = []
        var rest = parent.content
        while !rest.isEmpty {
            let next = try element(in: rest)
            out.append(next)
            rest = next.content.upperBound..<rest.upperBound
        }
        return out
    }

    /// Reads the element at the start of `range`, which lies within `der`.
    private func element(in range: Range<Int>) throws -> Element {
        guard range.count >= 2 else { throw Self.refusal("got an element that is cut off") }
        let start = range.lowerBound
        var content = start + 2
        var length = Int(der[start + 1])
        if length >= 0x80 {
            let count = length - 0x80
            guard (1...Self.maxLengthBytes).contains(count), count <= range.upperBound - content else {
                throw Self.refusal("got a length that isn't DER")
            }
            length = der[content..<content + count].reduce(0) { $0 << 8 | Int($1) }
            guard length >= 0x80, der[content] != 0 else { throw Self.refusal("got a length that isn't in its shortest form") }
            content += count
        }
        // Written so that no sum can pass what an Int holds.
        guard length <= range.upperBound - content else { throw Self.refusal("got an element that is cut off") }
        return Element(tag: der[start], start: start, content: content..<content + length)
    }

    private static func refusal(_ detail: String) -> PinRefusal { PinRefusal(reason: "pins.pin_malformed", detail: detail) }
}
