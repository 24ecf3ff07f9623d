import Foundation

/// What shows nothing of itself: no description, no `dump` and no `Mirror` has a token, a key or a secret.
protocol Redacted: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {}

extension Redacted {
    /// The type's name alone.
    public var description: String { "\(type(of: self))(...)" }

    /// The same.
    public var debugDescription: String { description }

    /// Shows nothing.
    public var customMirror: Mirror { Mirror(self, children: [:]) }
}

/// A copy of a secret, which ``close()`` overwrites, and also the end of its last reference.
///
/// `try await watchword.secret("push").use { key in library.start(key) }`
///
/// Its bytes stand in memory of their own, which Swift never copies. What can't be promised: that nothing is left of what the
/// phone's cryptography wrote while it opened the secret, nor of a `Data`, an array or a text that the app makes of these bytes
/// (Swift copies those at will). Prefer ``use(_:)`` with the pointer.
public final class Secret: @unchecked Sendable {  // `lock` guards what `bytes` points to and `isClosed`; `bytes` itself is constant.
    private let lock = NSRecursiveLock()
    private let bytes: UnsafeMutableRawBufferPointer

    init(_ value: Data) {
        bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: value.count, alignment: 1)
        value.copyBytes(to: bytes)
    }

    private init(_ value: UnsafeRawBufferPointer) {
        bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: value.count, alignment: 1)
        bytes.copyMemory(from: value)
    }

    deinit {
        close()
        bytes.deallocate()
    }

    /// Returns what `body` makes of the bytes. They are all zero once the secret is closed; the pointer is good for nothing after
    /// `body`. Another thread's ``close()`` waits for `body`.
    public func withBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
        lock.lock()
        defer { lock.unlock() }
        return try body(UnsafeRawBufferPointer(bytes))
    }

    /// Returns what `body` makes of the bytes, then overwrites them.
    public func use<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
        defer { close() }
        return try withBytes(body)
    }

    /// Returns the secret as text; what isn't UTF-8 in it is replaced. The text stays in memory until Swift frees it, and is never
    /// overwritten: prefer ``use(_:)``.
    public func text() -> String {
        withBytes { String(decoding: $0, as: UTF8.self) }
    }

    /// Overwrites the bytes with zeros. More than once is no error.
    public func close() {
        lock.lock()
        defer { lock.unlock() }
        guard let start = bytes.baseAddress else { return }
        // Not a plain store, which the compiler may leave out before memory is freed.
        #if canImport(Darwin)
            memset_s(start, bytes.count, 0, bytes.count)
        #else
            explicit_bzero(start, bytes.count)
        #endif
    }

    /// Returns a copy with a life of its own; nothing in between holds the bytes.
    func copy() -> Secret {
        withBytes { Secret($0) }
    }
}

extension Secret: Redacted {}
