import CryptoKit
import Foundation

/// Base64url without padding, in its one canonical form (RFC 4648 section 5).
enum Base64URL {
    static func encode(_ data: Data) -> String {
        let characters = data.base64EncodedData().compactMap { byte -> UInt8? in
            switch byte {
            case UInt8(ascii: "+"): return UInt8(ascii: "-")
            case UInt8(ascii: "/"): return UInt8(ascii: "_")
            case UInt8(ascii: "="): return nil
            default: return byte
            }
        }
        return String(decoding: characters, as: UTF8.self)
    }

    /// Tells whether a text has so many characters, all of them of the alphabet; whatever bytes it may stand for.
    static func isText(_ text: String, of count: ClosedRange<Int>) -> Bool {
        count.contains(text.utf8.count)
            && text.utf8.allSatisfy {
                switch $0 {
                case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                    UInt8(ascii: "-"), UInt8(ascii: "_"):
                    return true
                default: return false
                }
            }
    }

    /// Returns the bytes behind `text`.
    ///
    /// Padding, other alphabets, white space and spare bits that aren't zero are refused: two texts for the same bytes
    /// would let something that was seen look new.
    ///
    /// - Parameter limit: most characters that are accepted.
    /// - Throws: `MalformedError` if it isn't canonical base64url.
    static func decode(_ text: String, limit: Int = 64 * 1024) throws -> Data {
        let count = text.utf8.count
        guard count <= limit else { throw MalformedError(message: "got \(count) characters, expected at most \(limit)") }
        var standard = Data()
        standard.reserveCapacity(count + 3)
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "-"): standard.append(UInt8(ascii: "+"))
            case UInt8(ascii: "_"): standard.append(UInt8(ascii: "/"))
            default: standard.append(byte)
            }
        }
        standard.append(contentsOf: repeatElement(UInt8(ascii: "="), count: (4 - count % 4) % 4))
        // Foundation takes spare bits and the standard alphabet: only what it would write itself is canonical.
        guard let data = Data(base64Encoded: standard), encode(data).utf8.elementsEqual(text.utf8) else {
            throw MalformedError(message: "got text that isn't base64url in canonical form")
        }
        return data
    }
}

extension Data {
    func base64URL() -> String { Base64URL.encode(self) }
}

/// Returns SHA-256 of `data`.
func sha256(_ data: Data) -> Data { Data(SHA256.hash(data: data)) }

/// Returns HMAC-SHA256; an empty key is as good as the zeros that it is filled up with.
func hmacSHA256(key: Data, _ data: Data) -> Data {
    Data(HMAC<SHA256>.authenticationCode(for: data, using: SymmetricKey(data: key.isEmpty ? Data([0]) : key)))
}

/// Returns each part behind its length in 4 bytes, big endian, one after the other.
func lengthPrefixed(_ parts: Data...) -> Data {
    var out = Data()
    for part in parts {
        withUnsafeBytes(of: UInt32(truncatingIfNeeded: part.count).bigEndian) { out.append(contentsOf: $0) }
        out.append(part)
    }
    return out
}
