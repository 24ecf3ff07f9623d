// A stand-in for Apple's CryptoKit on Linux, as small as Watchword's use of it: the same names and signatures, OpenSSL behind. It serves
// the tests alone, is in no product, and can drift from Apple's: what counts on a phone was compiled against Apple's framework or was not.
import COpenSSL
import Foundation

/// Errors by Apple's names.
public enum CryptoKitError: Error, Equatable, Sendable {
    case incorrectKeySize
    case incorrectParameterSize
    case authenticationFailure
    case underlyingCoreCryptoError(error: Int32)
    case wrapFailure
    case unwrapFailure
    case invalidParameter
}

public protocol Digest: Hashable, ContiguousBytes, CustomStringConvertible, Sequence, Sendable where Element == UInt8 {
    static var byteCount: Int { get }
}

public protocol HashFunction: Sendable {
    associatedtype Digest: CryptoKit.Digest
    static var blockByteCount: Int { get }
    init()
    mutating func update(bufferPointer: UnsafeRawBufferPointer)
    func finalize() -> Digest
}

extension HashFunction {
    public mutating func update<D: DataProtocol>(data: D) {
        for region in data.regions { region.withUnsafeBytes { update(bufferPointer: $0) } }
    }

    public static func hash<D: DataProtocol>(data: D) -> Digest {
        var hash = Self()
        hash.update(data: data)
        return hash.finalize()
    }
}

public struct SHA256Digest: Digest {
    public static let byteCount = 32
    let bytes: [UInt8]

    public func makeIterator() -> IndexingIterator<[UInt8]> { bytes.makeIterator() }
    public func withUnsafeBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R { try bytes.withUnsafeBytes(body) }
    public var description: String { "SHA256 digest: " + bytes.map { String(format: "%02x", $0) }.joined() }

    public static func == <D: DataProtocol>(lhs: Self, rhs: D) -> Bool { lhs.bytes.elementsEqual(rhs) }
}

public struct SHA256: HashFunction {
    public typealias Digest = SHA256Digest
    public static let blockByteCount = 64
    public static let byteCount = 32
    private var context = SHA256_CTX()

    public init() { SHA256_Init(&context) }

    public mutating func update(bufferPointer: UnsafeRawBufferPointer) {
        SHA256_Update(&context, bufferPointer.baseAddress, bufferPointer.count)
    }

    public func finalize() -> SHA256Digest {
        var context = self.context
        var bytes = [UInt8](repeating: 0, count: Self.byteCount)
        SHA256_Final(&bytes, &context)
        return SHA256Digest(bytes: bytes)
    }
}
