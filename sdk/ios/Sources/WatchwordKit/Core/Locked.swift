import Foundation

/// A value that any thread reads and changes, one at a time.
///
/// For what must answer without waiting for an actor's turn. Whoever holds it calls nothing that may wait for another thread.
final class Locked<Value>: @unchecked Sendable {  // `lock` guards `value`, the only state.
    private let lock = NSLock()
    private var value: Value

    init(_ value: Value) {
        self.value = value
    }

    /// Returns what `body` makes of the value. Not recursive.
    func withLock<Result>(_ body: (inout Value) throws -> Result) rethrows -> Result {
        lock.lock()
        defer { lock.unlock() }
        return try body(&value)
    }
}
