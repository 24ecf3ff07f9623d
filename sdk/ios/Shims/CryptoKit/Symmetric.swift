import COpenSSL
import Foundation

public struct SymmetricKeySize: Sendable {
    public static let bits128 = SymmetricKeySize(bitCount: 128)
    public static let bits256 = SymmetricKeySize(bitCount: 256)
    public let bitCount: Int
    public init(bitCount: Int) { self.bitCount = bitCount }
}

public struct SymmetricKey: ContiguousBytes, Sendable, Equatable {
    let bytes: [UInt8]

    public init<D: ContiguousBytes>(data: D) { bytes = data.withUnsafeBytes { Array($0) } }

    public init(size: SymmetricKeySize) { bytes = random(size.bitCount / 8) }

    public var bitCount: Int { bytes.count * 8 }
    public func withUnsafeBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R { try bytes.withUnsafeBytes(body) }

    public static func == (lhs: Self, rhs: Self) -> Bool { same(lhs.bytes, rhs.bytes) }
}

func random(_ count: Int) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    // Without randomness there is no safe way on, and Apple's doesn't throw here either.
    precondition(RAND_bytes(&bytes, Int32(count)) == 1, "OpenSSL has no randomness")
    return bytes
}

/// Compare without an early end, which would tell an attacker how many bytes are right.
func same(_ left: [UInt8], _ right: [UInt8]) -> Bool {
    left.count == right.count && CRYPTO_memcmp(left, right, left.count) == 0
}

public protocol MessageAuthenticationCode: Hashable, ContiguousBytes, CustomStringConvertible, Sequence, Sendable
where Element == UInt8 {
    var byteCount: Int { get }
}

public struct HashedAuthenticationCode<H: HashFunction>: MessageAuthenticationCode {
    let bytes: [UInt8]

    public var byteCount: Int { bytes.count }
    public func makeIterator() -> IndexingIterator<[UInt8]> { bytes.makeIterator() }
    public func withUnsafeBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R { try bytes.withUnsafeBytes(body) }
    public var description: String { "HMAC with \(H.self): " + bytes.map { String(format: "%02x", $0) }.joined() }
}

public struct HMAC<H: HashFunction>: Sendable {
    public typealias Key = SymmetricKey
    public typealias MAC = HashedAuthenticationCode<H>
    private var inner = H()
    private var outer = H()

    public init(key: SymmetricKey) {
        var block = key.bytes.count > H.blockByteCount ? Array(H.hash(data: key.bytes)) : key.bytes
        block += [UInt8](repeating: 0, count: H.blockByteCount - block.count)
        inner.update(data: block.map { $0 ^ 0x36 })
        outer.update(data: block.map { $0 ^ 0x5c })
    }

    public mutating func update<D: DataProtocol>(data: D) { inner.update(data: data) }

    public func finalize() -> MAC {
        var outer = self.outer
        outer.update(data: Array(inner.finalize()))
        return MAC(bytes: Array(outer.finalize()))
    }

    public static func authenticationCode<D: DataProtocol>(for data: D, using key: SymmetricKey) -> MAC {
        var code = Self(key: key)
        code.update(data: data)
        return code.finalize()
    }

    public static func isValidAuthenticationCode<D: DataProtocol>(
        _ code: MAC, authenticating data: D, using key: SymmetricKey
    ) -> Bool {
        same(code.bytes, authenticationCode(for: data, using: key).bytes)
    }

    public static func isValidAuthenticationCode<C: ContiguousBytes, D: DataProtocol>(
        _ code: C, authenticating data: D, using key: SymmetricKey
    ) -> Bool {
        same(code.withUnsafeBytes { Array($0) }, authenticationCode(for: data, using: key).bytes)
    }
}

/// RFC 5869.
public enum HKDF<H: HashFunction> {
    public static func extract<Salt: DataProtocol>(
        inputKeyMaterial: SymmetricKey, salt: Salt?
    ) -> HashedAuthenticationCode<H> {
        HMAC<H>.authenticationCode(for: inputKeyMaterial.bytes, using: SymmetricKey(data: salt.map { Array($0) } ?? []))
    }

    public static func expand<PRK: ContiguousBytes, Info: DataProtocol>(
        pseudoRandomKey: PRK, info: Info?, outputByteCount: Int
    ) -> SymmetricKey {
        precondition(outputByteCount <= 255 * H.Digest.byteCount, "HKDF gives at most 255 digests")
        let key = SymmetricKey(data: pseudoRandomKey)
        var output: [UInt8] = []
        var block: [UInt8] = []
        for counter in 1... where output.count < outputByteCount {
            var code = HMAC<H>(key: key)
            code.update(data: block)
            if let info { code.update(data: info) }
            code.update(data: [UInt8(counter)])
            block = Array(code.finalize())
            output += block
            if output.count >= outputByteCount { break }
        }
        return SymmetricKey(data: output.prefix(outputByteCount).withUnsafeBytes { Array($0) })
    }

    public static func deriveKey<Salt: DataProtocol, Info: DataProtocol>(
        inputKeyMaterial: SymmetricKey, salt: Salt, info: Info, outputByteCount: Int
    ) -> SymmetricKey {
        expand(
            pseudoRandomKey: extract(inputKeyMaterial: inputKeyMaterial, salt: salt), info: info, outputByteCount: outputByteCount)
    }

