import Foundation
import WatchwordKit

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

/// Carries requests of React Native's networking that go to an API of Watchword's, or to a pinned host: token and proof are made here,
/// over the bytes that are sent. Everything else goes its way untouched.
///
/// The answer is handed on once it is whole: a session that reads it while it comes, as `XMLHttpRequest` does with `onprogress`, gets
/// one piece. Redirects are followed here, and no token goes to another origin. Progress of an upload isn't told.
final class WatchwordURLProtocol: URLProtocol, @unchecked Sendable {
    // `lock` guards `loading` and `isStopped`; all else is set before `startLoading` and never changed.
    private let lock = NSLock()
    private var loading: Task<Void, Never>?
    private var isStopped = false

    /// Tells whether a request is carried here.
    override class func canInit(with request: URLRequest) -> Bool {
        request.url.flatMap { Bridge.shared.current?.carries($0) } ?? false
    }

    /// The request as it is: what isn't proved may not be changed after the proof.
    override class func canonicalRequest(for request: URLRequest) -> URLRequest { request }

    /// Sends the request.
    override func startLoading() {
        let client = ClientThread()
        let bridge = Bridge.shared
        // The one that `canInit` looked at may be gone: then nothing is sent unproved in its place.
        guard let held = bridge.current else { return fail(Failure.notConfigured.asNSError, on: client) }
        let task = Task { [self] in
            do {
                let (data, response) = try await sent(held.session)
                client.perform { self.deliver(data, response) }
            } catch {
                let failure = Failure.of(error)
                if let failure, !isEnded { bridge.tell(failure) }
                fail(failure?.asNSError ?? error as NSError, on: client)
            }
        }
        let isLate = locked {
            loading = task
            return isStopped
        }
        if isLate { task.cancel() }
    }

    /// Ends the request: nothing more of it is sent, and nobody is told anything.
    override func stopLoading() {
        let task = locked {
            isStopped = true
            return loading
        }
        // Not on this thread: Foundation on Linux holds a queue here that all of its sessions share, and the one below asks for it.
        DispatchQueue.global(qos: .userInitiated).async { task?.cancel() }
    }

    private var isEnded: Bool { locked { isStopped } }

    private func sent(_ session: WatchwordSession) async throws -> (Data, URLResponse) {
        let body = try await inBackground { [request] in try RequestBody.of(request) }
        defer { body.close() }
        var bare = request
        bare.httpBody = nil
        bare.httpBodyStream = nil
        try Task.checkCancellation()
        switch body {
        case .none: return try await session.data(for: bare)
        case .data(let data): return try await session.upload(for: bare, from: data)
        case .file(let file): return try await session.upload(for: bare, fromFile: file)
        }
    }

    private func deliver(_ data: Data, _ response: URLResponse) {
        guard !isEnded, let client else { return }
        client.urlProtocol(self, didReceive: response, cacheStoragePolicy: .notAllowed)
        if !data.isEmpty { client.urlProtocol(self, didLoad: data) }
        client.urlProtocolDidFinishLoading(self)
    }

    private func fail(_ error: NSError, on thread: ClientThread) {
        thread.perform {
            if !self.isEnded { self.client?.urlProtocol(self, didFailWithError: error) }
        }
    }

    private func locked<Result>(_ body: () -> Result) -> Result {
        lock.lock()
        defer { lock.unlock() }
        return body()
    }
}

/// Where the protocol's client is called: the run loop that `startLoading` was called on.
private struct ClientThread: @unchecked Sendable {  // A run loop of Core Foundation takes work from any thread.
    #if canImport(Darwin)
        private let loop = CFRunLoopGetCurrent()
        private let mode = RunLoop.current.currentMode ?? .default

        func perform(_ action: @escaping @Sendable () -> Void) {
            CFRunLoopPerformBlock(loop, mode.rawValue as CFString, action)
            CFRunLoopWakeUp(loop)
        }
    #else
        // Here the client itself passes on what it is told to the session's own queue.
        func perform(_ action: @escaping @Sendable () -> Void) { action() }
    #endif
}

/// Runs what blocks on a thread that isn't Swift's own.
private func inBackground<Value: Sendable>(_ action: @escaping () throws -> Value) async throws -> Value {
    let unchecked = Unchecked(action: action)
    return try await withCheckedThrowingContinuation { continuation in
        DispatchQueue.global(qos: .userInitiated).async { continuation.resume(with: Result(catching: unchecked.action)) }
    }
}

/// What one thread makes and another one runs, once.
private struct Unchecked<Value>: @unchecked Sendable {
    let action: () throws -> Value
}
