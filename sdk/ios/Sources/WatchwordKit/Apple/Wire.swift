import Foundation

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

/// What a request's body is sent from.
enum WireUpload: Sendable {
    case none
    case data(Data)
    case file(URL)
}

/// Why no answer came.
struct WireFailure: Error {
    let cause: any Error
    /// Whether nothing of the request was sent.
    let isUnsent: Bool
}

/// Sends single requests over a `URLSession`: one attempt each, without redirects, over connections that the pins let pass.
final class Wire: Sendable {
    private let configuration: @Sendable () -> URLSessionConfiguration
    private let pins: Pins?
    /// By pinned host, as HTTP/2 lets a host's connection serve another that its certificate names; "" for all that aren't pinned.
    private let connections = Locked<[String: Connections]>([:])

    init(pins: Pins?, _ configuration: @escaping @Sendable () -> URLSessionConfiguration) {
        self.configuration = configuration
        self.pins = pins
    }

    deinit { for each in connections.withLock({ $0.values }) { each.close() } }

    /// Sends a request and reads its answer into memory.
    ///
    /// - Parameters:
    ///   - limit: most bytes of the answer; nil for any number.
    ///   - timeout: most seconds until the answer has been read; nil leaves it to the request.
    /// - Throws: ``WireFailure``, whose cause is ``UnreadableAnswerError`` above the limit; ``WatchwordError/pin(_:)``.
    func data(
        for request: URLRequest, _ upload: WireUpload, limit: Int? = nil, timeout: Double? = nil
    ) async throws -> (Data, HTTPURLResponse) {
        let received = try await current(for: request).send(WireExchange(limit: limit), timeout) { session in
            switch upload {
            case .none: return session.dataTask(with: request)
            case .data(let data): return session.uploadTask(with: request, from: data)
            case .file(let file): return session.uploadTask(with: request, fromFile: file)
            }
        }
        return (received.data, received.response)
    }

    /// Sends a request and reads its answer into a file, which is the caller's to remove.
    func download(_ request: URLRequest) async throws -> (URL, HTTPURLResponse) {
        let received = try await current(for: request).send(WireExchange(limit: nil), nil) { $0.downloadTask(with: request) }
        guard let file = received.file else { throw URLError(.cannotCreateFile) }
        return (file, received.response)
    }

    #if !canImport(FoundationNetworking)
        /// Sends a request and hands out its answer while it comes.
        func bytes(for request: URLRequest) async throws -> (URLSession.AsyncBytes, URLResponse) {
            let connections = try current(for: request)
            defer { connections.leave() }
            do {
                return try await connections.session.bytes(for: request)
            } catch {
                throw connections.takeRefusal(of: request.url?.host) ?? error
            }
        }
    #endif

    /// Returns the connections that a request may go over, having judged what is known of its host. They stay open until the caller
    /// has begun its task and calls `leave`.
    private func current(for request: URLRequest) throws -> Connections {
        guard let url = request.url, let host = url.host?.lowercased() else { throw URLError(.badURL) }
        try pins?.admit(url)
        #if !canImport(Security)
            // Nobody asks the pins about a connection here, so that none to a pinned host is made.
            if url.scheme?.lowercased() == "https" { try pins?.check(host: host, verified: []) }
        #endif
        let key = pins?.isPinned(host) == true ? host : ""
        let generation = pins?.generation ?? 0
        return connections.withLock { held in
            if let known = held[key], known.generation == generation {
                known.enter()
                return known
            }
            held[key]?.close()
            let made = Connections(configuration(), pins: pins, generation: generation)
            made.enter()
            held[key] = made
            return made
        }
    }
}

/// The connections of one `URLSession`, all of them judged by the same pins. `state` is locked; `session` is set once, before any use.
final class Connections: NSObject, @unchecked Sendable {
    private struct State {
        /// Who is about to begin a task.
        var entered = 0
        var isClosed = false
        var exchanges: [Int: WireExchange] = [:]
        var refusals: [String: any Error] = [:]
        var hasAnswered = false
    }