    public static func deriveKey<Info: DataProtocol>(
        inputKeyMaterial: SymmetricKey, info: Info, outputByteCount: Int
    ) -> SymmetricKey {
        deriveKey(inputKeyMaterial: inputKeyMaterial, salt: [UInt8](), info: info, outputByteCount: outputByteCount)
    }
}

public enum AES {
    public enum GCM {
        static let tagByteCount = 16

        public struct Nonce: ContiguousBytes, Sequence, Sendable {
            let bytes: [UInt8]

            public init() { bytes = random(12) }

            public init<D: DataProtocol>(data: D) throws {
                guard data.count >= 12 else { throw CryptoKitError.incorrectParameterSize }
                bytes = Array(data)
            }

            public func makeIterator() -> IndexingIterator<[UInt8]> { bytes.makeIterator() }
            public func withUnsafeBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
                try bytes.withUnsafeBytes(body)
            }
        }

        public struct SealedBox: Sendable {
            public let nonce: Nonce
            public let ciphertext: Data
            public let tag: Data

            public init<C: DataProtocol, T: DataProtocol>(nonce: Nonce, ciphertext: C, tag: T) throws {
                guard tag.count == tagByteCount else { throw CryptoKitError.incorrectParameterSize }
                self.nonce = nonce
                self.ciphertext = Data(ciphertext)
                self.tag = Data(tag)
            }

            public init<D: DataProtocol>(combined: D) throws {
                guard combined.count >= 12 + tagByteCount else { throw CryptoKitError.incorrectParameterSize }
                let bytes = Array(combined)
                try self.init(
                    nonce: Nonce(data: bytes.prefix(12)), ciphertext: bytes[12..<(bytes.count - tagByteCount)],
                    tag: bytes.suffix(tagByteCount))
            }

            /// Nothing where the nonce isn't of 12 bytes, as Apple's.
            public var combined: Data? { nonce.bytes.count == 12 ? Data(nonce.bytes) + ciphertext + tag : nil }
        }

        public static func seal<M: DataProtocol>(_ message: M, using key: SymmetricKey, nonce: Nonce? = nil) throws -> SealedBox {
            try seal(message, using: key, nonce: nonce, authenticating: Data())
        }

        public static func seal<M: DataProtocol, A: DataProtocol>(
            _ message: M, using key: SymmetricKey, nonce: Nonce? = nil, authenticating data: A
        ) throws -> SealedBox {
            let nonce = nonce ?? Nonce()
            return try cipher(key, nonce, encrypts: true) { context in
                let ciphertext = try pass(context, Array(message), authenticating: Array(data))
                var tag = [UInt8](repeating: 0, count: tagByteCount)
                try check(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, Int32(tagByteCount), &tag))
                return try SealedBox(nonce: nonce, ciphertext: ciphertext, tag: tag)
            }
        }

        public static func open(_ box: SealedBox, using key: SymmetricKey) throws -> Data {
            try open(box, using: key, authenticating: Data())
        }

        public static func open<A: DataProtocol>(_ box: SealedBox, using key: SymmetricKey, authenticating data: A) throws -> Data {
            try cipher(key, box.nonce, encrypts: false) { context in
                var tag = Array(box.tag)
                try check(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, Int32(tag.count), &tag))
                return Data(try pass(context, Array(box.ciphertext), authenticating: Array(data)))
            }
        }

        private static func cipher<R>(
            _ key: SymmetricKey, _ nonce: Nonce, encrypts: Bool, _ body: (OpaquePointer) throws -> R
        ) throws -> R {
            let kinds = [128: EVP_aes_128_gcm(), 192: EVP_aes_192_gcm(), 256: EVP_aes_256_gcm()]
            guard let kind = kinds[key.bitCount] else { throw CryptoKitError.incorrectKeySize }
            guard let context = EVP_CIPHER_CTX_new() else { throw coreError() }
            defer { EVP_CIPHER_CTX_free(context) }
            let direction: Int32 = encrypts ? 1 : 0
            try check(EVP_CipherInit_ex(context, kind, nil, nil, nil, direction))
            try check(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_IVLEN, Int32(nonce.bytes.count), nil))
            try check(EVP_CipherInit_ex(context, nil, nil, key.bytes, nonce.bytes, direction))
            return try body(context)
        }

        private static func pass(_ context: OpaquePointer, _ input: [UInt8], authenticating data: [UInt8]) throws -> [UInt8] {
            var written: Int32 = 0
            try check(EVP_CipherUpdate(context, nil, &written, data, Int32(data.count)))
            // One byte more: an empty array has no address to write to.
            var output = [UInt8](repeating: 0, count: input.count + 1)
            try check(EVP_CipherUpdate(context, &output, &written, input, Int32(input.count)))
            let length = Int(written)
            var last = [UInt8](repeating: 0, count: 16)
            guard EVP_CipherFinal_ex(context, &last, &written) == 1 else {
                ERR_clear_error()
                throw CryptoKitError.authenticationFailure
            }
            return Array(output.prefix(length))
        }
    }
}

func check(_ result: Int32) throws {
    if result <= 0 { throw coreError() }
}

/// The error that OpenSSL has for this thread; no other is left behind for the next call.
func coreError() -> CryptoKitError {
    let code = ERR_get_error()
    ERR_clear_error()
    return .underlyingCoreCryptoError(error: Int32(truncatingIfNeeded: code))
}