    /// What answers come in by. The queue that a URLSession makes for itself costs as much again as a proof, on Linux. Of all
    /// connections, since an operation queue doesn't keep it alive.
    private static let dispatch = DispatchQueue(label: "dev.watchword.wire", qos: .userInitiated, attributes: .concurrent)

    let generation: Int64
    private let pins: Pins?
    private let state = Locked(State())
    private(set) var session = URLSession.shared

    init(_ configuration: URLSessionConfiguration, pins: Pins?, generation: Int64) {
        self.pins = pins
        self.generation = generation
        super.init()
        let queue = OperationQueue()
        queue.maxConcurrentOperationCount = 1
        queue.underlyingQueue = Self.dispatch
        session = URLSession(configuration: configuration, delegate: self, delegateQueue: queue)
    }

    /// Keeps the session open until `leave`.
    func enter() { state.withLock { $0.entered += 1 } }

    func leave() {
        let isLast = state.withLock { state in
            state.entered -= 1
            return state.isClosed && state.entered == 0
        }
        if isLast { session.finishTasksAndInvalidate() }
    }

    /// Takes no request any more; what is on its way is read to its end.
    ///
    /// Who has these connections already and no task yet is waited for: a session that was invalidated ends the app that asks it for one.
    func close() {
        let isUnused = state.withLock { state in
            state.isClosed = true
            return state.entered == 0
        }
        if isUnused { session.finishTasksAndInvalidate() }
    }

    /// Sends for who has entered, and leaves.
    fileprivate func send(
        _ exchange: WireExchange, _ timeout: Double?, _ make: (URLSession) -> URLSessionTask
    ) async throws -> WireExchange.Received {
        let task: URLSessionTask
        do {
            defer { leave() }
            try Task.checkCancellation()
            task = make(session)
        }
        let number = task.taskIdentifier
        state.withLock { $0.exchanges[number] = exchange }
        defer { state.withLock { _ = $0.exchanges.removeValue(forKey: number) } }
        let expiry = timeout.map { seconds in
            Task {
                try await Ports.systemSleep(seconds)
                exchange.end(URLError(.timedOut))
                task.cancel()
            }
        }
        defer { expiry?.cancel() }
        do {
            let received = try await withTaskCancellationHandler {
                try await withCheckedThrowingContinuation { continuation in
                    exchange.begin(continuation)
                    task.resume()
                }
            } onCancel: {
                task.cancel()
            }
            state.withLock { $0.hasAnswered = true }
            return received
        } catch let error as WatchwordError {
            throw error
        } catch {
            throw WireFailure(cause: error, isUnsent: Attempts.isBeforeSending(error) && !mayHaveSent(exchange))
        }
    }

    /// Whether a request may have gone over a connection that was kept open and broke: `URLSession` makes another one by itself then, and
    /// tells how that failed. Where it counts no transactions (on Linux), every request but the first may have.
    private func mayHaveSent(_ exchange: WireExchange) -> Bool {
        exchange.transactions.map { $0 > 1 } ?? state.withLock { $0.hasAnswered }
    }

    /// Returns why the last connection to a host was refused.
    func takeRefusal(of host: String?) -> (any Error)? {
        state.withLock { $0.refusals.removeValue(forKey: host?.lowercased() ?? "") }
    }

    private func exchange(_ task: URLSessionTask) -> WireExchange? { state.withLock { $0.exchanges[task.taskIdentifier] } }
}

extension Connections: URLSessionDataDelegate, URLSessionDownloadDelegate {
    func urlSession(
        _ session: URLSession, task: URLSessionTask, willPerformHTTPRedirection response: HTTPURLResponse, newRequest request: URLRequest,
        completionHandler: @escaping (URLRequest?) -> Void
    ) {
        // A redirected request would carry the headers of this one, proof and all, to wherever it is sent.
        completionHandler(nil)
    }

    func urlSession(
        _ session: URLSession, dataTask: URLSessionDataTask, didReceive response: URLResponse,
        completionHandler: @escaping (URLSession.ResponseDisposition) -> Void
    ) {
        exchange(dataTask)?.receive(response)
        completionHandler(.allow)
    }

    func urlSession(_ session: URLSession, dataTask: URLSessionDataTask, didReceive data: Data) {
        if exchange(dataTask)?.receive(data) == false { dataTask.cancel() }
    }

    func urlSession(
        _ session: URLSession, dataTask: URLSessionDataTask, willCacheResponse proposedResponse: CachedURLResponse,
        completionHandler: @escaping (CachedURLResponse?) -> Void
    ) {
        // A cache keeps the request's headers on disk too, and so a token.
        completionHandler(nil)
    }

    func urlSession(_ session: URLSession, downloadTask: URLSessionDownloadTask, didFinishDownloadingTo location: URL) {
        exchange(downloadTask)?.receive(file: location)
    }

    func urlSession(_ session: URLSession, task: URLSessionTask, didFinishCollecting metrics: URLSessionTaskMetrics) {
        exchange(task)?.count(metrics.transactionMetrics.count)
    }

    func urlSession(_ session: URLSession, task: URLSessionTask, didCompleteWithError error: (any Error)?) {
        exchange(task)?.complete(task.response, error)
    }

    #if canImport(Security)
        // Of a task, not of the session: the refusal is the task's.
        func urlSession(
            _ session: URLSession, task: URLSessionTask, didReceive challenge: URLAuthenticationChallenge,
            completionHandler: @escaping (URLSession.AuthChallengeDisposition, URLCredential?) -> Void
        ) {
            do {
                try pins?.check(challenge)
                completionHandler(.performDefaultHandling, nil)
            } catch {
                exchange(task)?.end(error)
                state.withLock { $0.refusals[challenge.protectionSpace.host.lowercased()] = error }
                completionHandler(.cancelAuthenticationChallenge, nil)
            }
        }
    #endif
}

/// What has come of one request's answer. `state` is locked.
private final class WireExchange: Sendable {
    struct Received: Sendable {
        let response: HTTPURLResponse
        let data: Data
        let file: URL?
    }

    private struct State {
        var continuation: CheckedContinuation<Received, any Error>?
        var failure: (any Error)?
        var response: HTTPURLResponse?
        var data = Data()
        var file: URL?
        var transactions: Int?
    }

    private let limit: Int?
    private let state = Locked(State())

    init(limit: Int?) {
        self.limit = limit
    }

    func begin(_ continuation: CheckedContinuation<Received, any Error>) { state.withLock { $0.continuation = continuation } }

    func receive(_ response: URLResponse) { state.withLock { $0.response = response as? HTTPURLResponse } }

    /// Keeps a piece; false ends the task, as the answer is larger than its limit.
    func receive(_ piece: Data) -> Bool {
        state.withLock { state in
            guard let limit, state.data.count + piece.count > limit else {
                state.data.append(piece)
                return true
            }
            state.failure = state.failure ?? UnreadableAnswerError("got an answer of more than \(limit) bytes")
            return false
        }
    }

    /// Takes a file that is the system's until this returns.
    func receive(file: URL) {
        let kept = FileManager.default.temporaryDirectory.appendingPathComponent("watchword-\(UUID().uuidString)")
        do {
            try FileManager.default.moveItem(at: file, to: kept)
            state.withLock { $0.file = kept }
        } catch {
            end(error)
        }
    }

    /// How many transactions there were for the one task; nil where nobody counts.
    var transactions: Int? { state.withLock { $0.transactions } }

    func count(_ transactions: Int) { state.withLock { $0.transactions = transactions } }

    /// Notes why the task is being ended; the first reason counts.
    func end(_ error: any Error) { state.withLock { $0.failure = $0.failure ?? error } }

    func complete(_ last: URLResponse?, _ error: (any Error)?) {
        let (continuation, result) = state.withLock { state -> (CheckedContinuation<Received, any Error>?, Result<Received, any Error>) in
            defer { state.continuation = nil }
            if let failure = state.failure ?? error { return (state.continuation, .failure(failure)) }
            guard let response = state.response ?? last as? HTTPURLResponse else {
                return (state.continuation, .failure(URLError(.badServerResponse)))
            }
            return (state.continuation, .success(Received(response: response, data: state.data, file: state.file)))
        }
        if case .failure = result, let file = state.withLock({ $0.file }) { try? FileManager.default.removeItem(at: file) }
        continuation?.resume(with: result)
    }
}
